use crate::{ConfigError, Index, MembershipError, NodeId};

/// Why [`Raft::propose`](crate::Raft::propose) refused a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ProposeError {
    /// This node is not the leader. The leader it knows, if any, may have changed since.
    #[error("this node does not lead")]
    NotLeader(Option<NodeId>),
    /// `uncommitted_bytes_max` is reached: peers or the disk cannot keep up.
    #[error("too many bytes wait to be committed")]
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
    /// The body is larger than `entry_bytes_max`.
    #[error("the proposal has {bytes} bytes, {bytes_max} are allowed")]
    TooLarge {
        /// The size of the body.
        bytes: usize,
        /// The bound from the configuration.
        bytes_max: usize,
    },
    /// The log has reached [`Index::MAX`].
    #[error("no index is left")]
    IndexExhausted,
}

/// Why [`Raft::read`](crate::Raft::read) refused a read.
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
}

/// Why [`Raft::transfer`](crate::Raft::transfer) began nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// Only a leader hands leadership over. The one this node follows, if any.
    #[error("this node does not lead")]
    NotLeader(Option<NodeId>),
    /// The target is this node itself.
    #[error("this node leads already")]
    Itself,
    /// The target has no vote.
    #[error("node {} is no voter", .0.0)]
    NotAVoter(NodeId),
    /// The target is a witness: it lacks the commands.
    #[error("node {} is a witness", .0.0)]
    Witness(NodeId),
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

/// Why [`Raft::change_membership`](crate::Raft::change_membership) or
/// [`Raft::abort_change`](crate::Raft::abort_change) began nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// Only a leader changes the membership. The one this node follows, if any.
    #[error("this node does not lead")]
    NotLeader(Option<NodeId>),
    /// Another change is under way.
    #[error("another change of membership is under way")]
    UnderWay,
    /// This leader has committed nothing in its term yet, or not the last membership.
    #[error("the last membership, or the first entry of this leader, is not committed yet")]
    NotReady,
    /// Leadership is being handed over.
    #[error("leadership is being handed to node {}", to.0)]
    Transferring {
        /// To whom.
        to: NodeId,
    },
    /// Nobody would vote.
    #[error("no voter would be left")]
    NoVoters,
    /// More than [`Membership::NODES_MAX`](crate::Membership::NODES_MAX), old and new together.
    #[error("more nodes than a membership allows")]
    TooManyNodes,
    /// The node was removed earlier, or its id is not above all that were ever given.
    #[error("id {} was given before: a new node needs a higher one", node.0)]
    Readmitted {
        /// The node.
        node: NodeId,
    },
    /// The node is a witness and is to be none, or is to become one. It would need another id.
    #[error("node {} stays a witness or none: to change that, it needs another id", node.0)]
    OtherKind {
        /// The node.
        node: NodeId,
    },
    /// What is wrong with the target otherwise.
    #[error("{0}")]
    Invalid(MembershipError),
    /// This node's disk is full, or so many others are that no quorum could store it.
    #[error("no quorum has space")]
    Full,
    /// The log has reached [`Index::MAX`].
    #[error("no index is left")]
    IndexExhausted,
    /// There is no change to abort.
    #[error("no change of membership is under way")]
    Nothing,
    /// The new membership is in the log already: only another change leads back.
    #[error("the change can no longer be aborted")]
    TooLate,
}

/// Why an accepted request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The node stopped leading before it could confirm the read. Holds the new leader, if known.
    #[error("this node no longer leads")]
    NotLeader(Option<NodeId>),
}

/// Why a [`Fetch`](crate::Fetch) failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The log no longer holds the range; it begins after `start`.
    #[error("the log begins after {}", start.0)]
    Cut {
        /// The last index that was compacted away.
        start: Index,
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
    /// The storage failed while its entries were read.
    #[error("the log could not be read: {0}")]
    Storage(E),
    /// The log has an entry or a start, but no term is stored: a node that forgot its vote could
    /// vote twice.
    #[error("a log without a term and vote")]
    VoteMissing,
    /// The stored term is behind an entry's, or beyond [`Term::MAX`](crate::Term::MAX).
    #[error("the stored term does not fit the log")]
    TermOutOfRange,
    /// An entry does not follow the one before it.
    #[error("the entry at {} does not follow the one before it", index.0)]
    NotContiguous {
        /// The index of the entry that does not follow.
        index: Index,
    },
    /// A membership entry does not decode, or names no voter.
    #[error("the membership in entry {} cannot be read", index.0)]
    Membership {
        /// The index of the entry.
        index: Index,
    },
    /// The log begins after a position that no snapshot covers.
    #[error("the log begins after {} and no snapshot reaches it", start.0)]
    SnapshotMissing {
        /// The log begins after this index.
        start: Index,
    },
    /// The snapshot and the start of the log name the same index in different terms.
    #[error("snapshot and log disagree about the entry at {}", index.0)]
    SnapshotConflict {
        /// The index that both name.
        index: Index,
    },
}
