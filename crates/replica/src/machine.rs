//! What a user replicates, and how its requests end.

use std::error::Error;
use std::fmt;
use std::io;

use bytes::Bytes;
use synod_transport::NodeId;

/// Where a command stands in the order of all commands: the same on every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Applying {
    /// The entry's index in the log.
    pub index: u64,
    /// The command's place in that entry, from 0: several commands share an index.
    pub offset: u32,
}

/// A deterministic state machine: the same commands in the same order give the same state and the
/// same responses.
///
/// No clock, no randomness, no outside: what a command needs of those it must carry.
///
/// ```
/// use std::io::{self, Read, Write};
/// use synod_replica::{Applying, Bytes, StateMachine};
///
/// #[derive(Default)]
/// struct Counter(u64);
///
/// impl StateMachine for Counter {
///     type Response = u64;
///     type Frozen = u64;
///     fn apply(&mut self, _: Applying, command: Bytes) -> u64 {
///         self.0 += u64::from(command.first().copied().unwrap_or(1));
///         self.0
///     }
///     fn freeze(&self) -> u64 { self.0 }
///     fn write(frozen: u64, to: &mut dyn Write) -> io::Result<()> { to.write_all(&frozen.to_le_bytes()) }
///     fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
///         let mut bytes = [0; 8];
///         from.read_exact(&mut bytes)?;
///         self.0 = u64::from_le_bytes(bytes);
///         Ok(())
///     }
/// }
/// ```
pub trait StateMachine: Send + 'static {
    /// What a command gives back to whoever proposed it.
    type Response: Send + 'static;
    /// Contents that no longer change: cheap to take (a persistent map, an `Arc`, at worst a
    /// clone), written elsewhere while commands go on being applied.
    type Frozen: Send + 'static;

    /// Applies a command. It was committed: it cannot be refused, only answered. Bytes that are no
    /// command of this machine must be answered, the same way on every node.
    ///
    /// The bytes are shared with the entry that they came in: a machine that keeps a slice of them keeps
    /// the whole entry in memory, so what is small and kept for long is better copied.
    fn apply(&mut self, at: Applying, command: Bytes) -> Self::Response;
    /// The state as of now.
    fn freeze(&self) -> Self::Frozen;
    /// Writes what [`restore`](Self::restore) reads.
    ///
    /// # Errors
    /// The writer's.
    fn write(frozen: Self::Frozen, to: &mut dyn io::Write) -> io::Result<()>;
    /// Replaces the state.
    ///
    /// # Errors
    /// The reader's, or bytes that are no state of this machine; the node then stops.
    fn restore(&mut self, from: &mut dyn io::Read) -> io::Result<()>;
}

/// Why a request surely did not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// This node does not lead, and the request could not be handed to the one that does.
    NotLeader,
    /// A bound is hit: of memory, of requests under way, of entries not yet committed.
    Busy,
    /// The command is over the size limit.
    TooLarge,
    /// The deadline passed before the request left this node.
    Expired,
    /// The log has no space.
    Full,
    /// The node has stopped on a storage fault and serves nothing until it is restarted.
    Poisoned,
    /// The group has stopped because its machine cannot go on; see [`Closed`](crate::Closed).
    Machine,
    /// The group has stopped because what it holds contradicts what was decided.
    Diverged,
    /// The node has stopped because its transport ended.
    Transport,
    /// The node's loop has panicked.
    Panicked,
    /// The node is shutting down.
    Shutdown,
    /// A later proposal of this node overtook it, so it can never be applied.
    Overtaken,
    /// In this node's name an incarnation has spoken that is not this one, and has used its names: it runs on a
    /// disk that was put back, or on one of two copies. What this incarnation proposes can never be applied.
    NameUsed,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotLeader => "not leader",
            Self::Busy => "busy",
            Self::TooLarge => "too large",
            Self::Expired => "expired",
            Self::Full => "no space",
            Self::Poisoned => "poisoned",
            Self::Machine => "the machine has stopped",
            Self::Diverged => "diverged",
            Self::Transport => "the transport has ended",
            Self::Panicked => "the node has panicked",
            Self::Shutdown => "shutting down",
            Self::Overtaken => "overtaken",
            Self::NameUsed => "another incarnation of this node has used its name",
        })
    }
}

/// How a request ended that has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It did not happen and never will; trying again is safe.
    Rejected {
        /// Why.
        reason: Reason,
        /// Who is believed to lead.
        leader: Option<NodeId>,
    },
    /// It may have happened, may yet happen, or may never: its deadline passed, or the leader that
    /// had it is gone.
    Unknown,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected { reason, leader } => {
                write!(f, "the request was rejected: {reason}")?;
                leader.map_or(Ok(()), |leader| write!(f, "; node {} leads", leader.0))
            }
            Self::Unknown => f.write_str("whether the request took effect is unknown"),
        }
    }
}

impl Error for Failure {}

/// Who waits for a request. Moved from request to outcome and never copied: one request, one
/// outcome. A ticket that is dropped says [`Failure::Unknown`].
pub trait Ticket<S: StateMachine>: Send + 'static {
    /// The proposal was applied.
    fn applied(self, response: S::Response);
    /// The read may look at the machine.
    fn read(self, machine: &S);
    /// The request ended without a response.
    fn failed(self, failure: Failure);
}
