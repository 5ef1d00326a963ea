//! The greeting that opens a connection: sender, addressee, and whether the acceptor accepts the
//! dialer.
//!
//! ```text
//!  byte 0        4         6         8      16          32      40        56      64      72
//!       ├────────┼─────────┼─────────┼──────┼───────────┼───────┼─────────┼───────┼───────┼──
//!       │ "SYND" │ version │ verdict │  to  │  cluster  │ node  │  disk   │ boot  │ nonce │
//!       │        │   u16   │   u16   │ u64  │   u128    │ u64   │  u128   │ u64   │  u64  │
//!       └────────┴─────────┴─────────┴──────┴───────────┴───────┴─────────┴───────┴───────┴──
//!        72            80       88        92
//!       ─┼─────────────┼────────┼─────────┤
//!        │ decided at  │ digest │ CRC-32C │
//!        │ u64         │  u64   │ of 0..88│
//!       ─┴─────────────┴────────┴─────────┘
//! ```
//!
//! All numbers are little endian. The dialer sends first, with verdict 0. The acceptor answers in the
//! same format, with verdict 0, or with the code of a [`Refused`] and zeros for its own identity, after
//! which it closes the connection. The layout of the first eight bytes is the same in all versions, so
//! that nodes of different versions can report the mismatch to each other.
//!
//! A hello can be forged. Before one with a new incarnation is accepted, the node is queried at its configured
//! address: with a greeting whose verdict is 65,535 and whose other fields repeat the claim. A node whose own
//! hello this is answers with verdict 0. The answer discloses nothing but yes or no, so queries from unknown peers
//! are answered too.

use crate::NodeId;
use std::collections::BTreeMap;
use std::fmt;

/// The id of a cluster. Nodes of different clusters refuse each other, even if their node ids
/// match.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u128);

/// The id of a data directory, drawn at random when the directory is created. A node that lost its
/// disk has lost its promises (votes, for one): it returns under its old node id with a new disk
/// id, by which its peers notice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskId(pub u128);

impl fmt::Display for ClusterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for DiskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The identity of a node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Its id in the cluster.
    pub node: NodeId,
    /// The data directory it runs on.
    pub disk: DiskId,
    /// Its incarnation, counted per directory: the greater of two boots of one disk is the later.
    pub boot: u64,
    /// Drawn at random in each incarnation; it distinguishes two copies of one disk with equal boot
    /// counters.
    pub nonce: u64,
    /// The configuration of its groups, in short.
    pub founding: Founding,
}

/// Without the nonce: whoever knows that can say it.
impl fmt::Debug for Hello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hello")
            .field("cluster", &self.cluster)
            .field("node", &self.node)
            .field("disk", &self.disk)
            .field("boot", &self.boot)
            .field("founding", &self.founding)
            .finish_non_exhaustive()
    }
}

impl Hello {
    /// A hello without a nonce and with an empty founding, for owners that track incarnations by other
    /// means.
    #[must_use]
    pub fn new(cluster: ClusterId, node: NodeId, disk: DiskId, boot: u64) -> Self {
        Self {
            cluster,
            node,
            disk,
            boot,
            nonce: 0,
            founding: Founding::default(),
        }
    }
}

/// A digest of the configuration of a node's groups: protocols, voters, quorums, formats. The owner
/// chooses what goes into it; nodes that differ in it refuse each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Founding {
    /// The log position at which it was decided; 0 for a node's initial configuration. Digests are
    /// compared only at equal positions, because one of two nodes may be ahead.
    pub decided_at: u64,
    /// The digest of the configuration.
    pub digest: u64,
}

