//! A leader that has voted for one value and is told that another is chosen.

use synod_paxos::Slot;

use crate::harness::cluster::Cluster;

/// Node 1 has a vote for a value that nobody else saw. Another is chosen in its slot, and node 1
/// leads again without node 2, from which it would hear the vote of the higher ballot.
#[test]
fn what_is_learned_takes_the_place_of_an_old_vote() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    cluster.isolate(1);
    cluster.propose(1, "old").unwrap();
    let voted = cluster.nodes[&synod_paxos::NodeId(1)].disk.log[&1].clone();
    assert_eq!(&voted.value.body[..], b"old");
    cluster.elect(2);
    cluster.propose(2, "new").unwrap();
    cluster.settle();
    cluster.heartbeat(2);
    cluster.settle();
    assert_eq!(cluster.status(3).chosen, Slot(1));
    cluster.heal();
    cluster.isolate(2);
    // It finds that nobody hears it, and resigns; then it asks.
    cluster.campaign(1);
    cluster.settle();
    cluster.elect(1);
    assert_eq!(cluster.status(1).chosen, Slot(1));
    let applied: Vec<_> = cluster.node(1).commands.clone();
    assert_eq!(applied, ["new"]);
}
