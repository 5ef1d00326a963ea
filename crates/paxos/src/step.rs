use alloc::boxed::Box;

use crate::promises::Promises;
use crate::{Ballot, NodeId, Stop};

/// What a role returns after an input that may have ended it. A role never changes itself: it
/// returns the next one, and `Paxos::change_role` makes the change.
#[derive(Debug)]
#[must_use = "the role must change"]
pub(crate) enum Step {
    /// The role stays.
    Stay,
    /// Follow a leader, or wait for one.
    BecomeFollower {
        /// The ballot to promise; one that is not higher than the promise changes nothing.
        ballot: Ballot,
        /// The leader of that ballot, if known.
        leader: Option<NodeId>,
        /// Why the node stops leading, if it led.
        why: StepDown,
    },
    /// Ask other nodes whether they are without a leader too.
    BecomeAsking,
    /// Campaign in a new ballot.
    BecomeCandidate {
        /// A ballot of this node, above all that it has seen.
        ballot: Ballot,
        /// The ballot of the leader that has invited it.
        invited: Option<Ballot>,
    },
    /// Lead: phase 1 has ended, with these reports of a phase-1 quorum.
    BecomeLeader(Box<Promises>),
    /// Stop for good.
    Stop(Stop),
}

impl Step {
    /// Ends the role because of a higher ballot, or of a leader of this ballot that was not
    /// followed yet.
    pub(crate) fn follow(ballot: Ballot, leader: Option<NodeId>) -> Self {
        Self::BecomeFollower {
            ballot,
            leader,
            why: StepDown::Deposed,
        }
    }

    /// Ends the role by its own decision, without a higher ballot or a known leader.
    pub(crate) fn give_up(promised: Ballot, why: StepDown) -> Self {
        Self::BecomeFollower {
            ballot: promised,
            leader: None,
            why,
        }
    }
}

/// Why a leader stopped leading.
///
/// A leader that gives up because it cannot do its duty (from `NoQuorum` to `ShortOfRoom`) hands over to a
/// node that can, if the cause allows that and it knows one: an acceptor that it hears, that has not said that
/// its disk is full, with a disk fast enough for an election, nearly everything, and that did not give up
/// itself not long ago.
///
/// - `WriteStalled`, `ReadStalled`, `Full`: a transfer ([`Paxos::transfer`](crate::Paxos::transfer)) with
///   its deadline. Acceptors have got from memory what the leader proposed, and an invitation needs no write
///   of it. A target for which values would have to be read does not suit.
/// - `NoQuorum`: it steps down at once. Whom it still reaches may be cut off as well, and would campaign
///   without asking; the higher ballot would unseat a leader of the others once the links heal.
/// - `ShortOfRoom`: at once. Nodes out of contact are to have the next turn, and they cannot be invited.
/// - `LearnStalled`: at once. It cannot tell who has what it lacks, and who has to have it has not answered.
///
/// If nobody suits, it steps down at once, and at the deadline if nothing has come of it. The reason is the
/// cause in each case, also if the other node has taken over. A driver that stops a node on purpose asks for
/// a transfer.
///
/// Exhaustive on purpose: a driver reports each reason to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepDown {
    /// It learned of a higher ballot, or that more was chosen than it proposed or could know of.
    Deposed,
    /// It heard of a higher ballot after it had invited another node to one.
    Transferred,
    /// It had no contact with a phase-2 quorum for an election timeout.
    NoQuorum,
    /// Its disk did not complete a write within
    /// [`write_stall_max`](crate::Config::write_stall_max).
    WriteStalled,
    /// Its disk read none of the values that a peer needs within
    /// [`write_stall_max`](crate::Config::write_stall_max).
    ReadStalled,
    /// Its disk has no space, and a follower has.
    Full,
    /// It lacks chosen values, and received none for an election timeout.
    LearnStalled,
    /// For [`write_stall_max`](crate::Config::write_stall_max), no phase-2 quorum in contact had
    /// space while some peers were out of contact.
    ShortOfRoom,
    /// It is no longer an acceptor of its group.
    Removed,
    /// It no longer takes part, see [`Stop`](crate::Stop).
    Stopped,
}

impl StepDown {
    /// Whether the leader gave up because it could not do its duty.
    pub(crate) fn is_for_a_cause(self) -> bool {
        matches!(
            self,
            Self::NoQuorum
                | Self::WriteStalled
                | Self::ReadStalled
                | Self::Full
                | Self::LearnStalled
                | Self::ShortOfRoom
        )
    }
}
