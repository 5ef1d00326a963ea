use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::{Ballot, DiskHealth, Entries, NodeId, Slot, Snapshot, Vote};

/// What nodes say to each other. The three kinds differ in what must be durable before one leaves
/// its node, and the type picks the way out; see [`Binding`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Message {
    /// From a leader; needs no write.
    Replicate(Replicate),
    /// Tells what its sender remembers; waits for the write that makes it true.
    Binding(Binding),
    /// Tells nothing that a crash could unsay; needs no write.
    Echo(Echo),
}

/// From a leader. Its ballot is durable since before phase 1, so that no incarnation of it uses the
/// ballot again, and a crash cannot make what it sends false: nothing here waits for its disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Replicate {
    /// Phase 2a (Paxos Made Simple §2.2), for slots that follow each other. An acceptor takes them
    /// in any order: nothing here says what comes before `first`.
    Accept {
        /// The leader's ballot.
        ballot: Ballot,
        /// The slot of the first of `values`.
        first: Slot,
        /// One value a slot, at least one.
        values: Entries,
        /// The prefix that the leader knows to be chosen.
        chosen: Slot,
    },
    /// The leader is there. Each carries the number of its round; an echo of it confirms the
    /// leader's reads up to that round.
    Heartbeat {
        /// The leader's ballot.
        ballot: Ballot,
        /// Rises with each broadcast of this leader.
        round: u64,
        /// The prefix that the leader knows to be chosen; the receiver takes it only as far as it
        /// has accepted without a gap in this ballot.
        chosen: Slot,
        /// How far the receiver has acknowledged without a gap, as the leader knows: a receiver
        /// that has more says so again, because its word was lost, and one that has less too.
        through: Slot,
    },
    /// The chosen prefix has grown and nothing else is on its way to tell. Not answered.
    Chosen {
        /// The leader's ballot.
        ballot: Ballot,
        /// As in a heartbeat.
        chosen: Slot,
    },
    /// An offer: values the receiver needs are cut away. The bytes are pulled by the receiver's
    /// runtime.
    Snapshot {
        /// The leader's ballot.
        ballot: Ballot,
        /// What is offered.
        snapshot: Box<Snapshot>,
    },
    /// The receiver is to campaign at once, in a ballot above this one. It does so only as a follower
    /// in this ballot, if it has voted for all that the leader has proposed, knows all to be chosen that
    /// the leader does, and has heard no later heartbeat: a leader that has given up the transfer says
    /// so by one. Not answered but by a higher ballot.
    Invite {
        /// The leader's ballot.
        ballot: Ballot,
        /// The leader's last broadcast of heartbeats.
        round: u64,
        /// The prefix that the leader knows to be chosen.
        chosen: Slot,
        /// The last slot that it has proposed.
        last: Slot,
    },
}

/// Tells a peer what this node remembers. It leaves inside the [`Write`](crate::Write) that makes
/// it true, and there is no other way out.
///
/// Inside the core each kind of message has its own way out, and the compiler keeps them apart:
///
/// ```
/// use synod_paxos::{Ballot, Binding, Replicate, Slot};
/// fn send_after_write(_: Binding) {}
/// send_after_write(Binding::Accepted { ballot: Ballot::ZERO, first: Slot(1), last: Slot(1) });
/// ```
///
/// A vote in the lane that does not wait is a type error:
///
/// ```compile_fail,E0308
/// use synod_paxos::{Ballot, Binding, Replicate, Slot};
/// fn send_now(_: Replicate) {}
/// send_now(Binding::Accepted { ballot: Ballot::ZERO, first: Slot(1), last: Slot(1) });
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Binding {
    /// Phase 1a, for every slot from `from` on. It binds because a proposer that forgets its ballot
    /// might use it again for other values.
    Prepare {
        /// The candidate's ballot.
        ballot: Ballot,
        /// The first slot whose votes it wants to hear; for the next page a later one.
        from: Slot,
    },
    /// Phase 1b: the sender votes in no ballot below `ballot` any more. One page of its votes.
    Promise {
        /// The candidate's ballot.
        ballot: Ballot,
        /// Of the request.
        from: Slot,
        /// Its votes from `from` on, ascending, without those at or below its chosen prefix.
        votes: Vec<Vote>,
        /// Where the next page begins, if this is not the last. Votes below `ballot` are frozen by
        /// the promise, so pages asked for one after the other fit.
        next: Option<Slot>,
        /// The prefix that it knows to be chosen, and holds.
        chosen: Slot,
    },
    /// Phase 2b, for a range: for each slot in it the sender has voted in `ballot`, or holds the
    /// value that it knows to be chosen.
    Accepted {
        /// The leader's ballot.
        ballot: Ballot,
        /// The first slot.
        first: Slot,
        /// The last slot, inclusive.
        last: Slot,
    },
}

