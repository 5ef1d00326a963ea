//! The half of the runtime that depends on the user's machine. It does no I/O except for reading
//! and writing the snapshot files that it is given.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use synod_wal::{GroupId, Snapshot, SnapshotError};

use crate::body::{self, Name};
use crate::log::SnapshotStore;
use crate::machine::{Applying, Failure, Reason, StateMachine, Ticket};
use crate::protocol::{Kind, Position};
use crate::time::Instant;

mod names;

pub(crate) use names::encode as encode_names;

/// A step of the applier. Jobs run in order, and every answer to a caller is one of them; so a read
/// needs no waiting, as it comes after what it must see.
pub enum Job<T> {
    /// Apply an entry and answer the requests for its commands, by their position.
    Apply {
        /// The position of the entry.
        at: Position,
        /// The kind of the entry.
        kind: Kind,
        /// The bytes of the entry.
        body: Bytes,
        /// One ticket for each command that this node proposed; `None` if nobody waits any more.
        tickets: Vec<Option<T>>,
        /// A snapshot restored since they were proposed may cover the commands, so a name that does
        /// not rise proves nothing.
        in_doubt: bool,
    },
    /// Continue an entry of which some commands are applied.
    Resume(Rest<T>),
    /// Let a ticket read the machine, which has all that had ended at this moment of the node's clock.
    Read(T, Option<Instant>),
    /// End a request without a response.
    Fail(T, Failure),
    /// Take the state, to be written as a snapshot.
    Freeze,
    /// Restart from a snapshot whose file is durable here.
    Restore(Snapshot),
}

impl<T> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apply { at, kind, body, .. } => {
                write!(f, "Apply({}, {kind:?}, {} bytes)", at.index, body.len())
            }
            Self::Resume(rest) => write!(f, "Resume({})", rest.at.index),
            Self::Read(..) => f.write_str("Read"),
            Self::Fail(_, failure) => write!(f, "Fail({failure:?})"),
            Self::Freeze => f.write_str("Freeze"),
            Self::Restore(snapshot) => write!(f, "Restore({})", snapshot.index),
        }
    }
}

/// The rest of an entry whose first commands are applied.
pub struct Rest<T> {
    at: Position,
    commands: Bytes,
    /// The position of the first command left.
    offset: u32,
    tickets: VecDeque<Option<T>>,
}

impl<T> fmt::Debug for Rest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rest({}, from {})", self.at.index, self.offset)
    }
}

/// How far a job was done.
#[derive(Debug)]
pub enum Ran<T> {
    /// Completely, with its result.
    Whole(Option<Done>),
    /// In part: this job must run next, before any other.
    Left(Job<T>),
    /// Not at all, because a resource ran out, such as file descriptors. It must be retried later,
    /// before any other job.
    Later(Job<T>, SnapshotError),
}

/// An immutable state, and how to write it.
pub struct Frozen {
    /// The snapshot's index, tag and membership.
    pub snapshot: Snapshot,
    #[expect(clippy::type_complexity, reason = "it is named here and nowhere else")]
    write: Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>,
}

impl Frozen {
    /// Writes the snapshot's body.
    ///
    /// # Errors
    /// Errors of the writer.
    pub fn write(self, to: &mut dyn Write) -> io::Result<()> {
        (self.write)(to)
    }
}

impl fmt::Debug for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frozen")
            .field("snapshot", &self.snapshot)
            .finish_non_exhaustive()
    }
}

/// The result of a job.
#[derive(Debug)]
pub enum Done {
    /// The state covers everything up to this index.
    Applied(u64),
    /// The state covers everything up to this index, but the entry there was skipped although a
    /// ticket waited for it: an equal or higher name of this node was applied before, which another
    /// incarnation used.
    NameUsed {
        /// The index of the entry.
        index: u64,
        /// The name of this node that was applied last.
        last: Name,
    },
    /// A state was taken.
    Frozen(Frozen),
}

