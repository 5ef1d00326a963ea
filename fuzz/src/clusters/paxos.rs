//! A Multi-Paxos group, also with quorums that are no majorities.

use synod_paxos::{Config, NodeId, Position, Quorums, Role};

#[path = "../../../crates/paxos/tests/harness/mod.rs"]
#[allow(clippy::unwrap_used, reason = "a harness panics like a test")]
mod harness;

schedule!();

type Proposed = Position;

impl<'a, 'b> Run<'a, 'b> {
    fn new(script: &'b mut Script<'a>) -> Self {
        let (size, quorums) = match script.below(8) {
            0 => (4, Quorums::flexible((1..=4).map(NodeId), 3, 2)),
            1 => (5, Quorums::flexible((1..=5).map(NodeId), 4, 2)),
            2 => (3, Quorums::flexible((1..=3).map(NodeId), 1, 3)),
            3 => (
                4,
                Quorums::grid([[1, 2], [3, 4]].map(|row| row.map(NodeId))),
            ),
            other => (other - 2, Quorums::majority((1..=other - 2).map(NodeId))),
        };
        let accept = script.pick(&[1 << 20, 40, 150]);
        let cache = script.pick(&[1 << 20, 0, 100]);
        let inflight = script.pick(&[64, 1, 3]);
        let unchosen = script.pick(&[1 << 20, 200]);
        let quorums = quorums.expect("these intersect");
        let mut cluster = Cluster::with_quorums(&quorums, |config: &mut Config| {
            config.write_stall_max = Duration::from_millis(300);
            config.accept_bytes_max = accept;
            config.cache_bytes_max = cache;
            config.inflight_messages_max = inflight;
            config.unchosen_bytes_max = unchosen;
        });
        cluster.slow_disks = cluster.nodes.keys().copied().collect();
        cluster.slow_pulls = true;
        Self {
            script,
            cluster,
            size,
            read: 0,
        }
    }

    fn leads(&self, id: u64) -> bool {
        self.cluster.status(id).role == Role::Leader
    }

    fn is_older(&self, wanted: Position, leader: u64) -> bool {
        wanted.origin < self.cluster.status(leader).ballot
    }

    fn is_applied(&self, wanted: Position) -> bool {
        let value = self.cluster.watch.chosen.get(wanted.slot.0 as usize - 1);
        value.is_some_and(|value| value.origin == wanted.origin)
    }

    fn is_even(&self) -> bool {
        let end = self.cluster.watch.chosen.len();
        let mut nodes = self.cluster.nodes.values();
        nodes.all(|node| node.machine.len() == end)
    }
}
