//! The framing of messages on a byte stream, without I/O.
//!
//! ```text
//!  byte 0          4          8          12                12 + length
//!       ├──────────┼──────────┼──────────┼───────────────────┤
//!       │  length  │ CRC-32C  │ CRC-32C  │      payload      │
//!       │  u32 LE  │ payload  │ of 0..8  │   length bytes    │
//!       └──────────┴──────────┴──────────┴───────────────────┘
//! ```
//!
//! The header has its own checksum, so that a corrupted length is detected at once instead of after
//! gigabytes that never arrive. The length is compared with the limit before anything is allocated
//! for it. After an invalid frame the next frame boundary is unknown, so the stream is closed.
//!
//! A checksum detects accidental corruption. It does not authenticate: anyone who can write to the
//! stream can forge a frame.

use crate::Parcel;
use bytes::{Buf, Bytes, BytesMut};
use std::fmt;

/// The bytes of a frame in front of its payload.
pub const HEADER_BYTES: usize = 12;

/// The header of the frame whose payload is `parcel`; `None` when its length does not fit the
/// format (4 GiB).
#[must_use]
pub fn header(parcel: &Parcel) -> Option<[u8; HEADER_BYTES]> {
    let length = u32::try_from(parcel.len()).ok()?;
    let payload = parcel
        .pieces()
        .fold(0, |crc, piece| crc32c::crc32c_append(crc, piece));
    let mut header = [0; HEADER_BYTES];
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[4..8].copy_from_slice(&payload.to_le_bytes());
    let check = crc32c::crc32c(&header[..8]);
    header[8..].copy_from_slice(&check.to_le_bytes());
    Some(header)
}

/// Why a stream is not a valid sequence of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The header does not match its own checksum.
    #[error("a frame's header does not match its checksum")]
    Header,
    /// A valid header announces a payload longer than the limit.
    #[error("a frame of {bytes} bytes exceeds the limit of {bytes_max}")]
    TooLong {
        /// The announced length of the payload.
        bytes: usize,
        /// The limit of this decoder.
        bytes_max: usize,
    },
    /// The payload does not match its checksum.
    #[error("a frame's payload does not match its checksum")]
    Payload,
}

/// Decodes frames from a byte stream that arrives in pieces of any size.
///
/// Payloads are slices of the read buffer: nothing is copied, and a retained payload keeps the
/// whole buffer in memory. Errors are permanent: every later call returns the same one.
///
/// ```
/// use bytes::Bytes;
/// use synod_transport::{Parcel, frame};
///
/// let parcel = Parcel::from(Bytes::from_static(b"hello"));
/// let mut decoder = frame::Decoder::new(1024);
/// decoder.feed(&frame::header(&parcel).expect("five bytes fit"));
/// decoder.feed(b"hel");
/// assert_eq!(decoder.poll_frame(), Ok(None));
/// decoder.feed(b"lo");
/// assert_eq!(decoder.poll_frame(), Ok(Some(Bytes::from_static(b"hello"))));
/// ```
///
/// Invariant: `next` is a verified header within the limit, already removed from the buffer.
pub struct Decoder {
    buffer: BytesMut,
    next: Option<Header>,
    payload_bytes_max: usize,
    failed: Option<FrameError>,
}

