//! Frames between simulated nodes, readable in the world's traces.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use bytes::Bytes;

use crate::frame::{self, Frame};
use crate::protocol::Protocol;

/// A frame as it is on the wire; `Debug` shows it decoded.
pub struct Packet<P> {
    bytes: Bytes,
    protocol: PhantomData<fn() -> P>,
}

impl<P> Packet<P> {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self {
            bytes,
            protocol: PhantomData,
        }
    }

    /// The bytes on the wire.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl<P> Clone for Packet<P> {
    fn clone(&self) -> Self {
        Self::new(self.bytes.clone())
    }
}

impl<P> Hash for Packet<P> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
    }
}

impl<P: Protocol> fmt::Debug for Packet<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decoded = frame::group(self.bytes.clone()).and_then(|(_, rest)| Frame::decode(rest));
        match decoded {
            Some((Frame::Message, rest)) => match P::decode(rest) {
                Some(message) => write!(f, "{message:?}"),
                None => write!(f, "no message: {:?}", self.bytes),
            },
            Some((Frame::Pull { index, at, .. }, _)) => {
                write!(f, "Pull {{ snapshot {index} from byte {at} }}")
            }
            Some((Frame::Chunk { index, at, len, .. }, chunk)) => {
                let bytes = chunk.len();
                write!(
                    f,
                    "Chunk {{ snapshot {index} from byte {at}: {bytes} of {len} }}"
                )
            }
            Some((Frame::Gone { index, .. }, _)) => write!(f, "Gone {{ snapshot {index} }}"),
            Some((other, rest)) => write!(f, "{other:?} with {} bytes", rest.len()),
            None => write!(f, "no frame: {:?}", self.bytes),
        }
    }
}
