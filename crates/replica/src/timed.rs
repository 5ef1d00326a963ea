//! Logged time: a machine whose replicas agree on how late it is.
//!
//! `apply` must not read a clock, and no two clocks agree. So the time by which things expire stands in the
//! log. Nodes contribute what their clocks measure best: how long ago something happened.
//!
//! ```text
//!  commands  ─── stamp: "3.2 s since I applied anchor 7" ───▶ log ───▶ Timed<M>
//!                          ▲                                             │ LoggedTime: now, anchors 5, 6, 7
//!                   Timekeeper, one a node ◀── watch: new anchors, next due ┘
//!                   (and, on the leader, ticks: stamps without a command, when something is due)
//! ```
//!
//! Time here is counted from the founding of the group and has nothing to do with the time of day. It stands
//! still while nobody leads and while nothing is due, so what is to live for a minute lives for a minute or longer,
//! never shorter; see [`LoggedTime`] for the rule and its reason.

mod command;
mod keeper;
mod logged;

use std::fmt;
use std::io::{self, Read, Write};

use bytes::Bytes;
use tokio::sync::watch;

use crate::machine::{Applying, StateMachine};

pub use command::{PLAIN, Stamp, TimedCommand, plain, stamped, tick};
pub use keeper::Timekeeper;
pub(crate) use logged::micros;
pub use logged::{GRAIN, LogTime, LoggedTime, RISE_MAX, SLACK};

/// A machine in which things expire.
pub trait TimedMachine: StateMachine {
    /// Applies a command at the time [`LoggedTime::now`]. What it lets expire later, it lets expire at a
    /// [`LoggedTime::deadline`].
    fn apply_at(&mut self, at: Applying, time: &mut LoggedTime, command: Bytes) -> Self::Response;

    /// It is `now`: what ends by then is over, whether it is read or written. Removes a bounded part of that.
    fn pass(&mut self, now: LogTime);

    /// The earliest time at which something is over; `None` if nothing will ever be.
    fn next_due(&self) -> Option<LogTime>;
}

/// A decorator that gives a machine logged time.
///
/// The commands of the group are those that [`plain`], [`stamped`] and [`tick`] make.
pub struct Timed<M> {
    machine: M,
    time: LoggedTime,
    /// For the timekeeper of this node; no part of the state.
    standing: watch::Sender<Standing>,
}

/// What a [`Timekeeper`] goes by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    pub(crate) time: LoggedTime,
    pub(crate) due: Option<LogTime>,
}

/// What a command of a [`Timed`] machine answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimedReply<R> {
    /// The machine's response.
    Answer(R),
    /// To a tick, which asks nothing of the machine.
    Ticked,
    /// The bytes are no command of a timed machine, and changed nothing.
    Malformed,
}

impl<M: TimedMachine> Timed<M> {
    /// Gives `machine` a time, which begins at zero.
    pub fn new(machine: M) -> Self {
        let standing = watch::Sender::new(Standing::default());
        let timed = Self {
            machine,
            time: LoggedTime::default(),
            standing,
        };
        timed.publish();
        timed
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

    /// The time.
    pub fn time(&self) -> &LoggedTime {
        &self.time
    }

    /// Where this node's [`Timekeeper`] sees what was applied.
    pub fn watch(&self) -> watch::Receiver<Standing> {
        self.standing.subscribe()
    }

    fn advance(&mut self, stamp: Stamp) {
        let before = self.time.now();
        self.time.advance(stamp);
        let now = self.time.now();
        // Also when it is no later: there may be more to remove than one call takes.
        if now > before || self.machine.next_due().is_some_and(|due| due <= now) {
            self.machine.pass(now);
        }
    }

    fn publish(&self) {
        let due = self.machine.next_due();
        self.standing.send_if_modified(|standing| {
            let differs = standing.time != self.time || standing.due != due;
            if differs {
                standing.time.clone_from(&self.time);
                standing.due = due;
            }
            differs
        });
    }
}

impl<M: TimedMachine> StateMachine for Timed<M> {
    type Response = TimedReply<M::Response>;
    type Frozen = (LoggedTime, M::Frozen);

    fn apply(&mut self, at: Applying, command: Bytes) -> Self::Response {
        let Some(decoded) = TimedCommand::decode(&command) else {
            return TimedReply::Malformed;
        };
        let inner = match decoded {
            TimedCommand::Plain(inner) => inner,
            TimedCommand::Stamped(stamp, inner) => {
                self.advance(stamp);
                inner
            }
            TimedCommand::Tick(stamp) => {
                self.advance(stamp);
                self.publish();
                return TimedReply::Ticked;
            }
        };
        let inner = command.slice_ref(inner);
        let reply = TimedReply::Answer(self.machine.apply_at(at, &mut self.time, inner));
        self.publish();
        reply
    }

    fn freeze(&self) -> Self::Frozen {
        (self.time.clone(), self.machine.freeze())
    }

    fn write((time, machine): Self::Frozen, to: &mut dyn Write) -> io::Result<()> {
        time.write(to)?;
        M::write(machine, to)
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let time = LoggedTime::read(from)?;
        self.machine.restore(from)?;
        self.time = time;
        self.publish();
        Ok(())
    }
}

impl<M: fmt::Debug> fmt::Debug for Timed<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timed")
            .field("machine", &self.machine)
            .field("time", &self.time)
            .finish_non_exhaustive()
    }
}
