//! Elections: what only many of them, or a look at deadlines, can show.

use std::time::Duration;

use synod_raft::{Index, Message, NodeId, Raft, Replicate, Role, StepDown, Term};

use crate::harness::cluster::Cluster;

/// D13: messages with this node's own id as sender are ignored and counted. Whoever else sends one is
/// a node of the cluster, which the driver sees to, and may lead by a membership that is not here yet.
#[test]
fn d13_nobody_speaks_for_this_node() {
    let mut cluster = Cluster::new(3, |_| {});
    let append = |term| {
        Message::Replicate(Replicate::Heartbeat {
            term,
            round: 1,
            commit: Index(0),
            matched: Index(0),
            lease: Duration::ZERO,
        })
    };
    cluster.watch.made_up = true;
    let mut tell = |id| {
        cluster.step(1, |raft, now| {
            raft.handle_message(now, NodeId(id), append(Term(5)));
        });
        (
            cluster.status(1).term,
            cluster.node(1).core().counters().strangers,
        )
    };
    assert_eq!(tell(1), (Term(0), 1));
    assert_eq!(tell(4), (Term(5), 1));
}

/// An idle follower only has its election deadline, and a heartbeat moves it.
#[test]
fn an_idle_group_has_one_deadline() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    cluster.heartbeat(1);
    cluster.settle();
    let deadline = |cluster: &Cluster, id| {
        cluster.nodes[&NodeId(id)]
            .core
            .as_ref()
            .unwrap()
            .poll_timeout()
            .unwrap()
    };
    let ahead = deadline(&cluster, 2).since(cluster.now);
    assert!(
        Duration::from_millis(150) <= ahead && ahead < Duration::from_millis(300),
        "{ahead:?}"
    );
    assert_eq!(
        deadline(&cluster, 1).since(cluster.now),
        Duration::from_millis(40)
    );
    let writes = cluster.nodes[&NodeId(2)].writes;
    for _ in 0..5 {
        cluster.heartbeat(1);
        assert_eq!(cluster.net.len(), 2, "a heartbeat for each peer");
        assert_eq!(cluster.deliver(|_| true), 2);
        assert_eq!(cluster.net.len(), 2, "an echo from each");
        cluster.settle();
    }
    assert_eq!(
        cluster.nodes[&NodeId(2)].writes,
        writes,
        "an idle group does not write"
    );
}

/// M6: who could not lead lets others try first. How long, and that it ends: `src/pace.rs`.
#[test]
fn m6_who_gave_up_leadership_waits_twice_as_long() {
    let mut cluster = Cluster::new(3, |_| {});
    let (min, max) = (Duration::from_millis(150), Duration::from_millis(300));
    cluster.elect(1);
    cluster.isolate(1);
    while cluster.status(1).role == Role::Leader {
        one_millisecond_of(&mut cluster, 1);
    }
    assert_eq!(cluster.status(1).stepped_down, Some(StepDown::NoQuorum));
    let deadline = cluster.node(1).core().poll_timeout();
    let wait = deadline.expect("it will campaign").since(cluster.now);
    assert!(wait >= min * 2 && wait < max * 2, "{wait:?}");
}

/// A millisecond for one node.
fn one_millisecond_of(cluster: &mut Cluster, id: u64) {
    cluster.now = cluster.now.plus(Duration::from_millis(1));
    let now = cluster.now;
    let deadline = cluster.node(id).core().poll_timeout();
    if deadline.is_some_and(|deadline| deadline <= now) {
        cluster.step(id, Raft::handle_timeout);
    }
}

/// C13 (openraft 5e15946d): every heartbeat resets the deadlines of all followers at the same
/// moment. Still they must not expire at the same moment, or each election is a split vote.
#[test]
fn c13_a_heartbeat_does_not_synchronise_its_followers() {
    let mut split = 0;
    for seed in 0..ELECTIONS {
        let mut cluster = Cluster::new(5, |config| {
            config.pre_vote = false;
            config.seed = seed;
        });
        cluster.elect(1);
        for _ in 0..5 {
            cluster.heartbeat(1);
            cluster.settle();
        }
        cluster.crash(1);
        let leads = |cluster: &Cluster| (2..=5).any(|id| cluster.status(id).role == Role::Leader);
        for _ in 0..3000 {
            if leads(&cluster) {
                break;
            }
            one_millisecond(&mut cluster);
        }
        assert!(leads(&cluster), "seed {seed}");
        let term = (2..=5).map(|id| cluster.status(id).term.0).max();
        split += u64::from(term > Some(2));
    }
    assert!(
        split <= ELECTIONS / 20,
        "{split} of {ELECTIONS} votes were split"
    );
}

/// Delivers messages, in reverse order for half of the nodes, and fires the timers that are due.
fn one_millisecond(cluster: &mut Cluster) {
    cluster.now = cluster.now.plus(Duration::from_millis(1));
    let (in_order, reversed): (Vec<_>, Vec<_>) = cluster
        .take(|_| true)
        .into_iter()
        .partition(|packet| packet.to.0 % 2 == 0);
    let packets = in_order.into_iter().chain(reversed.into_iter().rev());
    packets.for_each(|packet| cluster.receive(packet));
    for id in 2..=5 {
        let now = cluster.now;
        let deadline = cluster.node(id).core().poll_timeout();
        if deadline.is_some_and(|deadline| deadline <= now) {
            cluster.step(id, Raft::handle_timeout);
        }
    }
}

/// Four timeouts within 150 ms, and two message delays to win: fewer than one in ten elections have
/// closer timeouts.
const ELECTIONS: u64 = 100;
