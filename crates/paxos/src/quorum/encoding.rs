use alloc::vec::Vec;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::{QuorumDecodeError, QuorumError, Quorums, System};
use crate::NodeId;

impl Quorums {
    /// Maximum length of an encoding.
    pub const ENCODED_BYTES_MAX: usize = HEAD_BYTES + Self::ACCEPTORS_MAX * 16 + 16;

    /// The bytes that are part of snapshots and messages. Numbers are little-endian:
    ///
    /// ```text
    /// ┌─────────┬──────┬───────┐
    /// │ version │ kind │ count │  one byte each
    /// ├─────────┴──────┴───────┴───────────┐
    /// │ count times: acceptor u64          │  ascending
    /// │   kind 0: weight u64               │
    /// │   kind 1: row u8                   │  from 0, in the order in which they come up
    /// ├────────────────────────────────────┤
    /// │   kind 0: phase1 u64, phase2 u64   │
    /// └────────────────────────────────────┘
    /// ```
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(Self::ENCODED_BYTES_MAX);
        bytes.put_u8(VERSION);
        bytes.put_u8(match &self.system {
            System::Weighted { .. } => WEIGHTED,
            System::Grid { .. } => GRID,
        });
        // At most 64, by construction.
        bytes.put_u8(self.acceptors.len() as u8);
        for (position, acceptor) in self.acceptors.iter().enumerate() {
            bytes.put_u64_le(acceptor.0);
            match &self.system {
                System::Weighted { weights, .. } => bytes.put_u64_le(weights[position]),
                System::Grid { rows } => {
                    let before = rows.iter().take_while(|row| row.0 >> position & 1 == 0);
                    bytes.put_u8(before.count() as u8);
                }
            }
        }
        if let System::Weighted { phase1, phase2, .. } = self.system {
            bytes.put_u64_le(phase1);
            bytes.put_u64_le(phase2);
        }
        bytes.freeze()
    }

    /// Decodes the output of [`encode`](Self::encode). Only bytes that it would write are accepted,
    /// so equal systems have equal bytes. The system is checked like a new one.
    ///
    /// # Errors
    /// What is wrong with the bytes. Nothing is allocated beyond the bound.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, QuorumDecodeError> {
        let version = byte(&mut bytes)?;
        if version != VERSION {
            return Err(QuorumDecodeError::Version { version });
        }
        let kind = byte(&mut bytes)?;
        let count = usize::from(byte(&mut bytes)?);
        if count > Self::ACCEPTORS_MAX {
            return Err(QuorumError::TooMany.into());
        }
        let quorums = match kind {
            WEIGHTED => {
                let weights = acceptors(count, &mut bytes, number)?;
                Self::weighted(weights, number(&mut bytes)?, number(&mut bytes)?)?
            }
            GRID => Self::grid(rows(acceptors(count, &mut bytes, byte)?)?)?,
            kind => return Err(QuorumDecodeError::Kind { kind }),
        };
        if bytes.has_remaining() {
            return Err(QuorumDecodeError::Length);
        }
        Ok(quorums)
    }
}

impl From<Quorums> for Bytes {
    fn from(quorums: Quorums) -> Self {
        quorums.encode()
    }
}

impl TryFrom<Bytes> for Quorums {
    type Error = QuorumDecodeError;

    fn try_from(bytes: Bytes) -> Result<Self, QuorumDecodeError> {
        Self::decode(&bytes)
    }
}

/// Ascending acceptors, each with the value that follows it.
fn acceptors<T>(
    count: usize,
    bytes: &mut &[u8],
    behind: impl Fn(&mut &[u8]) -> Result<T, QuorumDecodeError>,
) -> Result<Vec<(NodeId, T)>, QuorumDecodeError> {
    let mut acceptors: Vec<(NodeId, T)> = Vec::with_capacity(count);
    for _ in 0..count {
        let acceptor = NodeId(number(bytes)?);
        if acceptors.last().is_some_and(|(last, _)| *last >= acceptor) {
            return Err(QuorumDecodeError::Order);
        }
        acceptors.push((acceptor, behind(bytes)?));
    }
    Ok(acceptors)
}

/// The rows by their numbers. Each number is either known or the next one.
fn rows(acceptors: Vec<(NodeId, u8)>) -> Result<Vec<Vec<NodeId>>, QuorumDecodeError> {
    let mut rows: Vec<Vec<NodeId>> = Vec::new();
    for (acceptor, row) in acceptors {
        let row = usize::from(row);
        if row == rows.len() {
            rows.push(Vec::new());
        }
        let row = rows.get_mut(row).ok_or(QuorumDecodeError::Order)?;
        row.push(acceptor);
    }
    Ok(rows)
}

fn byte(bytes: &mut &[u8]) -> Result<u8, QuorumDecodeError> {
    bytes.try_get_u8().map_err(|_| QuorumDecodeError::Length)
}

fn number(bytes: &mut &[u8]) -> Result<u64, QuorumDecodeError> {
    bytes
        .try_get_u64_le()
        .map_err(|_| QuorumDecodeError::Length)
}

const VERSION: u8 = 0;
const WEIGHTED: u8 = 0;
const GRID: u8 = 1;
/// The bytes of version, kind and count.
const HEAD_BYTES: usize = 3;
