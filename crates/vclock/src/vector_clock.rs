use core::fmt;

use crate::{CausalOrder, Overflow, VersionVector};

/// The clock of one process (Fidge 1988, Mattern 1989): each of its events gets a vector, and the
/// order of the vectors is exactly the causal order of the events.
///
/// For events `e` and `f` of any processes, `e` happened before `f` if and only if `V(e) < V(f)`,
/// and the entry of process `i` in `V(e)` is the number of `i`'s events in the past of `e`, itself
/// included. The rules: every event is counted, and a receipt joins what the message carries first.
///
/// ```
/// use synod_vclock::{CausalOrder, VectorClock};
///
/// let (mut alice, mut bob) = (VectorClock::new("alice"), VectorClock::new("bob"));
/// let written = alice.tick()?.clone();
/// let message = alice.send()?;
/// let noted = bob.tick()?.clone();
/// let read = bob.receive(&message)?.clone();
///
/// assert!(written < read);
/// assert_eq!(written.causal_cmp(&noted), CausalOrder::Concurrent);
/// assert_eq!(read.to_string(), "{alice:2, bob:2}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Invariant: no other process knows of more events of this one than it has made itself. A message
/// that claims more is rejected, which also prevents a hostile one from exhausting the counter.
/// After a crash restore the clock with [`restore`](Self::restore), or take another name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(
    feature = "serde",
    serde(bound(deserialize = "A: serde::Deserialize<'de> + Ord"))
)]
pub struct VectorClock<A> {
    me: A,
    now: VersionVector<A>,
}

impl<A> VectorClock<A> {
    /// The clock of a new process.
    ///
    /// ```
    /// use synod_vclock::VectorClock;
    ///
    /// assert!(VectorClock::new("a").now().is_empty());
    /// ```
    #[must_use]
    pub const fn new(me: A) -> Self {
        Self::restore(me, VersionVector::new())
    }

    /// The clock of a restarted process: `now` must include every event that it has sent to others.
    ///
    /// ```
    /// use synod_vclock::{VectorClock, VersionVector};
    ///
    /// let mut clock = VectorClock::restore("a", VersionVector::from_iter([("a", 7), ("b", 2)]));
    /// assert_eq!(clock.tick()?.get(&"a"), 8);
    /// # Ok::<(), synod_vclock::Overflow>(())
    /// ```
    #[must_use]
    pub const fn restore(me: A, now: VersionVector<A>) -> Self {
        Self { me, now }
    }

    /// Whose clock it is.
    ///
    /// ```
    /// use synod_vclock::VectorClock;
    ///
    /// assert_eq!(VectorClock::new("a").me(), &"a");
    /// ```
    #[must_use]
    pub const fn me(&self) -> &A {
        &self.me
    }

    /// The vector of the latest event.
    ///
    /// ```
    /// use synod_vclock::VectorClock;
    ///
    /// let mut clock = VectorClock::new("a");
    /// clock.tick()?;
    /// assert_eq!(clock.now().to_string(), "{a:1}");
    /// # Ok::<(), synod_vclock::Overflow>(())
    /// ```
    #[must_use]
    pub const fn now(&self) -> &VersionVector<A> {
        &self.now
    }
}

impl<A: Ord + Clone> VectorClock<A> {
    /// A local event. Returns its vector.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed.
    ///
    /// ```
    /// use synod_vclock::VectorClock;
    ///
    /// let mut clock = VectorClock::new("a");
    /// assert_eq!(clock.tick()?.to_string(), "{a:1}");
    /// assert_eq!(clock.tick()?.to_string(), "{a:2}");
    /// # Ok::<(), synod_vclock::Overflow>(())
    /// ```
    pub fn tick(&mut self) -> Result<&VersionVector<A>, Overflow> {
        self.now.increment(self.me.clone())?;
        Ok(&self.now)
    }

    /// The sending of a message: an event, whose vector travels in the message.
    ///
    /// # Errors
    /// [`Overflow`]; nothing is changed.
    ///
    /// ```
    /// use synod_vclock::VectorClock;
    ///
    /// let mut clock = VectorClock::new("a");
    /// assert_eq!(clock.send()?, *clock.now());
    /// # Ok::<(), synod_vclock::Overflow>(())
    /// ```
    pub fn send(&mut self) -> Result<VersionVector<A>, Overflow> {
        self.tick().cloned()
    }

    /// The receipt of a message that carries `message`: an event that comes after the sending.
    /// Returns its vector.
    ///
    /// # Errors
    /// [`ReceiveError`]; nothing is changed, so the receipt did not happen.
    ///
    /// ```
    /// use synod_vclock::{ReceiveError, VectorClock, VersionVector};
    ///
    /// let mut clock = VectorClock::new("a");
    /// let forged = VersionVector::from_iter([("a", u64::MAX)]);
    /// assert_eq!(
    ///     clock.receive(&forged),
    ///     Err(ReceiveError::FromOwnFuture { claimed: u64::MAX, made: 0 })
    /// );
    /// ```
    pub fn receive(
        &mut self,
        message: &VersionVector<A>,
    ) -> Result<&VersionVector<A>, ReceiveError> {
        let (claimed, made) = (message.get(&self.me), self.now.get(&self.me));
        if claimed > made {
            return Err(ReceiveError::FromOwnFuture { claimed, made });
        }
        // First, because it can fail and the join cannot.
        self.now.increment(self.me.clone())?;
        self.now.join(message);
        Ok(&self.now)
    }

    /// Compares the latest events of two clocks.
    ///
    /// ```
    /// use synod_vclock::{CausalOrder, VectorClock};
    ///
    /// let (mut a, mut b) = (VectorClock::new("a"), VectorClock::new("b"));
    /// b.receive(&a.send()?)?;
    /// assert_eq!(a.causal_cmp(&b), CausalOrder::Before);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn causal_cmp(&self, other: &Self) -> CausalOrder {
        self.now.causal_cmp(&other.now)
    }
}

impl<A: fmt::Display> fmt::Display for VectorClock<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.me, self.now)
    }
}

/// Why a message's vector was rejected.
///
/// ```
/// use synod_vclock::{ReceiveError, VectorClock, VersionVector};
///
/// let forged = VersionVector::from_iter([("a", 5)]);
/// let error = VectorClock::new("a").receive(&forged).unwrap_err();
/// assert_eq!(error, ReceiveError::FromOwnFuture { claimed: 5, made: 0 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiveError {
    /// It includes events that this process has not made: it is forged, or the process has lost its
    /// state and two of its incarnations share a name.
    #[error("the message knows of {claimed} events of this process, which has made {made}")]
    FromOwnFuture {
        /// The counter in the message.
        claimed: u64,
        /// The counter of this process.
        made: u64,
    },
    /// The own counter is at its maximum.
    #[error(transparent)]
    Overflow(#[from] Overflow),
}
