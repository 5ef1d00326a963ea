use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;

use super::bits::{BitReader, BitWriter};
use super::event::Event;
use super::id::Id;
use crate::codec::{DecodeError, Reader, Wire};
use crate::{CausalOrder, Overflow};

/// A process's part of the interval, and the events that it knows.
///
/// Operations are the paper's: [`fork`](Self::fork), [`event`](Self::event) and
/// [`join`](Self::join), and the derived [`peek`](Self::peek), [`send`](Self::send) and
/// [`receive`](Self::receive).
///
/// Invariant, over all stamps of a system: the parts of live stamps are disjoint. A clone, or
/// decoding bytes twice, duplicates the owner: keep only one of them. Equality compares part and
/// events; the order compares events only.
///
/// ```
/// use synod_vclock::itc::Stamp;
///
/// let mut first = Stamp::seed();
/// let mut second = first.fork()?;
/// first.event()?;
/// second.receive(&first.peek())?;
/// assert!(second.descends(&first));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Stamp {
    id: Id,
    event: Event,
}

impl Stamp {
    /// The first stamp of a system: it owns everything and has no events.
    ///
    /// ```
    /// use synod_vclock::itc::Stamp;
    ///
    /// assert_eq!(Stamp::seed().to_string(), "(1, 0)");
    /// ```
    #[must_use]
    pub const fn seed() -> Self {
        Self {
            id: Id::Whole,
            event: Event::Leaf(0),
        }
    }

    pub(super) const fn from_parts(id: Id, event: Event) -> Self {
        Self { id, event }
    }

    /// Gives a share of the owned part to a new process, which knows the same events. Forking an
    /// anonymous stamp gives another anonymous one.
    ///
    /// The share is half of the owned part, as in the paper, for the first eight children in a row;
    /// later ones get smaller pieces, so that a parent of 10,000 has a depth of 34 and not 10,000. If
    /// the number of children is known in advance, [`fork_many`](Self::fork_many) gives shallower
    /// trees.
    ///
    /// # Errors
    /// [`TooDeep`] if the part cannot be halved any more; nothing is changed.
    ///
    /// ```
    /// use synod_vclock::itc::Stamp;
    ///
    /// let mut parent = Stamp::seed();
    /// let child = parent.fork()?;
    /// assert_eq!((parent.to_string(), child.to_string()), ("((1, 0), 0)".into(), "((0, 1), 0)".into()));
    /// # Ok::<(), synod_vclock::itc::TooDeep>(())
    /// ```
    pub fn fork(&mut self) -> Result<Self, TooDeep> {
        let (kept, given) = self.id.fork()?;
        self.id = kept;
        Ok(Self {
            id: given,
            event: self.event.clone(),
        })
    }

    /// Gives parts of like size to so many new processes and keeps one: trees are as deep as the
    /// logarithm of their number. It may also be used to redistribute the owned part after many joins.
    ///
    /// # Errors
    /// [`TooDeep`] if the part cannot be halved so often; nothing is changed.
    ///
    /// ```
    /// use synod_vclock::itc::Stamp;
    ///
    /// let mut parent = Stamp::seed();
    /// let children = parent.fork_many(3)?;
    /// assert_eq!(parent.to_string(), "(((1, 0), 0), 0)");
    /// assert_eq!(children[2].to_string(), "((0, (0, 1)), 0)");
    /// # Ok::<(), synod_vclock::itc::TooDeep>(())
    /// ```
    pub fn fork_many(&mut self, count: usize) -> Result<Vec<Self>, TooDeep> {
        let mut parts = Vec::new();
        self.id.fork_many(count.saturating_add(1), &mut parts)?;
        let mut parts = parts.into_iter();
        if let Some(kept) = parts.next() {
            self.id = kept;
        }
        let child = |id| Self {
            id,
            event: self.event.clone(),
        };
        Ok(parts.map(child).collect())
    }

    /// A stamp that knows the same and owns nothing: for messages, logs and versions at rest.
    ///
    /// ```
    /// use synod_vclock::itc::Stamp;
    ///
    /// assert!(Stamp::seed().peek().is_anonymous());
    /// ```
    #[must_use]
    pub fn peek(&self) -> Self {
        Self {
            id: Id::Empty,
            event: self.event.clone(),
        }
    }

