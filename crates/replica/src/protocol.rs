//! What the runtime asks of a consensus core: a replicated log, sans-IO.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use synod_transport::{NodeId, Parcel};
use synod_wal::{Lsn, Op, Slot, Snapshot, Tag};

use crate::handover::TransferError;
use crate::log::{LogError, Recovered};
use crate::time::Instant;

#[cfg(feature = "paxos")]
mod paxos;
#[cfg(feature = "raft")]
mod raft;
#[cfg(any(feature = "raft", feature = "paxos"))]
mod records;
mod step_down;
#[cfg(any(feature = "raft", feature = "paxos"))]
mod wire;

pub use step_down::StepDown;

/// An index or slot of the log, and what the protocol says about it (term or ballot, kind).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Index or slot, from 1; 0 is before the first.
    pub index: u64,
    /// The protocol's own words about the slot.
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

/// A slot that is decided for ever.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Where.
    pub at: Position,
    /// What sort.
    pub kind: Kind,
    /// The bytes that were proposed.
    pub body: Bytes,
}

/// A term, or a ballot: what rises from leader to leader.
///
/// Two leaders of Paxos may use one round, and their ballots are then ordered by their nodes; of a
/// term of Raft the number is all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    /// Term or ballot round; compared first.
    pub round: u64,
    /// Whose ballot it is; 0 where the round alone tells epochs apart.
    pub node: NodeId,
}

impl Epoch {
    /// An epoch that its number alone tells apart.
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

/// Who leads, and in which epoch. A node leads in an epoch at most once, so the pair names one
/// uninterrupted leadership of one incarnation of one node; already the round of the epoch, beside
/// the node, names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The leader.
    pub node: NodeId,
    /// Its term or ballot.
    pub epoch: Epoch,
}

/// Names a read that waits for its index; the engine never uses one twice in an incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadId(pub u64);

/// Why a core did not take a proposal or a read. Nothing happened and nothing will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another node leads, or none is known to.
    NotLeader,
    /// A bound is hit.
    Busy,
    /// No quorum has space for it.
    Full,
    /// The command can never be taken: it is over the entry's limit.
    TooLarge,
    /// Leadership is being handed to another node.
    Transferring,
}

/// What part a node plays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// Follows a leader, or waits for one.
    #[default]
    Follower,
    /// Asks for votes or promises.
    Candidate,
    /// Leads.
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

/// How a peer stands, as its leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerStatus {
    /// The peer.
    pub id: NodeId,
    /// The highest index it is known to hold durably.
    pub matched: u64,
    /// Its disk lost what it acknowledged to this leader, and it has stopped: it counts for nothing.
    /// Only Raft stops it, and only there its leader is told.
    pub forgot: bool,
}

/// A core at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoreStatus {
    /// Its part.
    pub role: Role,
    /// Its term or ballot.
    pub epoch: Epoch,
    /// The last index known to be decided.
    pub commit: u64,
    /// The last index of its log.
    pub last: u64,
    /// The index its log begins after.
    pub start: u64,
    /// Why it last ceased to lead; `None` if it never did since the group was opened.
    pub stepped_down: Option<StepDown>,
    /// To whom it is handing its leadership.
    pub transfer: Option<NodeId>,
    /// Its peers, when it leads.
    pub peers: Vec<PeerStatus>,
    /// Messages ignored because they made no sense, those that leapt among them.
    pub ignored: u64,
    /// How many messages leapt.
    pub leaps: u64,
    /// The last of them.
    pub leap: Option<Leap>,
}

/// A message of an epoch too far above the one stored here to be believed: no honest history leads there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leap {
    /// Who said it.
    pub from: NodeId,
    /// What it said.
    pub epoch: Epoch,
    /// What was stored here then.
    pub stored: Epoch,
}

/// How the disk under a group does, as its driver measures it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskHealth {
    /// There is space for what may be appended next.
    pub has_room: bool,
    /// How long a write takes at present until it is durable; zero when that is not known.
    pub sync_time: Duration,
}

impl Default for DiskHealth {
    /// Space, and nothing known of its pace.
    fn default() -> Self {
        Self {
            has_room: true,
            sync_time: Duration::ZERO,
        }
    }
}

