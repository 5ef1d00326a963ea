use crate::NodeId;

/// Why a quorum system was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuorumError {
    /// There must be an acceptor.
    #[error("there are no acceptors")]
    Empty,
    /// More than [`Quorums::ACCEPTORS_MAX`](crate::Quorums::ACCEPTORS_MAX).
    #[error("more acceptors than a quorum system may have")]
    TooMany,
    /// An acceptor has one weight, and one place in a grid.
    #[error("{acceptor} is named twice")]
    Repeated {
        /// The acceptor.
        acceptor: NodeId,
    },
    /// Whoever weighs nothing is no acceptor.
    #[error("{acceptor} has weight zero")]
    ZeroWeight {
        /// The acceptor.
        acceptor: NodeId,
    },
    /// The weights must have a sum.
    #[error("the sum of the weights is above 2^64 - 1")]
    Overflow,
    /// A row without acceptors would be a quorum of nobody.
    #[error("a row of the grid is empty")]
    EmptyRow,
    /// A quorum of all acceptors would not be enough.
    #[error("all acceptors together are not a quorum")]
    Unreachable,
    /// A phase-1 quorum need not meet a phase-2 quorum, so two values could be chosen.
    #[error("a quorum of phase 1 need not meet one of phase 2")]
    NoIntersection,
}

/// Why bytes are not a quorum system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuorumDecodeError {
    /// Written by a later version.
    #[error("unknown version {version}")]
    Version {
        /// What the first byte says.
        version: u8,
    },
    /// Neither weights nor a grid.
    #[error("unknown kind {kind}")]
    Kind {
        /// What the second byte says.
        kind: u8,
    },
    /// Too short, or bytes are left over.
    #[error("the length does not fit the content")]
    Length,
    /// Acceptors must ascend, and rows be numbered as they come.
    #[error("acceptors or rows are out of order")]
    Order,
    /// No such system is lawful.
    #[error(transparent)]
    Unlawful(#[from] QuorumError),
}
