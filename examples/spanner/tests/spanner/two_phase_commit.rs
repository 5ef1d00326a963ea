//! Two-phase commit while leaders die (section 4.2.1; X2, X6, X7).

use synod_spanner::{Answer, Attempt, Decision, Peer, Refused, Request, Span, Vote};

use super::world::{A, ABORTED, B, LIMITS, World, at_ms, part, txn, writer};

/// Both keys read and written; not yet committed.
fn transfer(world: &mut World, number: u64) -> Attempt {
    let mut attempt = Attempt::new(txn(number, A));
    for (shard, key) in [(A, "a"), (B, "b")] {
        world.read(&mut attempt, shard, key).unwrap();
        attempt
            .write(shard, key.into(), Some("new".into()))
            .unwrap();
    }
    attempt
}

#[test]
fn a_transfer_is_seen_nowhere_before_its_wait_is_over_and_then_on_both_shards() {
    let mut world = World::new();
    let attempt = transfer(&mut world, 1);
    world.commit(&attempt);
    let nothing = (world.answers.len(), world.value(B, "b"));
    assert_eq!(
        nothing,
        (0, None),
        "the record is in the log, and nobody hears of it"
    );
    world.pass(8);
    assert!(world.answers.is_empty(), "reached is not passed");
    world.pass(1);
    let Some(Answer::Decided(Decision::Committed(at), None)) = world.answer_to(attempt.id()) else {
        panic!("{:?}", world.answers)
    };
    assert_eq!(*at, at_ms(100_004), "`latest` where it was asked to commit");
    let both = [A, B].map(|shard| world.committed(shard, attempt.id()));
    assert_eq!(both, [at_ms(100_004); 2]);
    assert_eq!(world.value(B, "b"), Some("new".into()));
    assert_eq!([A, B].map(|shard| world.locks(shard)), [0, 0]);
    world.take_over(A);
    world.said.clear();
    world.pass(100);
    assert!(world.said.is_empty(), "settled: no successor has to tell");
}

#[test]
fn a_coordinator_that_dies_before_its_record_has_aborted() {
    let mut world = World::new();
    let attempt = transfer(&mut world, 1);
    world.parted = true;
    world.commit(&attempt);
    assert!(world.state(B).prepared().contains_key(&attempt.id()));
    world.take_over(A);
    world.parted = false;
    world.pass(3000);
    world.pass(3000);
    assert_eq!(
        [A, B].map(|shard| world.outcome(shard, attempt.id())),
        [ABORTED; 2]
    );
    assert_eq!(world.locks(B), 0);
}

#[test]
fn a_coordinator_that_dies_in_its_wait_is_succeeded_by_one_that_waits_and_tells() {
    let mut world = World::new();
    let attempt = transfer(&mut world, 1);
    world.commit(&attempt);
    world.take_over(A);
    world.settle();
    // A participant that asks hears nothing either, or it would let its locks go.
    world.peer(
        A,
        Peer::Ask {
            txn: attempt.id(),
            from: B,
        },
    );
    assert_eq!(world.value(B, "b"), None);
    world.pass(9);
    assert_eq!(world.value(B, "b"), Some("new".into()));
}

/// A participant that has only read is in no record; it asks the successor, and must not let its lock go for a writer
/// with an earlier timestamp.
#[test]
fn a_successor_tells_nobody_of_a_commit_that_has_not_passed() {
    let mut world = World::new();
    let mut attempt = writer(txn(1, A), &[(A, "a", "1")]);
    world.read(&mut attempt, B, "b").unwrap();
    world.commit(&attempt);
    world.take_over(A);
    let (txn, from) = (attempt.id(), B);
    world.peer(A, Peer::Ask { txn, from });
    assert_eq!(world.locks(B), 1, "it knows nothing");
    world.pass(9);
    world.peer(A, Peer::Ask { txn, from });
    assert_eq!(world.locks(B), 0);
}

#[test]
fn a_participant_s_successor_keeps_the_locks_and_votes_again() {
    let mut world = World::new();
    let attempt = transfer(&mut world, 1);
    world.parted = true;
    world.commit(&attempt);
    world.take_over(B);
    assert_eq!(world.locks(B), 1, "of what it writes, and no more");
    world.parted = false;
    world.pass(9);
    world.pass(9);
    assert!(world.is_committed(B, attempt.id()));
}

/// Transaction 1 reads at B and writes at A; B's leader changes, and 2 overwrites what 1 has read. Without the reign
/// in the request both would commit, each having missed the other's write.
#[test]
fn read_locks_die_with_the_reign() {
    let mut world = World::new();
    let mut attempt = writer(txn(1, A), &[(A, "a", "1")]);
    world.read(&mut attempt, B, "b").unwrap();
    world.take_over(B);
    let mut other = writer(txn(2, B), &[(B, "b", "2")]);
    world.read(&mut other, B, "b").unwrap();
    world.commit(&other);
    world.commit(&attempt);
    let aborted = Answer::Decided(Decision::Aborted, Some(Refused::Wounded));
    assert_eq!(world.answers, vec![(attempt.id(), aborted)]);
    assert_eq!(world.outcome(A, attempt.id()), ABORTED);
}

