use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::codec::{DecodeError, Reader, Wire};
use crate::{Dot, VersionVector};

/// A version vector that drops its oldest entries to stay small. Because it is lossy it is a
/// separate type, without `PartialOrd` and with a [`LossyOrder`] that includes "unknown".
///
/// Its other answers are exact. A store that mistook a concurrent write for an old one would lose it,
/// whereas mistaking an old write for a concurrent one only keeps an extra sibling. To ensure this,
/// each pruning leaves a digest of the dropped entries, and one vector covers another only if it has
/// dropped the same ones. (The digests are 128 bits of FNV-1a, which do not collide by chance but can
/// be made to collide: do not prune with hostile writers.)
///
/// Example: an object that 10,000 clients have written once each has a vector of 29,874 bytes, in
/// every read and every write; with the default bounds it is 348 bytes (`tests/pruned.rs`). A
/// [`DvvSet`](crate::DvvSet), with few servers that write for all clients, does not need pruning.
///
/// Stamps are readings of the caller's clock in any unit, and only decide what is dropped.
///
/// ```
/// use synod_vclock::{Dot, LossyOrder, PrunePolicy, Pruned};
///
/// let mut full = Pruned::new();
/// full.include(Dot::new(1_u64, 1).unwrap(), 100);
/// full.include(Dot::new(2, 1).unwrap(), 200);
///
/// let mut pruned = full.clone();
/// let policy = PrunePolicy { entries_min: 0, entries_max: 1, age_min: 0, age_max: u64::MAX };
/// assert_eq!(pruned.prune(&policy, 300), 1);
///
/// // They know the same, and nobody can tell any more.
/// assert_eq!(full.lossy_cmp(&pruned), LossyOrder::Unknown);
///
/// // What follows on a pruned vector is still known to follow.
/// let mut next = pruned.clone();
/// next.include(Dot::new(2, 2).unwrap(), 300);
/// assert_eq!(pruned.lossy_cmp(&next), LossyOrder::AtMost);
/// ```
///
/// An actor must keep its own counter and name its events itself: a vector that has dropped an
/// actor would reuse old names, which is why there is no `increment`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pruned<A> {
    /// By actor, ascending.
    entries: Vec<Stamped<A>>,
    /// Digests of dropped entries, each of one pruning, or of several merged ones.
    dropped: BTreeSet<u128>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Stamped<A> {
    dot: Dot<A>,
    stamp: u64,
}

/// When entries are dropped: the four bounds known from Riak as small, big, young and old.
///
/// While there are more than `entries_min` entries and the oldest is at least `age_min` old, it is
/// dropped if there are more than `entries_max`, or if it is more than `age_max` old.
///
/// ```
/// use synod_vclock::PrunePolicy;
///
/// let policy = PrunePolicy { entries_max: 20, ..PrunePolicy::default() };
/// assert_eq!((policy.entries_min, policy.age_min), (50, 20));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrunePolicy {
    /// This many entries are always kept; default 50.
    pub entries_min: usize,
    /// Entries beyond this number are dropped unless they are young; default 50.
    pub entries_max: usize,
    /// Younger entries are always kept, in the unit of the stamps; default 20.
    pub age_min: u64,
    /// Older entries are dropped if there are more than `entries_min`; default 86,400.
    pub age_max: u64,
}

impl Default for PrunePolicy {
    fn default() -> Self {
        Self {
            entries_min: 50,
            entries_max: 50,
            age_min: 20,
            age_max: 86_400,
        }
    }
}

/// The order of two vectors that may have dropped entries.
///
/// Between [complete](Pruned::is_complete) vectors it is exact: `AtMost` is before, `AtLeast` is
/// after, `Unknown` is concurrent.
///
/// ```
/// use synod_vclock::{Dot, LossyOrder, Pruned};
///
/// let mut vector = Pruned::new();
/// assert_eq!(vector.lossy_cmp(&vector), LossyOrder::Equal);
/// vector.include(Dot::new("a", 1).unwrap(), 100);
/// assert_eq!(vector.lossy_cmp(&Pruned::new()), LossyOrder::AtLeast);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LossyOrder {
    /// Both include exactly the same events.
    Equal,
    /// The second includes everything of the first: before or equal.
    AtMost,
    /// The first includes everything of the second: after or equal.
    AtLeast,
    /// Concurrent, or undecidable because of dropped entries. Treat them as concurrent.
    Unknown,
}

