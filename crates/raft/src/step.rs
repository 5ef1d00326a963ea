use crate::{NodeId, Stop, Term};

/// What a role answers when it has handled an input after which it may have ended. A role never
/// makes itself another: it says which, and [`Raft::change_role`](crate::Raft::change_role) does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the role must change"]
pub(crate) enum Step {
    /// It goes on.
    Stay,
    /// It follows, or waits for somebody to follow.
    BecomeFollower {
        /// This one or a later one.
        term: Term,
        /// Who leads in it, if that is known.
        leader: Option<NodeId>,
        /// Why it leads no more, if it led.
        why: StepDown,
    },
    /// It asks the others whether they would elect it in `term`, which is the next.
    BecomePreCandidate { term: Term },
    /// It campaigns in `term`, which is the next; `transfer`: because its leader asked it to.
    BecomeCandidate { term: Term, transfer: bool },
    /// It has won the election.
    BecomeLeader,
    /// It takes no part any more.
    Stop(Stop),
}

impl Step {
    /// A later term ends the role, or a leader of this one, or this node's vote for another.
    pub(crate) fn follow(term: Term, leader: Option<NodeId>) -> Self {
        Self::BecomeFollower {
            term,
            leader,
            why: StepDown::Deposed,
        }
    }

    /// A leader leads no more, by itself and in its own term.
    pub(crate) fn give_up(term: Term, why: StepDown) -> Self {
        Self::BecomeFollower {
            term,
            leader: None,
            why,
        }
    }
}

/// Why a leader leads no more. Exhaustive on purpose: a driver tells people each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepDown {
    /// It heard of a later term.
    Deposed,
    /// It heard of a later term after it had asked another node to campaign.
    Transferred,
    /// It heard no quorum for an election timeout.
    NoQuorum,
    /// Its disk did not finish one write within
    /// [`write_stall_max`](crate::Config::write_stall_max).
    WriteStalled,
    /// Its disk read nothing of what a peer needs within
    /// [`write_stall_max`](crate::Config::write_stall_max).
    ReadStalled,
    /// Its disk has no space, and a follower that can be elected has.
    Full,
    /// No quorum that it hears had space for
    /// [`write_stall_max`](crate::Config::write_stall_max), and there are nodes that it does not hear.
    ShortOfRoom,
    /// It takes no part any more, see [`Stop`](crate::Stop).
    Stopped,
}
