//! Changes of membership: what scripts do not show, above all reasons, bounds and what is stored.

use std::collections::BTreeMap;

use bytes::Bytes;
use synod_raft::{
    Change, ChangeEnd, ChangeError, ChangePhase, Config, DiskHealth, Entry, Index, Instant, Kind,
    LogId, Membership, MembershipError, NodeId, PeerState, Raft, RecoverError, Recovered, Snapshot,
    Term,
};

use crate::harness::cluster::Cluster;

fn of(voters: &[u64]) -> Membership {
    Membership::of_voters(voters.iter().copied().map(NodeId))
}

fn led(voters: u64, joining: u64) -> Cluster {
    let mut cluster = Cluster::joined(voters, joining, Term(0), |_| {});
    cluster.elect(1);
    cluster
}

fn with_context(membership: Membership, id: u64, context: &'static str) -> Membership {
    let context = Bytes::from_static(context.as_bytes());
    Membership {
        contexts: BTreeMap::from([(NodeId(id), context)]),
        ..membership
    }
}

#[test]
fn each_refusal_has_its_reason() {
    let mut cluster = led(3, 0);
    let mut refused = |target: Membership| cluster.change_to(1, target).unwrap_err();
    assert_eq!(refused(of(&[])), ChangeError::NoVoters);
    let crowd: Vec<u64> = (1..=65).collect();
    assert_eq!(refused(of(&crowd)), ChangeError::TooManyNodes);
    // Before and after together.
    let others: Vec<u64> = (4..=65).collect();
    assert_eq!(refused(of(&others)), ChangeError::TooManyNodes);
    let both = Membership {
        learners: of(&[3]).voters,
        ..of(&[1, 2, 3])
    };
    let twice = ChangeError::Invalid(MembershipError::LearnerVotes);
    assert_eq!(refused(both), twice);
    let stray = with_context(of(&[1, 2, 3]), 4, "address");
    let nobody = ChangeError::Invalid(MembershipError::ContextOfNobody);
    assert_eq!(refused(stray), nobody);
    let zero = ChangeError::Readmitted { node: NodeId(0) };
    assert_eq!(refused(of(&[0, 1])), zero);
    let follower = ChangeError::NotLeader(Some(NodeId(1)));
    assert_eq!(cluster.change(2, &[1, 2]), Err(follower));
    let abort = cluster.step(1, Raft::abort_change);
    assert_eq!(abort, Err(ChangeError::Nothing));
    let full = DiskHealth {
        has_room: false,
        ..DiskHealth::default()
    };
    cluster.step(1, |raft, now| raft.handle_disk(now, full));
    assert_eq!(cluster.change(1, &[1, 2]), Err(ChangeError::Full));
    let roomy = DiskHealth::default();
    cluster.step(1, |raft, now| raft.handle_disk(now, roomy));
    cluster.isolate(2);
    let to = NodeId(2);
    cluster.step(1, |raft, now| raft.transfer(now, Some(to)).unwrap());
    let transferring = ChangeError::Transferring { to };
    assert_eq!(cluster.change(1, &[1, 2]), Err(transferring));
    assert_eq!(cluster.status(1).last, Index(1), "nothing was appended");
}

/// Where no voter is added or removed, no quorum changes: one entry, and no joint step.
#[test]
fn contexts_and_learners_change_in_one_step() {
    let mut cluster = led(3, 1);
    let named = with_context(of(&[1, 2, 3]), 2, "two");
    let learning = Membership {
        learners: of(&[4]).voters,
        ..named.clone()
    };
    let mut last = 1;
    for target in [named.clone(), learning, named.clone()] {
        cluster.change_to(1, target.clone()).unwrap();
        assert_eq!(cluster.status(1).change, None);
        cluster.settle();
        last += 1;
        let status = cluster.status(1);
        assert_eq!((status.last, status.commit), (Index(last), Index(last)));
        assert_eq!(status.change_end, Some(ChangeEnd::Done));
        assert_eq!(status.membership.learners, target.learners);
        assert_eq!(status.membership.contexts, named.contexts);
    }
    assert_eq!(cluster.status(1).membership.highest, NodeId(4));
}

#[test]
fn every_node_can_tell_how_far_a_change_is() {
    let mut cluster = led(3, 1);
    cluster.isolate(4);
    cluster.change(1, &[1, 2, 4]).unwrap();
    cluster.settle();
    let target = Change {
        voters: of(&[1, 2, 4]).voters,
        ..Change::default()
    };
    let leaders = cluster.status(1).change.unwrap();
    assert_eq!(leaders.phase, ChangePhase::CatchingUp);
    assert!(leaders.is_committed);
    let [new] = leaders.catching_up[..] else {
        panic!("{leaders:?}")
    };
    assert_eq!((new.id, new.round), (NodeId(4), 1));
    assert_eq!((new.to, new.matched), (Index(2), Index(0)));
    cluster.heartbeat(1);
    cluster.settle();
    let followers = cluster.status(3).change.unwrap();
    assert_eq!(followers.phase, ChangePhase::CatchingUp);
    assert_eq!(followers.target, target);
    assert!(followers.is_committed && followers.catching_up.is_empty());
}

