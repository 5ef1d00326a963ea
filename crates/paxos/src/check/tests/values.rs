use super::*;
use crate::check::history::History;

#[test]
fn one_value_a_ballot() {
    // A different value in a ballot and slot: in a record, and in a message.
    let other = value(ballot(1, 1), "other");
    let mut group = Group::led();
    let stored = group.store(3, votes(&[vote(1, ballot(1, 1), other.clone())]));
    assert!(matches!(stored, Err(Violation::TwoValues { .. })));
    assert_eq!(rule(stored), "one value a ballot");
    let mut group = Group::led();
    let sent = group.say(1, accept(ballot(1, 1), 1, core::slice::from_ref(&other)));
    assert_eq!(rule(sent), "one value a ballot");
    // An origin also names one value, whatever ballot it is proposed in again.
    let history = Group::led().checker.history;
    let learned = |value| history.learn(NodeId(2), Slot(1), Named::of(&value));
    assert_eq!(learned(Group::first()), Ok(()));
    assert_eq!(rule(learned(other)), "one value a ballot");
    // A vote for a value that was not proposed.
    let mut group = Group::led();
    let invented = vote(2, ballot(1, 1), value(ballot(1, 1), "y"));
    assert_eq!(
        group.store(3, votes(&[invented])),
        Err(Violation::NotProposed {
            node: NodeId(3),
            slot: Slot(2),
            ballot: ballot(1, 1)
        })
    );
}

#[test]
fn agreement() {
    // Another value is held than the chosen one.
    let mut group = Group::led();
    let held = group.step(3, |paxos| {
        let other = value(ballot(1, 1), "other");
        let values = vec![other].into();
        paxos.common.accept(Slot(1), values);
        paxos.common.choose_to(Slot(1));
    });
    assert!(matches!(held, Err(Violation::NotTheChosen { .. })));
    assert_eq!(rule(held), "agreement");
    // Reported, covered by a snapshot that is offered, restored, applied.
    let learned = Echo::Learned {
        ballot: ballot(2, 3),
        first: Slot(1),
        values: vec![value(ballot(1, 3), "x")].into(),
    };
    let offer = Echo::Offer {
        ballot: ballot(2, 3),
        snapshot: Box::new(snapshot(1, ballot(1, 3))),
    };
    for lie in [learned, offer] {
        assert_eq!(rule(Group::led().say(2, lie)), "agreement");
    }
    let ballot_1 = ballot(1, 1);
    let offer = Replicate::Snapshot {
        ballot: ballot_1,
        snapshot: Box::new(snapshot(1, ballot(1, 3))),
    };
    assert_eq!(rule(Group::led().say(1, offer)), "agreement");
    let mut group = Group::led();
    group.crash(2).unwrap();
    let applied = one_chosen(1, value(ballot_1, "other"));
    let applied = group.checker.applied(NodeId(2), &applied);
    assert_eq!(rule(applied), "agreement");
}

/// Nodes 2 and 3 vote in ballot 2.2 for another value than the one chosen in 1.1. To get past P2c,
/// the checker is told that the proposal is valid.
#[test]
fn agreement_and_p2b_without_p2c() {
    let other = value(ballot(2, 2), "other");
    let held = vote(1, ballot(2, 2), other);
    let mut group = Group::led();
    group.campaign(2);
    let history = &mut group.checker.history;
    let lawful = durable::Held::of(held.ballot, &held.value);
    history.forget(Slot(1), ballot(2, 2));
    history.believe(Slot(1), lawful);
    history.vote(NodeId(2), Slot(1), lawful).unwrap();
    let second = history.vote(NodeId(3), Slot(1), lawful);
    assert!(matches!(second, Err(Violation::ChosenTwice { .. })));
    assert_eq!(rule(second), "agreement");
    // The other way round: proposed first, and the lower ballot's value is chosen afterwards.
    let mut group = Group::new();
    group.campaign(1);
    let mut history = group.checker.history.clone();
    let first = durable::Held::of(ballot(1, 1), &Group::first());
    history.believe(Slot(1), lawful);
    history.believe(Slot(1), first);
    history.vote(NodeId(1), Slot(1), first).unwrap();
    let late = history.vote(NodeId(3), Slot(1), first);
    assert_eq!(rule(late), "P2b");
}

#[test]
fn p2c() {
    // Nodes 2 and 3 promise ballot 2.3, and 2 has a vote for a value that is not known to be
    // chosen.
    let proposed = |values: &[Value]| {
        let mut group = Group::new();
        group.campaign(1);
        group.propose(1, "x");
        group.net.retain(|(_, envelope)| envelope.to == NodeId(2));
        for (from, envelope) in core::mem::take(&mut group.net) {
            let now = group.now;
            group
                .step(2, |paxos| {
                    paxos.handle_message(now, NodeId(from), envelope.message);
                })
                .unwrap();
        }
        group.persist(2).unwrap();
        group.writes.remove(&1);
        for id in [2, 3] {
            group.store(id, state(ballot(2, 3), 0)).unwrap();
        }
        group
            .checker
            .history
            .leads(NodeId(3), 1, ballot(2, 3))
            .unwrap();
        assert_eq!(group.checker.chosen(), Slot(0));
        group.say(3, accept(ballot(2, 3), 1, values))
    };
    assert_eq!(proposed(&[Group::first()]), Ok(()));
    assert_eq!(
        proposed(&[Group::first(), Value::noop(ballot(2, 3))]),
        Ok(())
    );
    let mine = proposed(&[value(ballot(2, 3), "mine")]);
    assert!(matches!(mine, Err(Violation::P2c { .. })));
    assert_eq!(rule(mine), "P2c");
    // In a free slot a leader may propose its own value, but no value of a ballot that proposed
    // nothing there.
    assert_eq!(
        rule(proposed(&[Group::first(), value(ballot(1, 2), "whose?")])),
        "P2c"
    );
}

