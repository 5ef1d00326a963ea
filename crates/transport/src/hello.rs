//! The first words on a connection: who speaks, to whom, and whether the other side will have it.
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
//! All numbers are little endian. The dialer speaks first, with verdict 0. The acceptor answers in
//! the same form, with verdict 0, or with the code of a [`Refused`] and zeros for all that it is, after
//! which it closes. The first
//! eight bytes keep their place in all versions, so that nodes of different versions can tell each
//! other why they part.
//!
//! Anybody can say a hello in the name of a node. Before one that tells of an incarnation which was not met yet is
//! believed, the node is asked at the address that it is known by: with a greeting whose verdict is
//! 65,535, and in which everything else is what was claimed. Whoever has said that of itself answers with
//! verdict 0; and yes or no is all that it says, so nobody needs to be known to be answered.

use crate::NodeId;
use std::collections::BTreeMap;
use std::fmt;

/// The name of a cluster. Nodes of different clusters do not talk, even if their node ids fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterId(pub u128);

/// The name of a data directory, drawn at random when it was made. A node that lost its disk has
/// lost what it promised: under its old name it comes with another disk id, and its peers can tell.
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

/// Who a node is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// The cluster it belongs to.
    pub cluster: ClusterId,
    /// Its name in the cluster.
    pub node: NodeId,
    /// The data directory it stands on.
    pub disk: DiskId,
    /// How often that directory was opened before: of two incarnations of one disk the greater is the
    /// later.
    pub boot: u64,
    /// Drawn anew in each incarnation: two copies of one disk count alike, and are told apart by it.
    pub nonce: u64,
    /// What its groups are founded on.
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
    /// A hello without a nonce, of a node that is founded on nothing: for whoever knows the lives of its
    /// nodes by other means.
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

/// What the groups of a node are founded on, in short: protocols, voters, quorums, formats. It is its
/// owner's business what goes into it; nodes that differ in it do not understand each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Founding {
    /// The position in the log that decided it; 0 for what a node is born with. Only what was decided at
    /// the same position is compared: one of two nodes may have come further.
    pub decided_at: u64,
    /// A digest.
    pub digest: u64,
}

/// Why a node will not talk to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It speaks another version of the protocol.
    #[error("another version of the protocol")]
    Version,
    /// It belongs to another cluster.
    #[error("another cluster")]
    Cluster,
    /// It has the very name of the node it talks to.
    #[error("the node's own name")]
    Oneself,
    /// It is not among the peers.
    #[error("a node that is no peer")]
    UnknownNode,
    /// It is, or wanted, another node than the one at this address.
    #[error("another node than the one at this address")]
    Misdirected,
    /// It stands on another disk than the one its name is pinned to.
    #[error("another disk than the one the name is pinned to")]
    Disk,
    /// Its incarnation is further after the last one that is known than any incarnation can be.
    #[error("an incarnation too far after the last one that is known")]
    Leap,
    /// It is an earlier incarnation of a node that has been met since.
    #[error("an earlier incarnation of a node that has been met since")]
    Stale,
    /// There is no space left to store which disk it stands on.
    #[error("no space is left to store which disk it stands on")]
    Full,
    /// Which disk it stands on cannot be stored.
    #[error("which disk it stands on cannot be stored")]
    Unstored,
    /// Whoever was asked whether it is welcome panicked.
    #[error("whoever was asked whether it is welcome panicked")]
    Unjudged,
    /// Its groups are founded on something else.
    #[error("groups that are founded on another protocol, other voters, quorums or formats")]
    Founding,
    /// Another incarnation of a disk that was met in one that counts the same, or in an earlier one that still
    /// lives: there are two copies of the disk.
    #[error("a copy of a disk that another incarnation runs on")]
    Twin,
    /// Nobody at the address that the node is known by says that it has said this.
    #[error("an incarnation that nobody at the node's own address says it lives")]
    Unconfirmed,
    /// An earlier incarnation of its disk, or a copy that counts alike, was met at its own address: the disk was put
    /// back, and what it does not hold any more nobody knows.
    #[error("a disk that was put back to what it had been")]
    Doubted,
    /// The certificate that it has shown is not of the node that it says it is.
    #[error("a certificate that is not of the node that shows it")]
    Certificate,
    /// A reason this version does not know, by its code.
    #[error("an unknown reason (code {0})")]
    Other(u16),
}

