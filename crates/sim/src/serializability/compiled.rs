//! A history as numbers: what the checks work on, whatever keys and values are.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;

use crate::history::Moment;
use crate::serializability::history::{Operation, Outcome, Position, TxnHistory};

/// Stands for no transaction, value, place or node.
pub(super) const NONE: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) txns: Vec<TxnView>,
    pub(super) ops: Vec<Op>,
    pub(super) values: Vec<ValueView>,
    /// For each key the longest list that a committed transaction read, and who read it.
    pub(super) lists: Vec<(Vec<u32>, u32)>,
    /// The elements of [`Op::Other`].
    pub(super) others: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct TxnView {
    pub(super) began: Moment,
    /// When its commit was acknowledged.
    pub(super) ended: Option<Moment>,
    pub(super) fate: Fate,
    pub(super) is_past: bool,
    pub(super) writes: bool,
    pub(super) position: Option<Position>,
    ops: (usize, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Committed,
    Unknown,
    Aborted,
}

/// A value of one key, which has a number of its own, and who wrote it there.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValueView {
    /// Who did not abort; one that committed, if there is one.
    pub(super) writer: u32,
    /// There are several, so that a read does not tell whose it was.
    pub(super) is_repeated: bool,
    pub(super) aborted: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    /// `NONE`: absent.
    Read {
        key: u32,
        value: u32,
    },
    Write {
        key: u32,
        value: u32,
    },
    Append {
        key: u32,
        value: u32,
    },
    /// So many elements of the longest list.
    Prefix {
        key: u32,
        length: u32,
    },
    /// A list that is no beginning of the longest.
    Other {
        key: u32,
        from: usize,
        length: u32,
    },
}

/// What keys, values and transactions are called.
pub(super) trait Names {
    fn key(&self, key: u32) -> String;
    fn value(&self, value: u32) -> String;
    fn txn(&self, txn: u32) -> Option<&str>;
}

pub(super) struct Named<'a, K, V> {
    history: &'a TxnHistory<K, V>,
    values: Vec<&'a V>,
}

impl Compiled {
    pub(super) fn new<K: Clone + Eq + Hash, V: Eq + Hash>(
        history: &TxnHistory<K, V>,
    ) -> (Self, Named<'_, K, V>) {
        let longest = longest(history);
        let mut interner = Interner::default();
        let lists = (0..).zip(&longest).map(|(key, (list, reader))| {
            let list = list.iter().map(|value| interner.number(key, value));
            (list.collect(), *reader)
        });
        let lists = lists.collect();
        let mut compiled = Self {
            txns: Vec::with_capacity(history.txns.len()),
            ops: Vec::new(),
            values: Vec::new(),
            lists,
            others: Vec::new(),
        };
        for (number, txn) in (0..).zip(&history.txns) {
            let (fate, ended) = match txn.outcome {
                Outcome::Committed(at) => (Fate::Committed, Some(at)),
                Outcome::Unanswered => (Fate::Committed, None),
                Outcome::Unknown | Outcome::Open => (Fate::Unknown, None),
                Outcome::Aborted => (Fate::Aborted, None),
            };
            let from = compiled.ops.len();
            for operation in &txn.operations {
                let op = compiled.op(operation, &longest, &mut interner);
                if let Op::Write { value, .. } | Op::Append { value, .. } = op {
                    let appends = matches!(op, Op::Append { .. });
                    interner.views[value as usize].written(number, fate, appends);
                }
                compiled.ops.push(op);
            }
            compiled.txns.push(TxnView {
                began: txn.began,
                ended,
                fate,
                is_past: txn.is_past,
                writes: txn.operations.iter().any(Operation::writes),
                position: txn.position,
                ops: (from, compiled.ops.len()),
            });
        }
        compiled.values = interner.views;
        compiled.settle();
        let values = interner.values;
        (compiled, Named { history, values })
    }

