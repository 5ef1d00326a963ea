use synod_truetime::Floor;

use super::*;
use crate::safe_time::SafeTime;
use crate::store::Collected;

fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

fn txn(number: u64) -> TxnId {
    TxnId::first(at(1), 1, number, ShardId(1))
}

fn writes(value: &'static str) -> Writes {
    let mut writes = Writes::default();
    writes.put("k".into(), Some(value.into())).unwrap();
    writes
}

#[derive(Default)]
struct Log {
    shard: Shard,
    index: u64,
    numbers: BTreeMap<u64, u64>,
}

impl Log {
    /// Reign 1, timestamps from above 0 to below 100.
    fn begun() -> Self {
        let mut log = Self::default();
        log.take_over(1, 100);
        log
    }

    fn take_over(&mut self, reign: u64, end: i64) -> Reply {
        let act = Act::TakeOver { lease_end: at(end) };
        self.put(reign, 0, act)
    }

    /// The reign's next command.
    fn apply(&mut self, reign: u64, act: Act) -> Reply {
        let number = self.numbers.entry(reign).or_default();
        *number += 1;
        let number = *number;
        self.put(reign, number, act)
    }

    fn put(&mut self, reign: u64, number: u64, act: Act) -> Reply {
        self.index += 1;
        let floor = Floor {
            earliest: at(0),
            said_by: 1,
        };
        let reign = Reign(reign);
        let command = Command {
            reign,
            number,
            floor,
            act,
        };
        let at = Applying {
            index: self.index,
            offset: 0,
        };
        self.shard.apply(at, command.encode()).reply
    }

    fn commit(&mut self, reign: u64, number: u64, time: i64) -> Reply {
        self.apply(reign, commit(number, time, vec![]))
    }

    fn prepare(&mut self, reign: u64, number: u64, time: i64) -> Reply {
        let act = Act::Prepare {
            txn: txn(number),
            at: at(time),
            has_read: true,
            writes: writes("p"),
        };
        self.apply(reign, act)
    }

    fn state(&self) -> &State {
        self.shard.state()
    }
}

fn commit(number: u64, time: i64, participants: Vec<ShardId>) -> Act {
    Act::Commit {
        txn: txn(number),
        at: at(time),
        participants,
        writes: writes("v"),
    }
}

fn finish(number: u64, decision: Decision) -> Act {
    let txn = txn(number);
    Act::Finish { txn, decision }
}

fn committed(time: i64) -> Decision {
    Decision::Committed(at(time))
}

/// Multi-Paxos: leader 1's command is chosen behind what leader 2 has written, by a third that found both. Without
/// the fence a follower that served a read at 99 would see 50 appear below it.
#[test]
fn a_command_of_an_earlier_reign_behind_a_later_one_is_dropped() {
    let mut log = Log::begun();
    assert!(matches!(log.take_over(2, 200), Reply::TookOver(_)));
    assert_eq!(log.state().safe(), at(100));
    assert_eq!(log.commit(1, 1, 50), Reply::Deposed(Reign(2)));
    let lease = Act::Lease {
        end: at(300),
        closed: at(0),
    };
    assert_eq!(log.apply(1, lease), Reply::Deposed(Reign(2)));
    assert_eq!(log.commit(2, 2, 100), Reply::Refused);
    assert_eq!(log.commit(2, 2, 101), Reply::Decided(committed(101)));
}

#[test]
fn of_two_that_take_over_at_once_one_reigns() {
    let mut log = Log::begun();
    assert!(matches!(log.take_over(2, 200), Reply::TookOver(_)));
    assert_eq!(log.take_over(2, 900), Reply::Deposed(Reign(2)));
    assert_eq!(log.take_over(4, 900), Reply::Deposed(Reign(2)));
    assert_eq!(log.state().lease_end, at(200));
}

/// Paxos may lose a leader's command and choose its next: what was proposed behind the lost one was built on it.
#[test]
fn nothing_of_a_reign_takes_effect_behind_a_gap() {
    let mut log = Log::begun();
    assert_eq!(log.put(1, 2, commit(1, 50, vec![])), Reply::OutOfOrder);
    assert_eq!(
        log.put(1, 1, commit(2, 40, vec![])),
        Reply::Decided(committed(40))
    );
    assert_eq!(
        log.put(1, 1, commit(3, 60, vec![])),
        Reply::OutOfOrder,
        "twice"
    );
    assert!(matches!(log.take_over(2, 200), Reply::TookOver(_)));
}

