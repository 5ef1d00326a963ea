//! Names: transactions, shards, reigns, holds; and when something is handled.

use std::cmp::{Ordering, Reverse};

use synod_replica::embed::Instant;
use synod_truetime::{Floor, Interval, Timestamp};

use crate::shard::State;

/// A transaction, or rather one attempt to run one. It is decided once, by the shard that it names.
///
/// The order is that of age: the smaller, older one wounds the greater, younger one (wound-wait, section 4.2.1). Of two
/// attempts of one transaction the later counts as the older, so that it need not wait for what is left of the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TxnId {
    /// `latest` where the first attempt began. A retry keeps it, so that it grows old and wins at last.
    /// Nothing that is kept or forgotten may rest on it.
    pub age: Timestamp,
    /// `latest` where this attempt began. Outcomes of what began long ago are forgotten.
    pub begin: Timestamp,
    /// The node that runs it for its client.
    pub node: u64,
    /// That node's counter; never used twice.
    pub number: u64,
    /// The shard whose log decides. It is part of the name, so that nobody who tries again through another node
    /// can have it decided elsewhere too.
    pub coordinator: ShardId,
}

impl TxnId {
    /// The first attempt, that of nobody's retry.
    #[must_use]
    pub fn first(begin: Timestamp, node: u64, number: u64, coordinator: ShardId) -> Self {
        Self {
            age: begin,
            begin,
            node,
            number,
            coordinator,
        }
    }

    /// The next attempt, which keeps the age of the first; `number` must be greater than all before.
    #[must_use]
    pub fn again(self, begin: Timestamp, number: u64, coordinator: ShardId) -> Self {
        Self {
            begin,
            number,
            coordinator,
            ..self
        }
    }

    fn key(&self) -> (Timestamp, u64, Reverse<u64>, Timestamp, ShardId) {
        let number = Reverse(self.number);
        (self.age, self.node, number, self.begin, self.coordinator)
    }
}

impl Ord for TxnId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for TxnId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A range of keys with a group of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u32);

/// The leaders of a shard, counted by the shard's own machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reign(pub u64);

/// Under which a transaction has its locks at one shard: another one in each reign, and each time that it comes anew.
///
/// A transaction may be wounded, not hear of it, and read on: what it read first is then no longer locked, and only
/// the number shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    /// Whose leader granted the locks.
    pub reign: Reign,
    /// Of the transaction's arrival there.
    pub number: u64,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Decision {
    /// All that it wrote has this timestamp, on every shard.
    Committed(Timestamp),
    /// It did not happen and never will.
    Aborted,
}

/// When something is handled, and beside which state.
///
/// The clock is read **after** the input has come, or the start rule (section 4.1.2) does not hold; the reading
/// that is handed on is the one that the input's floor was checked with.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// The node's monotonic clock, for what takes too long.
    pub local: Instant,
    /// For timestamps.
    pub time: Interval,
    /// The greatest `earliest` that this node knows of; it rides on commands.
    pub floor: Floor,
    /// The shard's machine on this node, which has applied at least what the leader was told of.
    pub state: &'a State,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_is_kept_and_a_later_attempt_need_not_wait_for_an_earlier() {
        let at = Timestamp::from_nanos;
        let first = TxnId::first(at(10), 1, 1, ShardId(1));
        let younger = TxnId::first(at(20), 2, 1, ShardId(1));
        let again = first.again(at(30), 2, ShardId(2));
        assert!(again < first && first < younger && again < younger);
        assert_eq!((again.age, again.begin), (at(10), at(30)));
    }
}
