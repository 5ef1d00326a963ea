//! What each read shows: whose write it was, and what no order could explain.

use crate::serializability::compiled::{Compiled, Fate, NONE, Op};
use crate::serializability::report::Reporter;
use crate::serializability::violation::{Anomaly, Violation};

/// Which transactions count, and what they read of each other.
#[derive(Debug)]
pub(super) struct Reads {
    /// Those that committed, and those of unknown outcome that were read.
    pub(super) counts: Vec<bool>,
    /// In the order of transactions, and each one's in its order.
    pub(super) external: Vec<External>,
    /// For each key the longest list that was read.
    pub(super) orders: Vec<Vec<u32>>,
    /// By value: its place in the order of its list, if it was read.
    pub(super) places: Vec<u32>,
    /// By key: some element is not unique, so that the order of values is not one of transactions.
    pub(super) repeats: Vec<bool>,
    /// A key and a value that was read and is not unique.
    pub(super) unclear: Option<(u32, u32)>,
}

/// A read that does not follow from what the transaction itself did before.
#[derive(Clone, Copy, Debug)]
pub(super) struct External {
    pub(super) txn: u32,
    pub(super) key: u32,
    pub(super) seen: Seen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing was there.
    Absent,
    Value(u32),
    /// So many elements.
    Prefix(u32),
}

impl Reads {
    pub(super) fn new(reporter: &Reporter<'_>) -> Result<Self, Box<Violation>> {
        let mut reader = Reader::new(reporter);
        for key in 0..reader.reads.orders.len() as u32 {
            reader.extend(key, 0)?;
        }
        while let Some(txn) = reader.queue.pop() {
            reader.txn(txn)?;
        }
        let mut reads = reader.reads;
        // Within a transaction the order is kept: the sort is stable.
        reads.external.sort_by_key(|external| external.txn);
        Lists {
            reads: &reads,
            reporter,
        }
        .check()?;
        Ok(reads)
    }

    pub(super) fn is_list(&self, key: u32) -> bool {
        !self.orders[key as usize].is_empty() || self.external_lists(key)
    }

    /// Whether somebody read the key as a list, although all found it empty.
    fn external_lists(&self, key: u32) -> bool {
        self.external
            .iter()
            .any(|read| read.key == key && matches!(read.seen, Seen::Prefix(_)))
    }

    /// What the transaction first read of the key: a value, or the last element of a list.
    pub(super) fn first_seen(&self, txn: u32, key: u32) -> Option<u32> {
        let of = self.of(txn).iter().find(|read| read.key == key)?;
        match of.seen {
            Seen::Absent | Seen::Prefix(0) => None,
            Seen::Value(value) => Some(value),
            Seen::Prefix(length) => Some(self.orders[key as usize][length as usize - 1]),
        }
    }

    pub(super) fn of(&self, txn: u32) -> &[External] {
        let from = self.external.partition_point(|read| read.txn < txn);
        let to = self.external.partition_point(|read| read.txn <= txn);
        &self.external[from..to]
    }
}

struct Reader<'a> {
    reporter: &'a Reporter<'a>,
    compiled: &'a Compiled,
    reads: Reads,
    /// Who read each key's longest list.
    readers: Vec<u32>,
    queue: Vec<u32>,
    /// By key: who wrote there last, and what (or how often, of a list).
    own: Vec<(u32, u32)>,
}

impl<'a> Reader<'a> {
    fn new(reporter: &'a Reporter<'a>) -> Self {
        let compiled = reporter.compiled;
        let committed = |txn: &u32| compiled.txn(*txn).fate == Fate::Committed;
        let keys = compiled.lists.len();
        Self {
            reporter,
            compiled,
            reads: Reads {
                counts: (0..compiled.len()).map(|txn| committed(&txn)).collect(),
                external: Vec::new(),
                orders: compiled
                    .lists
                    .iter()
                    .map(|(list, _)| list.clone())
                    .collect(),
                places: vec![NONE; compiled.values.len()],
                repeats: vec![false; keys],
                unclear: None,
            },
            readers: compiled.lists.iter().map(|(_, reader)| *reader).collect(),
            // From the back, so that the first transaction has the first turn.
            queue: (0..compiled.len()).rev().filter(committed).collect(),
            own: vec![(NONE, 0); keys],
        }
    }

    /// The list of `key` is known from `from` on.
    fn extend(&mut self, key: u32, from: usize) -> Result<(), Box<Violation>> {
        let reader = self.readers[key as usize];
        for place in from..self.reads.orders[key as usize].len() {
            let value = self.reads.orders[key as usize][place];
            let writer = self.writer(reader, key, value)?;
            let known = &mut self.reads.places[value as usize];
            if *known != NONE && !self.compiled.value(value).is_repeated {
                let why = format!(
                    "{} read {} twice in {}, where {} appended it once",
                    self.reporter.txn(reader),
                    self.reporter.value(value),
                    self.reporter.key(key),
                    self.reporter.txn(writer)
                );
                let anomaly = Anomaly::DuplicateAppend;
                return Err(Box::new(self.reporter.fault(
                    anomaly,
                    [reader, writer],
                    why,
                )));
            }
            *known = place as u32;
        }
        Ok(())
    }

