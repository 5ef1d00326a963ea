//! What the runtime requires of a consensus core: a replicated log, sans-IO.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use synod_transport::{NodeId, Parcel};
use synod_wal::{Lsn, Op, Slot, Snapshot, Tag};

use crate::handover::TransferError;
use crate::log::{LogError, Recovered};
use crate::members::{ChangeEnd, ChangeError, ChangeStatus, Members};
use crate::time::Instant;

mod configured;
#[cfg(feature = "paxos")]
mod paxos;
#[cfg(feature = "raft")]
mod raft;
#[cfg(any(feature = "raft", feature = "paxos"))]
mod records;
mod step_down;
#[cfg(any(feature = "raft", feature = "paxos"))]
mod wire;

pub use configured::Configured;
pub use step_down::StepDown;

/// An index or slot of the log, with what the protocol stores about it (term or ballot, kind).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Index or slot, from 1; 0 is before the first.
    pub index: u64,
    /// The protocol's own encoding of the slot's term or ballot and kind.
    pub tag: Tag,
}

/// What a committed slot holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing: a leader's first entry, or a filled gap.
    Noop,
    /// Commands for the state machine, as [`body`](crate::body) encodes them.
    Commands,
    /// A configuration, as the protocol encodes it.
    Membership,
}

/// The records of a group whose first slot is covered by a snapshot.
#[derive(Clone, Debug)]
pub struct Seed {
    /// The state record.
    pub state: Tag,
    /// What the snapshot covers, and the members of the group.
    pub snapshot: Snapshot,
}

/// A decided slot.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The position of the slot.
    pub at: Position,
    /// The kind of its contents.
    pub kind: Kind,
    /// The bytes that were proposed.
    pub body: Bytes,
}

/// A term or a ballot: it rises from leader to leader.
///
/// Two leaders of Paxos may share a round, and their ballots are then ordered by node. In Raft the
/// number of a term is enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    /// Term or ballot round; compared first.
    pub round: u64,
    /// The node that owns the ballot; 0 where the round alone identifies the epoch.
    pub node: NodeId,
}

impl Epoch {
    /// An epoch that is identified by its number alone.
    #[must_use]
    pub const fn of_round(round: u64) -> Self {
        Self {
            round,
            node: NodeId(0),
        }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node {
            NodeId(0) => write!(f, "{}", self.round),
            NodeId(node) => write!(f, "{}.{node}", self.round),
        }
    }
}

/// A node's leadership in an epoch. A node leads in an epoch at most once, so the pair identifies
/// one uninterrupted leadership of one incarnation of one node; the node and the epoch's round are
/// sufficient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The leader.
    pub node: NodeId,
    /// Its term or ballot.
    pub epoch: Epoch,
}

/// Identifies a read that waits for its index; the engine never reuses one within an incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadId(pub u64);

/// Why a core refused a proposal or a read. It has no effect and never will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another node leads, or no leader is known.
    NotLeader,
    /// A bound is reached.
    Busy,
    /// No quorum has space for it.
    Full,
    /// The command exceeds the entry's limit, so it can never be accepted.
    TooLarge,
    /// Leadership is being handed to another node.
    Transferring,
}

/// The role of a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Follows a leader, or waits for one.
    #[default]
    Follower,
    /// Requests votes or promises.
    Candidate,
    /// Leads the group.
    Leader,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Leader => "leader",
        })
    }
}

/// The state of a peer, as seen by its leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// The peer's id.
    pub id: NodeId,
    /// The highest index that the peer is known to hold durably.
    pub matched: u64,
    /// Whether the peer's disk lost what it had acknowledged to this leader, so that it has stopped
    /// and counts towards no quorum. Only Raft detects this and tells the leader.
    pub forgot: bool,
}

