//! The record of a run that stays undecided, in the words that attacker and checker share.

use std::fmt;

use super::{ProcessId, Value};

/// One step of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Event {
    /// The receiver takes a message.
    Deliver {
        /// Who sent it.
        from: ProcessId,
        /// Who takes it.
        to: ProcessId,
        /// Which of all messages that were ever sent from the one to the other, from 0.
        nth: u64,
    },
    /// A process steps without a message.
    Alone {
        /// Which.
        at: ProcessId,
    },
}

/// That a value can still be decided: a way there, on which one process takes no step at all.
///
/// The silent process might have crashed. Who holds a certificate for 0 and one for 1 therefore
/// knows that nothing is decided, and that nobody can know better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Who takes no step.
    pub without: ProcessId,
    /// The steps, from the configuration on that this is a certificate of. After the last of them
    /// some process has decided.
    pub by: Vec<Event>,
}

/// A step of the run, and that 0 and 1 can both be decided after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What happens.
    pub event: Event,
    /// Afterwards 0 can be decided, and 1.
    pub then: [Certificate; 2],
}

/// A part of the run that serves the process at the head of the queue: it ends as soon as that has
/// taken the oldest message which it had at the beginning, or a step of its own if it had none
/// (Fischer, Lynch and Paterson 1985, proof of Theorem 1). Then the head goes to the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Whose turn it was.
    pub head: ProcessId,
    /// At least one.
    pub steps: Vec<Step>,
}

/// Where a run begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// What each process proposes.
    pub inputs: Vec<Value>,
    /// In which order the processes have their turns.
    pub queue: Vec<ProcessId>,
    /// Before the first step 0 can be decided, and 1.
    pub certificates: [Certificate; 2],
}

impl Event {
    /// Whose step it is.
    #[must_use]
    pub fn at(&self) -> ProcessId {
        match *self {
            Self::Deliver { to, .. } => to,
            Self::Alone { at } => at,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deliver { from, to, nth } => {
                write!(f, "{to} takes message {nth} of {from}")
            }
            Self::Alone { at } => write!(f, "{at} steps alone"),
        }
    }
}
