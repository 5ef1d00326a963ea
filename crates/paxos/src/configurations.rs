use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::membership::{byte, number, part};
use crate::{Configuration, MembershipError, Slot};

/// The configurations of a group as far as a node knows them, with the slots that each governs. The
/// log decides them: which one governs a slot follows from what is chosen α slots before it.
///
/// ```text
///   chosen in            i                      i + α
///   ─────────────────────┼──────────────────────┼───────────────────▶ slots
///   governs   number n ──┴─────────────────────▶│ number n + 1 ─────▶
///                             known, not in force
/// ```
///
/// Invariants: numbers and slots ascend; every configuration decided up to `known_to` is here, from
/// the first one here on. A configuration takes effect only once the one before governs the slot of
/// its decision, so of those that govern slots which may be open, there are at most two.
///
/// With the feature `serde` it is serialized as the bytes of [`encode`](Self::encode).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Bytes", into = "Bytes"))]
pub struct Configurations {
    known_to: Slot,
    list: Vec<Governing>,
}

/// A configuration and the slots that it governs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Governing {
    /// The first slot that it governs. The last one is before that of the next.
    pub from: Slot,
    /// The configuration.
    pub configuration: Arc<Configuration>,
}

impl Governing {
    /// The slot in which it was chosen; 0 for the first configuration, which is given.
    #[must_use]
    pub fn decided_in(&self) -> Slot {
        match self.configuration.number {
            0 => Slot(0),
            _ => Slot(self.from.0.saturating_sub(self.configuration.alpha)),
        }
    }
}

impl Configurations {
    /// The configurations of a new group.
    #[must_use]
    pub fn first(configuration: Configuration) -> Self {
        let (from, configuration) = (Slot(1), Arc::new(configuration));
        Self {
            known_to: Slot(0),
            list: Vec::from([Governing {
                from,
                configuration,
            }]),
        }
    }

    /// Every configuration that was decided up to this slot is known.
    #[must_use]
    pub fn known_to(&self) -> Slot {
        self.known_to
    }

    /// The latest one that was decided. None in a node that waits to be added.
    #[must_use]
    #[inline]
    pub fn latest(&self) -> Option<&Governing> {
        self.list.last()
    }