/// The status of a core.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoreStatus {
    /// The role of this node.
    pub role: Role,
    /// The current term or ballot.
    pub epoch: Epoch,
    /// The last index known to be decided.
    pub commit: u64,
    /// The last index of the log.
    pub last: u64,
    /// The index after which the log begins.
    pub start: u64,
    /// Why it last stopped leading; `None` if it never did since the group was opened.
    pub stepped_down: Option<StepDown>,
    /// To whom it is handing its leadership.
    pub transfer: Option<NodeId>,
    /// The change of the members that is under way. In Paxos only its leader knows.
    pub change: Option<ChangeStatus>,
    /// How the last change of the members ended.
    pub change_end: Option<ChangeEnd>,
    /// How much this node is preferred as the leader, against the others.
    pub priority: u8,
    /// When its lease ends, by the clock that the core is given, if no further promise comes; `None` if it
    /// can have none now.
    pub lease_end: Option<Instant>,
    /// The state of the peers, on a leader.
    pub peers: Vec<PeerStatus>,
    /// Meaningless messages that were ignored, including those that leapt.
    pub ignored: u64,
    /// How many messages leapt.
    pub leaps: u64,
    /// The last message that leapt.
    pub leap: Option<Leap>,
}

/// A message with an epoch too far above the one stored here to be believed: honest nodes do not
/// get there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leap {
    /// The sender.
    pub from: NodeId,
    /// The epoch of the message.
    pub epoch: Epoch,
    /// The epoch stored here at the time.
    pub stored: Epoch,
}

/// The health of the disk under a group, as measured by its driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskHealth {
    /// Whether there is space for the next appends.
    pub has_room: bool,
    /// How long it takes at present until a write is durable; zero if unknown.
    pub sync_time: Duration,
}

impl Default for DiskHealth {
    /// With space, and with an unknown sync time.
    fn default() -> Self {
        Self {
            has_room: true,
            sync_time: Duration::ZERO,
        }
    }
}

/// Why a node must no longer participate in its group: its disk, or another node's, does not hold
/// what it held before. An operator must intervene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Divergence {
    /// This node and another decided differently for one index.
    #[error("index {index} was decided in epoch {own} here and in epoch {theirs} elsewhere")]
    Diverged {
        /// The index of the conflict.
        index: u64,
        /// The epoch of the entry on this node.
        own: Epoch,
        /// The epoch of the entry at its leader, or of a snapshot.
        theirs: Epoch,
    },
    /// This node acknowledged more than its log holds.
    #[error("the log was acknowledged up to {acknowledged} but is correct only up to {holds}")]
    Forgot {
        /// The last index that it acknowledged to its leader.
        acknowledged: u64,
        /// The last index up to which its log can be what it acknowledged.
        holds: u64,
    },
    /// This node was removed from the group, and that is committed. Nothing is wrong with any disk.
    #[error("this node was removed from the group")]
    Removed,
}

/// What the driver must do next. Exhaustive on purpose: a new variant must break every driver.
#[derive(Debug)]
pub enum Output<P: Protocol> {
    /// Make this durable; what must wait for it is inside.
    Persist(P::Write),
    /// Send now; this depends on no write in flight.
    Send(NodeId, P::Message),
    /// Apply these slots, in order.
    Apply(Vec<Committed>),
    /// Read entries that the core's cache no longer holds.
    Fetch(P::Fetch),
    /// A read may be served from any state that covers `index`.
    Read {
        /// The read's id.
        id: ReadId,
        /// The index that it must see, or why it was refused.
        index: Result<u64, Refusal>,
    },
    /// Pull this snapshot from `from`.
    PullSnapshot {
        /// The peer that offers it.
        from: NodeId,
        /// The offered snapshot.
        snapshot: Snapshot,
    },
    /// Restart the state machine from this snapshot, whose file is durable here; the next slots
    /// applied follow it.
    Restore(Snapshot),
    /// Stop the group: this node must no longer participate. This is the last output.
    Stop(Divergence),
}

