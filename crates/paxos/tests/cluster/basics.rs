//! One leader, chosen values, and what becomes of them when nodes crash and restart.

use bytes::Bytes;
use synod_paxos::{
    Ballot, Binding, Echo, Kind, Message, NodeId, Position, ProposeError, Quorums, Refusal,
    Replicate, Role, Slot,
};

use crate::harness::cluster::{Cluster, between, from, to};

/// Proposes, and delivers everything.
fn choose(cluster: &mut Cluster, id: u64, body: &'static str) -> Position {
    let position = cluster.propose(id, body).unwrap();
    cluster.settle();
    position
}

fn commands(cluster: &Cluster, id: u64) -> Vec<Bytes> {
    let commands = cluster.commands(id).into_iter();
    commands.filter(|body| !body.is_empty()).collect()
}

fn is_accept(message: &Message) -> bool {
    matches!(message, Message::Replicate(Replicate::Accept { .. }))
}

#[test]
fn groups_of_any_size_choose() {
    for size in [1, 3, 5] {
        let mut cluster = Cluster::new(size, |_| {});
        cluster.elect(1);
        for body in ["a", "b", "c"] {
            choose(&mut cluster, 1, body);
        }
        assert_eq!(cluster.leaders(), [1]);
        for id in 1..=size {
            assert_eq!(commands(&cluster, id), ["a", "b", "c"]);
            assert_eq!(cluster.status(id).leader, Some(NodeId(1)));
        }
    }
}

/// Phase 1 once, then one round trip per value (Paxos Made Simple §3).
#[test]
fn phase_1_is_for_all_later_slots() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    for _ in 0..10 {
        cluster.propose(1, "x").unwrap();
        let accepts = cluster.take(|packet| is_accept(&packet.message));
        assert_eq!(accepts.len(), 2, "one message to each acceptor");
        assert!(cluster.net.is_empty());
        accepts
            .into_iter()
            .for_each(|packet| cluster.receive(packet));
        cluster.settle();
    }
    assert_eq!(cluster.status(2).chosen, Slot(10));
    assert_eq!(cluster.watch.elections(), 1);
}

/// A later leader finds values with gaps between them. It proposes those again and fills the gaps
/// with no-ops of its own ballot. The values that it proposes again keep their origin.
#[test]
fn gaps_are_filled_with_no_ops() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    choose(&mut cluster, 1, "a");
    for body in ["lost", "b", "lost too", "c"] {
        let origin = cluster.propose(1, body).unwrap().origin;
        assert_eq!(origin.round, 1);
        if body.starts_with("lost") {
            cluster.take(|packet| is_accept(&packet.message));
        } else {
            cluster.take(between(1, 3));
            cluster.deliver(to(2));
        }
    }
    // Only nodes 2 and 1 vote for slots 3 and 5, and 1 is down.
    cluster.crash(1);
    cluster.net.clear();
    cluster.elect(3);
    cluster.settle();
    let chosen = &cluster.watch.chosen;
    let kinds: Vec<(Kind, u64)> = chosen
        .iter()
        .map(|value| (value.kind, value.origin.round))
        .collect();
    let (noop, command) = (Kind::Noop, Kind::Command);
    assert_eq!(
        kinds,
        [
            (command, 1),
            (noop, 2),
            (command, 1),
            (noop, 2),
            (command, 1)
        ]
    );
    assert_eq!(commands(&cluster, 2), ["a", "b", "c"]);
    cluster.restart(1);
    cluster.heartbeat(3);
    cluster.settle();
    assert_eq!(commands(&cluster, 1), ["a", "b", "c"]);
}

/// There is no order across leaders: a value of an old leader may be chosen after values of a later
/// one, although the value that it proposed before was not. Raft's Log Matching forbids this.
#[test]
fn an_old_proposal_comes_to_life_after_newer_ones() {
    let mut cluster = Cluster::new(5, |_| {});
    cluster.elect(1);
    cluster.settle();
    let (first, second) = (cluster.propose(1, "first"), cluster.propose(1, "second"));
    assert_eq!(
        (first.unwrap().slot, second.unwrap().slot),
        (Slot(1), Slot(2))
    );
    // Only the second of the two reaches another node: 5.
    let second = cluster.take(between(1, 5)).pop().unwrap();
    cluster.receive(second);
    cluster.crash(1);
    cluster.net.clear();
    // A later leader learns of neither, and chooses its own value for slot 1.
    cluster.isolate(5);
    cluster.elect(2);
    choose(&mut cluster, 2, "newer");
    cluster.crash(2);
    // The leader after that learns of 5.
    cluster.heal();
    cluster.elect(3);
    cluster.settle();
    assert_eq!(commands(&cluster, 3), ["newer", "second"]);
    let origins: Vec<u64> = cluster
        .watch
        .chosen
        .iter()
        .map(|value| value.origin.round)
        .collect();
    assert_eq!(origins, [2, 1], "origins need not rise");
}