/// Why a node refuses a connection with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The peer uses another version of the protocol.
    #[error("another version of the protocol")]
    Version,
    /// The peer belongs to another cluster.
    #[error("another cluster")]
    Cluster,
    /// The peer has the id of the node that it connects to.
    #[error("the node's own id")]
    Oneself,
    /// The node is not among the configured peers.
    #[error("a node that is not a peer")]
    UnknownNode,
    /// The node at this address is not the one that was dialed.
    #[error("another node than the one at this address")]
    Misdirected,
    /// The peer runs on another disk than the one its node id is pinned to.
    #[error("another disk than the one the name is pinned to")]
    Disk,
    /// The peer's incarnation is implausibly far ahead of the last known one.
    #[error("an incarnation too far ahead of the last known one")]
    Leap,
    /// A later incarnation of the peer has already connected.
    #[error("an earlier incarnation of a node that has been met since")]
    Stale,
    /// There is no space left to record the peer's disk id.
    #[error("no space is left to record the disk id")]
    Full,
    /// The peer's disk id cannot be recorded.
    #[error("the disk id cannot be recorded")]
    Unstored,
    /// The callback that admits peers panicked.
    #[error("the callback that admits peers panicked")]
    Unjudged,
    /// The configuration of the peer's groups differs.
    #[error("groups that are founded on another protocol, other voters, quorums or formats")]
    Founding,
    /// Another incarnation of the same disk exists, with the same boot counter or with an earlier one and
    /// still connected: there are two copies of the disk.
    #[error("a copy of a disk that another incarnation runs on")]
    Twin,
    /// The node at the peer's configured address did not confirm this hello.
    #[error("an incarnation that the node at its own address does not confirm")]
    Unconfirmed,
    /// An earlier incarnation of its disk, or a copy with the same boot counter, was found at the peer's own
    /// address: the disk was restored from an older state, and it is unknown what it has lost.
    #[error("a disk that was restored to an earlier state")]
    RolledBack,
    /// The peer's certificate names another node than its hello.
    #[error("a certificate that names another node than the hello")]
    Certificate,
    /// A reason this version does not know, by its code.
    #[error("an unknown reason (code {0})")]
    Other(u16),
}

impl Refused {
    /// The code of the reason: never 0, which means acceptance, nor the code of a query.
    fn code(self) -> u16 {
        match self {
            Self::Version => 1,
            Self::Cluster => 2,
            Self::Oneself => 3,
            Self::UnknownNode => 4,
            Self::Misdirected => 5,
            Self::Disk => 6,
            Self::Stale => 7,
            Self::Full => 8,
            Self::Unstored => 9,
            Self::Unjudged => 10,
            Self::Founding => 11,
            Self::Twin => 12,
            Self::Leap => 13,
            Self::Unconfirmed => 14,
            Self::RolledBack => 15,
            Self::Certificate => 16,
            Self::Other(code) => code.clamp(1, ASKS - 1),
        }
    }

    fn from_code(code: u16) -> Self {
        match code {
            1 => Self::Version,
            2 => Self::Cluster,
            3 => Self::Oneself,
            4 => Self::UnknownNode,
            5 => Self::Misdirected,
            6 => Self::Disk,
            7 => Self::Stale,
            8 => Self::Full,
            9 => Self::Unstored,
            10 => Self::Unjudged,
            11 => Self::Founding,
            12 => Self::Twin,
            13 => Self::Leap,
            14 => Self::Unconfirmed,
            15 => Self::RolledBack,
            16 => Self::Certificate,
            other => Self::Other(other),
        }
    }
}

/// A [`Hello`] on the wire: with its addressee and the sender's verdict on the hello it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The sender's hello; in a query, the hello to be confirmed.
    pub hello: Hello,
    /// The addressee.
    pub to: NodeId,
    /// Whether the sender accepts the hello that it answers; `Ok` in the dialer's greeting.
    pub verdict: Result<(), Refused>,
    /// True for a query, which asks `to` whether this hello is its own.
    pub is_question: bool,
}

/// Why bytes are not a greeting of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Not a greeting of any version, or a corrupted one.
    Garbage,
    /// A greeting of this other version.
    Version(u16),
    /// The first bytes of a TLS connection.
    Tls,
}

impl Greeting {
    /// The answer to a refused hello. It has the reason and zeros for this node's identity, which a
    /// stranger could otherwise use to forge a hello.
    pub(crate) fn refusal(to: NodeId, reason: Refused) -> Self {
        let hello = Hello::new(ClusterId(0), NodeId(0), DiskId(0), 0);
        Self {
            hello,
            to,
            verdict: Err(reason),
            is_question: false,
        }
    }

