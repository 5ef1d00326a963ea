use super::*;

#[test]
fn state_machine_safety() {
    // A different entry is treated as committed.
    let mut group = Group::led();
    let taken = group.step(3, |raft| {
        raft.common.log.push(entry(0, 1));
        raft.common.committed = Index(1);
    });
    assert_eq!(rule(taken), "state machine safety");
    // Applied: a different content, twice, with a gap.
    let mut group = Group::led();
    let first = group.disks[&1][0].clone();
    let mut other = first.clone();
    other.body = Bytes::from_static(b"!");
    group.crash(1, 0).unwrap();
    let applied =
        |group: &mut Group, entry: &Entry| group.checker.clone().applied(NodeId(1), entry);
    assert_eq!(applied(&mut group, &first), Ok(()));
    assert_eq!(rule(applied(&mut group, &other)), "state machine safety");
    assert_eq!(
        rule(applied(&mut group, &entry(1, 2))),
        "state machine safety"
    );
    group.checker.applied(NodeId(1), &first).unwrap();
    assert_eq!(rule(applied(&mut group, &first)), "state machine safety");
    // A machine is reset backwards.
    let back = group.checker.restored(NodeId(1), &snapshot(LogId::ZERO));
    assert_eq!(rule(back), "state machine safety");
    // A snapshot of a different log.
    let mut group = Group::led();
    let term = Term(1);
    let snapshot = snapshot(id(0, 1));
    let offer = group.say(
        1,
        Replicate::Snapshot {
            term,
            snapshot: Box::new(snapshot),
        },
    );
    assert_eq!(rule(offer), "state machine safety");
}

#[test]
fn commit_not_durable() {
    // No other node has it.
    let mut group = Group::led();
    group.propose(1);
    group.persist(1).unwrap();
    let early = group.step(1, |raft| raft.common.committed = Index(2));
    assert_eq!(
        early,
        Err(Violation::CommitNotDurable {
            node: NodeId(1),
            id: id(1, 2),
            holders: 1
        })
    );
    // A follower knows more than any leader, in memory and in its message.
    let mut group = Group::led();
    let unknown = group.step(2, |raft| {
        raft.common.log.push(entry(1, 2));
        raft.common.committed = Index(2);
    });
    assert_eq!(rule(unknown), "commit not durable");
    let mut group = Group::led();
    assert_eq!(
        rule(group.say(1, append(id(1, 1), &[], 2))),
        "commit not durable"
    );
    // Applied before it is durable on its own disk.
    let first = group.disks[&1][0].clone();
    assert_eq!(
        rule(group.checker.applied(NodeId(3), &first)),
        "commit not durable"
    );
    let restored = group.checker.restored(NodeId(3), &snapshot(id(1, 1)));
    assert_eq!(rule(restored), "commit not durable");
}

#[test]
fn what_is_committed_is_kept() {
    let mut group = Group::led();
    group.crash(2, 0).unwrap(); // so that it has acknowledged nothing in this incarnation
    let cut = group.step(2, |raft| {
        raft.common.committed = Index(0);
        raft.common.log.truncate(Index(1));
    });
    assert_eq!(
        cut,
        Err(Violation::CommitUndone {
            node: NodeId(2),
            id: id(1, 1)
        })
    );
}

#[test]
fn commit_of_an_older_term() {
    let mut group = Group::led();
    group.crash(2, 0).unwrap();
    group.step(2, |raft| raft.handle_timeout(LATER)).unwrap();
    group.persist(2).unwrap();
    for (from, envelope) in core::mem::take(&mut group.net) {
        let message = envelope.message;
        if envelope.to == NodeId(3) {
            group
                .step(3, |raft| raft.handle_message(NOW, NodeId(from), message))
                .unwrap();
        }
    }
    group.persist(3).unwrap();
    let vote = group.net.pop().unwrap().1.message;
    group
        .step(2, |raft| raft.handle_message(NOW, NodeId(3), vote))
        .unwrap();
    assert!(matches!(group.raft(2).role, RoleState::Leader(_)));
    let counted = group.step(2, |raft| raft.common.committed = Index(1));
    assert_eq!(rule(counted), "commit of an older term");
}

#[test]
fn commit_beyond_the_match() {
    let mut group = Group::led();
    let first = group.disks[&1][0].clone();
    let taken = group.step(3, |raft| {
        raft.common.log.push(first);
        raft.role = RoleState::Follower(Follower::default());
        raft.common.committed = Index(1);
    });
    assert_eq!(
        taken,
        Err(Violation::CommitBeyondMatch {
            node: NodeId(3),
            commit: Index(1),
            matched: Index(0)
        })
    );
}