/// The outcome at 20 stands in the log behind a commit at 60: order in the log is not order of time for
/// outcomes, and the prepare record is what keeps readers away meanwhile.
#[test]
fn a_prepared_transaction_holds_the_safe_time_down() {
    let mut log = Log::begun();
    assert_eq!(log.prepare(1, 1, 10), Reply::Done);
    log.commit(1, 2, 60);
    assert_eq!(log.state().safe(), at(9));
    let outcome = log.apply(1, finish(1, committed(20)));
    assert_eq!(outcome, Reply::Decided(committed(20)));
    assert_eq!(log.state().safe(), at(60), "an outcome is not a promise");
    let again = log.prepare(1, 1, 70);
    assert_eq!(again, Reply::Decided(committed(20)), "it prepares nothing");
    let seen = log.state().store().get(b"k", at(30)).unwrap().unwrap();
    assert_eq!(seen.written, at(20));
}

#[test]
fn an_outcome_of_what_is_not_prepared_is_refused_and_the_first_stands() {
    let mut log = Log::begun();
    assert_eq!(log.apply(1, finish(9, committed(20))), Reply::Refused);
    log.prepare(1, 1, 10);
    assert_eq!(
        log.apply(1, finish(1, committed(9))),
        Reply::Refused,
        "below the prepare"
    );
    log.apply(1, finish(1, Decision::Aborted));
    let late = log.apply(1, finish(1, committed(20)));
    assert_eq!(late, Reply::Decided(Decision::Aborted));
    assert_eq!(log.state().store().get(b"k", at(99)), Ok(None));
}

/// Each aborts before the commit comes, the commit comes before the abort, and an old commit stays known until all
/// participants have it.
#[test]
fn the_first_decision_stands_and_an_unsettled_commit_outlives_its_time() {
    let mut log = Log::begun();
    let abort = |number| Act::Abort { txn: txn(number) };
    assert_eq!(log.apply(1, abort(1)), Reply::Decided(Decision::Aborted));
    assert_eq!(log.commit(1, 1, 50), Reply::Decided(Decision::Aborted));
    let unsettled = vec![ShardId(2)];
    log.apply(1, commit(2, 60, unsettled.clone()));
    let collect = |outcomes| Act::Collect {
        versions: at(0),
        outcomes: at(outcomes),
    };
    log.apply(1, collect(40));
    let known = |log: &Log, number| log.state().outcome(txn(number));
    assert_eq!(known(&log, 1), Outcome::Forgotten);
    assert_eq!(known(&log, 2), Outcome::Decided(committed(60)));
    assert_eq!(log.apply(1, abort(2)), Reply::Decided(committed(60)));
    let Reply::TookOver(standing) = log.take_over(2, 200) else {
        panic!()
    };
    assert_eq!(standing.unsettled, vec![(txn(2), at(60), unsettled)]);
    log.apply(2, Act::Settled { txn: txn(2) });
    log.apply(2, collect(41));
    assert_eq!(known(&log, 2), Outcome::Forgotten);
    assert_eq!(log.commit(2, 2, 150), Reply::Forgotten, "it can never run");
    assert_eq!(
        log.apply(2, abort(2)),
        Reply::Forgotten,
        "and is not called aborted"
    );
    assert_eq!(log.prepare(2, 2, 150), Reply::Forgotten);
}

#[test]
fn a_retry_of_old_age_is_not_forgotten() {
    let mut log = Log::begun();
    let outcomes = at(40);
    log.apply(
        1,
        Act::Collect {
            versions: at(0),
            outcomes,
        },
    );
    let retry = txn(1).again(at(41), 2, ShardId(1));
    assert_eq!(log.state().outcome(retry), Outcome::Open);
}

#[test]
fn a_lease_is_not_released_below_what_was_promised() {
    let mut log = Log::begun();
    log.commit(1, 1, 50);
    log.apply(1, Act::Release { closed: at(20) });
    assert_eq!(
        log.commit(1, 2, 55),
        Reply::Deposed(Reign(1)),
        "nothing follows"
    );
    let Reply::TookOver(standing) = log.take_over(2, 60) else {
        panic!()
    };
    assert_eq!((standing.floor, standing.lease_end), (at(51), at(60)));
    // A read lock of somebody prepared was promised up to 60.
    log.prepare(2, 3, 55);
    log.apply(2, Act::Release { closed: at(55) });
    let Reply::TookOver(standing) = log.take_over(3, 90) else {
        panic!()
    };
    assert_eq!(standing.floor, at(60));
}