    /// Whether it owns nothing, and so cannot make events.
    ///
    /// ```
    /// use synod_vclock::itc::Stamp;
    ///
    /// assert!(!Stamp::seed().is_anonymous());
    /// ```
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.id == Id::Empty
    }

    /// A new event, which no other stamp knows.
    ///
    /// # Errors
    /// [`EventError`]; nothing is changed.
    ///
    /// ```
    /// use synod_vclock::itc::{EventError, Stamp};
    ///
    /// let mut stamp = Stamp::seed();
    /// let before = stamp.peek();
    /// stamp.event()?;
    /// assert!(before < stamp);
    /// assert_eq!(stamp.peek().event(), Err(EventError::Anonymous));
    /// # Ok::<(), EventError>(())
    /// ```
    pub fn event(&mut self) -> Result<(), EventError> {
        let filled = self.event.fill(&self.id);
        if filled != self.event {
            self.event = filled;
            return Ok(());
        }
        if self.event.grow(&self.id)? {
            return Ok(());
        }
        Err(EventError::Anonymous)
    }

    /// Merges another stamp: its part and its known events. This is how a process retires, and how
    /// a fork is undone.
    ///
    /// # Errors
    /// [`OverlappingIds`] if their parts overlap: they cannot both be live. Nothing is changed here,
    /// and the other stamp is dropped; its events can be saved by [`peek`](Self::peek) before, and
    /// merged by [`receive`](Self::receive).
    ///
    /// ```
    /// use synod_vclock::itc::Stamp;
    ///
    /// let mut stamp = Stamp::seed();
    /// let other = stamp.fork()?;
    /// stamp.join(other)?;
    /// assert_eq!(stamp, Stamp::seed());
    /// assert!(stamp.join(stamp.clone()).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn join(&mut self, other: Self) -> Result<(), OverlappingIds> {
        self.id = self.id.sum(&other.id)?;
        self.event = self.event.join(&other.event);
        Ok(())
    }

    /// The sending of a message: an event, and the anonymous stamp that travels in the message.
    ///
    /// # Errors
    /// [`EventError`]; nothing is changed.
    ///
    /// ```
    /// use synod_vclock::itc::Stamp;
    ///
    /// let mut stamp = Stamp::seed();
    /// assert_eq!(stamp.send()?.to_string(), "(0, 1)");
    /// # Ok::<(), synod_vclock::itc::EventError>(())
    /// ```
    pub fn send(&mut self) -> Result<Self, EventError> {
        self.event()?;
        Ok(self.peek())
    }

    /// The receipt of a message: merges the events of its stamp, and is itself an event. A part
    /// owned by the message's stamp is ignored.
    ///
    /// Only the owner of a part makes events there, so a message with more of them than the owner
    /// has made is rejected. This also prevents a hostile message from exhausting the counters of
    /// the owned part.
    ///
    /// # Errors
    /// [`EventError`]; nothing is changed.
    ///
    /// ```
    /// use synod_vclock::itc::Stamp;
    ///
    /// let mut alice = Stamp::seed();
    /// let mut bob = alice.fork()?;
    /// let message = alice.send()?;
    /// bob.receive(&message)?;
    /// assert!(message < bob);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive(&mut self, message: &Self) -> Result<(), EventError> {
        if self.is_anonymous() {
            return Err(EventError::Anonymous);
        }
        if message.event.exceeds(&self.event, &self.id) {
            return Err(EventError::FromOwnFuture);
        }
        let before = self.event.clone();
        self.event = self.event.join(&message.event);
        let happened = self.event();
        if happened.is_err() {
            self.event = before;
        }
        happened
    }

    /// Compares the known events with those of another stamp, regardless of the owned parts.
    ///
    /// ```
    /// use synod_vclock::{CausalOrder, itc::Stamp};
    ///
    /// let stamp = Stamp::seed();
    /// assert_eq!(stamp.causal_cmp(&stamp.peek()), CausalOrder::Equal);
    /// ```
    #[must_use]
    pub fn causal_cmp(&self, other: &Self) -> CausalOrder {
        self.event.causal_cmp(&other.event)
    }

    /// Whether everything that `other` knows is known here.
    ///
    /// ```
    /// use synod_vclock::itc::Stamp;
    ///
    /// let mut stamp = Stamp::seed();
    /// let before = stamp.peek();
    /// stamp.event()?;
    /// assert!(stamp.descends(&before) && !before.descends(&stamp));
    /// # Ok::<(), synod_vclock::itc::EventError>(())
    /// ```
    #[must_use]
    pub fn descends(&self, other: &Self) -> bool {
        self.causal_cmp(other).descends()
    }

    /// The bits that [`Wire::encode`] pads to bytes: how large the stamp is.
    ///
    /// ```
    /// use synod_vclock::itc::Stamp;
    ///
    /// assert_eq!(Stamp::seed().bit_len(), 7);
    /// ```
    #[must_use]
    pub fn bit_len(&self) -> usize {
        let mut bits = BitWriter::default();
        bits.id(&self.id);
        bits.event(&self.event);
        bits.len()
    }
}

