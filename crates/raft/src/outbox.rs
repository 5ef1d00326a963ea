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

    /// Joins the next write. A later word of a kind replaces an earlier one to the same peer: of two
    /// acknowledgements in one term the further says both.
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
