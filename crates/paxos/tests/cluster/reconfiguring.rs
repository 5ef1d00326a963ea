//! Lamport's rules of reconfiguration (*Reconfiguring a State Machine*, with Malkhi and Zhou, 2010; Paxos
//! Made Simple §3): what is chosen in slot i governs from slot i + α on.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use synod_paxos::{
    ChangeError, ChangePhase, Config, Kind, Membership, MembershipError, NodeId, ProposeError,
    Quorums,
};

use crate::harness::cluster::{Cluster, to};

/// Three acceptors and some empty nodes.
fn group(joining: u64, alpha: u64) -> Cluster {
    let quorums = Quorums::majority([1, 2, 3].map(NodeId)).unwrap();
    Cluster::joined(&quorums, joining, |config: &mut Config| {
        if let Some(first) = &mut config.first {
            first.alpha = alpha;
        }
    })
}

fn change_to(cluster: &mut Cluster, id: u64, target: &Membership) -> Result<(), ChangeError> {
    let target = target.clone();
    cluster.step(id, |paxos, now| paxos.change_membership(now, target))
}

/// PMS §3: "a leader can get α commands ahead", and no further, whatever its bounds of memory allow.
#[test]
fn a_leader_is_alpha_slots_ahead_and_no_more() {
    let mut cluster = group(0, 5);
    cluster.elect(1);
    cluster.isolate(1);
    for _ in 0..5 {
        cluster.propose(1, "x").unwrap();
    }
    assert_eq!(cluster.propose(1, "x"), Err(ProposeError::Busy));
}

/// The slots between the decision and its effect are filled at once, by one run of no-ops: no client has to
/// send α commands first.
#[test]
fn one_run_of_no_ops_flushes_a_change() {
    let mut cluster = group(0, 6000);
    cluster.elect(1);
    cluster.settle();
    cluster.change(1, &[1, 2]).unwrap();
    cluster.settle();
    let status = cluster.status(1);
    assert_eq!(status.chosen.0, 6000);
    assert_eq!(status.in_force, status.latest);
    let writes = cluster.node(2).given.len();
    assert_eq!(writes, 6000);
    let noops = cluster.nodes[&NodeId(2)].given.iter();
    let noops = noops.filter(|(_, value)| value.kind == Kind::Noop).count();
    assert_eq!(noops, 5999);
}

/// While new acceptors are asked for promises, commands are chosen in the slots that the old ones govern.
#[test]
fn nothing_waits_for_a_change() {
    let mut cluster = group(1, 10);
    cluster.elect(1);
    cluster.settle();
    cluster.change(1, &[1, 2, 4]).unwrap();
    // All but the request for a promise, and what follows from it.
    let is_asked = |packet: &crate::harness::cluster::Packet| {
        crate::harness::notation::name_of(&packet.message) == "Prepare"
    };
    while cluster.status(1).configuration == 0 {
        cluster.deliver(|packet| !is_asked(packet));
    }
    let phase = cluster.status(1).change.map(|change| change.phase);
    assert_eq!(phase, Some(ChangePhase::Decided));
    let position = cluster.propose(1, "x").unwrap();
    for _ in 0..4 {
        cluster.deliver(|packet| !is_asked(packet));
    }
    assert!(cluster.status(1).chosen >= position.slot);
    cluster.settle();
    cluster.heartbeat(1);
    cluster.settle();
    assert_eq!(cluster.commands(4).last(), Some(&Bytes::from_static(b"x")));
}

/// Acceptors, quorums of each kind, learners and contexts follow each other.
#[test]
fn all_of_a_membership_may_change() {
    let mut cluster = group(3, 3);
    cluster.elect(1);
    cluster.settle();
    let ids = |ids: &[u64]| ids.iter().copied().map(NodeId).collect::<Vec<_>>();
    let mut learners = Membership::of(Quorums::majority(ids(&[1, 2, 3])).unwrap());
    learners.learners = [4].map(NodeId).into();
    learners.contexts = [(NodeId(4), Bytes::from_static(b"host:4"))].into();
    let mut moved = learners.clone();
    moved.contexts = [(NodeId(4), Bytes::from_static(b"host:5"))].into();
    let grid = Quorums::grid([ids(&[1, 2]), ids(&[3, 4])]).unwrap();
    let flexible = Quorums::flexible(ids(&[1, 4, 5, 6]), 3, 2).unwrap();
    let weighted = Quorums::weighted([(NodeId(1), 3), (NodeId(6), 2)], 3, 3).unwrap();
    let targets = [grid, flexible, weighted].map(Membership::of);
    for target in [learners, moved].iter().chain(&targets) {
        change_to(&mut cluster, 1, target).unwrap();
        cluster.run(200);
        let status = cluster.status(1);
        assert_eq!(
            status.in_force.as_ref(),
            Some(target),
            "{:?}",
            status.change
        );
        assert_eq!(status.change, None);
    }
    cluster.propose(1, "x").unwrap();
    cluster.run(10);
    assert_eq!(cluster.commands(6).last(), Some(&Bytes::from_static(b"x")));
}

/// A learner holds everything and never leads, however long it hears of nobody. Neither does a node that
/// waits to be added.
#[test]
fn who_is_no_acceptor_never_campaigns() {
    let mut cluster = group(2, 3);
    cluster.elect(1);
    cluster.settle();
    let mut target = Membership::of(Quorums::majority([1, 2, 3].map(NodeId)).unwrap());
    target.learners = [4].map(NodeId).into();
    change_to(&mut cluster, 1, &target).unwrap();
    cluster.run(200);
    (1..=3).for_each(|id| cluster.crash(id));
    cluster.run(3000);
    assert_eq!(cluster.leaders(), Vec::<u64>::new());
    assert_eq!(cluster.status(4).ballot, cluster.status(4).ballot);
    assert!(cluster.status(5).in_force.is_none());
    assert!(
        cluster
            .net
            .iter()
            .all(|packet| packet.from.0 < 4 || to(0)(packet))
    );
}

/// Every refusal has its reason, and nothing was begun.
#[test]
fn what_cannot_be_is_refused() {
    let mut cluster = group(1, 3);
    let majority = |ids: BTreeSet<u64>| {
        Membership::of(Quorums::majority(ids.into_iter().map(NodeId)).unwrap())
    };
    let few = majority([1, 2].into());
    let refused = change_to(&mut cluster, 1, &few);
    assert_eq!(refused, Err(ChangeError::NotLeader(None)));
    cluster.elect(1);
    cluster.settle();
    let mut strange = few.clone();
    strange.contexts = [(NodeId(9), Bytes::from_static(b"x"))].into();
    let error = MembershipError::ContextOfStranger { node: NodeId(9) };
    let refused = change_to(&mut cluster, 1, &strange);
    assert_eq!(refused, Err(ChangeError::Invalid(error)));
    // Together with those that are there they are too many.
    let many = majority((10..=72).collect());
    let refused = change_to(&mut cluster, 1, &many);
    assert_eq!(refused, Err(ChangeError::TooManyNodes));
    cluster
        .step(1, |paxos, now| paxos.transfer(now, Some(NodeId(2))))
        .unwrap();
    cluster.net.clear();
    let refused = change_to(&mut cluster, 1, &few);
    assert_eq!(refused, Err(ChangeError::Transferring { to: NodeId(2) }));
    cluster.now = cluster.now.plus(Duration::from_secs(1));
    assert_eq!(cluster.status(1).change, None);
}
