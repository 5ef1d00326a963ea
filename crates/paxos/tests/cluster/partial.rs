//! Partial connectivity, in virtual time (Ng, Haridi, Carbone, *Omni-Paxos: Breaking the Barriers
//! of Partial Connectivity*, EuroSys 2023, §2 and §7; torture list C2 to C6, I13): a node that is
//! connected to quorums leads within four election timeouts, whatever other links are cut.

use synod_paxos::{NodeId, Quorums};

use crate::harness::cluster::Cluster;

/// Four times the longest election timeout.
const FOUR_TIMEOUTS: u64 = 4 * 300;
const SEEDS: u64 = 100;

/// A group that has chosen a value, and is led by `leader`.
fn led_by(size: u64, leader: u64, seed: u64) -> Cluster {
    let mut cluster = Cluster::new(size, |config| config.seed = seed);
    cluster.elect(leader);
    cluster.propose(leader, "a").unwrap();
    cluster.run(100);
    cluster
}

/// Leaves only these links.
fn link(cluster: &mut Cluster, links: &[(u64, u64)]) {
    let ids: Vec<u64> = cluster.nodes.keys().map(|id| id.0).collect();
    for a in &ids {
        for b in &ids {
            if !links.contains(&(*a, *b)) && !links.contains(&(*b, *a)) {
                cluster.cut.insert((NodeId(*a), NodeId(*b)));
            }
        }
    }
}

/// Whether a new value can be chosen, and by which leader.
fn chooses(cluster: &Cluster) -> Option<u64> {
    let leads = |id: &u64| {
        let status = cluster.status(*id);
        let mut heard = 1;
        for peer in &status.peers {
            heard += u64::from(cluster.now.since(peer.contact).as_millis() < 100);
        }
        heard > cluster.nodes.len() as u64 / 2
    };
    cluster.leaders().into_iter().find(leads)
}

/// Checks that a node leads in time, and that its proposals are chosen.
fn expect_leader(cluster: &mut Cluster, case: &str) -> u64 {
    let took = cluster.run_until(FOUR_TIMEOUTS, |cluster| {
        chooses(cluster).is_some_and(|id| id != 1)
    });
    assert!(took.is_some(), "{case}: no leader in time");
    let leader = chooses(cluster).unwrap();
    let before = cluster.status(leader).chosen;
    cluster.propose(leader, "b").unwrap();
    let chosen = |cluster: &Cluster| cluster.status(leader).chosen > before;
    assert!(cluster.run_until(300, chosen).is_some(), "{case}");
    leader
}

/// C3: the leader is up, and of all nodes only 3 is connected to a quorum.
#[test]
fn c3_quorum_loss() {
    for seed in 0..SEEDS {
        let mut cluster = led_by(5, 1, seed);
        link(&mut cluster, &[(3, 1), (3, 2), (3, 4), (3, 5)]);
        let leader = expect_leader(&mut cluster, &format!("seed {seed}"));
        assert_eq!(leader, 3);
        let elections = cluster.watch.elections();
        cluster.run(3000);
        assert_eq!(cluster.watch.elections(), elections, "and it keeps leading");
    }
}

/// C4: as above, and 3 has missed what was chosen meanwhile. It leads and learns it.
#[test]
fn c4_constrained_election() {
    for seed in 0..SEEDS {
        let mut cluster = led_by(5, 1, seed);
        cluster.isolate(3);
        for _ in 0..20 {
            cluster.propose(1, "missed").unwrap();
            cluster.run(5);
        }
        cluster.heal();
        link(&mut cluster, &[(3, 2), (3, 4), (3, 5)]);
        let leader = expect_leader(&mut cluster, &format!("seed {seed}"));
        assert_eq!(leader, 3);
        assert_eq!(cluster.commands(3).len(), 22);
    }
}

/// C4, harder: what 3 has missed is compacted away on all nodes, and no node leads that had it.
#[test]
fn c4_constrained_election_with_a_snapshot() {
    for seed in 0..SEEDS {
        let mut cluster = led_by(5, 1, seed);
        cluster.isolate(3);
        for _ in 0..20 {
            cluster.propose(1, "missed").unwrap();
            cluster.run(5);
        }
        [2, 4, 5].iter().for_each(|id| cluster.take_snapshot(*id));
        cluster.crash(1);
        cluster.heal();
        link(&mut cluster, &[(3, 2), (3, 4), (3, 5)]);
        let leader = expect_leader(&mut cluster, &format!("seed {seed}"));
        assert_eq!(leader, 3);
        assert_eq!(cluster.nodes[&NodeId(3)].restores, 1);
    }
}