/// Why a core cannot start from what was recovered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The configuration contradicts itself.
    #[error("the configuration is invalid")]
    Config(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The log holds records that this protocol does not write.
    #[error("the recovered log is not one of this protocol's")]
    Log(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A consensus core as the runtime sees it: implemented here for `synod_raft::Raft` and
/// `synod_paxos::Paxos`.
///
/// The methods mirror the cores' own `handle_*` and `poll_*`; the associated functions connect a
/// core to the log and the wire and keep no state. The trait is sealed, because its requirements
/// grow with the runtime.
pub trait Protocol: sealed::Protocol + Sized + Send + 'static {
    /// The configuration that a group is opened with.
    type Config: Configured<Protocol = Self>;
    /// A message between peers.
    type Message: Send + fmt::Debug + 'static;
    /// A record, the messages that wait for it, and the receipt.
    type Write: Send + fmt::Debug + 'static;
    /// A write that was appended to the log and is not durable yet.
    type Staged: Send + fmt::Debug + 'static;
    /// Proof that a write is durable.
    type Receipt;
    /// A range of entries to read.
    type Fetch: Send + fmt::Debug + 'static;
    /// The members of a group.
    type Membership: Clone + PartialEq + Send + fmt::Debug + 'static;

    /// The name shown to users: `raft` or `paxos`.
    const NAME: &'static str;
    /// Whether epochs rise along the decided slots, so that a slot of a later epoch rules out
    /// everything proposed by earlier leaders that is not in a slot before it (Raft's log
    /// matching). Paxos decides each slot on its own, and a value of an earlier ballot may be
    /// chosen after one of a later.
    const EPOCHS_RISE: bool;

    /// Recovers a core from its log.
    ///
    /// # Errors
    /// If the configuration or the log is invalid.
    fn recover(
        config: Self::Config,
        recovered: Recovered,
        now: Instant,
    ) -> Result<Self, RecoverError>;

    /// Handles a peer's message. A meaningless message is ignored and counted.
    fn handle_message(&mut self, now: Instant, from: NodeId, message: Self::Message);
    /// Handles the deadline of [`poll_timeout`](Self::poll_timeout).
    fn handle_timeout(&mut self, now: Instant);
    /// A write is durable.
    fn handle_persisted(&mut self, now: Instant, receipt: Self::Receipt);
    /// Reports the health of the disk, before inputs that depend on it.
    fn handle_disk(&mut self, now: Instant, disk: DiskHealth);
    /// Entries were read, or could not be.
    fn handle_fetched(
        &mut self,
        now: Instant,
        fetch: Self::Fetch,
        slots: Result<Vec<Slot>, LogError>,
    );
    /// A snapshot file is durable here: taken (the log may be cut) or pulled (it must be
    /// installed).
    fn handle_snapshot(&mut self, now: Instant, snapshot: Snapshot);
    /// The pull of this snapshot was abandoned; it may be offered again.
    fn handle_pull_failed(&mut self, now: Instant, snapshot: Snapshot);
    /// Proposes a body for the next slot.
    ///
    /// # Errors
    /// A refusal is final: the body is in no log.
    fn propose(&mut self, now: Instant, body: Bytes) -> Result<(), Refusal>;
    /// Requests an index that covers every write that ended before this call.
    ///
    /// # Errors
    /// The read was refused.
    fn read(&mut self, now: Instant, id: ReadId) -> Result<(), Refusal>;
    /// An index that covers every write that had ended when the clock showed `now`, if this node leads and
    /// holds a lease at that moment. A protocol without leases never does.
    fn read_by_lease(&self, _now: Instant) -> Option<u64> {
        None
    }
    /// Requests a linearizable read of a node that need not lead, which other nodes answer without the leader. It ends
    /// like one of [`read`](Self::read). `None`: the protocol has no such reads.
    fn read_by_quorum(&mut self, _now: Instant, _id: ReadId) -> Option<Result<(), Refusal>> {
        None
    }
    /// The clock may have run outside its bound until `now`: leases count from here on, and promises are
    /// given anew.
    fn handle_clock_fault(&mut self, _now: Instant) {}

    /// Hands leadership to this node, or to the one that suits best; to whom is returned.
    ///
    /// # Errors
    /// Nothing was begun.
    fn transfer(&mut self, now: Instant, to: Option<NodeId>) -> Result<NodeId, TransferError>;
    /// To whom this node is handing its leadership: meanwhile it takes no proposals.
    fn transfers_to(&self) -> Option<NodeId>;

    /// The members that the log names last, and those that a change under way adds, in this
    /// protocol's own words; cheap to compare and to clone. `None` on a node that waits to be added.
    fn members(&self) -> Option<&Self::Membership>;
    /// The same in the runtime's words.
    fn members_of(membership: &Self::Membership) -> Members;
    /// Begins a change to these members. Asking for what is so, or under way, is no error.
    ///
    /// # Errors
    /// Nothing was begun.
    fn change_members(&mut self, now: Instant, target: &Members) -> Result<(), ChangeError>;
    /// Leads a change back.
    ///
    /// # Errors
    /// It goes on, or there is none.
    fn abort_change(&mut self, now: Instant) -> Result<(), ChangeError>;

    /// The next output.
    fn poll_output(&mut self) -> Option<Output<Self>>;
    /// Like [`poll_output`](Self::poll_output), but without outputs for the machine
    /// ([`Output::Apply`], [`Output::Restore`], or a fetch for them), which is busy.
    fn poll_besides_machine(&mut self) -> Option<Output<Self>>;
    /// When to call [`handle_timeout`](Self::handle_timeout).
    fn poll_timeout(&self) -> Option<Instant>;
    /// The current leadership, as far as this node knows.
    fn leadership(&self) -> Option<Leadership>;
    /// The members of the group, encoded as in snapshots; right after [`recover`](Self::recover),
    /// as of the start of the log.
    fn membership(&self) -> Bytes;
    /// The status of the core.
    fn status(&self) -> CoreStatus;
    /// The epoch in which a slot's value was first proposed, the same on every node.
    fn epoch(at: &Position) -> Epoch;
    /// How a group with this configuration begins with a state of its own instead of an empty one.
    ///
    /// # Errors
    /// If the configuration is invalid.
    fn seed(config: Self::Config) -> Result<Seed, RecoverError>;
    /// What the log holds in a slot, whether it is decided or not.
    ///
    /// # Errors
    /// A kind that this version does not know.
    fn held(slot: Slot) -> Result<Committed, LogError>;

    /// Appends the record of a write to the log, as one log record or, if it is longer than
    /// `record_bytes_max`, as several. Any prefix of those is valid, since nothing is sent before
    /// the last one is durable.
    ///
    /// # Errors
    /// Those of the log; the write is lost with them, and the core must not be polled again.
    fn stage<E>(
        write: Self::Write,
        record_bytes_max: usize,
        append: impl FnMut(&mut dyn Iterator<Item = Op<'_>>) -> Result<Lsn, E>,
    ) -> Result<Self::Staged, E>;
    /// The messages and the receipt of a staged write, once everything up to `durable` is on stable
    /// storage.
    ///
    /// # Errors
    /// The write itself, if it is not durable yet.
    #[expect(
        clippy::type_complexity,
        reason = "the tuple is taken apart where it is received"
    )]
    fn release(
        staged: Self::Staged,
        durable: Lsn,
    ) -> Result<(Vec<(NodeId, Self::Message)>, Self::Receipt), Self::Staged>;
    /// The indexes of a fetch, and the most bytes to read.
    fn range(fetch: &Self::Fetch) -> (RangeInclusive<u64>, usize);
    /// The length of the longest body in a message; `None` for a message without entries, which may
    /// overtake those that have some.
    fn longest_body(message: &Self::Message) -> Option<usize>;
    /// Encodes a message: a head of its own, and parts that share the bodies.
    fn encode(message: &Self::Message, head: &mut Vec<u8>, parts: &mut Vec<Bytes>);
    /// Decodes what [`encode`](Self::encode) wrote; `None` for anything else. Never allocates more
    /// than a small multiple of the length of `bytes`.
    fn decode(bytes: Bytes) -> Option<Self::Message>;
}

/// A parcel that begins with `head`.
pub(crate) fn parcel(head: Vec<u8>, parts: Vec<Bytes>) -> Parcel {
    Parcel {
        head: head.into(),
        parts,
    }
}

mod sealed {
    /// Implemented for the cores that this crate knows.
    #[expect(
        unnameable_types,
        reason = "a trait that cannot be named cannot be implemented"
    )]
    pub trait Protocol {}
    #[cfg(feature = "paxos")]
    impl Protocol for synod_paxos::Paxos {}
    #[cfg(feature = "raft")]
    impl Protocol for synod_raft::Raft {}
}
