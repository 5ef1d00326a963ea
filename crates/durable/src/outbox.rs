use alloc::collections::VecDeque;
use core::mem::take;

use crate::receipt::Mark;
use crate::{Durable, Few, Receipt, Refused, Write};

/// All that a protocol says, in three lanes: what needs no record leaves at once, what needs one
/// leaves inside its [`Write`], and what the node tells itself comes out of [`settle`](Self::settle).
///
/// The type of a message picks its lane, so not even the author of the protocol can slip, and out of
/// the lane that waits leads one way, which takes a record: see [`mistakes`](crate::mistakes).
///
/// # Why own votes have a lane
///
/// A candidate votes for itself, and a leader is one of those that store an entry. Such a word needs
/// no network, so it is tempting to count it with the next receipt. That may be the receipt of an
/// *older* write, in flight when the node voted; then a crash takes back a vote that was counted. A
/// flag "something is durable" cannot tell the two apart. So [`settle`](Self::settle) answers *what*
/// is, in a type that it alone makes.
///
/// The lane is no list that is filled beside the record: of a vote told separately, nobody knows
/// whether the record holds it. [`Record::own`] reads it from the record as that leaves, so there is
/// nothing to coalesce, to drop or to allocate, and it costs a copy of a few words a write. The other
/// way, a message to itself that the driver hands back, costs an envelope a write and a rule that each
/// driver must know.
///
/// # Invariants
/// - A message waits in the lane or in one write, never in both.
/// - At most one write is in flight; `in_flight` is its own word until its receipt comes.
/// - Numbers of writes rise, so the receipt of one settles no other.
///
/// Outboxes are equal when they hold the same, whichever core value they belong to. A clone takes the
/// receipts of the original: run one of them, and look at the other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outbox<R: Record, Now, After> {
    now: VecDeque<Now>,
    after: Few<After>,
    /// Of the last write.
    mark: Mark,
    in_flight: Option<R::Own>,
}

/// What a protocol stores in one write, all or nothing.
pub trait Record {
    /// What the node may count for itself once the record is durable: its vote, its acknowledgement.
    /// `()` if there is nothing.
    type Own;

    /// That, from what stands in the record.
    fn own(&self) -> Self::Own;
}

/// How messages that wait for the same write become fewer, so that a slow disk fills no memory.
pub trait Coalesce: Sized {
    /// Takes `later` into what waits already, or gives it back if it must wait beside that.
    fn coalesce(_waiting: &mut [Self], later: Self) -> Option<Self> {
        Some(later)
    }
}

impl<R: Record, Now, After> Outbox<R, Now, After> {
    /// Of a new core value, which takes no receipt of any other.
    #[must_use]
    pub fn new() -> Self {
        Self {
            now: VecDeque::new(),
            after: Few::default(),
            mark: Mark::of_new_core(),
            in_flight: None,
        }
    }

    /// Sends what no crash of this node can make false.
    #[inline]
    pub fn send_now(&mut self, message: Now) {
        self.now.push_back(message);
    }

    /// The next message that waits for nothing, in order. Nothing else bounds this lane: drain it
    /// before the next input.
    #[inline]
    pub fn poll_now(&mut self) -> Option<Now> {
        self.now.pop_front()
    }

    /// Sends what is true only once a record that is made from now on is durable.
    #[inline]
    pub fn send_after_write(&mut self, message: After)
    where
        After: Coalesce,
    {
        if let Some(message) = After::coalesce(&mut self.after, message) {
            self.after.push(message);
        }
    }

    /// Whether a message waits for the next write, which is a reason to make one.
    #[inline]
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        !self.after.is_empty()
    }

    /// Forgets waiting messages that nobody would listen to any more.
    pub fn retain_waiting(&mut self, keep: impl FnMut(&After) -> bool) {
        self.after.retain(keep);
    }

    /// Forgets all that has not left. A write in flight stays so.
    pub fn clear(&mut self) {
        self.now.clear();
        self.after = Few::default();
    }

    /// The number of the write in flight. Where two looks see the same number it is the same write.
    #[inline]
    #[must_use]
    pub fn in_flight(&self) -> Option<u64> {
        self.in_flight.as_ref().map(|_| self.mark.number)
    }

    /// Puts everything that waits into a write of what `record` makes. Nothing, and `record` is not
    /// called, while a write is in flight. When there is something to write is for the protocol to say.
    #[inline]
    pub fn write(&mut self, record: impl FnOnce() -> R) -> Option<Write<R, After>> {
        if self.in_flight.is_some() {
            return None;
        }
        let record = record();
        self.in_flight = Some(record.own());
        // No `+=`, which may panic: what is under way would be kept in memory for its destructor.
        self.mark.number = self.mark.number.wrapping_add(1);
        Some(Write {
            record,
            messages: take(&mut self.after),
            mark: self.mark,
        })
    }

    /// What is durable now, by the receipt of the write in flight. The next write may leave.
    ///
    /// # Errors
    /// Any other receipt, which changes nothing.
    #[inline]
    pub fn settle(&mut self, receipt: Receipt<R>) -> Result<Durable<R::Own>, Refused> {
        if !receipt.mark.is_of_same_core(self.mark) {
            return Err(Refused::OtherCore);
        }
        if receipt.mark.number != self.mark.number {
            return Err(Refused::NotInFlight);
        }
        let own = self.in_flight.take().ok_or(Refused::NotInFlight)?;
        Ok(Durable { own })
    }

    /// Gives the last write the number 0, and its receipt is refused. For checkers that compare states
    /// and run none of them on.
    pub fn forget_numbers(&mut self) {
        self.mark.number = 0;
    }
}

impl<R: Record, Now, After> Default for Outbox<R, Now, After> {
    fn default() -> Self {
        Self::new()
    }
}