impl<A> Pruned<A> {
    /// An empty, complete vector.
    ///
    /// ```
    /// use synod_vclock::Pruned;
    ///
    /// assert!(Pruned::<u64>::new().is_empty() && Pruned::<u64>::new().is_complete());
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: Vec::new(),
            dropped: BTreeSet::new(),
        }
    }

    /// How many entries are kept.
    ///
    /// ```
    /// use synod_vclock::{Dot, Pruned};
    ///
    /// let mut vector = Pruned::new();
    /// vector.include(Dot::new("a", 2).unwrap(), 100);
    /// assert_eq!(vector.len(), 1);
    /// ```
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no entry is kept.
    ///
    /// ```
    /// use synod_vclock::Pruned;
    ///
    /// assert!(Pruned::<u64>::new().is_empty());
    /// ```
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether nothing was ever dropped, here or in joined vectors. The order of complete vectors
    /// is exact.
    ///
    /// ```
    /// use synod_vclock::{Dot, PrunePolicy, Pruned};
    ///
    /// let mut vector = Pruned::new();
    /// vector.include(Dot::new(7_u64, 2).unwrap(), 100);
    /// assert!(vector.is_complete());
    /// vector.prune(&PrunePolicy { entries_min: 0, entries_max: 0, age_min: 0, age_max: 0 }, 200);
    /// assert!(!vector.is_complete());
    /// ```
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.dropped.is_empty()
    }

    /// The entries that are kept, by actor.
    ///
    /// ```
    /// use synod_vclock::{Dot, Pruned};
    ///
    /// let mut vector = Pruned::new();
    /// vector.include(Dot::new("a", 2).unwrap(), 100);
    /// assert!(vector.iter().eq([&Dot::new("a", 2).unwrap()]));
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = &Dot<A>> {
        self.entries.iter().map(|entry| &entry.dot)
    }
}

impl<A: Ord + Clone> Pruned<A> {
    /// Includes an event and the earlier ones of its actor, at a time of the caller's clock.
    ///
    /// ```
    /// use synod_vclock::{Dot, Pruned};
    ///
    /// let mut vector = Pruned::new();
    /// vector.include(Dot::new("a", 2).unwrap(), 100);
    /// vector.include(Dot::new("a", 1).unwrap(), 200);
    /// assert!(vector.iter().eq([&Dot::new("a", 2).unwrap()]));
    /// ```
    pub fn include(&mut self, dot: Dot<A>, stamp: u64) {
        self.raise(Stamped { dot, stamp });
    }

    /// Merges `other`, including its digests of dropped entries.
    ///
    /// ```
    /// use synod_vclock::{Dot, Pruned};
    ///
    /// let (mut one, mut other) = (Pruned::new(), Pruned::new());
    /// one.include(Dot::new("a", 1).unwrap(), 100);
    /// other.include(Dot::new("b", 1).unwrap(), 100);
    /// one.join(&other);
    /// assert_eq!(one.len(), 2);
    /// ```
    pub fn join(&mut self, other: &Self) {
        other
            .entries
            .iter()
            .cloned()
            .for_each(|entry| self.raise(entry));
        self.dropped.extend(&other.dropped);
        self.draw_together();
    }

    /// Drops the oldest entries as the policy says. Returns how many.
    ///
    /// ```
    /// use synod_vclock::{Dot, PrunePolicy, Pruned};
    ///
    /// let mut vector = Pruned::new();
    /// vector.include(Dot::new(1_u64, 1).unwrap(), 100);
    /// vector.include(Dot::new(2, 1).unwrap(), 900);
    /// let policy = PrunePolicy { entries_min: 1, age_max: 500, ..PrunePolicy::default() };
    /// assert_eq!((vector.prune(&policy, 1_000), vector.len()), (1, 1));
    /// ```
    pub fn prune(&mut self, policy: &PrunePolicy, now: u64) -> usize
    where
        A: Wire,
    {
        let mut oldest_first = self.entries.iter().collect::<Vec<_>>();
        oldest_first.sort_by_key(|entry| (entry.stamp, &entry.dot));
        let len = oldest_first.len();
        let count = oldest_first
            .iter()
            .enumerate()
            .take_while(|(gone, entry)| {
                let (left, age) = (len - gone, now.saturating_sub(entry.stamp));
                left > policy.entries_min
                    && age >= policy.age_min
                    && (left > policy.entries_max || age > policy.age_max)
            })
            .count();
        let gone = oldest_first[..count]
            .iter()
            .map(|entry| entry.dot.actor.clone())
            .collect::<BTreeSet<_>>();
        if gone.is_empty() {
            return 0;
        }
        let mut bytes = Vec::new();
        self.entries.retain(|entry| {
            let goes = gone.contains(&entry.dot.actor);
            if goes {
                entry.dot.actor.encode(&mut bytes);
                entry.dot.counter.get().encode(&mut bytes);
            }
            !goes
        });
        self.dropped.insert(digest(&bytes));
        self.draw_together();
        count
    }