    /// A query to the node that this hello names, whether it is its own.
    pub(crate) fn question(hello: Hello) -> Self {
        Self {
            hello,
            to: hello.node,
            verdict: Ok(()),
            is_question: true,
        }
    }

    /// The answer of node `own` to this query; it discloses nothing else.
    pub(crate) fn answer(&self, own: &Hello) -> Self {
        let is_own = self.to == own.node && self.hello == *own;
        let mut answer = Self::refusal(NodeId(0), Refused::Unconfirmed);
        if is_own {
            answer.verdict = Ok(());
        }
        answer
    }

    /// The bytes of the greeting.
    #[must_use]
    pub fn encode(&self) -> [u8; GREETING_BYTES] {
        let mut bytes = [0; GREETING_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
        let verdict = match self.verdict {
            _ if self.is_question => ASKS,
            Ok(()) => 0,
            Err(reason) => reason.code(),
        };
        bytes[6..8].copy_from_slice(&verdict.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.to.0.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.hello.cluster.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.hello.node.0.to_le_bytes());
        bytes[40..56].copy_from_slice(&self.hello.disk.0.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.hello.boot.to_le_bytes());
        bytes[64..72].copy_from_slice(&self.hello.nonce.to_le_bytes());
        bytes[72..80].copy_from_slice(&self.hello.founding.decided_at.to_le_bytes());
        bytes[80..88].copy_from_slice(&self.hello.founding.digest.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..88]);
        bytes[88..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Checks the bytes that all versions share.
    pub(crate) fn check_prefix(prefix: &[u8; PREFIX_BYTES]) -> Result<(), Unreadable> {
        if let [TLS_HANDSHAKE | TLS_ALERT, TLS_MAJOR, ..] = prefix {
            return Err(Unreadable::Tls);
        }
        if prefix[..4] != MAGIC {
            return Err(Unreadable::Garbage);
        }
        match u16::from_le_bytes([prefix[4], prefix[5]]) {
            VERSION => Ok(()),
            other => Err(Unreadable::Version(other)),
        }
    }

    /// Decodes a greeting. The encoding is canonical: each greeting has exactly one.
    ///
    /// # Errors
    /// When the bytes are not a greeting of this version.
    pub fn decode(bytes: &[u8; GREETING_BYTES]) -> Result<Self, Unreadable> {
        fn at<const N: usize>(bytes: &[u8; GREETING_BYTES], from: usize) -> [u8; N] {
            std::array::from_fn(|i| bytes[from + i])
        }
        Self::check_prefix(&at(bytes, 0))?;
        if crc32c::crc32c(&bytes[..88]) != u32::from_le_bytes(at(bytes, 88)) {
            return Err(Unreadable::Garbage);
        }
        let code = u16::from_le_bytes(at(bytes, 6));
        let verdict = match code {
            0 | ASKS => Ok(()),
            code => Err(Refused::from_code(code)),
        };
        let hello = Hello {
            cluster: ClusterId(u128::from_le_bytes(at(bytes, 16))),
            node: NodeId(u64::from_le_bytes(at(bytes, 32))),
            disk: DiskId(u128::from_le_bytes(at(bytes, 40))),
            boot: u64::from_le_bytes(at(bytes, 56)),
            nonce: u64::from_le_bytes(at(bytes, 64)),
            founding: Founding {
                decided_at: u64::from_le_bytes(at(bytes, 72)),
                digest: u64::from_le_bytes(at(bytes, 80)),
            },
        };
        Ok(Self {
            hello,
            to: NodeId(u64::from_le_bytes(at(bytes, 8))),
            verdict,
            is_question: code == ASKS,
        })
    }

    /// Whether the ids in this greeting allow the node `own` to accept it.
    pub(crate) fn judge(&self, own: &Hello) -> Result<(), Refused> {
        if self.hello.cluster != own.cluster {
            return Err(Refused::Cluster);
        }
        if self.hello.node == own.node {
            return Err(Refused::Oneself);
        }
        if self.to != own.node {
            return Err(Refused::Misdirected);
        }
        Ok(())
    }
}

/// The last known incarnation of a peer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LastIncarnation {
    /// Its data directory.
    pub disk: DiskId,
    /// Its boot counter.
    pub boot: u64,
    /// Distinguishes it from a copy with the same boot counter.
    pub nonce: u64,
}

/// Without the nonce: whoever knows that can say it.
impl fmt::Debug for LastIncarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LastIncarnation")
            .field("disk", &self.disk)
            .field("boot", &self.boot)
            .finish_non_exhaustive()
    }
}

