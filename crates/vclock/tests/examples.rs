//! What the examples stand on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../examples/detective/diagram.rs"]
mod diagram;

use diagram::Diagram;
use proptest::prelude::*;
use synod_vclock::shiviz::{Layout, Log};
use synod_vclock::{CausalOrder, Dot};

/// The case of the last ticket: the wall says that Bob was charged before he pressed, and that the
/// returned ticket came in time for Ada; the clocks say which of it anybody can know.
#[test]
fn the_log_of_the_detective_is_a_run_that_could_have_been() {
    let log = Log::parse(
        include_str!("../examples/detective/detective.log"),
        Layout::EventFirst,
    )
    .unwrap();
    let at = |host: &str, counter| {
        let record = log
            .find(&Dot::new(host.to_owned(), counter).unwrap())
            .unwrap();
        &log.records()[record]
    };
    let order = |one: (&str, u64), other: (&str, u64)| {
        at(one.0, one.1)
            .clock()
            .causal_cmp(at(other.0, other.1).clock())
    };
    assert_eq!(at("ada", 2).event(), "[12:00:01.400] ada presses \"buy\"");
    assert_eq!(order(("ada", 2), ("bob", 1)), CausalOrder::Concurrent);
    assert_eq!(order(("hall", 1), ("bank", 4)), CausalOrder::Concurrent);
    assert_eq!(order(("hall", 1), ("hall", 2)), CausalOrder::Before);
    assert_eq!(order(("bank", 1), ("bob", 2)), CausalOrder::Before);
}

fn drawn(text: &str) -> String {
    Diagram::from(&Log::parse(text, Layout::EventFirst).unwrap()).to_string()
}

/// How far down each event stands, in the order of the records.
fn heights(svg: &str) -> Vec<usize> {
    let circles = svg.split("<circle ").skip(1);
    let heights = circles.map(|circle| {
        circle
            .split("cy=\"")
            .nth(1)?
            .split('"')
            .next()?
            .parse()
            .ok()
    });
    heights.collect::<Option<_>>().unwrap()
}

#[test]
fn effects_stand_below_causes_and_no_lower_than_they_must() {
    let apart = drawn("e\na {\"a\":1}\ne\na {\"a\":2}\ne\nb {\"b\":1}\ne\nb {\"b\":2}\n");
    let [top, next, ..] = heights(&apart)[..] else {
        panic!("{apart}")
    };
    let row = next - top;
    assert_eq!(heights(&apart), [top, top + row, top, top + row]);
    assert!(
        !apart.contains("class=\"message\""),
        "ways of a process are no messages"
    );
    let sent =
        drawn("e\na {\"a\":1}\ne\na {\"a\":2}\ne\nb {\"a\":2, \"b\":1}\ne\nb {\"a\":2, \"b\":2}\n");
    let rows: Vec<_> = heights(&sent)
        .iter()
        .map(|height| (height - top) / row)
        .collect();
    assert_eq!(rows, [0, 1, 2, 3]);
    assert_eq!(sent.matches("class=\"message\"").count(), 1);
}

#[test]
fn texts_are_escaped_and_cut() {
    let label = "a".repeat(100);
    let svg = drawn(&format!(
        "{label}\n<&> {{\"<&>\":1}}\nx\0\n<&> {{\"<&>\":2}}\n"
    ));
    assert!(svg.contains("&lt;&amp;&gt;") && !svg.contains("<&>"));
    assert!(
        svg.contains(&format!(">{}…</text>", "a".repeat(34))),
        "{svg}"
    );
    assert!(svg.contains(&format!("<title>{label}\n")));
    assert!(!svg.contains('\0'));
}

#[test]
fn labels_that_are_too_long_go_on_in_a_second_line() {
    let lines = |label: &str| {
        let svg = drawn(&format!("{label}\na {{\"a\":1}}\n"));
        let texts = svg.split("<text class=\"label\"").skip(1);
        let texts = texts.map(|text| text.split(['>', '<']).nth(1).unwrap().to_owned());
        texts.collect::<Vec<_>>()
    };
    let long = "[12:00:09.650] ask the hall for a ticket for ada";
    assert_eq!(
        lines(long),
        ["[12:00:09.650] ask the hall for a", "ticket for ada"]
    );
    assert_eq!(lines(&long[..34]), [&long[..34]]);
    let umlauts = "\u{fc}".repeat(34);
    assert_eq!(lines(&format!("{umlauts} end")), [&umlauts, "end"]);
    assert_eq!(lines(&format!("{umlauts}end")), [format!("{umlauts}…")]);
}

proptest! {
    #[test]
    fn every_log_that_is_read_is_drawn(text in "([a-c]{1,2}\n[a-c] \\{(\"[a-c]\":[1-3],? ?){1,3}\\}\n){1,6}") {
        if let Ok(log) = Log::parse(&text, Layout::EventFirst) {
            let svg = Diagram::from(&log).to_string();
            prop_assert_eq!(svg.matches("<circle").count(), log.records().len());
            prop_assert_eq!(svg.matches("class=\"message\"").count(), log.messages().len());
        }
    }
}