/// A leader that becomes a learner leads no longer than until that is committed.
#[test]
fn a_leader_that_becomes_a_learner_hands_over() {
    let mut cluster = led(3, 0);
    let target = Membership {
        learners: of(&[1]).voters,
        ..of(&[2, 3])
    };
    cluster.change_to(1, target).unwrap();
    cluster.settle();
    let leader = cluster.status(1).leader;
    let is_another = leader.is_some_and(|leader| leader != NodeId(1));
    assert!(is_another, "{leader:?}");
    assert!(cluster.nodes[&NodeId(1)].stopped.is_none());
    let term = cluster.status(1).term;
    cluster.campaign(1);
    cluster.settle();
    assert_eq!(cluster.status(1).term, term, "it does not campaign");
}

/// Who was dropped and does not answer is sent entries for a while, and then no more.
#[test]
fn a_dropped_node_that_is_down_is_forgotten() {
    let mut cluster = led(3, 0);
    cluster.crash(3);
    cluster.change(1, &[1, 2]).unwrap();
    cluster.settle();
    let states = |cluster: &Cluster| {
        let peers = cluster.status(1).peers.into_iter();
        peers
            .map(|peer| (peer.id.0, peer.state))
            .collect::<Vec<_>>()
    };
    let both = [(2, PeerState::Replicate), (3, PeerState::Leaving)];
    assert_eq!(states(&cluster), both);
    for _ in 0..80 {
        cluster.heartbeat(1);
        cluster.settle();
    }
    assert_eq!(states(&cluster), both[..1]);
}

/// A snapshot has the membership as of its last entry; one of this node with another is not taken.
#[test]
fn a_snapshot_of_this_node_has_the_membership_of_its_last_entry() {
    let mut cluster = led(3, 0);
    let last = cluster.propose(1, "x").unwrap();
    cluster.settle();
    cluster.change(1, &[1, 2]).unwrap();
    cluster.settle();
    let all = of(&[1, 2, 3]);
    let raft = cluster.node(1).core();
    assert_eq!(raft.membership().voters, of(&[1, 2]).voters);
    assert_eq!(raft.membership_at(last.index), Some(&all));
    let membership = raft.membership().clone();
    let snapshot = Snapshot { last, membership };
    raft.handle_snapshot(Instant::ZERO, snapshot);
    assert_eq!(raft.counters().malformed, 1);
    assert_eq!(raft.status().start, Index(0));
    let membership = all.clone();
    let snapshot = Snapshot { last, membership };
    raft.handle_snapshot(Instant::ZERO, snapshot);
    assert_eq!(raft.status().start, last.index);
    assert_eq!(raft.membership_at(last.index.prev()), None);
    assert_eq!(raft.membership_at(last.index), Some(&all));
}

/// The log counts for more than the snapshot, and that for more than the configuration.
#[test]
fn a_node_starts_with_the_last_membership_that_it_stored() {
    let id = |index| LogId {
        term: Term(1),
        index: Index(index),
    };
    let entry = |index, body: Bytes| Entry {
        id: id(index),
        kind: Kind::Membership,
        body,
    };
    let start = |snapshot: Option<Snapshot>, entries: Vec<Entry>| {
        let recovered = Recovered {
            vote: Some((Term(1), None)),
            start: snapshot.as_ref().map_or(LogId::ZERO, |it| it.last),
            snapshot,
            entries: entries.into_iter().map(Ok::<_, std::convert::Infallible>),
        };
        let config = Config::new(NodeId(1), [1, 2, 3].map(NodeId));
        let raft = Raft::new(config, recovered, Instant::ZERO);
        raft.map(|raft| raft.membership().clone())
    };
    let snapshot = |voters: &[u64]| Snapshot {
        last: id(4),
        membership: of(voters),
    };
    assert_eq!(start(None, vec![]), Ok(of(&[1, 2, 3])));
    assert_eq!(start(Some(snapshot(&[1, 2])), vec![]), Ok(of(&[1, 2])));
    // A node that joined took it before its log named anybody.
    assert_eq!(start(Some(snapshot(&[])), vec![]), Ok(of(&[1, 2, 3])));
    let later = vec![entry(5, of(&[1, 4]).encode())];
    assert_eq!(start(Some(snapshot(&[1, 2])), later), Ok(of(&[1, 4])));
    let unreadable = RecoverError::Membership { index: Index(1) };
    for body in [Bytes::from_static(b"x"), of(&[]).encode()] {
        assert_eq!(start(None, vec![entry(1, body)]), Err(unreadable));
    }
}