/// Why the applier stopped. Its group is then closed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The core delivered entries with a gap: a bug in the core.
    #[error("entry {found} was to be applied after {applied}")]
    Gap {
        /// The last index applied.
        applied: u64,
        /// The index that came.
        found: u64,
    },
    /// A snapshot cannot be opened.
    #[error("snapshot {index} cannot be opened")]
    Open {
        /// The index of the snapshot.
        index: u64,
        /// Why it cannot be opened.
        source: SnapshotError,
    },
    /// A snapshot does not hold a valid state of this machine.
    #[error("snapshot {index} cannot be restored")]
    Restore {
        /// The index of the snapshot.
        index: u64,
        /// Why it cannot be restored.
        source: io::Error,
    },
}

/// The user's machine, with the replicated state that the runtime keeps beside it.
///
/// # Invariants
/// - Applied positions rise without gaps; a restore may skip ahead.
/// - The applied names of each node rise, so a duplicate or overtaken proposal is dropped, in the
///   same way on every node: `names` is part of the state and precedes the machine in the snapshot.
pub struct Applier<S> {
    group: GroupId,
    machine: S,
    at: Position,
    membership: Bytes,
    /// For each node, the incarnation and sequence number applied last.
    names: BTreeMap<u64, (u64, u64)>,
    repeats: u64,
    snapshots: Arc<dyn SnapshotStore>,
}

