//! State, slots, truncations and starts.

use synod_wal::Lsn;

use super::LogStore;
use super::rig::{Rig, Write, put, tag};
use crate::conformance::random::Random;
use crate::conformance::suite::{Suite, Unsupported};
use crate::log::Log;

type Outcome = Result<(), Unsupported>;

pub(super) fn run<S: LogStore>(suite: &mut Suite, fresh: &mut dyn FnMut() -> S) {
    let mut case = |name, promise, run: fn(&mut Rig<S>) -> Outcome| {
        suite.case(name, promise, || run(&mut Rig::new(fresh)));
    };
    case(
        "empty",
        "a group that was never written to is empty, and no error",
        empty,
    );
    case(
        "sync_of_nothing",
        "a sync with nothing to do does nothing",
        sync_of_nothing,
    );
    case("append", "what was synced is found after a restart", append);
    case(
        "sequence_numbers",
        "each append returns a greater number than the one before, of whichever group, and than `durable`",
        sequence_numbers,
    );
    case(
        "last_put_wins",
        "the last write of a slot wins",
        last_put_wins,
    );
    case(
        "gaps",
        "slots come in any order and with gaps, and gaps stay",
        gaps,
    );
    case(
        "extremes",
        "an empty body, the greatest index and any tag are valid",
        extremes,
    );
    case(
        "longest_record",
        "a record of `record_bytes_max` is accepted, with 1,024 bytes of that for what is not a body",
        longest_record,
    );
    case(
        "truncation",
        "slots at and above a truncation are forgotten for good",
        truncation,
    );
    case(
        "start",
        "slots at and below a start are forgotten, and its tag is remembered",
        start,
    );
    case(
        "state",
        "the last state is kept, whatever happens to slots",
        state,
    );
    case(
        "order_in_a_record",
        "the operations of a record take effect in order",
        order_in_a_record,
    );
    case(
        "groups",
        "groups share a log and a sync, and nothing else",
        groups,
    );
    case("lives", "what was synced survives every restart", lives);
}

fn empty<S: LogStore>(rig: &mut Rig<S>) -> Outcome {
    assert!(rig.log().has_room(), "a fresh store has room");
    rig.model.entry(1).or_default();
    rig.check("in a fresh store");
    let snapshot = rig
        .log()
        .recover(synod_wal::GroupId(1))
        .map(|found| found.snapshot);
    assert!(
        matches!(snapshot, Ok(None)),
        "there is no snapshot: {snapshot:?}"
    );
    rig.reopen();
    rig.check("after a restart without a write");
    Ok(())
}

fn append<S: LogStore>(rig: &mut Rig<S>) -> Outcome {
    rig.append(1, &[Write::State(tag(1)), put(1, 0, 100), put(2, 0, 40)]);
    rig.check_synced("after a first record");
    let before = rig.log().stats();
    rig.append(1, &[put(3, 0, 700)]);
    rig.sync();
    let after = rig.log().stats();
    assert!(after.syncs > before.syncs, "a sync is counted: {after:?}");
    assert!(
        after.bytes_written >= before.bytes_written + 700,
        "bytes are counted: {after:?}"
    );
    rig.check_synced("after a second incarnation has written");
    Ok(())
}

fn sequence_numbers<S: LogStore>(rig: &mut Rig<S>) -> Outcome {
    for round in 1..20 {
        for group in 0..3 {
            // The rig asserts the promise.
            rig.append(group, &[put(round, group, 20)]);
        }
        if round % 3 == 0 {
            rig.sync();
        }
    }
    let last = rig.append(9, &[Write::State(tag(9))]);
    rig.sync();
    let durable = rig.look();
    assert!(
        durable >= last,
        "{durable:?} is durable after a sync, not {last:?}"
    );
    assert!(last > Lsn(0), "0 means that nothing is durable");
    Ok(())
}

fn sync_of_nothing<S: LogStore>(rig: &mut Rig<S>) -> Outcome {
    rig.sync();
    rig.append(1, &[put(1, 0, 50)]);
    rig.sync();
    let durable = rig.look();
    rig.sync();
    rig.sync();
    assert_eq!(rig.look(), durable, "nothing was appended since");
    rig.check_synced("after syncs of nothing");
    Ok(())
}

fn last_put_wins<S: LogStore>(rig: &mut Rig<S>) -> Outcome {
    rig.append(1, &[put(1, 0, 60), put(2, 0, 60), put(1, 1, 10)]);
    rig.append(1, &[put(2, 1, 300)]);
    rig.check_synced("written twice in a record, and in two");
    rig.append(1, &[put(1, 2, 5), put(2, 2, 61)]);
    rig.check_synced("written again in another incarnation");
    Ok(())
}

fn gaps<S: LogStore>(rig: &mut Rig<S>) -> Outcome {
    rig.append(1, &[put(9, 0, 30), put(3, 0, 30)]);
    rig.append(1, &[put(1_000_000, 0, 30)]);
    rig.append(1, &[put(5, 0, 30), put(1, 0, 30)]);
    rig.check_synced("slots 9, 3, 1,000,000, 5 and 1");
    rig.append(1, &[put(4, 0, 30)]);
    rig.check_synced("a gap is filled");
    Ok(())
}

fn extremes<S: LogStore>(rig: &mut Rig<S>) -> Outcome {
    let huge = u64::MAX - 1;
    let (zeros, ones) = (synod_wal::Tag([0; 32]), synod_wal::Tag([0xff; 32]));
    rig.append(1, &[put(1, 0, 0), put(huge, 0, 20)]);
    rig.append(
        u64::MAX,
        &[
            Write::State(zeros),
            Write::Put(1, ones, vec![0; 300].into()),
        ],
    );
    rig.append(
        0,
        &[
            Write::State(ones),
            Write::Put(1, zeros, vec![0xff; 300].into()),
        ],
    );
    rig.append(2, &[]);
    rig.check_synced("extremes");
    Ok(())
}

