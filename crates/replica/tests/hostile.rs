//! Bytes from a malicious peer: whatever they are, decoding ends, never panics, and takes no more
//! memory than a small multiple of their length.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use bytes::Bytes;
use proptest::prelude::*;
use synod_replica::embed::{Engine, EngineConfig, Instant, Protocol};
use synod_replica::sim::SimDisk;
use synod_replica::{Configured, GroupId, Log, NodeId};
use synod_wal::{Options, Wal};

/// Counts what this thread has allocated, and its maximum.
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

#[allow(unsafe_code, reason = "a counting allocator needs it")]
// SAFETY: every call is passed on to `System` unchanged, and `System` fulfils the contract of
// `GlobalAlloc`. Counting touches thread-local cells that need no allocation.
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

/// The most that `act` allocated in addition to what was allocated before.
fn peak_of(act: impl FnOnce()) -> usize {
    let before = HELD.get();
    PEAK.set(before);
    act();
    PEAK.get() - before
}

/// What a decoder may allocate besides a multiple of its input: one cautious reservation.
const SPARE: usize = 2 << 20;

/// A protocol whose messages are attacked.
trait Target: Configured<Protocol: Protocol<Message: PartialEq>> {
    fn new() -> Self;
    /// A message that carries this many bodies.
    fn message(bodies: u64) -> Message<Self>;
}

type Core<T> = <T as Configured>::Protocol;
type Message<T> = <Core<T> as Protocol>::Message;

#[cfg(feature = "raft")]
impl Target for synod_replica::raft::Config {
    fn new() -> Self {
        use synod_replica::raft::NodeId;

        Self::new(NodeId(1), (1..=3).map(NodeId))
    }

    fn message(bodies: u64) -> Message<Self> {
        use synod_replica::raft::{Entry, Index, Kind, LogId, Message, Replicate, Term};

        let id = |index| LogId {
            term: Term(1),
            index: Index(index),
        };
        let entry = |index| Entry {
            id: id(index),
            kind: Kind::Command,
            body: BODY,
        };
        Message::Replicate(Replicate::Append {
            term: Term(3),
            prev: id(7),
            entries: (8..8 + bodies).map(entry).collect(),
            commit: Index(5),
        })
    }
}

#[cfg(feature = "paxos")]
impl Target for synod_replica::paxos::Config {
    fn new() -> Self {
        use synod_replica::paxos::{NodeId, Quorums};

        Self::new(NodeId(1), Quorums::majority((1..=3).map(NodeId)).unwrap())
    }

    /// One message of each kind that carries bodies.
    fn message(bodies: u64) -> Message<Self> {
        use synod_replica::paxos::{
            Ballot, Binding, Echo, Kind, Message, NodeId, Replicate, Slot, Value, Vote,
        };

        let ballot = Ballot {
            round: 3,
            node: NodeId(2),
        };
        let value = || Value {
            kind: Kind::Command,
            origin: ballot,
            body: BODY,
        };
        let (first, chosen) = (Slot(8), Slot(5));
        let values = (0..bodies).map(|_| value()).collect();
        let vote = |slot| Vote {
            slot: Slot(slot),
            ballot,
            value: value(),
        };
        match bodies % 3 {
            0 => Message::Replicate(Replicate::Accept {
                ballot,
                first,
                values,
                chosen,
            }),
            1 => Message::Echo(Echo::Learned {
                ballot,
                first,
                values,
            }),
            _ => Message::Binding(Binding::Promise {
                ballot,
                from: first,
                votes: (8..8 + bodies).map(vote).collect(),
                next: Some(Slot(8 + bodies)),
                chosen,
                configurations: None,
            }),
        }
    }
}

fn decode<T: Target>(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let len = bytes.len();
    let peak = peak_of(|| drop(Core::<T>::decode(bytes)));
    assert!(peak <= 64 * len + SPARE, "{peak} bytes for {len}");
}

fn encode<T: Target>(message: &Message<T>) -> Vec<u8> {
    let (mut head, mut parts) = (Vec::new(), Vec::new());
    Core::<T>::encode(message, &mut head, &mut parts);
    [&head[..], &parts.concat()].concat()
}

