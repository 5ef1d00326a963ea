//! Locks of one shard, by wound-wait (section 4.2.1): volatile, alive for one reign of one leader.
//!
//! The older transaction wounds the younger, the younger waits for the older, so that no circle of waiting can close.
//! The one exception is a younger transaction that is *firm*: its prepare or commit record is proposed. It cannot be
//! wounded here, and the older one must wait for it; a circle is then broken by whoever still may abort it, its
//! coordinator, who is told ([`LockTable::held_up_by`]).

mod index;

use std::collections::{BTreeMap, BTreeSet};

use crate::span::Span;
use crate::txn::TxnId;
use index::Index;

/// What others may do beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Read.
    Shared,
    /// Nothing.
    Exclusive,
}

/// A range of keys, or one key; whether it is there or not. So a lock on what was absent keeps it absent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lock {
    /// Which keys.
    pub span: Span,
    /// For what.
    pub mode: Mode,
}

impl Lock {
    /// To read.
    #[must_use]
    pub fn shared(span: Span) -> Self {
        let mode = Mode::Shared;
        Self { span, mode }
    }

    /// To write.
    #[must_use]
    pub fn exclusive(key: &[u8]) -> Self {
        Self {
            span: Span::key(key),
            mode: Mode::Exclusive,
        }
    }
}

/// What a request brought about.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Turned {
    /// They have what they waited for, the asker perhaps among them.
    pub granted: Vec<TxnId>,
    /// They hold nothing any more, and must not commit.
    pub wounded: Vec<TxnId>,
}

/// The bound is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("more than {max} locks")]
pub struct LocksFull {
    /// How many there may be.
    pub max: usize,
}

/// Who holds what, and who waits.
///
/// # Invariants
/// - No two that hold conflict.
/// - Who waits conflicts with no younger holder that is not firm.
/// - One request of a transaction waits at a time; it is granted as a whole.
#[derive(Clone, Debug, Hash)]
pub struct LockTable {
    held: Index,
    waiting: BTreeMap<TxnId, BTreeSet<Lock>>,
    waiting_locks: usize,
    firm: BTreeSet<TxnId>,
    locks_max: usize,
}

impl LockTable {
    /// Empty. It takes so many locks, held and waited for.
    #[must_use]
    pub fn new(locks_max: usize) -> Self {
        Self {
            held: Index::default(),
            waiting: BTreeMap::new(),
            waiting_locks: 0,
            firm: BTreeSet::new(),
            locks_max,
        }
    }

    /// Wants all of these, and waits until it has them all. Asked again, because an answer was lost, it wants no more
    /// than before.
    ///
    /// # Errors
    /// [`LocksFull`]; nothing happened.
    pub fn acquire(&mut self, txn: TxnId, locks: Vec<Lock>) -> Result<Turned, LocksFull> {
        let waits = self.waiting.get(&txn);
        let has = |lock: &Lock| {
            self.held.has(txn, lock) || waits.is_some_and(|waits| waits.contains(lock))
        };
        let new: BTreeSet<Lock> = locks.iter().filter(|lock| !has(lock)).cloned().collect();
        if self.len() + new.len() > self.locks_max {
            return Err(LocksFull {
                max: self.locks_max,
            });
        }
        let mut turned = Turned::default();
        for other in self.held.against(txn, &locks) {
            if txn < other && !self.firm.contains(&other) {
                self.remove(other);
                turned.wounded.push(other);
            }
        }
        self.waiting_locks += new.len();
        self.waiting.entry(txn).or_default().extend(new);
        turned.granted = self.grant();
        Ok(turned)
    }

    /// It may no longer be wounded here.
    pub fn make_firm(&mut self, txn: TxnId) {
        self.firm.insert(txn);
    }

    /// Locks that a new leader finds in the prepared table: they conflict with nothing, and are not refused.
    pub fn restore(&mut self, txn: TxnId, locks: impl IntoIterator<Item = Lock>) {
        for lock in locks {
            self.held.insert(txn, lock);
        }
        self.firm.insert(txn);
    }

    /// It holds and wants nothing any more; who is granted thereby.
    pub fn release(&mut self, txn: TxnId) -> Vec<TxnId> {
        self.remove(txn);
        self.grant()
    }

    /// Firm transactions that hold up an older one. Their coordinators are asked to give them up, again and again,
    /// because messages are lost.
    #[must_use]
    pub fn held_up_by(&self) -> BTreeSet<TxnId> {
        let mut firm = BTreeSet::new();
        for (txn, locks) in &self.waiting {
            let mut others = self.held.against(*txn, locks);
            others.retain(|other| txn < other && self.firm.contains(other));
            firm.extend(others);
        }
        firm
    }

    /// How many locks are held or waited for.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len() + self.waiting_locks
    }

    /// Whether nobody has or wants one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the invariants hold: for tests, since it looks at everything.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let waits_well = |(txn, locks): (&TxnId, &BTreeSet<Lock>)| {
            let others = self.held.against(*txn, locks);
            others
                .iter()
                .all(|other| other < txn || self.firm.contains(other))
        };
        self.held.is_sound() && self.waiting.iter().all(waits_well)
    }

    fn remove(&mut self, txn: TxnId) {
        self.held.remove(txn);
        let waited = self.waiting.remove(&txn);
        self.waiting_locks -= waited.map_or(0, |locks| locks.len());
        self.firm.remove(&txn);
    }

    /// By age; a waiting request is in the way of younger ones, so that readers do not starve a writer.
    fn grant(&mut self) -> Vec<TxnId> {
        let mut granted = Vec::new();
        let mut older = Index::default();
        for (txn, locks) in std::mem::take(&mut self.waiting) {
            let waits = !older.against(txn, &locks).is_empty()
                || !self.held.against(txn, &locks).is_empty();
            if waits {
                for lock in &locks {
                    older.insert(txn, lock.clone());
                }
                self.waiting.insert(txn, locks);
                continue;
            }
            self.waiting_locks -= locks.len();
            for lock in locks {
                self.held.insert(txn, lock);
            }
            granted.push(txn);
        }
        granted
    }
}

#[cfg(test)]
mod tests;
