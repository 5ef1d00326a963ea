//! From numbers back to keys and values: the sentences of a [`Violation`].

use crate::history::Moment;
use crate::serializability::compiled::{Compiled, Fate, NONE, Names, Op};
use crate::serializability::history::TxnId;
use crate::serializability::reads::Reads;
use crate::serializability::violation::{Anomaly, Dependency, Step, Violation};

pub(super) struct Reporter<'a> {
    pub(super) compiled: &'a Compiled,
    pub(super) names: &'a dyn Names,
}

/// An edge of a cycle, and the key that it is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) dependency: Dependency,
    pub(super) key: u32,
}

impl Reporter<'_> {
    /// A contradiction between a transaction and another one (or itself), in one sentence.
    pub(super) fn fault(&self, anomaly: Anomaly, txns: [u32; 2], why: String) -> Violation {
        let [from, to] = txns;
        self.violation(anomaly, vec![self.step(from, to, None, why)], &[])
    }

    /// `others` take part besides those of the steps.
    pub(super) fn violation(
        &self,
        anomaly: Anomaly,
        steps: Vec<Step>,
        others: &[u32],
    ) -> Violation {
        let mut numbers: Vec<u32> = steps
            .iter()
            .flat_map(|step| [step.from.0, step.to.0])
            .collect();
        numbers.extend(others);
        numbers.sort_unstable();
        numbers.dedup();
        let transactions = numbers
            .into_iter()
            .map(|txn| (TxnId(txn), self.transaction(txn)))
            .collect();
        Violation {
            anomaly,
            steps,
            transactions,
        }
    }

    pub(super) fn step(
        &self,
        from: u32,
        to: u32,
        dependency: Option<Dependency>,
        why: String,
    ) -> Step {
        Step {
            from: TxnId(from),
            to: TxnId(to),
            dependency,
            why,
        }
    }

    pub(super) fn link(&self, reads: &Reads, link: Link) -> Step {
        let why = match link.dependency {
            Dependency::RealTime => self.before(link.from, link.to),
            _ => self.on_key(reads, link),
        };
        self.step(link.from, link.to, Some(link.dependency), why)
    }

    /// That one was acknowledged before the other began.
    pub(super) fn before(&self, first: u32, second: u32) -> String {
        let ended = self.compiled.txn(first).ended;
        format!(
            "{} was acknowledged at {}, before {} began at {}",
            self.txn(first),
            ended.map_or_else(|| "?".into(), time),
            self.txn(second),
            time(self.compiled.txn(second).began)
        )
    }

    fn on_key(&self, reads: &Reads, link: Link) -> String {
        let (from, to) = (self.txn(link.from), self.txn(link.to));
        let key = self.names.key(link.key);
        let (compiled, lists) = (self.compiled, reads.is_list(link.key));
        let value = |value: Option<u32>| self.names.value(value.unwrap_or(NONE));
        let last = match lists {
            true => compiled.appends(link.from, link.key).next_back(),
            false => compiled.last_write(link.from, link.key),
        };
        let next = match lists {
            true => compiled.appends(link.to, link.key).next(),
            false => compiled.last_write(link.to, link.key),
        };
        let old = reads.first_seen(link.from, link.key);
        match (link.dependency, lists) {
            (Dependency::WriteRead, false) => {
                format!("{from} wrote {} to {key}, which {to} read", value(last))
            }
            (Dependency::WriteRead, true) => {
                let last = value(last);
                format!("{from} appended {last} to {key}, which is the last that {to} read there")
            }
            (Dependency::ReadWrite, false) => {
                let (old, next) = (value(old), value(next));
                format!("{from} read {old} at {key}, which {to} replaced by {next}")
            }
            (Dependency::ReadWrite, true) => {
                let next = value(next);
                match old {
                    None => format!("{from} read {key} empty, and {to} appended {next}"),
                    Some(_) => {
                        let old = value(old);
                        format!("{from} read {key} up to {old}, behind which {to} appended {next}")
                    }
                }
            }
            (_, false) => {
                let (last, next) = (value(last), value(next));
                format!("{from} wrote {last} to {key}, which {to} replaced by {next}")
            }
            (_, true) => {
                let (last, next) = (value(last), value(next));
                format!("{from} appended {last} to {key}, behind which {to} appended {next}")
            }
        }
    }

    /// Its number, its name and its position.
    pub(super) fn txn(&self, txn: u32) -> String {
        match self.names.txn(txn) {
            Some(name) => format!("{} ({name})", TxnId(txn)),
            None => TxnId(txn).to_string(),
        }
    }

    /// The same, with the position.
    pub(super) fn placed(&self, txn: u32) -> String {
        match self.compiled.txn(txn).position {
            Some(position) => format!("{} at position {position}", self.txn(txn)),
            None => self.txn(txn),
        }
    }

    pub(super) fn key(&self, key: u32) -> String {
        self.names.key(key)
    }

    pub(super) fn value(&self, value: u32) -> String {
        self.names.value(value)
    }

    fn transaction(&self, number: u32) -> String {
        let txn = self.compiled.txn(number);
        let end = match (txn.ended, txn.fate) {
            (Some(ended), _) => format!("to {}", time(ended)),
            (None, Fate::Committed) => "(committed, never answered)".into(),
            (None, Fate::Unknown) => "(outcome unknown)".into(),
            (None, Fate::Aborted) => "(aborted)".into(),
        };
        let past = if txn.is_past { ", in the past" } else { "" };
        let ops = self.compiled.ops(number);
        let mut shown: Vec<String> = ops
            .iter()
            .take(OPERATIONS_SHOWN_MAX)
            .map(|op| self.operation(op))
            .collect();
        if let Some(more @ 1..) = ops.len().checked_sub(OPERATIONS_SHOWN_MAX) {
            shown.push(format!("and {more} more"));
        }
        format!(
            "{} from {} {end}{past}: {}",
            self.placed(number),
            time(txn.began),
            shown.join(", ")
        )
    }

    fn operation(&self, op: &Op) -> String {
        let key = self.names.key(op.key());
        match *op {
            Op::Read { value, .. } => format!("read {key} {}", self.value(value)),
            Op::Write { value, .. } => format!("write {key} {}", self.value(value)),
            Op::Append { value, .. } => format!("append {key} {}", self.value(value)),
            Op::Prefix { length, key: of } => {
                let list = &self.compiled.lists[of as usize].0[..length as usize];
                format!("read {key} {}", self.list(list))
            }
            Op::Other { from, length, .. } => {
                let list = &self.compiled.others[from..from + length as usize];
                format!("read {key} {}", self.list(list))
            }
        }
    }

    /// Lists may be long; their ends tell them apart.
    pub(super) fn list(&self, list: &[u32]) -> String {
        let from = list.len().saturating_sub(ELEMENTS_SHOWN_MAX);
        let shown: Vec<String> = list[from..].iter().map(|v| self.value(*v)).collect();
        let dots = if from > 0 { ".. " } else { "" };
        format!("[{dots}{}]", shown.join(" "))
    }
}

fn time(moment: Moment) -> String {
    format!("{:.3} ms", moment.at.as_secs_f64() * 1e3)
}

const OPERATIONS_SHOWN_MAX: usize = 12;
const ELEMENTS_SHOWN_MAX: usize = 8;
