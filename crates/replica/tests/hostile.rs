//! Bytes from a peer that means harm: whatever they are, decoding ends, panics never, and takes no more
//! memory than a small multiple of what came.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use proptest::prelude::*;
use synod_replica::sim::SimDisk;
use synod_replica::{Engine, EngineConfig, GroupId, Instant, Log, NodeId, Protocol, raft};
use synod_wal::{Options, Wal};

/// Counts what this thread holds and the most it held.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // A thread that is ending has no counters any more, and nothing to measure.
    let _gone = HELD.try_with(|held| {
        held.set(held.get().wrapping_add_signed(change));
        let _gone = PEAK.try_with(|peak| peak.set(peak.get().max(held.get())));
    });
}

#[allow(
    unsafe_code,
    reason = "an allocator that counts can be had in no other way"
)]
// SAFETY: every call is passed on to `System` unchanged, and what `System` promises is what
// `GlobalAlloc` asks for. Counting touches thread-local cells that need no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: `pointer` came from `System` with this layout, by `alloc` above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that `act` held beyond what was held before.
fn peak_of(act: impl FnOnce()) -> usize {
    let before = HELD.get();
    PEAK.set(before);
    act();
    PEAK.get() - before
}

/// What a decoder may hold beside a multiple of its input: one cautious reservation.
const SPARE: usize = 2 << 20;

fn decode(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let len = bytes.len();
    let peak = peak_of(|| drop(<raft::Raft as Protocol>::decode(bytes)));
    assert!(peak <= 64 * len + SPARE, "{peak} bytes for {len}");
}

fn append(entries: u64) -> Vec<u8> {
    let id = |index| raft::LogId {
        term: raft::Term(1),
        index: raft::Index(index),
    };
    let body = Bytes::from_static(b"0123456789");
    let entry = |index| raft::Entry {
        id: id(index),
        kind: raft::Kind::Command,
        body: body.clone(),
    };
    let message = raft::Message::Replicate(raft::Replicate::Append {
        term: raft::Term(3),
        prev: id(7),
        entries: (8..8 + entries).map(entry).collect(),
        commit: raft::Index(5),
    });
    let (mut head, mut parts) = (Vec::new(), Vec::new());
    <raft::Raft as Protocol>::encode(&message, &mut head, &mut parts);
    let whole = [&head[..], &parts.concat()].concat();
    assert_eq!(
        <raft::Raft as Protocol>::decode(whole.clone().into()),
        Some(message)
    );
    whole
}

fn engine() -> Engine<raft::Raft, ()> {
    let mut options = Options::default();
    (options.segment_bytes, options.record_bytes_max) = (64 << 10, 16 << 10);
    let mut log = Wal::open(SimDisk::new(1), options).unwrap();
    let config = raft::Config::new(raft::NodeId(1), (1..=3).map(raft::NodeId));
    let recovered = Log::recover(&mut log, GroupId(1)).unwrap();
    let core = <raft::Raft as Protocol>::recover(config, recovered, Instant::default()).unwrap();
    Engine::new(EngineConfig::new(GroupId(1), NodeId(1), 1), core)
}

#[test]
fn lengths_that_lie_reserve_nothing() {
    let honest = append(3);
    for at in 0..honest.len() {
        for lie in [0xff, 0x80, 0x7f] {
            let mut bytes = honest.clone();
            bytes.splice(at..at, [lie; 9]);
            decode(&bytes);
        }
    }
}

proptest! {
    #[test]
    fn a_message_is_its_bytes_or_nothing(
        entries in 0u64..20,
        cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = append(entries);
        decode(&bytes[..cut.index(bytes.len())]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        decode(&bytes);
    }

    #[test]
    fn an_engine_survives_any_frame(
        frames in prop::collection::vec((1u64..5, prop::collection::vec(any::<u8>(), 0..120)), 1..30),
    ) {
        let mut engine = engine();
        for (from, frame) in frames {
            decode(&frame);
            let (now, len) = (Instant::default(), frame.len());
            let frame = Bytes::from(frame);
            let peak = peak_of(|| {
                engine.handle_frame(now, NodeId(from), frame);
                while engine.poll_effect(now).is_some() {}
            });
            prop_assert!(peak <= 64 * len + SPARE, "{} bytes for {}", peak, len);
        }
    }

    /// The first bytes say which frame it is, so that each kind is met.
    #[test]
    fn an_engine_survives_any_frame_of_each_kind(
        kind in 0u8..9,
        rest in prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0xff), any::<u8>()], 0..120),
    ) {
        let mut engine = engine();
        let frame = Bytes::from([&[kind], &rest[..]].concat());
        engine.handle_frame(Instant::default(), NodeId(2), frame);
        while engine.poll_effect(Instant::default()).is_some() {}
    }
}
