//! The state machine that a user replicates, and the outcomes of its requests.

use std::error::Error;
use std::fmt;
use std::io;

use bytes::Bytes;
use synod_transport::NodeId;

use crate::time::Instant;

/// The position of a command in the total order, the same on every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Applying {
    /// The index of the entry in the log.
    pub index: u64,
    /// The position of the command within its entry, from 0: several commands may share an index.
    pub offset: u32,
}

/// A deterministic state machine: the same commands in the same order produce the same state and
/// the same responses.
///
/// It must not read a clock, draw random numbers or look at anything outside itself; a command
/// carries whatever it needs of those.
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
    /// The result of a command, returned to the caller that proposed it.
    type Response: Send + 'static;
    /// An immutable view of the state: cheap to take (a persistent map, an `Arc`, at worst a
    /// clone), and written on another thread while further commands are applied.
    type Frozen: Send + 'static;

    /// Applies a command. It is committed, so it cannot be refused. Bytes that are no valid command
    /// must be answered too, in the same way on every node.
    ///
    /// The bytes share the memory of their whole entry, and a slice that is kept keeps all of it
    /// alive: copy what is small and kept for long.
    fn apply(&mut self, at: Applying, command: Bytes) -> Self::Response;
    /// Takes a view of the current state.
    fn freeze(&self) -> Self::Frozen;
    /// Writes a state in the form that [`restore`](Self::restore) reads.
    ///
    /// # Errors
    /// Errors of the writer.
    fn write(frozen: Self::Frozen, to: &mut dyn io::Write) -> io::Result<()>;
    /// Replaces the state with one that [`write`](Self::write) has written.
    ///
    /// # Errors
    /// Errors of the reader, or bytes that are no valid state of this machine. The group then
    /// stops.
    fn restore(&mut self, from: &mut dyn io::Read) -> io::Result<()>;
}

/// Why a request did not take effect and never will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// This node is not the leader and could not forward the request to the leader.
    NotLeader,
    /// A bound is reached: of memory, of requests in progress, or of uncommitted entries.
    Busy,
    /// The command exceeds the size limit.
    TooLarge,
    /// The deadline passed before the request left this node.
    Expired,
    /// The log has no space left.
    Full,
    /// The node has stopped because of a storage fault and serves nothing until it is restarted.
    Poisoned,
    /// The group has stopped because its machine failed; see [`Closed`](crate::Closed).
    Machine,
    /// The group has stopped because its state contradicts what was decided.
    Diverged,
    /// This node was removed from the group: ask another.
    Removed,
    /// The node has stopped because its transport ended.
    Transport,
    /// The node's loop panicked.
    Panicked,
    /// The node is shutting down.
    Shutdown,
    /// A later proposal of this node was applied first, so this one can never be applied.
    Overtaken,
    /// Another incarnation of this node, started from a restored disk or from a copy of it, has
    /// proposed commands under this node's name. What this incarnation proposes can never be
    /// applied.
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
            Self::Removed => "this node was removed from the group",
            Self::Transport => "the transport has ended",
            Self::Panicked => "the node has panicked",
            Self::Shutdown => "shutting down",
            Self::Overtaken => "overtaken",
            Self::NameUsed => "another incarnation of this node has used its name",
        })
    }
}

/// How a request without a response ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The request did not take effect and never will; retrying is safe.
    Rejected {
        /// Why it was rejected.
        reason: Reason,
        /// The node believed to be the leader, if known.
        leader: Option<NodeId>,
    },
    /// The request may have taken effect, may yet, or may never: its deadline passed, or the leader
    /// that handled it is gone.
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