    /// Compares two histories, as far as their entries allow.
    ///
    /// ```
    /// use synod_vclock::{Dot, LossyOrder, Pruned};
    ///
    /// let mut vector = Pruned::new();
    /// vector.include(Dot::new("a", 2).unwrap(), 100);
    /// assert_eq!(Pruned::new().lossy_cmp(&vector), LossyOrder::AtMost);
    /// ```
    #[must_use]
    pub fn lossy_cmp(&self, other: &Self) -> LossyOrder {
        match (self.surely_descends(other), other.surely_descends(self)) {
            (true, true) => LossyOrder::Equal,
            (false, true) => LossyOrder::AtMost,
            (true, false) => LossyOrder::AtLeast,
            (false, false) => LossyOrder::Unknown,
        }
    }

    /// Whether everything in `other` is certainly included here, so that it may be replaced by this
    /// one.
    ///
    /// ```
    /// use synod_vclock::{Dot, Pruned};
    ///
    /// let mut vector = Pruned::new();
    /// vector.include(Dot::new("a", 1).unwrap(), 100);
    /// assert!(vector.surely_descends(&Pruned::new()));
    /// ```
    #[must_use]
    pub fn surely_descends(&self, other: &Self) -> bool {
        // A history is what is kept joined with what was dropped, so it is enough that each half is
        // covered by its counterpart.
        let covered = |entry: &Stamped<A>| {
            let own = self.search(&entry.dot.actor).ok();
            own.is_some_and(|at| self.entries[at].dot.counter >= entry.dot.counter)
        };
        other.dropped.is_subset(&self.dropped) && other.entries.iter().all(covered)
    }

    fn raise(&mut self, entry: Stamped<A>) {
        match self.search(&entry.dot.actor) {
            Ok(at) => {
                let own = &mut self.entries[at];
                if (own.dot.counter, own.stamp) < (entry.dot.counter, entry.stamp) {
                    *own = entry;
                }
            }
            Err(at) => self.entries.insert(at, entry),
        }
    }

    fn search(&self, actor: &A) -> Result<usize, usize> {
        self.entries
            .binary_search_by(|entry| entry.dot.actor.cmp(actor))
    }

    /// Merges excess digests into one that represents exactly the same entries: orders stay correct,
    /// but more of them are unknown.
    fn draw_together(&mut self) {
        if self.dropped.len() > DIGESTS_MAX {
            let bytes = self.dropped.iter().flat_map(|digest| digest.to_be_bytes());
            let drawn = digest(&bytes.collect::<Vec<_>>());
            self.dropped = BTreeSet::from([drawn]);
        }
    }
}

impl<A> Default for Pruned<A> {
    fn default() -> Self {
        Self::new()
    }
}

/// A whole vector, all of it seen at one time.
impl<A: Ord + Clone> From<(&VersionVector<A>, u64)> for Pruned<A> {
    fn from((vector, stamp): (&VersionVector<A>, u64)) -> Self {
        let entries = vector.iter().cloned();
        Self {
            entries: entries.map(|dot| Stamped { dot, stamp }).collect(),
            dropped: BTreeSet::new(),
        }
    }
}

