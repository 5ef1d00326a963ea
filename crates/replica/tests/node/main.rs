//! Running nodes: the loop, its tasks and its ends. The loop knows no protocol, and each story is told of
//! both.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::duplicate_mod,
    reason = "each module is built once for each protocol, whose configuration stands beside it"
)]

#[cfg(feature = "raft")]
#[path = "."]
mod raft {
    use synod_replica::raft::{Config, NodeId};

    pub(crate) fn config(id: u64, nodes: u64) -> Config {
        Config::new(NodeId(id), (1..=nodes).map(NodeId))
    }

    mod closed;
    mod events;
    mod forgot;
    mod heard;
    mod identity;
    mod rig;
    mod scarce;
    mod serving;
    mod share;
    mod shutdown;
}

#[cfg(feature = "paxos")]
#[path = "."]
mod paxos {
    use synod_replica::paxos::{Config, NodeId, Quorums};

    pub(crate) fn config(id: u64, nodes: u64) -> Config {
        let nodes = (1..=nodes).map(NodeId);
        Config::new(NodeId(id), Quorums::majority(nodes).unwrap())
    }

    mod closed;
    mod events;
    mod heard;
    mod identity;
    mod rig;
    mod scarce;
    mod serving;
    mod share;
    mod shutdown;
}