/// I2: each campaign of a node has a higher ballot than all its earlier ones, also after restarts
/// and if it crashed before it led.
#[test]
fn ballots_rise_over_restarts() {
    let mut cluster = Cluster::new(3, |_| {});
    let mut last = Ballot::ZERO;
    for at in 0..20 {
        cluster.campaign(1);
        cluster.deliver(to(2));
        cluster.deliver(to(3));
        cluster.deliver(to(1));
        if at % 3 == 0 {
            cluster.settle();
            assert_eq!(cluster.status(1).role, Role::Leader);
        }
        let ballot = cluster.status(1).ballot;
        assert!(ballot > last && ballot.node == NodeId(1));
        last = ballot;
        cluster.crash(1);
        cluster.net.clear();
        cluster.restart(1);
    }
}

/// A leader that crashes restarts as a follower, and at once applies what it knew to be chosen.
#[test]
fn a_leader_crashes_and_restarts() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    for body in ["a", "b", "c"] {
        choose(&mut cluster, 1, body);
    }
    cluster.crash(1);
    cluster.elect(2);
    choose(&mut cluster, 2, "d");
    cluster.isolate(1);
    cluster.restart(1);
    assert_eq!(
        commands(&cluster, 1),
        ["a", "b"],
        "c was not known to be chosen in any record"
    );
    cluster.heal();
    cluster.heartbeat(2);
    cluster.settle();
    assert_eq!(commands(&cluster, 1), ["a", "b", "c", "d"]);
    assert_eq!(cluster.status(1).role, Role::Follower);
}

/// A lost message is sent again to a follower, which then also acknowledges what it has after the
/// gap.
#[test]
fn a_lost_value_is_sent_again() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    cluster.isolate(2);
    cluster.propose(1, "a").unwrap();
    cluster.take(to(3));
    for body in ["b", "c"] {
        choose(&mut cluster, 1, body);
    }
    assert_eq!(cluster.status(1).chosen, Slot(0), "they wait for the first");
    assert_eq!(cluster.status(3).last, Slot(3));
    cluster.exhaust_backoff(1);
    assert_eq!(cluster.status(1).chosen, Slot(3));
    cluster.heal();
    cluster.exhaust_backoff(1);
    assert_eq!(commands(&cluster, 2), ["a", "b", "c"]);
}

/// The acknowledgement of the last value is lost. The follower learns from a heartbeat that it is
/// missing, and repeats it.
#[test]
fn a_lost_acknowledgement_is_repeated() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    cluster.isolate(2);
    cluster.propose(1, "a").unwrap();
    cluster.deliver(to(3));
    cluster.take(from(3));
    cluster.settle();
    assert_eq!(cluster.status(1).chosen, Slot(0));
    cluster.heartbeat(1);
    cluster.settle();
    assert_eq!(cluster.status(1).chosen, Slot(1));
}

#[test]
fn a_lagging_node_catches_up_by_values() {
    for cache in [0, 1 << 20] {
        let mut cluster = Cluster::new(3, |config| {
            config.cache_bytes_max = cache;
            config.accept_bytes_max = 200;
        });
        cluster.elect(1);
        cluster.isolate(3);
        for _ in 0..50 {
            choose(&mut cluster, 1, "x");
        }
        cluster.heal();
        cluster.exhaust_backoff(1);
        assert_eq!(cluster.status(3).chosen, Slot(50));
        assert_eq!(cluster.nodes[&NodeId(3)].restores, 0);
    }
}

#[test]
fn a_lagging_node_catches_up_by_a_snapshot() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    cluster.isolate(3);
    for _ in 0..50 {
        choose(&mut cluster, 1, "x");
    }
    cluster.take_snapshot(1);
    choose(&mut cluster, 1, "behind it");
    cluster.heal();
    cluster.exhaust_backoff(1);
    assert_eq!(cluster.status(3).chosen, Slot(51));
    assert_eq!(cluster.nodes[&NodeId(3)].restores, 1);
}

/// A node that missed everything becomes leader, and learns while it leads: from the caches of the
/// others, from their disks, or by a snapshot. Its own proposals do not wait for that.
#[test]
fn a_stale_leader_learns_what_is_chosen() {
    for (cache, snapshot) in [(1 << 20, false), (0, false), (0, true)] {
        let mut cluster = Cluster::new(3, |config| {
            config.cache_bytes_max = cache;
            config.accept_bytes_max = 200;
        });
        cluster.elect(1);
        cluster.isolate(3);
        for _ in 0..50 {
            choose(&mut cluster, 1, "x");
        }
        if snapshot {
            [1, 2].iter().for_each(|id| cluster.take_snapshot(*id));
        }
        cluster.crash(1);
        cluster.heal();
        cluster.slow_reads.insert(NodeId(2));
        cluster.slow_pulls = true;
        cluster.elect(3);
        let learns = cache == 0;
        assert_eq!(
            cluster.status(3).chosen < Slot(50),
            learns,
            "{cache} {snapshot}"
        );
        choose(&mut cluster, 3, "meanwhile");
        assert!(cluster.nodes[&NodeId(2)].disk.log.contains_key(&51));
        cluster.read(3, 1).unwrap();
        cluster.settle();
        assert_eq!(cluster.waits(1), learns, "a read waits for all of it");
        cluster.slow_reads.clear();
        cluster.slow_pulls = false;
        cluster.pump(NodeId(2));
        cluster.pump(NodeId(3));
        cluster.settle();
        for _ in 0..3 {
            cluster.heartbeat(3);
            cluster.settle();
        }
        assert_eq!(cluster.status(3).chosen, Slot(51));
        assert_eq!(cluster.nodes[&NodeId(3)].restores, u64::from(snapshot));
        assert!(!cluster.waits(1));
    }
}