/// Why a node must take no part in its group any more: its disk, or that of another, does not hold
/// what it held. Somebody has to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Divergence {
    /// What is decided here is another thing elsewhere.
    #[error("index {index} was decided in epoch {own} here and in epoch {theirs} elsewhere")]
    Diverged {
        /// Where.
        index: u64,
        /// The epoch of what this node has.
        own: Epoch,
        /// The epoch of what its leader has, or a snapshot.
        theirs: Epoch,
    },
    /// This node acknowledged more than its log holds.
    #[error("the log was acknowledged up to {acknowledged} and is sound up to {holds} only")]
    Forgot {
        /// What it acknowledged to its leader.
        acknowledged: u64,
        /// How far what it holds can be what it acknowledged.
        holds: u64,
    },
}

/// What the driver must do next. Exhaustive on purpose: a new variant must break every driver.
#[derive(Debug)]
pub enum Output<P: Protocol> {
    /// Make this durable; what must wait for it is inside.
    Persist(P::Write),
    /// Send now; depends on no write in flight.
    Send(NodeId, P::Message),
    /// Apply these, in order.
    Apply(Vec<Committed>),
    /// Read entries that the core's cache no longer holds.
    Fetch(P::Fetch),
    /// A read may be served from any state that covers `index`.
    Read {
        /// Which read.
        id: ReadId,
        /// What it must see, or why it will not be served.
        index: Result<u64, Refusal>,
    },
    /// Pull this snapshot from `from`.
    PullSnapshot {
        /// Who offers it.
        from: NodeId,
        /// What is offered.
        snapshot: Snapshot,
    },
    /// Restart the state machine from this snapshot, whose file is durable here; what is applied
    /// next stands behind it.
    Restore(Snapshot),
    /// Stop the group: this node must take no part any more. The last output.
    Stop(Divergence),
}

