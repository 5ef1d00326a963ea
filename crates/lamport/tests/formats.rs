//! The written forms of hybrid timestamps: golden vectors, order, and that each has one text.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;
use synod_lamport::Stamp;
use synod_lamport::hlc::{Layout, Millis42, Millis48, Nanos64, Timestamp};

#[test]
fn golden_vectors() {
    let lines = include_str!("testdata/hlc.txt").lines();
    let mut rows = [0; 3];
    for line in lines.filter(|line| !line.starts_with('#')) {
        let mut fields = line.split_whitespace();
        let mut field = || fields.next().unwrap();
        let (layout, ticks, logical) = (field(), field(), field());
        let parts = (ticks.parse().unwrap(), logical.parse().unwrap());
        let row = match layout {
            "Millis48" => agrees::<Millis48>(parts, field(), field(), 0),
            "Millis42" => agrees::<Millis42>(parts, field(), field(), 1),
            "Nanos64" => agrees::<Nanos64>(parts, field(), field(), 2),
            other => panic!("no layout {other}"),
        };
        rows[row] += 1;
    }
    assert_eq!(rows, [10, 7, 8], "every row was looked at");
}

fn agrees<L: Layout>(parts: (u64, u64), bytes: &str, text: &str, row: usize) -> usize {
    let stamp = Timestamp::<L>::from_parts(parts.0, parts.1).unwrap();
    let word = u64::from_str_radix(bytes, 16).unwrap();
    assert_eq!(stamp.as_u64(), word, "{text}");
    assert_eq!(stamp.to_be_bytes(), word.to_be_bytes(), "{text}");
    assert_eq!(Timestamp::from_be_bytes(word.to_be_bytes()), stamp);
    assert_eq!((stamp.ticks(), stamp.logical()), parts, "{text}");
    assert_eq!(stamp.to_string(), text);
    assert_eq!(text.parse(), Ok(stamp));
    assert_eq!(format!("{stamp:?}"), format!("Timestamp({text})"));
    row
}

fn forms<L: Layout>(one: u64, two: u64) -> Result<(), TestCaseError> {
    let stamps = [one, two].map(Timestamp::<L>::from_u64);
    let [bytes_one, bytes_two] = stamps.map(Timestamp::to_be_bytes);
    prop_assert_eq!(bytes_one.cmp(&bytes_two), stamps[0].cmp(&stamps[1]));
    let texts = stamps.map(|stamp| stamp.to_string());
    if texts[0].len() == texts[1].len() {
        prop_assert_eq!(texts[0].cmp(&texts[1]), stamps[0].cmp(&stamps[1]));
    } else {
        prop_assert!(
            texts.iter().any(|text| text.find('-') > Some(4)),
            "the years have 4 digits"
        );
    }
    for (stamp, text) in stamps.into_iter().zip(&texts) {
        prop_assert_eq!(text.parse(), Ok(stamp));
        prop_assert_eq!(Timestamp::from_be_bytes(stamp.to_be_bytes()), stamp);
        prop_assert_eq!(
            Timestamp::from_parts(stamp.ticks(), stamp.logical()),
            Some(stamp)
        );
        let first = Timestamp::<L>::at_unix(stamp.since_unix_epoch());
        prop_assert_eq!(first, Timestamp::from_parts(stamp.ticks(), 0));
    }
    Ok(())
}

/// Whatever is read is written as it was read: there is one text for each timestamp.
fn one_text<L: Layout>(text: &str) -> Result<(), TestCaseError> {
    if let Ok(stamp) = text.parse::<Timestamp<L>>() {
        prop_assert_eq!(stamp.to_string(), text);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn forms_come_back_and_sort_as_the_timestamps_do(one in any::<u64>(), two in any::<u64>()) {
        forms::<Millis48>(one, two)?;
        forms::<Millis42>(one, two)?;
        forms::<Nanos64>(one, two)?;
    }

    #[test]
    fn a_text_with_one_character_changed_is_refused_or_another_timestamp(
        word in any::<u64>(),
        at in any::<prop::sample::Index>(),
        with in prop_oneof![Just("".to_owned()), "[-+:.TZt 0-9a-fA-F/]{1,2}"],
    ) {
        let changed = |text: String| {
            let at = at.index(text.len());
            format!("{}{with}{}", &text[..at], &text[at + 1..])
        };
        one_text::<Millis48>(&changed(Timestamp::<Millis48>::from_u64(word).to_string()))?;
        one_text::<Millis42>(&changed(Timestamp::<Millis42>::from_u64(word).to_string()))?;
        one_text::<Nanos64>(&changed(Timestamp::<Nanos64>::from_u64(word).to_string()))?;
    }

    #[test]
    fn any_text_is_refused_or_written_as_it_was(text in "[-0-9T:.Za-f]{0,60}|.{0,60}") {
        one_text::<Millis48>(&text)?;
        one_text::<Millis42>(&text)?;
        one_text::<Nanos64>(&text)?;
    }

    /// With the node, sixteen bytes that sort as the total order does.
    #[test]
    fn stamps_of_hybrid_timestamps_sort_as_bytes(one in any::<[u64; 2]>(), two in any::<[u64; 2]>()) {
        let [one, two] = [one, two]
            .map(|[word, node]| Stamp::new(Timestamp::<Millis48>::from_u64(word % 4), node % 4));
        prop_assert_eq!(one.to_be_bytes().cmp(&two.to_be_bytes()), one.cmp(&two));
        prop_assert_eq!(Stamp::from_be_bytes(one.to_be_bytes()), Ok(one));
        prop_assert_eq!(one.to_string().parse(), Ok(one));
    }
}

#[test]
fn other_texts_of_the_same_time_are_refused() {
    let texts = [
        "2026-11-23T07:00:00.000Z-002A",
        "2026-11-23T07:00:00.000Z-02a",
        "2026-11-23T07:00:00.000Z-0002a",
        "2026-11-23T07:00:00.000Z",
        "2026-11-23T07:00:00Z-002a",
        "2026-11-23T07:00:00.000000Z-002a",
        "2026-11-23 07:00:00.000Z-002a",
        "2026-11-23t07:00:00.000z-002a",
        "2026-11-23T07:00:00.000+00:00-002a",
        "2026-11-22T31:00:00.000Z-002a",
        "2026-11-23T06:60:00.000Z-002a",
        "2026-11-23T06:59:60.000Z-002a",
        "+2026-11-23T07:00:00.000Z-002a",
        "02026-11-23T07:00:00.000Z-002a",
        "2026-10-54T07:00:00.000Z-002a",
        "2026-11-23T07:00:00.000Z-+02a",
    ];
    for text in texts {
        assert!(text.parse::<Timestamp>().is_err(), "{text}");
    }
    assert!("2026-11-23T07:00:00.000Z-002a".parse::<Timestamp>().is_ok());
}

#[test]
fn times_outside_of_a_layout_are_refused() {
    for text in [
        "1969-12-31T23:59:59.999Z-0000",
        "10889-08-02T05:31:50.656Z-0000",
        "99999999999999999999-01-01T00:00:00.000Z-0000",
        "18446744073709551615-01-01T00:00:00.000Z-0000",
        "0000-01-01T00:00:00.000Z-0000",
        "2026-00-01T00:00:00.000Z-0000",
        "2026-11-00T00:00:00.000Z-0000",
    ] {
        assert!(text.parse::<Timestamp>().is_err(), "{text}");
    }
    let before_2024 = "2023-12-31T23:59:59.999Z-000000";
    assert!(before_2024.parse::<Timestamp<Millis42>>().is_err());
}