/// As before, but a later leader has granted it something too, as its first: only the reign tells the two holds apart.
#[test]
fn a_prepare_after_a_leader_change_does_not_keep_old_read_locks() {
    let mut world = World::new();
    let mut attempt = writer(txn(1, A), &[(A, "a", "1"), (B, "c", "1")]);
    world.read(&mut attempt, B, "b").unwrap();
    world.take_over(B);
    world.commit(&writer(txn(2, B), &[(B, "b", "2")]));
    world.take_over(B);
    // A read that was on its way all the time.
    let (txn, span) = (attempt.id(), Span::key("c"));
    world.ask(B, Request::Read { txn, span });
    world.commit(&attempt);
    assert_eq!(world.outcome(A, txn), ABORTED);
}

/// A read-only participant logs nothing. Its lock is lost with its leader after the vote; but whatever the next one
/// lets through is later than the lease, and the transaction is earlier.
#[test]
fn a_voted_read_lock_stands_by_the_lease_when_its_leader_is_gone() {
    let mut world = World::new();
    let mut attempt = writer(txn(1, A), &[(A, "a", "1")]);
    world.read(&mut attempt, B, "b").unwrap();
    world.commit(&attempt);
    assert!(world.state(B).prepared().is_empty());
    world.ms += 100;
    world.take_over(B);
    let other = writer(txn(2, B), &[(B, "b", "2")]);
    world.commit(&other);
    let (one, two) = (
        world.committed(A, attempt.id()),
        world.committed(B, other.id()),
    );
    assert!(one < two, "in the order in which they read and wrote");
}

/// The coordinator hears of the vote when the lease that it rests on is over.
#[test]
fn a_commit_at_or_above_the_promised_end_is_aborted() {
    let mut world = World::new();
    let mut attempt = writer(txn(1, A), &[(A, "a", "1")]);
    world.read(&mut attempt, B, "b").unwrap();
    world.parted = true;
    world.commit(&attempt);
    world.ms += 995;
    world.parted = false;
    let (prepared, before) = (None, Some(at_ms(100_996)));
    let (txn, from, vote) = (attempt.id(), B, Vote::Yes { prepared, before });
    world.peer(A, Peer::Vote { txn, from, vote });
    assert_eq!(world.outcome(A, txn), ABORTED);
}

/// What a vote promises was true in one lease. A leader that finds the prepare record two leases later must not promise
/// more: in the lease between them others wrote what was read.
#[test]
fn a_vote_after_two_successions_promises_no_more_than_the_first() {
    let mut world = World::new();
    let mut attempt = writer(txn(1, A), &[(B, "c", "1"), (A, "a", "1")]);
    world.read(&mut attempt, B, "b").unwrap();
    world.parted = true;
    world.commit(&attempt);
    world.ms += 500;
    world.take_over(B);
    let other = writer(txn(2, B), &[(B, "b", "2")]);
    world.commit(&other);
    world.ms += 600;
    world.take_over(B);
    world.parted = false;
    world.pass(1);
    assert!(world.is_committed(B, other.id()));
    assert_eq!(world.outcome(A, attempt.id()), ABORTED);
}

/// The participant's clock runs ahead of the coordinator's, within bounds.
#[test]
fn the_commit_is_at_or_above_each_prepare() {
    let mut world = World::new();
    let attempt = writer(txn(1, A), &[(A, "a", "1"), (B, "b", "1")]);
    world.ms += 6;
    world.ask(B, Request::Prepare(part(&attempt, B)));
    world.ms -= 6;
    world.commit(&attempt);
    assert_eq!(world.committed(A, attempt.id()), at_ms(100_010));
}

#[test]
fn every_shard_that_was_read_takes_part() {
    let mut world = World::new();
    let mut attempt = writer(txn(1, A), &[(A, "a", "1")]);
    world.read(&mut attempt, B, "b").unwrap();
    let mut other = writer(txn(0, B), &[(B, "b", "2")]);
    world.read(&mut other, A, "a").unwrap();
    world.commit(&other);
    world.commit(&attempt);
    world.pass(9);
    // Each has read what the other writes.
    assert!(world.is_committed(B, other.id()));
    assert_eq!(world.outcome(A, attempt.id()), ABORTED);
}

/// The participant has heard of nothing; then the coordinator's word comes, and then, late, the client's.
#[test]
fn a_prepare_that_comes_again_after_the_outcome_prepares_nothing() {
    let mut world = World::new();
    let attempt = writer(txn(1, A), &[(A, "a", "1"), (B, "b", "1")]);
    world.commit(&attempt);
    world.pass(9);
    assert!(world.is_committed(B, attempt.id()));
    world.ask(B, Request::Prepare(part(&attempt, B)));
    assert_eq!((world.state(B).prepared().len(), world.locks(B)), (0, 0));
}

#[test]
fn no_more_are_prepared_than_may_be() {
    let mut world = World::new();
    world.parted = true;
    let max = LIMITS.prepared_max as u64;
    for number in 0..=max {
        let mut attempt = Attempt::new(txn(number, A));
        attempt.write(B, format!("{number}").into(), None).unwrap();
        world.ask(B, Request::Prepare(part(&attempt, B)));
    }
    let (txn, from, vote) = (txn(max, A), B, Vote::No);
    assert_eq!(
        world.said.last(),
        Some(&(A, Peer::Vote { txn, from, vote }))
    );
    assert_eq!(world.state(B).prepared().len(), LIMITS.prepared_max);
    assert_eq!(world.locks(B), LIMITS.prepared_max);
}
