use super::*;

#[test]
fn unsayable() {
    let vote = |term, granted| Binding::Vote {
        term: Term(term),
        granted,
    };
    let request = |term| Binding::RequestVote {
        term: Term(term),
        last: id(1, 1),
        transfer: false,
    };
    let mut group = Group::led();
    assert_eq!(group.say(3, vote(1, true)), Ok(()));
    assert_eq!(group.say(1, request(1)), Ok(()));
    assert_eq!(group.say(2, appended(1, 1)), Ok(()));
    let installed = Binding::Installed {
        term: Term(1),
        last: id(1, 1),
    };
    let lies: [(u64, Binding); 9] = [
        (3, vote(2, true)),
        (1, vote(1, true)),
        (2, request(2)),
        (2, request(1)),
        (2, appended(1, 2)),
        (3, appended(1, 1)),
        (2, appended(2, 1)),
        (2, appended(0, 1)),
        (2, installed),
    ];
    for (node, lie) in lies {
        assert_eq!(rule(group.say(node, lie.clone())), "unsayable", "{lie:?}");
    }
    // Confirms a leader after it has left the term.
    let goes = head(Head {
        vote: Some((Term(2), None)),
        ..Head::default()
    });
    group.store(3, goes).unwrap();
    let echo = Echo::Heartbeat {
        term: Term(1),
        round: 1,
        matched: Index(0),
        disk: DiskHealth::default(),
        lease: core::time::Duration::ZERO,
        priority: None,
    };
    assert_eq!(rule(group.say(3, echo)), "unsayable");
}

/// The acknowledgement of a whole log, whose end is another leader's.
#[test]
fn unsayable_for_another_leader() {
    let mut group = Group::led();
    group.propose(1);
    group.store(3, record(&[entry(0, 1)])).unwrap();
    assert_eq!(rule(group.say(3, appended(1, 1))), "unsayable");
}

#[test]
fn what_is_acknowledged_is_kept() {
    let mut group = Group::led();
    group.propose(1);
    let (_, envelope) = group.net.remove(0);
    assert_eq!(envelope.to, NodeId(2));
    let appended = group.step(2, |raft| {
        raft.handle_message(NOW, NodeId(1), envelope.message);
    });
    appended.unwrap();
    group.persist(2).unwrap();
    let cut = group.step(2, |raft| raft.common.log.truncate(Index(2)));
    assert_eq!(
        cut,
        Err(Violation::AcknowledgementUndone {
            node: NodeId(2),
            term: Term(1),
            acknowledged: Index(2),
            from: Index(2)
        })
    );
}

#[test]
fn one_write_at_a_time() {
    let mut group = Group::led();
    group
        .checker
        .staged(NodeId(3), &write(record(&[])))
        .unwrap();
    let second = group.checker.staged(NodeId(3), &write(record(&[])));
    assert_eq!(rule(second), "unsayable");
}

#[test]
fn recovery() {
    // A durable entry is missing.
    assert_eq!(rule(Group::led().crash(2, 1)), "recovery");
    // The vote is different, or missing.
    for vote in [
        Some((Term(1), Some(NodeId(2)))),
        Some((Term(1), None)),
        None,
    ] {
        let mut group = Group::led();
        assert_eq!(
            rule(group.checker.started(&start(3, &[], vote))),
            "recovery"
        );
    }
    // An entry that never existed, or with a different content.
    let vote = Some((Term(1), Some(NodeId(1))));
    let mut group = Group::led();
    let first = group.disks[&2][0].clone();
    let invented = start(2, &[first.clone(), entry(1, 2)], vote);
    assert_eq!(rule(group.checker.started(&invented)), "recovery");
    let rotten = Entry {
        body: Bytes::from_static(b"?"),
        ..first
    };
    assert_eq!(
        rule(group.checker.started(&start(2, &[rotten], vote))),
        "recovery"
    );
    // A log that begins where no snapshot is.
    let mut group = Group::led();
    let cut = head(Head {
        start: Some(id(1, 1)),
        ..Head::default()
    });
    assert_eq!(rule(group.store(2, cut)), "recovery");
}

#[test]
fn a_write_that_a_crash_overtook_may_be_there_or_not() {
    let vote = Some((Term(1), Some(NodeId(1))));
    for kept in [false, true] {
        let mut group = Group::led();
        group.propose(1);
        let mut disk = group.disks[&1].clone();
        let Ok((_, receipt)) = group.writes.remove(&1).unwrap().persist(|record| {
            disk.extend(record.entries.iter().flatten().filter(|_| kept).cloned());
            Ok::<_, Infallible>(())
        });
        let _: Receipt = receipt;
        group.checker.crashed(NodeId(1));
        group.checker.started(&start(1, &disk, vote)).unwrap();
        let durable = group.checker.durable(NodeId(1)).unwrap();
        assert_eq!(durable.last(), id(1, 1 + u64::from(kept)));
    }
}

/// A snapshot covers what the log drops, before and after a restart, and is not lost.
#[test]
fn a_compacted_log_is_held_by_its_snapshot() {
    let mut group = Group::led();
    group
        .step(2, |raft| raft.handle_snapshot(NOW, snapshot(id(1, 1))))
        .unwrap();
    group.persist(2).unwrap();
    let durable = group.checker.durable(NodeId(2)).unwrap().clone();
    assert_eq!((durable.start(), durable.last()), (id(1, 1), id(1, 1)));
    assert!(durable.holds(id(1, 1)) && !durable.holds(id(1, 2)));
    let recovered = |start, snapshot| {
        let config = Config::new(NodeId(2), [1, 2, 3].map(NodeId));
        let recovered = Recovered {
            vote: Some((Term(1), Some(NodeId(1)))),
            start,
            snapshot,
            entries: core::iter::empty::<Result<Entry, Infallible>>(),
        };
        Raft::new(config, recovered, NOW).unwrap()
    };
    let lost = recovered(LogId::ZERO, None);
    assert_eq!(rule(group.checker.clone().started(&lost)), "recovery");
    let uncut = recovered(LogId::ZERO, Some(snapshot(id(1, 1))));
    assert_eq!(rule(group.checker.clone().started(&uncut)), "recovery");
    let mut raft = recovered(id(1, 1), Some(snapshot(id(1, 1))));
    group.checker.started(&raft).unwrap();
    let restored = raft.poll_output().unwrap();
    assert!(matches!(restored, Output::Restore(_)));
    group.checker.polled(NodeId(2), &restored).unwrap();
}