/// Why a core cannot start from what was recovered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// The configuration contradicts itself.
    #[error("the configuration is invalid")]
    Config(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What the log holds is not what this protocol writes.
    #[error("the recovered log is not one of this protocol's")]
    Log(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A consensus core as the runtime sees it: implemented here for `synod_raft::Raft` and
/// `synod_paxos::Paxos`.
///
/// The methods mirror the cores' own `handle_*` and `poll_*`; the associated functions are the
/// seams to the log and to the wire and keep no state. It is sealed: what the runtime asks of a core grows
/// with what it can do.
pub trait Protocol: sealed::Protocol + Sized + Send + 'static {
    /// What a group is opened with.
    type Config: Configured<Protocol = Self>;
    /// What peers say to each other.
    type Message: Send + fmt::Debug + 'static;
    /// A record, the messages that wait for it, and the receipt.
    type Write: Send + fmt::Debug + 'static;
    /// A write that the log has taken and not yet made durable.
    type Staged: Send + fmt::Debug + 'static;
    /// Proof that a write is durable.
    type Receipt;
    /// A range of entries to read.
    type Fetch: Send + fmt::Debug + 'static;

    /// The name a person knows it by: `raft`, `paxos`.
    const NAME: &'static str;
    /// Whether epochs rise along the decided slots, so that a slot of a later epoch ends all that
    /// leaders before it proposed and that does not stand before it: Raft's log matching. Paxos
    /// decides each slot for itself, and a value of an earlier ballot may be chosen behind one of a
    /// later.
    const EPOCHS_RISE: bool;

    /// A core that goes on where its log ends.
    ///
    /// # Errors
    /// When the configuration or the log does not make sense.
    fn recover(
        config: Self::Config,
        recovered: Recovered,
        now: Instant,
    ) -> Result<Self, RecoverError>;

    /// A peer's message. Nonsense is ignored and counted.
    fn handle_message(&mut self, now: Instant, from: NodeId, message: Self::Message);
    /// The deadline of [`poll_timeout`](Self::poll_timeout) has come.
    fn handle_timeout(&mut self, now: Instant);
    /// A write is durable.
    fn handle_persisted(&mut self, now: Instant, receipt: Self::Receipt);
    /// How the disk does; to be told before what depends on it.
    fn handle_disk(&mut self, now: Instant, disk: DiskHealth);
    /// Entries were read, or why not.
    fn handle_fetched(
        &mut self,
        now: Instant,
        fetch: Self::Fetch,
        slots: Result<Vec<Slot>, LogError>,
    );
    /// A snapshot file is durable here: taken (the log may be cut) or pulled (it is to be
    /// installed).
    fn handle_snapshot(&mut self, now: Instant, snapshot: Snapshot);
    /// The pull of this snapshot was given up; it may be offered again.
    fn handle_pull_failed(&mut self, now: Instant, snapshot: Snapshot);
    /// Proposes a body for the next slot.
    ///
    /// # Errors
    /// The refusal is final: the body is in no log.
    fn propose(&mut self, now: Instant, body: Bytes) -> Result<(), Refusal>;
    /// Asks for an index that covers every write that ended before this call.
    ///
    /// # Errors
    /// The read was not taken.
    fn read(&mut self, now: Instant, id: ReadId) -> Result<(), Refusal>;

    /// Hands leadership to this node, or to the one that suits best; to whom is returned.
    ///
    /// # Errors
    /// Nothing was begun.
    fn transfer(&mut self, now: Instant, to: Option<NodeId>) -> Result<NodeId, TransferError>;
    /// To whom this node is handing its leadership: meanwhile it takes no proposals.
    fn transfers_to(&self) -> Option<NodeId>;

    /// What to do next.
    fn poll_output(&mut self) -> Option<Output<Self>>;
    /// As [`poll_output`](Self::poll_output), but for what the machine would be given
    /// ([`Output::Apply`], [`Output::Restore`], a fetch for them): the machine has enough to do.
    fn poll_besides_machine(&mut self) -> Option<Output<Self>>;
    /// When to call [`handle_timeout`](Self::handle_timeout).
    fn poll_timeout(&self) -> Option<Instant>;
    /// Who leads, as far as this node knows.
    fn leadership(&self) -> Option<Leadership>;
    /// Who takes part, encoded as it travels in snapshots; right after [`recover`](Self::recover), as of where the log
    /// begins.
    fn membership(&self) -> Bytes;
    /// The core at a glance.
    fn status(&self) -> CoreStatus;
    /// The epoch in which what a slot holds was first proposed: on every node the same.
    fn epoch(at: &Position) -> Epoch;

    /// Hands the record of a write to the log, as one log record or, when it is longer than
    /// `record_bytes_max`, as several of which any prefix makes sense: nothing was said before the
    /// last of them is durable.
    ///
    /// # Errors
    /// The log's own; the write is lost with it, and the core must not be polled again.
    fn stage<E>(
        write: Self::Write,
        record_bytes_max: usize,
        append: impl FnMut(&mut dyn Iterator<Item = Op<'_>>) -> Result<Lsn, E>,
    ) -> Result<Self::Staged, E>;
    /// The messages and the receipt of a staged write, once all up to `durable` is on stable
    /// storage.
    ///
    /// # Errors
    /// The write itself, when it is not durable yet.
    #[expect(
        clippy::type_complexity,
        reason = "the tuple is taken apart where it is received"
    )]
    fn release(
        staged: Self::Staged,
        durable: Lsn,
    ) -> Result<(Vec<(NodeId, Self::Message)>, Self::Receipt), Self::Staged>;
    /// The indexes a fetch asks for, and how many bytes of them at the most.
    fn range(fetch: &Self::Fetch) -> (RangeInclusive<u64>, usize);
    /// The length of the longest body that a message carries; `None` for one without entries, which may overtake
    /// those that have some.
    fn longest_body(message: &Self::Message) -> Option<usize>;
    /// Encodes a message: a head of its own, and parts that share the bodies.
    fn encode(message: &Self::Message, head: &mut Vec<u8>, parts: &mut Vec<Bytes>);
    /// Decodes what [`encode`](Self::encode) wrote. `None` for anything else; never allocates more
    /// than a small multiple of `bytes`.
    fn decode(bytes: Bytes) -> Option<Self::Message>;
}

/// The one word a user changes: `raft::Config` or `paxos::Config`.
pub trait Configured: Send + 'static {
    /// The core that this configures.
    type Protocol: Protocol<Config = Self>;

    /// Whose configuration it is.
    fn node(&self) -> NodeId;
    /// What a group is founded on with it, as people read it: the protocol, the voters and what is a quorum
    /// of them. It is compared as it stands.
    fn founding(&self) -> String;
    /// Mixes the secret of an incarnation into the seed of the elections: whoever knows the seed knows who will ask
    /// for votes next, and nodes that have collided in one incarnation need not collide in the next. Zero changes
    /// nothing.
    fn stir(&mut self, secret: u64);
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
    #[expect(unnameable_types, reason = "who cannot name it cannot implement it")]
    pub trait Protocol {}
    #[cfg(feature = "paxos")]
    impl Protocol for synod_paxos::Paxos {}
    #[cfg(feature = "raft")]
    impl Protocol for synod_raft::Raft {}
}
