use super::*;

fn promise(ballot: Ballot, votes: &[Vote], chosen: u64) -> Binding {
    Binding::Promise {
        ballot,
        from: Slot(1),
        votes: votes.to_vec(),
        next: None,
        chosen: Slot(chosen),
        configurations: None,
    }
}

fn accepted(ballot: Ballot, first: u64, last: u64) -> Binding {
    Binding::Accepted {
        ballot,
        first: Slot(first),
        last: Slot(last),
    }
}

#[test]
fn unsayable() {
    let ballot_1 = ballot(1, 1);
    let mut group = Group::led();
    let held = vote(1, ballot_1, Group::first());
    for truth in [
        (3, promise(ballot_1, &[], 0)),
        (2, accepted(ballot_1, 1, 1)),
        (
            1,
            Binding::Prepare {
                ballot: ballot_1,
                from: Slot(1),
                number: 0,
                invited: None,
            },
        ),
    ] {
        assert_eq!(group.say(truth.0, truth.1.clone()), Ok(()), "{truth:?}");
    }
    // A higher ballot, so that the vote is of a lower one.
    group.store(2, state(ballot(2, 3), 0)).unwrap();
    group.store(3, state(ballot(2, 3), 0)).unwrap();
    let next = ballot(2, 3);
    assert_eq!(
        group.say(2, promise(next, core::slice::from_ref(&held), 0)),
        Ok(())
    );
    assert_eq!(group.say(2, promise(next, &[], 1)), Ok(()));
    let lies: [(u64, Binding); 8] = [
        // Promised only in memory.
        (1, promise(next, &[], 1)),
        // A vote is missing from the promise; one is invented; and the promise names a value that
        // is not held.
        (2, promise(next, &[], 0)),
        (3, promise(next, &[held], 0)),
        (3, promise(next, &[], 1)),
        // Votes that do not exist, or are of another ballot.
        (3, accepted(ballot_1, 1, 1)),
        (2, accepted(ballot_1, 1, 2)),
        (2, accepted(ballot(3, 3), 1, 1)),
        // A request for a ballot that could be used again after a crash.
        (
            3,
            Binding::Prepare {
                ballot: ballot(3, 3),
                from: Slot(1),
                number: 0,
                invited: None,
            },
        ),
    ];
    for (node, lie) in lies {
        let said = group.say(node, lie.clone());
        assert_eq!(rule(said), "unsayable", "{lie:?}");
    }
    // Confirms a leader after it has promised a higher ballot.
    let echo = Echo::Heartbeat {
        ballot: ballot_1,
        round: 1,
        through: Slot(1),
        chosen: Slot(1),
        behind: false,
        disk: DiskHealth::default(),
        priority: None,
        lease: Duration::ZERO,
    };
    assert_eq!(rule(group.say(2, echo)), "unsayable");
}

/// A node may acknowledge what it knows to be chosen, whatever the ballot of its vote.
#[test]
fn what_is_chosen_is_accepted() {
    let mut group = Group::led();
    group.campaign(2);
    let leads = group.nodes[&2].common.promised;
    assert_eq!(group.say(1, accepted(leads, 1, 1)), Ok(()));
    assert_eq!(rule(group.say(3, accepted(leads, 1, 1))), "unsayable");
}

#[test]
fn one_write_at_a_time() {
    let mut group = Group::led();
    group
        .checker
        .staged(NodeId(3), &write(Record::default()))
        .unwrap();
    let second = group.checker.staged(NodeId(3), &write(Record::default()));
    assert_eq!(rule(second), "unsayable");
}

#[test]
fn chosen_ahead_of_its_votes() {
    let mut group = Group::led();
    // Node 3 lacks the vote; if it is in the same record, this is correct.
    let mut record = state(ballot(1, 1), 1);
    let ahead = group
        .checker
        .clone()
        .staged(NodeId(3), &write(record.clone()));
    assert_eq!(
        ahead,
        Err(Violation::ChosenAheadOfVotes {
            node: NodeId(3),
            slot: Slot(1),
            chosen: Slot(1)
        })
    );
    assert_eq!(rule(ahead), "chosen ahead of its votes");
    record.votes = runs(&[vote(1, ballot(1, 1), Group::first())]);
    assert_eq!(group.store(3, record), Ok(()));
}

