//! The one place that names a consensus protocol.

use std::{collections::BTreeSet, fmt};

use synod_replica::{Configured, Group, GroupId, Node, NodeId, OpenGroupError, raft};

use crate::{
    limits::{CACHE_BYTES_MAX, INFLIGHT_BYTES_MAX, UNCOMMITTED_BYTES_MAX},
    machine::Kv,
};

/// What the nodes of a cluster agree by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
#[non_exhaustive]
pub enum Protocol {
    /// In Search of an Understandable Consensus Algorithm (Ongaro and Ousterhout 2014)
    #[default]
    Raft,
}

impl Protocol {
    /// As `--protocol` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raft => "raft",
        }
    }

    /// Opens the group of all keys on a node. `seed` spreads its timeouts.
    pub(crate) async fn open(
        self,
        node: &Node,
        id: NodeId,
        voters: &BTreeSet<NodeId>,
        seed: u64,
    ) -> Result<Group<Kv>, OpenGroupError> {
        match self {
            Self::Raft => {
                let voters = voters.iter().map(|voter| raft::NodeId(voter.0));
                let mut config = raft::Config::new(raft::NodeId(id.0), voters);
                config.seed = seed;
                config.cache_bytes_max = CACHE_BYTES_MAX;
                config.uncommitted_bytes_max = UNCOMMITTED_BYTES_MAX;
                config.inflight_bytes_max = INFLIGHT_BYTES_MAX;
                open(node, config).await
            }
        }
    }
}

async fn open(node: &Node, config: impl Configured) -> Result<Group<Kv>, OpenGroupError> {
    node.open(ALL_KEYS, config, Kv::default()).await
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

const ALL_KEYS: GroupId = GroupId(1);
