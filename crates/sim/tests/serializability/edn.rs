//! Jepsen's format: golden texts, and histories there and back.

use synod_sim::Rng;
use synod_sim::serializability::{Anomaly, Verdict, check, edn};

use crate::cases::Op::{Append, List};
use crate::cases::{Fate, Style, draw, history, txn};

/// As Jepsen writes it: other fields, a nemesis, a tag, times, and an invocation without an end.
const JEPSEN: &str = r#"
; a comment
#jepsen.history.Op{:index 0, :time 10, :type :invoke, :process 0, :f :txn, :value [[:append 1 1] [:r 2 nil]]}
{:index 1, :time 11, :type :info, :process :nemesis, :f :start-partition, :value ["n1" #{:a} 1.5]}
{:index 2, :time 12, :type :invoke, :process 1, :f :txn, :value [[:r 1 nil] [:append 2 1]]}
{:index 3, :time 13, :type :ok, :process 0, :f :txn, :value [[:append 1 1] [:r 2 nil]]}
{:index 4, :time 14, :type :ok, :process 1, :f :txn, :value [[:r 1 []] [:append 2 1]]}
{:index 5, :time 15, :type :invoke, :process 0, :f :txn, :value [[:r 1 nil] [:r 2 nil]]}
{:index 6, :time 16, :type :ok, :process 0, :f :txn, :value [[:r 1 [1]] [:r 2 [1]]]}
{:index 7, :time 17, :type :invoke, :process 1, :f :txn, :value [[:append 1 2]]}
{:index 8, :time 18, :type :fail, :process 1, :f :txn, :value [[:append 1 2]], :error :conflict}
{:index 9, :time 19, :type :invoke, :process 1, :f :txn, :value [[:append 1 3]]}
"#;

#[test]
fn a_history_of_jepsen_is_read() {
    let history = edn::read(JEPSEN).unwrap();
    assert_eq!(history.len(), 5);
    let verdict = check(&history);
    let found = verdict.violation().unwrap();
    assert_eq!(found.anomaly, Anomaly::G2Item);
    assert_eq!(
        found.to_string(),
        "\
not strictly serializable: G2-item (several anti-dependencies), a cycle of 2 transactions
  T0 -rw-> T1: T0 read Integer(2) empty, and T1 appended Integer(1)
  T1 -rw-> T0: T1 read Integer(1) empty, and T0 appended Integer(1)
  T0 from 0.000 ms to 0.000 ms: append Integer(1) Integer(1), read Integer(2) []
  T1 from 0.000 ms to 0.000 ms: read Integer(1) [], append Integer(2) Integer(1)
"
    );
    let vector = format!("[{JEPSEN}]");
    assert_eq!(check(&edn::read(&vector).unwrap()).violation(), Some(found));
}

#[test]
fn the_text_is_pinned() {
    let mut txns = vec![
        txn(0, 5, &[Append(1, 1), List(2, vec![])]),
        txn(2, 4, &[List(1, vec![1, 7]), Append(1, 8)]),
        txn(6, 7, &[Append(2, 3), List(1, vec![])]),
        txn(8, 9, &[Append(2, 4)]),
    ];
    txns[2].fate = Fate::Unknown;
    txns[3].fate = Fate::Aborted;
    assert_eq!(
        edn::write(&history(&txns)),
        "\
{:type :invoke, :f :txn, :process 0, :time 0, :value [[:append 1 1] [:r 2 nil]]}
{:type :invoke, :f :txn, :process 1, :time 2000000, :value [[:r 1 nil] [:append 1 8]]}
{:type :ok, :f :txn, :process 1, :time 4000000, :value [[:r 1 [1 7]] [:append 1 8]]}
{:type :ok, :f :txn, :process 0, :time 5000000, :value [[:append 1 1] [:r 2 []]]}
{:type :invoke, :f :txn, :process 0, :time 6000000, :value [[:append 2 3] [:r 1 nil]]}
{:type :invoke, :f :txn, :process 1, :time 8000000, :value [[:append 2 4]]}
{:type :info, :f :txn, :process 0, :time 8000000, :value [[:append 2 3] [:r 1 nil]]}
{:type :fail, :f :txn, :process 1, :time 8000000, :value [[:append 2 4]]}
"
    );
}

#[test]
fn what_is_written_is_read_again_and_judged_alike() {
    for (seed, style) in (0..600).zip([Style::Lists, Style::Updates].into_iter().cycle()) {
        let mut txns = draw(&mut Rng::new(seed), style, 10);
        for txn in &mut txns {
            txn.is_past = false;
            // What the reads of an unknown one were is lost.
            if txn.fate != Fate::Committed {
                txn.ops.retain(|op| matches!(op, Append(..)));
                txn.fate = Fate::Unknown;
            }
        }
        let before = history(&txns);
        let text = edn::write(&before);
        let after = edn::read(&text).unwrap();
        assert_eq!(edn::write(&after), text, "seed {seed}");
        let kind = |verdict: &Verdict| (verdict.is_ok(), verdict.violation().is_some());
        let (before, after) = (check(&before), check(&after));
        assert_eq!(kind(&before), kind(&after), "seed {seed}:\n{text}");
    }
}

/// What failed is not there; what was lost may be.
#[test]
fn failed_and_unknown_are_apart() {
    let text = |end: &str| {
        format!(
            "{{:type :invoke, :process 0, :value [[:append 1 1]]}}\n\
             {{:type :{end}, :process 0, :value [[:append 1 1]]}}\n\
             {{:type :invoke, :process 1, :value [[:r 1 nil]]}}\n\
             {{:type :ok, :process 1, :value [[:r 1 [1]]]}}\n"
        )
    };
    let verdict = |end: &str| check(&edn::read(&text(end)).unwrap());
    assert!(verdict("info").is_ok() && verdict("ok").is_ok());
    let found = verdict("fail").violation().map(|found| found.anomaly);
    assert_eq!(found, Some(Anomaly::AbortedRead));
}

#[test]
fn strings_and_keywords_are_atoms_too() {
    let line = r#"{:type :invoke, :f :txn, :process 0, :time 1, :value [[:append :x "a \"b\" \\ c"]]}
{:type :ok, :f :txn, :process 0, :time 2, :value [[:append :x "a \"b\" \\ c"]]}
"#;
    assert_eq!(edn::write(&edn::read(line).unwrap()), line);
}

#[test]
fn what_is_no_history_is_refused_with_its_line() {
    let refused = |text: &str, line: usize, what: &str| {
        let error = edn::read(text).unwrap_err();
        assert_eq!((error.line, error.what), (line, what), "{text}");
    };
    let invoke = "{:type :invoke :process 0 :value [[:append 1 1]]}\n";
    refused("nonsense", 1, "an event is a map with a :type");
    refused("{:type :invoke", 1, "the text ends within a form");
    refused("{:type}", 1, "a map has a key without a value");
    refused("\n]", 2, "a bracket closes that was not opened");
    refused(&"[".repeat(99), 1, "nested too deeply");
    refused("\"open", 1, "a string does not end");
    refused(
        &invoke.replace("invoke", "ok"),
        1,
        "the process has invoked nothing",
    );
    refused(
        &invoke.repeat(2),
        2,
        "the process has not completed what it invoked before",
    );
    refused(
        &invoke.replace(":append", ":cas"),
        1,
        "an operation is [:append k v], [:w k v] or [:r k v]",
    );
    refused(
        &invoke.replace("1]]", "1] [:w 1 1]]"),
        1,
        "a history is of lists or of registers, not of both",
    );
    refused(
        "{:type :invoke :process 0 :time 5 :value []}\n{:type :ok :process 0 :time 4 :value []}",
        2,
        "the :time goes back",
    );
}
