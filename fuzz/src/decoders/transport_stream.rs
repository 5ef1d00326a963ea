//! What comes out of a socket: a hello, then frames.

use bytes::Bytes;
use synod_transport::frame::{Decoder, HEADER_BYTES, header};
use synod_transport::hello::{GREETING_BYTES, Greeting};
use synod_transport::{ClusterId, DiskId, Hello, NodeId, Parcel, Refused};

use crate::memory::bounded;
use crate::script::Script;

/// First byte: hello or frames, with right checksums or with those that are there. Then the bytes.
pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    match script.below(4) {
        0 => greeting(&mut script, false),
        1 => greeting(&mut script, true),
        2 => stream(&mut script, false),
        _ => stream(&mut script, true),
    }
}

fn greeting(script: &mut Script<'_>, sealed: bool) {
    let mut bytes = [0; GREETING_BYTES];
    let given = script.take(GREETING_BYTES);
    bytes[..given.len()].copy_from_slice(given);
    if sealed {
        let sum = crc32c::crc32c(&bytes[..GREETING_BYTES - 4]);
        bytes[GREETING_BYTES - 4..].copy_from_slice(&sum.to_le_bytes());
    }
    let Ok(read) = bounded(GREETING_BYTES, || Greeting::decode(&bytes)) else {
        return;
    };
    assert_eq!(read.encode(), bytes, "a greeting has one encoding");
}

/// The same stream in pieces and as a whole gives the same frames, and they are what stands in it.
fn stream(script: &mut Script<'_>, sealed: bool) {
    let piece_bytes = 1 + usize::from(script.byte());
    let mut stream = script.rest().to_vec();
    if sealed {
        seal(&mut stream);
    }
    let whole = bounded(stream.len(), || frames(&stream, stream.len()));
    let pieces = frames(&stream, piece_bytes);
    assert_eq!(whole, pieces, "where the pieces end is seen");
    let mut at = 0;
    for frame in &whole.0 {
        let head = header(&Parcel::from(frame.clone())).expect("it came with a length");
        assert_eq!(
            stream[at..][..HEADER_BYTES],
            head,
            "a frame with another header"
        );
        assert_eq!(stream[at + HEADER_BYTES..][..frame.len()], frame[..]);
        assert!(frame.len() <= FRAME_BYTES_MAX, "over the limit");
        at += HEADER_BYTES + frame.len();
    }
}

fn frames(stream: &[u8], piece_bytes: usize) -> (Vec<Bytes>, bool) {
    let mut decoder = Decoder::new(FRAME_BYTES_MAX);
    let mut frames = Vec::new();
    for piece in stream.chunks(piece_bytes.max(1)) {
        decoder.feed(piece);
        loop {
            match decoder.poll_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.poll_frame(), Err(error), "an error stays");
                    return (frames, true);
                }
            }
        }
    }
    (frames, false)
}

/// Puts right checksums on each header, as long as the lengths lead somewhere.
fn seal(stream: &mut [u8]) {
    let mut rest = stream;
    while rest.len() >= HEADER_BYTES {
        let len = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        let (head, tail) = rest.split_at_mut(HEADER_BYTES);
        let end = len.min(tail.len());
        head[4..8].copy_from_slice(&crc32c::crc32c(&tail[..end]).to_le_bytes());
        let check = crc32c::crc32c(&head[..8]);
        head[8..].copy_from_slice(&check.to_le_bytes());
        rest = &mut tail[end..];
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let hello = Hello::new(ClusterId(7), NodeId(2), DiskId(22), 5);
    let greeting = |verdict, is_question| Greeting {
        hello,
        to: NodeId(1),
        verdict,
        is_question,
    };
    let mut seeds = Vec::new();
    for (kind, verdict, is_question) in [
        (0, Ok(()), false),
        (1, Err(Refused::Stale), false),
        (1, Ok(()), true),
    ] {
        let mut seed = vec![kind];
        seed.extend(greeting(verdict, is_question).encode());
        seeds.push(seed);
    }
    for kind in [2, 3] {
        let mut seed = vec![kind, 4];
        for payload in [&b"first"[..], b"", &[9; 40]] {
            let parcel = Parcel::from(Bytes::copy_from_slice(payload));
            seed.extend(header(&parcel).unwrap_or_default());
            seed.extend(payload);
        }
        seeds.push(seed);
    }
    seeds
}

const FRAME_BYTES_MAX: usize = 300;
