//! The frames that engines exchange: the protocol's messages, and those of the runtime.
//!
//! ```text
//!  0        8
//! ┌────────┬──────────────────┬───────────────────────────────┐
//! │ group  │ head (postcard)  │ the protocol's bytes, a body,  │    version 0, unstable
//! │ u64 LE │                  │ or a chunk of a snapshot       │
//! └────────┴──────────────────┴───────────────────────────────┘
//! ```
//!
//! | frame | from → to | carries |
//! |---|---|---|
//! | `Message` | any → any | a message of the core |
//! | `Forward` | follower → leader | an entry's body to propose, in the leadership it was meant for |
//! | `Refused` | leader → follower | a `Forward` was not proposed: its body is certainly in no log |
//! | `AskIndex`, `Index` | follower → leader → follower | a read's index |
//! | `Pull`, `Chunk`, `Gone` | receiver → holder → receiver | a snapshot, paced by the receiver; its length and hash |
//! | `Damaged` | receiver → holder | the received chunks do not make the snapshot |
//! | `Waits` | receiver → holder | the rest is still wanted, but there is no space for it yet |
//! | `Done` | receiver → holder | no more is wanted, and whether the receiver has it all |
//! | `Channel` | any → any | a message of the application; the channel's number is in the group's place |

use bytes::{Buf, Bytes};
use serde::{Deserialize, Serialize};
use synod_transport::Parcel;
use synod_wal::{GroupId, Seal, Tag};

use crate::protocol::{Refusal, parcel};
use crate::task::SnapshotName;

/// The head of a frame.
///
/// Of an epoch only the round is sent: a frame goes to the leader it names, so the node is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Frame {
    /// The protocol's own bytes follow.
    Message,
    /// A body to propose follows. It is void in any leadership of the receiver but that of this
    /// round.
    Forward { round: u64 },
    /// The forwarded body of this name was not proposed and will not be; as [`Denial::NotLeader`], nor will
    /// anything else that was meant for that leadership, which is over. Names and rounds begin anew in each
    /// incarnation of a node, so an answer says which incarnation it answers.
    Refused {
        incarnation: u64,
        sequence: u64,
        reason: Denial,
    },
    /// Asks the leader of this round for an index that covers all writes that have ended.
    AskIndex {
        round: u64,
        incarnation: u64,
        id: u64,
        /// The leader's lease is enough; else a quorum must confirm that it leads.
        by_lease: bool,
    },
    /// The answer to `AskIndex`.
    Index {
        incarnation: u64,
        id: u64,
        index: Result<u64, Denial>,
    },
    /// Asks for a chunk of a snapshot.
    Pull { index: u64, tag: [u8; 32], at: u64 },
    /// A chunk follows, of a snapshot file of `len` bytes with this hash.
    Chunk {
        index: u64,
        tag: [u8; 32],
        at: u64,
        len: u64,
        hash: [u8; 32],
    },
    /// The holder no longer has this snapshot.
    Gone { index: u64, tag: [u8; 32] },
    /// The chunks do not make the expected snapshot: its holder should verify it.
    Damaged { index: u64, tag: [u8; 32] },
    /// The receiver's disk is full: it will request the same chunk again.
    Waits { index: u64, tag: [u8; 32] },
    /// The transfer has ended. `whole` says whether the receiver has the snapshot and will need the
    /// log after it.
    Done {
        index: u64,
        tag: [u8; 32],
        whole: bool,
    },
    /// A message of the application follows. It is of no group: the number in the group's place is that
    /// of its channel.
    Channel,
}

/// The reason of a refusal, as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Denial {
    NotLeader,
    Busy,
    TooLarge,
    Full,
}

impl From<Refusal> for Denial {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotLeader => Self::NotLeader,
            Refusal::Busy | Refusal::Transferring => Self::Busy,
            Refusal::Full => Self::Full,
            Refusal::TooLarge => Self::TooLarge,
        }
    }
}

impl Frame {
    pub(crate) fn pull(name: SnapshotName, at: u64) -> Self {
        Self::Pull {
            index: name.index,
            tag: name.tag.0,
            at,
        }
    }

