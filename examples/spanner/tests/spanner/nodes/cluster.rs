//! The groups: one for each shard, replicated by Raft or Paxos, at first on three servers.

use std::collections::VecDeque;
use std::io;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use synod_replica::embed::{self, EngineConfig, Instant};
use synod_replica::sim::Cluster;
use synod_replica::{
    Applying, Configured, Failure, GroupId, NodeId, StateMachine, paxos, raft, wal,
};
use synod_spanner::{Applied, Shard, ShardId, State};

use super::facts::Facts;
use crate::bank::SHARDS;

/// The first nodes replicate every shard. Servers with higher numbers wait to replace one of them, and the last nodes
/// are clients.
pub(super) const FOUNDERS: u64 = 3;

/// A protocol.
pub(super) trait Subject: Sized + 'static {
    type Config: Configured;
    const NAME: &'static str;
    fn config(node: NodeId, seed: u64) -> Self::Config;
}

pub(super) enum Raft {}

pub(super) enum Paxos {}

impl Subject for Raft {
    type Config = raft::Config;
    const NAME: &'static str = "raft";

    fn config(node: NodeId, seed: u64) -> raft::Config {
        let voters = (1..=FOUNDERS).map(raft::NodeId);
        let voters = voters.filter(|_| node.0 <= FOUNDERS);
        let mut config = raft::Config::new(raft::NodeId(node.0), voters);
        config.seed = seed;
        config
    }
}

impl Subject for Paxos {
    type Config = paxos::Config;
    const NAME: &'static str = "paxos";

    fn config(node: NodeId, seed: u64) -> paxos::Config {
        let (id, voters) = (paxos::NodeId(node.0), (1..=FOUNDERS).map(paxos::NodeId));
        let mut config = match node.0 <= FOUNDERS {
            true => paxos::Config::new(id, paxos::Quorums::majority(voters).unwrap()),
            false => paxos::Config::joining(id),
        };
        if let Some(first) = &mut config.first {
            first.alpha = ALPHA;
        }
        config.seed = seed;
        config
    }
}

/// What is drawn of a run, beside the faults.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// More than the founders where members are replaced.
    pub(super) servers: u64,
    pub(super) epsilon_us: u64,
    /// A leader goes when its node's role in the group does. Otherwise it goes on until the log says so.
    pub(super) follows_role: bool,
    /// How many of a thousand messages are acted on late, by the clock that was looked at before.
    pub(super) pauses_permille: u64,
    /// Mean time between two hand-overs of a leader.
    pub(super) hands_over_every: Duration,
    /// Mean time between two replacements of a member, as long as there are servers that wait.
    pub(super) replaces_every: Duration,
    /// Bytes of log between two snapshots.
    pub(super) snapshot_log_bytes: u64,
    /// Mean time between the beginnings of two transactions of a client.
    pub(super) gap: Duration,
}

/// All shards of a run.
pub(super) struct Groups<S> {
    pub(super) options: Options,
    pub(super) facts: Facts,
    pub(super) protocol: PhantomData<S>,
}

pub(super) fn group(shard: ShardId) -> GroupId {
    GroupId(u64::from(shard.0))
}

impl<S: Subject> Cluster for Groups<S> {
    type Config = S::Config;
    type Machine = Replica;
    type Ticket = Ticket;
    type Witness = ();

    fn config(&self, node: NodeId, seed: u64) -> S::Config {
        S::config(node, seed)
    }

    fn machine(&self) -> Replica {
        self.machine_of(group(SHARDS[0]), NodeId(0))
    }

    fn witness(&self, _: NodeId) {}

    fn groups(&self, node: NodeId) -> Vec<GroupId> {
        match node.0 <= self.options.servers {
            true => SHARDS.map(group).into(),
            false => vec![],
        }
    }

    fn machine_of(&self, group: GroupId, node: NodeId) -> Replica {
        Replica {
            shard: Shard::default(),
            id: ShardId(u32::try_from(group.0).unwrap()),
            node: node.0,
            facts: self.facts.clone(),
        }
    }

    fn tune(&self, engine: &mut EngineConfig) {
        engine.bounds.body_bytes_max = 4 << 10;
        engine.bounds.snapshot_log_bytes = self.options.snapshot_log_bytes;
        engine.bounds.kept_log_bytes_max = 2 * self.options.snapshot_log_bytes;
        engine.bounds.chunk_bytes_max = 1 << 10;
        engine.bounds.retry_after = Duration::from_millis(50);
    }

    fn log_options(&self) -> wal::Options {
        let mut options = wal::Options::default();
        options.segment_bytes = 64 << 10;
        options.reserve_bytes = options.segment_bytes;
        options.record_bytes_max = 16 << 10;
        options
    }
}

/// A shard's machine on one node, which reports each command before it applies it.
#[derive(Debug)]
pub(super) struct Replica {
    shard: Shard,
    id: ShardId,
    node: u64,
    facts: Facts,
}

impl Replica {
    pub(super) fn state(&self) -> &State {
        self.shard.state()
    }
}

impl StateMachine for Replica {
    type Response = Applied;
    type Frozen = State;

    fn apply(&mut self, at: Applying, command: Bytes) -> Applied {
        let mut facts = self.facts.lock();
        let expected = facts.applies((self.node, self.id), self.shard.state(), at, &command);
        let applied = self.shard.apply(at, command);
        if applied != expected {
            let what = format!(
                "agreement: node {} replies {applied:?} at {at:?}",
                self.node
            );
            facts.book.watch.fail(what);
        }
        applied
    }

    fn freeze(&self) -> State {
        self.shard.freeze()
    }

    fn write(frozen: State, to: &mut dyn io::Write) -> io::Result<()> {
        Shard::write(frozen, to)
    }

    fn restore(&mut self, from: &mut dyn io::Read) -> io::Result<()> {
        self.facts.count("snapshots restored");
        self.shard.restore(from)
    }
}

/// Whose command, and what became of it.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) shard: ShardId,
    /// The node's attempt to lead, of all its attempts.
    pub(super) by: u64,
    pub(super) number: u64,
    pub(super) result: Result<Applied, Failure>,
}

/// The outcomes that a program has not looked at yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Inbox(Arc<Mutex<VecDeque<Outcome>>>);

impl Inbox {
    pub(super) fn take(&self) -> Option<Outcome> {
        let mut outcomes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        let outcomes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.is_empty()
    }
}

/// The engine's word on a command.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) shard: ShardId,
    pub(super) by: u64,
    pub(super) number: u64,
    pub(super) to: Inbox,
}

impl Ticket {
    fn end(self, result: Result<Applied, Failure>) {
        let outcome = Outcome {
            shard: self.shard,
            by: self.by,
            number: self.number,
            result,
        };
        let mut outcomes = self.to.0.lock().unwrap_or_else(PoisonError::into_inner);
        outcomes.push_back(outcome);
    }
}

impl embed::Ticket<Replica> for Ticket {
    fn applied(self, applied: Applied) {
        self.end(Ok(applied));
    }

    fn read(self, _: &Replica, _: Option<Instant>) {}

    fn failed(self, failure: Failure) {
        self.end(Err(failure));
    }
}

/// Few slots, since no-ops fill them before a new membership governs.
const ALPHA: u64 = 8;
