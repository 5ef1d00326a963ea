//! The durable state of a node.

use std::collections::BTreeMap;

use synod_raft::{Entry, Fetch, FetchError, LogId, NodeId, Op, Record, Snapshot, Term};
use synod_sim::{cluster, page};

use super::core::Cores;
use super::notation;

#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) vote: Option<(Term, Option<NodeId>)>,
    pub(crate) start: LogId,
    pub(crate) log: BTreeMap<u64, Entry>,
    /// The newest snapshot file, and the state machine in it.
    pub(crate) snapshot: Option<(Snapshot, Vec<LogId>)>,
    pub(crate) truncations: u64,
}

impl Disk {
    pub(crate) fn store(&mut self, record: &Record) {
        for op in record.ops() {
            match op {
                Op::Vote(term, vote) => self.vote = Some((term, vote)),
                Op::Truncate(from) => {
                    self.truncations += 1;
                    self.log.split_off(&from.0);
                }
                Op::Start(start) => self.begin_after(start),
                Op::Append(entries) => entries.iter().for_each(|entry| {
                    let next = self.last().index.next();
                    assert_eq!(entry.id.index, next, "a stored log has no gap");
                    self.log.insert(entry.id.index.0, entry.clone());
                }),
            }
        }
    }

    fn begin_after(&mut self, start: LogId) {
        let (snapshot, _) = self
            .snapshot
            .as_ref()
            .expect("a log begins behind a snapshot");
        assert!(
            snapshot.last.index >= start.index,
            "the snapshot is durable before the log is cut"
        );
        self.log = self.log.split_off(&(start.index.0 + 1));
        self.start = start;
    }

    pub(crate) fn last(&self) -> LogId {
        self.log
            .values()
            .next_back()
            .map_or(self.start, |entry| entry.id)
    }

    pub(crate) fn id_at(&self, index: u64) -> Option<LogId> {
        if index == self.start.index.0 {
            return Some(self.start);
        }
        self.log.get(&index).map(|entry| entry.id)
    }

    pub(crate) fn read(&self, fetch: &Fetch) -> Result<Vec<Entry>, FetchError> {
        if fetch.from() <= self.start.index {
            return Err(FetchError::Cut {
                start: self.start.index,
            });
        }
        let mut bytes = 0;
        let range = self
            .log
            .range(fetch.from().0..=fetch.to().0)
            .map(|(_, entry)| entry.clone());
        let fits = |entry: &Entry| {
            let first = bytes == 0;
            bytes += entry.size();
            first || bytes <= fetch.bytes_max()
        };
        Ok(range.take_while(fits).collect())
    }
}

impl cluster::Disk<Cores> for Disk {
    fn file(&mut self) -> &mut Option<(Snapshot, Vec<LogId>)> {
        &mut self.snapshot
    }

    fn covered(&self) -> LogId {
        self.snapshot
            .as_ref()
            .map_or(LogId::ZERO, |(snapshot, _)| snapshot.last)
    }

    fn start(&self) -> u64 {
        self.start.index.0
    }

    fn holds(&self, id: LogId) -> bool {
        id.index <= self.covered().index || self.id_at(id.index.0) == Some(id)
    }

    fn entries(&self) -> Vec<(u64, page::Entry)> {
        let entry = |entry: &Entry| page::Entry {
            epoch: entry.id.term.0.to_string(),
            text: notation::body_text(entry),
        };
        let log = self.log.iter();
        log.map(|(index, stored)| (*index, entry(stored))).collect()
    }

    fn lose_tail(&mut self, last: u64) {
        self.log.split_off(&(last + 1));
    }
}
