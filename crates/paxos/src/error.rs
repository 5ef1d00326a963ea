use crate::{ConfigError, MembershipError, NodeId, Slot};

/// Why [`Paxos::propose`](crate::Paxos::propose) refused a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ProposeError {
    /// This node is not the leader. The leader it knows, if any, may have changed since.
    #[error("this node does not lead")]
    NotLeader(Option<NodeId>),
    /// `unchosen_bytes_max` or [α](crate::Configuration::alpha) is reached, or it is not yet known who
    /// governs the next slot: peers or the disk cannot keep up.
    #[error("too many proposals wait to be chosen")]
    Busy,
    /// This node's disk is full, or so many others are that no quorum could store the proposal.
    #[error("no quorum has space")]
    Full,
    /// Leadership is being handed over: to be asked again of the next leader, or of this one when the
    /// transfer has failed.
    #[error("leadership is being handed to node {}", to.0)]
    Transferring {
        /// To whom.
        to: NodeId,
    },
    /// The body is larger than `value_bytes_max`.
    #[error("the proposal has {bytes} bytes, {bytes_max} are allowed")]
    TooLarge {
        /// The size of the body.
        bytes: usize,
        /// The bound from the configuration.
        bytes_max: usize,
    },
    /// [`Slot::MAX`] is reached.
    #[error("no slot is left")]
    SlotExhausted,
}

/// Why [`Paxos::read`](crate::Paxos::read) refused a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Only a leader can confirm reads. Holds the leader, if known.
    #[error("this node does not lead")]
    NotLeader(Option<NodeId>),
    /// `reads_max` is reached.
    #[error("too many reads are pending")]
    Busy,
    /// A pending read has the same id; an id must not be used twice.
    #[error("a read with this id is already pending")]
    Duplicate,
    /// This node waits to be added, and does not know whom to ask.
    #[error("the acceptors are not known yet")]
    NoMembers,
}

/// Why [`Paxos::read_by_lease`](crate::Paxos::read_by_lease) answered no read. A read that is confirmed by a
/// quorum ([`Paxos::read`](crate::Paxos::read)) may still succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NoLease {
    /// Only a leader holds a lease. The one this node follows, if any.
    #[error("this node does not lead")]
    NotLeader(Option<NodeId>),
    /// [`Config::lease`](crate::Config::lease) is not set.
    #[error("no lease is configured")]
    NotConfigured,
    /// It has invited another node to lead, and uses no lease again in this ballot.
    #[error("this leader has offered its leadership to another node")]
    Transferred,
    /// It does not know yet all that earlier leaders have chosen, or who accepts in a configuration that
    /// comes into force.
    #[error("what was chosen before is not yet known")]
    NotReady,
    /// No quorum has granted it yet, or it has run out.
    #[error("no quorum has granted a lease, or it has run out")]
    NotHeld,
}

/// Why [`Paxos::transfer`](crate::Paxos::transfer) began nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// Only a leader hands leadership over. The one this node follows, if any.
    #[error("this node does not lead")]
    NotLeader(Option<NodeId>),
    /// The target is this node itself.
    #[error("this node leads already")]
    Itself,
    /// The target is not in the group.
    #[error("node {} is no acceptor", .0.0)]
    NotAnAcceptor(NodeId),
    /// A transfer to this node is under way.
    #[error("leadership is being handed to node {}", to.0)]
    UnderWay {
        /// To whom.
        to: NodeId,
    },
    /// Nobody, or not the one that was named, is in contact and has space on its disk.
    #[error("no suitable node is in contact")]
    Unsuitable,
}

/// Why [`Paxos::change_membership`](crate::Paxos::change_membership) began nothing, or
/// [`Paxos::abort_change`](crate::Paxos::abort_change) ended nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// Only a leader changes the group. The one this node follows, if any.
    #[error("this node does not lead")]
    NotLeader(Option<NodeId>),
    /// Another change is under way.
    #[error("another change is under way")]
    UnderWay,
    /// Leadership is being handed over.
    #[error("leadership is being handed to node {}", to.0)]
    Transferring {
        /// To whom.
        to: NodeId,
    },
    /// This leader does not know yet all that its predecessors chose, or does not know the group.
    #[error("the leader does not know yet what was decided before it")]
    NotReady,
    /// No quorum has space for what a change writes.
    #[error("no quorum has space")]
    Full,
    /// Before and after the change together there are more than
    /// [`Membership::NODES_MAX`](crate::Membership::NODES_MAX) nodes.
    #[error("more members than a group may have")]
    TooManyNodes,
    /// The node was removed, or a higher id was given before: its id is never admitted again.
    #[error("node {} was removed, or is older than a member: it needs a new id", node.0)]
    Readmitted {
        /// The node.
        node: NodeId,
    },
    /// The target breaks a rule.
    #[error(transparent)]
    Invalid(MembershipError),
    /// To be aborted it is too late: the configuration is proposed, and may be chosen whatever this
    /// node does. Another change leads back.
    #[error("the configuration is proposed, and only another change leads back")]
    Proposed,
    /// There is no change to abort.
    #[error("no change is under way")]
    Nothing,
}

impl From<MembershipError> for ChangeError {
    fn from(error: MembershipError) -> Self {
        match error {
            MembershipError::TooManyNodes => Self::TooManyNodes,
            MembershipError::Readmitted { node } => Self::Readmitted { node },
            error => Self::Invalid(error),
        }
    }
}

/// Why an accepted request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The node stopped leading before it could confirm the read. Holds the new leader, if known.
    #[error("this node no longer leads")]
    NotLeader(Option<NodeId>),
    /// In four of the longest election timeouts no quorum has answered, or what acceptors have voted for was not
    /// chosen.
    #[error("no quorum has answered, or what it has voted for was not chosen in time")]
    Unanswered,
    /// The node no longer takes part.
    #[error("this node has stopped")]
    Stopped,
}

/// Why a [`Fetch`](crate::Fetch) failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The log no longer holds the range; it begins after `start`.
    #[error("the log begins after {}", start.0)]
    Cut {
        /// The last slot that was compacted away.
        start: Slot,
    },
    /// The log could not be read this time. The fetch is repeated at the rate of heartbeats.
    #[error("the log could not be read")]
    Unavailable,
}

/// Why a node cannot start. `E` is the storage's own error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError<E> {
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The storage failed while its votes were read.
    #[error("the log could not be read: {0}")]
    Storage(E),
    /// The log has a vote or a start, but no promise is stored: a node that forgot its promise
    /// could vote against it.
    #[error("a log without a promise")]
    PromiseMissing,
    /// The promise is below a vote's ballot, or beyond [`Ballot::ROUND_MAX`](crate::Ballot::ROUND_MAX).
    #[error("the promise does not fit the log")]
    BallotOutOfRange,
    /// A vote is not after the one before it, is too far beyond the chosen prefix, or is for an
    /// invalid value.
    #[error("the vote for slot {} does not fit the log", slot.0)]
    Misplaced {
        /// The slot of the vote.
        slot: Slot,
    },
    /// The log begins after a position that no snapshot covers.
    #[error("the log begins after {} and no snapshot reaches it", start.0)]
    SnapshotMissing {
        /// The log begins after this slot.
        start: Slot,
    },
    /// The snapshot and the start of the log name the same slot with different origins.
    #[error("snapshot and log disagree about slot {}", slot.0)]
    SnapshotConflict {
        /// The slot that both name.
        slot: Slot,
    },
}