/// Proposes a configuration in a slot and ballot.
fn propose_change(
    history: &mut History,
    slot: u64,
    ballot: Ballot,
    next: &Configuration,
) -> Result<(), Violation> {
    let value = Value {
        kind: Kind::Configuration,
        origin: ballot,
        body: next.encode(),
    };
    let slot = Slot(slot);
    history.members.note_proposed(slot, &value);
    history.check_change(ballot.node, slot, ballot)
}

/// A configuration of the acceptors 1 to 3 after this one.
fn after(configuration: &Configuration) -> Configuration {
    configuration.next(Membership::of(quorums()))
}

#[test]
fn one_change_at_a_time() {
    let first = Configuration::first(Membership::of(quorums()));
    let next = after(&first);
    let mut history = History::default();
    let known = Configurations::first(first.clone());
    history.members.meet(NodeId(1), &known);
    propose_change(&mut history, 3, ballot(2, 1), &next).unwrap();
    history.members.choose(Slot(3), ballot(2, 1));
    // Ballot 1 was overtaken and does not know.
    propose_change(&mut history, 3, ballot(1, 2), &next).unwrap();
    // Behind a change that is chosen: too early, although it follows, or it does not follow.
    let third = after(&next);
    let second_change = Err(Violation::TwoChanges {
        node: NodeId(1),
        slot: Slot(4),
        number: 2,
    });
    let early = propose_change(&mut history, 4, ballot(2, 1), &third);
    assert_eq!(early, second_change);
    let in_force = 3 + first.alpha;
    propose_change(&mut history, in_force, ballot(2, 1), &third).unwrap();
    let again = propose_change(&mut history, in_force, ballot(3, 1), &next);
    assert!(matches!(
        again,
        Err(Violation::TwoChanges { number: 1, .. })
    ));
}

#[test]
fn chosen_not_durable() {
    let y = value(ballot(1, 1), "y");
    // The leader counts a value that is not on two disks.
    let mut group = Group::led();
    group.propose(1, "y");
    group.persist(1).unwrap();
    let early = group.step(1, |paxos| paxos.common.log.choose_to(Slot(2)));
    assert_eq!(
        early,
        Err(Violation::NotChosen {
            node: NodeId(1),
            slot: Slot(2),
            chosen_to: Slot(1)
        })
    );
    assert_eq!(rule(early), "chosen not durable");
    // It is reported.
    let (ballot, chosen) = (ballot(1, 1), Slot(2));
    assert_eq!(
        rule(Group::led().say(1, Replicate::Chosen { ballot, chosen })),
        "chosen not durable"
    );
    let promised = ballot;
    let answer = Echo::Answer {
        promised,
        attempt: 1,
        no_leader: true,
        chosen,
        disk: DiskHealth::default(),
        priority: None,
    };
    assert_eq!(rule(Group::led().say(3, answer)), "chosen not durable");
    // Known to be chosen, and not held.
    let mut group = Group::led();
    let first = one_chosen(1, Group::first());
    assert_eq!(
        rule(group.checker.applied(NodeId(3), &first)),
        "chosen not durable"
    );
    let restored = group.checker.restored(NodeId(3), &snapshot(1, ballot));
    assert_eq!(rule(restored), "chosen not durable");
    // Applied without being chosen.
    let second = one_chosen(2, y);
    assert_eq!(
        rule(group.checker.applied(NodeId(1), &second)),
        "chosen not durable"
    );
}

#[test]
fn state_machine_safety() {
    let mut group = Group::led();
    let first = one_chosen(1, Group::first());
    let again = group.checker.applied(NodeId(1), &first);
    assert_eq!(rule(again), "state machine safety");
    let back = group
        .checker
        .restored(NodeId(1), &snapshot(0, Ballot::ZERO));
    assert_eq!(rule(back), "state machine safety");
    group.crash(1).unwrap();
    let gap = one_chosen(2, Group::first());
    assert_eq!(
        rule(group.checker.applied(NodeId(1), &gap)),
        "state machine safety"
    );
}

#[test]
fn stale_read() {
    let mut group = Group::led();
    let id = ReadId(7);
    group.checker.asked(NodeId(2), id);
    let read = |slot| Output::Read { id, slot: Ok(slot) };
    let answered = |slot| group.checker.clone().polled(NodeId(2), &read(slot));
    assert_eq!(answered(Slot(1)), Ok(()));
    assert_eq!(rule(answered(Slot(0))), "stale read");
}

fn one_chosen(slot: u64, value: Value) -> Chosen {
    Chosen {
        first: Slot(slot),
        values: vec![value].into(),
    }
}
