//! Why a leader stepped down, in one list for both protocols.

#[cfg(feature = "paxos")]
use synod_paxos as paxos;
#[cfg(feature = "raft")]
use synod_raft as raft;

/// Why a running node stopped leading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepDown {
    /// Another was elected, or is about to be.
    #[error("another was elected, or is about to be")]
    Deposed,
    /// It has handed its leadership to another node, which was elected or is about to be.
    #[error("it has handed its leadership over")]
    Transferred,
    /// It had no contact with a quorum for an election timeout.
    #[error("it lost contact with a quorum")]
    NoQuorum,
    /// Its disk did not finish a write in time.
    #[error("its disk did not finish a write in time")]
    WriteStalled,
    /// Its disk did not read in time what a peer needs.
    #[error("its disk did not read in time what a peer needs")]
    ReadStalled,
    /// It lacks values that were decided before it led, and no peer sent them in time. Only in
    /// Paxos.
    #[error("no peer sent in time what was decided before")]
    LearnStalled,
    /// Its disk has no space, while a peer that can lead has some.
    #[error("its disk has no space, while a peer's has")]
    Full,
    /// No quorum that it is in contact with has space, and it is not in contact with all nodes.
    #[error("no quorum in contact has space, and some nodes are out of contact")]
    ShortOfRoom,
    /// It was removed from the group, or no longer votes in it.
    #[error("it no longer votes in the group")]
    Removed,
    /// The group has stopped on this node.
    #[error("the group has stopped on this node")]
    Stopped,
}

#[cfg(feature = "raft")]
impl From<raft::StepDown> for StepDown {
    fn from(why: raft::StepDown) -> Self {
        match why {
            raft::StepDown::Deposed => Self::Deposed,
            raft::StepDown::Transferred => Self::Transferred,
            raft::StepDown::NoQuorum => Self::NoQuorum,
            raft::StepDown::WriteStalled => Self::WriteStalled,
            raft::StepDown::ReadStalled => Self::ReadStalled,
            raft::StepDown::Full => Self::Full,
            raft::StepDown::ShortOfRoom => Self::ShortOfRoom,
            raft::StepDown::Removed => Self::Removed,
            raft::StepDown::Stopped => Self::Stopped,
        }
    }
}

#[cfg(feature = "paxos")]
impl From<paxos::StepDown> for StepDown {
    fn from(why: paxos::StepDown) -> Self {
        match why {
            paxos::StepDown::Deposed => Self::Deposed,
            paxos::StepDown::Transferred => Self::Transferred,
            paxos::StepDown::NoQuorum => Self::NoQuorum,
            paxos::StepDown::WriteStalled => Self::WriteStalled,
            paxos::StepDown::ReadStalled => Self::ReadStalled,
            paxos::StepDown::LearnStalled => Self::LearnStalled,
            paxos::StepDown::Full => Self::Full,
            paxos::StepDown::ShortOfRoom => Self::ShortOfRoom,
            paxos::StepDown::Stopped => Self::Stopped,
        }
    }
}
