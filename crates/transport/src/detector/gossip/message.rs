//! The messages of gossip detectors and their encoding.
//!
//! ```text
//!  ├ version u8 ┼ kind u8 ┼ seq u64 ┼ target u64, if of a helper ┼ rumours u8 ┼ rumour.. ┤        little endian
//!  rumour: ├ node u64 ┼ incarnation u64 ┼ refutation u64 ┼ suspected u8 ┤
//! ```

use crate::NodeId;
use crate::detector::Incarnation;
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// A message between the [`Gossip`](super::Gossip) detectors of two nodes: a step of a probe, with
/// piggybacked rumours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The step of a probe.
    pub kind: Kind,
    /// At most [`RUMORS_MAX`].
    pub rumors: Vec<Rumor>,
}

/// The steps of a probe, direct or by a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A probe of the receiver, which answers it.
    Probe(Seq),
    /// The answer to the probe of this number.
    Answer(Seq),
    /// Asks the receiver to probe `target` for the sender.
    ProbeFor {
        /// The number of the sender's probe.
        seq: Seq,
        /// The node that did not answer it.
        target: NodeId,
    },
    /// A helper's report that `target` is alive.
    AnswerOf {
        /// The number of the original probe.
        seq: Seq,
        /// The node that is alive.
        target: NodeId,
    },
}

/// The number of a probe, among those of its sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

/// How often a node has refuted suspicions in its present incarnation. Only the node itself increments it.
///
/// The SWIM paper calls this counter the incarnation number. In this crate an incarnation is one run of a
/// node, counted on its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Refutation(pub u64);

/// A claim about a node. Of two rumours about one incarnation the one with the higher refutation wins; at equal
/// refutations, the suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rumor {
    /// The node that it is about.
    pub node: NodeId,
    /// The node's incarnation that it is about.
    pub incarnation: Incarnation,
    /// The node's refutation counter that the claim is based on.
    pub refutation: Refutation,
    /// True: the node is suspected. False: it is alive.
    pub suspected: bool,
}

impl Rumor {
    /// Whether it replaces `known`, which is about the same incarnation.
    pub(super) fn overrides(&self, known: &Self) -> bool {
        (self.refutation, self.suspected) > (known.refutation, known.suspected)
    }
}

/// Why bytes are not a valid message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The format version is unknown.
    #[error("a message of version {0}")]
    Version(u8),
    /// The kind of message is unknown.
    #[error("a message of kind {0}")]
    Kind(u8),
    /// More rumours than a message may have.
    #[error("{0} rumours")]
    Rumors(u8),
    /// A boolean that is neither 0 nor 1.
    #[error("{0} for a truth value")]
    Truth(u8),
    /// Its length does not match its contents.
    #[error("a message of another length than it says")]
    Length,
}

impl Message {
    /// Encodes the message with at most the first [`RUMORS_MAX`] rumours.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let rumors = &self.rumors[..self.rumors.len().min(RUMORS_MAX)];
        let mut bytes = BytesMut::with_capacity(HEAD_BYTES_MAX + rumors.len() * RUMOR_BYTES);
        let (code, seq, target) = match self.kind {
            Kind::Probe(seq) => (1, seq, None),
            Kind::Answer(seq) => (2, seq, None),
            Kind::ProbeFor { seq, target } => (3, seq, Some(target)),
            Kind::AnswerOf { seq, target } => (4, seq, Some(target)),
        };
        bytes.put_u8(VERSION);
        bytes.put_u8(code);
        bytes.put_u64_le(seq.0);
        if let Some(target) = target {
            bytes.put_u64_le(target.0);
        }
        bytes.put_u8(rumors.len() as u8);
        for rumor in rumors {
            bytes.put_u64_le(rumor.node.0);
            bytes.put_u64_le(rumor.incarnation.0);
            bytes.put_u64_le(rumor.refutation.0);
            bytes.put_u8(rumor.suspected.into());
        }
        bytes.freeze()
    }

    /// Decodes a message that takes up all of `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`], for anything that [`encode`](Self::encode) does not produce.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut bytes = bytes;
        let kind = decode_kind(&mut bytes)?;
        let count = take_u8(&mut bytes)?;
        if usize::from(count) > RUMORS_MAX {
            return Err(DecodeError::Rumors(count));
        }
        if bytes.len() != usize::from(count) * RUMOR_BYTES {
            return Err(DecodeError::Length);
        }
        let rumors = (0..count).map(|_| decode_rumor(&mut bytes));
        let rumors = rumors.collect::<Result<_, _>>()?;
        Ok(Self { kind, rumors })
    }
}

fn decode_kind(bytes: &mut &[u8]) -> Result<Kind, DecodeError> {
    match take_u8(bytes)? {
        VERSION => {}
        version => return Err(DecodeError::Version(version)),
    }
    let code = take_u8(bytes)?;
    let seq = Seq(take_u64(bytes)?);
    match code {
        1 => Ok(Kind::Probe(seq)),
        2 => Ok(Kind::Answer(seq)),
        3 | 4 => {
            let target = NodeId(take_u64(bytes)?);
            Ok(match code {
                3 => Kind::ProbeFor { seq, target },
                _ => Kind::AnswerOf { seq, target },
            })
        }
        code => Err(DecodeError::Kind(code)),
    }
}

fn decode_rumor(bytes: &mut &[u8]) -> Result<Rumor, DecodeError> {
    Ok(Rumor {
        node: NodeId(take_u64(bytes)?),
        incarnation: Incarnation(take_u64(bytes)?),
        refutation: Refutation(take_u64(bytes)?),
        suspected: match take_u8(bytes)? {
            0 => false,
            1 => true,
            other => return Err(DecodeError::Truth(other)),
        },
    })
}

fn take_u8(bytes: &mut &[u8]) -> Result<u8, DecodeError> {
    bytes.try_get_u8().map_err(|_| DecodeError::Length)
}

fn take_u64(bytes: &mut &[u8]) -> Result<u64, DecodeError> {
    bytes.try_get_u64_le().map_err(|_| DecodeError::Length)
}

/// The most rumours in one message, so that it stays below a kilobyte.
pub const RUMORS_MAX: usize = 32;
const VERSION: u8 = 0;
const HEAD_BYTES_MAX: usize = 19;
const RUMOR_BYTES: usize = 25;
