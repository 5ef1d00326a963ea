//! The durable state of a node.

use std::cell::Cell;
use std::collections::BTreeMap;

use synod_paxos::{
    Ballot, Entries, Fetch, FetchError, Op, Position, Record, Slot, Snapshot, State, Value, Vote,
};
use synod_sim::{cluster, page};

use super::core::Cores;
use super::notation;

#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    pub(crate) state: Option<State>,
    pub(crate) start: Position,
    pub(crate) log: BTreeMap<u64, Vote>,
    /// The newest snapshot file, and the state machine in it.
    pub(crate) snapshot: Option<(Snapshot, Vec<Position>)>,
    /// How often its node was started.
    lives: Cell<u64>,
    /// How many votes replaced a vote for another value.
    pub(crate) replaced: u64,
}

impl Disk {
    pub(crate) fn next_life(&self) -> u64 {
        self.lives.set(self.lives.get() + 1);
        self.lives.get()
    }

    pub(crate) fn store(&mut self, record: &Record) {
        let mut last = Slot(0);
        for op in record.ops() {
            match op {
                Op::State(state) => self.state = Some(state),
                Op::Start(start) => self.begin_after(start),
                Op::Votes(votes) => {
                    for vote in votes.iter() {
                        assert!(vote.slot > last, "a record's votes ascend");
                        last = vote.slot;
                        self.cast(vote.cloned());
                    }
                }
            }
        }
    }

    fn cast(&mut self, vote: Vote) {
        let promised = self.state.unwrap_or_default().promised;
        assert!(
            vote.ballot <= promised,
            "a vote is stored before its promise"
        );
        assert!(vote.slot > self.start.slot, "a vote before the start");
        if let Some(old) = self.log.get(&vote.slot.0) {
            assert!(old.ballot < vote.ballot, "a vote of an earlier ballot wins");
            self.replaced += u64::from(old.value != vote.value);
        }
        self.log.insert(vote.slot.0, vote);
    }

    fn begin_after(&mut self, start: Position) {
        let (snapshot, _) = self
            .snapshot
            .as_ref()
            .expect("a log begins behind a snapshot");
        assert!(
            snapshot.last.slot >= start.slot,
            "the snapshot is durable before the log is cut"
        );
        self.log = self.log.split_off(&(start.slot.0 + 1));
        self.start = start;
    }

    pub(crate) fn promised(&self) -> Ballot {
        self.state.unwrap_or_default().promised
    }

    /// The value of the vote in a slot.
    pub(crate) fn value_at(&self, slot: Slot) -> Option<&Value> {
        self.log.get(&slot.0).map(|vote| &vote.value)
    }

    pub(crate) fn read(&self, fetch: &Fetch) -> Result<Entries, FetchError> {
        if fetch.from() <= self.start.slot {
            return Err(FetchError::Cut {
                start: self.start.slot,
            });
        }
        let mut bytes = 0;
        let range = self
            .log
            .range(fetch.from().0..=fetch.to().0)
            .map(|(_, vote)| vote.value.clone());
        let fits = |value: &Value| {
            let first = bytes == 0;
            bytes += value.size();
            first || bytes <= fetch.bytes_max()
        };
        Ok(range.take_while(fits).collect())
    }
}

impl cluster::Disk<Cores> for Disk {
    fn file(&mut self) -> &mut Option<(Snapshot, Vec<Position>)> {
        &mut self.snapshot
    }

    fn covered(&self) -> Position {
        self.snapshot
            .as_ref()
            .map_or(Position::ZERO, |(snapshot, _)| snapshot.last)
    }

    fn start(&self) -> u64 {
        self.start.slot.0
    }

    fn holds(&self, position: Position) -> bool {
        let origin = self.value_at(position.slot).map(|value| value.origin);
        position.slot <= self.covered().slot || origin == Some(position.origin)
    }

    fn entries(&self) -> Vec<(u64, page::Entry)> {
        let entry = |vote: &Vote| page::Entry {
            epoch: notation::ballot_text(vote.ballot),
            text: notation::value_text(&vote.value, vote.ballot),
        };
        let log = self.log.iter();
        log.map(|(slot, vote)| (*slot, entry(vote))).collect()
    }

    fn lose_tail(&mut self, last: u64) {
        self.log.split_off(&(last + 1));
        if let Some(state) = &mut self.state {
            state.chosen = state.chosen.min(Slot(last));
        }
    }
}
