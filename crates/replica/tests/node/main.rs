//! Running nodes: the loop, its tasks and its ends. The loop knows no protocol, and each test runs
//! with both.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(
    clippy::duplicate_mod,
    reason = "each module is built once for each protocol, with its configuration"
)]

#[cfg(feature = "raft")]
#[path = "."]
mod raft {
    use synod_replica::raft::{Config, Index, Message, NodeId, Replicate, Term};

    pub(crate) fn config(id: u64, nodes: u64) -> Config {
        Config::new(NodeId(id), (1..=nodes).map(NodeId))
    }

    /// A node that waits to be added.
    pub(crate) fn joining(id: u64) -> Config {
        Config::new(NodeId(id), [])
    }

    /// The heartbeat of a leader.
    pub(crate) fn heartbeat(_leader: u64, term: u64) -> Message {
        Message::Replicate(Replicate::Heartbeat {
            term: Term(term),
            round: 1,
            commit: Index(0),
            matched: Index(0),
            lease: std::time::Duration::ZERO,
        })
    }

    mod carried;
    mod channels;
    mod closed;
    mod destroyed;
    mod events;
    mod forgot;
    mod handover;
    mod heard;
    mod identity;
    mod members;
    mod rig;
    mod scarce;
    mod serving;
    mod share;
    mod shutdown;
}

#[cfg(feature = "paxos")]
#[path = "."]
mod paxos {
    use synod_replica::paxos::{Ballot, Config, Message, NodeId, Quorums, Replicate, Slot};

    pub(crate) fn config(id: u64, nodes: u64) -> Config {
        let nodes = (1..=nodes).map(NodeId);
        Config::new(NodeId(id), Quorums::majority(nodes).unwrap())
    }

    /// A node that waits to be added.
    pub(crate) fn joining(id: u64) -> Config {
        Config::joining(NodeId(id))
    }

    /// The heartbeat of a leader.
    pub(crate) fn heartbeat(leader: u64, round: u64) -> Message {
        let node = NodeId(leader);
        Message::Replicate(Replicate::Heartbeat {
            ballot: Ballot { round, node },
            round: 1,
            chosen: Slot(0),
            through: Slot(0),
            settled: 0,
            lease: std::time::Duration::ZERO,
        })
    }

    mod carried;
    mod channels;
    mod closed;
    mod destroyed;
    mod events;
    mod handover;
    mod heard;
    mod identity;
    mod members;
    mod rig;
    mod scarce;
    mod serving;
    mod share;
    mod shutdown;
}
