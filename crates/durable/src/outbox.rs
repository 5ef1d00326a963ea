use alloc::collections::VecDeque;
use core::mem::take;

use crate::receipt::Mark;
use crate::{Durable, Few, Receipt, Refused, Write};

/// The messages of a protocol, in three lanes. Messages that need no record are sent at once;
/// messages that need one leave inside its [`Write`]; and what the node may count for itself is
/// returned by [`settle`](Self::settle).
///
/// The type of a message selects its lane, so not even the author of the protocol can mix them up.
/// The only way out of the lane that waits is a record: see [`mistakes`](crate::mistakes).
///
/// # Why own votes have a lane
///
/// A candidate votes for itself, and a leader is one of the nodes that store an entry. Such a vote
/// needs no network, so it is tempting to count it with the next receipt. But that receipt may
/// belong to an *older* write that was in flight when the node voted; a crash could then take back
/// a vote that was counted. A flag "something is durable" cannot distinguish the two. Therefore
/// [`settle`](Self::settle) returns *what* is durable, in a type that only it can make.
///
/// The own vote is not kept in a list beside the record, because such a list could disagree with
/// the record. [`Record::own`] reads it from the record when that leaves. So there is nothing to
/// coalesce, to drop or to allocate, and the cost is a copy of a few words per write. The
/// alternative, a message to the node itself that the driver returns, costs an envelope per write
/// and a rule that every driver has to know.
///
/// # Invariants
/// - A message waits in the lane or in one write, never in both.
/// - At most one write is in flight; `in_flight` holds what the node may count for itself once its
///   receipt arrives.
/// - Numbers of writes increase, so the receipt of one write settles no other.
///
/// Outboxes are equal if they hold the same messages, whichever core value they belong to. A clone
/// accepts the receipts of the original: continue with only one of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Outbox<R: Record, Now, After> {
    now: VecDeque<Now>,
    after: Few<After>,
    /// The number of the last write, and the core value of this outbox.
    mark: Mark,
    in_flight: Option<R::Own>,
}

/// The data that a protocol stores in one write, all or nothing.
pub trait Record {
    /// What the node may count for itself once the record is durable: its vote, its acknowledgement.
    /// `()` if there is nothing.
    type Own;

    /// Extracts it from the record.
    fn own(&self) -> Self::Own;
}

/// Merges messages that wait for the same write, so that a slow disk does not fill the memory.
pub trait Coalesce: Sized {
    /// Merges `later` into the waiting messages, or returns it if it must wait in addition.
    fn coalesce(_waiting: &mut [Self], later: Self) -> Option<Self> {
        Some(later)
    }
}

impl<R: Record, Now, After> Outbox<R, Now, After> {
    /// The outbox of a new core value. It accepts no receipt of any other.
    #[must_use]
    pub fn new() -> Self {
        Self {
            now: VecDeque::new(),
            after: Few::default(),
            mark: Mark::of_new_core(),
            in_flight: None,
        }
    }

    /// Sends a message that no crash of this node can make false.
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

    /// Sends a message that is true only once a record made from now on is durable.
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

    /// Drops the waiting messages for which `keep` returns `false`.
    pub fn retain_waiting(&mut self, keep: impl FnMut(&After) -> bool) {
        self.after.retain(keep);
    }

    /// Drops all messages that have not left. A write in flight stays in flight.
    pub fn clear(&mut self) {
        self.now.clear();
        self.after = Few::default();
    }

    /// The number of the write in flight. Equal numbers mean the same write.
    #[inline]
    #[must_use]
    pub fn in_flight(&self) -> Option<u64> {
        self.in_flight.as_ref().map(|_| self.mark.number)
    }

    /// Makes a write from `record` and all waiting messages. Returns `None` without calling
    /// `record` while a write is in flight. The protocol decides when there is something to write.
    #[inline]
    pub fn write(&mut self, record: impl FnOnce() -> R) -> Option<Write<R, After>> {
        if self.in_flight.is_some() {
            return None;
        }
        let record = record();
        self.in_flight = Some(record.own());
        // Not `+=`: a possible panic would force values into memory for their destructors.
        self.mark.number = self.mark.number.wrapping_add(1);
        Some(Write {
            record,
            messages: take(&mut self.after),
            mark: self.mark,
        })
    }

    /// Accepts the receipt of the write in flight and returns what is durable now. The next write
    /// may then be made.
    ///
    /// # Errors
    /// If it is any other receipt, which changes nothing.
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

    /// Resets the number of the last write to 0, so that its receipt is refused. For checkers that
    /// compare states and do not continue from them.
    pub fn forget_numbers(&mut self) {
        self.mark.number = 0;
    }
}

impl<R: Record, Now, After> Default for Outbox<R, Now, After> {
    fn default() -> Self {
        Self::new()
    }
}
