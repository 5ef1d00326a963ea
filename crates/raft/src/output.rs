use alloc::boxed::Box;

use synod_durable::Few;

use crate::{
    Binding, Entries, Envelope, Index, LogId, NodeId, ReadId, Refusal, Snapshot, Stop, Term,
};

/// An action for the driver. Exhaustive on purpose: a new variant must break every driver.
///
/// A driver that handles everything compiles:
///
/// ```
/// # use synod_raft::Output;
/// fn drive(output: Output) {
///     match output {
///         Output::Persist(write) => drop(write),
///         Output::Send(_) | Output::Apply(_) | Output::Fetch(_) | Output::Read { .. } => {}
///         Output::PullSnapshot { .. } | Output::Restore(_) => {}
///         Output::Stop(why) => panic!("{why}"),
///     }
/// }
/// ```
///
/// One that forgets to write does not:
///
/// ```compile_fail,E0004
/// # use synod_raft::Output;
/// fn drive(output: Output) {
///     match output {
///         Output::Send(_) | Output::Apply(_) | Output::Fetch(_) | Output::Read { .. } => {}
///         Output::PullSnapshot { .. } | Output::Restore(_) => {}
///         Output::Stop(why) => panic!("{why}"),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Make this durable; only then the messages inside can be sent. One write is in flight at a
    /// time.
    Persist(Write),
    /// Send at once; it depends on no write in flight.
    Send(Envelope),
    /// Apply these entries to the state machine: committed, durable here, in order, each index once
    /// during the lifetime of this value. Never empty.
    Apply(Entries),
    /// Read these entries from the log and pass them to
    /// [`Raft::handle_fetched`](crate::Raft::handle_fetched).
    Fetch(Fetch),
    /// An accepted read has ended: serve it from a machine that has applied `index`, or refuse it.
    Read {
        /// The id that the caller gave it.
        id: ReadId,
        /// The index that must be applied first, or why the read failed.
        index: Result<Index, Refusal>,
    },
    /// Pull the snapshot's bytes from that node, then call
    /// [`Raft::handle_snapshot`](crate::Raft::handle_snapshot) once they are durable, or
    /// [`Raft::handle_pull_failed`](crate::Raft::handle_pull_failed). A later output of this kind
    /// replaces this one.
    PullSnapshot {
        /// The node that offers it.
        from: NodeId,
        /// The offered snapshot.
        snapshot: Box<Snapshot>,
    },
    /// Reset the machine to this snapshot; `Apply` continues after it. The log's start at this
    /// snapshot is durable. Also the first output for the machine after a restart with a snapshot.
    Restore(Box<Snapshot>),
    /// This node must no longer take part, and an operator has to look at it. This is the last
    /// output: the value ignores all later input.
    Stop(Stop),
}

/// The changes that become durable in one write, all or nothing. They may also be stored in several
/// steps, in this order, because no message leaves before the last of them. The commit index is not
/// included: it is volatile (Figure 2).
///
/// The order matters, so [`ops`](Self::ops) is the only access to the contents. Entries come after
/// the start: when a log begins anew, they follow that start directly, and appending them first to
/// a log that ends earlier would lose them together with that log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// Boxed because most records have none and records are moved around.
    head: Option<Box<Head>>,
    /// Entries to append, ascending and contiguous; after the start if that is given too.
    pub(crate) entries: Few<Entries>,
}

/// The changes of a record other than its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Head {
    /// The new term and vote.
    pub(crate) vote: Option<(Term, Option<NodeId>)>,
    /// Entries at this index and after it are removed.
    pub(crate) truncate_from: Option<Index>,
    /// The log begins after this position, by compaction or by installing a snapshot. The snapshot
    /// is durable already.
    pub(crate) start: Option<LogId>,
}

/// One change of the stored state, see [`Record::ops`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op<'a> {
    /// The term, and the node voted for in it. Replaces the stored ones.
    Vote(Term, Option<NodeId>),
    /// Remove the entries at this index and after it.
    Truncate(Index),
    /// The log begins after this position: entries up to it are removed, later ones stay. The
    /// snapshot is durable already.
    Start(LogId),
    /// Append these at the end of the log, or at its start if it is empty. There may be several
    /// runs, which together have no gap. Keeping them needs no copy.
    Append(&'a Entries),
}

impl Record {
    pub(crate) fn new(head: Head, entries: Few<Entries>) -> Self {
        let head = (head != Head::default()).then(|| Box::new(head));
        Self { head, entries }
    }

    pub(crate) fn head(&self) -> Head {
        self.head.as_deref().copied().unwrap_or_default()
    }

    /// The changes, in the order in which they must be stored and replayed.
    pub fn ops(&self) -> impl Iterator<Item = Op<'_>> {
        let head = self.head();
        let vote = head.vote.map(|(term, vote)| Op::Vote(term, vote));
        let truncate = head.truncate_from.map(Op::Truncate);
        let start = head.start.map(Op::Start);
        let head = vote.into_iter().chain(truncate).chain(start);
        head.chain(self.entries.iter().map(Op::Append))
    }

    /// Whether there is nothing to store: the write exists for its messages, all of which are true
    /// already. A driver may skip the disk if everything it stored for this node before is durable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.is_none() && self.entries.is_empty()
    }
}

/// A record, and the messages that may not leave this node before it is durable.
pub type Write = synod_durable::Write<Record, Envelope<Binding>>;

/// A write that was appended to the log under the ticket `T` and is not yet durable.
pub type Staged<T> = synod_durable::Staged<Record, Envelope<Binding>, T>;

/// Proof that a [`Write`] is durable; returned to
/// [`Raft::handle_persisted`](crate::Raft::handle_persisted).
pub type Receipt = synod_durable::Receipt<Record>;

/// What a node may count for itself once a record is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Own {
    /// The term and vote, if the record has them.
    pub(crate) vote: Option<(Term, Option<NodeId>)>,
    /// The index of the record's last entry, or 0.
    pub(crate) last: Index,
    /// The new start of the log, if the record has one.
    pub(crate) start: Option<Index>,
}

impl synod_durable::Record for Record {
    type Own = Own;

    fn own(&self) -> Own {
        let last = self.entries.last().and_then(|run| run.last());
        let head = self.head();
        Own {
            vote: head.vote,
            last: last.map_or(Index(0), |entry| entry.id.index),
            start: head.start.map(|start| start.index),
        }
    }
}

/// A request for entries that the cache no longer holds. The driver returns it with the entries to
/// [`Raft::handle_fetched`](crate::Raft::handle_fetched).
#[must_use = "answer it with `handle_fetched`, or nothing that needs these entries continues"]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fetch {
    pub(crate) from: Index,
    pub(crate) to: Index,
    pub(crate) bytes_max: usize,
    pub(crate) wanted: Wanted,
    pub(crate) term: Term,
}

impl Fetch {
    /// The first requested index; durable.
    #[must_use]
    pub fn from(&self) -> Index {
        self.from
    }

    /// The last requested index, inclusive; durable. Fewer entries are allowed, but at least one.
    #[must_use]
    pub fn to(&self) -> Index {
        self.to
    }

    /// Stop before the entry that would exceed this many bytes, unless it is the first.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Who needs the entries.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        self.wanted
    }
}

/// Who needs fetched entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// A peer that lags behind this leader.
    Peer(NodeId),
    /// The state machine of this node.
    Apply,
}