impl Decoder {
    /// A decoder at the start of a stream, which rejects payloads longer than `payload_bytes_max`.
    #[must_use]
    pub fn new(payload_bytes_max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            next: None,
            payload_bytes_max,
            failed: None,
        }
    }

    /// Appends the next bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The buffer to read the next bytes of the stream into without a copy: it has room for the
    /// rest of the current frame, or for many small ones.
    pub(crate) fn space(&mut self) -> &mut BytesMut {
        let wanted = self
            .next
            .map_or(0, |header| header.length.saturating_sub(self.buffer.len()));
        if self.buffer.capacity() - self.buffer.len() < wanted.max(SPACE_BYTES_MIN) {
            self.buffer.reserve(wanted.max(READ_BYTES));
        }
        &mut self.buffer
    }

    /// The payload of the next complete frame, `None` until it has arrived.
    ///
    /// # Errors
    ///
    /// When the stream is not a valid sequence of frames; the error is permanent.
    pub fn poll_frame(&mut self) -> Result<Option<Bytes>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.step().inspect_err(|error| {
            self.failed = Some(*error);
            self.buffer = BytesMut::new();
        })
    }

    fn step(&mut self) -> Result<Option<Bytes>, FrameError> {
        let header = match self.next {
            Some(header) => header,
            None => {
                let Some(first) = self.buffer.first_chunk::<HEADER_BYTES>() else {
                    return Ok(None);
                };
                let header = Header::parse(first, self.payload_bytes_max)?;
                self.buffer.advance(HEADER_BYTES);
                *self.next.insert(header)
            }
        };
        if self.buffer.len() < header.length {
            return Ok(None);
        }
        let payload = self.buffer.split_to(header.length).freeze();
        self.next = None;
        if crc32c::crc32c(&payload) != header.payload {
            return Err(FrameError::Payload);
        }
        Ok(Some(payload))
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("buffered", &self.buffer.len())
            .field("next", &self.next)
            .field("payload_bytes_max", &self.payload_bytes_max)
            .field("failed", &self.failed)
            .finish()
    }
}

#[derive(Clone, Copy, Debug)]
struct Header {
    length: usize,
    payload: u32,
}

impl Header {
    fn parse(bytes: &[u8; HEADER_BYTES], payload_bytes_max: usize) -> Result<Self, FrameError> {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        if crc32c::crc32c(&bytes[..8]) != word(8) {
            return Err(FrameError::Header);
        }
        let too_long = |bytes| FrameError::TooLong {
            bytes,
            bytes_max: payload_bytes_max,
        };
        let length = usize::try_from(word(0)).map_err(|_| too_long(usize::MAX))?;
        if length > payload_bytes_max {
            return Err(too_long(length));
        }
        Ok(Self {
            length,
            payload: word(4),
        })
    }
}

