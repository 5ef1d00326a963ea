//! What a user describes: the group, its bounds, its requests, and who looks on.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use synod_transport::NodeId;
use synod_wal::{Lsn, Op, Snapshot};

use crate::applier::Applier;
use crate::engine::{Consistency, Engine, EngineConfig};
use crate::machine::{StateMachine, Ticket};
use crate::protocol::{Configured, Kind, Position, Protocol};
use crate::task::Task;
use crate::time::Instant;

/// What all nodes of a simulated group have in common.
pub trait Cluster: Sized {
    /// The protocol, by its configuration.
    type Config: Configured;
    /// The machine.
    type Machine: StateMachine;
    /// Who waits for requests: usually an operation's number and the history to note its end in.
    type Ticket: Ticket<Self::Machine>;
    /// Who looks on; `()` for nobody.
    type Witness: Witness<Self>;

    /// The configuration of a node; `seed` is another one for each of its incarnations.
    fn config(&self, node: NodeId, seed: u64) -> Self::Config;
    /// A machine as of an empty log.
    fn machine(&self) -> Self::Machine;
    /// Who looks on while `node` lives its next incarnation.
    fn witness(&self, node: NodeId) -> Self::Witness;
    /// Changes the engine's usual bounds.
    fn tune(&self, _engine: &mut EngineConfig) {}
    /// The log's bounds.
    fn log_options(&self) -> synod_wal::Options {
        synod_wal::Options::default()
    }
}

/// The core that a cluster's configuration chooses.
pub type Core<C> = <<C as Cluster>::Config as Configured>::Protocol;

/// Looks on while a node runs: this is how a checker of a protocol's own rules sees what only the
/// node itself sees. It is told in the order in which things happen, and can change nothing.
///
/// Everything has a default that does nothing.
pub trait Witness<C: Cluster> {
    /// An incarnation begins: the core is what recovery made of the disk, and has done nothing yet.
    fn started(&mut self, _now: Instant, _core: &Core<C>) {}
    /// The node does not start, and why: the error and its causes in one line.
    fn refused(&mut self, _error: &str) {}
    /// A step begins, at this time of the node's own clock.
    fn began(&mut self, _now: Instant) {}
    /// The core has handled an input or been polled: to be looked at before what it has to say.
    fn stepped(&mut self, _core: &Core<C>) {}
    /// A write of the core goes to the log.
    fn staged(&mut self, _write: &<Core<C> as Protocol>::Write) {}
    /// The log has taken a record of that write into its memory, all or nothing.
    fn appended(&mut self, _lsn: Lsn, _ops: &[Op<'_>]) {}
    /// The log has synced: everything up to `lsn` is on stable storage, says the log.
    fn durable(&mut self, _lsn: Lsn) {}
    /// A message of the core leaves, as its receiver is going to read it. Whether it arrives is the
    /// network's affair, and whether it leaves at all that of a crash in this very step.
    fn sent(&mut self, _to: NodeId, _message: &<Core<C> as Protocol>::Message) {}
    /// Storage work is asked for.
    fn tasked(&mut self, _task: &Task<Core<C>>) {}
    /// An entry was applied.
    fn applied(&mut self, _at: Position, _kind: Kind, _body: &Bytes, _machine: &C::Machine) {}
    /// The machine began anew from a snapshot.
    fn restored(&mut self, _snapshot: &Snapshot, _machine: &C::Machine) {}
    /// A step is over: everything it brought about has been done, but for a sync that takes time.
    fn rested(&mut self, _engine: &Engine<Core<C>, C::Ticket>, _applier: &Applier<C::Machine>) {}
    /// The step ended in an error: this incarnation is over.
    fn failed(&mut self, _error: &str) {}
}

impl<C: Cluster> Witness<C> for () {}

/// What a client asks of a node.
pub enum SimRequest<T> {
    /// Propose a command.
    Propose {
        /// The command.
        command: Bytes,
        /// Within this the request ends.
        timeout: Duration,
        /// Who waits.
        ticket: T,
    },
    /// Look at the machine.
    Read {
        /// How fresh.
        consistency: Consistency,
        /// Within this the request ends.
        timeout: Duration,
        /// Who waits.
        ticket: T,
    },
    /// Hand leadership over, if the node leads; nobody waits for the end.
    Transfer {
        /// To this node, or to whichever suits best.
        to: Option<NodeId>,
    },
}

impl<T> fmt::Debug for SimRequest<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Propose { command, .. } => write!(f, "propose {:?}", command),
            Self::Read { consistency, .. } => write!(f, "read {consistency:?}"),
            Self::Transfer { to } => write!(f, "hand over to {to:?}"),
        }
    }
}