    pub(crate) fn gone(name: SnapshotName) -> Self {
        Self::Gone {
            index: name.index,
            tag: name.tag.0,
        }
    }

    pub(crate) fn damaged(name: SnapshotName) -> Self {
        Self::Damaged {
            index: name.index,
            tag: name.tag.0,
        }
    }

    pub(crate) fn waits(name: SnapshotName) -> Self {
        Self::Waits {
            index: name.index,
            tag: name.tag.0,
        }
    }

    pub(crate) fn done(name: SnapshotName, whole: bool) -> Self {
        Self::Done {
            index: name.index,
            tag: name.tag.0,
            whole,
        }
    }

    pub(crate) fn chunk(name: SnapshotName, at: u64, seal: Seal) -> Self {
        Self::Chunk {
            index: name.index,
            tag: name.tag.0,
            at,
            len: seal.len,
            hash: seal.hash,
        }
    }

    /// Encodes this frame for `group`, followed by `parts`.
    pub(crate) fn encode(&self, group: GroupId, parts: Vec<Bytes>) -> Parcel {
        parcel(self.head(group), parts)
    }

    /// The group and the head only.
    pub(crate) fn head(&self, group: GroupId) -> Vec<u8> {
        let mut head = Vec::with_capacity(HEAD_BYTES_USUAL);
        head.extend_from_slice(&group.0.to_le_bytes());
        postcard::to_extend(self, head).unwrap_or_default()
    }

    /// Splits the bytes after the group into the head and what follows it.
    pub(crate) fn decode(bytes: Bytes) -> Option<(Self, Bytes)> {
        let (frame, rest) = postcard::take_from_bytes(&bytes).ok()?;
        let at = bytes.len() - rest.len();
        Some((frame, bytes.slice(at..)))
    }
}

/// Splits a frame into its group and the rest.
pub(crate) fn group(mut bytes: Bytes) -> Option<(GroupId, Bytes)> {
    let id = bytes.try_get_u64_le().ok()?;
    Some((GroupId(id), bytes))
}

/// The message of the application, if the bytes behind the first number are one.
pub(crate) fn channel_message(bytes: &Bytes) -> Option<Bytes> {
    let is_one = bytes.first() == Some(&CHANNEL_KIND);
    is_one.then(|| bytes.slice(1..))
}

pub(crate) fn name(index: u64, tag: [u8; 32]) -> SnapshotName {
    SnapshotName {
        index,
        tag: Tag(tag),
    }
}

