//! Raft under test.

use std::collections::{BTreeMap, BTreeSet};

use synod_raft::check::Checker;
use synod_raft::{Binding, Echo, Envelope, Index, LogId, Message, Replicate, Term};
use synod_replica::embed::{Instant, Kind, Protocol};
use synod_replica::{NodeId, Position, Snapshot, raft};
use synod_sim::{Coverage, FaultKind};
use synod_wal::{Lsn, Op};

use super::{Options, Rules, Subject, Verdict, Violation, must};

/// Raft, with its checker's rules.
#[derive(Debug)]
pub(crate) struct Raft;

#[derive(Debug, Default)]
pub(crate) struct RaftRules {
    checker: Checker,
    /// For each node, the last record of the write in flight.
    in_flight: BTreeMap<NodeId, Lsn>,
    leaderships: BTreeSet<u64>,
    /// The indexes of committed memberships.
    memberships: BTreeSet<u64>,
    coverage: Coverage,
}

impl Subject for Raft {
    type Config = raft::Config;
    type Rules = RaftRules;

    const NAME: &'static str = "raft";
    const MINIMUMS: &'static [(&'static str, u64)] = &[
        ("rejected: overtaken", 150),
        ("entries fetched from the log", 25_000),
        ("leaderships", 1_700),
        ("votes refused", 200),
        ("pre-votes refused", 900),
        ("stale leaders and candidates told", 500),
        ("appends refused", 2_500),
        ("truncations", 150),
        ("logs cut behind a snapshot", 5_000),
        ("snapshots offered", 450),
        ("snapshots installed", 130),
        ("machines restored", 800),
        ("steps with reads that wait", 90_000),
        ("memberships committed", 300),
    ];

    fn config(options: &Options, node: NodeId, seed: u64) -> raft::Config {
        let founders = (1..=options.founders).map(raft::NodeId);
        let voters = founders.filter(|_| node.0 <= options.founders);
        let mut config = raft::Config::new(raft::NodeId(node.0), voters);
        let core = &options.core;
        config.lease = core.lease.map(|(length, ppm)| raft::Lease {
            length,
            drift: raft::Drift(ppm),
        });
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

    fn fit(options: &mut Options) {
        // A damaged disk counts as outside of every core.
        if Self::disturbs(options) {
            options.world.switch_off(FaultKind::Rot);
        }
    }

    fn quorum(options: &Options) -> usize {
        options.founders as usize / 2 + 1
    }

    /// Nodes that request votes without a pre-vote do.
    fn disturbs(options: &Options) -> bool {
        !options.core.pre_vote
    }
}

impl Rules<Raft> for RaftRules {
    fn started(&mut self, node: NodeId, core: &raft::Raft) -> Verdict {
        let before = self.checker.durable(id(node)).cloned();
        let in_flight = self.in_flight.remove(&node);
        let verdict = told(self.checker.started(core));
        if in_flight.is_some() && verdict.is_ok() {
            let kept = self.checker.durable(id(node)).cloned() != before;
            let fate = match kept {
                true => "unsynced writes that a crash kept",
                false => "unsynced writes that a crash took",
            };
            self.coverage.add(fate, 1);
        }
        verdict
    }

    fn rotted(&mut self, node: NodeId) {
        self.checker.rotted(id(node));
    }

    fn stepped(&mut self, node: NodeId, core: &raft::Raft) -> Verdict {
        if core.leader() == Some(id(node)) {
            self.leaderships.insert(core.term().0);
        }
        told(self.checker.stepped(core))
    }

    fn staged(&mut self, node: NodeId, write: &raft::Write) -> Verdict {
        self.in_flight.insert(node, Lsn(0));
        told(self.checker.staged(id(node), write))
    }

