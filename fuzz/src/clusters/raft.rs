//! A Raft group.

use synod_raft::{Config, LogId, NodeId, Role};

#[path = "../../../crates/raft/tests/harness/mod.rs"]
#[allow(clippy::unwrap_used, reason = "a harness panics like a test")]
mod harness;

schedule!();

type Proposed = LogId;

impl<'a, 'b> Run<'a, 'b> {
    fn new(script: &'b mut Script<'a>) -> Self {
        let size = script.pick(&[3, 1, 2, 3, 4, 5]);
        let (pre_vote, check_quorum) = (!script.flag(), !script.flag());
        let append = script.pick(&[1 << 20, 40, 100]);
        let cache = script.pick(&[1 << 20, 0, 100]);
        let inflight = script.pick(&[64, 1, 3]);
        let uncommitted = script.pick(&[1 << 20, 100]);
        let mut cluster = Cluster::new(size, |config: &mut Config| {
            config.write_stall_max = Duration::from_millis(300);
            config.pre_vote = pre_vote;
            config.check_quorum = check_quorum;
            config.append_bytes_max = append;
            config.cache_bytes_max = cache;
            config.inflight_messages_max = inflight;
            config.uncommitted_bytes_max = uncommitted;
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

    fn is_older(&self, wanted: LogId, leader: u64) -> bool {
        wanted.term < self.cluster.status(leader).term
    }

    fn is_applied(&self, wanted: LogId) -> bool {
        let mut applied = self.cluster.watch.applied.iter();
        applied.any(|(at, _)| *at == wanted)
    }

    fn is_even(&self) -> bool {
        let end = self.cluster.watch.applied.len();
        let mut nodes = self.cluster.nodes.values();
        nodes.all(|node| node.machine.len() == end)
    }
}
