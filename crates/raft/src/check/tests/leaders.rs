use super::*;

#[test]
fn election_safety() {
    let mut group = Group::led();
    let second = group.step(2, |raft| {
        raft.change_role(NOW, Step::BecomeLeader { by_transfer: false });
    });
    assert_eq!(
        second,
        Err(Violation::ElectionSafety {
            term: Term(1),
            first: NodeId(1),
            second: NodeId(2)
        })
    );
    // In a later term, but without votes.
    let mut group = Group::led();
    let unelected = group.step(2, |raft| {
        raft.common.term = Term(2);
        raft.change_role(NOW, Step::BecomeLeader { by_transfer: false });
    });
    assert_eq!(rule(unelected), "election safety");
    // A node leads again in the term that it led before a crash.
    let mut group = Group::led();
    group.crash(1, 0).unwrap();
    assert_eq!(
        rule(group.step(1, |raft| {
            raft.change_role(NOW, Step::BecomeLeader { by_transfer: false });
        })),
        "election safety"
    );
    // A node sends as if it led.
    let mut group = Group::led();
    assert_eq!(
        rule(group.say(3, append(LogId::ZERO, &[], 0))),
        "election safety"
    );
}

#[test]
fn leader_append_only() {
    let mut group = Group::led();
    group.propose(1);
    let cut = group.step(1, |raft| raft.common.log.truncate(Index(2)));
    assert_eq!(rule(cut), "leader append-only");
}

#[test]
fn log_matching() {
    // The entry has a different predecessor elsewhere.
    let mut group = Group::led();
    group.store(2, record(&[entry(1, 2)])).unwrap();
    let entries = record(&[entry(2, 1)]).entries;
    let vote = Some((Term(2), None));
    let another = Record::new(
        Head {
            vote,
            ..Head::default()
        },
        entries,
    );
    group.store(3, another).unwrap();
    assert_eq!(rule(group.store(3, record(&[entry(1, 2)]))), "log matching");
    // Different content with the same identity.
    let mut group = Group::led();
    let other = Entry {
        kind: Kind::Membership,
        ..entry(1, 1)
    };
    assert_eq!(
        rule(group.store(3, record(core::slice::from_ref(&other)))),
        "log matching"
    );
    let mut group = Group::led();
    assert_eq!(
        rule(group.say(1, append(LogId::ZERO, &[other], 0))),
        "log matching"
    );
    // A gap.
    let mut group = Group::led();
    assert_eq!(rule(group.store(3, record(&[entry(1, 5)]))), "log matching");
    // A leader sends what is not in its log.
    let mut group = Group::led();
    assert_eq!(
        rule(group.say(1, append(id(0, 0), &[entry(0, 1)], 0))),
        "log matching"
    );
}

/// Node 3 lacks a committed entry and leads nevertheless: node 2 voted for it.
#[test]
fn leader_completeness() {
    let mut group = Group::led();
    for node in [2, 3] {
        let vote = head(Head {
            vote: Some((Term(2), Some(NodeId(3)))),
            ..Head::default()
        });
        group.store(node, vote).unwrap();
    }
    let led = group.step(3, |raft| {
        (raft.common.term, raft.common.vote) = (Term(2), Some(NodeId(3)));
        raft.change_role(NOW, Step::BecomeLeader { by_transfer: false });
    });
    assert_eq!(
        led,
        Err(Violation::LeaderCompleteness {
            node: NodeId(3),
            term: Term(2),
            lacks: id(1, 1),
            committed_in: Term(1)
        })
    );
}

/// The same, but the commit becomes known after the election.
#[test]
fn leader_completeness_in_hindsight() {
    let mut group = Group::led();
    group.propose(1);
    for node in [2, 3] {
        let vote = head(Head {
            vote: Some((Term(2), Some(NodeId(2)))),
            ..Head::default()
        });
        group.store(node, vote).unwrap();
    }
    let led = group.step(2, |raft| {
        (raft.common.term, raft.common.vote) = (Term(2), Some(NodeId(2)));
        raft.change_role(NOW, Step::BecomeLeader { by_transfer: false });
    });
    led.unwrap();
    group.persist(1).unwrap();
    group.writes.remove(&2);
    group.store(3, record(&group.disks[&1].clone())).unwrap();
    let late = group.step(1, |raft| raft.common.committed = Index(2));
    assert_eq!(rule(late), "leader completeness");
}

#[test]
fn voted_twice() {
    let votes = |vote: Option<u64>| {
        head(Head {
            vote: Some((Term(1), vote.map(NodeId))),
            ..Head::default()
        })
    };
    let mut group = Group::led();
    assert_eq!(
        group.store(3, votes(Some(2))),
        Err(Violation::VotedTwice {
            node: NodeId(3),
            term: Term(1),
            first: NodeId(1),
            second: NodeId(2)
        })
    );
    let mut group = Group::led();
    assert_eq!(group.store(3, votes(Some(1))), Ok(()));
    assert_eq!(rule(group.store(3, votes(None))), "voted twice");
}

#[test]
fn what_only_rises() {
    let mut group = Group::led();
    assert_eq!(
        rule(group.step(2, |raft| raft.common.term = Term(0))),
        "term fell"
    );
    let mut group = Group::led();
    assert_eq!(
        rule(group.step(2, |raft| raft.common.committed = Index(0))),
        "commit fell"
    );
    let mut group = Group::led();
    let older = head(Head {
        vote: Some((Term(0), None)),
        ..Head::default()
    });
    assert_eq!(rule(group.store(3, older)), "term fell");
}
