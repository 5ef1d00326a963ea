//! Raft under test.

use std::collections::BTreeMap;

use synod_replica::{NodeId, raft};
use synod_wal::{Lsn, Op};

use super::{Coverage, Options, Rules, Subject, Verdict, must};

/// Raft, with everything its checker knows.
#[derive(Debug)]
pub(crate) struct Raft;

#[derive(Debug, Default)]
pub(crate) struct RaftRules {
    leaders: BTreeMap<u64, NodeId>,
}

impl Subject for Raft {
    type Config = raft::Config;
    type Rules = RaftRules;

    fn config(options: &Options, node: NodeId, seed: u64) -> raft::Config {
        let voters = (1..=options.nodes).map(raft::NodeId);
        let mut config = raft::Config::new(raft::NodeId(node.0), voters);
        let core = &options.core;
        config.seed = seed;
        config.pre_vote = core.pre_vote;
        config.cache_bytes_max = core.cache_bytes_max;
        config.append_bytes_max = core.append_bytes_max;
        config.inflight_bytes_max = core.inflight_bytes_max;
        config.inflight_messages_max = core.inflight_messages_max;
        config.uncommitted_bytes_max = core.uncommitted_bytes_max;
        config.reads_max = core.reads_max;
        config
    }
}

impl Rules<Raft> for RaftRules {
    fn started(&mut self, _: NodeId, _: &raft::Raft) -> Verdict {
        Ok(())
    }

    fn appended(&mut self, _: NodeId, _: Lsn, _: &[Op<'_>]) {}

    fn durable(&mut self, _: NodeId, _: Lsn) -> Verdict {
        Ok(())
    }

    fn sent(&mut self, _: NodeId, _: NodeId, _: &raft::Message) -> Verdict {
        Ok(())
    }

    fn stepped(&mut self, node: NodeId, core: &raft::Raft) -> Verdict {
        if core.leader() == Some(raft::NodeId(node.0)) {
            let known = *self.leaders.entry(core.term().0).or_insert(node);
            return must(known == node, "election safety", || {
                format!("two leaders of term {}", core.term().0)
            });
        }
        Ok(())
    }

    fn cover(&self, coverage: &mut Coverage) {
        coverage.add("leaderships", self.leaders.len() as u64);
    }
}