fn longest_record<S: LogStore>(rig: &mut Rig<S>) -> Outcome {
    let body = rig
        .log()
        .record_bytes_max()
        .saturating_sub(1024)
        .min(16 << 20);
    for index in 1..4 {
        rig.append(1, &[Write::State(tag(index)), put(index, 0, body)]);
        rig.check_synced("a record as long as may be");
    }
    Ok(())
}

fn truncation<S: LogStore>(rig: &mut Rig<S>) -> Outcome {
    let first: Vec<Write> = (1..11).map(|index| put(index, 0, 50)).collect();
    rig.append_all(1, &first);
    rig.sync();
    rig.append(1, &[Write::Truncate(6)]);
    rig.check_synced("slots 1 to 10, truncated from 6");
    rig.append(1, &[put(6, 1, 40)]);
    rig.check_synced("slot 6 written again, after which nothing may come back");
    rig.append(1, &[Write::Truncate(3), put(3, 2, 30), put(4, 2, 30)]);
    rig.append(1, &[Write::Truncate(4)]);
    rig.check_synced("truncated twice before a sync");
    rig.append(1, &[Write::Truncate(50)]);
    rig.check_synced("truncated after the end");
    rig.append(1, &[Write::Truncate(0)]);
    rig.check_synced("truncated wholly");
    rig.append(1, &[put(1, 3, 20)]);
    rig.check_synced("begun anew");
    Ok(())
}

fn order_in_a_record<S: LogStore>(rig: &mut Rig<S>) -> Outcome {
    rig.append(1, &[put(7, 0, 20), Write::Truncate(5), put(6, 0, 20)]);
    rig.append(
        2,
        &[
            put(1, 0, 20),
            put(2, 0, 20),
            Write::Start(1, tag(1)),
            put(1, 1, 20),
        ],
    );
    rig.append(
        3,
        &[
            Write::State(tag(1)),
            Write::State(tag(2)),
            put(4, 0, 9),
            put(4, 1, 8),
        ],
    );
    rig.append(
        4,
        &[
            put(3, 0, 20),
            Write::Truncate(1),
            Write::Start(9, tag(9)),
            put(10, 0, 20),
        ],
    );
    rig.check_synced("records of several operations");
    Ok(())
}

fn start<S: LogStore>(rig: &mut Rig<S>) -> Outcome {
    let slots: Vec<Write> = (1..11).map(|index| put(index, 0, 50)).collect();
    rig.append_all(1, &slots);
    rig.append(1, &[Write::Start(4, tag(4))]);
    rig.check_synced("slots 1 to 10, cut up to 4");
    rig.append(1, &[put(3, 1, 20), put(4, 1, 20), put(5, 1, 20)]);
    rig.check_synced("slots at and below the start are forgotten at once");
    rig.append(1, &[Write::Truncate(2)]);
    rig.check_synced("a truncation below the start leaves the start");
    rig.append(1, &[put(5, 2, 20), put(6, 2, 20)]);
    rig.append(1, &[Write::Truncate(5), Write::Start(100, tag(100))]);
    rig.check_synced("a start far after the end, as after an installed snapshot");
    rig.append(1, &[put(101, 0, 20)]);
    rig.check_synced("the log continues after it");
    Ok(())
}

fn state<S: LogStore>(rig: &mut Rig<S>) -> Outcome {
    for round in 0..5 {
        rig.append(1, &[Write::State(tag(round))]);
        rig.append(1, &[put(round + 1, 0, 30)]);
        rig.check_synced("a state, and a slot after it");
    }
    rig.append(1, &[Write::Truncate(1)]);
    rig.append(1, &[Write::Start(50, tag(50))]);
    rig.check_synced("a state under a truncation and a start");
    Ok(())
}

fn groups<S: LogStore>(rig: &mut Rig<S>) -> Outcome {
    for group in [0, 1, 2, 300, u64::MAX] {
        let slots: Vec<Write> = (1..8).map(|index| put(index, group, 40)).collect();
        rig.append(group, &[Write::State(tag(group))]);
        rig.append_all(group, &slots);
    }
    rig.append(1, &[Write::Truncate(3)]);
    rig.append(2, &[Write::Start(5, tag(5))]);
    rig.append(300, &[Write::State(tag(1)), put(3, 7, 10)]);
    rig.check_synced("five groups, of which some were cut");
    Ok(())
}

fn lives<S: LogStore>(rig: &mut Rig<S>) -> Outcome {
    let mut random = Random(1);
    for _ in 0..25 {
        for _ in 0..1 + random.below(12) {
            let (group, writes) = draw(&mut random, rig);
            rig.append(group, &writes);
            if random.below(4) == 0 {
                rig.sync();
            }
        }
        rig.check_synced("in a random history");
    }
    Ok(())
}

/// A record as a consensus core might write it, and some that none would.
pub(super) fn draw<S: LogStore>(random: &mut Random, rig: &Rig<S>) -> (u64, Vec<Write>) {
    let group = random.below(4);
    let start = rig.model.get(&group).map_or(0, |held| held.start.0);
    let mut writes = Vec::new();
    match random.below(8) {
        0 => writes.push(Write::State(tag(random.next()))),
        1 => writes.push(Write::Truncate(start + 1 + random.below(12))),
        2 => {
            let after = start + random.below(5);
            writes.push(Write::Start(after, tag(after)));
        }
        _ => {}
    }
    for _ in 0..random.below(4) {
        let len = random.below(400) as usize;
        writes.push(put(start + 1 + random.below(12), random.next(), len));
    }
    (group, writes)
}
