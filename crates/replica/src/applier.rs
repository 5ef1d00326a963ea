//! The half of the runtime that is typed by the user's machine. Sans-IO but for the snapshot files
//! it is handed.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use synod_wal::{GroupId, Snapshot, SnapshotError};

use crate::body;
use crate::log::SnapshotStore;
use crate::machine::{Applying, Failure, StateMachine, Ticket};
use crate::protocol::{Kind, Position};

/// What the applier does next. Jobs are done in order, and every answer to a caller leaves through
/// them: so a read needs no wait, it stands behind what it must see.
pub enum Job<T> {
    /// Apply an entry and answer those who wait for its commands, by their place.
    Apply {
        /// The entry's position.
        at: Position,
        /// What it holds.
        kind: Kind,
        /// Its bytes.
        body: Bytes,
        /// One for each command that this node proposed, `None` where nobody waits any more.
        tickets: Vec<Option<T>>,
    },
    /// Go on with an entry of which some commands are applied.
    Resume(Rest<T>),
    /// Show the machine.
    Read(T),
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
            Self::Read(_) => f.write_str("Read"),
            Self::Fail(_, failure) => write!(f, "Fail({failure:?})"),
            Self::Freeze => f.write_str("Freeze"),
            Self::Restore(snapshot) => write!(f, "Restore({})", snapshot.index),
        }
    }
}

/// What is left of an entry whose first commands are applied.
pub struct Rest<T> {
    at: Position,
    commands: Bytes,
    /// The place of the first of them.
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
    /// All of it, and this is what it brought about.
    Whole(Option<Done>),
    /// Not yet: this job is to be done next, before any other.
    Left(Job<T>),
}

/// A state that no longer changes, and how to write it.
pub struct Frozen {
    /// What it covers.
    pub snapshot: Snapshot,
    #[expect(clippy::type_complexity, reason = "it is named here and nowhere else")]
    write: Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>,
}

impl Frozen {
    /// Writes the snapshot's body.
    ///
    /// # Errors
    /// The writer's.
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

/// What a job brought about.
#[derive(Debug)]
pub enum Done {
    /// The state covers everything up to this index.
    Applied(u64),
    /// A state was taken.
    Frozen(Frozen),
}

/// Why the applier stopped. The group is then poisoned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// The core handed out entries with a gap: a broken invariant of its own.
    #[error("entry {found} was to be applied behind {applied}")]
    Gap {
        /// The last index applied.
        applied: u64,
        /// The index that came.
        found: u64,
    },
    /// A snapshot cannot be opened.
    #[error("snapshot {index} cannot be opened")]
    Open {
        /// Its index.
        index: u64,
        /// Why.
        source: SnapshotError,
    },
    /// A snapshot does not hold a state of this machine.
    #[error("snapshot {index} cannot be restored")]
    Restore {
        /// Its index.
        index: u64,
        /// Why.
        source: io::Error,
    },
}

/// A machine, and what must be remembered with it.
///
/// # Invariants
/// - Positions applied rise without a gap; a restore may leap.
/// - Of each node the names applied rise, so a repeated or overtaken proposal is dropped, on every
///   node alike: `names` is part of the state and stands in the snapshot before the machine.
pub struct Applier<S> {
    group: GroupId,
    machine: S,
    at: Position,
    membership: Bytes,
    /// Of each node, the incarnation and the sequence number applied last.
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
    /// An applier of an empty log. Whoever opens a log that begins later hands it a
    /// [`Job::Restore`] first.
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

    /// The last index applied.
    pub fn applied(&self) -> u64 {
        self.at.index
    }

    /// Entries dropped because their name had been applied or overtaken.
    pub fn repeats(&self) -> u64 {
        self.repeats
    }

    /// Does one job.
    ///
    /// # Errors
    /// When a snapshot cannot be restored; the applier must not be used again.
    pub fn run<T: Ticket<S>>(&mut self, job: Job<T>) -> Result<Option<Done>, ApplyError> {
        let mut job = job;
        loop {
            match self.run_within(job, &mut |_| true)? {
                Ran::Whole(done) => return Ok(done),
                Ran::Left(rest) => job = rest,
            }
        }
    }

