use alloc::boxed::Box;
use alloc::vec::Vec;
use core::time::Duration;

use crate::{Ballot, Configurations, DiskHealth, Entries, NodeId, Slot, Snapshot, Vote};

/// A message between nodes. The three kinds differ in what must be durable before the message is
/// sent, and the type selects the path; see [`Binding`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Message {
    /// From a leader; needs no write.
    Replicate(Replicate),
    /// Reports what its sender remembers; waits for the write that makes it true.
    Binding(Binding),
    /// Reports nothing that a crash could falsify; needs no write.
    Echo(Echo),
}

/// A message from a leader. Its ballot was durable before phase 1, so that none of its incarnations
/// uses the ballot again, and a crash cannot falsify what it sends: nothing here waits for the
/// leader's disk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Replicate {
    /// Phase 2a (Paxos Made Simple §2.2), for consecutive slots. An acceptor accepts such messages
    /// in any order: nothing here depends on the slots before `first`.
    Accept {
        /// The leader's ballot.
        ballot: Ballot,
        /// The slot of the first of `values`.
        first: Slot,
        /// One value per slot, at least one.
        values: Entries,
        /// The leader's chosen prefix.
        chosen: Slot,
    },
    /// Shows that the leader is alive. Each carries the number of its round; an echo confirms the
    /// leader's reads up to that round.
    Heartbeat {
        /// The leader's ballot.
        ballot: Ballot,
        /// Increases with each broadcast of this leader.
        round: u64,
        /// The leader's chosen prefix. The receiver applies it only as far as it has accepted
        /// without a gap in this ballot.
        chosen: Slot,
        /// How far the receiver has acknowledged without a gap, as far as the leader knows. A
        /// receiver that acknowledged more repeats it, because its message was lost; one that has
        /// less reports that too.
        through: Slot,
        /// The number of the last configuration that is settled: a phase-2 quorum of it holds,
        /// durably and known to be chosen, all that earlier ones have chosen. Who is not in it is no
        /// longer needed.
        settled: u64,
        /// The length of the lease that the leader asks for, see [`Lease`](crate::Lease); zero if it asks
        /// for none.
        lease: Duration,
    },
    /// The chosen prefix has grown and no message that carries it is in flight. Not answered.
    Chosen {
        /// The leader's ballot.
        ballot: Ballot,
        /// As in a heartbeat.
        chosen: Slot,
    },
    /// Offers a snapshot because values that the receiver needs are compacted away. The receiver's
    /// driver pulls the bytes.
    Snapshot {
        /// The leader's ballot.
        ballot: Ballot,
        /// The offered snapshot.
        snapshot: Box<Snapshot>,
    },
    /// A configuration is in force from the slot after `slot` on. The receiver is to make durable that
    /// it holds everything up to `slot` and knows it to be chosen, and to say so
    /// ([`Binding::Settled`]); if it does not know it yet, it does not answer.
    Settle {
        /// The leader's ballot.
        ballot: Ballot,
        /// The last slot that an earlier configuration governs.
        slot: Slot,
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

/// Reports to a peer what this node remembers. It is sent from inside the [`Write`](crate::Write)
/// that makes it true, and in no other way.
///
/// Inside the core each kind of message has its own path, and the compiler keeps them apart:
///
/// ```
/// use synod_paxos::{Ballot, Binding, Replicate, Slot};
/// fn send_after_write(_: Binding) {}
/// send_after_write(Binding::Accepted { ballot: Ballot::ZERO, first: Slot(1), last: Slot(1) });
/// ```
///
/// Sending a vote without waiting is a type error:
///
/// ```compile_fail,E0308
/// use synod_paxos::{Ballot, Binding, Replicate, Slot};
/// fn send_now(_: Replicate) {}
/// send_now(Binding::Accepted { ballot: Ballot::ZERO, first: Slot(1), last: Slot(1) });
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Binding {
    /// Phase 1a, for every slot from `from` on. It is binding because a proposer that forgets its
    /// ballot might use it again for other values.
    Prepare {
        /// The candidate's ballot.
        ballot: Ballot,
        /// The first slot whose votes are requested; later pages begin at a later slot.
        from: Slot,
        /// The number of the latest configuration that the sender knows.
        number: u64,
        /// The ballot of the leader that has invited the sender to campaign, and given up its lease before.
        invited: Option<Ballot>,
    },
    /// Phase 1b: the sender no longer votes in any ballot below `ballot`. Carries one page of its
    /// votes.
    Promise {
        /// The candidate's ballot.
        ballot: Ballot,
        /// The `from` of the request.
        from: Slot,
        /// Its votes from `from` on, ascending, without those at or below its chosen prefix.
        votes: Vec<Vote>,
        /// Where the next page begins, if this is not the last. The promise freezes the votes below
        /// `ballot`, so pages requested one after the other are consistent.
        next: Option<Slot>,
        /// The chosen prefix, whose values the sender holds.
        chosen: Slot,
        /// The configurations in force after that prefix and those that are decided in it, if the
        /// sender knows a later one than the candidate.
        configurations: Option<Box<Configurations>>,
    },
    /// Phase 2b, for a range: in each of its slots the sender has voted in `ballot`, or holds a
    /// value that it knows to be chosen.
    Accepted {
        /// The leader's ballot.
        ballot: Ballot,
        /// The first slot.
        first: Slot,
        /// The last slot, inclusive.
        last: Slot,
    },
    /// Answers [`Replicate::Settle`]: the sender's disk holds everything up to `slot`, and knows it to
    /// be chosen.
    Settled {
        /// The leader's ballot.
        ballot: Ballot,
        /// The slot of the request.
        slot: Slot,
    },
}

/// Confirms contact, asks a question, refuses, or repeats what is chosen. It stays true even if its
/// sender forgets everything that is not durable, so it waits for no write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Echo {
    /// Asks whether the receiver is without a leader too. Changes no state on either node.
    Ask {
        /// The highest ballot that the sender has promised.
        promised: Ballot,
        /// The sender's number of this attempt.
        attempt: u64,
        /// The state of the sender's disk: the other nodes wait for it during the campaign.
        disk: DiskHealth,
    },
    /// Answers [`Echo::Ask`].
    Answer {
        /// The highest ballot that the sender has promised: a campaign must be above it.
        promised: Ballot,
        /// The attempt of the question.
        attempt: u64,
        /// Whether it does not lead and had no contact with a leader for the shortest election
        /// timeout.
        no_leader: bool,
        /// Its chosen prefix.
        chosen: Slot,
        /// The state of the sender's disk: the candidate waits for it to store the promise.
        disk: DiskHealth,
        /// [`Config::priority`](crate::Config::priority) of the sender. None while it is not to be
        /// preferred: it gave up leadership for a cause, and that is not forgiven.
        priority: Option<u8>,
    },
    /// Answers a heartbeat. That the sender has promised nothing above this ballot needs no memory:
    /// a node that durably promised more before could not have sent this.
    Heartbeat {
        /// The leader's ballot.
        ballot: Ballot,
        /// The round of the heartbeat.
        round: u64,
        /// How far the sender, without a gap, has accepted in this ballot or knows to be chosen, in
        /// memory. A hint for sending, never an acknowledgement.
        through: Slot,
        /// Its chosen prefix, in memory.
        chosen: Slot,
        /// Whether the heartbeat named a higher acknowledgement than the sender knows of: it
        /// restarted.
        behind: bool,
        /// The state of the sender's disk.
        disk: DiskHealth,
        /// As in [`Echo::Answer`].
        priority: Option<u8>,
        /// For how long, on its clock, the sender helps no other node to lead; zero if it grants no lease.
        /// It keeps that after a restart too, by waiting.
        lease: Duration,
    },
    /// Asks how far the receiver has voted, for reads of the sender ([`Paxos::read_by_quorum`]). Changes no state
    /// on the receiver.
    ///
    /// [`Paxos::read_by_quorum`]: crate::Paxos::read_by_quorum
    HowFar {
        /// The highest ballot that the sender has promised.
        promised: Ballot,
        /// [`Config::life`](crate::Config::life) of the sender.
        life: u64,
        /// The number of the question in that life.
        number: u64,
    },
    /// Answers [`Echo::HowFar`]. It stays true after a crash as far as anybody may have counted a vote: those
    /// are durable before they are told.
    Voted {
        /// The highest ballot that the sender has promised.
        promised: Ballot,
        /// The life of the question.
        life: u64,
        /// The number of the question.
        number: u64,
        /// The last slot in which the sender has voted, in any ballot, or which it knows to be chosen.
        last: Slot,
    },
    /// The sender has promised a higher ballot than that of the message it answers.
    Preempted {
        /// The ballot that it has promised.
        promised: Ballot,
    },
    /// The receiver is in no configuration any more, and is not needed: the one with this number is
    /// settled. Ids are never admitted again, so this stays true.
    Removed {
        /// The highest ballot that the sender has promised.
        promised: Ballot,
        /// The number of the settled configuration.
        number: u64,
    },
    /// A leader requests chosen values that it lacks.
    Learn {
        /// The leader's ballot.
        ballot: Ballot,
        /// The first missing slot.
        from: Slot,
        /// The last missing slot.
        to: Slot,
    },
    /// Answers [`Echo::Learn`]: these values are chosen, and stay so whatever any node forgets.
    Learned {
        /// The ballot of the request.
        ballot: Ballot,
        /// The slot of the first of `values`.
        first: Slot,
        /// One value per slot, at least one.
        values: Entries,
    },
    /// Answers [`Echo::Learn`]: the values are compacted away, and this snapshot covers them.
    Offer {
        /// The ballot of the request.
        ballot: Ballot,
        /// The offered snapshot.
        snapshot: Box<Snapshot>,
    },
}

