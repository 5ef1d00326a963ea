use alloc::boxed::Box;
use core::time::Duration;

use crate::{DiskHealth, Entries, Index, LogId, NodeId, Snapshot, Term};

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

/// A message from a leader. Its term and its own vote were durable before it won, and a crash
/// cannot falsify what it sends, so nothing here waits for the leader's disk (thesis §10.2.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Replicate {
    /// Entries that follow `prev`. Without entries it is a probe for `prev` (AppendEntries, §5.3).
    Append {
        /// The leader's term.
        term: Term,
        /// The entry before the first of `entries`.
        prev: LogId,
        /// Contiguous and ascending; may be empty.
        entries: Entries,
        /// The leader's commit index.
        commit: Index,
    },
    /// Shows that the leader is alive. Each carries the number of its round; an echo confirms the
    /// leader's reads up to that round (§8).
    Heartbeat {
        /// The leader's term.
        term: Term,
        /// Increases with each broadcast of this leader.
        round: u64,
        /// The leader's commit index. The receiver applies it only as far as its log is known to
        /// match.
        commit: Index,
        /// How far the receiver has acknowledged, as far as the leader knows. A receiver that
        /// acknowledged more repeats it, because its message was lost.
        matched: Index,
        /// For how long the receiver is asked to elect nobody else, see [`Lease`](crate::Lease); zero
        /// if for no time at all.
        lease: Duration,
    },
    /// The commit index advanced and no append that carries it is in flight. Not answered.
    Commit {
        /// The leader's term.
        term: Term,
        /// As in a heartbeat.
        commit: Index,
    },
    /// Offers a snapshot because entries that the receiver needs are compacted away. The receiver's
    /// driver pulls the bytes (InstallSnapshot, §7).
    Snapshot {
        /// The leader's term.
        term: Term,
        /// The offered snapshot.
        snapshot: Box<Snapshot>,
    },
    /// The receiver is to campaign at once (thesis §3.10). It does so only as a follower of this leader
    /// in this term, if it holds all of the leader's log and has heard no later heartbeat: a leader that
    /// has given up the transfer says so by one. Not answered but by a later term.
    TimeoutNow {
        /// The leader's term.
        term: Term,
        /// The leader's last broadcast of heartbeats.
        round: u64,
        /// The end of the leader's log.
        last: Index,
    },
}

/// Reports to a peer what this node remembers. It is sent from inside the [`Write`](crate::Write)
/// that makes it true, and in no other way.
///
/// Inside the core each kind of message has its own path, and the compiler keeps them apart:
///
/// ```
/// use synod_raft::{Binding, Replicate, Term};
/// fn send_after_write(_: Binding) {}
/// send_after_write(Binding::Vote { term: Term(1), granted: true });
/// ```
///
/// Sending a promise without waiting is a type error:
///
/// ```compile_fail,E0308
/// use synod_raft::{Binding, Replicate, Term};
/// fn send_now(_: Replicate) {}
/// send_now(Binding::Vote { term: Term(1), granted: true });
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Binding {
    /// Requests a vote. It is binding because a candidate that forgets its term may campaign for
    /// the same term again with a shorter log, and would count the votes that it got for the longer
    /// one (§5.2).
    RequestVote {
        /// The candidate's term.
        term: Term,
        /// The last entry of its log.
        last: LogId,
        /// The leader of the term before asked it to campaign: who hears that leader is to answer all
        /// the same (thesis §3.10, §4.2.3).
        transfer: bool,
    },
    /// Answers [`Binding::RequestVote`].
    Vote {
        /// The term of the request.
        term: Term,
        /// Granted to at most one candidate per term.
        granted: bool,
    },
    /// The log equals the leader's up to `last`, and is durable (AppendEntries result).
    Appended {
        /// The leader's term.
        term: Term,
        /// The last index that the append matched; the log may be longer.
        last: Index,
    },
    /// The snapshot is installed and durable (InstallSnapshot result).
    Installed {
        /// The leader's term.
        term: Term,
        /// The last entry that the snapshot covers.
        last: LogId,
    },
}

