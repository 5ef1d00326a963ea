//! Why a leader gave up, in one list for both protocols.

#[cfg(feature = "paxos")]
use synod_paxos as paxos;
#[cfg(feature = "raft")]
use synod_raft as raft;

/// Why a node led and leads no more, while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepDown {
    /// Another was elected, or is about to be.
    #[error("another was elected, or is about to be")]
    Deposed,
    /// It has handed its leadership to another, which was elected or is about to be.
    #[error("it has handed its leadership over")]
    Transferred,
    /// It heard too few of its peers for an election timeout.
    #[error("it heard too few of its peers")]
    NoQuorum,
    /// Its disk did not finish one write in time.
    #[error("its disk did not finish a write in time")]
    WriteStalled,
    /// Its disk read nothing in time of what a peer needs.
    #[error("its disk read nothing in time of what a peer needs")]
    ReadStalled,
    /// It lacks what was decided before it led, and nobody gave it that in time. Only Paxos.
    #[error("nobody gave it in time what was decided before")]
    LearnStalled,
    /// Its disk has no space, and that of a peer that can lead has.
    #[error("its disk has no space, and that of another has")]
    Full,
    /// No quorum that it hears has space, and there are nodes that it does not hear.
    #[error("no quorum that it hears has space, and others are not heard")]
    ShortOfRoom,
    /// The group has stopped on this node.
    #[error("the group has stopped here")]
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