impl Refused {
    /// How the reason is written: never 0, which means consent, nor as a question is.
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
            Self::Doubted => 15,
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
            15 => Self::Doubted,
            16 => Self::Certificate,
            other => Self::Other(other),
        }
    }
}

/// A [`Hello`] as it stands on the wire: addressed, and with the speaker's verdict on the hello it
/// answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// Who speaks.
    pub hello: Hello,
    /// To whom.
    pub to: NodeId,
    /// Whether the speaker will have whom it answers; from who speaks first, `Ok`.
    pub verdict: Result<(), Refused>,
    /// It is no hello: whoever speaks wants to know whether it is `to` that has said this hello.
    pub is_question: bool,
}

/// Why bytes are no greeting of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// No greeting of any version, or a damaged one.
    Garbage,
    /// A greeting of this other version.
    Version(u16),
    /// The first bytes of a TLS connection.
    Tls,
}

impl Greeting {
    /// The answer to whoever is refused. It says why, and nothing about who refuses: whoever is no peer
    /// would learn from it what to call itself.
    pub(crate) fn refusal(to: NodeId, reason: Refused) -> Self {
        let hello = Hello::new(ClusterId(0), NodeId(0), DiskId(0), 0);
        Self {
            hello,
            to,
            verdict: Err(reason),
            is_question: false,
        }
    }

    /// Asks the node that this hello tells of whether it is its own.
    pub(crate) fn question(hello: Hello) -> Self {
        Self {
            hello,
            to: hello.node,
            verdict: Ok(()),
            is_question: true,
        }
    }

    /// What the node `own` says to this question; nothing else about itself.
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

    /// Whether the bytes that all versions share allow to read on.
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

    /// Reads a greeting; no two greetings are read from the same bytes, or one from two.
    ///
    /// # Errors
    /// Any bytes that are no greeting of this version.
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

    /// Whether the node `own` may listen to whoever sent this, as far as the two names tell.
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

/// The last incarnation that a peer was met in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LastIncarnation {
    /// Its data directory.
    pub disk: DiskId,
    /// Its number.
    pub boot: u64,
    /// What tells it from a copy that counts alike.
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

/// The latest incarnation of each peer that was met.
///
/// Invariant: as long as a peer keeps its disk, its boot counter here never falls, and to each belongs one
/// nonce.
#[derive(Clone, Debug, Default)]
pub(crate) struct Incarnations {
    seen: BTreeMap<NodeId, LastIncarnation>,
}

/// How an incarnation stands to those that were met, where it may be met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is the last that was met.
    Met,
    /// The first of a peer or of a disk, or a later one.
    New,
}

impl Incarnations {
    pub(crate) fn of(seen: BTreeMap<NodeId, LastIncarnation>) -> Self {
        Self { seen }
    }

    /// Whether this incarnation may be met. Without a bound one hello of the last incarnation there can be would
    /// lock out the node itself.
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

    /// Whether this is a later incarnation of a disk that was met in an earlier one.
    pub(crate) fn is_later(&self, hello: &Hello) -> bool {
        let before = self.seen.get(&hello.node);
        before.is_some_and(|incarnation| {
            incarnation.disk == hello.disk && incarnation.boot < hello.boot
        })
    }

    /// Notes that a peer was met and tells whether this is a later incarnation of one that was met before.
    ///
    /// Another disk counts as a later incarnation: whether it is welcome was decided before.
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

/// The bytes of a greeting.
pub const GREETING_BYTES: usize = 92;
/// The length of what all versions share.
pub(crate) const PREFIX_BYTES: usize = 8;
/// No directory is opened so often. A node may well be met for the first time long after its first incarnation.
const LEAP_MAX: u64 = 1 << 32;
/// In the place of a verdict: a question.
const ASKS: u16 = u16::MAX;
/// The version of the greeting and of the frames behind it.
const VERSION: u16 = 1;
const MAGIC: [u8; 4] = *b"SYND";
/// The kinds of TLS records that a connection may begin with, and the first byte of their version.
const TLS_HANDSHAKE: u8 = 22;
const TLS_ALERT: u8 = 21;
const TLS_MAJOR: u8 = 3;

#[cfg(test)]
mod tests;
