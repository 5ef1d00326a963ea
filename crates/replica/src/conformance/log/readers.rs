//! Streams of slots, and reads beside the writer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread;

use synod_wal::{GroupId, Slot};

use super::LogStore;
use super::rig::{Rig, Write, is_genuine, put, tag};
use crate::conformance::random::Random;
use crate::conformance::suite::{Suite, Unsupported};
use crate::log::{Log, LogError, LogReader};

pub(super) fn run<S: LogStore>(suite: &mut Suite, fresh: &mut dyn FnMut() -> S) {
    let mut case = |name, promise, run: fn(&mut Rig<S>)| {
        suite.case(name, promise, || {
            run(&mut Rig::new(fresh));
            Ok::<(), Unsupported>(())
        });
    };
    case(
        "stream",
        "recovery returns all slots, in order, however many there are",
        stream,
    );
    case(
        "reads",
        "a read returns the slots in its range, and `Cut` if it begins at or before the start",
        reads,
    );
    case(
        "reads_are_bounded",
        "a read returns at least one slot if there is one, then as many as fit",
        reads_are_bounded,
    );
    case(
        "reads_beside_the_writer",
        "readers on other threads see whole slots that were written, while the log grows and is cut",
        reads_beside_the_writer,
    );
}

fn stream<S: LogStore>(rig: &mut Rig<S>) {
    let slots: Vec<Write> = (1..3_001)
        .map(|index| put(index, 0, 16 + index as usize % 90))
        .collect();
    for slots in slots.chunks(500) {
        rig.append_all(1, slots);
        rig.sync();
    }
    rig.check_synced("3,000 slots");
    let recovered = rig.log().recover(GroupId(1));
    let mut recovered = recovered.unwrap_or_else(|error| panic!("recovery failed: {error:?}"));
    let first = recovered.slots.next();
    assert!(
        matches!(&first, Some(Ok(slot)) if slot.index == 1),
        "a stream that is dropped early: {first:?}"
    );
    drop(recovered);
    rig.append(1, &[put(3_001, 0, 50)]);
    rig.check_synced("after a stream that was dropped early");
}

fn reads<S: LogStore>(rig: &mut Rig<S>) {
    let slots: Vec<Write> = [1, 2, 3, 7, 8, 20].map(|index| put(index, 0, 50)).into();
    rig.append_all(1, &slots);
    rig.sync();
    let mut read = |from, to| -> Vec<u64> {
        let read = rig.read(1, from, to, usize::MAX);
        let read = read.unwrap_or_else(|error| panic!("{from}..={to}: {error:?}"));
        assert!(
            read.iter().all(is_genuine),
            "{from}..={to}: a slot is not what was written"
        );
        read.iter().map(|slot| slot.index).collect()
    };
    assert_eq!(read(2, 7), [2, 3, 7], "2..=7, both ends included");
    assert_eq!(read(4, 6), [0; 0], "a gap");
    assert_eq!(read(8, u64::MAX), [8, 20], "to the end");
    assert_eq!(read(21, u64::MAX), [0; 0], "after the end");
    assert_eq!(read(7, 7), [7], "one slot");
    let stranger = rig.read(5, 1, u64::MAX, usize::MAX);
    assert!(
        matches!(&stranger, Ok(none) if none.is_empty()),
        "another group: {stranger:?}"
    );
    rig.append(1, &[Write::Start(3, tag(3))]);
    rig.sync();
    for from in [1, 3] {
        let cut = rig.read(1, from, 10, usize::MAX);
        assert!(
            matches!(cut, Err(LogError::Cut { start: 3 })),
            "the log begins after 3, and {from}..=10 is requested: {cut:?}"
        );
    }
    let whole = rig.read(1, 4, 10, usize::MAX).map(|slots| slots.len());
    assert!(matches!(whole, Ok(2)), "after the start: {whole:?}");
}

