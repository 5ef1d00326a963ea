//! Sessions: a request that is asked again takes effect once.
//!
//! Whoever is answered `Unknown` cannot know whether to ask again. Under a name it can: the machine remembers which
//! names it has answered and how, so the second asking gets the first answer (Ongaro's thesis, section 6.3).
//!
//! ```text
//!  SessionClient ── name (7, 3) ── command ──▶ log ──▶ Sessions<M> ── (7, 3) is new ──▶ M::apply
//!        ▲  Unknown: again, same name                       │  └─ (7, 3) was answered: that answer
//!        └───────────── answer ◀────────────────────────────┘
//! ```
//!
//! # Guarantees
//!
//! - Ids are issued by the log. An id that is unknown, closed or expired is refused and never opened by use: what it
//!   had done might be done again.
//! - A command runs at most once under its name, in whatever order names arrive. Up to [`SessionLimits::window`] of
//!   them may be out at once.
//! - All nodes give the same answers, also across snapshots: replies and limits are part of the state. What limits
//!   decide depends on the log alone; they change by a command ([`limit`]).
//! - Memory is bounded, and what was given up for it is refused in words that say so ([`SessionRefusal`]).

mod client;
mod command;
mod limits;
mod snapshot;
mod table;

use std::fmt;
use std::io::{self, Read, Write};

use bytes::Bytes;

use crate::machine::{Applying, StateMachine};
use crate::timed::{LogTime, LoggedTime, TimedMachine};

pub use client::{Heard, Next, SessionClient};
pub use command::{
    Sequence, SessionCommand, SessionId, SessionName, UNNAMED, close, limit, named, open, unnamed,
};
pub use limits::SessionLimits;
pub use table::Frozen as FrozenSessions;

use table::{Known, Table};

/// A machine whose responses can be kept, to be given again.
pub trait SessionMachine: StateMachine {
    /// A response as bytes, for [`recall`](Self::recall); `None` if that takes more than `bytes_max`.
    fn keep(response: &Self::Response, bytes_max: usize) -> Option<Vec<u8>>;

    /// A response that [`keep`](Self::keep) kept; `None` of bytes that it has not written.
    fn recall(kept: &[u8]) -> Option<Self::Response>;
}

/// A decorator that gives a machine sessions.
///
/// The commands of the group are those that [`open`], [`named`], [`unnamed`], [`close`] and [`limit`] make. Inside
/// [`Timed`](crate::Timed), sessions that are not used for [`SessionLimits::idle`] expire; without it they are only
/// given up, the longest unused first, when there are too many.
#[derive(Debug)]
pub struct Sessions<M> {
    machine: M,
    table: Table,
}

/// What a command of a machine with sessions answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionReply<R> {
    /// The machine's response, of this time or of the first time.
    Answer(R),
    /// To [`open`].
    Opened(SessionId),
    /// To [`close`] and [`limit`].
    Done,
    /// Nothing took effect by this command.
    Refused(SessionRefusal),
}

/// Why a named command did not run. None of them says that it never ran: its name may have arrived before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionRefusal {
    /// There is no such session: it was closed, it expired, or it was never opened. What was asked under it before may
    /// have taken effect, and under this name it will not any more.
    #[error("the session is unknown or expired: nothing takes effect under it any more")]
    Expired,
    /// The command took effect once, and its reply is no longer kept.
    #[error("the command was applied once, and its reply is no longer kept")]
    ReplyGone,
    /// So many later names were used that nobody knows whether this one was. It will not take effect any more.
    #[error(
        "the name is behind the window: it takes no effect any more, and whether it did is no longer known"
    )]
    Behind,
    /// The bytes are no command of a machine with sessions.
    #[error("the bytes are no command of a machine with sessions")]
    Malformed,
}

impl<M: SessionMachine> Sessions<M> {
    /// Gives `machine` sessions, within the usual limits: what the log of a group means depends on them, so they are a
    /// part of the format.
    pub fn new(machine: M) -> Self {
        let table = Table::new(SessionLimits::default());
        Self { machine, table }
    }