/// Of what is known. Stamps that know the same and own different parts are unequal and have no
/// order, as `PartialOrd` demands; [`causal_cmp`](Stamp::causal_cmp) calls them equal.
impl PartialOrd for Stamp {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match self.causal_cmp(other) {
            CausalOrder::Equal => (self.id == other.id).then_some(Ordering::Equal),
            order => order.into(),
        }
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stamp{self}")
    }
}

/// The notation of the paper: `(id, event)`.
impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.id, self.event)
    }
}

/// The paper's encoding in bits, first bit highest, padded with zeros to whole bytes. Only trees in
/// normal form are accepted.
impl Wire for Stamp {
    fn encode(&self, out: &mut Vec<u8>) {
        let mut bits = BitWriter::default();
        bits.id(&self.id);
        bits.event(&self.event);
        out.extend(bits.into_bytes());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut bits = BitReader::new(reader);
        let id = bits.id(0)?;
        let event = bits.event(0, 0)?;
        bits.finish()?;
        Ok(Self { id, event })
    }
}

impl From<Stamp> for Vec<u8> {
    fn from(stamp: Stamp) -> Self {
        stamp.to_bytes()
    }
}

/// With the limits of [`Limits::default`](crate::Limits::default).
impl TryFrom<Vec<u8>> for Stamp {
    type Error = DecodeError;

    fn try_from(bytes: Vec<u8>) -> Result<Self, DecodeError> {
        Self::from_bytes(&bytes, crate::Limits::default())
    }
}

/// Why an event was rejected.
///
/// ```
/// use synod_vclock::itc::{EventError, Stamp};
///
/// assert_eq!(Stamp::seed().peek().event(), Err(EventError::Anonymous));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// The stamp owns nothing.
    #[error("an anonymous stamp has no events")]
    Anonymous,
    /// The message knows of events on the own part that did not happen here: it is forged, or the
    /// stamp is a copy, or a process has lost its state.
    #[error("the message knows of events on the own part that this stamp has not made")]
    FromOwnFuture,
    /// The counter is at its maximum.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}

/// The parts of two stamps overlap: one of them is a copy, or already retired.
///
/// ```
/// use synod_vclock::itc::{OverlappingIds, Stamp};
///
/// assert_eq!(Stamp::seed().join(Stamp::seed()), Err(OverlappingIds));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the stamps own overlapping parts")]
pub struct OverlappingIds;

/// The part is as small as parts get: see [`DEPTH_MAX`](super::DEPTH_MAX).
///
/// ```
/// use synod_vclock::itc::{DEPTH_MAX, Stamp, TooDeep};
///
/// let mut stamp = Stamp::seed();
/// for _ in 0..DEPTH_MAX {
///     stamp = stamp.fork()?; // a child of a child
/// }
/// assert_eq!(stamp.fork(), Err(TooDeep));
/// # Ok::<(), TooDeep>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the part cannot be halved any more")]
pub struct TooDeep;
