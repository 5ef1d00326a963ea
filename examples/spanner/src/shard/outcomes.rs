//! What was decided, for as long as somebody may ask.

use std::collections::BTreeMap;

use synod_truetime::Timestamp;

use crate::store::Blocks;
use crate::txn::{Decision, ShardId, TxnId};

/// Decisions by transaction, and who must still hear of a commit. A copy shares what is not written to afterwards.
///
/// # Invariants
/// - What is unsettled is decided, and stays known however old it is.
/// - Of other attempts that began before `from` nothing is told, whether it is swept out yet or not.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Outcomes {
    decided: Blocks<TxnId, Decision>,
    unsettled: BTreeMap<TxnId, Vec<ShardId>>,
    from: Timestamp,
    /// Where the sweep goes on; `None` if all that is forgotten is gone.
    sweeping: Option<TxnId>,
}

impl Outcomes {
    /// Nothing is decided, and whoever began before is forgotten.
    pub(super) fn known_from(from: Timestamp) -> Self {
        Self {
            from,
            ..Self::default()
        }
    }

    pub(super) fn from(&self) -> Timestamp {
        self.from
    }

    /// The decision, if it is known still.
    pub(super) fn get(&self, txn: TxnId) -> Option<Decision> {
        let decided = self.decided.get(&txn).copied();
        decided.filter(|_| txn.begin >= self.from || self.unsettled.contains_key(&txn))
    }

    /// Whether it began so long ago that, if nothing else is known of it, nothing is known of it.
    pub(super) fn is_old(&self, txn: TxnId) -> bool {
        txn.begin < self.from
    }

    pub(super) fn insert(&mut self, txn: TxnId, decision: Decision) {
        self.decided.insert(txn, decision);
    }

    /// These must have the outcome in their logs before it may be forgotten.
    pub(super) fn insert_unsettled(&mut self, txn: TxnId, participants: Vec<ShardId>) {
        self.unsettled.insert(txn, participants);
    }

    pub(super) fn settle(&mut self, txn: TxnId) {
        self.unsettled.remove(&txn);
    }

    pub(super) fn unsettled(&self) -> impl Iterator<Item = (&TxnId, &Vec<ShardId>)> {
        self.unsettled.iter()
    }

    /// Attempts that began before may be forgotten. A commit is kept until all participants have it: one that asks
    /// must not be told that it was aborted.
    pub(super) fn forget(&mut self, from: Timestamp) {
        if from > self.from {
            self.from = from;
            self.sweeping = self.decided.first();
        }
    }

    /// Sweeps one block, so that no command takes long. What of it is unsettled now goes with a later sweep.
    pub(super) fn sweep(&mut self) {
        let Some(place) = self.sweeping.take() else {
            return;
        };
        let (from, unsettled) = (self.from, &self.unsettled);
        let kept = |txn: &TxnId| txn.begin >= from || unsettled.contains_key(txn);
        self.sweeping = self.decided.retain_block(&place, |txn, _| kept(txn));
    }

    /// How many are kept.
    pub(super) fn len(&self) -> usize {
        self.decided.len()
    }

    /// What is known, in the order of age.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&TxnId, &Decision)> {
        let all = self.decided.iter().flatten();
        let known = all.filter(|(txn, _)| self.get(*txn).is_some());
        known.map(|(txn, decision)| (txn, decision))
    }
}
