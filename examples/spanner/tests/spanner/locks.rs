//! Locks, wounds, and clients that are gone (sections 4.2.1; X3, X7).

use synod_spanner::{Answer, Attempt, Decision, Refused, Request, Span};

use super::world::{A, ABORTED, B, LIMITS, World, at_ms, part, txn, writer};

/// Each sees that nobody is there, and puts somebody there.
#[test]
fn of_two_that_insert_if_a_range_is_empty_one_does() {
    let mut world = World::new();
    let mut attempts = [txn(1, A), txn(2, A)].map(Attempt::new);
    for attempt in &mut attempts {
        let scan = world.scan(attempt, A, Span::between("k", "l")).unwrap();
        assert_eq!(scan.versions, []);
    }
    let [older, younger] = &mut attempts;
    older.write(A, "k1".into(), Some("older".into())).unwrap();
    younger
        .write(A, "k2".into(), Some("younger".into()))
        .unwrap();
    world.commit(younger);
    world.commit(older);
    world.pass(9);
    assert!(world.is_committed(A, older.id()));
    assert_eq!(world.outcome(A, younger.id()), ABORTED);
    assert_eq!(world.value(A, "k2"), None);
}

#[test]
fn what_was_absent_stays_absent_for_who_has_read_it() {
    let mut world = World::new();
    let mut reader = Attempt::new(txn(1, A));
    assert_eq!(world.read(&mut reader, A, "k"), Some(None));
    let other = writer(txn(2, A), &[(A, "k", "2")]);
    world.commit(&other);
    assert_eq!(world.value(A, "k"), None, "it waits");
    world.commit(&reader);
    world.pass(9);
    world.pass(9);
    assert!(world.committed(A, reader.id()) < world.committed(A, other.id()));
}

/// It is wounded, its answer is lost, and it reads on: what it has read first is not locked any more.
#[test]
fn who_was_wounded_and_did_not_hear_of_it_does_not_commit() {
    let mut world = World::new();
    let mut attempt = writer(txn(5, A), &[(A, "b", "5")]);
    world.read(&mut attempt, A, "a").unwrap();
    let older = writer(txn(1, A), &[(A, "a", "1")]);
    world.commit(&older);
    world.pass(9);
    assert_eq!(world.value(A, "a"), Some("1".into()));
    // The same reign, another arrival.
    world.ask(
        A,
        Request::Read {
            txn: attempt.id(),
            span: Span::key("c"),
        },
    );
    world.commit(&attempt);
    assert_eq!(world.outcome(A, attempt.id()), ABORTED);
}

/// The prepare record is on its way: from here on the older one waits.
#[test]
fn nobody_is_wounded_whose_record_is_proposed() {
    let mut world = World::new();
    world.parted = true;
    let younger = writer(txn(5, A), &[(A, "a", "5"), (B, "b", "5")]);
    world.held.insert(B);
    world.ask(B, Request::Prepare(part(&younger, B)));
    let mut older = Attempt::new(txn(1, B));
    assert_eq!(world.read(&mut older, B, "b"), None, "it waits");
    world.parted = false;
    world.release_log(B);
    world.commit(&younger);
    world.pass(9);
    assert!(world.is_committed(A, younger.id()));
    assert!(world.is_committed(B, younger.id()));
    assert!(matches!(
        world.answer_to(older.id()),
        Some(Answer::Read { .. })
    ));
}

/// 1 waits at A for 2, which is prepared; 2 waits at B, its coordinator, for 1. Neither shard sees a circle.
#[test]
fn a_circle_through_a_prepared_transaction_is_broken_by_its_coordinator() {
    let mut world = World::new();
    let mut older = Attempt::new(txn(1, B));
    let younger = writer(txn(2, B), &[(A, "a", "2"), (B, "b", "2")]);
    world.read(&mut older, B, "b").unwrap();
    world.commit(&younger);
    assert_eq!(
        world.read(&mut older, A, "a"),
        None,
        "it waits for the prepared one"
    );
    // Nobody falls silent meanwhile: it is the wound that ends it.
    for _ in 0..4 {
        for (shard, txn) in [(B, older.id()), (B, younger.id()), (A, older.id())] {
            world.ask(shard, Request::KeepAlive { txn });
        }
        world.pass(750);
    }
    assert_eq!(world.outcome(B, younger.id()), ABORTED);
    assert!(matches!(
        world.answer_to(older.id()),
        Some(Answer::Read { .. })
    ));
}