    /// All that are known, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Governing> {
        self.list.iter()
    }

    /// The number of the latest; 0 if there is none.
    pub(crate) fn number(&self) -> u64 {
        self.latest()
            .map_or(0, |latest| latest.configuration.number)
    }

    /// The last slot of which it is known who governs it, now that everything up to `known_to` is.
    #[inline]
    pub(crate) fn reach(&self) -> Slot {
        let alpha = self.latest().map_or(0, |latest| latest.configuration.alpha);
        Slot(self.known_to.0.saturating_add(alpha))
    }

    /// The configuration that governs a slot, if it is known.
    #[must_use]
    pub fn governing(&self, slot: Slot) -> Option<&Governing> {
        let at = self.place_of(slot)?;
        self.list.get(at)
    }

    fn place_of(&self, slot: Slot) -> Option<usize> {
        let at = self.list.iter().rposition(|one| one.from <= slot)?;
        let follows = |next: &Governing| {
            let number = self.list[at].configuration.number;
            next.configuration.number == number.saturating_add(1)
        };
        let is_certain = match self.list.get(at + 1) {
            Some(next) => follows(next),
            None => slot <= self.reach(),
        };
        is_certain.then_some(at)
    }

    /// The configurations that govern the slots after `chosen` as far as they are known: the one in
    /// force there, and those that are decided and come into force later. Nothing if the first of
    /// them is not known.
    #[must_use]
    pub fn open(&self, chosen: Slot) -> &[Governing] {
        let at = self.place_of(chosen.next());
        at.map_or(&[], |at| &self.list[at..])
    }

    /// Whether the configuration that was chosen in this slot has taken effect, or will. One that was
    /// chosen behind another never does.
    #[must_use]
    pub fn is_decided_in(&self, slot: Slot) -> bool {
        slot > Slot(0) && self.list.iter().any(|one| one.decided_in() == slot)
    }

    /// The same as of a slot in the past: what governs the slots after it, what was decided up to it,
    /// and the one before.
    #[must_use]
    pub fn at(&self, slot: Slot) -> Self {
        let known_to = slot.min(self.known_to);
        let decided = self.list.iter().filter(|one| one.decided_in() <= slot);
        let mut then = Self {
            known_to,
            list: decided.cloned().collect(),
        };
        then.prune(slot);
        then
    }

    /// Everything up to `slot` is known, and nothing more was decided there.
    #[inline]
    pub(crate) fn learn_to(&mut self, slot: Slot) {
        self.known_to = self.known_to.max(slot);
    }

    /// A configuration is chosen in this slot, and of everything before it was noted what it is. It takes
    /// effect if it follows the one that was the latest there, and that one is in force there.
    ///
    /// Later ones may be known already, from nodes that have forgotten this one: it takes its place
    /// between the others, for what governed the slots behind it may be asked for, too.
    pub(crate) fn note(&mut self, slot: Slot, configuration: Configuration) {
        let at = self.list.partition_point(|one| one.decided_in() < slot);
        let is_next = match at.checked_sub(1).map(|before| &self.list[before]) {
            Some(latest) => {
                slot >= latest.from && latest.configuration.admits(&configuration).is_ok()
            }
            // In a node that was not in the first configuration, which nobody has told it.
            None => configuration.number == 1,
        };
        let is_known = self
            .list
            .get(at)
            .is_some_and(|one| one.decided_in() == slot);
        if is_next && !is_known {
            let from = Slot(slot.0.saturating_add(configuration.alpha));
            let configuration = Arc::new(configuration);
            self.list.insert(
                at,
                Governing {
                    from,
                    configuration,
                },
            );
        }
        self.learn_to(slot);
    }

    /// Learns what another node knows. What was decided is the same everywhere, and numbers name it.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.learn_to(other.known_to);
        if other.list.is_empty() {
            return;
        }
        let both = other.list.iter().chain(&self.list);
        let both = both.map(|one| (one.configuration.number, one.clone()));
        let both: BTreeMap<u64, Governing> = both.collect();
        let alpha = self.list.first().map(|first| first.configuration.alpha);
        self.list.clear();
        for one in both.into_values() {
            // Of what no correct node knows, only what fits is kept.
            let is_later = self.list.last().is_none_or(|last| last.from < one.from);
            if is_later && alpha.is_none_or(|alpha| alpha == one.configuration.alpha) {
                self.list.push(one);
            }
        }
    }

    /// Forgets what governs no slot after `start`, but for the last one of them: its members may be
    /// needed until the next one is settled.
    pub(crate) fn prune(&mut self, start: Slot) {
        let later = self.list.iter().skip(2);
        let over = later.take_while(|next| next.from <= start.next()).count();
        self.list.drain(..over);
    }

    /// The configuration before the one that governs a slot, if it is known.
    pub(crate) fn before(&self, slot: Slot) -> Option<&Governing> {
        let at = self.place_of(slot)?.checked_sub(1)?;
        let before = self.list.get(at)?;
        let next = before.configuration.number.saturating_add(1);
        let follows = self.list[at + 1].configuration.number == next;
        follows.then_some(before)
    }

    /// The bytes of a snapshot's header and of a promise. Numbers are little-endian: a version,
    /// `known_to` as `u64`, the number of configurations as a byte, and for each of them the first slot
    /// that it governs as `u64` and its [encoding](Configuration::encode) behind its length as `u16`.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let from = self.list.len().saturating_sub(ENTRIES_MAX);
        let list = &self.list[from..];
        let mut bytes = BytesMut::new();
        bytes.put_u8(VERSION);
        bytes.put_u64_le(self.known_to.0);
        bytes.put_u8(list.len() as u8);
        for one in list {
            let encoded = one.configuration.encode();
            bytes.put_u64_le(one.from.0);
            // At most some 20 kB, by the bounds of a membership.
            bytes.put_u16_le(encoded.len() as u16);
            bytes.put_slice(&encoded);
        }
        bytes.freeze()
    }

    /// Decodes the output of [`encode`](Self::encode).
    ///
    /// # Errors
    /// What is wrong with the bytes. Nothing is allocated beyond the bounds.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, MembershipError> {
        let input = &mut bytes;
        let version = byte(input)?;
        if version != VERSION {
            return Err(MembershipError::Version { version });
        }
        let known_to = Slot(number(input)?);
        let count = usize::from(byte(input)?);
        if count > ENTRIES_MAX {
            return Err(MembershipError::Order);
        }
        let mut list: Vec<Governing> = Vec::with_capacity(count);
        for _ in 0..count {
            let from = Slot(number(input)?);
            let configuration = Configuration::decode(part(input)?)?;
            let is_behind = |last: &Governing| {
                last.from < from && last.configuration.number < configuration.number
            };
            if from > Slot::MAX || !list.last().is_none_or(is_behind) {
                return Err(MembershipError::Order);
            }
            let configuration = Arc::new(configuration);
            list.push(Governing {
                from,
                configuration,
            });
        }
        if input.has_remaining() || known_to > Slot::MAX {
            return Err(MembershipError::Length);
        }
        Ok(Self { known_to, list })
    }
}

impl From<Configurations> for Bytes {
    fn from(configurations: Configurations) -> Self {
        configurations.encode()
    }
}

impl TryFrom<Bytes> for Configurations {
    type Error = MembershipError;

