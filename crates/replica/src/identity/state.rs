//! What an identity holds, as bytes.
//!
//! ```text
//! byte 0        1         17     25     41     49      57      65           73    81
//!      ├────────┼─────────┼──────┼──────┼──────┼───────┼───────┼────────────┼─────┼──
//!      │version │ cluster │ node │ disk │ boot │ nonce │ salt  │ generation │ end │
//!      │   1    │  u128   │ u64  │ u128 │ u64  │  u64  │ u64   │ u64        │ u64 │
//!      └────────┴─────────┴──────┴──────┴──────┴───────┴───────┴────────────┴─────┴──
//!       81      83          83 + n  87 + n
//!      ─┼───────┼───────────┼───────┼────────────────────────────────┬─────────┬─────────────┐
//!       │ n u16 │ founding, │ count │ count × (node u64, disk u128,  │ CRC-32C │ zeros up to │
//!       │       │ n bytes   │  u32  │ boot u64, nonce u64), 40 bytes │ of all  │ k × 4,096   │
//!      ─┴───────┴───────────┴───────┴────────────────────────────────┴─────────┴─────────────┘
//! ```
//!
//! Integers are little-endian. Salt, generation and end are the last noted mark of the log, and a
//! generation of 0 says that none was begun. The founding is text.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut};
use synod_transport::{ClusterId, DiskId, NodeId};
use synod_wal::{Lsn, Mark};

use super::IdentityError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) cluster: ClusterId,
    pub(super) node: NodeId,
    pub(super) disk: DiskId,
    pub(super) life: LifeId,
    /// The log that was begun: what of it must be there.
    pub(super) log: Option<Mark>,
    pub(super) founding: String,
    pub(super) peers: BTreeMap<NodeId, Pin>,
}

/// Which life of a disk: two that count the same and are not the same are of two copies of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LifeId {
    pub(super) boot: u64,
    pub(super) nonce: u64,
}

/// The disk a peer was first met on, and the last life it was met in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pin {
    pub(super) disk: DiskId,
    pub(super) life: LifeId,
}

impl State {
    pub(super) fn encode(&self) -> Vec<u8> {
        seal(self.body())
    }

    /// All but the checksum and what fills the block.
    pub(super) fn body(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.put_u128_le(self.cluster.0);
        out.put_u64_le(self.node.0);
        out.put_u128_le(self.disk.0);
        put_life(&mut out, self.life);
        let log = self.log.unwrap_or_default();
        for word in [log.salt, log.generation, log.end.0] {
            out.put_u64_le(word);
        }
        // Longer than any that is made: a group in it takes some hundred bytes.
        let founding = &self.founding.as_bytes()[..self.founding.len().min(FOUNDING_BYTES_MAX)];
        out.put_u16_le(u16::try_from(founding.len()).unwrap_or(u16::MAX));
        out.put_slice(founding);
        out.put_u32_le(u32::try_from(self.peers.len()).unwrap_or(u32::MAX));
        for (node, pin) in &self.peers {
            out.put_u64_le(node.0);
            out.put_u128_le(pin.disk.0);
            put_life(&mut out, pin.life);
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
        let life = take_life(&mut body)?;
        let log = Mark {
            salt: body.try_get_u64_le().ok()?,
            generation: body.try_get_u64_le().ok()?,
            end: Lsn(body.try_get_u64_le().ok()?),
        };
        // Of one that was not begun there is nothing to say.
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
            let life = take_life(&mut body)?;
            // In one order, and none twice: what one life writes has one form.
            let is_next = peers.last_key_value().is_none_or(|(last, _)| *last < node);
            is_next.then(|| peers.insert(node, Pin { disk, life }))?;
        }
        let (summed, filler) = (bytes.len() - body.len(), body.split_off(4..)?);
        let is_whole = body.get_u32_le() == crc32c::crc32c(&bytes[..summed]);
        (is_whole && filler.iter().all(|byte| *byte == 0)).then_some(Self {
            cluster,
            node,
            disk,
            life,
            log,
            founding,
            peers,
        })
    }
}

/// The checksum, and zeros up to the end of a block.
pub(super) fn seal(mut body: Vec<u8>) -> Vec<u8> {
    let sum = crc32c::crc32c(&body);
    body.put_u32_le(sum);
    body.resize(body.len().next_multiple_of(BLOCK_BYTES), 0);
    body
}

fn put_life(out: &mut Vec<u8>, life: LifeId) {
    out.put_u64_le(life.boot);
    out.put_u64_le(life.nonce);
}

fn take_life(body: &mut &[u8]) -> Option<LifeId> {
    Some(LifeId {
        boot: body.try_get_u64_le().ok()?,
        nonce: body.try_get_u64_le().ok()?,
    })
}

/// What bytes are that are no identity of this version. A version that is another one only by a bad byte is none.
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

/// Bytes of a founding's text.
pub(super) const FOUNDING_BYTES_MAX: usize = u16::MAX as usize;
const VERSION: u8 = 1;
const BLOCK_BYTES: usize = 4096;