fn encoded<T: Target>(bodies: u64) -> Vec<u8> {
    let message = T::message(bodies);
    let whole = encode::<T>(&message);
    assert_eq!(Core::<T>::decode(whole.clone().into()), Some(message));
    whole
}

fn engine<T: Target>() -> Engine<Core<T>, ()> {
    let mut options = Options::default();
    (options.segment_bytes, options.record_bytes_max) = (64 << 10, 16 << 10);
    options.reserve_bytes = 16 << 10;
    let mut log = Wal::open(SimDisk::new(1), options).unwrap();
    let recovered = Log::recover(&mut log, GroupId(1)).unwrap();
    let core = Core::<T>::recover(T::new(), recovered, Instant::default()).unwrap();
    Engine::new(EngineConfig::new(GroupId(1), NodeId(1), 1), core)
}

fn lengths_that_lie_reserve_nothing<T: Target>() {
    for bodies in 3..6 {
        let honest = encoded::<T>(bodies);
        for at in 0..honest.len() {
            for lie in [0xff, 0x80, 0x7f] {
                let mut bytes = honest.clone();
                bytes.splice(at..at, [lie; 9]);
                decode::<T>(&bytes);
            }
        }
    }
}

fn costs_its_bytes<T: Target>(from: u64, frame: Vec<u8>, engine: &mut Engine<Core<T>, ()>) {
    decode::<T>(&frame);
    let (now, len) = (Instant::default(), frame.len());
    let frame = Bytes::from(frame);
    let peak = peak_of(|| {
        engine.handle_frame(now, NodeId(from), frame);
        while engine.poll_effect(now).is_some() {}
    });
    assert!(peak <= 64 * len + SPARE, "{peak} bytes for {len}");
}

macro_rules! tests {
    ($feature:literal, $name:ident, $config:ty) => {
        #[cfg(feature = $feature)]
        mod $name {
            use super::*;

            #[test]
            fn lengths_that_lie_reserve_nothing() {
                super::lengths_that_lie_reserve_nothing::<$config>();
            }

            proptest! {
                #[test]
                fn a_message_is_its_bytes_or_nothing(
                    bodies in 0u64..20,
                    cut in any::<prop::sample::Index>(),
                    at in any::<prop::sample::Index>(),
                    byte in any::<u8>(),
                ) {
                    let mut bytes = encoded::<$config>(bodies);
                    let cut = &bytes[..cut.index(bytes.len())];
                    decode::<$config>(cut);
                    let read = |bytes: &[u8]| Core::<$config>::decode(Bytes::copy_from_slice(bytes));
                    prop_assert!(read(cut).is_none(), "a part was accepted as the whole");
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                    decode::<$config>(&bytes);
                    // It may be another message, which must then encode to these bytes.
                    if let Some(other) = read(&bytes) {
                        prop_assert_eq!(read(&encode::<$config>(&other)), Some(other));
                    }
                }

                #[test]
                fn any_frame_costs_what_its_bytes_do(
                    frames in prop::collection::vec(
                        (1u64..5, prop::collection::vec(any::<u8>(), 0..120)),
                        1..30,
                    ),
                ) {
                    let mut engine = engine::<$config>();
                    for (from, frame) in frames {
                        costs_its_bytes::<$config>(from, frame, &mut engine);
                    }
                }

                /// The first byte selects one of the eleven kinds, so that each is tried, and one
                /// that does not exist.
                #[test]
                fn any_frame_of_each_kind_costs_what_its_bytes_do(
                    kind in 0u8..12,
                    rest in prop::collection::vec(
                        prop_oneof![Just(0u8), Just(1), Just(0xff), any::<u8>()],
                        0..120,
                    ),
                ) {
                    let mut engine = engine::<$config>();
                    costs_its_bytes::<$config>(2, [&[kind], &rest[..]].concat(), &mut engine);
                }
            }
        }
    };
}

tests!("raft", raft, synod_replica::raft::Config);
tests!("paxos", paxos, synod_replica::paxos::Config);

const BODY: Bytes = Bytes::from_static(b"0123456789");
