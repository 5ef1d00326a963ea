use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::num::NonZeroU64;
use core::ops::RangeInclusive;

use crate::codec::{DecodeError, Reader, Wire};
use crate::{Dot, Overflow, Stranger, VersionVector};

/// Causal broadcast (Birman, Schiper, Stephenson 1991) without input or output: messages come in
/// any order, twice or not at all, and go out in an order that no cause follows its effect in.
///
/// A message carries the vector of what its sender had delivered when it sent it, with the message
/// itself counted. Message `m` of `j` with vector `V` is delivered by a process that has delivered
/// `L` when `V[j] = L[j] + 1` (it is the next of its sender) and `V[k] <= L[k]` for all other `k`
/// (everything its sender had seen is here).
///
/// ```text
///   a ──m1──────────────┬───────────▶          b answers m1 with m2;
///        └──────▶ b ──m2─┼────┐                 c gets the answer first
///   c ◀──── m2 waits ───┼────┘                 and holds it back
///   c ◀──── m1 ─────────┘  delivers m1, m2
/// ```
///
/// The driver sends what [`broadcast`](Self::broadcast) returns to all other members, feeds what it
/// receives to [`handle_message`](Self::handle_message), takes what is due from
/// [`poll_delivery`](Self::poll_delivery), and asks [`missing`](Self::missing) what to have sent
/// again. A sender delivers its own message as it sends it.
///
/// ```
/// use synod_vclock::{BufferLimits, CausalBuffer};
///
/// let members = ["a", "b", "c"];
/// let [mut a, mut b, mut c] =
///     members.map(|me| CausalBuffer::new(me, members, BufferLimits::default()));
///
/// let question = a.broadcast("lunch?")?;
/// b.handle_message(question.clone())?;
/// assert_eq!(b.poll_delivery().map(|message| message.payload), Some("lunch?"));
/// let answer = b.broadcast("at one")?;
///
/// c.handle_message(answer)?; // overtakes the question
/// assert!(c.poll_delivery().is_none());
/// assert!(c.missing().eq([("a", 1..=1)]));
/// c.handle_message(question)?;
/// let told: Vec<_> = core::iter::from_fn(|| c.poll_delivery()).map(|m| m.payload).collect();
/// assert_eq!(told, ["lunch?", "at one"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Invariants:
/// - a message is delivered at most once, after everything in its past, and per sender in order;
/// - a waiting message is filed under exactly one event that it needs and that is not delivered, or
///   it is ready, so a delivery looks only at those that it may free;
/// - what is held is within [`BufferLimits`] and one message that is due, whatever peers send.
#[derive(Clone, Debug)]
pub struct CausalBuffer<A, M> {
    me: A,
    members: BTreeSet<A>,
    limits: BufferLimits,
    /// What the application has been given, own messages included.
    delivered: VersionVector<A>,
    held: BTreeMap<Dot<A>, Envelope<A, M>>,
    /// How many of them are of each sender; members, so they are bounded.
    held_of: BTreeMap<A, usize>,
    /// Held messages by the undelivered event that each waits for.
    waiting: BTreeMap<Dot<A>, Vec<Dot<A>>>,
    /// Held messages that wait for nothing, in the order in which they became so.
    ready: VecDeque<Dot<A>>,
    duplicates: u64,
}

/// A message on its way.
///
/// ```
/// use synod_vclock::{BufferLimits, CausalBuffer};
///
/// let mut buffer = CausalBuffer::new("a", ["a"], BufferLimits::default());
/// let envelope = buffer.broadcast("hello")?;
/// assert_eq!((envelope.sender, envelope.clock.get(&"a")), ("a", 1));
/// # Ok::<(), synod_vclock::Overflow>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(deserialize = "A: Ord + serde::Deserialize<'de>, M: serde::Deserialize<'de>"))
)]
pub struct Envelope<A, M> {
    /// Who sent it.
    pub sender: A,
    /// What the sender had delivered, with this message counted.
    pub clock: VersionVector<A>,
    /// The message itself.
    pub payload: M,
}

/// The sender, the clock, the payload.
impl<A: Wire + Ord, M: Wire> Wire for Envelope<A, M> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.sender.encode(out);
        self.clock.encode(out);
        self.payload.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            sender: A::decode(reader)?,
            clock: VersionVector::decode(reader)?,
            payload: M::decode(reader)?,
        })
    }
}

