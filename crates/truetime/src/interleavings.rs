//! The shared types under loom, which runs each of these tests in every interleaving of its threads and
//! every outcome that the memory model allows. The production code runs, on loom's atomics instead of
//! the processor's.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use crate::Timestamp;
use crate::latch::Latch;
use crate::register::MaxRegister;

fn latch() -> Arc<Latch<AtomicU64, 2>> {
    Arc::new(Latch::new(|| AtomicU64::new(0)))
}

/// Three writes: each slot is used, and one of them again, possibly while a reader is in it.
#[test]
fn no_reader_sees_half_of_a_writing() {
    loom::model(|| {
        let shared = latch();
        let latch = Arc::clone(&shared);
        let writes = thread::spawn(move || {
            let writer = latch.writer().unwrap();
            for number in 1..=3 {
                writer.write([number; 2]);
            }
        });
        let [one, other] = shared.read();
        assert_eq!(one, other, "a torn read");
        writes.join().unwrap();
        assert_eq!(shared.read(), [3; 2]);
    });
}

#[test]
fn what_a_reader_sees_never_goes_back() {
    loom::model(|| {
        let shared = latch();
        let latch = Arc::clone(&shared);
        let writes = thread::spawn(move || {
            let writer = latch.writer().unwrap();
            writer.write([1; 2]);
            writer.write([2; 2]);
        });
        let (before, after) = (shared.read(), shared.read());
        assert!(before[0] <= after[0]);
        writes.join().unwrap();
    });
}

#[test]
fn of_two_writers_one_is_turned_away_or_they_take_turns() {
    loom::model(|| {
        let shared = latch();
        let writes = |latch: &Latch<AtomicU64, 2>, number| {
            let writer = latch.writer();
            writer.map(|writer| writer.write([number; 2])).is_some()
        };
        let latch = Arc::clone(&shared);
        let other = thread::spawn(move || writes(&latch, 1));
        let mine = writes(&shared, 2);
        let theirs = other.join().unwrap();
        assert!(mine || theirs, "one of them wrote");
        let [one, other] = shared.read();
        assert_eq!(one, other, "a mixture");
        assert!(
            if one == 1 { theirs } else { mine },
            "{one} was never written"
        );
    });
}

/// A writer's changes are visible to the next writer.
#[test]
fn a_writer_sees_what_the_last_one_wrote() {
    loom::model(|| {
        let shared = latch();
        let latch = Arc::clone(&shared);
        let adds = |latch: &Latch<AtomicU64, 2>| {
            if let Some(writer) = latch.writer() {
                let [count, _] = latch.read();
                writer.write([count + 1; 2]);
                return 1;
            }
            0
        };
        let other = thread::spawn(move || adds(&latch));
        let added = adds(&shared) + other.join().unwrap();
        assert_eq!(shared.read(), [added; 2], "an update was lost");
    });
}

#[test]
fn a_register_never_falls() {
    loom::model(|| {
        let at = Timestamp::from_nanos;
        let register = Arc::new(MaxRegister::new(AtomicU64::new(0)));
        let told = Arc::new(AtomicU64::new(0));
        let (other, tell) = (Arc::clone(&register), Arc::clone(&told));
        let thread = thread::spawn(move || {
            assert!(other.raise(at(5)) >= at(5));
            tell.store(1, Ordering::Relaxed);
        });
        let mine = register.raise(at(3));
        assert!([at(3), at(5)].contains(&mine));
        if told.load(Ordering::Relaxed) == 1 {
            assert_eq!(register.raise(at(4)).max(at(5)), at(5));
        }
        thread.join().unwrap();
        assert_eq!(register.greatest(), at(5));
        assert_eq!(register.raise(at(-1)), at(5));
    });
}

/// The checker itself: without the second look at the sequence, it finds the torn read.
#[test]
#[should_panic(expected = "a torn read")]
fn loom_finds_a_reader_that_looks_once() {
    loom::model(|| {
        let words = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let shared = Arc::clone(&words);
        let writes = thread::spawn(move || {
            for word in shared.iter() {
                word.store(1, Ordering::Release);
            }
        });
        let [one, other] = words.each_ref().map(|word| word.load(Ordering::Acquire));
        assert_eq!(one, other, "a torn read");
        writes.join().unwrap();
    });
}