    fn try_from(bytes: Bytes) -> Result<Self, MembershipError> {
        Self::decode(&bytes)
    }
}

const VERSION: u8 = 1;
/// As of one slot at most two are open; a few more do no harm.
const ENTRIES_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Membership, NodeId, Quorums};

    fn majority(ids: &[u64]) -> Membership {
        let ids = ids.iter().copied().map(NodeId);
        Membership::of(Quorums::majority(ids).unwrap())
    }

    /// Decided in 3 and in 9, with alpha 4: numbers 1 and 2 govern from 7 and from 13 on.
    fn three() -> Configurations {
        let mut first = Configuration::first(majority(&[1, 2, 3]));
        first.alpha = 4;
        let second = first.next(majority(&[2, 3, 4]));
        let third = second.next(majority(&[4]));
        let mut configurations = Configurations::first(first);
        configurations.note(Slot(3), second);
        configurations.note(Slot(9), third);
        configurations.learn_to(Slot(10));
        configurations
    }

    fn numbers(of: &[Governing]) -> Vec<u64> {
        of.iter().map(|one| one.configuration.number).collect()
    }

    #[test]
    fn what_is_chosen_in_a_slot_governs_alpha_slots_later() {
        let three = three();
        let number = |slot| Some(three.governing(Slot(slot))?.configuration.number);
        assert_eq!(
            [1, 6, 7, 12, 13, 14].map(number),
            [0, 0, 1, 1, 2, 2].map(Some)
        );
        assert_eq!(number(15), None, "slot 11 may still decide");
        assert_eq!(numbers(three.open(Slot(5))), [0, 1, 2]);
        assert_eq!(numbers(three.open(Slot(11))), [1, 2]);
        assert_eq!(numbers(three.open(Slot(12))), [2]);
    }

    #[test]
    fn behind_another_it_is_a_no_op() {
        let mut three = three();
        let latest = three.latest().unwrap().configuration.clone();
        let again = three.list[1].configuration.next(majority(&[2, 3]));
        three.note(Slot(11), again);
        assert_eq!(three.latest().unwrap().configuration, latest);
        three.note(Slot(12), latest.next(majority(&[4, 5])));
        assert_eq!(three.number(), 2, "the one before is not in force there");
        three.note(Slot(13), latest.next(majority(&[4, 5])));
        assert_eq!(three.number(), 3);
        assert!(three.is_decided_in(Slot(13)) && !three.is_decided_in(Slot(12)));
    }

    #[test]
    fn the_past_and_what_others_know() {
        let three = three();
        assert_eq!(numbers(&three.at(Slot(2)).list), [0]);
        assert_eq!(numbers(&three.at(Slot(3)).list), [0, 1]);
        assert_eq!(numbers(&three.at(Slot(6)).list), [0, 1]);
        assert_eq!(numbers(&three.at(Slot(9)).list), [0, 1, 2]);
        assert_eq!(numbers(&three.at(Slot(12)).list), [1, 2]);
        let mut other = three.at(Slot(0));
        other.merge(&three.at(Slot(10)));
        assert_eq!(numbers(&other.list), [0, 1, 2]);
        assert_eq!(other.known_to(), Slot(10));
        let mut gap = three.at(Slot(0));
        let mut later = three.at(Slot(12));
        later.list.remove(0);
        gap.merge(&later);
        assert_eq!(numbers(&gap.list), [0, 2]);
        assert_eq!(gap.open(Slot(11)), [], "who governs slot 12 is not known");
        assert_eq!(numbers(gap.open(Slot(12))), [2]);
    }

    #[test]
    fn what_the_others_have_forgotten_takes_its_place() {
        let three = three();
        let mut later = three.at(Slot(12));
        later.list.remove(0);
        let mut behind = three.at(Slot(0));
        behind.merge(&later);
        assert_eq!(numbers(&behind.list), [0, 2]);
        let second = (*three.list[1].configuration).clone();
        // Behind another one it is none, here as anywhere.
        let mut other = second.clone();
        other.membership = majority(&[1, 2]);
        behind.note(Slot(3), second);
        behind.note(Slot(5), other);
        behind.note(Slot(9), (*three.list[2].configuration).clone());
        assert_eq!(behind.list, three.list);
        assert!(behind.is_decided_in(Slot(3)) && !behind.is_decided_in(Slot(5)));
        assert_eq!(numbers(&behind.at(Slot(6)).list), [0, 1]);
        assert_eq!(behind.known_to(), Slot(10));
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let three = three();
        let bytes = three.encode();
        assert_eq!(Configurations::decode(&bytes), Ok(three));
        for len in 0..bytes.len() {
            assert!(Configurations::decode(&bytes[..len]).is_err(), "{len}");
        }
        let nothing = Configurations::default();
        assert_eq!(Configurations::decode(&nothing.encode()), Ok(nothing));
    }
}
