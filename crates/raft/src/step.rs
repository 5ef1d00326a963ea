use crate::{NodeId, Stop, Term};

/// What a role returns after an input that may have ended it. A role never changes itself: it
/// returns the next one, and [`Raft::change_role`](crate::Raft::change_role) makes the change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the role must change"]
pub(crate) enum Step {
    /// The role stays.
    Stay,
    /// Follow a leader, or wait for one.
    BecomeFollower {
        /// The current term or a later one.
        term: Term,
        /// The leader of that term, if known.
        leader: Option<NodeId>,
        /// Why the node stops leading, if it led.
        why: StepDown,
    },
    /// Ask the other nodes whether they would grant a vote in `term`, the next one.
    BecomePreCandidate { term: Term },
    /// It campaigns in `term`, which is the next; `transfer`: because its leader asked it to.
    BecomeCandidate { term: Term, transfer: bool },
    /// Lead: the election is won; `by_transfer`: its leader wanted that.
    BecomeLeader { by_transfer: bool },
    /// Stop for good.
    Stop(Stop),
}

impl Step {
    /// Ends the role because of a later term, a leader of this term, or this node's vote for
    /// another.
    pub(crate) fn follow(term: Term, leader: Option<NodeId>) -> Self {
        Self::BecomeFollower {
            term,
            leader,
            why: StepDown::Deposed,
        }
    }

    /// Ends a leader's role by its own decision, in its own term.
    pub(crate) fn give_up(term: Term, why: StepDown) -> Self {
        Self::BecomeFollower {
            term,
            leader: None,
            why,
        }
    }
}

/// Why a leader stopped leading. Exhaustive on purpose: a driver reports each reason to people.
///
/// A leader that gives up because it cannot do its duty (from `NoQuorum` to `ShortOfRoom`) hands over to
/// a node that can, if it knows one: a full voter that it hears, that has space and a disk fast enough
/// for an election, and did not give up itself not long ago. How, depends on the cause:
///
/// - `NoQuorum`: it sends one invitation to a node that holds all that it holds, which may reach a
///   quorum, and is silent at once. Leading on for longer would keep its followers from electing.
/// - `WriteStalled` and `Full`: nothing more can become durable here, so only a node that holds all
///   already is asked.
/// - `ReadStalled` and `ShortOfRoom`: the node may lack a few entries, which are sent to it first. If they
///   are those that cannot be read, nothing comes of it.
///
/// In all but the first case this is a [`transfer`](crate::Raft::transfer) with its deadline. If nobody
/// suits, the leader steps down at once, and if nothing has come of it, at the deadline. The reason is
/// the cause in each case, also if the other node has taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepDown {
    /// It learned of a later term.
    Deposed,
    /// It heard of a later term after it had asked another node to campaign.
    Transferred,
    /// It had no contact with a quorum for an election timeout.
    NoQuorum,
    /// Its disk did not complete a write within
    /// [`write_stall_max`](crate::Config::write_stall_max).
    WriteStalled,
    /// Its disk read none of the entries that a peer needs within
    /// [`write_stall_max`](crate::Config::write_stall_max).
    ReadStalled,
    /// Its disk has no space, and a follower that can be elected has.
    Full,
    /// For [`write_stall_max`](crate::Config::write_stall_max), no quorum in contact had space
    /// while some peers were out of contact.
    ShortOfRoom,
    /// It was removed from the group, or has no vote in it any more, and that is committed.
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
                | Self::ShortOfRoom
        )
    }
}
