use crate::NodeId;

/// Why a quorum system was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuorumError {
    /// There must be at least one acceptor.
    #[error("there are no acceptors")]
    Empty,
    /// More than [`Quorums::ACCEPTORS_MAX`](crate::Quorums::ACCEPTORS_MAX).
    #[error("more acceptors than a quorum system allows")]
    TooMany,
    /// An acceptor has only one weight, or one place in a grid.
    #[error("acceptor {acceptor} occurs twice")]
    Repeated {
        /// The acceptor that occurs twice.
        acceptor: NodeId,
    },
    /// An acceptor without weight could never contribute to a quorum.
    #[error("acceptor {acceptor} has weight zero")]
    ZeroWeight {
        /// The acceptor with weight zero.
        acceptor: NodeId,
    },
    /// The sum of the weights must fit a `u64`.
    #[error("the sum of the weights is above 2^64 - 1")]
    Overflow,
    /// An empty row would be a quorum without acceptors.
    #[error("a row of the grid is empty")]
    EmptyRow,
    /// Even all acceptors together would not be a quorum.
    #[error("all acceptors together are not a quorum")]
    Unreachable,
    /// A phase-1 quorum need not intersect a phase-2 quorum, so two values could be chosen.
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
        /// The first byte.
        version: u8,
    },
    /// Neither weights nor a grid.
    #[error("unknown kind {kind}")]
    Kind {
        /// The second byte.
        kind: u8,
    },
    /// Too short, or bytes are left over.
    #[error("the length does not fit the content")]
    Length,
    /// Acceptors must ascend, and rows must be numbered in order of appearance.
    #[error("acceptors or rows are out of order")]
    Order,
    /// The decoded system is invalid.
    #[error(transparent)]
    Unlawful(#[from] QuorumError),
}