    fn appended(&mut self, node: NodeId, lsn: Lsn, ops: &[Op<'_>]) {
        for op in ops {
            match op {
                Op::State(_) => {}
                Op::Truncate { .. } => self.coverage.add("truncations", 1),
                Op::Put { .. } => {}
                Op::Start { .. } => self.coverage.add("logs cut behind a snapshot", 1),
            }
        }
        if self.in_flight.insert(node, lsn) > Some(Lsn(0)) {
            self.coverage.add("writes in several records", 1);
        }
    }

    fn durable(&mut self, node: NodeId, lsn: Lsn) -> Verdict {
        match self.in_flight.get(&node) {
            Some(last) if *last <= lsn => {
                self.in_flight.remove(&node);
                told(self.checker.persisted(id(node)))
            }
            _ => Ok(()),
        }
    }

    fn sent(&mut self, from: NodeId, to: NodeId, message: &Message) -> Verdict {
        self.count(message);
        let (to, message) = (id(to), message.clone());
        told(self.checker.sent(id(from), &Envelope { to, message }))
    }

    fn applied(&mut self, node: NodeId, at: Position, kind: Kind, body: &bytes::Bytes) -> Verdict {
        let entry = synod_raft::Entry {
            id: log_id(&at),
            kind: match kind {
                Kind::Noop => synod_raft::Kind::Noop,
                Kind::Commands => synod_raft::Kind::Command,
                Kind::Membership => synod_raft::Kind::Membership,
            },
            body: body.clone(),
        };
        if kind == Kind::Membership {
            self.memberships.insert(at.index);
        }
        told(self.checker.applied(id(node), &entry))
    }

    fn restored(&mut self, node: NodeId, snapshot: &Snapshot) -> Verdict {
        let membership = synod_raft::Membership::decode(&snapshot.meta);
        let Ok(membership) = membership else {
            return Err(Violation(format!(
                "state machine safety: snapshot {} has no membership",
                snapshot.index
            )));
        };
        let (index, tag) = (snapshot.index, snapshot.tag);
        let last = log_id(&Position { index, tag });
        let snapshot = synod_raft::Snapshot { last, membership };
        told(self.checker.restored(id(node), &snapshot))
    }

    fn rested(&mut self, _: NodeId, core: &raft::Raft, options: &Options) -> Verdict {
        // Only a leader's status has all this; it costs a list of the peers.
        let status = core.status();
        let one = options.engine.body_bytes_max + ENTRY_BYTES;
        let window = options.core.inflight_bytes_max + options.core.append_bytes_max.max(one);
        let in_bounds = |peer: &synod_raft::PeerStatus| peer.inflight_bytes <= window;
        must(status.peers.iter().all(in_bounds), "memory bound", || {
            format!("in flight with a window of {window}: {status:?}")
        })?;
        let durable = status.last == status.persisted;
        must(
            !durable || status.cache_bytes <= options.core.cache_bytes_max,
            "memory bound",
            || format!("the cache holds too much: {status:?}"),
        )
    }

    fn leased(&mut self, core: &raft::Raft, now: Instant) -> Verdict {
        let Ok(index) = core.read_by_lease(synod_raft::Instant(now.0)) else {
            return Ok(());
        };
        self.coverage.add("steps with a lease", 1);
        let commit = self.checker.commit();
        must(index >= commit, "lease", || {
            format!("a read by lease sees {index:?}, and {commit:?} is committed")
        })
    }

    fn removed(&mut self, node: NodeId) -> Verdict {
        told(self.checker.stopped(id(node), synod_raft::Stop::Removed))
    }

    fn cover(&self, coverage: &mut Coverage) {
        coverage.add("leaderships", self.leaderships.len() as u64);
        coverage.add("memberships committed", self.memberships.len() as u64);
        coverage.merge(&self.coverage);
    }
}

impl RaftRules {
    fn count(&mut self, message: &Message) {
        let name = match message {
            Message::Binding(Binding::Vote { granted: false, .. }) => "votes refused",
            Message::Binding(Binding::Vote { granted: true, .. }) => "votes given",
            Message::Binding(Binding::Installed { .. }) => "snapshots installed",
            Message::Echo(Echo::PreVote { granted: false, .. }) => "pre-votes refused",
            Message::Echo(Echo::Stale { .. }) => "stale leaders and candidates told",
            Message::Echo(Echo::Rejected { .. }) => "appends refused",
            Message::Replicate(Replicate::Snapshot { .. }) => "snapshots offered",
            Message::Echo(Echo::Removed { .. }) => "removed nodes told",
            _ => return,
        };
        self.coverage.add(name, 1);
    }
}

fn told<E: std::fmt::Display>(verdict: Result<(), E>) -> Verdict {
    verdict.map_err(|violation| Violation(violation.to_string()))
}

fn id(node: NodeId) -> raft::NodeId {
    raft::NodeId(node.0)
}

fn log_id(at: &Position) -> LogId {
    LogId {
        term: Term(raft::Raft::epoch(at).round),
        index: Index(at.index),
    }
}

/// The most that a core counts for an entry besides its body, in bytes.
const ENTRY_BYTES: usize = 64;
