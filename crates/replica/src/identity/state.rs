//! The contents of an identity file, and their encoding.
//!
//! ```text
//! byte 0        1         17     25     41     49      57      65           73    81
//!      ├────────┼─────────┼──────┼──────┼──────┼───────┼───────┼────────────┼─────┼──
//!      │version │ cluster │ node │ disk │ boot │ nonce │ salt  │ generation │ end │
//!      │   1    │  u128   │ u64  │ u128 │ u64  │  u64  │ u64   │ u64        │ u64 │
//!      └────────┴─────────┴──────┴──────┴──────┴───────┴───────┴────────────┴─────┴──
//!       81      83          83 + n  87 + n
//!      ─┼───────┼───────────┼───────┼───────────────────────────────┬─────────┬─────────────┐
//!       │ n u16 │ founding, │ count │ count × (node u64, disk u128, │ CRC-32C │ zeros up to │
//!       │       │ n bytes   │  u32  │ boot u64, nonce u64, rolled   │ of all  │ k × 4,096   │
//!       │       │           │       │ u8), 41 bytes                 │         │             │
//!      ─┴───────┴───────────┴───────┴───────────────────────────────┴─────────┴─────────────┘
//! ```
//!
//! Integers are little-endian. Salt, generation and end are the last recorded mark of the log;
//! generation 0 means that no log was begun. The founding is UTF-8 text. `rolled` is 1
//! for a peer that was found rolled back, else 0.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use bytes::{Buf, BufMut};
use synod_transport::{ClusterId, DiskId, Hello, LastIncarnation, NodeId, Refused};
use synod_wal::{Lsn, Mark};

use super::IdentityError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) cluster: ClusterId,
    pub(super) node: NodeId,
    pub(super) disk: DiskId,
    pub(super) incarnation: IncarnationId,
    /// The mark that the log must have reached, if one was begun.
    pub(super) log: Option<Mark>,
    pub(super) founding: String,
    pub(super) peers: BTreeMap<NodeId, Pin>,
}

/// An incarnation of a disk. Two with equal boot numbers and different nonces are of two copies of
/// it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct IncarnationId {
    pub(super) boot: u64,
    pub(super) nonce: u64,
}

/// Leaves out the nonce: a peer that knows it could impersonate the node.
impl fmt::Debug for IncarnationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncarnationId")
            .field("boot", &self.boot)
            .finish_non_exhaustive()
    }
}

/// The disk a peer was first met on, and the last incarnation it was met in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pin {
    pub(super) disk: DiskId,
    pub(super) incarnation: IncarnationId,
    /// An earlier incarnation or a copy was seen since, so no later incarnation is accepted as the
    /// node.
    pub(super) is_rolled_back: bool,
}

/// How an acceptable hello relates to what is known of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meeting {
    /// The incarnation that was met last.
    Again,
    /// A later incarnation of the same disk.
    LaterIncarnation,
    First,
}

impl Pin {
    pub(super) const fn of(hello: &Hello) -> Self {
        let (boot, nonce) = (hello.boot, hello.nonce);
        Self {
            disk: hello.disk,
            incarnation: IncarnationId { boot, nonce },
            is_rolled_back: false,
        }
    }

    pub(super) const fn last_life(&self) -> LastIncarnation {
        LastIncarnation {
            disk: self.disk,
            boot: self.incarnation.boot,
            nonce: self.incarnation.nonce,
        }
    }
}