    /// Whose value it is, which then counts.
    fn writer(&mut self, reader: u32, key: u32, value: u32) -> Result<u32, Box<Violation>> {
        let view = *self.compiled.value(value);
        if view.is_repeated {
            self.reads.unclear.get_or_insert((key, value));
            self.reads.repeats[key as usize] = true;
        }
        if view.writer != NONE {
            // Of several of unknown outcome none need be the one.
            let counts = &mut self.reads.counts[view.writer as usize];
            if !*counts && !view.is_repeated {
                *counts = true;
                self.queue.push(view.writer);
            }
            return Ok(view.writer);
        }
        let (name, key) = (self.reporter.txn(reader), self.reporter.key(key));
        let value = self.reporter.value(value);
        let fault = if view.aborted == NONE {
            let why = format!("{name} read {value} at {key}, which nobody wrote");
            self.reporter
                .fault(Anomaly::GarbageRead, [reader, reader], why)
        } else {
            let aborted = self.reporter.txn(view.aborted);
            let why = format!("{name} read {value} at {key}, which {aborted} wrote and aborted");
            self.reporter
                .fault(Anomaly::AbortedRead, [reader, view.aborted], why)
        };
        Err(Box::new(fault))
    }

    fn txn(&mut self, txn: u32) -> Result<(), Box<Violation>> {
        let compiled = self.compiled;
        for op in compiled.ops(txn) {
            match *op {
                Op::Write { key, value } => self.own[key as usize] = (txn, value),
                Op::Append { key, .. } => {
                    let own = &mut self.own[key as usize];
                    *own = (txn, if own.0 == txn { own.1 + 1 } else { 1 });
                }
                Op::Read { key, value } => self.register(txn, key, value)?,
                Op::Prefix { key, length } => self.list(txn, key, length)?,
                Op::Other { key, from, length } => {
                    let list = &compiled.others[from..from + length as usize];
                    self.take(txn, key, list)?;
                    self.list(txn, key, length)?;
                }
            }
        }
        Ok(())
    }

    fn register(&mut self, txn: u32, key: u32, value: u32) -> Result<(), Box<Violation>> {
        let (by, own) = self.own[key as usize];
        if by == txn && own == value {
            return Ok(());
        }
        if by == txn {
            let read = self.reporter.value(value);
            let why = format!(
                "{} wrote {} to {} and then read {read}",
                self.reporter.txn(txn),
                self.reporter.value(own),
                self.reporter.key(key)
            );
            return Err(self.internal(txn, why));
        }
        let mut seen = Seen::Absent;
        if value != NONE {
            let writer = self.writer(txn, key, value)?;
            if !self.compiled.value(value).is_repeated {
                self.is_final(txn, key, value, writer)?;
            }
            seen = Seen::Value(value);
        }
        self.reads.external.push(External { txn, key, seen });
        Ok(())
    }

    /// What is read is not the reader's own, and is the last that its writer left behind.
    fn is_final(&self, txn: u32, key: u32, value: u32, by: u32) -> Result<(), Box<Violation>> {
        let (reader, writer) = (self.reporter.txn(txn), self.reporter.txn(by));
        let (at, read) = (self.reporter.key(key), self.reporter.value(value));
        if by == txn {
            let why = format!("{reader} read {read} at {at} before it wrote that itself");
            return Err(self.internal(txn, why));
        }
        match self.compiled.last_write(by, key) {
            Some(last) if last != value => {
                let last = self.reporter.value(last);
                let why = format!(
                    "{reader} read {read} at {at}, which {writer} itself replaced by {last}"
                );
                let anomaly = Anomaly::IntermediateRead;
                Err(Box::new(self.reporter.fault(anomaly, [txn, by], why)))
            }
            _ => Ok(()),
        }
    }

    /// A list that is no beginning of the longest that committed transactions read: of two that
    /// disagree, or read by one of unknown outcome.
    fn take(&mut self, txn: u32, key: u32, list: &[u32]) -> Result<(), Box<Violation>> {
        let order = &self.reads.orders[key as usize];
        if order.starts_with(list) {
            return Ok(());
        }
        if list.starts_with(order) {
            let from = order.len();
            self.reads.orders[key as usize] = list.to_vec();
            self.readers[key as usize] = txn;
            return self.extend(key, from);
        }
        let reader = self.readers[key as usize];
        let same = order.iter().zip(list).take_while(|(a, b)| a == b).count();
        let why = format!(
            "{} read {} in {}, and {} read {}: they part behind {same} elements",
            self.reporter.txn(txn),
            self.reporter.list(&list[..(same + 1).min(list.len())]),
            self.reporter.key(key),
            self.reporter.txn(reader),
            self.reporter.list(&order[..(same + 1).min(order.len())])
        );
        let elements = list[same..].iter();
        for value in elements {
            // What aborted, or was never written, is the better explanation.
            self.writer(txn, key, *value)?;
        }
        let anomaly = Anomaly::IncompatibleOrder;
        Err(Box::new(self.reporter.fault(anomaly, [txn, reader], why)))
    }

