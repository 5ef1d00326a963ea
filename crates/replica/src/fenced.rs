//! Fences: a command of a leader that is gone takes no effect.
//!
//! That a node leads is a hint: it may lead no more when its command is decided. Raft commits entries of an earlier
//! term under a later one, and Paxos may choose a value of an earlier leader behind those of a later one. So whoever
//! must act alone (a scheduler, a holder of leases, a shard's leader) takes over *in the log*: the machine counts
//! reigns, each command names its own, and the machine drops it in any other.
//!
//! ```text
//!  log     take over 1 │ (1, 1) │ (1, 2) │ take over 2 │ (1, 3) │ (2, 1) │ take over 2 │ (2, 3)
//!            begins      applied  applied    begins      deposed  applied     deposed     out of order
//! ```
//!
//! # Guarantees
//!
//! - Along the log reigns rise by one; a take-over names the reign that it ends, so of two at once one succeeds.
//! - A command takes effect in the reign that it names, at its number in it, or never: those of a reign take effect in
//!   the order in which they were numbered, and none behind one that is missing.
//! - The same for every protocol, and across snapshots: the reign is a part of the state.
//!
//! # What the holder of a reign may conclude
//!
//! It leads, and all that was done before is applied on its node, when its own take-over is answered
//! [`FencedReply::TookOver`]. Of a command it knows by [`FencedReply::Applied`] that it took effect, and by
//! [`FencedReply::Deposed`] that it did not and never will: a later reign is applied. So it does by
//! [`Failure::Rejected`](crate::Failure::Rejected), as that command was never sealed into a proposal that could still
//! be decided. After [`Failure::Unknown`](crate::Failure::Unknown) it knows nothing. [`Reign`] ends with anything but
//! "applied": what follows a command that may be missing cannot take effect in its order.

mod command;
mod reign;

use std::io::{self, Read, Write};

use bytes::Bytes;

use crate::machine::{Applying, StateMachine};
use crate::timed::{LogTime, LoggedTime, TimedMachine};

pub use command::{FencedCommand, ReignId, fenced, take_over};
pub use reign::{Ended, Reign};

/// A decorator that applies the commands of one holder at a time.
///
/// The commands of the group are those that [`take_over`] and [`fenced`] make.
#[derive(Clone, Debug, Default)]
pub struct Fenced<M> {
    machine: M,
    reign: ReignId,
    /// The number of the next command of the reign.
    next: u64,
}

/// What a command of a fenced machine answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FencedReply<R> {
    /// To a take-over: this reign has begun, and all before it is applied here.
    TookOver(ReignId),
    /// The machine's response.
    Applied(R),
    /// Another reign is in force: this command takes no effect, now or ever.
    Deposed(ReignId),
    /// A command of this reign before it is missing, or it came before: it takes no effect at this place.
    OutOfOrder,
    /// The bytes are no command of a fenced machine.
    Malformed,
}

impl<M> Fenced<M> {
    /// A machine in which nobody reigns yet.
    pub fn new(machine: M) -> Self {
        Self {
            machine,
            reign: ReignId(0),
            next: 1,
        }
    }

    /// The machine.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// The reign in force: 0 before the first.
    pub fn reign(&self) -> ReignId {
        self.reign
    }

    fn run<R>(
        &mut self,
        command: &Bytes,
        apply: impl FnOnce(&mut M, Bytes) -> R,
    ) -> FencedReply<R> {
        match FencedCommand::decode(command) {
            None => FencedReply::Malformed,
            Some(FencedCommand::TakeOver(reign)) => {
                if self.reign.next() != Some(reign) {
                    return FencedReply::Deposed(self.reign);
                }
                (self.reign, self.next) = (reign, 1);
                FencedReply::TookOver(reign)
            }
            Some(FencedCommand::Fenced {
                reign,
                number,
                command: inner,
            }) => {
                if reign != self.reign {
                    return FencedReply::Deposed(self.reign);
                }
                if number != self.next {
                    return FencedReply::OutOfOrder;
                }
                self.next += 1;
                FencedReply::Applied(apply(&mut self.machine, command.slice_ref(inner)))
            }
        }
    }
}

impl<M: StateMachine> StateMachine for Fenced<M> {
    type Response = FencedReply<M::Response>;
    /// The reign, the next number in it, and the machine's.
    type Frozen = (ReignId, u64, M::Frozen);

    fn apply(&mut self, at: Applying, command: Bytes) -> Self::Response {
        self.run(&command, |machine, command| machine.apply(at, command))
    }

    fn freeze(&self) -> Self::Frozen {
        (self.reign, self.next, self.machine.freeze())
    }

    /// ```text
    /// "SYFE" version u32 reign u64 next number u64, little-endian; the machine's
    /// ```
    fn write((reign, next, machine): Self::Frozen, to: &mut dyn Write) -> io::Result<()> {
        to.write_all(&OPENING)?;
        to.write_all(&reign.0.to_le_bytes())?;
        to.write_all(&next.to_le_bytes())?;
        M::write(machine, to)
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut word = || {
            let mut bytes = [0; 8];
            from.read_exact(&mut bytes).map(|()| bytes)
        };
        let (opening, reign, next) = (word()?, word()?, word()?);
        if opening != OPENING {
            let what = "no fenced machine of a known version";
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        self.machine.restore(from)?;
        self.reign = ReignId(u64::from_le_bytes(reign));
        self.next = u64::from_le_bytes(next);
        Ok(())
    }
}

impl<M: TimedMachine> TimedMachine for Fenced<M> {
    fn apply_at(&mut self, at: Applying, time: &mut LoggedTime, command: Bytes) -> Self::Response {
        self.run(&command, |machine, command| {
            machine.apply_at(at, time, command)
        })
    }

    fn pass(&mut self, now: LogTime) {
        self.machine.pass(now);
    }

    fn next_due(&self) -> Option<LogTime> {
        self.machine.next_due()
    }
}

/// With the version, 0.
const OPENING: [u8; 8] = *b"SYFE\0\0\0\0";
