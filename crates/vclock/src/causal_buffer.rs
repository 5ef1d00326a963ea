use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::num::NonZeroU64;
use core::ops::RangeInclusive;

use crate::codec::{DecodeError, Reader, Wire};
use crate::{Dot, Overflow, Stranger, VersionVector};

/// Causal broadcast (Birman, Schiper, Stephenson 1991) without I/O: messages arrive in any order,
/// repeatedly or not at all, and are delivered in causal order.
///
/// A message carries the vector of messages that its sender had delivered, including the message
/// itself. Message `m` of `j` with vector `V` is delivered by a process that has delivered `L` when
/// `V[j] = L[j] + 1` (it is the next of its sender) and `V[k] <= L[k]` for all other `k`
/// (everything that its sender had delivered is delivered here).
///
/// ```text
///   a ──m1──────────────┬───────────▶          b answers m1 with m2;
///        └──────▶ b ──m2─┼────┐                 c gets the answer first
///   c ◀──── m2 waits ───┼────┘                 and holds it back
///   c ◀──── m1 ─────────┘  delivers m1, m2
/// ```
///
/// The driver sends what [`broadcast`](Self::broadcast) returns to all other members, passes
/// received messages to [`handle_message`](Self::handle_message), takes deliverable ones from
/// [`poll_delivery`](Self::poll_delivery), and requests retransmission of
/// [`missing`](Self::missing) ones. A sender delivers its own message as it sends it.
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
/// - a waiting message is indexed by exactly one undelivered event that it depends on, or it is
///   ready, so a delivery only examines messages that it may make ready;
/// - held messages are within [`BufferLimits`] plus one deliverable message, whatever peers send.
#[derive(Clone, Debug)]
pub struct CausalBuffer<A, M> {
    me: A,
    members: BTreeSet<A>,
    limits: BufferLimits,
    /// The messages delivered to the application, own ones included.
    delivered: VersionVector<A>,
    held: BTreeMap<Dot<A>, Envelope<A, M>>,
    /// The number of held messages of each sender; bounded by the membership.
    held_of: BTreeMap<A, usize>,
    /// Waiting messages, by the undelivered event that each depends on.
    waiting: BTreeMap<Dot<A>, Vec<Dot<A>>>,
    /// Messages ready for delivery, in the order in which they became ready.
    ready: VecDeque<Dot<A>>,
    duplicates: u64,
}

/// A message in transit.
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
    /// The sender.
    pub sender: A,
    /// The messages that the sender had delivered, including this one.
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

/// Limits of the messages that a [`CausalBuffer`] holds back.
///
/// One deliverable message more is held when no other is ready: the others may depend on it, so it
/// must not be rejected for lack of space.
///
/// ```
/// use synod_vclock::BufferLimits;
///
/// assert!(BufferLimits::default().held_of_one_max < BufferLimits::default().held_max);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferLimits {
    /// The most held messages; default 4,096.
    pub held_max: usize,
    /// The most held messages of one sender, so that none can fill the buffer; default 1,024.
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
    /// The buffer of `me`, which is a member whether or not it is listed.
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

    /// The buffer of a restarted process that has delivered everything in `delivered`. It must
    /// include all own broadcasts, or their names are reused.
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

    /// Creates a broadcast: counts it as delivered here, and returns the message for the others. It
    /// depends on everything that [`poll_delivery`](Self::poll_delivery) has returned.
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
        // Nothing waits for it: messages that depended on it before it existed were rejected.
        self.delivered.increment(self.me.clone())?;
        Ok(Envelope {
            sender: self.me.clone(),
            clock: self.delivered.clone(),
            payload,
        })
    }

    /// Handles a message from the network.
    ///
    /// # Errors
    /// [`BufferError`]; nothing is changed. After [`BufferError::Full`] the message counts as lost
    /// by the network.
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
        // A deliverable message is accepted even if the buffer is full: the others may depend on it.
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

    /// Delivers the next ready message.
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

    /// Messages known to exist that are neither delivered nor held, by sender, as ranges of
    /// counters, for retransmission requests. Own messages are never missing.
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
                // The last possible counter has no successor.
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

    /// How many duplicates were dropped.
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

    /// Validates a message: from a member, depending on members only, and not on own broadcasts
    /// that do not exist. Returns its dot.
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

    /// The first event that must be delivered before the message: its sender's previous message,
    /// then any other dependency.
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

    /// Indexes a held message.
    fn file(&mut self, dot: Dot<A>, needs: Option<Dot<A>>) {
        match needs {
            Some(needs) => self.waiting.entry(needs).or_default().push(dot),
            None => self.ready.push_back(dot),
        }
    }

    /// Indexes again the messages that waited for an event that is now delivered.
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

/// The result of handling a message.
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
    /// It is ready for delivery.
    Ready,
    /// Something in its past is not delivered yet.
    Waiting,
    /// It is already delivered or held, and was dropped.
    Duplicate,
}

/// Why a message was rejected.
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
    /// Its sender or one of its dependencies is not a member.
    #[error(transparent)]
    Stranger(#[from] Stranger),
    /// Its vector does not include the message itself.
    #[error("the message does not count itself")]
    Unnumbered,
    /// It depends on broadcasts that this process has not made: it is forged, or this process has
    /// lost its state.
    #[error("the message knows of broadcasts that this process has not made")]
    FromOwnFuture,
    /// A limit of [`BufferLimits`] is reached.
    #[error("too many messages are held")]
    Full,
}
