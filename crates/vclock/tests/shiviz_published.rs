//! Logs of the shapes that people publish for ShiViz: several executions in a file, hosts whose threads
//! overtake each other, lines of other programs in between, and records that are one line of somebody
//! else's logger. The texts are made up; the shapes are those of the logs in ShiViz's repository.

use std::collections::BTreeMap;

use regex::Regex;
use synod_vclock::Dot;
use synod_vclock::shiviz::{Fault, Layout, Log, Record, executions};

/// Two executions, parted by a line; blanks in the clocks, empty lines between hosts.
const SOCIAL: &str = "\
10.0.0.1 9:15:01 GET /wall uid=ada
ada {\"ada\":1}
10.0.0.1 9:15:04 INFO wall: []
ada {\"ada\":2, \"proxy\": 2}

10.0.0.2 9:15:02 INFO asked for the wall
proxy {\"proxy\":1, \"ada\": 1}
10.0.0.2 9:15:03 INFO sent the wall
proxy {\"proxy\":2, \"ada\": 1}


======
10.0.0.1 9:15:01 GET /wall uid=ada
ada {\"ada\":1}
";

#[test]
fn executions_are_parted_by_their_delimiter() {
    let delimiter = Regex::new("^======$").unwrap();
    let runs = executions(SOCIAL, |line| delimiter.is_match(line));
    let logs = runs.map(|run| Log::parse(run, Layout::EventFirst).unwrap());
    let logs = logs.collect::<Vec<_>>();
    let lens = logs.iter().map(|log| log.records().len());
    assert_eq!(lens.collect::<Vec<_>>(), [4, 1]);
    assert_eq!(logs[0].messages(), [(3, 1), (0, 2)]);
    // As one log it is none: a host would begin again.
    assert!(Log::parse(SOCIAL, Layout::EventFirst).is_err());
    let nothing = executions("======\n\n======\n======", |line| line == "======");
    assert_eq!(nothing.count(), 0);
    let whole = executions(SOCIAL, |_| false).collect::<Vec<_>>();
    assert_eq!(whole, [SOCIAL]);
}

/// Two threads of one host that reach the file in the other order, and a third that is far behind.
#[test]
fn records_of_a_host_are_sorted_by_its_own_entry() {
    let text = "\
vote
n1 {\"n1\":2, \"n2\":1}
ask
n2 {\"n2\":1}
wake
n1 {\"n1\":1}
won
n2 {\"n1\":2, \"n2\":2}
";
    let log = Log::parse(text, Layout::EventFirst).unwrap();
    let events = log.records().iter().map(Record::event);
    assert_eq!(events.collect::<Vec<_>>(), ["wake", "ask", "vote", "won"]);
    let first = Dot::new("n1".to_owned(), 1).unwrap();
    assert_eq!(log.find(&first), Some(0));
    assert_eq!(log.messages(), [(1, 2), (2, 3)]);
    // A gap is a gap in any order, and the line is that of the record.
    let gap = text.replace("n1 {\"n1\":2, \"n2\":1}", "n1 {\"n1\":3, \"n2\":1}");
    let error = Log::parse(&gap, Layout::EventFirst).unwrap_err();
    let expected = Fault::OwnEntry {
        expected: 2,
        found: 3,
    };
    assert_eq!((error.line, error.fault), (2, expected));
    // So is an event that comes twice.
    let twice = text.replace("n1 {\"n1\":1}", "n1 {\"n1\":2, \"n2\":1}");
    assert!(Log::parse(&twice, Layout::EventFirst).is_err());
}

/// A banner, a stack trace, a line that looks half like a record.
#[test]
fn lines_that_are_no_records_are_passed_over() {
    let text = "\
*** node 4 of 5, build 17 ***
joined the ring
n4 {\"n4\":1}
java.io.IOException: reset by peer
\tat Ring.read(Ring.java:88)
left the ring
n4 {\"n4\":2}
n4 {broken
bye
";
    assert!(Log::parse(text, Layout::EventFirst).is_err());
    let (log, passed_over) = Log::parse_loosely(text, Layout::EventFirst).unwrap();
    let events = log.records().iter().map(Record::event);
    assert_eq!(
        events.collect::<Vec<_>>(),
        ["joined the ring", "left the ring"]
    );
    assert_eq!(passed_over, 5);
    let clock_first =
        "noise\nn4 {\"n4\":1}\njoined the ring\nn4 {\"n4\":2}\nleft the ring\nn4 {\"n4\":3}\n";
    let (log, passed_over) = Log::parse_loosely(clock_first, Layout::ClockFirst).unwrap();
    assert_eq!((log.records().len(), passed_over), (2, 2));
    // What a record says is held to the same rules as in any log.
    let impossible = "x\nn4 {\"n4\":1}\nnoise\ny\nn4 {\"n4\":3}\n";
    let error = Log::parse_loosely(impossible, Layout::EventFirst).unwrap_err();
    assert_eq!(error.line, 5);
    // What parses strictly parses loosely, to the same.
    let runs = executions(SOCIAL, |line| line == "======");
    for run in runs {
        let strict = Log::parse(run, Layout::EventFirst).unwrap();
        let loose = Log::parse_loosely(run, Layout::EventFirst).unwrap();
        assert_eq!(loose, (strict, 0));
    }
}

/// One line a record, in the format of an actor framework's logger.
#[test]
fn an_expression_of_ones_own_reads_any_format() {
    let text = "\
[INFO] [11/23/2026 14:37:20.543] [pool-2] [akka://Ring/user/n0] {\"n0\" : 1} send ping to n1
[INFO] [11/23/2026 14:37:20.548] [pool-5] [akka://Ring/user/n1] {\"n0\" : 1, \"n1\" : 1} got ping
[WARN] [11/23/2026 14:37:20.549] [pool-5] no clock here
";
    let expression = r"(?m)\[akka://Ring/user/(?<host>\w+)\] (?<clock>\{.*\}) (?<event>.*)$";
    let expression = Regex::new(expression).unwrap();
    let records = expression.captures_iter(text).map(|found| {
        let clock: BTreeMap<String, u64> = serde_json::from_str(&found["clock"]).unwrap();
        Record::new(&found["host"], clock.into_iter().collect(), &found["event"]).unwrap()
    });
    let records = records.collect::<Vec<_>>();
    let log = Log::from_records(records.clone()).unwrap();
    assert_eq!(log.messages(), [(0, 1)]);
    assert_eq!(log.records()[1].event(), "got ping");
    // Records are checked as lines are, and counted from one.
    let error = Log::from_records([records[1].clone()]).unwrap_err();
    assert_eq!(error.line, 1);
    assert!(matches!(error.fault, Fault::NoSuchEvent(_)));
}