/// The receiver of a request's outcome. It is moved, never copied, so each request has exactly one
/// outcome. A dropped ticket reports [`Failure::Unknown`].
pub trait Ticket<S: StateMachine>: Send + 'static {
    /// The proposal was applied.
    fn applied(self, response: S::Response);
    /// The read may look at the machine, which has every write that had ended at the moment `fresh`, if one
    /// is known, of the clock that the engine is given.
    fn read(self, machine: &S, fresh: Option<Instant>);
    /// The request ended without a response.
    fn failed(self, failure: Failure);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fenced::{Ended, FencedReply, ReignId};
    use crate::sessions::{Next, SessionRefusal};

    /// Whether a table of `docs/answers.md` has a row for it.
    fn has_row(cells: &[&str]) -> bool {
        let mut rows = include_str!("../../../docs/answers.md").lines();
        rows.any(|row| {
            let row: Vec<_> = row.split('|').map(str::trim).collect();
            row.get(1..=cells.len()) == Some(cells)
        })
    }

    fn name(of: impl fmt::Debug) -> String {
        let name = format!("{of:?}");
        let end = name.find([' ', '(', '{']).unwrap_or(name.len());
        format!("`{}`", &name[..end])
    }

    /// The one before it; all of them in a row, so that none is forgotten when one is added.
    fn before(reason: Reason) -> Option<Reason> {
        Some(match reason {
            Reason::NotLeader => return None,
            Reason::Busy => Reason::NotLeader,
            Reason::TooLarge => Reason::Busy,
            Reason::Expired => Reason::TooLarge,
            Reason::Full => Reason::Expired,
            Reason::Poisoned => Reason::Full,
            Reason::Machine => Reason::Poisoned,
            Reason::Diverged => Reason::Machine,
            Reason::Removed => Reason::Diverged,
            Reason::Transport => Reason::Removed,
            Reason::Panicked => Reason::Transport,
            Reason::Shutdown => Reason::Panicked,
            Reason::Overtaken => Reason::Shutdown,
            Reason::NameUsed => Reason::Overtaken,
        })
    }

    #[test]
    fn the_table_of_answers_names_every_reason_in_its_words() {
        let reasons: Vec<_> =
            std::iter::successors(Some(Reason::NameUsed), |reason| before(*reason)).collect();
        assert_eq!(reasons.len(), 14);
        for reason in reasons {
            let cells = [&*name(reason), &*reason.to_string()];
            assert!(has_row(&cells), "no row for {cells:?}");
        }
        for failure in [
            Failure::Unknown,
            Failure::Rejected {
                reason: Reason::Busy,
                leader: None,
            },
        ] {
            let (cell, word) = match failure {
                Failure::Unknown => ("`Failure::Unknown`", "`UNKNOWN`"),
                Failure::Rejected { .. } => ("`Failure::Rejected`", "`REJECTED`"),
            };
            assert!(has_row(&[cell, word]), "no row for {failure:?}");
        }
    }

    #[test]
    fn the_table_of_answers_names_every_end_of_decorated_requests() {
        let id = ReignId(1);
        for reply in [
            FencedReply::TookOver(id),
            FencedReply::Applied(()),
            FencedReply::Deposed(id),
            FencedReply::OutOfOrder,
            FencedReply::Malformed,
        ] {
            // Whoever adds one adds it above.
            match reply {
                FencedReply::TookOver(_)
                | FencedReply::Applied(())
                | FencedReply::Deposed(_)
                | FencedReply::OutOfOrder
                | FencedReply::Malformed => {}
            }
            assert!(has_row(&[&name(reply)]), "no row for {reply:?}");
        }
        for refusal in [
            SessionRefusal::Expired,
            SessionRefusal::ReplyGone,
            SessionRefusal::Behind,
            SessionRefusal::Malformed,
        ] {
            let word = match refusal {
                SessionRefusal::Expired => "`NOSESSION`",
                SessionRefusal::ReplyGone => "`NOREPLY`",
                SessionRefusal::Behind => "`BEHIND`",
                SessionRefusal::Malformed => "`ERR`",
            };
            assert!(has_row(&[&name(refusal), word]), "no row for {refusal:?}");
        }
        let text = include_str!("../../../docs/answers.md");
        for ended in [Ended::Deposed(id), Ended::NotApplied, Ended::Unknown] {
            let name = name(ended).replacen('`', "`Ended::", 1);
            assert!(text.contains(&name), "no word of {name}");
        }
        for next in [
            Next::Answered,
            Next::AskAgain,
            Next::NotApplied,
            Next::Applied,
            Next::Lost,
        ] {
            let name = name(next).replacen('`', "`Next::", 1);
            assert!(text.contains(&name), "no word of {name}");
        }
    }
}
