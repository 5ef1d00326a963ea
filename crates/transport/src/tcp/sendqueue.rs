//! The queue of frames for one stream and its write position, without I/O.

use crate::outbox::Outbox;
use crate::{Lane, LaneLimits, Parcel, frame};
use std::io::IoSlice;

/// The frames queued for one peer. Slices to write are gathered in place. Only a partially written
/// frame is committed, so control may still overtake everything else.
///
/// Invariants:
/// - on one stream, frames are not interleaved;
/// - a new stream begins at the first byte of a frame.
#[derive(Debug)]
pub(crate) struct SendQueue {
    waiting: Outbox<Frame>,
    begun: Option<Begun>,
}

/// The number of lost messages, by lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) control: u64,
    pub(crate) bulk: u64,
}

impl Lost {
    pub(crate) fn of(lane: Lane, messages: u64) -> Self {
        match lane {
            Lane::Control => Self {
                control: messages,
                bulk: 0,
            },
            Lane::Bulk => Self {
                control: 0,
                bulk: messages,
            },
        }
    }
}

impl SendQueue {
    pub(crate) fn new(control: LaneLimits, bulk: LaneLimits) -> Self {
        Self {
            waiting: Outbox::new(control, bulk),
            begun: None,
        }
    }

    /// Queues a message, with the header of its frame.
    pub(crate) fn push(
        &mut self,
        lane: Lane,
        header: [u8; frame::HEADER_BYTES],
        parcel: Parcel,
    ) -> Lost {
        let frame = Frame {
            lane,
            header,
            parcel,
        };
        Lost::of(lane, self.waiting.push(lane, frame.len(), frame))
    }

    /// Fills `slices` with the next bytes to write and returns how many it used; 0 when the queue
    /// is empty.
    pub(crate) fn gather<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let begun = self.begun.iter().map(|begun| (&begun.frame, begun.written));
        let frames = begun.chain(self.waiting.iter().map(|frame| (frame, 0)));
        let (mut used, mut bytes) = (0, 0);
        for (frame, mut written) in frames {
            for piece in frame.pieces() {
                if used == slices.len() || bytes >= WRITE_BYTES {
                    return used;
                }
                let rest = piece.get(written..).unwrap_or_default();
                written = written.saturating_sub(piece.len());
                if !rest.is_empty() {
                    slices[used] = IoSlice::new(rest);
                    used += 1;
                    bytes += rest.len();
                }
            }
        }
        used
    }

    /// Records that the stream accepted the first `bytes` of the gathered slices. Returns how many
    /// frames that completed.
    pub(crate) fn advance(&mut self, mut bytes: usize) -> u64 {
        let mut completed = 0;
        while bytes > 0 {
            let next = self.begun.take().or_else(|| {
                self.waiting
                    .pop()
                    .map(|(_, frame)| Begun { frame, written: 0 })
            });
            let Some(mut begun) = next else {
                debug_assert!(false, "a stream accepted more than was gathered");
                return completed;
            };
            let rest = begun.frame.len() - begun.written;
            if bytes < rest {
                begun.written += bytes;
                self.begun = Some(begun);
                return completed;
            }
            bytes -= rest;
            completed += 1;
        }
        completed
    }

    /// Switches to another stream: a partially written frame is lost, because its rest would be invalid there.
    pub(crate) fn abandon(&mut self) -> Lost {
        let begun = self.begun.take();
        begun.map_or_else(Lost::default, |begun| Lost::of(begun.frame.lane, 1))
    }

    /// Handles the loss of the stream. A partially written frame is lost, because its rest would be
    /// invalid on another stream; so is the control lane, because heartbeats and votes from before
    /// the break are stale. Bulk is kept.
    pub(crate) fn disconnect(&mut self) -> Lost {
        let mut lost = self.abandon();
        lost.control += self.waiting.clear_control();
        lost
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.begun.is_none() && self.waiting.is_empty()
    }

    /// The queued bytes: at most the limits of both lanes and one frame.
    pub(crate) fn bytes(&self) -> usize {
        self.waiting.bytes()
            + self
                .begun
                .as_ref()
                .map_or(0, |begun| begun.frame.len() - begun.written)
    }
}

#[derive(Debug)]
struct Frame {
    lane: Lane,
    header: [u8; frame::HEADER_BYTES],
    parcel: Parcel,
}

impl Frame {
    fn len(&self) -> usize {
        frame::HEADER_BYTES + self.parcel.len()
    }

    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        std::iter::once(&self.header[..]).chain(self.parcel.pieces().map(|piece| &piece[..]))
    }
}

#[derive(Debug)]
struct Begun {
    frame: Frame,
    written: usize,
}

