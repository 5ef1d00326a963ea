//! Who hears what of a decision, and when (X6, X7).

use synod_spanner::{
    Act, Answer, Attempt, Decision, Leader, Outcome, Peer, Refused, Request, Vote,
};

use super::world::{A, ABORTED, B, LIMITS, World, at_ms, part, txn, writer};

/// The coordinator's shard has never heard of it. The client's word is still on its way.
#[test]
fn a_coordinator_that_never_knew_logs_an_abort_before_it_answers_and_the_commit_loses() {
    let mut world = World::new();
    let attempt = writer(txn(1, A), &[(A, "a", "1")]);
    let txn = attempt.id();
    world.held.insert(A);
    world.ask(A, Request::Ask { txn });
    assert_eq!(world.answer_to(txn), None, "it is not in the log");
    world.release_log(A);
    let aborted = Answer::Decided(Decision::Aborted, None);
    assert_eq!(world.answer_to(txn), Some(&aborted));
    world.commit(&attempt);
    assert_eq!(world.answer_to(txn), Some(&aborted));
    assert_eq!(
        (world.outcome(A, txn), world.value(A, "a")),
        (ABORTED, None)
    );
}

/// A deposed leader must not say "aborted" of what its successor commits.
#[test]
fn who_has_asked_to_commit_hears_no_refusal_before_the_log_has_it() {
    let mut world = World::new();
    let attempt = writer(txn(1, A), &[(A, "a", "1"), (B, "b", "1")]);
    let txn = attempt.id();
    world.parted = true;
    world.commit(&attempt);
    world.held.insert(A);
    let (from, vote) = (B, Vote::No);
    world.peer(A, Peer::Vote { txn, from, vote });
    assert_eq!(world.answers, []);
    world.release_log(A);
    let wounded = Answer::Decided(Decision::Aborted, Some(Refused::Wounded));
    assert_eq!(world.answer_to(txn), Some(&wounded));
}

/// A transaction of one shard, whose leader dies in the commit wait: the next one has no lock of it, and keeps it to
/// itself all the same.
#[test]
fn what_the_last_leader_had_not_waited_for_is_waited_for() {
    let mut world = World::new();
    let attempt = writer(txn(1, A), &[(A, "a", "1")]);
    world.commit(&attempt);
    world.take_over(A);
    let mut reader = Attempt::new(txn(2, A));
    assert_eq!(world.read(&mut reader, A, "a"), None);
    world.ask(A, Request::Ask { txn: attempt.id() });
    assert_eq!(world.answers, []);
    world.pass(9);
    assert_eq!(world.answers.len(), 2);
}

/// B's leader is deposed and does not know it; its successor has prepared.
#[test]
fn a_leader_that_does_not_know_a_transaction_never_says_that_it_is_settled() {
    let mut world = World::new();
    let (txn, decision) = (txn(1, A), Decision::Committed(at_ms(99_000)));
    world.peer(B, Peer::Outcome { txn, decision });
    assert_eq!(world.said, []);
}

/// The word "settled" is lost until B has forgotten the outcome. A must not tell for ever.
#[test]
fn a_participant_that_has_forgotten_the_outcome_is_settled() {
    let mut world = World::new();
    let attempt = writer(txn(1, A), &[(A, "a", "1"), (B, "b", "1")]);
    let txn = attempt.id();
    world.commit(&attempt);
    // B's log has the outcome, and its answer goes nowhere.
    world.held.insert(B);
    world.pass(9);
    world.parted = true;
    world.release_log(B);
    collect(&mut world, B);
    assert_eq!(world.outcome(B, txn), Outcome::Forgotten);
    world.parted = false;
    world.said.clear();
    world.pass(750);
    assert!(world.said.contains(&(A, Peer::Settled { txn, from: B })));
    world.said.clear();
    world.pass(750);
    assert_eq!(world.said, []);
}

/// A has aborted, and forgotten it; B is still prepared. Its client hears the truth, which is that nobody knows.
#[test]
fn of_what_is_forgotten_a_client_hears_that_and_who_is_prepared_is_let_go() {
    let mut world = World::new();
    let attempt = writer(txn(1, A), &[(A, "a", "1"), (B, "b", "1")]);
    let txn = attempt.id();
    world.ask(B, Request::Prepare(part(&attempt, B)));
    world.parted = true;
    world.ask(A, Request::Ask { txn });
    assert_eq!(world.outcome(A, txn), ABORTED);
    collect(&mut world, A);
    let forgotten = Answer::Refused(Refused::Forgotten);
    world.answers.clear();
    world.ask(A, Request::Ask { txn });
    assert_eq!(world.answer_to(txn), Some(&forgotten));
    world.commit(&attempt);
    assert_eq!(world.answer_to(txn), Some(&forgotten));
    assert_eq!(
        world.outcome(A, txn),
        Outcome::Forgotten,
        "it can never run"
    );
    world.parted = false;
    world.pass(3000);
    assert_eq!((world.locks(B), world.value(B, "b")), (0, None));
}

/// A commit that a participant has not heard of is told however old it is.
#[test]
fn an_outcome_is_not_forgotten_before_all_participants_have_it() {
    let mut world = World::new();
    let attempt = writer(txn(1, A), &[(A, "a", "1"), (B, "b", "1")]);
    world.commit(&attempt);
    world.parted = true;
    world.pass(9);
    collect(&mut world, A);
    world.take_over(A);
    world.parted = false;
    world.pass(750);
    assert_eq!(world.value(B, "b"), Some("1".into()));
}

/// Questions about nothing must not fill the log.
#[test]
fn as_many_outcomes_are_kept_as_may_be_and_no_more() {
    let mut world = World::new();
    for number in 0..2 * LIMITS.outcomes_max as u64 {
        let (one, other) = (txn(number, A), txn(number + 1000, A));
        world.ask(A, Request::Ask { txn: one });
        world.peer(
            A,
            Peer::Ask {
                txn: other,
                from: B,
            },
        );
    }
    assert_eq!(world.state(A).outcomes(), LIMITS.outcomes_max);
}

/// All that began before now is old.
fn collect(world: &mut World, shard: synod_spanner::ShardId) {
    let began = world.ms;
    world.ms += 61_000;
    world.lead(shard, Leader::handle_timeout);
    world.settle();
    let log = &world.groups[&shard].log;
    let collected = log
        .iter()
        .any(|command| matches!(command.act, Act::Collect { .. }));
    assert!(collected, "after {began}");
}