/// A message and its destination.
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
    /// Whether its sender wants to lead.
    pub(crate) fn seeks_leadership(&self) -> bool {
        matches!(
            self,
            Self::Echo(Echo::Ask { .. }) | Self::Binding(Binding::Prepare { .. })
        )
    }

    /// The ballot that the message carries: its own, or one that its sender has promised.
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
                | Echo::HowFar {
                    promised: ballot, ..
                }
                | Echo::Voted {
                    promised: ballot, ..
                }
                | Echo::Preempted { promised: ballot }
                | Echo::Removed {
                    promised: ballot, ..
                },
            ) => *ballot,
        }
    }
}

impl Replicate {
    /// Maximum number of values, or votes, in one message. Empty values are small on the wire and
    /// large in memory, so a decoder refuses more;
    /// [`Config::accept_values_max`](crate::Config::accept_values_max) is at most this.
    pub const VALUES_MAX: usize = 1 << 13;

    pub(crate) fn ballot(&self) -> Ballot {
        match self {
            Self::Accept { ballot, .. }
            | Self::Heartbeat { ballot, .. }
            | Self::Chosen { ballot, .. }
            | Self::Snapshot { ballot, .. }
            | Self::Settle { ballot, .. }
            | Self::Invite { ballot, .. } => *ballot,
        }
    }
}

impl Binding {
    pub(crate) fn ballot(&self) -> Ballot {
        match self {
            Self::Prepare { ballot, .. }
            | Self::Promise { ballot, .. }
            | Self::Accepted { ballot, .. }
            | Self::Settled { ballot, .. } => *ballot,
        }
    }
}
