//! Logs: what other tools write is read, what we write they read, what no run can have written is
//! refused with its line.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use synod_vclock::shiviz::{Fault, Layout, Log, Logger, Record, RecordError};
use synod_vclock::{CausalOrder, Dot, ReceiveError, VersionVector};

/// A run as GoVector logs it: the files of three processes, one behind the other.
const GOVECTOR: &str = r#"client {"client":1}
Initialization Complete
client {"client":2}
Sending Put request for '90'
client {"client":3, "front-end":4, "kv-node-10":3}
Received Put reply
front-end {"front-end":1}
Initialization Complete
front-end {"front-end":2, "client":2}
Received Put request: 90
front-end {"client":2, "front-end":3, "kv-node-10":3}
Received reply from kvNode Put
front-end {"client":2, "front-end":4, "kv-node-10":3}
Replied to Put
kv-node-10 {"kv-node-10":1}
Initialization Complete
kv-node-10 {"client":2, "front-end":2, "kv-node-10":2}
Received Put
kv-node-10 {"client":2, "front-end":2, "kv-node-10":3}
Replied
"#;

/// The matches of the default regular expression of ShiViz, `(?<event>.*)\n(?<host>\S*)
/// (?<clock>{.*})`, in the text: event, host, clock. It is not anchored, and goes on behind the match
/// before: what is left of a line there may be an event, too.
fn shiviz_matches(text: &str) -> Vec<(&str, &str, &str)> {
    let mut matches = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        match shiviz_match_at(rest) {
            Some((event, host, clock, left)) => {
                matches.push((event, host, clock));
                rest = left;
            }
            // The expression that does not match here does not match later in the line.
            None => rest = rest.find('\n').map_or("", |at| &rest[at + 1..]),
        }
    }
    matches
}

fn shiviz_match_at(text: &str) -> Option<(&str, &str, &str, &str)> {
    let breaks = ['\n', '\r', '\u{2028}', '\u{2029}'];
    let (event, rest) = text.split_at(text.find(breaks)?);
    let rest = rest.strip_prefix('\n')?;
    let spaced = |char: char| (char.is_whitespace() && char != '\u{85}') || char == '\u{feff}';
    let (host, rest) = rest.split_at(rest.find(spaced)?);
    let rest = rest
        .strip_prefix(' ')
        .filter(|rest| rest.starts_with('{'))?;
    let line = &rest[..rest.find(breaks).unwrap_or(rest.len())];
    let (clock, _) = line.split_at(line.rfind('}')? + 1);
    Some((event, host, clock, &rest[clock.len()..]))
}

/// Who writes next, whether it has a message, and which one.
type Moves = Vec<(usize, bool, usize)>;

/// A run of three hosts whose names and events are anything that is allowed.
fn run(names: &[String; 3], texts: &[String], moves: &Moves) -> Vec<Record> {
    let mut loggers = names.clone().map(|name| Logger::new(name).unwrap());
    let mut records: Vec<Record> = Vec::new();
    for (at, (host, receives, pick)) in moves.iter().enumerate() {
        let text = texts[at % texts.len()].as_str();
        let message =
            (*receives && !records.is_empty()).then(|| records[pick % records.len()].clone());
        let record = match message.filter(|message| message.host() != names[*host]) {
            Some(message) => loggers[*host].receive(text, message.clock()).unwrap(),
            None => loggers[*host].event(text).unwrap(),
        };
        records.push(record);
    }
    records
}

fn runs() -> impl Strategy<Value = Vec<Record>> {
    let names = [
        "[!-~\u{e9}\u{4e2d}]{1,9}",
        "[!-~]{1,9}",
        "[a-z\"\\\\{}]{1,9}",
    ];
    let moves = proptest::collection::vec((0_usize..3, any::<bool>(), any::<usize>()), 0..30);
    // Whatever the dot of a regular expression matches.
    let text = prop_oneof![
        "[^\r\n\u{2028}\u{2029}]{0,20}",
        " {0,5}[a{]{0,2} {0,2}\\{?\"?a?\\}?[ }]{0,2}"
    ];
    let texts = proptest::collection::vec(text, 1..5);
    (names, texts, moves)
        .prop_filter("names differ", |(names, _, _)| {
            names[0] != names[1] && names[1] != names[2] && names[0] != names[2]
        })
        .prop_map(|(names, texts, moves)| run(&names, &texts, &moves))
}

fn text(records: &[Record], layout: Layout) -> String {
    records
        .iter()
        .map(|record| record.display(layout).to_string())
        .collect()
}

fn fault(text: &str) -> (usize, Fault) {
    let error = Log::parse(text, Layout::ClockFirst).unwrap_err();
    (error.line, error.fault)
}

fn dot(host: &str, counter: u64) -> Dot<String> {
    Dot::new(host.to_owned(), counter).unwrap()
}

