//! Leadership that is handed over: what comes meanwhile waits, here or where it was asked for, and is lost
//! with neither outcome.

use bytes::Bytes;
use synod_transport::NodeId;

use super::Engine;
use crate::body::Name;
use crate::frame::Denial;
use crate::handover::TransferError;
use crate::machine::Reason;
use crate::protocol::{Epoch, Protocol};
use crate::time::Instant;

/// Bodies of followers that came while leadership is handed over, in the order in which they came.
///
/// They were meant for one leadership. If it goes on they are proposed, and if it is over each is
/// refused, and its commands are queued again where they came from.
#[derive(Default)]
pub(super) struct Held {
    epoch: Epoch,
    bodies: Vec<(NodeId, Name, Bytes)>,
    bytes: usize,
}

impl<P: Protocol, T> Engine<P, T> {
    /// Hands leadership to `to`, or to whoever suits best. Commands wait until it is known who leads.
    ///
    /// # Errors
    /// Nothing was begun.
    pub fn transfer(&mut self, now: Instant, to: Option<NodeId>) -> Result<NodeId, TransferError> {
        match self.closed {
            Some(reason) => Err(TransferError::Closed(reason)),
            None => self.core.transfer(now, to),
        }
    }

    /// To whom leadership is being handed.
    pub fn transfers_to(&self) -> Option<NodeId> {
        self.core.transfers_to()
    }

    /// Who leads, as far as is known here.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        self.core.leadership().map(|leader| leader.node)
    }

    /// This node.
    pub(crate) fn node(&self) -> NodeId {
        self.config.node
    }

    /// Whether this node has led, so that others may have sent it commands.
    pub(crate) fn has_led(&self) -> bool {
        self.accepted.epoch() != Epoch::default()
    }

    /// From now on nothing new is taken: this node is about to go. What was taken is finished, and goes
    /// to the next leader.
    pub fn leave(&mut self) {
        self.leaving = true;
    }

    /// Requests whose end is open.
    pub fn requests(&self) -> usize {
        self.proposals.count() + self.reads.count()
    }

    /// A body that comes while leadership is handed over. Beyond the bound it is refused, as it would be at
    /// any other time.
    pub(super) fn hold_forwarded(&mut self, from: NodeId, name: Name, body: Bytes) {
        let held = &mut self.held;
        if held.bytes + body.len() > self.config.bounds.queued_bytes_max {
            return self.refuse_forwarded(from, name, Denial::Busy);
        }
        held.epoch = self.accepted.epoch();
        held.bytes += body.len();
        held.bodies.push((from, name, body));
    }

    /// What was held ends with the transfer.
    pub(super) fn release_held(&mut self, now: Instant) {
        if self.held.bodies.is_empty() || self.core.transfers_to().is_some() {
            return;
        }
        let Held { epoch, bodies, .. } = std::mem::take(&mut self.held);
        let leads = self.leads_in(epoch.round).is_some();
        for (from, name, body) in bodies {
            if leads {
                self.propose_forwarded(now, from, name, body);
            } else {
                self.refuse_forwarded(from, name, Denial::NotLeader);
            }
        }
    }

    /// Why nothing is taken any more, if so.
    pub(super) fn refuses(&self) -> Option<Reason> {
        match self.closed {
            None if self.leaving => Some(Reason::Shutdown),
            closed => closed,
        }
    }
}