/// The number of entries, of each its dot and stamp, actors ascending; then the number of digests and
/// the digests, ascending, lowest bytes first.
impl<A: Wire + Ord> Wire for Pruned<A> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.entries.len().encode(out);
        for entry in &self.entries {
            entry.dot.encode(out);
            entry.stamp.encode(out);
        }
        self.dropped.len().encode(out);
        let digests = self.dropped.iter();
        digests.for_each(|digest| digest.to_le_bytes().encode(out));
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut pruned = Self::new();
        for _ in 0..reader.count()? {
            let (dot, stamp) = (Dot::decode(reader)?, u64::decode(reader)?);
            let last = pruned.entries.last();
            if last.is_some_and(|last: &Stamped<A>| last.dot.actor >= dot.actor) {
                return Err(DecodeError::NotAscending);
            }
            pruned.entries.push(Stamped { dot, stamp });
        }
        let digests = reader.count()?;
        if digests > DIGESTS_MAX {
            return Err(DecodeError::Inconsistent);
        }
        for _ in 0..digests {
            let digest = u128::from_le_bytes(<[u8; 16]>::decode(reader)?);
            if pruned.dropped.last().is_some_and(|last| *last >= digest) {
                return Err(DecodeError::NotAscending);
            }
            pruned.dropped.insert(digest);
        }
        Ok(pruned)
    }
}

/// FNV-1a of 128 bits: it is the same on every machine and in every version.
fn digest(bytes: &[u8]) -> u128 {
    bytes.iter().fold(FNV_OFFSET, |hash, byte| {
        (hash ^ u128::from(*byte)).wrapping_mul(FNV_PRIME)
    })
}

const FNV_OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const FNV_PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

/// The most digests kept separately, so that the traces of pruning are bounded too.
const DIGESTS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000_000;

    fn vector(entries: &[(u64, u64, u64)]) -> Pruned<u64> {
        let mut vector = Pruned::new();
        for (actor, counter, stamp) in entries {
            vector.include(Dot::new(*actor, *counter).unwrap(), *stamp);
        }
        vector
    }

    fn policy(entries_min: usize, entries_max: usize, age_min: u64, age_max: u64) -> PrunePolicy {
        PrunePolicy {
            entries_min,
            entries_max,
            age_min,
            age_max,
        }
    }

    // The five cases of riak_core's vclock.erl (Apache-2.0).

    #[test]
    fn reference_prune_small() {
        let old = NOW - 32_000_000;
        let mut small = vector(&[(1, 1, old), (2, 2, old), (3, 3, old)]);
        assert_eq!(small.prune(&policy(4, 0, 0, 0), NOW), 0);
        assert!(small.is_complete());
    }

    #[test]
    fn reference_prune_young() {
        let mut young = vector(&[(1, 1, NOW - 1), (2, 2, NOW - 1), (3, 3, NOW - 1)]);
        assert_eq!(young.prune(&policy(1, 1, 1_000, 0), NOW), 0);
    }

    #[test]
    fn reference_prune_big() {
        let new = NOW - 1_000;
        let mut big = vector(&[(1, 1, new), (2, 2, new), (3, 3, new)]);
        big.prune(&policy(1, 2, 1, 100_000), NOW);
        assert_eq!(big.len(), 2);
    }

    #[test]
    fn reference_prune_old() {
        let (new, old) = (NOW - 1_000, NOW - 100_000);
        let mut vector = vector(&[(1, 1, new), (2, 2, old), (3, 3, old)]);
        assert_eq!(vector.prune(&policy(1, 2, 1, 10_000), NOW), 2);
        assert!(vector.iter().eq(&[Dot::new(1, 1).unwrap()]));
        assert!(!vector.is_complete());
    }

    #[test]
    fn reference_prune_order() {
        let old = NOW - 100_000;
        let mut one = vector(&[(1, 1, old), (2, 2, old)]);
        let mut other = vector(&[(2, 2, old), (1, 1, old)]);
        let policy = policy(1, 2, 1, 10_000);
        one.prune(&policy, NOW);
        other.prune(&policy, NOW);
        assert_eq!((&one, one.len()), (&other, 1));
        assert_eq!(one.lossy_cmp(&other), LossyOrder::Equal);
    }

    #[test]
    fn digests_are_bounded() {
        let mut vector = Pruned::new();
        for actor in 1..100 {
            vector.include(Dot::new(actor, 1).unwrap(), actor);
            vector.prune(&policy(0, 0, 0, 0), NOW);
            assert!(vector.dropped.len() <= DIGESTS_MAX);
        }
    }

    #[test]
    fn the_digest_is_fnv_1a() {
        // Of the published test vectors.
        assert_eq!(digest(b""), FNV_OFFSET);
        assert_eq!(digest(b"a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }
}
