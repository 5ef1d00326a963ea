//! Leases in the log, timestamps inside them, and promises about safe time (sections 4.1.2 to 4.2.4; X4, X5, X8).

use synod_replica::{Applying, StateMachine};
use synod_spanner::{Act, Outcome, Plan, Request, SafeTime, Shard, plan};
use synod_truetime::Timestamp;

use super::world::{A, B, World, at_ms, part, txn, writer};

/// A leader is killed: the next one acts at once, above the old lease, and its commit wait pays the rest.
#[test]
fn a_second_reign_assigns_above_the_first_lease_and_waits_for_its_rest() {
    let mut world = World::new();
    let end = world.state(A).lease_end();
    assert_eq!(end, at_ms(100_996), "`earliest` and the length");
    world.take_over(A);
    let attempt = writer(txn(1, A), &[(A, "a", "1")]);
    // Two leaders in one instant leave nothing in the second's lease, until it has a longer one.
    world.commit(&attempt);
    world.pass(1);
    let at = world.committed(A, attempt.id());
    assert_eq!(at, end.later(1));
    assert_eq!(world.answer_to(attempt.id()), None);
    world.pass(1000);
    assert!(world.answer_to(attempt.id()).is_some());
}

/// Readers do not pay: what the old leader may have promised is closed with its lease.
#[test]
fn a_second_reign_s_readers_do_not_wait_for_the_first_lease() {
    let mut world = World::new();
    world.take_over(A);
    let safe = SafeTime::default();
    let now = world.reading().latest();
    assert_eq!(plan(now, world.state(A), &safe), Plan::Serve);
}

/// An extension may be lost: a timestamp beyond the old end waits until the new one is applied.
#[test]
fn an_extension_counts_when_it_is_applied() {
    let mut world = World::new();
    world.held.insert(A);
    world.ms += 995;
    let attempt = writer(txn(1, A), &[(A, "a", "1")]);
    world.commit(&attempt);
    let proposed = |world: &World| {
        let pending = world.groups[&A].pending.iter();
        let acts = pending.map(|command| matches!(command.act, Act::Lease { .. }));
        acts.collect::<Vec<_>>()
    };
    assert_eq!(proposed(&world), [true], "the extension and no commit");
    let other = writer(txn(2, A), &[(A, "b", "2")]);
    world.commit(&other);
    assert_eq!(proposed(&world), [true], "once");
    world.release_log(A);
    assert_eq!(world.committed(A, attempt.id()), at_ms(100_999));
}

/// A participant too waits for a timestamp, and does not vote no.
#[test]
fn a_prepare_beyond_the_end_of_the_lease_waits_for_an_extension() {
    let mut world = World::new();
    world.held.insert(B);
    world.ms += 995;
    let attempt = writer(txn(1, A), &[(A, "a", "1"), (B, "b", "1")]);
    world.commit(&attempt);
    assert_eq!(world.said, []);
    world.release_log(B);
    assert!(world.state(B).prepared().contains_key(&attempt.id()));
    assert!(world.is_committed(A, attempt.id()));
}

/// A follower that has applied less than the leader had when it promised must not serve by it.
#[test]
fn a_promise_counts_at_a_follower_that_has_applied_its_position() {
    let mut world = World::new();
    let attempt = writer(txn(1, A), &[(A, "a", "1")]);
    world.commit(&attempt);
    world.pass(9);
    let now = world.reading();
    let promise = world
        .lead(A, |leader, now| leader.close(Timestamp::MAX, &now.time))
        .unwrap();
    let (mut follower, mut safe) = (Shard::default(), SafeTime::default());
    let log = world.groups[&A].log.clone();
    for (index, command) in (1..).zip(log) {
        safe.handle_promise(promise, follower.state());
        let served = plan(now.latest(), follower.state(), &safe);
        assert_eq!(served, Plan::Close, "before {index}");
        let place = Applying { index, offset: 0 };
        follower.apply(place, command.encode());
    }
    assert_eq!(plan(now.latest(), follower.state(), &safe), Plan::Serve);
}

/// What is in flight when the promise is made comes later, and below what would be closed.
#[test]
fn what_is_in_flight_is_not_closed() {
    let mut world = World::new();
    world.held.insert(B);
    world.parted = true;
    let attempt = writer(txn(1, A), &[(A, "a", "1"), (B, "b", "1")]);
    world.ask(B, Request::Prepare(part(&attempt, B)));
    let promise = world
        .lead(B, |leader, now| leader.close(Timestamp::MAX, &now.time))
        .unwrap();
    assert_eq!(promise.closed, at_ms(100_004).earlier(1));
}

/// And what is prepared holds readers back at its own timestamp, whatever is closed.
#[test]
fn a_prepared_transaction_holds_back_what_a_promise_would_allow() {
    let mut world = World::new();
    world.parted = true;
    let attempt = writer(txn(1, A), &[(A, "a", "1"), (B, "b", "1")]);
    world.ask(B, Request::Prepare(part(&attempt, B)));
    world.ms += 50;
    let promise = world
        .lead(B, |leader, now| leader.close(Timestamp::MAX, &now.time))
        .unwrap();
    let mut safe = SafeTime::default();
    safe.handle_promise(promise, world.state(B));
    assert_eq!(safe.at(world.state(B)), at_ms(100_004).earlier(1));
    assert_eq!(world.outcome(B, attempt.id()), Outcome::Open);
}

/// A reader that asks for the future is given the present: else the next writer would have to wait for it.
#[test]
fn a_leader_closes_at_most_its_latest() {
    let mut world = World::new();
    let promise = world
        .lead(A, |leader, now| leader.close(at_ms(100_900), &now.time))
        .unwrap();
    assert_eq!(promise.closed, at_ms(100_004));
}
