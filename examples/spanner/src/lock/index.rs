//! Locks by key, so that who conflicts is found without looking at all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use bytes::Bytes;

use super::{Lock, Mode};
use crate::span::Span;
use crate::txn::TxnId;

/// Locks on single keys lie in the order of keys; those on ranges are few, and all looked at.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Index {
    pub(super) of: BTreeMap<TxnId, BTreeSet<Lock>>,
    pub(super) keys: BTreeMap<Bytes, BTreeMap<TxnId, Mode>>,
    ranges: BTreeSet<(TxnId, Lock)>,
    len: usize,
}

impl Index {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn has(&self, txn: TxnId, lock: &Lock) -> bool {
        self.of.get(&txn).is_some_and(|own| own.contains(lock))
    }

    pub(super) fn insert(&mut self, txn: TxnId, lock: Lock) {
        if !self.of.entry(txn).or_default().insert(lock.clone()) {
            return;
        }
        self.len += 1;
        if let Some(key) = lock.span.as_key() {
            let holders = self.keys.entry(key.clone()).or_default();
            let mode = holders.entry(txn).or_insert(lock.mode);
            *mode = (*mode).max(lock.mode);
        } else {
            self.ranges.insert((txn, lock));
        }
    }

    pub(super) fn remove(&mut self, txn: TxnId) {
        for lock in self.of.remove(&txn).unwrap_or_default() {
            self.len -= 1;
            let Some(key) = lock.span.as_key() else {
                self.ranges.remove(&(txn, lock));
                continue;
            };
            if let Some(holders) = self.keys.get_mut(key) {
                holders.remove(&txn);
                if holders.is_empty() {
                    self.keys.remove(key);
                }
            }
        }
    }

    /// Who else has a lock that conflicts with one of these.
    pub(super) fn against<'a>(
        &self,
        txn: TxnId,
        locks: impl IntoIterator<Item = &'a Lock>,
    ) -> BTreeSet<TxnId> {
        let mut others = BTreeSet::new();
        for lock in locks {
            let conflicts = |mode: Mode| lock.mode == Mode::Exclusive || mode == Mode::Exclusive;
            for (_, holders) in self.keys_in(&lock.span) {
                let against = holders.iter().filter(|(_, mode)| conflicts(**mode));
                others.extend(against.map(|(other, _)| *other));
            }
            let ranges = self.ranges.iter();
            let against =
                ranges.filter(|(_, range)| conflicts(range.mode) && range.span.meets(&lock.span));
            others.extend(against.map(|(other, _)| *other));
        }
        others.remove(&txn);
        others
    }

    pub(super) fn is_sound(&self) -> bool {
        let mut all = self.of.iter();
        all.all(|(txn, locks)| self.against(*txn, locks).is_empty())
    }

    fn keys_in(&self, span: &Span) -> impl Iterator<Item = (&Bytes, &BTreeMap<TxnId, Mode>)> {
        let end = match &span.to {
            // A range that ends before it begins has nothing in it, and is no range of a map.
            Some(to) => Bound::Excluded(to.max(&span.from)),
            None => Bound::Unbounded,
        };
        self.keys
            .range::<Bytes, _>((Bound::Included(&span.from), end))
    }
}
