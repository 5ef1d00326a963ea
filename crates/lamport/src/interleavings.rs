//! The shared clocks under loom, which runs each of these tests in every interleaving of its
//! threads and every outcome that the memory model allows. The clocks' own code runs, on loom's
//! words instead of the processor's.

use core::convert::Infallible;
use std::vec::Vec;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use crate::atomic;
use crate::hlc::{self, Layout, Millis48, Nanos64, Refused, Timestamp};
use crate::word::advance;
use crate::{LamportTime, Overflow};

fn lamport(start: u64) -> Arc<atomic::Shared<AtomicU64>> {
    Arc::new(atomic::Shared::new(AtomicU64::new(start), u64::MAX))
}

fn hybrid<L: Layout>(latest: u64, bound: u64) -> Arc<hlc::Shared<AtomicU64, L>> {
    Arc::new(hlc::Shared::new(
        AtomicU64::new(latest),
        AtomicU64::new(bound),
    ))
}

#[test]
fn no_time_is_given_twice_and_each_thread_sees_its_own_rise() {
    loom::model(|| {
        let clock = lamport(0);
        let other = Arc::clone(&clock);
        let thread = thread::spawn(move || [other.tick(), other.tick()].map(Result::unwrap));
        let mine = [clock.tick(), clock.tick()].map(Result::unwrap);
        let theirs = thread.join().unwrap();
        assert!(mine[0] < mine[1] && theirs[0] < theirs[1]);
        let mut all = [mine, theirs].concat();
        all.sort();
        assert_eq!(all, [1, 2, 3, 4].map(LamportTime::new));
        assert_eq!(clock.now(), LamportTime::new(4));
    });
}

#[test]
fn a_receipt_lies_above_its_message_whoever_gets_in_between() {
    loom::model(|| {
        let clock = lamport(3);
        let receivers: Vec<_> = [10, 7]
            .map(|remote| {
                let clock = Arc::clone(&clock);
                let remote = LamportTime::new(remote);
                thread::spawn(move || (remote, clock.receive(remote).unwrap()))
            })
            .into_iter()
            .collect();
        let mine = clock.tick().unwrap();
        let mut given = Vec::from([mine]);
        for receiver in receivers {
            let (remote, received) = receiver.join().unwrap();
            assert!(received > remote);
            given.push(received);
        }
        let latest = *given.iter().max().unwrap();
        given.sort();
        given.dedup();
        assert_eq!(given.len(), 3, "no time is given twice");
        assert_eq!(clock.now(), latest);
        assert!(latest >= LamportTime::new(11));
    });
}

#[test]
fn the_last_time_is_given_once() {
    loom::model(|| {
        let clock = lamport(u64::MAX - 1);
        let other = Arc::clone(&clock);
        let thread = thread::spawn(move || other.tick());
        let results = [clock.tick(), thread.join().unwrap()];
        assert!(results.contains(&Ok(LamportTime::MAX)));
        assert!(results.contains(&Err(Overflow)));
        assert_eq!(clock.now(), LamportTime::MAX);
    });
}

/// A stamp is evidence: who has a later one sees what was written before the earlier one.
#[test]
fn a_later_time_sees_what_was_written_before_an_earlier_one() {
    loom::model(|| {
        let clock = lamport(0);
        let written = Arc::new(AtomicU64::new(0));
        let (other, seen) = (Arc::clone(&clock), Arc::clone(&written));
        let thread = thread::spawn(move || {
            if other.tick().unwrap() == LamportTime::new(2) {
                assert_eq!(seen.load(Ordering::Relaxed), 1);
            }
        });
        written.store(1, Ordering::Relaxed);
        clock.tick().unwrap();
        thread.join().unwrap();
    });
}

#[test]
fn reading_a_time_sees_what_was_written_before_its_event() {
    loom::model(|| {
        let clock = lamport(0);
        let written = Arc::new(AtomicU64::new(0));
        let (other, seen) = (Arc::clone(&clock), Arc::clone(&written));
        let thread = thread::spawn(move || {
            if other.now() == LamportTime::new(1) {
                assert_eq!(seen.load(Ordering::Relaxed), 1);
            }
        });
        written.store(1, Ordering::Relaxed);
        clock.tick().unwrap();
        thread.join().unwrap();
    });
}

/// Threads read the physical clock before they get to the word, so an older reading may come
/// after a newer one; and a compare-and-swap that lost must start from what won.
#[test]
fn cockroach_119369_timestamps_fall_between_reading_and_swap() {
    loom::model(|| {
        let clock = hybrid::<Millis48>(0, u64::MAX);
        let threads: Vec<_> = [
            (9, 0),
            (5, Timestamp::<Millis48>::from_parts(9, 3).unwrap().as_u64()),
        ]
        .map(|(ticks, received)| {
            let clock = Arc::clone(&clock);
            thread::spawn(move || {
                (
                    ticks,
                    received,
                    clock.advance(ticks, received, u64::MAX).unwrap(),
                )
            })
        })
        .into_iter()
        .collect();
        let mine = clock.advance(7, 0, u64::MAX).unwrap();
        let mut given = Vec::from([mine]);
        for thread in threads {
            let (ticks, received, stamp) = thread.join().unwrap();
            assert!(stamp.as_u64() > received && stamp.ticks() >= ticks);
            given.push(stamp);
        }
        assert!(
            given.iter().all(|stamp| stamp.ticks() <= 9),
            "no tick that nobody read"
        );
        given.sort();
        given.dedup();
        assert_eq!(given.len(), 3, "no timestamp is given twice");
        assert!(given[2] >= Timestamp::from_parts(9, 4).unwrap());
        assert!(
            clock.advance(0, 0, u64::MAX).unwrap() > given[2],
            "the clock fell back"
        );
    });
}

#[test]
fn no_timestamp_passes_the_bound_while_it_rises() {
    loom::model(|| {
        let clock = hybrid::<Nanos64>(10, 11);
        let stored = Arc::new(AtomicU64::new(11));
        let (other, disk) = (Arc::clone(&clock), Arc::clone(&stored));
        let thread = thread::spawn(move || {
            for _ in 0..2 {
                match other.advance(0, 0, u64::MAX) {
                    // What a crash now would restore.
                    Ok(stamp) => assert!(stamp.as_u64() <= disk.load(Ordering::Relaxed)),
                    Err(refused) => assert_eq!(refused, Refused::AboveBound),
                }
            }
        });
        stored.store(13, Ordering::Relaxed);
        clock.raise(Timestamp::from_u64(13));
        thread.join().unwrap();
    });
}

/// The checker itself: with the two halves of the step apart, it finds the lost update.
#[test]
#[should_panic(expected = "lost update")]
fn loom_finds_a_clock_that_reads_and_writes_in_two_steps() {
    loom::model(|| {
        let word = Arc::new(AtomicU64::new(0));
        let other = Arc::clone(&word);
        let thread = thread::spawn(move || {
            let now = other.load(Ordering::Acquire);
            other.store(now + 1, Ordering::Release);
        });
        let ticked = advance(&*word, |now| Ok::<_, Infallible>(now + 1));
        thread.join().unwrap();
        assert!(ticked.is_ok());
        assert_eq!(word.load(Ordering::Acquire), 2, "lost update");
    });
}
