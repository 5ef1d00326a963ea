//! What detectors say to each other, and its bytes.
//!
//! ```text
//!  ├ version u8 ┼ kind u8 ┼ seq u64 ┼ target u64, if of a helper ┼ rumours u8 ┼ rumour.. ┤        little endian
//!  rumour: ├ node u64 ┼ incarnation u64 ┼ refutation u64 ┼ suspected u8 ┤
//! ```

use crate::NodeId;
use crate::detector::Incarnation;
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// A message of a [`Gossip`](super::Gossip) to that of a peer: a step of a probe, and rumours that go along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is about.
    pub kind: Kind,
    /// At most [`RUMORS_MAX`].
    pub rumors: Vec<Rumor>,
}

/// The steps of a probe, direct or by a helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Whoever gets this answers.
    Probe(Seq),
    /// The answer to the probe of this number.
    Answer(Seq),
    /// Whoever gets this probes `target` for the sender.
    ProbeFor {
        /// The number of the sender's probe.
        seq: Seq,
        /// Who did not answer it.
        target: NodeId,
    },
    /// The helper has heard of `target`.
    AnswerOf {
        /// The number of the probe that it helped with.
        seq: Seq,
        /// Who lives.
        target: NodeId,
    },
}

/// The number of a probe, among those of its sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(pub u64);

/// How often a node has taken back, in its present incarnation, that it is suspected. Only the node itself raises it.
///
/// The paper calls this counter the incarnation number. Here an incarnation is an incarnation of a node, which
/// its disk counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Refutation(pub u64);

/// What is said of a node. Of two rumours about one incarnation the one with the higher refutation counts; at the same
/// refutation, the suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rumor {
    /// Of whom.
    pub node: NodeId,
    /// Of which incarnation of it.
    pub incarnation: Incarnation,
    /// How often it has refuted such rumours.
    pub refutation: Refutation,
    /// Somebody did not hear of it; or else it lives.
    pub suspected: bool,
}

impl Rumor {
    /// Whether it takes the place of `known`, which is of the same incarnation.
    pub(super) fn overrides(&self, known: &Self) -> bool {
        (self.refutation, self.suspected) > (known.refutation, known.suspected)
    }
}

/// Why bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// Of a format that is not known here.
    #[error("a message of version {0}")]
    Version(u8),
    /// It is neither of the kinds.
    #[error("a message of kind {0}")]
    Kind(u8),
    /// More rumours than a message may have.
    #[error("{0} rumours")]
    Rumors(u8),
    /// Neither 0 nor 1 where it must be one of them.
    #[error("{0} for a truth value")]
    Truth(u8),
    /// Shorter or longer than what it says.
    #[error("a message of another length than it says")]
    Length,
}

impl Message {
    /// Its bytes; of the rumours the first [`RUMORS_MAX`].
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

    /// The message that these are the bytes of, all of them.
    ///
    /// # Errors
    /// [`DecodeError`], for anything else than [`encode`](Self::encode) makes.
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