#[test]
fn recovery() {
    // A durable vote is missing, of another ballot, of another content, or invented.
    let forgets = |change: &dyn Fn(&mut Disk)| {
        let mut group = Group::led();
        change(group.disks.get_mut(&2).unwrap());
        group.crash(2)
    };
    assert_eq!(forgets(&|_| {}), Ok(()));
    assert_eq!(rule(forgets(&|disk| disk.votes.clear())), "recovery");
    let other = |disk: &mut Disk| {
        let vote = disk.votes.get_mut(&Slot(1)).unwrap();
        vote.value.body = Bytes::from_static(b"?");
    };
    assert_eq!(rule(forgets(&other)), "recovery");
    let invented = |disk: &mut Disk| {
        let vote = vote(3, ballot(1, 1), value(ballot(1, 1), "z"));
        disk.votes.insert(Slot(3), vote);
    };
    assert_eq!(rule(forgets(&invented)), "recovery");
    // A durable promise is lower, or higher.
    for promised in [ballot(1, 1), ballot(1, 3)] {
        let mut group = Group::led();
        group.store(3, state(ballot(1, 2), 0)).unwrap();
        let state = State {
            promised,
            ..State::default()
        };
        group.disks.get_mut(&3).unwrap().state = Some(state);
        assert_eq!(rule(group.crash(3)), "recovery");
    }
    // A log that begins where no snapshot is.
    let mut group = Group::led();
    let start = Some(Box::new(snapshot(1, ballot(1, 1)).last));
    let cut = Record {
        start,
        ..Record::default()
    };
    assert_eq!(rule(group.store(2, cut)), "recovery");
}

/// What a crash may keep of a write: nothing, its first steps, or all of it; and nothing else.
#[test]
fn a_write_that_a_crash_overtook_may_be_there_in_part() {
    for kept in 0..=4 {
        let mut group = Group::led();
        group.propose(1, "y");
        group.persist(1).unwrap();
        group.propose(1, "z");
        let y = [(2, "y"), (3, "z")].map(|(slot, body)| {
            let value = value(ballot(1, 1), body);
            vote(slot, ballot(1, 1), value)
        });
        let mut record = state(ballot(1, 2), 0);
        record.votes = runs(&y);
        group.checker.staged(NodeId(3), &write(record)).unwrap();
        let disk = group.disks.get_mut(&3).unwrap();
        if kept > 0 {
            disk.state = state(ballot(1, 2), 0).state;
        }
        let votes = y
            .into_iter()
            .take(usize::from(kept > 1) + usize::from(kept > 2));
        votes.for_each(|vote| drop(disk.votes.insert(vote.slot, vote)));
        if kept == 4 {
            disk.votes.remove(&Slot(2));
        }
        let recovered = group.crash(3);
        match kept {
            4 => assert_eq!(rule(recovered), "recovery"),
            _ => assert_eq!(recovered, Ok(())),
        }
        // Its votes count, although no node ever learned of them.
        assert_eq!(
            group.checker.chosen(),
            Slot(if (2..4).contains(&kept) { 2 } else { 1 })
        );
    }
}

/// A chosen prefix that survived the votes it covers: the node would treat an old vote as chosen.
#[test]
fn a_prefix_without_its_votes_is_not_believed() {
    let mut group = Group::led();
    group.campaign(2);
    group.propose(2, "y");
    // Node 3 has an old vote in a slot where another value was chosen since.
    let old = vote(1, ballot(1, 1), value(ballot(1, 1), "old"));
    let disk = Disk {
        state: state(ballot(2, 2), 1).state,
        votes: [(Slot(1), old)].into(),
        ..Disk::default()
    };
    let mut checker = group.checker.clone();
    checker.nodes.remove(&NodeId(3));
    assert_eq!(rule(checker.started(&disk.start(3))), "agreement");
}

/// A snapshot covers what the log drops, before and after a restart, and is not lost.
#[test]
fn a_cut_log_is_held_by_its_snapshot() {
    let mut group = Group::led();
    let (now, taken) = (group.now, snapshot(1, ballot(1, 1)));
    let told = taken.clone();
    group
        .step(2, |paxos| paxos.handle_snapshot(now, told))
        .unwrap();
    group.persist(2).unwrap();
    let durable = group.checker.durable(NodeId(2)).unwrap().clone();
    assert_eq!((durable.start(), durable.last()), (taken.last, Slot(1)));
    assert_eq!(durable.vote(Slot(1)), None);
    // The file is gone, and with it the log's beginning.
    let disk = group.disks.get_mut(&2).unwrap();
    disk.start = Position::ZERO;
    assert_eq!(rule(group.crash(2)), "recovery");
    let disk = group.disks.get_mut(&2).unwrap();
    (disk.start, disk.snapshot) = (taken.last, Some(taken));
    group.crash(2).unwrap();
    let restored = group.nodes.get_mut(&2).unwrap().poll_output().unwrap();
    assert!(matches!(restored, Output::Restore(_)));
    group.checker.polled(NodeId(2), &restored).unwrap();
}