/// How much a [`CausalBuffer`] holds back for messages that may never come.
///
/// One message more is held while it is due and nothing else is: what waits may wait for it, so it
/// must not be refused for want of room.
///
/// ```
/// use synod_vclock::BufferLimits;
///
/// assert!(BufferLimits::default().held_of_one_max < BufferLimits::default().held_max);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferLimits {
    /// Messages held; 4,096 unless told.
    pub held_max: usize,
    /// Of one sender, so that none can fill the buffer for the others; 1,024 unless told.
    pub held_of_one_max: usize,
}

impl Default for BufferLimits {
    fn default() -> Self {
        Self {
            held_max: 4_096,
            held_of_one_max: 1_024,
        }
    }
}

impl<A: Ord + Clone, M> CausalBuffer<A, M> {
    /// The buffer of `me`, who is one of the members, named or not.
    ///
    /// ```
    /// use synod_vclock::{BufferLimits, CausalBuffer};
    ///
    /// let buffer = CausalBuffer::<_, ()>::new("a", ["a", "b"], BufferLimits::default());
    /// assert!(buffer.delivered().is_empty());
    /// ```
    #[must_use]
    pub fn new(me: A, members: impl IntoIterator<Item = A>, limits: BufferLimits) -> Self {
        Self::restore(me, members, limits, VersionVector::new())
    }

    /// The buffer of a process that goes on where it stopped, with everything in `delivered` done.
    /// It must include all own broadcasts, or their names are given twice.
    ///
    /// ```
    /// use synod_vclock::{BufferLimits, CausalBuffer, VersionVector};
    ///
    /// let delivered = VersionVector::from_iter([("a", 7), ("b", 2)]);
    /// let mut buffer = CausalBuffer::restore("a", ["b"], BufferLimits::default(), delivered);
    /// assert_eq!(buffer.broadcast("hello again")?.clock.get(&"a"), 8);
    /// # Ok::<(), synod_vclock::Overflow>(())
    /// ```
    #[must_use]
    pub fn restore(
        me: A,
        members: impl IntoIterator<Item = A>,
        limits: BufferLimits,
        delivered: VersionVector<A>,
    ) -> Self {
        let mut members = members.into_iter().collect::<BTreeSet<_>>();
        members.insert(me.clone());
        Self {
            me,
            members,
            limits,
            delivered,
            held: BTreeMap::new(),
            held_of: BTreeMap::new(),
            waiting: BTreeMap::new(),
            ready: VecDeque::new(),
            duplicates: 0,
        }
    }

    /// Sends a message to all: counts it as delivered here, and returns what goes to the others.
    /// Its causes are what [`poll_delivery`](Self::poll_delivery) has given out.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed.
    ///
    /// ```
    /// use synod_vclock::{BufferLimits, CausalBuffer};
    ///
    /// let mut buffer = CausalBuffer::new("a", ["b"], BufferLimits::default());
    /// assert_eq!(buffer.broadcast("one")?.clock.to_string(), "{a:1}");
    /// assert_eq!(buffer.broadcast("two")?.clock.to_string(), "{a:2}");
    /// # Ok::<(), synod_vclock::Overflow>(())
    /// ```
    pub fn broadcast(&mut self, payload: M) -> Result<Envelope<A, M>, Overflow> {
        // Nothing waits for it: what knows of it before it is made was refused.
        self.delivered.increment(self.me.clone())?;
        Ok(Envelope {
            sender: self.me.clone(),
            clock: self.delivered.clone(),
            payload,
        })
    }