const HEAD_BYTES_USUAL: usize = 64;
/// How the kind of [`Frame::Channel`] is encoded.
const CHANNEL_KIND: u8 = 11;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn round_trip(frame: &Frame) {
        let bytes = frame
            .encode(GroupId(7), vec![Bytes::from_static(b"tail")])
            .to_bytes();
        let (group, rest) = group(bytes).unwrap();
        assert_eq!(
            (group, Frame::decode(rest)),
            (
                GroupId(7),
                Some((frame.clone(), Bytes::from_static(b"tail")))
            )
        );
    }

    #[test]
    fn every_frame_comes_back() {
        for frame in [
            Frame::Message,
            Frame::Forward { round: 3 },
            Frame::Refused {
                incarnation: 4,
                sequence: u64::MAX,
                reason: Denial::TooLarge,
            },
            Frame::AskIndex {
                round: 1,
                incarnation: 9,
                id: 2,
                by_lease: true,
            },
            Frame::Index {
                incarnation: 9,
                id: 2,
                index: Err(Denial::Busy),
            },
            Frame::Index {
                incarnation: 9,
                id: 2,
                index: Ok(300),
            },
            Frame::Pull {
                index: 1,
                tag: [7; 32],
                at: 1 << 40,
            },
            Frame::Chunk {
                index: 1,
                tag: [7; 32],
                at: 2,
                len: 3,
                hash: [8; 32],
            },
            Frame::Gone {
                index: 1,
                tag: [0; 32],
            },
            Frame::Damaged {
                index: 1,
                tag: [9; 32],
            },
            Frame::Waits {
                index: 1,
                tag: [9; 32],
            },
            Frame::Done {
                index: 1,
                tag: [9; 32],
                whole: true,
            },
            Frame::Index {
                incarnation: 9,
                id: 2,
                index: Err(Denial::Full),
            },
            Frame::Channel,
        ] {
            round_trip(&frame);
        }
    }

    /// The encoding of the heads: group, kind, and varints of seven bits a byte.
    #[test]
    fn golden_heads() {
        let (incarnation, id) = (4, 2);
        let refused = |reason| Frame::Refused {
            incarnation,
            sequence: 300,
            reason,
        };
        let ask = Frame::AskIndex {
            round: 1,
            incarnation,
            id,
            by_lease: true,
        };
        let (index, tag) = (300, [9; 32]);
        // A snapshot's name: its index and its tag.
        let about = |kind: u8, behind: &[u8]| [&[kind, 0xac, 2][..], &tag, behind].concat();
        let (at, len, hash) = (2, 3, [8; 32]);
        let of_snapshots = [
            (Frame::Pull { index, tag, at }, about(5, &[2])),
            (
                Frame::Chunk {
                    index,
                    tag,
                    at,
                    len,
                    hash,
                },
                about(6, &[&[2, 3][..], &hash].concat()),
            ),
            (Frame::Gone { index, tag }, about(7, &[])),
            (Frame::Damaged { index, tag }, about(8, &[])),
            (Frame::Waits { index, tag }, about(9, &[])),
            (
                Frame::Done {
                    index,
                    tag,
                    whole: true,
                },
                about(10, &[1]),
            ),
        ];
        for (frame, golden) in of_snapshots {
            assert_eq!(frame.head(GroupId(7))[8..], golden, "{frame:?}");
        }
        let index = |index| Frame::Index {
            incarnation,
            id,
            index,
        };
        let heads: [(Frame, &[u8]); 10] = [
            (Frame::Message, &[0]),
            (Frame::Channel, &[CHANNEL_KIND]),
            (Frame::Forward { round: 300 }, &[1, 0xac, 2]),
            (refused(Denial::NotLeader), &[2, 4, 0xac, 2, 0]),
            (refused(Denial::Busy), &[2, 4, 0xac, 2, 1]),
            (refused(Denial::TooLarge), &[2, 4, 0xac, 2, 2]),
            (refused(Denial::Full), &[2, 4, 0xac, 2, 3]),
            (ask, &[3, 1, 4, 2, 1]),
            (index(Ok(5)), &[4, 4, 2, 0, 5]),
            (index(Err(Denial::Busy)), &[4, 4, 2, 1, 1]),
        ];
        for (frame, golden) in heads {
            let head = frame.head(GroupId(7));
            assert_eq!(head[..8], [7, 0, 0, 0, 0, 0, 0, 0]);
            assert_eq!(head[8..], *golden, "{frame:?}");
        }
    }

    /// The frame as a whole: the channel's number, the kind, the message.
    #[test]
    fn golden_message_of_a_channel() {
        let parts = vec![Bytes::from_static(b"hi")];
        let bytes = Frame::Channel.encode(GroupId(0x0102), parts).to_bytes();
        assert_eq!(&bytes[..], [2, 1, 0, 0, 0, 0, 0, 0, 11, b'h', b'i']);
        let (_, rest) = group(bytes).unwrap();
        assert_eq!(channel_message(&rest).as_deref(), Some(&b"hi"[..]));
        for other in [&[][..], &[0, 11], &[10, 11], &[12], &[0x8b, 0]] {
            let other = Bytes::from_static(other);
            assert_eq!(channel_message(&other), None, "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let Some((id, rest)) = group(bytes.clone().into()) else {
                prop_assert!(bytes.len() < 8);
                return Ok(());
            };
            prop_assert_eq!(&id.0.to_le_bytes()[..], &bytes[..8]);
            // Whatever decodes must encode to an equal frame with the same tail.
            if let Some((frame, tail)) = Frame::decode(rest) {
                prop_assert!(bytes.ends_with(&tail));
                let (_, again) = group(frame.encode(id, vec![tail.clone()]).to_bytes()).unwrap();
                prop_assert_eq!(Frame::decode(again), Some((frame, tail)));
            }
        }
    }
}
