//! One leader, values chosen, and what becomes of them when nodes come and go.

use synod_paxos::{Ballot, Kind, NodeId, Quorums, Role, Slot};

use crate::harness::cluster::{Cluster, between, from, to};

/// Proposes, and everything arrives.
fn choose(cluster: &mut Cluster, id: u64, body: &'static str) {
    cluster.propose(id, body).unwrap();
    cluster.settle();
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
            assert_eq!(cluster.nodes[&NodeId(id)].commands, ["a", "b", "c"]);
            assert_eq!(cluster.status(id).leader, Some(NodeId(1)));
        }
    }
}