impl<S: fmt::Debug> fmt::Debug for Applier<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Applier")
            .field("machine", &self.machine)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl<S: StateMachine> Applier<S> {
    /// An applier of an empty log. For a log that begins later, run a [`Job::Restore`] first.
    pub fn new(
        group: GroupId,
        machine: S,
        membership: Bytes,
        snapshots: Arc<dyn SnapshotStore>,
    ) -> Self {
        let at = Position::default();
        Self {
            group,
            machine,
            at,
            membership,
            names: BTreeMap::new(),
            repeats: 0,
            snapshots,
        }
    }

    /// The machine.
    pub fn machine(&self) -> &S {
        &self.machine
    }

    /// The machine, out of the applier.
    pub(crate) fn into_machine(self) -> S {
        self.machine
    }

    /// The position of the last entry applied.
    pub(crate) const fn position(&self) -> Position {
        self.at
    }

    /// The last index applied.
    pub fn applied(&self) -> u64 {
        self.at.index
    }

    /// Entries dropped because their name had been applied or overtaken.
    pub fn repeats(&self) -> u64 {
        self.repeats
    }

    /// Runs one job completely.
    ///
    /// # Errors
    /// If a snapshot cannot be restored, also for want of a file descriptor; the applier must not
    /// be used again.
    pub fn run<T: Ticket<S>>(&mut self, job: Job<T>) -> Result<Option<Done>, ApplyError> {
        let mut job = job;
        loop {
            match self.run_within(job, &mut |_| true)? {
                Ran::Whole(done) => return Ok(done),
                Ran::Left(rest) => job = rest,
                Ran::Later(job, source) => {
                    let index = match job {
                        Job::Restore(snapshot) => snapshot.index,
                        _ => self.at.index,
                    };
                    return Err(ApplyError::Open { index, source });
                }
            }
        }
    }

    /// Runs one job, or as much of it as `goes_on` allows, which is called after each command with
    /// the command's length in bytes, and after any other job. At least one command is applied; a
    /// command is never interrupted.
    ///
    /// # Errors
    /// If a snapshot cannot be restored; the applier must not be used again.
    pub fn run_within<T: Ticket<S>>(
        &mut self,
        job: Job<T>,
        goes_on: &mut dyn FnMut(usize) -> bool,
    ) -> Result<Ran<T>, ApplyError> {
        let done = match job {
            Job::Apply {
                at,
                kind,
                body,
                tickets,
                in_doubt,
            } => {
                if at.index != self.at.index + 1 {
                    return Err(ApplyError::Gap {
                        applied: self.at.index,
                        found: at.index,
                    });
                }
                match kind {
                    Kind::Noop => {}
                    Kind::Membership => self.membership = body,
                    Kind::Commands if self.is_new(&body) => {
                        let rest = Rest {
                            at,
                            commands: body::after_name(&body),
                            offset: 0,
                            tickets: tickets.into(),
                        };
                        return Ok(self.apply(rest, goes_on));
                    }
                    Kind::Commands => {
                        self.at = at;
                        let done = self.pass_over(at.index, &body, tickets, in_doubt);
                        goes_on(0);
                        return Ok(Ran::Whole(Some(done)));
                    }
                }
                self.at = at;
                Some(Done::Applied(at.index))
            }
            Job::Resume(rest) => return Ok(self.apply(rest, goes_on)),
            Job::Read(ticket, fresh) => {
                ticket.read(&self.machine, fresh);
                None
            }
            Job::Fail(ticket, failure) => {
                ticket.failed(failure);
                None
            }
            Job::Freeze => Some(Done::Frozen(self.freeze())),
            Job::Restore(snapshot) => {
                let index = snapshot.index;
                match self.snapshots.open(self.group, index) {
                    Ok((found, body)) => self.restore(found, body)?,
                    Err(full @ SnapshotError::Full) => {
                        return Ok(Ran::Later(Job::Restore(snapshot), full));
                    }
                    Err(source) => return Err(ApplyError::Open { index, source }),
                }
                Some(Done::Applied(self.at.index))
            }
        };
        goes_on(0);
        Ok(Ran::Whole(done))
    }

    /// Whether the name of a body rises; it then becomes the last one of its node.
    fn is_new(&mut self, body: &[u8]) -> bool {
        let Some(name) = body::name(body) else {
            return false;
        };
        let last = self.names.entry(name.node).or_default();
        if (name.incarnation, name.sequence) <= *last {
            self.repeats += 1;
            return false;
        }
        *last = (name.incarnation, name.sequence);
        true
    }

    /// Skips a body whose name does not rise. Its tickets are rejected, or end as unknown if a
    /// snapshot may have applied the commands.
    fn pass_over<T: Ticket<S>>(
        &self,
        index: u64,
        body: &[u8],
        tickets: Vec<Option<T>>,
        in_doubt: bool,
    ) -> Done {
        let (reason, leader) = (Reason::NameUsed, None);
        let failure = if in_doubt {
            Failure::Unknown
        } else {
            Failure::Rejected { reason, leader }
        };
        let mut is_awaited = false;
        for ticket in tickets.into_iter().flatten() {
            ticket.failed(failure);
            is_awaited = true;
        }
        let node = body::name(body).map_or(0, |name| name.node);
        match self.names.get(&node) {
            Some(&(incarnation, sequence)) if is_awaited && !in_doubt => {
                let last = Name {
                    node,
                    incarnation,
                    sequence,
                };
                Done::NameUsed { index, last }
            }
            _ => Done::Applied(index),
        }
    }

    fn apply<T: Ticket<S>>(
        &mut self,
        mut rest: Rest<T>,
        goes_on: &mut dyn FnMut(usize) -> bool,
    ) -> Ran<T> {
        let index = rest.at.index;
        while let Some(command) = body::split_command(&mut rest.commands) {
            let offset = rest.offset;
            let len = command.len();
            let response = self.machine.apply(Applying { index, offset }, command);
            rest.offset += 1;
            if let Some(ticket) = rest.tickets.pop_front().flatten() {
                ticket.applied(response);
            }
            if !goes_on(len) && !rest.commands.is_empty() {
                return Ran::Left(Job::Resume(rest));
            }
        }
        self.at = rest.at;
        Ran::Whole(Some(Done::Applied(index)))
    }

    fn freeze(&self) -> Frozen {
        let snapshot = Snapshot {
            index: self.at.index,
            tag: self.at.tag,
            meta: self.membership.clone(),
        };
        let (names, machine) = (names::encode(&self.names), self.machine.freeze());
        let write = Box::new(move |to: &mut dyn Write| {
            to.write_all(&names)?;
            S::write(machine, to)
        });
        Frozen { snapshot, write }
    }

    fn restore(&mut self, found: Snapshot, mut body: impl Read) -> Result<(), ApplyError> {
        let index = found.index;
        let failed = |source| ApplyError::Restore { index, source };
        self.names = names::decode(&mut body).map_err(failed)?;
        self.machine.restore(&mut body).map_err(failed)?;
        self.at = Position {
            index,
            tag: found.tag,
        };
        self.membership = found.meta;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