    fn list(&mut self, txn: u32, key: u32, length: u32) -> Result<(), Box<Violation>> {
        let (by, count) = self.own[key as usize];
        let own = if by == txn { count } else { 0 };
        let read = &self.reads.orders[key as usize][..length as usize];
        let base = length.checked_sub(own);
        let fits = base.is_some_and(|base| {
            let mine = self.compiled.appends(txn, key).take(own as usize);
            mine.eq(read[base as usize..].iter().copied())
        });
        let Some(base) = base.filter(|_| fits) else {
            let why = format!(
                "{} appended to {} and then read {}, without its own at the end",
                self.reporter.txn(txn),
                self.reporter.key(key),
                self.reporter.list(read)
            );
            return Err(self.internal(txn, why));
        };
        let seen = Seen::Prefix(base);
        self.reads.external.push(External { txn, key, seen });
        Ok(())
    }

    fn internal(&self, txn: u32, why: String) -> Box<Violation> {
        Box::new(self.reporter.fault(Anomaly::Internal, [txn, txn], why))
    }
}

/// What only shows once the whole order of each list is known.
struct Lists<'a> {
    reads: &'a Reads,
    reporter: &'a Reporter<'a>,
}

impl Lists<'_> {
    fn check(&self) -> Result<(), Box<Violation>> {
        let mut before = vec![(NONE, NONE); self.reads.orders.len()];
        for txn in 0..self.reporter.compiled.len() {
            if self.reads.counts[txn as usize] {
                self.is_in_order(txn, &mut before)?;
            }
        }
        for external in &self.reads.external {
            if let Seen::Prefix(length) = external.seen
                && !self.reads.repeats[external.key as usize]
            {
                self.is_whole(external, length)?;
            }
        }
        Ok(())
    }

    /// Nothing of the reader's own is in what it read before, and what is last there is the last of
    /// its writer.
    fn is_whole(&self, read: &External, length: u32) -> Result<(), Box<Violation>> {
        let (reporter, compiled) = (self.reporter, self.reporter.compiled);
        let key = reporter.key(read.key);
        let reader = reporter.txn(read.txn);
        for value in compiled.appends(read.txn, read.key) {
            if self.reads.places[value as usize] < length {
                let value = reporter.value(value);
                let why = format!("{reader} read {value} in {key} before it appended that itself");
                let txns = [read.txn, read.txn];
                return Err(Box::new(reporter.fault(Anomaly::Internal, txns, why)));
            }
        }
        let Some(place) = length.checked_sub(1) else {
            return Ok(());
        };
        let last = self.reads.orders[read.key as usize][place as usize];
        let writer = compiled.value(last).writer;
        match compiled.appends(writer, read.key).next_back() {
            Some(end) if end != last => {
                let (last, end) = (reporter.value(last), reporter.value(end));
                let name = reporter.txn(writer);
                let why = format!("{reader} read {key} up to {last}, before {name} appended {end}");
                let txns = [read.txn, writer];
                Err(Box::new(reporter.fault(
                    Anomaly::IntermediateRead,
                    txns,
                    why,
                )))
            }
            _ => Ok(()),
        }
    }

    /// A list has one transaction's appends in that one's order, and all but the latest.
    fn is_in_order(&self, txn: u32, before: &mut [(u32, u32)]) -> Result<(), Box<Violation>> {
        let reporter = self.reporter;
        for op in reporter.compiled.ops(txn) {
            let Op::Append { key, value } = *op else {
                continue;
            };
            if self.reads.repeats[key as usize] {
                continue;
            }
            let place = self.reads.places[value as usize];
            let (by, last) = before[key as usize];
            if by == txn && place != NONE && (last == NONE || place < last) {
                let order = &self.reads.orders[key as usize][..=place as usize];
                let why = format!(
                    "{} appended {} to {} after others, which are not before it in {}",
                    reporter.txn(txn),
                    reporter.value(value),
                    reporter.key(key),
                    reporter.list(order)
                );
                let anomaly = Anomaly::IncompatibleOrder;
                return Err(Box::new(reporter.fault(anomaly, [txn, txn], why)));
            }
            before[key as usize] = (txn, place);
        }
        Ok(())
    }
}