impl State {
    /// Whether a peer is acceptable on this disk in this incarnation.
    pub(super) fn judge(&self, node: NodeId, met: &Pin) -> Result<Meeting, Refused> {
        let Some(before) = self.peers.get(&node) else {
            return Ok(Meeting::First);
        };
        if before.disk != met.disk {
            return Err(Refused::Disk);
        }
        match met.incarnation.boot.cmp(&before.incarnation.boot) {
            Ordering::Less => Err(Refused::Stale),
            Ordering::Equal if met.incarnation != before.incarnation => Err(Refused::Twin),
            Ordering::Equal => Ok(Meeting::Again),
            Ordering::Greater if before.is_rolled_back => Err(Refused::RolledBack),
            Ordering::Greater => Ok(Meeting::LaterIncarnation),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        seal(self.body())
    }

    /// Everything except the checksum and the padding.
    pub(super) fn body(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.put_u128_le(self.cluster.0);
        out.put_u64_le(self.node.0);
        out.put_u128_le(self.disk.0);
        put_life(&mut out, self.incarnation);
        let log = self.log.unwrap_or_default();
        for word in [log.salt, log.generation, log.end.0] {
            out.put_u64_le(word);
        }
        // Longer than any founding in use: a group takes some hundred bytes of it.
        let founding = &self.founding.as_bytes()[..self.founding.len().min(FOUNDING_BYTES_MAX)];
        out.put_u16_le(u16::try_from(founding.len()).unwrap_or(u16::MAX));
        out.put_slice(founding);
        out.put_u32_le(u32::try_from(self.peers.len()).unwrap_or(u32::MAX));
        for (node, pin) in &self.peers {
            out.put_u64_le(node.0);
            out.put_u128_le(pin.disk.0);
            put_life(&mut out, pin.incarnation);
            out.put_u8(pin.is_rolled_back.into());
        }
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut body = bytes;
        if body.try_get_u8() != Ok(VERSION) {
            return None;
        }
        let cluster = ClusterId(body.try_get_u128_le().ok()?);
        let node = NodeId(body.try_get_u64_le().ok()?);
        let disk = DiskId(body.try_get_u128_le().ok()?);
        let incarnation = take_life(&mut body)?;
        let log = Mark {
            salt: body.try_get_u64_le().ok()?,
            generation: body.try_get_u64_le().ok()?,
            end: Lsn(body.try_get_u64_le().ok()?),
        };
        // All zeros mean that no log was begun.
        let log = (log != Mark::default()).then_some(log);
        if log.is_some_and(|log| log.generation == 0) {
            return None;
        }
        let len = usize::from(body.try_get_u16_le().ok()?);
        let founding = body.split_off(..len)?;
        let founding = String::from_utf8(founding.to_vec()).ok()?;
        let mut peers = BTreeMap::new();
        for _ in 0..body.try_get_u32_le().ok()? {
            let node = NodeId(body.try_get_u64_le().ok()?);
            let disk = DiskId(body.try_get_u128_le().ok()?);
            let incarnation = take_life(&mut body)?;
            let is_rolled_back = match body.try_get_u8().ok()? {
                0 => false,
                1 => true,
                _ => return None,
            };
            let pin = Pin {
                disk,
                incarnation,
                is_rolled_back,
            };
            // Ascending and without duplicates: each state has one encoding.
            let is_next = peers.last_key_value().is_none_or(|(last, _)| *last < node);
            is_next.then(|| peers.insert(node, pin))?;
        }
        let (summed, filler) = (bytes.len() - body.len(), body.split_off(4..)?);
        let is_whole = body.get_u32_le() == crc32c::crc32c(&bytes[..summed]);
        (is_whole && filler.iter().all(|byte| *byte == 0)).then_some(Self {
            cluster,
            node,
            disk,
            incarnation,
            log,
            founding,
            peers,
        })
    }
}

/// Appends the checksum, and zeros up to the end of a block.
pub(super) fn seal(mut body: Vec<u8>) -> Vec<u8> {
    let sum = crc32c::crc32c(&body);
    body.put_u32_le(sum);
    body.resize(body.len().next_multiple_of(BLOCK_BYTES), 0);
    body
}

fn put_life(out: &mut Vec<u8>, incarnation: IncarnationId) {
    out.put_u64_le(incarnation.boot);
    out.put_u64_le(incarnation.nonce);
}

fn take_life(body: &mut &[u8]) -> Option<IncarnationId> {
    Some(IncarnationId {
        boot: body.try_get_u64_le().ok()?,
        nonce: body.try_get_u64_le().ok()?,
    })
}

/// Tells another version from damage, for bytes that are no identity of this version. If only the
/// version byte differs, it is damage.
pub(super) fn unreadable(bytes: &[u8]) -> IdentityError {
    let Some((found, rest)) = bytes.split_first() else {
        return IdentityError::Damaged;
    };
    let is_empty = rest.iter().all(|byte| *byte == 0);
    let as_ours = [&[VERSION], rest].concat();
    if *found == VERSION || is_empty || State::decode(&as_ours).is_some() {
        return IdentityError::Damaged;
    }
    let (found, known) = (*found, VERSION);
    IdentityError::Version { found, known }
}

/// The most bytes of a founding's text.
pub(super) const FOUNDING_BYTES_MAX: usize = u16::MAX as usize;
const VERSION: u8 = 1;
const BLOCK_BYTES: usize = 4096;