    fn op<'a, V: Eq + Hash>(
        &mut self,
        operation: &'a Operation<V>,
        longest: &[(&[V], u32)],
        interner: &mut Interner<'a, V>,
    ) -> Op {
        match operation {
            Operation::Read(key, value) => Op::Read {
                key: *key,
                value: value.as_ref().map_or(NONE, |v| interner.number(*key, v)),
            },
            Operation::Write(key, value) => Op::Write {
                key: *key,
                value: interner.number(*key, value),
            },
            Operation::Append(key, value) => Op::Append {
                key: *key,
                value: interner.number(*key, value),
            },
            Operation::List(key, list) => {
                let (key, length) = (*key, list.len() as u32);
                if longest[key as usize].0.starts_with(list) {
                    return Op::Prefix { key, length };
                }
                let from = self.others.len();
                let list = list.iter().map(|value| interner.number(key, value));
                self.others.extend(list);
                Op::Other { key, from, length }
            }
        }
    }

    /// A value that one transaction committed is that one's, whoever else may have written it.
    fn settle(&mut self) {
        for number in 0..self.txns.len() as u32 {
            if self.txns[number as usize].fate != Fate::Committed {
                continue;
            }
            let (from, to) = self.txns[number as usize].ops;
            for op in &self.ops[from..to] {
                if let Op::Write { value, .. } | Op::Append { value, .. } = *op {
                    let view = &mut self.values[value as usize];
                    if self.txns[view.writer as usize].fate != Fate::Committed {
                        view.writer = number;
                    }
                }
            }
        }
    }

    pub(super) fn len(&self) -> u32 {
        self.txns.len() as u32
    }

    pub(super) fn txn(&self, txn: u32) -> &TxnView {
        &self.txns[txn as usize]
    }

    pub(super) fn ops(&self, txn: u32) -> &[Op] {
        let (from, to) = self.txn(txn).ops;
        &self.ops[from..to]
    }

    pub(super) fn has_unknown(&self) -> bool {
        self.txns.iter().any(|txn| txn.fate == Fate::Unknown)
    }

    pub(super) fn value(&self, value: u32) -> &ValueView {
        &self.values[value as usize]
    }

    /// What the transaction appends to `key`, in its order.
    pub(super) fn appends(&self, txn: u32, key: u32) -> impl DoubleEndedIterator<Item = u32> {
        self.ops(txn).iter().filter_map(move |op| match *op {
            Op::Append { key: of, value } if of == key => Some(value),
            _ => None,
        })
    }

    /// The last value that the transaction writes to the register `key`.
    pub(super) fn last_write(&self, txn: u32, key: u32) -> Option<u32> {
        let mut ops = self.ops(txn).iter().rev();
        ops.find_map(|op| match *op {
            Op::Write { key: of, value } if of == key => Some(value),
            _ => None,
        })
    }

    /// Whether the first was acknowledged before the second began, as far as that counts.
    pub(super) fn precedes(&self, first: u32, second: u32) -> bool {
        let (first, second) = (self.txn(first), self.txn(second));
        !first.is_past && !second.is_past && first.ended.is_some_and(|ended| ended < second.began)
    }
}

impl ValueView {
    fn written(&mut self, by: u32, fate: Fate, appends: bool) {
        if fate == Fate::Aborted {
            self.aborted = by;
        } else if self.writer == NONE {
            self.writer = by;
        } else if self.writer != by || appends {
            self.is_repeated = true;
        }
    }
}

impl Op {
    pub(super) fn key(&self) -> u32 {
        match *self {
            Self::Read { key, .. }
            | Self::Write { key, .. }
            | Self::Append { key, .. }
            | Self::Prefix { key, .. }
            | Self::Other { key, .. } => key,
        }
    }
}

impl<K: Debug, V: Debug> Names for Named<'_, K, V> {
    fn key(&self, key: u32) -> String {
        format!("{:?}", self.history.keys[key as usize].0)
    }

    fn value(&self, value: u32) -> String {
        match self.values.get(value as usize) {
            Some(value) => format!("{value:?}"),
            None => "nothing".into(),
        }
    }

    fn txn(&self, txn: u32) -> Option<&str> {
        self.history.txns[txn as usize].name.as_deref()
    }
}

/// The longest list of each key that a committed transaction read.
fn longest<K, V>(history: &TxnHistory<K, V>) -> Vec<(&[V], u32)> {
    let mut longest: Vec<(&[V], u32)> = vec![(&[], NONE); history.keys.len()];
    for (number, txn) in (0..).zip(&history.txns) {
        if !matches!(txn.outcome, Outcome::Committed(_) | Outcome::Unanswered) {
            continue;
        }
        for operation in &txn.operations {
            if let Operation::List(key, list) = operation {
                let longest = &mut longest[*key as usize];
                if longest.0.len() < list.len() {
                    *longest = (list, number);
                }
            }
        }
    }
    longest
}

struct Interner<'a, V> {
    numbers: HashMap<(u32, &'a V), u32>,
    values: Vec<&'a V>,
    views: Vec<ValueView>,
}

impl<'a, V: Eq + Hash> Interner<'a, V> {
    fn number(&mut self, key: u32, value: &'a V) -> u32 {
        *self.numbers.entry((key, value)).or_insert_with(|| {
            self.values.push(value);
            self.views.push(ValueView {
                writer: NONE,
                is_repeated: false,
                aborted: NONE,
            });
            self.values.len() as u32 - 1
        })
    }
}

impl<V> Default for Interner<'_, V> {
    fn default() -> Self {
        Self {
            numbers: HashMap::new(),
            values: Vec::new(),
            views: Vec::new(),
        }
    }
}
