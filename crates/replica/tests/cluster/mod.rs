//! Whole nodes under seeded faults, and the rules that must always hold.
//!
//! ```text
//!  seed ── draws ──> Options (faults, nodes, clients, bounds)
//!                       │
//!  Clients ── appends, reads, retries ──> World of SimNodes ── Witness ──> Observer ──> Rules of the protocol
//!     │                                        │                             │
//!     └── History, known commit order <── ends ┘        one order of commands, memory, coverage
//! ```

mod backup;
mod clients;
mod clocks;
mod coverage;
mod decorators;
mod dressed;
mod guard;
mod losses;
mod observer;
mod operator;
mod options;
#[cfg(feature = "paxos")]
mod paxos;
#[cfg(feature = "raft")]
mod raft;
mod reference;
mod run;
pub(crate) mod script;
mod tokens;

use std::fmt;

use bytes::Bytes;
use synod_replica::embed::{EngineConfig, Instant, Kind, Protocol};
use synod_replica::sim::{Cluster, Core};
use synod_replica::{Configured, NodeId, Position, Snapshot};
use synod_sim::{Coverage, World};
use synod_wal::{Lsn, Op};

pub(crate) use clients::Noted;
pub(crate) use coverage::MINIMUMS;
pub(crate) use options::Options;
#[cfg(feature = "paxos")]
pub(crate) use paxos::Paxos;
#[cfg(feature = "raft")]
pub(crate) use raft::Raft;
pub(crate) use run::Run;
pub(crate) use tokens::Tokens;

use guard::Guard;
use observer::{Eye, Observer};

/// A broken rule. The text begins with the rule's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation(pub(crate) String);

pub(crate) type Verdict = Result<(), Violation>;

/// A protocol under test: the configuration of its groups, and its rules.
pub(crate) trait Subject: Sized + 'static {
    type Config: Configured;
    type Rules: Rules<Self>;

    const NAME: &'static str;
    /// The minimums of a thousand runs of this protocol, in addition to those of any protocol.
    const MINIMUMS: &'static [(&'static str, u64)];

    fn config(options: &Options, node: NodeId, seed: u64) -> Self::Config;
    /// Fits the drawn options to the protocol.
    fn fit(_options: &mut Options) {}
    /// How many nodes, whichever they are, can elect a leader among them and decide.
    fn quorum(options: &Options) -> usize;
    /// Whether a node that is cut off from a quorum may depose its leader again and again.
    fn disturbs(options: &Options) -> bool;
}

type Message<S> = <Core<Group<S>> as Protocol>::Message;
type Write<S> = <Core<Group<S>> as Protocol>::Write;

/// The checks that depend on the protocol. Called in the order of events, as
/// [`Witness`](synod_replica::sim::Witness) describes; the first violation ends the run.
pub(crate) trait Rules<S: Subject>: Default {
    /// An incarnation begins with the core as recovered.
    fn started(&mut self, node: NodeId, core: &Core<Group<S>>) -> Verdict;
    /// Something on the node's disk was damaged.
    fn rotted(&mut self, node: NodeId);
    /// The core has handled an input or was polled.
    fn stepped(&mut self, node: NodeId, core: &Core<Group<S>>) -> Verdict;
    /// A write is about to be appended to the log.
    fn staged(&mut self, node: NodeId, write: &Write<S>) -> Verdict;
    /// The log took a record of it.
    fn appended(&mut self, node: NodeId, lsn: Lsn, ops: &[Op<'_>]);
    /// The log reports everything up to `lsn` as durable.
    fn durable(&mut self, node: NodeId, lsn: Lsn) -> Verdict;
    /// A message is sent.
    fn sent(&mut self, from: NodeId, to: NodeId, message: &Message<S>) -> Verdict;
    /// An entry was applied.
    fn applied(&mut self, node: NodeId, at: Position, kind: Kind, body: &Bytes) -> Verdict;
    /// The machine was restored.
    fn restored(&mut self, node: NodeId, snapshot: &Snapshot) -> Verdict;
    /// A step has ended: bounds can be checked.
    fn rested(&mut self, node: NodeId, core: &Core<Group<S>>, options: &Options) -> Verdict;
    /// What the node could read by a lease at this time of its own clock, after a step.
    fn leased(&mut self, core: &Core<Group<S>>, now: Instant) -> Verdict;
    /// The node ends because it was removed.
    fn removed(&mut self, node: NodeId) -> Verdict;
    /// Adds what it has covered.
    fn cover(&self, coverage: &mut Coverage);
}

/// A simulated group of a protocol.
pub(crate) struct Group<S: Subject> {
    pub(crate) options: Options,
    pub(crate) observer: Observer<S>,
}

/// A world of whole nodes.
pub(crate) type Nodes<S> = World<Guard<S>>;

impl<S: Subject> Cluster for Group<S> {
    type Config = S::Config;
    type Machine = Tokens;
    type Ticket = Noted;
    type Witness = Eye<S>;

    fn config(&self, node: NodeId, seed: u64) -> S::Config {
        S::config(&self.options, node, seed)
    }

    fn machine(&self) -> Tokens {
        Tokens::default()
    }

    fn witness(&self, node: NodeId) -> Eye<S> {
        self.observer.eye(node)
    }

    fn tune(&self, engine: &mut EngineConfig) {
        self.options.tune(engine);
    }

    fn log_options(&self) -> synod_wal::Options {
        self.options.log()
    }
}

/// Returns a violation of `rule` unless `holds`.
pub(crate) fn must(holds: bool, rule: &str, what: impl FnOnce() -> String) -> Verdict {
    if holds {
        Ok(())
    } else {
        Err(Violation(format!("{rule}: {}", what())))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