    /// Takes in a message from the network.
    ///
    /// # Errors
    /// [`BufferError`]; nothing is changed. After [`BufferError::Full`] the message is missing as if
    /// the network had lost it.
    ///
    /// ```
    /// use synod_vclock::{BufferLimits, CausalBuffer, Receipt};
    ///
    /// let [mut a, mut b] =
    ///     ["a", "b"].map(|me| CausalBuffer::new(me, ["a", "b"], BufferLimits::default()));
    /// let (first, second) = (a.broadcast(1)?, a.broadcast(2)?);
    /// assert_eq!(b.handle_message(second)?, Receipt::Waiting);
    /// assert_eq!(b.handle_message(first)?, Receipt::Ready);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn handle_message(&mut self, message: Envelope<A, M>) -> Result<Receipt, BufferError> {
        let dot = self.check(&message)?;
        if self.delivered.contains(&dot) || self.held.contains_key(&dot) {
            self.duplicates += 1;
            return Ok(Receipt::Duplicate);
        }
        let needs = self.first_unmet(&dot, &message);
        // What can go out at once passes a buffer full of what cannot: it may be what they wait for.
        if (needs.is_some() || !self.ready.is_empty()) && self.is_full_for(&dot.actor) {
            return Err(BufferError::Full);
        }
        let receipt = match needs {
            Some(_) => Receipt::Waiting,
            None => Receipt::Ready,
        };
        *self.held_of.entry(dot.actor.clone()).or_default() += 1;
        self.held.insert(dot.clone(), message);
        self.file(dot, needs);
        Ok(receipt)
    }

    /// The next message that is due, which is thereby delivered.
    ///
    /// ```
    /// use synod_vclock::{BufferLimits, CausalBuffer};
    ///
    /// let [mut a, mut b] =
    ///     ["a", "b"].map(|me| CausalBuffer::new(me, ["a", "b"], BufferLimits::default()));
    /// b.handle_message(a.broadcast("hello")?)?;
    /// assert_eq!(b.poll_delivery().map(|message| message.payload), Some("hello"));
    /// assert_eq!(b.poll_delivery(), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll_delivery(&mut self) -> Option<Envelope<A, M>> {
        let dot = self.ready.pop_front()?;
        let message = self.held.remove(&dot)?;
        if let Some(count) = self.held_of.get_mut(&dot.actor) {
            *count -= 1;
        }
        debug_assert!(
            self.first_unmet(&dot, &message).is_none(),
            "a message that is ready has its whole past delivered"
        );
        self.delivered.include(dot.clone());
        self.release(&dot);
        Some(message)
    }

    /// What is known to exist and is neither delivered nor held, by sender, as ranges of counters:
    /// what to ask for again. Own messages are never missing.
    ///
    /// ```
    /// use synod_vclock::{BufferLimits, CausalBuffer};
    ///
    /// let [mut a, mut b] =
    ///     ["a", "b"].map(|me| CausalBuffer::new(me, ["a", "b"], BufferLimits::default()));
    /// let messages = [a.broadcast(1)?, a.broadcast(2)?, a.broadcast(3)?];
    /// b.handle_message(messages[2].clone())?;
    /// assert!(b.missing().eq([("a", 1..=2)]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn missing(&self) -> impl Iterator<Item = (A, RangeInclusive<u64>)> {
        let mut known = VersionVector::new();
        self.held
            .values()
            .for_each(|message| known.join(&message.clock));
        let mut ranges = Vec::new();
        for (actor, unknown) in known.difference(&self.delivered) {
            let (mut next, last) = unknown.into_inner();
            let [from, to] = [next, last].map(|counter| Dot::new(actor.clone(), counter));
            let held = from
                .zip(to)
                .into_iter()
                .flat_map(|(from, to)| self.held.range(from..=to));
            for (dot, _) in held {
                let counter = dot.counter.get();
                if next < counter {
                    ranges.push((actor.clone(), next..=counter - 1));
                }
                // The last counter of all is followed by none.
                next = counter.saturating_add(1);
            }
            if next <= last && !self.held.contains_key(&end_of(actor, last)) {
                ranges.push((actor.clone(), next..=last));
            }
        }
        ranges.into_iter()
    }

    /// What the application has been given, own messages included: the row of this process in a
    /// [`MatrixClock`](crate::MatrixClock).
    ///
    /// ```
    /// use synod_vclock::{BufferLimits, CausalBuffer};
    ///
    /// let mut buffer = CausalBuffer::new("a", ["b"], BufferLimits::default());
    /// buffer.broadcast("hello")?;
    /// assert_eq!(buffer.delivered().to_string(), "{a:1}");
    /// # Ok::<(), synod_vclock::Overflow>(())
    /// ```
    #[must_use]
    pub const fn delivered(&self) -> &VersionVector<A> {
        &self.delivered
    }

    /// How many messages are held: those that wait, and those not yet polled.
    ///
    /// ```
    /// use synod_vclock::{BufferLimits, CausalBuffer};
    ///
    /// let buffer = CausalBuffer::<_, ()>::new("a", ["b"], BufferLimits::default());
    /// assert_eq!((buffer.held(), buffer.duplicates()), (0, 0));
    /// ```
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// How many messages came again and were dropped.
    ///
    /// ```
    /// use synod_vclock::{BufferLimits, CausalBuffer};
    ///
    /// let [mut a, mut b] =
    ///     ["a", "b"].map(|me| CausalBuffer::new(me, ["a", "b"], BufferLimits::default()));
    /// let message = a.broadcast(())?;
    /// b.handle_message(message.clone())?;
    /// b.handle_message(message)?;
    /// assert_eq!(b.duplicates(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub const fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Whether the message can be one: of a member, about members, and not of a past that is our
    /// own future. Returns its name.
    fn check(&self, message: &Envelope<A, M>) -> Result<Dot<A>, BufferError> {
        if !self.members.contains(&message.sender)
            || message
                .clock
                .iter()
                .any(|dot| !self.members.contains(&dot.actor))
        {
            return Err(Stranger.into());
        }
        if message.clock.get(&self.me) > self.delivered.get(&self.me) {
            return Err(BufferError::FromOwnFuture);
        }
        let counter = message.clock.get(&message.sender);
        Dot::new(message.sender.clone(), counter).ok_or(BufferError::Unnumbered)
    }

    /// The first event that must be delivered before the message: its sender's message before it,
    /// then whatever else its sender had seen.
    fn first_unmet(&self, dot: &Dot<A>, message: &Envelope<A, M>) -> Option<Dot<A>> {
        let before = NonZeroU64::new(dot.counter.get() - 1).map(|counter| Dot {
            actor: dot.actor.clone(),
            counter,
        });
        let others = message.clock.iter().filter(|seen| seen.actor != dot.actor);
        before
            .iter()
            .chain(others)
            .find(|seen| !self.delivered.contains(seen))
            .cloned()
    }

    /// Puts a held message where it will be found.
    fn file(&mut self, dot: Dot<A>, needs: Option<Dot<A>>) {
        match needs {
            Some(needs) => self.waiting.entry(needs).or_default().push(dot),
            None => self.ready.push_back(dot),
        }
    }

    /// Files again what waited for an event that is now delivered.
    fn release(&mut self, delivered: &Dot<A>) {
        for dot in self.waiting.remove(delivered).unwrap_or_default() {
            let Some(message) = self.held.get(&dot) else {
                continue;
            };
            let needs = self.first_unmet(&dot, message);
            self.file(dot, needs);
        }
    }

    fn is_full_for(&self, sender: &A) -> bool {
        let of_one = self.held_of.get(sender).copied().unwrap_or(0);
        self.held.len() >= self.limits.held_max || of_one >= self.limits.held_of_one_max
    }
}

