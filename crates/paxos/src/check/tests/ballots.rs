use super::*;

use crate::StepDown;
use crate::step::Step;

#[test]
fn ballot_owner() {
    // A ballot of another node.
    let mut group = Group::led();
    let (ballot_1, from) = (ballot(1, 1), Slot(1));
    let foreign = group.say(
        3,
        Binding::Prepare {
            ballot: ballot_1,
            from,
            number: 0,
            invited: None,
        },
    );
    assert_eq!(rule(foreign), "ballot owner");
    let foreign = group.say(3, accept(ballot_1, 2, &[value(ballot_1, "y")]));
    assert_eq!(rule(foreign), "ballot owner");
    // A leader without promises: with only its own, on its disk; and with two, of which one is not
    // durable.
    let mut group = Group::led();
    let unpromised = group.say(3, accept(ballot(1, 3), 2, &[value(ballot(1, 3), "y")]));
    assert!(matches!(unpromised, Err(Violation::NotPromised { .. })));
    assert_eq!(rule(unpromised), "ballot owner");
    for disks in [1, 2] {
        let mut group = Group::led();
        let role = group.nodes[&1].role.clone();
        for id in [3, 2].into_iter().take(disks) {
            group.store(id, state(ballot(2, 3), 0)).unwrap();
        }
        let led = group.step(3, |paxos| {
            paxos.common.promise(ballot(2, 3));
            paxos.role = role;
        });
        match disks {
            1 => assert_eq!(rule(led), "ballot owner"),
            _ => assert_eq!(led, Ok(())),
        }
    }
}

#[test]
fn ballot_used_twice() {
    // In a second incarnation.
    let mut group = Group::led();
    let (ballot_1, from) = (ballot(1, 1), Slot(1));
    group.crash(1).unwrap();
    let again = group.say(
        1,
        Binding::Prepare {
            ballot: ballot_1,
            from,
            number: 0,
            invited: None,
        },
    );
    assert_eq!(rule(again), "ballot used twice");
    let again = group.say(1, accept(ballot_1, 2, &[value(ballot_1, "y")]));
    assert_eq!(rule(again), "ballot used twice");
    // For a second campaign.
    let mut group = Group::led();
    let role = group.nodes[&1].role.clone();
    let now = group.now;
    let gave_up = group.step(1, |paxos| {
        let step = Step::give_up(paxos.common.promised, StepDown::Deposed);
        paxos.change_role(now, step);
    });
    gave_up.unwrap();
    let again = group.step(1, |paxos| paxos.role = role);
    assert_eq!(
        again,
        Err(Violation::BallotUsedTwice {
            node: NodeId(1),
            ballot: ballot_1
        })
    );
}

#[test]
fn promise_fell() {
    let mut group = Group::led();
    let fell = group.step(3, |paxos| paxos.common.promised = Ballot::ZERO);
    assert_eq!(rule(fell), "promise fell");
    let mut group = Group::led();
    assert_eq!(rule(group.store(3, state(Ballot::ZERO, 0))), "promise fell");
}

#[test]
fn chosen_fell() {
    let mut group = Group::led();
    let fresh = Group::new().nodes[&2].common.log.clone();
    let fell = group.step(2, |paxos| paxos.common.log = fresh);
    assert_eq!(rule(fell), "chosen fell");
}

#[test]
fn vote_below_the_promise() {
    let first = vote(1, ballot(1, 1), Group::first());
    // Below the promise on the disk, and above what it will be.
    let mut group = Group::led();
    group.store(3, state(ballot(2, 2), 0)).unwrap();
    assert_eq!(
        rule(group.store(3, votes(core::slice::from_ref(&first)))),
        "vote below the promise"
    );
    let mut group = Group::new();
    group.campaign(1);
    group.propose(1, "x");
    group.persist(1).unwrap();
    let mut disk = Durable::default();
    let change = durable::Change::of(&votes(&[first]));
    let without = disk.store(NodeId(3), &change);
    assert!(matches!(without, Err(Violation::VoteWithoutPromise { .. })));
    assert_eq!(rule(without), "vote below the promise");
}