/// Confirms contact, asks a question or refuses. It stays true even if its sender forgets
/// everything that is not durable, so it waits for no write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Echo {
    /// Answers a heartbeat. That the sender follows in this term needs no memory: a node that
    /// durably entered a later term earlier could not have sent this.
    Heartbeat {
        /// The leader's term.
        term: Term,
        /// The round of the heartbeat.
        round: u64,
        /// How far the log in memory is known to match the leader's. A hint for sending, never an
        /// acknowledgement.
        matched: Index,
        /// The state of the sender's disk.
        disk: DiskHealth,
        /// For how long the sender elects nobody else, counted from the arrival of the heartbeat: at
        /// most what was asked for. A crash would make this false, so a node that starts behaves as if
        /// it had just promised it.
        lease: Duration,
        /// How much the sender is preferred as a leader, see
        /// [`Config::priority`](crate::Config::priority); `None` while it is not to be preferred,
        /// because it gave up leadership for a cause not long ago.
        priority: Option<u8>,
    },
    /// The log does not match at the `prev` of an append.
    Rejected {
        /// The leader's term.
        term: Term,
        /// The rejected position.
        prev: LogId,
        /// The last position at or before `prev` whose term is not later than `prev`'s: no position
        /// in between can match (§5.3, the optimization that skips terms).
        hint: LogId,
    },
    /// Answers a heartbeat. The last message of a node that acknowledged more in this term than its
    /// log holds: its copy must no longer be counted.
    Forgot {
        /// The leader's term.
        term: Term,
        /// The last index that it acknowledged.
        acknowledged: Index,
        /// The last index up to which its log can still be what it acknowledged.
        holds: Index,
    },
    /// Answers a request for a vote, or for a pre-vote, of a node that was removed: that is
    /// committed, so it is to stop. The request is not looked at any further.
    Removed {
        /// The current term of the node that answers.
        term: Term,
    },
    /// The last message of a node that has learned that its removal is committed: its leader need
    /// not tell it any more.
    Left {
        /// The leader's term.
        term: Term,
    },
    /// Tells the sender of a message of an earlier term about this term.
    Stale {
        /// The current term of the node that answers.
        term: Term,
    },
    /// Asks whether the receiver would vote for the sender in `term`. Changes nothing on either
    /// node (thesis §9.6).
    RequestPreVote {
        /// The term the sender would campaign for.
        term: Term,
        /// The last entry of its log.
        last: LogId,
        /// The state of the sender's disk: the other nodes wait for it during the campaign.
        disk: DiskHealth,
    },
    /// Answers [`Echo::RequestPreVote`]. Not a promise: the real vote may still be refused.
    PreVote {
        /// If granted, the requested term; otherwise the current term of the sender.
        term: Term,
        /// Whether the sender would grant the vote now.
        granted: bool,
        /// The state of the sender's disk: the candidate waits for it to store the vote.
        disk: DiskHealth,
        /// As in the echo of a heartbeat: a candidate that is preferred less may wait for the sender.
        priority: Option<u8>,
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
    fn from(Envelope { to, message }: Envelope<Binding>) -> Self {
        let message = Message::Binding(message);
        Self { to, message }
    }
}

impl Replicate {
    /// Maximum number of entries in one append. Empty entries are small on the wire and large in
    /// memory, so a decoder refuses more;
    /// [`Config::append_entries_max`](crate::Config::append_entries_max) is at most this.
    pub const ENTRIES_MAX: usize = 1 << 13;

    pub(crate) fn term(&self) -> Term {
        match self {
            Self::Append { term, .. }
            | Self::Heartbeat { term, .. }
            | Self::Commit { term, .. }
            | Self::Snapshot { term, .. }
            | Self::TimeoutNow { term, .. } => *term,
        }
    }
}

impl Message {
    /// The term that the message carries.
    #[must_use]
    pub fn term(&self) -> Term {
        match self {
            Self::Echo(
                Echo::Heartbeat { term, .. }
                | Echo::Rejected { term, .. }
                | Echo::Forgot { term, .. }
                | Echo::Stale { term }
                | Echo::Removed { term }
                | Echo::Left { term }
                | Echo::RequestPreVote { term, .. }
                | Echo::PreVote { term, .. },
            ) => *term,
            Self::Replicate(replicate) => replicate.term(),
            Self::Binding(binding) => binding.term(),
        }
    }
}

impl Binding {
    pub(crate) fn term(&self) -> Term {
        match self {
            Self::RequestVote { term, .. }
            | Self::Vote { term, .. }
            | Self::Appended { term, .. }
            | Self::Installed { term, .. } => *term,
        }
    }
}