fn end_of<A: Clone>(actor: &A, counter: u64) -> Dot<A> {
    Dot {
        actor: actor.clone(),
        counter: NonZeroU64::new(counter).unwrap_or(NonZeroU64::MIN),
    }
}

/// What became of a message that was taken in.
///
/// ```
/// use synod_vclock::{BufferLimits, CausalBuffer, Receipt};
///
/// let [mut a, mut b] =
///     ["a", "b"].map(|me| CausalBuffer::new(me, ["a", "b"], BufferLimits::default()));
/// let message = a.broadcast(())?;
/// assert_eq!(b.handle_message(message.clone())?, Receipt::Ready);
/// assert_eq!(b.handle_message(message)?, Receipt::Duplicate);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Receipt {
    /// It can be polled.
    Ready,
    /// Something in its past is not delivered yet.
    Waiting,
    /// It is delivered or held already, and was dropped.
    Duplicate,
}

/// Why a message was refused.
///
/// ```
/// use synod_vclock::{BufferError, BufferLimits, CausalBuffer, Envelope, VersionVector};
///
/// let mut buffer = CausalBuffer::new("a", ["b"], BufferLimits::default());
/// let message = Envelope { sender: "b", clock: VersionVector::new(), payload: () };
/// assert_eq!(buffer.handle_message(message), Err(BufferError::Unnumbered));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum BufferError {
    /// It is of, or knows of, somebody who is not a member.
    #[error(transparent)]
    Stranger(#[from] Stranger),
    /// It does not count itself.
    #[error("the message does not count itself")]
    Unnumbered,
    /// It knows of broadcasts that this process has not made: it is forged, or this process has
    /// lost its memory.
    #[error("the message knows of broadcasts that this process has not made")]
    FromOwnFuture,
    /// A limit of [`BufferLimits`] is reached.
    #[error("too many messages are held")]
    Full,
}