/// As before, but the younger one only reads at A, and so has no record there.
#[test]
fn a_reader_that_has_voted_is_wounded_through_its_coordinator_too() {
    let mut world = World::new();
    let mut older = writer(txn(1, A), &[(A, "a", "1")]);
    let mut younger = writer(txn(2, B), &[(B, "b", "2")]);
    world.read(&mut older, B, "b").unwrap();
    world.read(&mut younger, A, "a").unwrap();
    world.commit(&younger);
    world.commit(&older);
    let (one, two) = (older.id(), younger.id());
    world.ms += 750;
    for (shard, txn) in [(A, one), (B, one), (B, two)] {
        world.ask(shard, Request::KeepAlive { txn });
    }
    world.pass(1);
    assert_eq!(world.outcome(B, two), ABORTED);
}

#[test]
fn a_client_that_falls_silent_loses_its_locks_and_one_that_speaks_does_not() {
    let mut world = World::new();
    let mut attempts = [txn(1, A), txn(2, A)].map(Attempt::new);
    for (attempt, key) in attempts.iter_mut().zip(["a", "b"]) {
        world.read(attempt, A, key).unwrap();
    }
    world.pass(2000);
    assert_eq!(world.locks(A), 2);
    let txn = attempts[1].id();
    world.ask(A, Request::KeepAlive { txn });
    world.pass(2000);
    assert_eq!(world.locks(A), 1);
    let silent = Answer::Refused(Refused::Silent);
    assert_eq!(world.answer_to(attempts[0].id()), Some(&silent));
}

/// A younger one has the lock. The attempt began later than that; its age says that it was first.
#[test]
fn a_retry_keeps_its_age_and_wins() {
    let mut world = World::new();
    let mut younger = Attempt::new(txn(2, A));
    world.read(&mut younger, A, "a").unwrap();
    let retry = txn(1, A).again(at_ms(100_001), 99, A);
    world.commit(&writer(retry, &[(A, "a", "1")]));
    let wounded = Answer::Refused(Refused::Wounded);
    assert_eq!(world.answer_to(younger.id()), Some(&wounded));
    world.pass(9);
    assert!(world.is_committed(A, retry));
}

#[test]
fn what_is_beyond_a_bound_is_refused_and_nothing_happens() {
    let mut world = World::new();
    let refused = |world: &mut World, request: Request| {
        let txn = request.txn();
        world.answers.clear();
        world.ask(A, request);
        match world.answer_to(txn) {
            Some(Answer::Refused(why)) => *why,
            other => panic!("{other:?}"),
        }
    };
    let read = |txn, key: &str| Request::Read {
        txn,
        span: Span::key(key),
    };
    let elsewhere = Request::Ask { txn: txn(1, B) };
    assert_eq!(refused(&mut world, elsewhere), Refused::Malformed);
    let long = "k".repeat(synod_spanner::KEY_BYTES_MAX + 1);
    let long = read(txn(1, A), &long);
    assert_eq!(refused(&mut world, long), Refused::Malformed);
    let mut future = txn(1, A);
    future.begin = at_ms(200_000);
    assert_eq!(
        refused(&mut world, Request::Ask { txn: future }),
        Refused::Malformed
    );
    for number in 0..LIMITS.transactions_max as u64 {
        world.ask(A, read(txn(number, A), "a"));
    }
    assert_eq!(refused(&mut world, read(txn(99, A), "a")), Refused::Busy);
    assert_eq!(world.locks(A), LIMITS.transactions_max);
}

#[test]
fn what_would_be_one_lock_too_many_aborts_by_the_log() {
    let mut world = World::new();
    let mut attempt = Attempt::new(txn(1, A));
    for number in 0..=LIMITS.locks_max {
        attempt.write(A, format!("{number}").into(), None).unwrap();
    }
    world.commit(&attempt);
    let answer = world.answer_to(attempt.id());
    let full = matches!(
        answer,
        Some(Answer::Decided(Decision::Aborted, Some(Refused::Locks(_))))
    );
    assert!(full, "{answer:?}");
    assert_eq!(
        (world.outcome(A, attempt.id()), world.locks(A)),
        (ABORTED, 0)
    );
}
