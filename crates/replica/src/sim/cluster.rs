//! The description of simulated groups: their configuration, bounds, requests and witnesses.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use synod_transport::NodeId;
use synod_wal::{GroupId, Lsn, Op, Snapshot};

use crate::applier::Applier;
use crate::consistency::Consistency;
use crate::engine::{Engine, EngineConfig};
use crate::machine::{StateMachine, Ticket};
use crate::members::Change;
use crate::protocol::{Configured, Kind, Position, Protocol};
use crate::task::Task;
use crate::time::Instant;

/// What all nodes of a simulated cluster have in common: of one group, or of several that have the same types and are
/// told apart by number.
pub trait Cluster: Sized {
    /// The configuration, which selects the protocol.
    type Config: Configured;
    /// The state machine.
    type Machine: StateMachine;
    /// The receiver of outcomes: usually an operation's number and the history to record its end
    /// in.
    type Ticket: Ticket<Self::Machine>;
    /// The observer of each node; `()` for none.
    type Witness: Witness<Self>;

    /// The configuration of a node; `seed` differs in each of its incarnations.
    fn config(&self, node: NodeId, seed: u64) -> Self::Config;
    /// A machine in the state of an empty log.
    fn machine(&self) -> Self::Machine;
    /// The observer of the next incarnation of `node`.
    fn witness(&self, node: NodeId) -> Self::Witness;
    /// The groups of a node, each once. By default each node has one, of number 1.
    fn groups(&self, _node: NodeId) -> Vec<GroupId> {
        vec![GROUP]
    }
    /// [`config`](Self::config) of one of several groups, each of which is given a seed of its own.
    fn config_of(&self, _group: GroupId, node: NodeId, seed: u64) -> Self::Config {
        self.config(node, seed)
    }
    /// [`machine`](Self::machine) of one of several groups, on this node.
    fn machine_of(&self, _group: GroupId, _node: NodeId) -> Self::Machine {
        self.machine()
    }
    /// [`witness`](Self::witness) of one of several groups.
    fn witness_of(&self, _group: GroupId, node: NodeId) -> Self::Witness {
        self.witness(node)
    }
    /// Adjusts the engine's default configuration.
    fn tune(&self, _engine: &mut EngineConfig) {}
    /// The log's bounds.
    fn log_options(&self) -> synod_wal::Options {
        synod_wal::Options::default()
    }
}

/// The core that a cluster's configuration chooses.
pub type Core<C> = <<C as Cluster>::Config as Configured>::Protocol;

/// Observes a node from inside, so that a checker of a protocol's rules sees what only the node
/// itself sees. It is called in the order of events, and cannot influence them.
///
/// Every method does nothing by default.
pub trait Witness<C: Cluster> {
    /// An incarnation begins: the core was recovered from the disk and has done nothing yet.
    fn started(&mut self, _now: Instant, _core: &Core<C>) {}
    /// The node failed to start; the error and its causes in one line.
    fn refused(&mut self, _error: &str) {}
    /// A step begins, at this time of the node's own clock.
    fn began(&mut self, _now: Instant) {}
    /// The core has handled an input or was polled. Called before its outputs are acted on.
    fn stepped(&mut self, _core: &Core<C>) {}
    /// A write of the core is about to be appended to the log.
    fn staged(&mut self, _write: &<Core<C> as Protocol>::Write) {}
    /// The log has taken a record of that write into memory, all or nothing.
    fn appended(&mut self, _lsn: Lsn, _ops: &[Op<'_>]) {}
    /// The log reports everything up to `lsn` as durable.
    fn durable(&mut self, _lsn: Lsn) {}
    /// A message of the core is sent, decoded from its bytes on the wire. The network may lose it,
    /// and so may a crash in this very step.
    fn sent(&mut self, _to: NodeId, _message: &<Core<C> as Protocol>::Message) {}
    /// A storage task was started.
    fn tasked(&mut self, _task: &Task<Core<C>>) {}
    /// An entry was applied.
    fn applied(&mut self, _at: Position, _kind: Kind, _body: &Bytes, _machine: &C::Machine) {}
    /// The machine was restored from a snapshot.
    fn restored(&mut self, _snapshot: &Snapshot, _machine: &C::Machine) {}
    /// A step has ended, with all its effects except for syncs and tasks, which take time.
    fn rested(&mut self, _engine: &Engine<Core<C>, C::Ticket>, _applier: &Applier<C::Machine>) {}
    /// The group was destroyed on this node, and its tombstone is durable.
    fn destroyed(&mut self) {}
    /// The step ended in an error, and with it this incarnation.
    fn failed(&mut self, _error: &str) {}
}

impl<C: Cluster> Witness<C> for () {}

/// A client's request to a node.
pub enum SimRequest<T> {
    /// Propose a command.
    Propose {
        /// The command.
        command: Bytes,
        /// How long the request may take.
        timeout: Duration,
        /// The receiver of the outcome.
        ticket: T,
    },
    /// Read the machine.
    Read {
        /// How fresh the read must be.
        consistency: Consistency,
        /// How long the request may take.
        timeout: Duration,
        /// The receiver of the outcome.
        ticket: T,
    },
    /// Hand leadership over, if the node leads; nobody waits for the end.
    Transfer {
        /// To this node, or to whichever suits best.
        to: Option<NodeId>,
    },
    /// Change the members, if the node leads; nobody waits for the end.
    Change(Change),
    /// Lead the change that is under way back.
    AbortChange,
    /// End the group on this node for good, as [`Node::destroy`](crate::Node::destroy) does; nobody waits
    /// for the end.
    Destroy,
}

impl<T> fmt::Debug for SimRequest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Propose { command, .. } => write!(f, "propose {:?}", command),
            Self::Read { consistency, .. } => write!(f, "read {consistency:?}"),
            Self::Transfer { to } => write!(f, "hand over to {to:?}"),
            Self::Change(change) => write!(f, "change the members: {change:?}"),
            Self::AbortChange => f.write_str("abort the change of the members"),
            Self::Destroy => f.write_str("destroy the group here"),
        }
    }
}

/// The number of the only group.
const GROUP: GroupId = GroupId(1);
