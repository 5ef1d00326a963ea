use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::mem::{discriminant, take};

use crate::{Binding, Echo, Envelope, Message, NodeId, Replicate, Term};

/// Two ways out. The type of a message picks its lane, so the authors of the core cannot slip
/// either: there is no function that puts a [`Binding`] into the lane that does not wait.
///
/// Invariants:
/// - `after` holds at most one message of a kind for a peer, so it is bounded while a disk stalls;
/// - every message in `after` is of the current term: a node that leaves a term drops what it had
///   not yet said in it. (Sending it would be no lie, because the record it would wait for also
///   holds everything that happened since; but nobody would listen.)
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Outbox {
    now: VecDeque<Envelope>,
    after: Vec<(NodeId, Binding)>,
}

impl Outbox {
    /// A leader's word; its term is durable already.
    pub(crate) fn send_now(&mut self, to: NodeId, message: Replicate) {
        let message = Message::Replicate(message);
        self.now.push_back(Envelope { to, message });
    }

    /// A word that binds nobody.
    pub(crate) fn echo(&mut self, to: NodeId, message: Echo) {
        let message = Message::Echo(message);
        self.now.push_back(Envelope { to, message });
    }

    /// Joins the next write. A later word of a kind replaces an earlier one to the same peer: of
    /// two acknowledgements in one term the further says both.
    pub(crate) fn send_after_write(&mut self, to: NodeId, message: Binding) {
        let same = |(peer, waiting): &&mut (NodeId, Binding)| {
            *peer == to && discriminant(waiting) == discriminant(&message)
        };
        match (self.after.iter_mut().find(same), message) {
            (
                Some((_, Binding::Appended { last, .. })),
                Binding::Appended { last: further, .. },
            ) => {
                *last = (*last).max(further);
            }
            (Some((_, waiting)), message) => *waiting = message,
            (None, message) => self.after.push((to, message)),
        }
    }

    pub(crate) fn drop_before(&mut self, term: Term) {
        self.after.retain(|(_, message)| message.term() >= term);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Index;

    fn appended(term: u64, last: u64) -> Binding {
        Binding::Appended {
            term: Term(term),
            last: Index(last),
        }
    }

    fn waiting(outbox: &mut Outbox) -> Vec<(NodeId, Message)> {
        let envelopes = outbox.take_waiting().into_iter();
        envelopes
            .map(|envelope| (envelope.to, envelope.message))
            .collect()
    }

    #[test]
    fn of_two_acknowledgements_the_further_stays() {
        let mut outbox = Outbox::default();
        for last in [3, 7, 5] {
            outbox.send_after_write(NodeId(2), appended(1, last));
        }
        outbox.send_after_write(NodeId(3), appended(1, 1));
        let vote = Binding::Vote {
            term: Term(1),
            granted: true,
        };
        outbox.send_after_write(NodeId(2), vote.clone());
        let expected = [
            (NodeId(2), Message::Binding(appended(1, 7))),
            (NodeId(3), Message::Binding(appended(1, 1))),
            (NodeId(2), Message::Binding(vote)),
        ];
        assert_eq!(waiting(&mut outbox), expected);
        assert!(!outbox.waits_for_write());
    }

    #[test]
    fn what_was_not_said_in_a_term_is_not_said_after_it() {
        let mut outbox = Outbox::default();
        outbox.send_after_write(NodeId(2), appended(1, 7));
        outbox.drop_before(Term(2));
        outbox.send_after_write(NodeId(2), appended(2, 3));
        assert_eq!(
            waiting(&mut outbox),
            [(NodeId(2), Message::Binding(appended(2, 3)))]
        );
    }
}