#[test]
fn nobody_writes_below_the_horizon() {
    let mut log = Log::begun();
    log.commit(1, 1, 10);
    log.prepare(1, 2, 30);
    let all = Act::Collect {
        versions: at(90),
        outcomes: at(0),
    };
    log.apply(1, all);
    let horizon = log.state().store().horizon();
    assert_eq!(horizon, at(29), "the prepared one may come at 30");
    let below = log.state().store().get(b"k", at(28));
    assert_eq!(below, Err(Collected { horizon }));
}

/// One of each thing that the state has, so that whatever a snapshot forgets is missed.
fn full() -> Log {
    let mut log = Log::begun();
    for number in 1..400 {
        let mut writes = Writes::default();
        writes
            .put(format!("{number:03}").into(), Some("v".into()))
            .unwrap();
        writes.put("gone".into(), None).unwrap();
        let (txn, time) = (txn(number), at(number.cast_signed()));
        log.apply(
            1,
            Act::Lease {
                end: at(number.cast_signed() + 200),
                closed: at(0),
            },
        );
        let act = Act::Commit {
            txn,
            at: time,
            participants: vec![ShardId(2), ShardId(5)],
            writes,
        };
        log.apply(1, act);
    }
    log.apply(1, Act::Settled { txn: txn(7) });
    log.prepare(1, 1000, 450);
    log.apply(
        1,
        Act::Lease {
            end: at(700),
            closed: at(500),
        },
    );
    log.commit(1, 1001, 510);
    log.apply(
        1,
        Act::Lease {
            end: at(800),
            closed: at(600),
        },
    );
    log.apply(
        1,
        Act::Collect {
            versions: at(300),
            outcomes: at(1),
        },
    );
    log.commit(1, 1002, 610);
    log
}

#[test]
fn a_snapshot_forgets_nothing() {
    let log = full();
    let mut bytes = Vec::new();
    Shard::write(log.shard.freeze(), &mut bytes).unwrap();
    let mut other = Shard::default();
    other.restore(&mut &bytes[..]).unwrap();
    let (one, two) = (log.state(), other.state());
    let versions = |state: &State| {
        let (horizon, sweeping, blocks) = state.store.parts();
        let rows: Vec<_> = blocks.iter().flatten().cloned().collect();
        (horizon, sweeping.cloned(), rows)
    };
    assert!(versions(one).1.is_some(), "in the middle of a collection");
    assert_eq!(versions(one), versions(two));
    assert_eq!(one.reign, two.reign);
    assert_eq!((one.next, one.applied), (two.next, two.applied));
    assert_eq!(one.lease_end, two.lease_end);
    assert_eq!((one.assigned, one.closed), (two.assigned, two.closed));
    assert_eq!(one.prepared, two.prepared);
    assert!(one.outcomes.iter().eq(two.outcomes.iter()));
    assert!(one.outcomes.unsettled().eq(two.outcomes.unsettled()));
    assert_eq!(one.outcomes.from(), two.outcomes.from());
    assert_eq!(SafeTime::default().at(two), at(449));
    let mut again = Vec::new();
    Shard::write(other.freeze(), &mut again).unwrap();
    assert_eq!(bytes, again);
}

#[test]
fn a_released_lease_is_released_in_a_snapshot_too() {
    let mut log = Log::begun();
    log.apply(1, Act::Release { closed: at(20) });
    let mut bytes = Vec::new();
    Shard::write(log.shard.freeze(), &mut bytes).unwrap();
    let mut other = Log::default();
    other.shard.restore(&mut &bytes[..]).unwrap();
    assert_eq!(
        other.put(1, 2, commit(1, 30, vec![])),
        Reply::Deposed(Reign(1))
    );
}

#[test]
fn a_broken_snapshot_is_refused_and_changes_nothing() {
    let mut bytes = Vec::new();
    Shard::write(full().shard.freeze(), &mut bytes).unwrap();
    let mut log = Log::begun();
    for cut in (0..bytes.len()).step_by(97) {
        assert!(
            log.shard.restore(&mut &bytes[..cut]).is_err(),
            "cut at {cut}"
        );
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(log.shard.restore(&mut &longer[..]).is_err());
    let mut endless = bytes.clone();
    endless[..4].copy_from_slice(&u32::MAX.to_be_bytes());
    assert!(log.shard.restore(&mut &endless[..]).is_err());
    assert_eq!(log.state().lease_end, at(100));
}

#[test]
fn bytes_that_are_no_command_are_answered() {
    let mut log = Log::begun();
    let place = Applying {
        index: 2,
        offset: 0,
    };
    let applied = log.shard.apply(place, Bytes::from_static(b"?"));
    assert_eq!((applied.reply, applied.floor), (Reply::Refused, None));
    assert_eq!(log.state().applied(), 2);
}
