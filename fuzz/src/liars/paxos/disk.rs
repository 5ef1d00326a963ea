//! What a crash leaves of a node.

use std::collections::BTreeMap;

use synod_paxos::{Entries, Fetch, FetchError, Op, Position, Record, Slot, Snapshot, State, Vote};

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) state: Option<State>,
    pub(super) start: Position,
    pub(super) log: BTreeMap<u64, Vote>,
    pub(super) snapshot: Option<Snapshot>,
}

impl Disk {
    /// Stores that many changes of a record: a crash may cut it anywhere.
    pub(super) fn store(&mut self, record: &Record, changes_max: usize) {
        let (mut last, mut left) = (Slot(0), changes_max);
        for op in record.ops() {
            if left == 0 {
                return;
            }
            match op {
                Op::State(state) => self.state = Some(state),
                Op::Start(start) => {
                    let covered = self.snapshot.as_ref().map(|snapshot| snapshot.last.slot);
                    assert!(covered >= Some(start.slot), "cut without a snapshot");
                    self.log = self.log.split_off(&start.slot.0.saturating_add(1));
                    self.start = start;
                }
                // Each vote of a run is a change.
                Op::Votes(votes) => {
                    for vote in votes.iter().take(left) {
                        assert!(vote.slot > last, "a record's votes ascend");
                        last = vote.slot;
                        self.cast(vote.cloned());
                    }
                    left = left.max(votes.values.len()) - votes.values.len() + 1;
                }
            }
            left -= 1;
        }
    }

    fn cast(&mut self, vote: Vote) {
        let promised = self.state.unwrap_or_default().promised;
        assert!(vote.ballot <= promised, "a vote above the promise");
        if let Some(old) = self.log.get(&vote.slot.0) {
            assert!(old.ballot < vote.ballot, "a vote of an earlier ballot wins");
        }
        self.log.insert(vote.slot.0, vote);
    }

    pub(super) fn read(&self, fetch: &Fetch) -> Result<Entries, FetchError> {
        let start = self.start.slot;
        if fetch.from() <= start {
            return Err(FetchError::Cut { start });
        }
        let votes = self.log.range(fetch.from().0..=fetch.to().0);
        Ok(votes.map(|(_, vote)| vote.value.clone()).collect())
    }
}