    /// Does one job, or the part of it that `goes_on` allows: it is asked after each command, with the
    /// command's length in bytes, and after any other job. At least one command is applied; a command
    /// is never split.
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
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
                    Kind::Commands => {}
                }
                self.at = at;
                Some(Done::Applied(at.index))
            }
            Job::Resume(rest) => return Ok(self.apply(rest, goes_on)),
            Job::Read(ticket) => {
                ticket.read(&self.machine);
                None
            }
            Job::Fail(ticket, failure) => {
                ticket.failed(failure);
                None
            }
            Job::Freeze => Some(Done::Frozen(self.freeze())),
            Job::Restore(snapshot) => {
                self.restore(&snapshot)?;
                Some(Done::Applied(self.at.index))
            }
        };
        goes_on(0);
        Ok(Ran::Whole(done))
    }

    /// Whether the name of a body rises, which makes it the last of its node.
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

    fn apply<T: Ticket<S>>(
        &mut self,
        mut rest: Rest<T>,
        goes_on: &mut dyn FnMut(usize) -> bool,
    ) -> Ran<T> {
        let index = rest.at.index;
        while let Some(command) = body::split_command(&mut rest.commands) {
            let offset = rest.offset;
            let response = self.machine.apply(Applying { index, offset }, &command);
            rest.offset += 1;
            if let Some(ticket) = rest.tickets.pop_front().flatten() {
                ticket.applied(response);
            }
            if !goes_on(command.len()) && !rest.commands.is_empty() {
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
        let (names, machine) = (encode_names(&self.names), self.machine.freeze());
        let write = Box::new(move |to: &mut dyn Write| {
            to.write_all(&names)?;
            S::write(machine, to)
        });
        Frozen { snapshot, write }
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), ApplyError> {
        let index = snapshot.index;
        let (found, mut body) = self
            .snapshots
            .open(self.group, index)
            .map_err(|source| ApplyError::Open { index, source })?;
        let failed = |source| ApplyError::Restore { index, source };
        self.names = decode_names(&mut body).map_err(failed)?;
        self.machine.restore(&mut body).map_err(failed)?;
        self.at = Position {
            index,
            tag: found.tag,
        };
        self.membership = found.meta;
        Ok(())
    }
}

/// Version, count, then 24 bytes a node; integers little-endian.
fn encode_names(names: &BTreeMap<u64, (u64, u64)>) -> Vec<u8> {
    let mut out = vec![NAMES_VERSION];
    out.extend_from_slice(&(names.len() as u64).to_le_bytes());
    for (node, (incarnation, sequence)) in names {
        for word in [node, incarnation, sequence] {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
    out
}

fn decode_names(from: &mut dyn Read) -> io::Result<BTreeMap<u64, (u64, u64)>> {
    let mut version = [0];
    from.read_exact(&mut version)?;
    if version[0] != NAMES_VERSION {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut word = || {
        let mut bytes = [0; 8];
        from.read_exact(&mut bytes)
            .map(|()| u64::from_le_bytes(bytes))
    };
    let count = word()?;
    let mut names = BTreeMap::new();
    for _ in 0..count {
        names.insert(word()?, (word()?, word()?));
    }
    Ok(names)
}

const NAMES_VERSION: u8 = 0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::{Name, encode};
    use crate::log::Log;
    use crate::sim::SimDisk;
    use synod_wal::{Options, Wal};

    #[derive(Default)]
    struct Commands(Vec<u8>);

    impl StateMachine for Commands {
        type Response = usize;
        type Frozen = Vec<u8>;

        fn apply(&mut self, _: Applying, command: &[u8]) -> usize {
            self.0.extend_from_slice(command);
            self.0.len()
        }

        fn freeze(&self) -> Vec<u8> {
            self.0.clone()
        }

        fn write(frozen: Vec<u8>, to: &mut dyn Write) -> io::Result<()> {
            to.write_all(&frozen)
        }

        fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
            self.0.clear();
            from.read_to_end(&mut self.0).map(drop)
        }
    }

    struct Nobody;

    impl Ticket<Commands> for Nobody {
        fn applied(self, _: usize) {}
        fn read(self, _: &Commands) {}
        fn failed(self, _: Failure) {}
    }

    fn applier(snapshots: Arc<dyn SnapshotStore>) -> Applier<Commands> {
        Applier::new(GroupId(1), Commands::default(), Bytes::new(), snapshots)
    }

    fn apply(
        applier: &mut Applier<Commands>,
        incarnation: u64,
        sequence: u64,
        command: &'static str,
    ) {
        let body = encode(
            Name {
                node: 1,
                incarnation,
                sequence,
            },
            [Bytes::from(command)].iter(),
        );
        let at = Position {
            index: applier.applied() + 1,
            ..Position::default()
        };
        let tickets = vec![Some(Nobody)];
        applier
            .run(Job::Apply {
                at,
                kind: Kind::Commands,
                body,
                tickets,
            })
            .unwrap();
    }

    #[test]
    fn a_name_is_applied_once_and_names_only_rise_also_across_a_snapshot() {
        let wal = Wal::open(SimDisk::new(1), Options::default()).unwrap();
        let snapshots = Log::snapshots(&wal);
        let mut first = applier(snapshots.clone());
        for (incarnation, sequence, command) in [(1, 1, "a"), (1, 1, "a"), (1, 3, "c"), (1, 2, "b")]
        {
            apply(&mut first, incarnation, sequence, command);
        }
        assert_eq!(
            (&first.machine().0[..], first.repeats(), first.applied()),
            (&b"ac"[..], 2, 4)
        );
        let Ok(Some(Done::Frozen(frozen))) = first.run(Job::<Nobody>::Freeze) else {
            panic!()
        };
        let snapshot = frozen.snapshot.clone();
        let mut frozen = Some(frozen);
        let write = &mut |to: &mut dyn Write| frozen.take().unwrap().write(to);
        snapshots.create(GroupId(1), &snapshot, write).unwrap();

        let mut second = applier(snapshots);
        second.run(Job::<Nobody>::Restore(snapshot)).unwrap();
        for (incarnation, sequence, command) in [(1, 3, "c"), (2, 1, "d"), (1, 4, "e")] {
            apply(&mut second, incarnation, sequence, command);
        }
        assert_eq!(
            (&second.machine().0[..], second.repeats(), second.applied()),
            (&b"acd"[..], 2, 7)
        );
    }

    #[test]
    fn a_gap_is_refused() {
        let wal = Wal::open(SimDisk::new(1), Options::default()).unwrap();
        let mut applier = applier(Log::snapshots(&wal));
        let (at, body) = (
            Position {
                index: 2,
                ..Position::default()
            },
            Bytes::new(),
        );
        let gap = applier.run(Job::<Nobody>::Apply {
            at,
            kind: Kind::Noop,
            body,
            tickets: vec![],
        });
        assert!(matches!(
            gap,
            Err(ApplyError::Gap {
                applied: 0,
                found: 2
            })
        ));
    }
}