/// Confirms contact, asks, refuses, or repeats what is chosen. What it says stays true if its
/// sender forgets everything that was not durable, so it waits for no write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Echo {
    /// Do you miss a leader too? Changes nothing at either end.
    Ask {
        /// The highest ballot that the sender has promised.
        promised: Ballot,
        /// Of the sender's own counting.
        attempt: u64,
        /// How the sender's disk does: the others wait for its candidacy.
        disk: DiskHealth,
    },
    /// Answers [`Echo::Ask`].
    Answer {
        /// The highest ballot that the sender has promised: a campaign must be above it.
        promised: Ballot,
        /// Of the question.
        attempt: u64,
        /// It does not lead, and has heard no leader for the shortest election timeout.
        no_leader: bool,
        /// Its chosen prefix.
        chosen: Slot,
        /// How the sender's disk does: the candidate waits for its promise.
        disk: DiskHealth,
    },
    /// Answers a heartbeat. That the sender has promised nothing above this ballot needs no memory:
    /// a node that durably promised more before could not have sent it.
    Heartbeat {
        /// The leader's ballot.
        ballot: Ballot,
        /// The heartbeat's round.
        round: u64,
        /// How far the sender has, without a gap, accepted in this ballot or knows chosen; in
        /// memory. A hint for sending, never an acknowledgement.
        through: Slot,
        /// Its chosen prefix, in memory.
        chosen: Slot,
        /// The heartbeat said that it had acknowledged more: it restarted.
        behind: bool,
        /// How the sender's disk does.
        disk: DiskHealth,
    },
    /// The sender has promised a higher ballot than that of the message it answers.
    Preempted {
        /// What it has promised.
        promised: Ballot,
    },
    /// A leader asks for chosen values that it lacks.
    Learn {
        /// The leader's ballot.
        ballot: Ballot,
        /// The first slot it lacks.
        from: Slot,
        /// The last.
        to: Slot,
    },
    /// Answers [`Echo::Learn`]: these are chosen, and will be for ever, whatever anybody forgets.
    Learned {
        /// Of the question.
        ballot: Ballot,
        /// The slot of the first of `values`.
        first: Slot,
        /// One value a slot, at least one.
        values: Entries,
    },
    /// Answers [`Echo::Learn`]: the values are cut away, and this snapshot has them.
    Offer {
        /// Of the question.
        ballot: Ballot,
        /// What is offered.
        snapshot: Box<Snapshot>,
    },
}

/// A message and where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Envelope<M = Message> {
    /// The receiver.
    pub to: NodeId,
    /// The message.
    pub message: M,
}

impl From<Envelope<Binding>> for Envelope {
    fn from(envelope: Envelope<Binding>) -> Self {
        let Envelope { to, message } = envelope;
        let message = Message::Binding(message);
        Self { to, message }
    }
}

impl Message {
    /// The ballot it carries: its own, or one that its sender has promised.
    #[must_use]
    pub fn ballot(&self) -> Ballot {
        match self {
            Self::Replicate(message) => message.ballot(),
            Self::Binding(message) => message.ballot(),
            Self::Echo(
                Echo::Heartbeat { ballot, .. }
                | Echo::Learn { ballot, .. }
                | Echo::Learned { ballot, .. }
                | Echo::Offer { ballot, .. }
                | Echo::Ask {
                    promised: ballot, ..
                }
                | Echo::Answer {
                    promised: ballot, ..
                }
                | Echo::Preempted { promised: ballot },
            ) => *ballot,
        }
    }
}

impl Replicate {
    /// Values, or votes, in one message at most. Empty ones are small on the wire and large in memory, so
    /// a decoder refuses more; [`Config::accept_values_max`](crate::Config::accept_values_max) is not
    /// above it.
    pub const VALUES_MAX: usize = 1 << 13;

    pub(crate) fn ballot(&self) -> Ballot {
        match self {
            Self::Accept { ballot, .. }
            | Self::Heartbeat { ballot, .. }
            | Self::Chosen { ballot, .. }
            | Self::Snapshot { ballot, .. }
            | Self::Invite { ballot, .. } => *ballot,
        }
    }
}

impl Binding {
    pub(crate) fn ballot(&self) -> Ballot {
        match self {
            Self::Prepare { ballot, .. }
            | Self::Promise { ballot, .. }
            | Self::Accepted { ballot, .. } => *ballot,
        }
    }
}
