//! Messages, node ids and priorities (lanes).

use bytes::{BufMut, Bytes, BytesMut};
use std::fmt;

/// The id of a node: unique in its cluster, and the same in all its incarnations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

/// How urgent a message is. Each lane has its own queue, so that a snapshot does not delay a
/// heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Votes, heartbeats, acknowledgements: small, sent first. A full lane drops its *oldest*
    /// message, because the newest describes the current state.
    Control,
    /// Log entries, snapshot chunks: large, sent when the control lane is empty. A full lane
    /// refuses the *newest* message, because the receiver needs the older ones first.
    Bulk,
}

/// One message: a small head encoded for this peer, and bodies shared with the disk and with the
/// other peers.
///
/// The receiver gets one contiguous run of bytes, head first; the boundaries between the parts are
/// not transmitted. A body that goes to four peers and to the log is thus encoded once and never
/// copied.
///
/// ```
/// use bytes::Bytes;
/// use synod_transport::Parcel;
///
/// let body = Bytes::from_static(b"set x 1");
/// let parcel = Parcel { head: Bytes::from_static(b"append "), parts: vec![body.clone()] };
/// assert_eq!(parcel.len(), 14);
/// assert_eq!(&parcel.to_bytes()[..], b"append set x 1");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parcel {
    /// The first bytes of the message, specific to this peer.
    pub head: Bytes,
    /// The rest of the message, in order.
    pub parts: Vec<Bytes>,
}

impl Parcel {
    /// The length of the message in bytes, head and parts together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts
            .iter()
            .fold(self.head.len(), |sum, part| sum.saturating_add(part.len()))
    }

    /// True when the message has no bytes. An empty message is legal and arrives as such.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The message in one piece, as the receiver gets it. Copies, unless there is only one piece.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match self.parts.as_slice() {
            [] => self.head.clone(),
            [only] if self.head.is_empty() => only.clone(),
            _ => {
                let mut whole = BytesMut::with_capacity(self.len());
                for piece in self.pieces() {
                    whole.put_slice(piece);
                }
                whole.freeze()
            }
        }
    }

    /// The non-empty pieces of the message in order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.head)
            .chain(&self.parts)
            .filter(|piece| !piece.is_empty())
    }
}

impl From<Bytes> for Parcel {
    fn from(head: Bytes) -> Self {
        Self {
            head,
            parts: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_piece_is_not_copied() {
        let body = Bytes::from(vec![7; 100]);
        let alone = Parcel::from(body.clone()).to_bytes();
        assert_eq!(alone.as_ptr(), body.as_ptr());
        let as_part = Parcel {
            head: Bytes::new(),
            parts: vec![body.clone()],
        }
        .to_bytes();
        assert_eq!(as_part.as_ptr(), body.as_ptr());
    }

    #[test]
    fn pieces_skip_what_is_empty_and_keep_the_order() {
        let parcel = Parcel {
            head: Bytes::new(),
            parts: vec![
                Bytes::from_static(b"a"),
                Bytes::new(),
                Bytes::from_static(b"b"),
            ],
        };
        assert_eq!(
            parcel.pieces().map(|piece| &piece[..]).collect::<Vec<_>>(),
            [b"a", b"b"]
        );
        assert_eq!(parcel.to_bytes(), "ab");
        assert!(Parcel::default().is_empty());
    }
}
