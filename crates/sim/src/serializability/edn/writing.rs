//! From a history to a text.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::history::Moment;
use crate::serializability::edn::form::Atom;
use crate::serializability::history::{Operation, Outcome, Txn, TxnHistory};

/// Writes a history, one event a line.
///
/// Processes are numbered anew, so that each has one transaction open. Positions, names and reads in
/// the past have no place in the format and are left out; a commit that was never answered is
/// written as of unknown outcome. Failures and unknown outcomes have no time of their own and stand
/// at the end.
#[must_use]
pub fn write<K, V>(history: &TxnHistory<K, V>) -> String
where
    K: Clone + Into<Atom>,
    V: Clone + Into<Atom>,
{
    let mut events: Vec<(Moment, bool, usize)> = Vec::new();
    let mut unfinished = Vec::new();
    for (number, txn) in history.txns.iter().enumerate() {
        events.push((txn.began, false, number));
        if let Outcome::Committed(at) = txn.outcome {
            events.push((at, true, number));
        }
    }
    events.sort_unstable();
    let mut text = String::new();
    let mut idle = BTreeSet::new();
    let mut processes = vec![0; history.txns.len()];
    let mut used = 0;
    let mut last = 0;
    for (moment, ends, number) in events {
        let txn = &history.txns[number];
        last = moment.at.as_nanos();
        if ends {
            idle.insert(processes[number]);
        } else {
            if !matches!(txn.outcome, Outcome::Committed(_)) {
                unfinished.push(number);
            }
            processes[number] = idle.pop_first().unwrap_or_else(|| {
                used += 1;
                used - 1
            });
        }
        let kind = if ends { "ok" } else { "invoke" };
        line(&mut text, history, txn, (kind, processes[number], last));
    }
    for number in unfinished {
        let txn = &history.txns[number];
        let is_aborted = txn.outcome == Outcome::Aborted;
        let kind = if is_aborted { "fail" } else { "info" };
        line(&mut text, history, txn, (kind, processes[number], last));
    }
    text
}

fn line<K, V>(
    text: &mut String,
    history: &TxnHistory<K, V>,
    txn: &Txn<V>,
    (kind, process, time): (&str, u64, u128),
) where
    K: Clone + Into<Atom>,
    V: Clone + Into<Atom>,
{
    let atom = |value: &V| value.clone().into().to_string();
    let operations: Vec<String> = txn
        .operations
        .iter()
        .map(|operation| {
            let (name, key, value) = match operation {
                Operation::Append(key, value) => ("append", key, atom(value)),
                Operation::Write(key, value) => ("w", key, atom(value)),
                Operation::Read(key, Some(value)) if kind == "ok" => ("r", key, atom(value)),
                Operation::List(key, list) if kind == "ok" => {
                    let list: Vec<String> = list.iter().map(atom).collect();
                    ("r", key, format!("[{}]", list.join(" ")))
                }
                Operation::Read(key, _) | Operation::List(key, _) => ("r", key, "nil".into()),
            };
            let key: Atom = history.keys[*key as usize].0.clone().into();
            format!("[:{name} {key} {value}]")
        })
        .collect();
    let value = operations.join(" ");
    // Into a string: it does not fail.
    let _ = writeln!(
        text,
        "{{:type :{kind}, :f :txn, :process {process}, :time {time}, :value [{value}]}}"
    );
}