/// The size of one read: enough for many small frames, and little enough that a retained payload
/// may keep it in memory.
const READ_BYTES: usize = 64 * 1024;
/// With less free space than this a read is not worth its system call.
const SPACE_BYTES_MIN: usize = 4 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(payload: &[u8]) -> Vec<u8> {
        let parcel = Parcel::from(Bytes::copy_from_slice(payload));
        let mut bytes = header(&parcel).expect("fits").to_vec();
        bytes.extend_from_slice(payload);
        bytes
    }

    fn decode(decoder: &mut Decoder) -> Result<Vec<Bytes>, FrameError> {
        let mut frames = Vec::new();
        while let Some(frame) = decoder.poll_frame()? {
            frames.push(frame);
        }
        Ok(frames)
    }

    #[test]
    fn golden_bytes_of_version_0() {
        let frame = encode(b"synod");
        // The checksums were computed by another implementation, bit by bit.
        let golden = [
            0x05, 0x00, 0x00, 0x00, 0x7d, 0xd3, 0x04, 0x1e, 0xcb, 0x1c, 0xaf, 0x05, b's', b'y',
            b'n', b'o', b'd',
        ];
        assert_eq!(frame, golden, "{frame:02x?}");
    }

    #[test]
    fn a_parcel_in_parts_is_the_frame_of_the_whole() {
        let parts = Parcel {
            head: "sy".into(),
            parts: vec![Bytes::new(), "no".into(), "d".into()],
        };
        assert_eq!(header(&parts), header(&Parcel::from(parts.to_bytes())));
    }

    #[test]
    fn split_at_every_byte() {
        let stream = [encode(b"first"), encode(b""), encode(&[9; 300])].concat();
        let expected = [&b"first"[..], b"", &[9; 300]];
        for cut in 0..=stream.len() {
            let mut decoder = Decoder::new(300);
            decoder.feed(&stream[..cut]);
            let mut frames = decode(&mut decoder).expect("a prefix of frames is no error");
            decoder.feed(&stream[cut..]);
            frames.extend(decode(&mut decoder).expect("frames"));
            assert_eq!(frames, expected, "cut at {cut}");
        }
        let mut decoder = Decoder::new(300);
        let mut frames = Vec::new();
        for byte in &stream {
            decoder.space().extend_from_slice(&[*byte]);
            frames.extend(decode(&mut decoder).expect("frames"));
        }
        assert_eq!(frames, expected, "byte by byte");
    }

    #[test]
    fn every_flipped_bit_is_noticed_within_the_frame() {
        let whole = encode(b"the payload");
        for bit in 0..whole.len() * 8 {
            let mut bad = whole.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let mut decoder = Decoder::new(usize::MAX);
            decoder.feed(&bad);
            let expected = if bit < HEADER_BYTES * 8 {
                FrameError::Header
            } else {
                FrameError::Payload
            };
            assert_eq!(decode(&mut decoder), Err(expected), "bit {bit}");
            decoder.feed(&whole);
            assert_eq!(decode(&mut decoder), Err(expected), "the error stays");
        }
    }

    #[test]
    fn oversize_is_refused_without_allocation() {
        let head = {
            let mut head = [0; HEADER_BYTES];
            head[..4].copy_from_slice(&(1_u32 << 30).to_le_bytes());
            let check = crc32c::crc32c(&head[..8]);
            head[8..].copy_from_slice(&check.to_le_bytes());
            head
        };
        let mut decoder = Decoder::new(1000);
        decoder.feed(&head);
        let too_long = FrameError::TooLong {
            bytes: 1 << 30,
            bytes_max: 1000,
        };
        assert_eq!(
            decoder.step(),
            Err(too_long),
            "seen from within, before the buffer is given back"
        );
        assert!(
            decoder.buffer.capacity() < 1 << 20,
            "nothing is set aside for it"
        );
        assert_eq!(decoder.poll_frame(), Err(too_long));
        assert!(decoder.space().capacity() < 1 << 20, "nor later");

        let mut decoder = Decoder::new(5);
        decoder.feed(&encode(b"five!"));
        assert_eq!(
            decode(&mut decoder),
            Ok(vec![Bytes::from("five!")]),
            "the limit itself is allowed"
        );
    }

    #[test]
    fn payloads_are_slices_of_what_was_read() {
        let mut decoder = Decoder::new(100_000);
        let (small, large) = (encode(b"small"), encode(&[3; 90_000]));
        decoder.space().extend_from_slice(&small);
        decoder.buffer.extend_from_slice(&large[..500]);
        let read = decoder.buffer.as_ptr();
        let first = decoder.poll_frame().expect("whole").expect("there");
        assert_eq!(first.as_ptr(), read.wrapping_add(HEADER_BYTES));

        assert_eq!(decoder.poll_frame(), Ok(None));
        let buffer = decoder.space();
        assert!(
            buffer.capacity() >= 90_000,
            "one buffer for the whole frame: it is never moved again"
        );
        let begin = buffer.as_ptr();
        buffer.extend_from_slice(&large[500..]);
        let second = decoder.poll_frame().expect("whole").expect("there");
        assert_eq!((second.as_ptr(), second.len()), (begin, 90_000));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_take_no_memory_beyond_a_limit(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
        ) {
            let mut decoder = Decoder::new(64);
            for piece in pieces {
                decoder.space().extend_from_slice(&piece);
                let _outcome = decode(&mut decoder);
                prop_assert!(decoder.buffer.capacity() <= 2 * READ_BYTES);
            }
        }

        #[test]
        fn frames_survive_any_pieces(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..10),
            piece_bytes in 1_usize..50,
        ) {
            let stream = payloads.iter().flat_map(|payload| encode(payload)).collect::<Vec<_>>();
            let mut decoder = Decoder::new(200);
            let mut frames = Vec::new();
            for piece in stream.chunks(piece_bytes) {
                decoder.feed(piece);
                frames.extend(decode(&mut decoder)?);
            }
            prop_assert_eq!(frames, payloads);
        }
    }
}
