use alloc::boxed::Box;

use synod_durable::Few;

use crate::{
    Binding, Entries, Envelope, Index, LogId, NodeId, ReadId, Refusal, Snapshot, Stop, Term,
};

/// What the driver must do next. Exhaustive on purpose: a new variant must break every driver.
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
    /// Make this durable; the messages inside come out only when it is. One is in flight at a time.
    Persist(Write),
    /// Transmit at once; depends on no write in flight.
    Send(Envelope),
    /// Apply these to the state machine: committed, durable here, in order, each index once in the
    /// life of this value. There is one at least.
    Apply(Entries),
    /// Read these entries from the log and hand them to
    /// [`Raft::handle_fetched`](crate::Raft::handle_fetched).
    Fetch(Fetch),
    /// A read accepted before ended: serve it from a machine that has applied `index`, or refuse
    /// it.
    Read {
        /// The caller's name for it.
        id: ReadId,
        /// What must be applied first.
        index: Result<Index, Refusal>,
    },
    /// Pull the snapshot's bytes from that node, then call
    /// [`Raft::handle_snapshot`](crate::Raft::handle_snapshot) once they are durable, or
    /// [`Raft::handle_pull_failed`](crate::Raft::handle_pull_failed). A later one replaces this
    /// one.
    PullSnapshot {
        /// Who offers it.
        from: NodeId,
        /// What is offered.
        snapshot: Box<Snapshot>,
    },
    /// The machine restarts from this snapshot; `Apply` goes on behind it. Its start is durable.
    /// Also the first word to the machine after a restart with a snapshot, before any `Apply`.
    Restore(Box<Snapshot>),
    /// This node must take no part any more, and somebody has to look at it. The last output: the
    /// value ignores all input from here on.
    Stop(Stop),
}

/// What becomes durable in one step, all or nothing; or, in this order, in several steps, because
/// nothing is said before the last of them. The commit index is not in it: it is volatile (Figure 2).
///
/// The order matters, so a driver gets it from [`ops`](Self::ops) and has no other way to what is
/// inside. Entries come behind the start: those of a log that begins anew stand right behind it, and
/// whoever appended them first, to a log that ends before, would lose them with that log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Record {
    /// Boxed, because most records have none, and records are moved.
    head: Option<Box<Head>>,
    /// Entries to append, ascending and contiguous; behind the start if that is given too.
    pub(crate) entries: Few<Entries>,
}

/// What a record changes but for the entries that it appends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Head {
    /// Term and vote.
    pub(crate) vote: Option<(Term, Option<NodeId>)>,
    /// Entries at this index and behind it are gone.
    pub(crate) truncate_from: Option<Index>,
    /// The log begins after this position: compaction and install alike. Its snapshot is durable
    /// already.
    pub(crate) start: Option<LogId>,
}

/// One change of what is stored, see [`Record::ops`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op<'a> {
    /// The term, and who got this node's vote in it. Replaces what was stored.
    Vote(Term, Option<NodeId>),
    /// Entries at this index and behind it are gone.
    Truncate(Index),
    /// The log begins after this position: entries up to it are gone, those behind it stay. Its
    /// snapshot is durable already.
    Start(LogId),
    /// Appended at the end, which is the start if nothing is behind that. There may be several runs;
    /// together they have no gap. To keep them takes no copy.
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

    /// What to store, in the order in which it is stored and replayed.
    pub fn ops(&self) -> impl Iterator<Item = Op<'_>> {
        let head = self.head();
        let vote = head.vote.map(|(term, vote)| Op::Vote(term, vote));
        let truncate = head.truncate_from.map(Op::Truncate);
        let start = head.start.map(Op::Start);
        let head = vote.into_iter().chain(truncate).chain(start);
        head.chain(self.entries.iter().map(Op::Append))
    }

    /// Nothing to store: the write exists for the messages in it, all of which are true already. A
    /// driver may skip its disk, if everything it stored for this node before is durable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.is_none() && self.entries.is_empty()
    }
}

/// A record, and the messages that may not leave this node before it is durable.
pub type Write = synod_durable::Write<Record, Envelope<Binding>>;

/// A write that was appended under the log's ticket `T`, and is not yet durable.
pub type Staged<T> = synod_durable::Staged<Record, Envelope<Binding>, T>;

/// Proof that a [`Write`] is durable; goes back with
/// [`Raft::handle_persisted`](crate::Raft::handle_persisted).
pub type Receipt = synod_durable::Receipt<Record>;

/// What a node may count for itself once a record is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Own {
    /// Term and vote, if the record has them.
    pub(crate) vote: Option<(Term, Option<NodeId>)>,
    /// The last entry of the record; 0 without one.
    pub(crate) last: Index,
    /// The log begins after it, if it begins anew.
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

/// Entries that the cache no longer holds. Goes out, and comes back with them through
/// [`Raft::handle_fetched`](crate::Raft::handle_fetched).
#[must_use = "whoever waits for these entries goes on only when they are handed back"]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Fetch {
    pub(crate) from: Index,
    pub(crate) to: Index,
    pub(crate) bytes_max: usize,
    pub(crate) wanted: Wanted,
    pub(crate) term: Term,
}

impl Fetch {
    /// The first index wanted; durable.
    #[must_use]
    pub fn from(&self) -> Index {
        self.from
    }

    /// The last index wanted, inclusive; durable. Fewer are welcome, one is enough.
    #[must_use]
    pub fn to(&self) -> Index {
        self.to
    }

    /// Stop before the entry that would pass this many bytes, unless it is the first.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// For whom.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        self.wanted
    }
}

/// Who waits for fetched entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// A lagging peer of this leader.
    Peer(NodeId),
    /// The state machine of this node.
    Apply,
}