/// The latest known incarnation of each peer.
///
/// Invariant: as long as a peer keeps its disk, its boot counter here never decreases, and each counter
/// has one nonce.
#[derive(Clone, Debug, Default)]
pub(crate) struct Incarnations {
    seen: BTreeMap<NodeId, LastIncarnation>,
}

/// How an acceptable incarnation compares to the last known one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is the last known one.
    Met,
    /// It is the first of a peer or of a disk, or a later one.
    New,
}

impl Incarnations {
    pub(crate) fn of(seen: BTreeMap<NodeId, LastIncarnation>) -> Self {
        Self { seen }
    }

    /// Whether this incarnation is acceptable. Without a bound, a single forged hello with the greatest counter
    /// would lock the node itself out.
    pub(crate) fn judge(&self, hello: &Hello) -> Result<Standing, Refused> {
        let before = self.seen.get(&hello.node);
        let of_this_disk = before.filter(|incarnation| incarnation.disk == hello.disk);
        let (known, nonce) = of_this_disk.map_or((0, None), |incarnation| {
            (incarnation.boot, Some(incarnation.nonce))
        });
        if hello.boot < known {
            Err(Refused::Stale)
        } else if hello.boot == known && nonce.is_some_and(|nonce| nonce != hello.nonce) {
            Err(Refused::Twin)
        } else if hello.boot > known.saturating_add(LEAP_MAX) {
            Err(Refused::Leap)
        } else if hello.boot == known && of_this_disk.is_some() {
            Ok(Standing::Met)
        } else {
            Ok(Standing::New)
        }
    }

    /// Whether this is a later incarnation of a disk whose earlier one is known.
    pub(crate) fn is_later(&self, hello: &Hello) -> bool {
        let before = self.seen.get(&hello.node);
        before.is_some_and(|incarnation| {
            incarnation.disk == hello.disk && incarnation.boot < hello.boot
        })
    }

    /// Records the peer's incarnation and returns whether it is later than one recorded before.
    ///
    /// Another disk counts as a later incarnation; whether it is admitted was decided before.
    pub(crate) fn meet(&mut self, hello: &Hello) -> Result<bool, Refused> {
        self.judge(hello)?;
        let &Hello {
            disk, boot, nonce, ..
        } = hello;
        let incarnation = LastIncarnation { disk, boot, nonce };
        let before = self.seen.insert(hello.node, incarnation);
        Ok(before.is_some_and(|before| before != incarnation))
    }
}

/// The encoded greeting.
pub const GREETING_BYTES: usize = 92;
/// The length of the part that all versions share.
pub(crate) const PREFIX_BYTES: usize = 8;
/// More boots than any directory will see. The bound is large because a node's first contact may come long
/// after its first incarnation.
const LEAP_MAX: u64 = 1 << 32;
/// The verdict field of a query.
const ASKS: u16 = u16::MAX;
/// The version of the greeting and of the frames that follow it.
const VERSION: u16 = 1;
const MAGIC: [u8; 4] = *b"SYND";
/// The kinds of TLS records that a connection may begin with, and the first byte of their version.
const TLS_HANDSHAKE: u8 = 22;
const TLS_ALERT: u8 = 21;
const TLS_MAJOR: u8 = 3;

#[cfg(test)]
mod tests;