fn reads_are_bounded<S: LogStore>(rig: &mut Rig<S>) {
    let slots: Vec<Write> = (1..41).map(|index| put(index, 0, 100)).collect();
    rig.append_all(1, &slots);
    rig.sync();
    for bytes_max in [0, 1, 99, 100, 101, 1_000, 2_500, 1 << 20] {
        let mut next = 1;
        while next <= 40 {
            let read = rig.read(1, next, 40, bytes_max);
            let read = read.unwrap_or_else(|error| panic!("{bytes_max} bytes: {error:?}"));
            assert!(
                !read.is_empty(),
                "slot {next} is there, and a read of {bytes_max} bytes returns nothing"
            );
            let bytes: usize = read.iter().map(|slot| slot.body.len()).sum();
            assert!(
                read.len() == 1 || bytes <= bytes_max,
                "{bytes} bytes were read where {bytes_max} are the bound"
            );
            let indexes = read.iter().map(|slot| slot.index);
            assert!(
                indexes.eq(next..next + read.len() as u64),
                "a bounded read must not skip slots"
            );
            next += read.len() as u64;
        }
    }
}

fn reads_beside_the_writer<S: LogStore>(rig: &mut Rig<S>) {
    let shared = Arc::new(Shared::default());
    let readers: Vec<_> = (0..2)
        .map(|seed| {
            let (reader, shared) = (rig.log().reader(), Arc::clone(&shared));
            thread::spawn(move || shared.read_until_stopped(&*reader, Random(seed)))
        })
        .collect();
    let (mut round, mut next) = (0, 1);
    while round < 200 || shared.reads.load(Ordering::Relaxed) < READS_MIN {
        round += 1;
        let slots: Vec<Write> = (next..next + 3)
            .map(|index| put(index, round, 200))
            .collect();
        rig.append(1, &slots);
        next += 3;
        if round % 7 == 0 {
            next -= 4;
            rig.append(1, &[Write::Truncate(next)]);
        }
        rig.sync();
        if round % 16 == 0 {
            rig.append(1, &[Write::Start(next - 10, tag(next))]);
            rig.sync();
        }
        if readers.iter().any(thread::JoinHandle::is_finished) {
            break;
        }
    }
    shared.stop.store(true, Ordering::Relaxed);
    for reader in readers {
        if let Err(panic) = reader.join() {
            std::panic::resume_unwind(panic);
        }
    }
    rig.check_synced("after reads beside the writer");
}

/// Shared by a case and its readers.
#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    reads: AtomicU64,
    /// The start that a reader was last given, to begin after it.
    start: std::sync::Mutex<u64>,
}

impl Shared {
    fn read_until_stopped(&self, reader: &dyn LogReader, mut random: Random) {
        while !self.stop.load(Ordering::Relaxed) {
            let start = *self.start.lock().unwrap_or_else(PoisonError::into_inner);
            let from = start + 1 + random.below(30);
            let bytes_max = random.below(4_000) as usize;
            match reader.read(GroupId(1), from..=u64::MAX, bytes_max) {
                Ok(slots) => {
                    self.reads
                        .fetch_add(u64::from(!slots.is_empty()), Ordering::Relaxed);
                    check(&slots, from);
                }
                Err(LogError::Cut { start }) => {
                    assert!(
                        start >= from,
                        "{from} is after the start {start}, and not cut"
                    );
                    *self.start.lock().unwrap_or_else(PoisonError::into_inner) = start;
                }
                Err(error) => panic!("a read beside the writer failed: {error:?}"),
            }
        }
    }
}

fn check(slots: &[Slot], from: u64) {
    let mut least = from;
    for slot in slots {
        assert!(
            slot.index >= least,
            "the slots of a read must ascend from its first index"
        );
        assert!(is_genuine(slot), "slot {} was never written", slot.index);
        least = slot.index + 1;
    }
}

/// How many reads must have found something for the case to be meaningful.
const READS_MIN: u64 = 50;