/// The approximate size of one write; with more, the cost of the call no longer matters.
const WRITE_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn queue() -> SendQueue {
        SendQueue::new(LaneLimits::CONTROL, LaneLimits::BULK)
    }

    fn push(queue: &mut SendQueue, lane: Lane, payload: &[u8]) {
        let middle = payload.len() / 2;
        let head = Bytes::copy_from_slice(&payload[..middle]);
        let parcel = Parcel {
            head,
            parts: vec![Bytes::new(), Bytes::copy_from_slice(&payload[middle..])],
        };
        let header = frame::header(&parcel).expect("fits");
        assert_eq!(queue.push(lane, header, parcel), Lost::default());
    }

    /// Writes up to `bytes` into `stream`, like a stream that then blocks.
    fn write(queue: &mut SendQueue, stream: &mut Vec<u8>, slices_max: usize, bytes: usize) -> u64 {
        let mut slices = vec![IoSlice::new(&[]); slices_max];
        let used = queue.gather(&mut slices);
        let gathered = slices[..used]
            .iter()
            .flat_map(|slice| slice.iter().copied())
            .collect::<Vec<_>>();
        let taken = bytes.min(gathered.len());
        stream.extend_from_slice(&gathered[..taken]);
        queue.advance(taken)
    }

    fn frames(stream: &[u8]) -> Vec<Bytes> {
        let mut decoder = frame::Decoder::new(1 << 20);
        decoder.feed(stream);
        std::iter::from_fn(|| decoder.poll_frame().expect("whole frames")).collect()
    }

    #[test]
    fn control_overtakes_all_but_the_frame_that_has_begun() {
        let (mut queue, mut stream) = (queue(), Vec::new());
        push(&mut queue, Lane::Bulk, b"bulk one");
        push(&mut queue, Lane::Bulk, b"bulk two");
        assert_eq!(write(&mut queue, &mut stream, 64, 15), 0);
        push(&mut queue, Lane::Control, b"control");
        while !queue.is_empty() {
            write(&mut queue, &mut stream, 64, 7);
        }
        assert_eq!(frames(&stream), ["bulk one", "control", "bulk two"]);
    }

    #[test]
    fn full_control_never_drops_what_has_begun() {
        let limits = LaneLimits {
            messages_max: 1,
            bytes_max: 100,
        };
        let (mut queue, mut stream) = (SendQueue::new(limits, limits), Vec::new());
        push(&mut queue, Lane::Control, b"begun");
        write(&mut queue, &mut stream, 64, 3);
        push(&mut queue, Lane::Control, b"older");
        let newest = Parcel::from(Bytes::from_static(b"newest"));
        let header = frame::header(&newest).expect("fits");
        assert_eq!(
            queue.push(Lane::Control, header, newest),
            Lost {
                control: 1,
                bulk: 0
            }
        );
        while !queue.is_empty() {
            write(&mut queue, &mut stream, 64, 100);
        }
        assert_eq!(frames(&stream), ["begun", "newest"]);
    }

    #[test]
    fn a_new_stream_begins_with_a_whole_frame() {
        for cut in 1..20 {
            let (mut queue, mut first, mut second) = (queue(), Vec::new(), Vec::new());
            push(&mut queue, Lane::Bulk, b"half of it");
            write(&mut queue, &mut first, 64, cut);
            push(&mut queue, Lane::Bulk, b"next");
            push(&mut queue, Lane::Control, b"stale");
            assert_eq!(
                queue.disconnect(),
                Lost {
                    control: 1,
                    bulk: 1
                }
            );
            push(&mut queue, Lane::Control, b"fresh");
            assert_eq!(write(&mut queue, &mut second, 64, usize::MAX), 2);
            assert_eq!(frames(&second), ["fresh", "next"], "cut at {cut}");
            assert_eq!(queue.bytes(), 0);
        }
    }

    proptest! {
        /// However many bytes a stream accepts at a time, it carries complete frames, in order for
        /// each lane.
        #[test]
        fn any_partial_writes_carry_whole_frames(
            steps in prop::collection::vec((any::<bool>(), 0_usize..100, 0_usize..200, 1_usize..8), 0..60),
        ) {
            let (mut queue, mut stream, mut completed) = (queue(), Vec::new(), 0);
            let mut sent: [Vec<Vec<u8>>; 2] = Default::default();
            for (number, (control, payload_bytes, taken, slices_max)) in steps.into_iter().enumerate() {
                let lane = if control { Lane::Control } else { Lane::Bulk };
                let mut payload = vec![u8::from(control), number as u8];
                payload.resize(2 + payload_bytes, number as u8);
                push(&mut queue, lane, &payload);
                sent[usize::from(control)].push(payload);
                completed += write(&mut queue, &mut stream, slices_max, taken);
            }
            while !queue.is_empty() {
                completed += write(&mut queue, &mut stream, 3, 50);
            }
            let arrived = frames(&stream).into_iter();
            let (control, bulk): (Vec<Bytes>, Vec<Bytes>) = arrived.partition(|frame| frame[0] == 1);
            prop_assert_eq!((control.len() + bulk.len()) as u64, completed);
            prop_assert_eq!([bulk, control], sent);
        }
    }
}