/// C5: three nodes in a chain. The end without contact with the leader disturbs nobody.
#[test]
fn c5_chained() {
    for seed in 0..SEEDS {
        for leader in [1, 2] {
            let mut cluster = led_by(3, leader, seed);
            link(&mut cluster, &[(1, 2), (2, 3)]);
            cluster.run(10 * 300);
            assert!(cluster.watch.elections() <= 2, "seed {seed}");
            let leader = chooses(&cluster).unwrap();
            let chosen = cluster.status(leader).chosen;
            cluster.propose(leader, "b").unwrap();
            cluster.run(10);
            assert!(cluster.status(leader).chosen > chosen);
        }
    }
}

/// C5 with five: the ends of the chain are connected to no quorum, and one of them led.
#[test]
fn c5_chained_five() {
    for seed in 0..SEEDS {
        let mut cluster = led_by(5, 1, seed);
        link(&mut cluster, &[(1, 2), (2, 3), (3, 4), (4, 5)]);
        expect_leader(&mut cluster, &format!("seed {seed}"));
        let elections = cluster.watch.elections();
        cluster.run(3000);
        assert_eq!(cluster.watch.elections(), elections, "seed {seed}");
    }
}

/// C6: two halves that share one node. A leader that is only in contact with this bridge must not
/// keep the others from electing one.
#[test]
fn c6_bridge() {
    for seed in 0..SEEDS {
        let mut cluster = led_by(5, 1, seed);
        link(&mut cluster, &[(1, 3), (2, 3), (3, 4), (3, 5), (4, 5)]);
        let leader = expect_leader(&mut cluster, &format!("seed {seed}"));
        assert!(leader != 2, "seed {seed}: 2 hears 3 alone");
    }
}

/// C2: links that go down and up again do not depose a leader that is in contact with a quorum.
#[test]
fn c2_a_flapping_link_unseats_nobody() {
    for seed in 0..SEEDS / 5 {
        let mut cluster = led_by(5, 1, seed);
        let elections = cluster.watch.elections();
        for at in 0..20 {
            if at % 2 == 0 {
                cluster.cut.extend([
                    (NodeId(1), NodeId(2)),
                    (NodeId(2), NodeId(1)),
                    (NodeId(5), NodeId(1)),
                ]);
            } else {
                cluster.heal();
            }
            cluster.run(400);
        }
        assert_eq!(cluster.watch.elections(), elections, "seed {seed}");
        assert_eq!(cluster.leaders(), [1]);
    }
}

/// I13 (omnipaxos#1): a node that missed all ballots learns them from the answers.
#[test]
fn i13_ballots_are_learned_by_asking() {
    for seed in 0..SEEDS / 5 {
        let mut cluster = led_by(3, 1, seed);
        cluster.isolate(3);
        for leader in [2, 1, 2, 1] {
            cluster.elect(leader);
        }
        cluster.heal();
        cluster.crash(1);
        let took = cluster.run_until(FOUR_TIMEOUTS, |cluster| !cluster.leaders().is_empty());
        assert!(took.is_some(), "seed {seed}");
    }
}

/// A leader needs a phase-2 quorum, and a campaign a phase-1 quorum as well: with three for phase 1
/// and two for phase 2 a pair continues to choose, and elects nobody.
#[test]
fn flexible_quorums_lose_a_leader_and_not_before() {
    for seed in 0..SEEDS / 5 {
        let quorums = Quorums::flexible((1..=4).map(NodeId), 3, 2).unwrap();
        let mut cluster = Cluster::with_quorums(&quorums, |config| config.seed = seed);
        cluster.elect(1);
        cluster.isolate(3);
        cluster.isolate(4);
        cluster.run(2000);
        assert_eq!(cluster.leaders(), [1]);
        cluster.propose(1, "by two").unwrap();
        cluster.run(10);
        assert_eq!(cluster.commands(2), ["by two"]);
        cluster.crash(1);
        cluster.run(3000);
        assert!(cluster.leaders().is_empty());
        assert_eq!(cluster.status(2).ballot.round, 1, "nobody uses ballots up");
        cluster.heal();
        let took = cluster.run_until(FOUR_TIMEOUTS, |cluster| !cluster.leaders().is_empty());
        assert!(took.is_some(), "seed {seed}");
        cluster.run(100);
        assert_eq!(cluster.commands(4), ["by two"]);
    }
}
