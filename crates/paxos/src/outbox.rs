use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem::{discriminant, take};

use crate::{Ballot, Binding, Echo, Envelope, Message, NodeId, Replicate};

/// Two ways out. The type of a message picks its lane, so the authors of the core cannot slip
/// either: there is no function that puts a [`Binding`] into the lane that does not wait.
///
/// Invariants:
/// - `after` holds at most one `Prepare` and one `Promise` for a peer and [`RANGES_MAX`] ranges of
///   votes, so it is bounded while a disk stalls. A range that finds no place is as good as lost,
///   and the next heartbeat brings it to light;
/// - every message in `after` is of the promised ballot: a node that promises a higher one drops
///   what it had not yet said. (Sending it would be no lie, because the record it would wait for
///   also holds everything that happened since; but nobody would listen.)
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Outbox {
    now: VecDeque<Envelope>,
    after: Vec<(NodeId, Binding)>,
}

impl Outbox {
    /// A leader's word; its ballot is durable already.
    pub(crate) fn send_now(&mut self, to: NodeId, message: Replicate) {
        let message = Message::Replicate(message);
        self.now.push_back(Envelope { to, message });
    }

    /// A word that binds nobody.
    pub(crate) fn echo(&mut self, to: NodeId, message: Echo) {
        let message = Message::Echo(message);
        self.now.push_back(Envelope { to, message });
    }

    /// Joins the next write. A later word of a kind replaces an earlier one to the same peer, and
    /// ranges of votes that touch become one.
    pub(crate) fn send_after_write(&mut self, to: NodeId, message: Binding) {
        if let Binding::Accepted { .. } = message {
            return self.send_accepted(to, message);
        }
        let same = |(peer, waiting): &&mut (NodeId, Binding)| {
            *peer == to && discriminant(waiting) == discriminant(&message)
        };
        match self.after.iter_mut().find(same) {
            Some((_, waiting)) => *waiting = message,
            None => self.after.push((to, message)),
        }
    }

    fn send_accepted(&mut self, to: NodeId, message: Binding) {
        let Binding::Accepted {
            ballot,
            first,
            last,
        } = message
        else {
            return;
        };
        let mut ranges = 0;
        for (peer, waiting) in self.after.iter_mut().rev() {
            let Binding::Accepted {
                ballot: same,
                first: begin,
                last: end,
            } = waiting
            else {
                continue;
            };
            if *peer != to || *same != ballot {
                continue;
            }
            if first <= end.next() && *begin <= last.next() {
                *begin = first.min(*begin);
                *end = last.max(*end);
                return;
            }
            ranges += 1;
        }
        if ranges < RANGES_MAX {
            self.after.push((to, message));
        }
    }

    pub(crate) fn drop_before(&mut self, ballot: Ballot) {
        self.after.retain(|(_, message)| message.ballot() >= ballot);
    }

    pub(crate) fn poll_now(&mut self) -> Option<Envelope> {
        self.now.pop_front()
    }

    /// Nothing that waits is said any more.
    pub(crate) fn clear(&mut self) {
        self.now.clear();
        self.after.clear();
    }

    pub(crate) fn waits_for_write(&self) -> bool {
        !self.after.is_empty()
    }

    pub(crate) fn take_waiting(&mut self) -> Vec<Envelope> {
        let envelope = |(to, message)| Envelope {
            to,
            message: Message::Binding(message),
        };
        take(&mut self.after).into_iter().map(envelope).collect()
    }
}

/// Gaps are rare, and more than a few in one write mean that much is lost anyway.
const RANGES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Slot;

    fn ballot(round: u64) -> Ballot {
        let node = NodeId(2);
        Ballot { round, node }
    }

    fn accepted(round: u64, first: u64, last: u64) -> Binding {
        Binding::Accepted {
            ballot: ballot(round),
            first: Slot(first),
            last: Slot(last),
        }
    }

    fn waiting(outbox: &mut Outbox) -> Vec<(NodeId, Message)> {
        let envelopes = outbox.take_waiting().into_iter();
        envelopes
            .map(|envelope| (envelope.to, envelope.message))
            .collect()
    }

    #[test]
    fn ranges_that_touch_become_one_and_others_stay() {
        let mut outbox = Outbox::default();
        for (first, last) in [(1, 3), (7, 9), (4, 5), (2, 3)] {
            outbox.send_after_write(NodeId(2), accepted(1, first, last));
        }
        outbox.send_after_write(NodeId(3), accepted(1, 1, 1));
        let expected = [
            (NodeId(2), Message::Binding(accepted(1, 1, 5))),
            (NodeId(2), Message::Binding(accepted(1, 7, 9))),
            (NodeId(3), Message::Binding(accepted(1, 1, 1))),
        ];
        assert_eq!(waiting(&mut outbox), expected);
        assert!(!outbox.waits_for_write());
    }

    #[test]
    fn scattered_ranges_have_a_bound() {
        let mut outbox = Outbox::default();
        for slot in 1..1000 {
            outbox.send_after_write(NodeId(2), accepted(1, 2 * slot, 2 * slot));
        }
        assert_eq!(waiting(&mut outbox).len(), RANGES_MAX);
    }

    #[test]
    fn what_was_not_said_in_a_ballot_is_not_said_after_it() {
        let mut outbox = Outbox::default();
        outbox.send_after_write(NodeId(2), accepted(1, 1, 7));
        outbox.drop_before(ballot(2));
        outbox.send_after_write(NodeId(2), accepted(2, 1, 3));
        assert_eq!(
            waiting(&mut outbox),
            [(NodeId(2), Message::Binding(accepted(2, 1, 3)))]
        );
    }
}
