//! What simulated nodes send each other, readable in the world's traces: frames of their groups, and messages of their
//! applications.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use bytes::Bytes;

use crate::frame::{self, Frame};
use crate::protocol::Protocol;

/// A group's frame as it is on the wire, which `Debug` shows decoded, or an application's message.
pub struct Packet<P> {
    bytes: Bytes,
    is_application: bool,
    protocol: PhantomData<fn() -> P>,
}

impl<P> Packet<P> {
    pub(super) fn frame(bytes: Bytes) -> Self {
        Self {
            bytes,
            is_application: false,
            protocol: PhantomData,
        }
    }

    pub(super) fn application(message: Bytes) -> Self {
        Self {
            is_application: true,
            ..Self::frame(message)
        }
    }

    pub(super) fn is_application(&self) -> bool {
        self.is_application
    }

    /// The bytes on the wire.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl<P> Clone for Packet<P> {
    fn clone(&self) -> Self {
        Self {
            bytes: self.bytes.clone(),
            ..*self
        }
    }
}

impl<P> Hash for Packet<P> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes.hash(state);
        self.is_application.hash(state);
    }
}

impl<P: Protocol> fmt::Debug for Packet<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_application {
            return write!(f, "application: {:?}", self.bytes);
        }
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