    /// The machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The machine, to be changed: for one that no group applies its log to. Replicas that are changed in
    /// another way than by their log differ.
    pub fn machine_mut(&mut self) -> &mut M {
        &mut self.machine
    }

    /// The limits in force.
    pub fn limits(&self) -> SessionLimits {
        self.table.limits()
    }

    /// How many sessions are open.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that are kept of replies.
    pub fn reply_bytes(&self) -> u64 {
        self.table.reply_bytes()
    }

    fn run(
        &mut self,
        command: &Bytes,
        mut time: Option<&mut LoggedTime>,
        apply: impl FnOnce(&mut M, Option<&mut LoggedTime>, Bytes) -> M::Response,
    ) -> SessionReply<M::Response> {
        let now = time.as_deref().map(LoggedTime::now);
        match SessionCommand::decode(command) {
            None => SessionReply::Refused(SessionRefusal::Malformed),
            Some(SessionCommand::Unnamed(inner)) => {
                let inner = command.slice_ref(inner);
                SessionReply::Answer(apply(&mut self.machine, time, inner))
            }
            Some(SessionCommand::Open) => {
                let ends = self.ends(time);
                SessionReply::Opened(self.table.open(ends))
            }
            Some(SessionCommand::Close(session)) => match self.table.close(session, now) {
                true => SessionReply::Done,
                false => SessionReply::Refused(SessionRefusal::Expired),
            },
            Some(SessionCommand::Limit(limits)) => {
                self.table.limit(limits);
                SessionReply::Done
            }
            Some(SessionCommand::Named(name, inner)) => {
                match self.table.find(name, now) {
                    Known::New => {}
                    Known::Refused(refusal) => return SessionReply::Refused(refusal),
                    Known::Answered(kept) => {
                        let ends = self.ends(time);
                        self.table.touch(name.session, ends);
                        let recalled = M::recall(&kept).map(SessionReply::Answer);
                        // Bytes of another version of the machine.
                        return recalled
                            .unwrap_or(SessionReply::Refused(SessionRefusal::ReplyGone));
                    }
                }
                let ends = self.ends(time.as_deref_mut());
                let inner = command.slice_ref(inner);
                let response = apply(&mut self.machine, time, inner);
                let kept = M::keep(&response, self.table.limits().reply_bytes_max());
                self.table.applied(name, kept, ends);
                SessionReply::Answer(response)
            }
        }
    }

    /// When a session that is used now ends.
    fn ends(&self, time: Option<&mut LoggedTime>) -> Option<LogTime> {
        time.map(|time| time.deadline(self.table.limits().idle))
    }
}

impl<M: SessionMachine> StateMachine for Sessions<M> {
    type Response = SessionReply<M::Response>;
    type Frozen = (FrozenSessions, M::Frozen);

    fn apply(&mut self, at: Applying, command: Bytes) -> Self::Response {
        self.run(&command, None, |machine, _, command| {
            machine.apply(at, command)
        })
    }

    fn freeze(&self) -> Self::Frozen {
        (self.table.freeze(), self.machine.freeze())
    }

    fn write((table, machine): Self::Frozen, to: &mut dyn Write) -> io::Result<()> {
        snapshot::write(&table, to)?;
        M::write(machine, to)
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let table = snapshot::read(from)?;
        self.machine.restore(from)?;
        self.table = table;
        Ok(())
    }
}

impl<M: SessionMachine + TimedMachine> TimedMachine for Sessions<M> {
    fn apply_at(&mut self, at: Applying, time: &mut LoggedTime, command: Bytes) -> Self::Response {
        self.run(&command, Some(time), |machine, time, command| match time {
            Some(time) => machine.apply_at(at, time, command),
            None => machine.apply(at, command),
        })
    }

    fn pass(&mut self, now: LogTime) {
        self.table.expire(now);
        self.machine.pass(now);
    }

    fn next_due(&self) -> Option<LogTime> {
        let due = [self.table.next_due(), self.machine.next_due()];
        due.into_iter().flatten().min()
    }
}

impl fmt::Display for SessionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({}, {})", self.session.0, self.sequence.0)
    }
}
