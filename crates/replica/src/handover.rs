//! Leadership that is handed over on request, as whoever asked for it sees it.

use synod_transport::NodeId;
use tokio::sync::oneshot;

use crate::engine::Engine;
use crate::machine::Reason;
use crate::protocol::Protocol;
use crate::time::Instant;

/// Why leadership was not handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// Only the leader hands its leadership over; it is to be asked.
    #[error("this node does not lead")]
    NotLeader(Option<NodeId>),
    /// The target leads already: it is this node.
    #[error("this node leads already")]
    Itself,
    /// The target has no vote in the group.
    #[error("node {} has no vote", .0.0)]
    NoVoter(NodeId),
    /// A transfer to another node is under way.
    #[error("leadership is being handed to node {}", to.0)]
    UnderWay {
        /// To whom.
        to: NodeId,
    },
    /// Nobody, or not the node that was named, is in contact and has space on its disk.
    #[error("no suitable node is in contact")]
    Unsuitable,
    /// The target did not take over in time, and this node leads on.
    #[error("node {} did not take over in time", to.0)]
    GivenUp {
        /// Who did not.
        to: NodeId,
    },
    /// This node leads no more, and within the time of the request nobody was known to lead.
    #[error("nobody was known to lead in time")]
    NobodyLeads,
    /// The group takes no requests.
    #[error("the request was not taken: {0}")]
    Closed(Reason),
}

/// Receives the end of a request to hand leadership over.
pub(crate) type Ended = oneshot::Sender<Result<NodeId, TransferError>>;

/// Requests whose transfers have begun.
#[derive(Default)]
pub(crate) struct Handovers {
    waiting: Vec<Handover>,
}

struct Handover {
    to: NodeId,
    deadline: Instant,
    ended: Ended,
}

impl Handovers {
    /// Begins a transfer, or joins one that is under way.
    pub(crate) fn begin<P: Protocol, T>(
        &mut self,
        now: Instant,
        engine: &mut Engine<P, T>,
        to: Option<NodeId>,
        deadline: Instant,
        ended: Ended,
    ) {
        let begun = match self.waiting.len() < WAITING_MAX {
            true => engine.transfer(now, to),
            false => Err(TransferError::Closed(Reason::Busy)),
        };
        match begun {
            Ok(to) => self.waiting.push(Handover {
                to,
                deadline,
                ended,
            }),
            // Whoever asked may be gone.
            Err(error) => drop(ended.send(Err(error))),
        }
    }

    /// Tells those whose transfer has ended. Until it is known who leads it has not, unless their time is
    /// up.
    pub(crate) fn look<P: Protocol, T>(&mut self, now: Instant, engine: &Engine<P, T>) {
        if self.waiting.is_empty() || engine.transfers_to().is_some() {
            return;
        }
        let (leader, own) = (engine.leader(), engine.node());
        for handover in std::mem::take(&mut self.waiting) {
            let to = handover.to;
            let end = match leader {
                Some(leader) if leader == own => Err(TransferError::GivenUp { to }),
                Some(leader) => Ok(leader),
                None if handover.deadline <= now => Err(TransferError::NobodyLeads),
                None => {
                    self.waiting.push(handover);
                    continue;
                }
            };
            let _gone = handover.ended.send(end);
        }
    }

    /// The group serves nothing any more.
    pub(crate) fn close(&mut self, reason: Reason) {
        for handover in self.waiting.drain(..) {
            let _gone = handover.ended.send(Err(TransferError::Closed(reason)));
        }
    }

    /// When somebody's time is up.
    pub(crate) fn wake(&self) -> Option<Instant> {
        self.waiting.iter().map(|handover| handover.deadline).min()
    }
}

/// Requests that wait for one transfer, at the most.
const WAITING_MAX: usize = 64;
