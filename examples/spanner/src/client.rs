//! One attempt of a transaction at its client, sans-IO, and when to try again.
//!
//! "Writes that occur in a transaction are buffered at the client until commit" (section 4.2.1). Here its own reads
//! do see them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use crate::message::{Part, Refused, Request};
use crate::span::{Span, TooLarge, Writes};
use crate::store::{Scan, Version};
use crate::txn::{Hold, ShardId, TxnId};

/// How a transaction ended that did not commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The coordinator's logged word, or nobody was asked to commit.
    #[error("aborted: it did not happen and never will")]
    Aborted(#[source] Refused),
    /// The coordinator's shard decides it by [`Request::Ask`], for as long as outcomes are kept.
    #[error("it may have committed: ask for {0:?}")]
    Unknown(TxnId),
}

/// Buffers writes, and remembers under which hold it has its locks.
///
/// Invariant: all reads at one shard had one hold.
#[derive(Clone, Debug, Hash)]
pub struct Attempt {
    id: TxnId,
    locked: BTreeMap<ShardId, Hold>,
    writes: BTreeMap<ShardId, Writes>,
}

impl Attempt {
    /// Nothing is read or written yet.
    #[must_use]
    pub fn new(id: TxnId) -> Self {
        Self {
            id,
            locked: BTreeMap::new(),
            writes: BTreeMap::new(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> TxnId {
        self.id
    }

    /// Buffers a write, or a deletion with `None`.
    ///
    /// # Errors
    /// [`TooLarge`]; the transaction goes on without it.
    pub fn write(
        &mut self,
        shard: ShardId,
        key: Bytes,
        value: Option<Bytes>,
    ) -> Result<(), TooLarge> {
        self.writes.entry(shard).or_default().put(key, value)
    }

    /// A read was answered; what it shows with the transaction's own writes over it. A second hold at one shard says
    /// that the first one's locks are gone.
    ///
    /// # Errors
    /// [`Refused::LocksLost`]: roll back, and try again.
    pub fn read(
        &mut self,
        shard: ShardId,
        span: &Span,
        scan: &Scan,
        hold: Hold,
    ) -> Result<Vec<(Bytes, Bytes)>, Refused> {
        if *self.locked.entry(shard).or_insert(hold) != hold {
            return Err(Refused::LocksLost);
        }
        let shown = |version: &Version| Some((version.key.clone(), version.value.clone()?));
        let mut seen: BTreeMap<Bytes, Bytes> = scan.versions.iter().filter_map(shown).collect();
        let end = scan.rest.as_ref().map(|rest| &rest.from);
        for (key, value) in self.writes.get(&shard).into_iter().flatten() {
            // What lies in the rest comes with the rest.
            if !span.contains(key) || end.is_some_and(|end| key >= end) {
                continue;
            }
            match value {
                Some(value) => drop(seen.insert(key.clone(), value.clone())),
                None => drop(seen.remove(key)),
            }
        }
        Ok(seen.into_iter().collect())
    }

    /// To whom [`Request::KeepAlive`] goes until the end is known, and [`Request::Rollback`] if it gives up.
    pub fn holds_locks_at(&self) -> impl Iterator<Item = ShardId> {
        self.locked.keys().copied()
    }

    /// Asks to commit: the coordinator first, and each other shard that was read **or** written. All of it goes out
    /// at once, and may go out again. "The client chooses a coordinator group and sends a commit message to each
    /// participant's leader with the identity of the coordinator and any buffered writes" (section 4.2.1).
    #[must_use]
    pub fn commit(&self) -> Vec<(ShardId, Request)> {
        let coordinator = self.id.coordinator;
        let shards = self.writes.keys().chain(self.locked.keys());
        let mut participants: BTreeSet<ShardId> = shards.copied().collect();
        participants.remove(&coordinator);
        let part = |shard: ShardId| Part {
            txn: self.id,
            hold: self.locked.get(&shard).copied(),
            writes: self.writes.get(&shard).cloned().unwrap_or_default(),
        };
        let prepares = participants.iter();
        let prepares = prepares.map(|shard| (*shard, Request::Prepare(part(*shard))));
        let prepares: Vec<_> = prepares.collect();
        let commit = Request::Commit {
            part: part(coordinator),
            participants,
        };
        [(coordinator, commit)]
            .into_iter()
            .chain(prepares)
            .collect()
    }
}

/// Tries again what was wounded or lost its locks, with the age it had, so that it wins at last.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Then it gives up.
    pub attempts_max: u32,
    /// Before the second attempt; twice as long before each that follows, up to 64 times.
    pub pause: Duration,
}

impl Retry {
    /// After so many attempts: for how long to pause, with a draw between 0 and 1; `None`: give up.
    #[must_use]
    pub fn pause(&self, attempts: u32, why: Refused, draw: f64) -> Option<Duration> {
        let again = matches!(
            why,
            Refused::Wounded
                | Refused::LocksLost
                | Refused::LeaseOver
                | Refused::Leaving
                | Refused::Busy
                | Refused::Locks(_)
        );
        let longest = self.pause * (1 << attempts.saturating_sub(1).min(6));
        let draw = draw.clamp(0.0, 1.0);
        (again && attempts < self.attempts_max).then(|| longest.mul_f64(draw))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::txn::Reign;
    use synod_truetime::Timestamp;

    const A: ShardId = ShardId(1);
    const B: ShardId = ShardId(2);

    fn attempt() -> Attempt {
        let begin = Timestamp::from_nanos(5);
        Attempt::new(TxnId::first(begin, 1, 1, B))
    }

    fn hold(number: u64) -> Hold {
        let reign = Reign(1);
        Hold { reign, number }
    }

    #[test]
    fn it_reads_what_it_wrote_and_notices_that_its_locks_are_gone() {
        let mut attempt = attempt();
        for (key, value) in [("a", Some("own")), ("b", None), ("d", Some("own"))] {
            let value = value.map(Bytes::from);
            attempt.write(A, key.into(), value).unwrap();
        }
        let version = |key: &'static str| Version {
            key: key.into(),
            written: Timestamp::from_nanos(1),
            value: Some("old".into()),
        };
        let scan = Scan {
            versions: ["a", "b", "c"].map(version).into(),
            rest: Some(Span::between("d", "z")),
        };
        let span = Span::between("a", "z");
        let seen = attempt.read(A, &span, &scan, hold(3)).unwrap();
        assert_eq!(
            seen,
            [("a".into(), "own".into()), ("c".into(), "old".into())]
        );
        let again = attempt.read(A, &span, &scan, hold(4));
        assert_eq!(again, Err(Refused::LocksLost));
    }

    #[test]
    fn whoever_was_read_or_written_is_asked_and_the_coordinator_first() {
        let mut attempt = attempt();
        let nothing = Scan {
            versions: vec![],
            rest: None,
        };
        attempt.read(A, &Span::key("k"), &nothing, hold(1)).unwrap();
        attempt.write(ShardId(3), "x".into(), None).unwrap();
        let requests = attempt.commit();
        let to: Vec<_> = requests.iter().map(|(to, _)| *to).collect();
        assert_eq!(to, [B, A, ShardId(3)]);
        let Request::Commit { participants, .. } = &requests[0].1 else {
            panic!("{requests:?}")
        };
        assert_eq!(*participants, BTreeSet::from([A, ShardId(3)]));
    }

    #[test]
    fn what_can_never_run_is_not_tried_again() {
        let retry = Retry {
            attempts_max: 5,
            pause: Duration::from_millis(2),
        };
        let pause = |attempts, why| retry.pause(attempts, why, 1.0);
        assert_eq!(pause(1, Refused::Wounded), Some(Duration::from_millis(2)));
        assert_eq!(pause(4, Refused::Wounded), Some(Duration::from_millis(16)));
        assert_eq!(pause(5, Refused::Wounded), None);
        assert_eq!(pause(1, Refused::Forgotten), None);
    }
}