/// A leader that cannot learn steps down, because others may have what it lacks.
#[test]
fn a_leader_that_learns_nothing_resigns() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    cluster.isolate(3);
    for _ in 0..5 {
        choose(&mut cluster, 1, "x");
    }
    cluster.crash(1);
    cluster.heal();
    cluster.campaign(3);
    let is_lesson = |message: &Message| matches!(message, Message::Echo(Echo::Learned { .. }));
    for _ in 0..100 {
        cluster.deliver(|packet| !is_lesson(&packet.message));
    }
    assert_eq!(cluster.status(3).role, Role::Leader);
    let resigned = (0..400).any(|_| {
        cluster.take(|packet| is_lesson(&packet.message));
        cluster.tick();
        cluster.status(3).role != Role::Leader
    });
    assert!(resigned);
}

/// Votes above the chosen prefix are reported in pages, however many there are.
#[test]
fn phase_1_reads_pages() {
    let mut cluster = Cluster::new(3, |config| config.accept_bytes_max = 200);
    cluster.elect(1);
    cluster.isolate(3);
    for _ in 0..30 {
        cluster.propose(1, "0123456789").unwrap();
    }
    // Node 2 votes for all of them, and no other node learns of it.
    cluster.deliver(to(2));
    let last = cluster.status(2).last;
    assert_eq!(last, Slot(30));
    cluster.crash(1);
    cluster.heal();
    cluster.net.clear();
    cluster.campaign(3);
    let mut pages = 0;
    while !cluster.net.is_empty() {
        let is_page = |packet: &crate::harness::cluster::Packet| {
            matches!(packet.message, Message::Binding(Binding::Promise { .. }))
        };
        pages += cluster.net.iter().filter(|packet| is_page(packet)).count();
        cluster.deliver(|_| true);
    }
    assert!(pages >= 4, "{pages} pages");
    assert_eq!(cluster.status(3).chosen, last);
}

/// Reads are confirmed by a phase-2 quorum, wait for what phase 1 found, and end with the ballot.
#[test]
fn reads_are_confirmed_and_never_stale() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    choose(&mut cluster, 1, "a");
    cluster.read(1, 1).unwrap();
    assert!(cluster.waits(1));
    cluster.settle();
    assert_eq!(cluster.answers, [(NodeId(1), (1, Ok(1)))]);
    // Cut off, it cannot know what the others choose.
    cluster.isolate(1);
    cluster.read(1, 2).unwrap();
    cluster.elect(2);
    choose(&mut cluster, 2, "b");
    assert!(cluster.waits(2));
    cluster.heal();
    cluster.heartbeat(2);
    cluster.settle();
    let refused = Err(Refusal::NotLeader(Some(NodeId(2))));
    assert_eq!(cluster.answers[1], (NodeId(1), (2, refused)));
    assert!(cluster.read(1, 3).is_err());
}

/// Flexible Paxos: phase 1 needs three of four, phase 2 two.
#[test]
fn phase_2_with_two_of_four() {
    let quorums = Quorums::flexible((1..=4).map(NodeId), 3, 2).unwrap();
    let mut cluster = Cluster::with_quorums(&quorums, |_| {});
    cluster.campaign(1);
    cluster.take(to(3));
    cluster.take(to(4));
    cluster.settle();
    assert_ne!(cluster.status(1).role, Role::Leader, "two do not elect");
    cluster.elect(1);
    cluster.isolate(3);
    cluster.isolate(4);
    choose(&mut cluster, 1, "by two");
    assert_eq!(cluster.status(1).chosen, Slot(1));
    // Any three intersect them.
    cluster.heal();
    cluster.crash(1);
    cluster.elect(4);
    assert_eq!(commands(&cluster, 4), ["by two"]);
    cluster.isolate(2);
    cluster.isolate(3);
    assert!(cluster.propose(4, "alone").is_ok());
    cluster.settle();
    assert_eq!(cluster.status(4).chosen, Slot(1));
}

#[test]
fn who_does_not_lead_refuses() {
    let mut cluster = Cluster::new(3, |_| {});
    assert_eq!(cluster.propose(2, "x"), Err(ProposeError::NotLeader(None)));
    cluster.elect(1);
    cluster.heartbeat(1);
    cluster.settle();
    let known = Some(NodeId(1));
    assert_eq!(cluster.propose(2, "x"), Err(ProposeError::NotLeader(known)));
}
