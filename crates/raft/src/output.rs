use alloc::vec::Vec;

use crate::{Entry, Envelope, Index, LogId, NodeId, ReadId, Refusal, Snapshot, Stop, Term};

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
    /// Apply to the state machine: committed, durable here, in order, each index once in the life
    /// of this value.
    Apply(Entry),
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
        snapshot: Snapshot,
    },
    /// The machine restarts from this snapshot; `Apply` goes on behind it. Its start is durable.
    /// Also the first word to the machine after a restart with a snapshot, before any `Apply`.
    Restore(Snapshot),
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
    /// Term and vote.
    pub(crate) vote: Option<(Term, Option<NodeId>)>,
    /// Entries at this index and behind it are gone.
    pub(crate) truncate_from: Option<Index>,
    /// The log begins after this position: compaction and install alike. Its snapshot is durable
    /// already.
    pub(crate) start: Option<LogId>,
    /// Entries to append, ascending and contiguous; behind `start` if that is given too.
    pub(crate) entries: Vec<Entry>,
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
    /// Appended at the end, which is the start if nothing is behind that.
    Append(&'a Entry),
}

impl Record {
    /// What to store, in the order in which it is stored and replayed.
    pub fn ops(&self) -> impl Iterator<Item = Op<'_>> {
        let vote = self.vote.map(|(term, vote)| Op::Vote(term, vote));
        let truncate = self.truncate_from.map(Op::Truncate);
        let start = self.start.map(Op::Start);
        let head = vote.into_iter().chain(truncate).chain(start);
        head.chain(self.entries.iter().map(Op::Append))
    }

    /// Nothing to store: the write exists for the messages in it, all of which are true already. A
    /// driver may skip its disk, if everything it stored for this node before is durable.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.vote.is_none()
            && self.truncate_from.is_none()
            && self.entries.is_empty()
            && self.start.is_none()
    }
}

/// A record, the messages that may not leave this node before it is durable, and the receipt for
/// it.
///
/// [`persist`](Self::persist) and [`stage`](Self::stage) are the only ways to the messages and the
/// receipt:
///
/// ```
/// # use synod_raft::{Envelope, Receipt, Write};
/// fn early(write: Write) -> Vec<Envelope> {
///     write.persist(|_record| Ok::<(), ()>(())).unwrap().0
/// }
/// ```
///
/// Reading them early does not compile:
///
/// ```compile_fail,E0616
/// # use synod_raft::{Envelope, Receipt, Write};
/// fn early(write: Write) -> Vec<Envelope> {
///     write.messages
/// }
/// ```
///
/// It can be cloned, so that a checker can store a state with a write in flight; the core takes
/// each receipt once.
#[must_use = "until this is durable the node makes no progress"]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Write {
    pub(crate) record: Record,
    pub(crate) messages: Vec<Envelope>,
    pub(crate) receipt: WriteSeq,
}

/// The number of a write, from which its receipt is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct WriteSeq(pub(crate) u64);

impl Write {
    /// Hands the record to `store`, which returns `Ok` only once it is on stable storage.
    ///
    /// # Errors
    /// Those of `store`. The messages are gone with the receipt: the node said nothing, and the
    /// core must not be polled again, because its memory is ahead of its disk.
    pub fn persist<E>(
        self,
        store: impl FnOnce(&Record) -> Result<(), E>,
    ) -> Result<(Vec<Envelope>, Receipt), E> {
        store(&self.record)?;
        Ok((
            self.messages,
            Receipt {
                seq: self.receipt.0,
            },
        ))
    }

    /// Hands the record to `append`, which puts it into a log that will be synced later and tells
    /// under which ticket. The messages stay inside until [`Staged::release`].
    ///
    /// # Errors
    /// Those of `append`; as for [`persist`](Self::persist).
    pub fn stage<T, E>(self, append: impl FnOnce(&Record) -> Result<T, E>) -> Result<Staged<T>, E> {
        Ok(Staged {
            ticket: append(&self.record)?,
            messages: self.messages,
            receipt: self.receipt,
        })
    }
}

/// Appended under the log's ticket `T`, and not yet durable.
#[must_use = "release it when the log is durable up to its ticket"]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Staged<T> {
    ticket: T,
    messages: Vec<Envelope>,
    receipt: WriteSeq,
}

impl<T: Ord> Staged<T> {
    /// `durable`: all that was staged under a ticket up to this one is on stable storage.
    ///
    /// # Errors
    /// Itself, if it is not durable yet.
    pub fn release(self, durable: &T) -> Result<(Vec<Envelope>, Receipt), Self> {
        if self.ticket <= *durable {
            Ok((
                self.messages,
                Receipt {
                    seq: self.receipt.0,
                },
            ))
        } else {
            Err(self)
        }
    }
}

/// Proof that a [`Write`] is durable; goes back with
/// [`Raft::handle_persisted`](crate::Raft::handle_persisted). Not `Clone`:
///
/// ```
/// # use synod_raft::{Instant, Raft, Receipt};
/// fn once(raft: &mut Raft, receipt: Receipt) {
///     raft.handle_persisted(Instant::ZERO, receipt);
/// }
/// ```
///
/// ```compile_fail,E0382
/// # use synod_raft::{Instant, Raft, Receipt};
/// fn once(raft: &mut Raft, receipt: Receipt) {
///     raft.handle_persisted(Instant::ZERO, receipt);
///     raft.handle_persisted(Instant::ZERO, receipt);
/// }
/// ```
///
/// And made by a write alone:
///
/// ```
/// # use synod_raft::{Receipt, Write};
/// fn receipt(write: Write) -> Receipt {
///     write.persist(|_record| Ok::<(), ()>(())).unwrap().1
/// }
/// ```
///
/// ```compile_fail,E0451
/// # use synod_raft::{Receipt, Write};
/// fn receipt(write: Write) -> Receipt {
///     Receipt { seq: 1 }
/// }
/// ```
#[must_use = "give it back with `Raft::handle_persisted`"]
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Receipt {
    pub(crate) seq: u64,
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
