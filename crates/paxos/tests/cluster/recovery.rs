//! The storage contents and configurations with which a node may be started.

use std::time::Duration;

use bytes::Bytes;
use synod_paxos::{
    Ballot, Binding, Config, ConfigError, Configuration, Configurations, Instant, Kind, Membership,
    Message, NodeId, Op, Output, Paxos, Position, QuorumError, Quorums, RecoverError, Recovered,
    Slot, Snapshot, State, Value, Vote,
};

fn ballot(round: u64) -> Ballot {
    let node = NodeId(2);
    Ballot { round, node }
}

fn at(round: u64, slot: u64) -> Position {
    Position {
        slot: Slot(slot),
        origin: ballot(round),
    }
}

fn vote(slot: u64, round: u64, origin: u64) -> Vote {
    Vote {
        slot: Slot(slot),
        ballot: ballot(round),
        value: Value {
            kind: Kind::Command,
            origin: ballot(origin),
            body: Bytes::from_static(b"x"),
        },
    }
}

fn quorums() -> Quorums {
    Quorums::majority([1, 2, 3].map(NodeId)).unwrap()
}

fn snapshot(round: u64, slot: u64) -> Snapshot {
    let quorums = quorums();
    Snapshot {
        last: at(round, slot),
        configurations: Configurations::first(Configuration::first(Membership::of(quorums))),
    }
}

fn state(round: u64, chosen: u64) -> Option<State> {
    Some(State {
        promised: ballot(round),
        chosen: Slot(chosen),
    })
}

fn recover(
    state: Option<State>,
    start: Position,
    snapshot: Option<Snapshot>,
    votes: &[Vote],
) -> Result<Paxos, RecoverError<()>> {
    let votes = votes.iter().cloned().map(Ok);
    let recovered = Recovered {
        state,
        start,
        snapshot,
        votes,
    };
    Paxos::new(Config::new(NodeId(1), quorums()), recovered, Instant::ZERO)
}

/// N4: a pulled snapshot was offered in a ballot that could be promised.
#[test]
fn n4_a_stored_snapshot_does_not_leap() {
    let start = |round| recover(state(2, 0), Position::ZERO, Some(snapshot(round, 4)), &[]);
    let reach = 2 + Ballot::LEAP_MAX;
    assert!(start(reach).is_ok());
    let error = start(reach + 1).unwrap_err();
    assert_eq!(error, RecoverError::BallotOutOfRange);
}

/// N4: using up all rounds takes this many writes, one after the other.
#[test]
fn n4_to_climb_to_the_end_takes_2_32_writes() {
    let steps = Ballot::ROUND_MAX.div_ceil(Ballot::LEAP_MAX);
    assert!(steps >= 1 << 32, "{steps}");
}

/// B3: a log without a promise must not start as if nothing was promised. Nor must any other
/// inconsistent storage.
#[test]
fn b3_a_log_without_its_promise_does_not_start() {
    let zero = Position::ZERO;
    let error = |state, start, snapshot, votes: &[Vote]| {
        recover(state, start, snapshot, votes).unwrap_err()
    };
    assert_eq!(
        error(None, zero, None, &[vote(1, 1, 1)]),
        RecoverError::PromiseMissing
    );
    assert_eq!(
        error(None, at(1, 4), Some(snapshot(1, 4)), &[]),
        RecoverError::PromiseMissing
    );
    assert_eq!(
        error(state(2, 0), zero, None, &[vote(1, 3, 1)]),
        RecoverError::BallotOutOfRange
    );
    assert_eq!(
        error(state(1, 0), at(2, 4), Some(snapshot(2, 4)), &[]),
        RecoverError::BallotOutOfRange
    );
    let beyond = state(Ballot::ROUND_MAX + 1, 0);
    assert_eq!(
        error(beyond, zero, None, &[]),
        RecoverError::BallotOutOfRange
    );
    let missing = RecoverError::SnapshotMissing { start: Slot(4) };
    assert_eq!(error(state(2, 4), at(1, 4), None, &[]), missing);
    assert_eq!(
        error(state(2, 4), at(1, 4), Some(snapshot(1, 3)), &[]),
        missing
    );
    let conflict = RecoverError::SnapshotConflict { slot: Slot(4) };
    assert_eq!(
        error(state(2, 4), at(1, 4), Some(snapshot(2, 4)), &[]),
        conflict
    );
    let misplaced = |slot| RecoverError::Misplaced { slot: Slot(slot) };
    let twice = [vote(3, 1, 1), vote(3, 2, 1)];
    assert_eq!(error(state(2, 0), zero, None, &twice), misplaced(3));
    assert_eq!(
        error(state(2, 0), zero, None, &[vote(1, 1, 2)]),
        misplaced(1)
    );
    assert_eq!(
        error(
            state(2, 4),
            at(1, 4),
            Some(snapshot(1, 4)),
            &[vote(4, 1, 1)]
        ),
        misplaced(4)
    );
    let far = Slot::SPAN_MAX + 1;
    assert_eq!(
        error(state(2, 0), zero, None, &[vote(far, 1, 1)]),
        misplaced(far)
    );
    assert!(
        recover(
            state(2, 4),
            at(1, 4),
            Some(snapshot(1, 4)),
            &[vote(7, 2, 1)]
        )
        .is_ok()
    );
    assert!(recover(None, zero, None, &[]).is_ok());
}

