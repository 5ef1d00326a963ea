use alloc::boxed::Box;

use crate::promises::Promises;
use crate::{Ballot, NodeId, Stop};

/// What a role answers when it has handled an input after which it may have ended. A role never
/// changes itself into another: it says which, and `Paxos::change_role` does it.
#[derive(Debug)]
#[must_use = "the role must change"]
pub(crate) enum Step {
    /// It goes on.
    Stay,
    /// It follows, or waits for somebody to follow.
    BecomeFollower {
        /// Promised from now on; a lower one changes nothing.
        ballot: Ballot,
        /// Who leads in it, if that is known.
        leader: Option<NodeId>,
        /// Why it leads no more, if it led.
        why: StepDown,
    },
    /// It asks whether others miss a leader too.
    BecomeAsking,
    /// It campaigns.
    BecomeCandidate {
        /// Its own, and above all that it heard of.
        ballot: Ballot,
    },
    /// Phase 1 has ended: it leads, with what a phase-1 quorum told.
    BecomeLeader(Box<Promises>),
    /// It takes no part any more.
    Stop(Stop),
}

impl Step {
    /// A higher ballot ends the role, or a leader of this one that was not followed.
    pub(crate) fn follow(ballot: Ballot, leader: Option<NodeId>) -> Self {
        Self::BecomeFollower {
            ballot,
            leader,
            why: StepDown::Deposed,
        }
    }

    /// A role ends by itself, without a higher ballot, and nobody leads.
    pub(crate) fn give_up(promised: Ballot, why: StepDown) -> Self {
        Self::BecomeFollower {
            ballot: promised,
            leader: None,
            why,
        }
    }
}

/// Why a leader leads no more. Exhaustive on purpose: a driver tells people each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepDown {
    /// It heard of a higher ballot, or that more was chosen than it proposed.
    Deposed,
    /// It heard of a higher ballot after it had invited another node to one.
    Transferred,
    /// It heard no phase-2 quorum for an election timeout.
    NoQuorum,
    /// Its disk did not finish one write within
    /// [`write_stall_max`](crate::Config::write_stall_max).
    WriteStalled,
    /// Its disk read nothing of what a peer needs within
    /// [`write_stall_max`](crate::Config::write_stall_max).
    ReadStalled,
    /// Its disk has no space, and a follower has.
    Full,
    /// It lacks what is chosen, and nobody gave it any for an election timeout.
    LearnStalled,
    /// No phase-2 quorum that it hears had space for
    /// [`write_stall_max`](crate::Config::write_stall_max), and there are nodes that it does not hear.
    ShortOfRoom,
    /// It takes no part any more, see [`Stop`](crate::Stop).
    Stopped,
}
