//! A leader that leaves on purpose (section 4.1.1; X4).

use synod_spanner::{Answer, Attempt, Ended, Leader, Refused, Request, Span};

use super::world::{A, B, World, at_ms, txn, writer};

fn hand_over(world: &mut World, shard: synod_spanner::ShardId) {
    world.lead(shard, Leader::hand_over);
    world.settle();
}

#[test]
fn a_successor_s_writers_do_not_wait_for_a_lease_that_was_released() {
    let mut world = World::new();
    let attempt = writer(txn(1, A), &[(A, "a", "1")]);
    world.commit(&attempt);
    hand_over(&mut world, A);
    assert_eq!(
        world.groups[&A].ended, None,
        "what it has assigned has not passed"
    );
    world.pass(9);
    assert_eq!(world.groups[&A].ended, Some(Ended::HandedOver));
    assert!(
        world.answer_to(attempt.id()).is_some(),
        "it has told what it owed"
    );
    world.take_over(A);
    let other = writer(txn(2, A), &[(A, "a", "2")]);
    world.commit(&other);
    assert_eq!(world.committed(A, other.id()), world.reading().latest());
}

#[test]
fn nothing_new_is_taken_and_what_is_not_firm_ends() {
    let mut world = World::new();
    let mut attempt = Attempt::new(txn(1, A));
    world.read(&mut attempt, A, "a").unwrap();
    let writer = writer(txn(3, A), &[(A, "x", "1")]);
    world.commit(&writer);
    hand_over(&mut world, A);
    let leaving = Answer::Refused(Refused::Leaving);
    assert_eq!(world.answer_to(attempt.id()), Some(&leaving));
    let (txn, span) = (txn(2, A), Span::key("a"));
    world.ask(A, Request::Read { txn, span });
    assert_eq!(world.answer_to(txn), Some(&leaving));
}

/// B's leader has voted for a transaction that has only read there: nobody may write what it has read below the end
/// of that lease. It leaves, and its successor must not begin earlier.
#[test]
fn a_lease_that_read_locks_were_promised_for_is_not_released() {
    let mut world = World::new();
    let mut attempt = writer(txn(1, A), &[(A, "a", "1")]);
    world.read(&mut attempt, B, "b").unwrap();
    world.parted = true;
    world.commit(&attempt);
    let promised = world.state(B).lease_end();
    hand_over(&mut world, B);
    world.pass(9);
    assert_eq!(world.groups[&B].ended, Some(Ended::HandedOver));
    world.take_over(B);
    let other = writer(txn(2, B), &[(B, "b", "2")]);
    world.commit(&other);
    world.pass(600);
    assert!(world.committed(B, other.id()) >= promised);
}

/// The same of one that is prepared: the machine itself knows of its read locks.
#[test]
fn a_lease_that_the_prepared_rest_on_is_not_released() {
    let mut world = World::new();
    let mut attempt = writer(txn(1, A), &[(A, "a", "1"), (B, "c", "1")]);
    world.read(&mut attempt, B, "b").unwrap();
    world.parted = true;
    world.commit(&attempt);
    let promised = world.state(B).lease_end();
    hand_over(&mut world, B);
    world.pass(9);
    assert_eq!(world.state(B).lease_end(), promised);
    assert!(world.reading().latest() < at_ms(100_100));
}