/// A record that was torn between its votes: the chosen prefix is restored as far as its values
/// exist. None of its messages was sent.
#[test]
fn the_chosen_prefix_is_remembered_as_far_as_it_is_there() {
    let votes = [vote(1, 1, 1), vote(2, 2, 1), vote(4, 1, 1)];
    let paxos = recover(state(2, 4), Position::ZERO, None, &votes).unwrap();
    let status = paxos.status();
    assert_eq!((status.chosen, status.last), (Slot(2), Slot(4)));
}

/// What was known to be chosen is applied at once, without a leader.
#[test]
fn a_restarted_node_applies_what_it_knows() {
    let votes = [vote(1, 1, 1), vote(2, 2, 1), vote(3, 2, 2)];
    let mut paxos = recover(state(2, 2), Position::ZERO, None, &votes).unwrap();
    let mut applied = Vec::new();
    while let Some(output) = paxos.poll_output() {
        if let Output::Apply(chosen) = output {
            applied.extend(chosen.iter().map(|(at, _)| at.slot.0));
        }
    }
    assert_eq!(applied, [1, 2]);
}

/// F6: a snapshot is durable and the record that compacts the log is not, also on a node that has
/// stored nothing else yet. Its later votes stay, and the promise is at least the ballot in which
/// the last covered value was proposed.
#[test]
fn f6_a_snapshot_ahead_of_the_log_is_installed() {
    let votes = [vote(1, 1, 1), vote(6, 2, 2)];
    let mut paxos = recover(state(2, 1), Position::ZERO, Some(snapshot(1, 5)), &votes).unwrap();
    let status = paxos.status();
    assert_eq!(
        (status.start, status.chosen, status.last),
        (Slot(5), Slot(5), Slot(6))
    );
    let Some(Output::Persist(write)) = paxos.poll_output() else {
        panic!("the first record completes it")
    };
    assert!(paxos.poll_output().is_none(), "the restore waits for it");
    let Ok((_, receipt)) = write.persist(|record| {
        assert!(record.ops().any(|op| op == Op::Start(at(1, 5))));
        Ok::<(), ()>(())
    }) else {
        panic!()
    };
    paxos.handle_persisted(Instant::ZERO, receipt);
    assert_eq!(
        paxos.poll_output(),
        Some(Output::Restore(Box::new(snapshot(1, 5))))
    );
    let fresh = recover(None, Position::ZERO, Some(snapshot(3, 5)), &[]).unwrap();
    assert_eq!(fresh.ballot(), ballot(3));
}

/// N5: two groups of a node make writes with the same number, and so do two incarnations of a
/// group.
#[test]
fn n5_a_receipt_of_another_core_is_refused_and_counted() {
    let written = || {
        let mut paxos = recover(None, Position::ZERO, None, &[]).unwrap();
        let (ballot, from) = (ballot(1), Slot(1));
        let prepare = Message::Binding(Binding::Prepare {
            ballot,
            from,
            number: 0,
            invited: None,
        });
        paxos.handle_message(Instant::ZERO, NodeId(2), prepare);
        let Some(Output::Persist(write)) = paxos.poll_output() else {
            panic!("a promise is a write");
        };
        let Ok((messages, receipt)) = write.persist(|_| Ok::<_, ()>(())) else {
            panic!();
        };
        (paxos, messages.len(), receipt)
    };
    let ((mut one, waited, own), (_, _, of_another)) = (written(), written());
    assert_eq!(waited, 1, "the promise");
    one.handle_persisted(Instant::ZERO, of_another);
    assert_eq!(one.counters().receipts_foreign, 1, "one is counted");
    let (again, from) = (ballot(2), Slot(1));
    let prepare = Message::Binding(Binding::Prepare {
        ballot: again,
        from,
        number: 0,
        invited: None,
    });
    one.handle_message(Instant::ZERO, NodeId(2), prepare);
    assert_eq!(one.poll_output(), None, "its own write is in flight");
    one.handle_persisted(Instant::ZERO, own);
    assert!(matches!(one.poll_output(), Some(Output::Persist(_))));
    assert_eq!(one.counters().receipts_foreign, 1);
}

/// I10: quorums that need not intersect cannot be constructed, so no configuration has them.
#[test]
fn i10_quorums_that_need_not_meet_are_refused() {
    let four = || (1..=4).map(NodeId);
    assert_eq!(
        Quorums::flexible(four(), 2, 2),
        Err(QuorumError::NoIntersection)
    );
    assert!(Quorums::flexible(four(), 3, 2).is_ok());
}

/// C7: a write is checked once per election timeout, so a shorter bound would not be kept.
#[test]
fn what_a_configuration_may_say() {
    let config = || Config::new(NodeId(1), quorums());
    assert_eq!(
        Config::new(NodeId(9), quorums()).validate(),
        Err(ConfigError::NotAMember)
    );
    let mut stall = config();
    stall.write_stall_max = stall.election_timeout_max;
    assert_eq!(stall.validate(), Ok(()));
    stall.write_stall_max -= Duration::from_nanos(1);
    assert_eq!(stall.validate(), Err(ConfigError::WriteStall));
    let mut equal = config();
    equal.election_timeout_max = equal.election_timeout_min;
    assert_eq!(equal.validate(), Err(ConfigError::ElectionTimeout));
    let mut heartbeat = config();
    heartbeat.heartbeat_interval = heartbeat.election_timeout_min;
    assert_eq!(heartbeat.validate(), Err(ConfigError::HeartbeatInterval));
    let mut zero = config();
    zero.reads_max = 0;
    assert_eq!(zero.validate(), Err(ConfigError::ZeroBound));
}