proptest! {
    #[test]
    fn what_is_written_matches_the_default_expression_of_shiviz(records in runs()) {
        let text = text(&records, Layout::EventFirst);
        let matches = shiviz_matches(&text);
        prop_assert_eq!(matches.len(), records.len(), "{}", text);
        for (record, (event, host, clock)) in records.iter().zip(matches) {
            prop_assert_eq!((event.trim_start(), host), (record.event().trim_start(), record.host()));
            let clock: std::collections::BTreeMap<String, u64> = serde_json::from_str(clock).unwrap();
            prop_assert_eq!(&clock.into_iter().collect::<VersionVector<_>>(), record.clock());
        }
    }

    #[test]
    fn what_is_written_is_read_in_both_layouts(records in runs()) {
        let log = Log::parse(&text(&records, Layout::EventFirst), Layout::EventFirst).unwrap();
        prop_assert_eq!(log.records(), &records);
        // An empty line is no event to the layout that has the clock first only at a record's start.
        let log = Log::parse(&text(&records, Layout::ClockFirst), Layout::ClockFirst).unwrap();
        prop_assert_eq!(log.records(), &records);
    }

    #[test]
    fn messages_tell_the_whole_order(records in runs()) {
        let log = Log::parse(&text(&records, Layout::EventFirst), Layout::EventFirst).unwrap();
        // Reachable over messages and within hosts: exactly what the clocks say.
        let len = records.len();
        let mut before = vec![vec![false; len]; len];
        for (one, other) in log.messages() {
            before[one][other] = true;
        }
        for one in 0..len {
            for other in one + 1..len {
                before[one][other] |= records[one].host() == records[other].host();
            }
        }
        for by in 0..len {
            for one in 0..len {
                for other in 0..len {
                    before[one][other] |= before[one][by] && before[by][other];
                }
            }
        }
        for one in 0..len {
            for other in 0..len {
                let less = records[one].clock().causal_cmp(records[other].clock()) == CausalOrder::Before;
                prop_assert_eq!(before[one][other], less);
            }
        }
    }

    #[test]
    fn a_counter_changed_anywhere_is_found(
        records in runs(),
        at in any::<usize>(),
        entry in any::<usize>(),
        by in 1_u64..3,
        up in any::<bool>(),
    ) {
        prop_assume!(!records.is_empty());
        let at = at % records.len();
        let clock = records[at].clock();
        let changed = clock.iter().nth(entry % clock.len()).unwrap();
        let counter = if up { changed.counter.get() + by } else { changed.counter.get().saturating_sub(by) };
        let forged = clock.iter().map(|dot| {
            let kept = (dot.actor.clone(), dot.counter.get());
            if dot == changed { (dot.actor.clone(), counter) } else { kept }
        });
        let forged = Record::new(records[at].host(), forged.collect::<VersionVector<_>>(), records[at].event());
        let mut all = records.clone();
        match forged {
            Ok(forged) => all[at] = forged,
            Err(error) => {
                prop_assert_eq!(error, RecordError::OwnEntryMissing);
                return Ok(());
            }
        }
        let read = Log::parse(&text(&all, Layout::EventFirst), Layout::EventFirst);
        // A foreign entry may be changed to another run that could have been; nothing else passes.
        if let Ok(log) = read {
            prop_assert_ne!(&changed.actor, records[at].host());
            for record in log.records() {
                for dot in record.clock().iter() {
                    let known = &log.records()[log.find(dot).unwrap()];
                    prop_assert!(record.clock().descends(known.clock()));
                }
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused_with_a_line(text in "([a-c]{0,2} ?\\{?(\"[a-c]\":[0-3],? ?){0,3}\\}?\n?){0,6}") {
        for layout in [Layout::EventFirst, Layout::ClockFirst] {
            match Log::parse(&text, layout) {
                Ok(log) => prop_assert!(log.records().len() <= text.lines().count()),
                Err(error) => prop_assert!((1..=text.lines().count()).contains(&error.line)),
            }
        }
    }
}

/// ShiViz would read the second event as a host `got` with a clock.
#[test]
fn an_event_that_looks_like_a_clock_is_not_taken_for_one() {
    let mut logger = Logger::new("a").unwrap();
    let events = [
        "start",
        "got {\"x\":1}",
        " {}",
        "  got {}",
        "{x {y}",
        "{}",
        "got {",
        "a\u{85}b {}",
    ];
    let records = events.map(|event| logger.event(event).unwrap());
    let text = text(&records, Layout::EventFirst);
    assert!(text.contains("\n  got {\"x\":1}\n") && text.contains("\n    got {}\n"));
    assert!(
        shiviz_matches(&text)
            .iter()
            .all(|(_, host, _)| *host == "a")
    );
    let log = Log::parse(&text, Layout::EventFirst).unwrap();
    assert!(log.records().iter().map(Record::event).eq(events));
}

#[test]
fn a_log_of_govector_is_valid() {
    let log = Log::parse(GOVECTOR, Layout::ClockFirst).unwrap();
    assert!(log.hosts().eq(["client", "front-end", "kv-node-10"]));
    assert_eq!(log.records().len(), 10);
    assert_eq!(log.messages(), [(6, 2), (1, 4), (9, 5), (4, 8)]);
    assert_eq!(
        text(log.records(), Layout::ClockFirst).lines().count(),
        GOVECTOR.lines().count()
    );
}

#[test]
fn lines_that_are_no_records_are_refused() {
    let broken = [
        ("a", 1, Fault::HalfARecord),
        ("a {\"a\":1}\nx\na {\"a\":2}", 3, Fault::HalfARecord),
        ("x\na {\"a\":1}\n", 1, Fault::NotAClock),
        ("a {\"a\":1\nx\n", 1, Fault::NotAClock),
        ("a  {\"a\":1}\n", 1, Fault::HalfARecord),
        ("\n\na {\"a\":1} tail\nx\n", 3, Fault::NotAClock),
        (
            " {\"a\":1}\nx\n",
            1,
            Fault::Record(RecordError::HostNotAWord),
        ),
        (
            "a {\"b\":1}\nx\n",
            1,
            Fault::Record(RecordError::OwnEntryMissing),
        ),
        (
            "a {\"a\":0}\nx\n",
            1,
            Fault::Record(RecordError::OwnEntryMissing),
        ),
    ];
    for (text, line, expected) in broken {
        assert_eq!(fault(text), (line, expected), "{text}");
    }
}

#[test]
fn what_no_run_can_have_written_is_refused() {
    // Lines of the record change; everything else is the log above.
    let change = |from: &str, to: &str| {
        assert!(GOVECTOR.contains(from));
        fault(&GOVECTOR.replacen(from, to, 1))
    };
    assert_eq!(
        change("client {\"client\":2}", "client {\"client\":3}"),
        (
            3,
            Fault::OwnEntry {
                expected: 2,
                found: 3
            }
        )
    );
    assert_eq!(
        change("front-end {\"front-end\":1}", "front-end {\"front-end\":2}"),
        (
            7,
            Fault::OwnEntry {
                expected: 1,
                found: 2
            }
        )
    );
    assert_eq!(
        change(
            "{\"client\":2, \"front-end\":4, \"kv-node-10\":3}",
            "{\"front-end\":4, \"kv-node-10\":3}"
        ),
        (13, Fault::Forgetful)
    );
    assert_eq!(
        change(
            "{\"client\":3, \"front-end\":4, \"kv-node-10\":3}",
            "{\"client\":3, \"front-end\":5, \"kv-node-10\":3}"
        ),
        (5, Fault::NoSuchEvent(dot("front-end", 5)))
    );
    assert_eq!(
        change("{\"client\":1}", "{\"client\":1, \"stranger\":1}"),
        (3, Fault::Forgetful)
    );
    // A merge by one component: the message's own entry is taken, and not what it knew.
    assert_eq!(
        change(
            "{\"client\":3, \"front-end\":4, \"kv-node-10\":3}",
            "{\"client\":3, \"front-end\":4}"
        ),
        (5, Fault::PastIncomplete(dot("front-end", 4)))
    );
    let circular = "a {\"a\":1, \"b\":1}\nx\nb {\"a\":1, \"b\":1}\ny\n";
    assert_eq!(fault(circular), (1, Fault::Circular(dot("b", 1))));
}

#[test]
fn what_would_break_a_log_is_not_logged() {
    for host in ["", " ", "a b", "a\n", "\u{feff}", "\u{2003}"] {
        assert_eq!(Logger::new(host), Err(RecordError::HostNotAWord));
    }
    let mut logger = Logger::new("a").unwrap();
    for event in ["\n", "a\rb", "\u{2028}", "x\u{2029}"] {
        assert_eq!(logger.event(event), Err(RecordError::EventNotALine));
        assert_eq!(
            logger.receive(event, &VersionVector::new()),
            Err(RecordError::EventNotALine)
        );
    }
    let forged = VersionVector::from_iter([("a".to_owned(), 1)]);
    assert_eq!(
        logger.receive("x", &forged),
        Err(RecordError::Clock(ReceiveError::FromOwnFuture {
            claimed: 1,
            made: 0
        }))
    );
    assert_eq!(
        logger.event("first").unwrap().clock(),
        &forged,
        "nothing was counted before"
    );
}

#[test]
fn empty_events_and_empty_lines_are_told_apart() {
    let log = Log::parse("\n\n\na {\"a\":1}\n\na {\"a\":2}\n\n\n", Layout::EventFirst).unwrap();
    assert_eq!(log.records().len(), 2);
    assert!(log.records().iter().all(|record| record.event().is_empty()));
    let log = Log::parse("x\na {\"a\":1}\n\n\ny\na {\"a\":2}\n\n", Layout::EventFirst).unwrap();
    assert!(log.records().iter().map(Record::event).eq(["x", "y"]));
    let log = Log::parse("\na {\"a\":1}\n\n\na {\"a\":2}\nx\n\n", Layout::ClockFirst).unwrap();
    assert!(log.records().iter().map(Record::event).eq(["", "x"]));
}
