use alloc::boxed::Box;

use crate::{DiskHealth, Entries, Index, LogId, NodeId, Snapshot, Term};

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

/// From a leader. Its term and its own vote are durable since before it won, and a crash cannot
/// make what it sends false, so nothing here waits for the leader's disk (thesis §10.2.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Replicate {
    /// Entries behind `prev`; without entries a probe for `prev` (AppendEntries, §5.3).
    Append {
        /// The leader's term.
        term: Term,
        /// The entry before the first of `entries`.
        prev: LogId,
        /// Contiguous, ascending, perhaps none.
        entries: Entries,
        /// What the leader knows to be committed.
        commit: Index,
    },
    /// The leader is there. Each carries the number of its round; an echo of it confirms the
    /// leader's reads up to that round (§8).
    Heartbeat {
        /// The leader's term.
        term: Term,
        /// Rises with each broadcast of this leader.
        round: u64,
        /// What the leader knows to be committed; the receiver takes it only as far as its log is
        /// known to match.
        commit: Index,
        /// How far the receiver has acknowledged, as the leader knows: a receiver that did more
        /// says so again, because its word was lost.
        matched: Index,
    },
    /// The commit index moved and no append is on its way to tell. Not answered.
    Commit {
        /// The leader's term.
        term: Term,
        /// As in a heartbeat.
        commit: Index,
    },
    /// An offer: entries the receiver needs are compacted away. The bytes are pulled by the
    /// receiver's runtime (InstallSnapshot, §7).
    Snapshot {
        /// The leader's term.
        term: Term,
        /// What is offered.
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

/// Tells a peer what this node remembers. It leaves inside the [`Write`](crate::Write) that makes
/// it true, and there is no other way out.
///
/// Inside the core each kind of message has its own way out, and the compiler keeps them apart:
///
/// ```
/// use synod_raft::{Binding, Replicate, Term};
/// fn send_after_write(_: Binding) {}
/// send_after_write(Binding::Vote { term: Term(1), granted: true });
/// ```
///
/// A promise in the lane that does not wait is a type error:
///
/// ```compile_fail,E0308
/// use synod_raft::{Binding, Replicate, Term};
/// fn send_now(_: Replicate) {}
/// send_now(Binding::Vote { term: Term(1), granted: true });
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Binding {
    /// Asks for a vote. It binds because a candidate that forgets its term campaigns for the same
    /// one again, perhaps with a shorter log, and counts the votes it got for the longer (§5.2).
    RequestVote {
        /// The candidate's term.
        term: Term,
        /// The end of its log.
        last: LogId,
        /// The leader of the term before asked it to campaign: who hears that leader is to answer all
        /// the same (thesis §3.10, §4.2.3).
        transfer: bool,
    },
    /// Answers [`Binding::RequestVote`].
    Vote {
        /// The term of the request.
        term: Term,
        /// At most one candidate of a term is told `true`.
        granted: bool,
    },
    /// The log equals the leader's up to `last`, durably (AppendEntries result).
    Appended {
        /// The leader's term.
        term: Term,
        /// What the append matched; the log may be longer.
        last: Index,
    },
    /// The snapshot is installed, durably (InstallSnapshot result).
    Installed {
        /// The leader's term.
        term: Term,
        /// The last entry the snapshot covers.
        last: LogId,
    },
}

/// Confirms contact, asks or refuses. What it says stays true if its sender forgets everything that
/// was not durable, so it waits for no write.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Echo {
    /// Answers a heartbeat. That the sender follows in this term needs no memory: a node that
    /// durably entered a later term before could not have sent it.
    Heartbeat {
        /// The leader's term.
        term: Term,
        /// The heartbeat's round.
        round: u64,
        /// How far the log is known to match the leader's, in memory. A hint for sending, never an
        /// acknowledgement.
        matched: Index,
        /// How the sender's disk does.
        disk: DiskHealth,
    },
    /// `prev` of an append does not match.
    Rejected {
        /// The leader's term.
        term: Term,
        /// The position that was refused.
        prev: LogId,
        /// The last position at or before `prev` whose term is not later than `prev`'s: no position
        /// between can match (§5.3, the faster way back).
        hint: LogId,
    },
    /// Answers a heartbeat, and is the last word of a node that acknowledged more in this term than
    /// its log holds: its copy is not to be counted any more.
    Forgot {
        /// The leader's term.
        term: Term,
        /// What it acknowledged.
        acknowledged: Index,
        /// How far what it holds can be what it acknowledged.
        holds: Index,
    },
    /// Whoever sent in an earlier term learns of this one.
    Stale {
        /// The term of the sender.
        term: Term,
    },
    /// Would you vote for me in `term`? Changes nothing at either end (thesis §9.6).
    RequestPreVote {
        /// The term the sender would campaign for.
        term: Term,
        /// The end of its log.
        last: LogId,
        /// How the sender's disk does: the others wait for its candidacy.
        disk: DiskHealth,
    },
    /// Answers [`Echo::RequestPreVote`]. No promise: the real vote may still be refused.
    PreVote {
        /// If granted, the term asked for; else the term of the sender.
        term: Term,
        /// Whether the vote would be given now.
        granted: bool,
        /// How the sender's disk does: the candidate waits for its vote.
        disk: DiskHealth,
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
    fn from(Envelope { to, message }: Envelope<Binding>) -> Self {
        let message = Message::Binding(message);
        Self { to, message }
    }
}

impl Replicate {
    /// Entries in one append at most. Empty ones are small on the wire and large in memory, so a decoder
    /// refuses more; [`Config::append_entries_max`](crate::Config::append_entries_max) is not above it.
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
    /// The term it carries.
    #[must_use]
    pub fn term(&self) -> Term {
        match self {
            Self::Echo(
                Echo::Heartbeat { term, .. }
                | Echo::Rejected { term, .. }
                | Echo::Forgot { term, .. }
                | Echo::Stale { term }
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
