use alloc::collections::BTreeMap;

use synod_durable::Few;

use crate::check::Durable;
use crate::check::durable::Change;
use crate::leader::Leader;
use crate::role::RoleState;
use crate::{Ballot, Binding, Envelope, NodeId, Paxos, ReadId, Slot};

/// The checker's view of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Watch {
    /// How many times the node was started.
    pub(crate) incarnation: u64,
    /// The highest priority that it was ever started with.
    pub(crate) priority: u8,
    pub(crate) durable: Durable,
    /// The write in flight, or the one that a crash may have kept or lost.
    pub(crate) staged: Option<Staged>,
    /// Whether durable snapshots may be gone.
    pub(crate) rotted: bool,
    /// Whether the disk has lost durable votes.
    pub(crate) forgot: bool,
    pub(crate) seen: Seen,
    /// The slot up to which the disk holds all chosen values.
    pub(crate) settled: Slot,
    /// The last slot delivered to the state machine in this incarnation.
    pub(crate) applied: Slot,
    /// Pending reads, and what was known to be chosen on any node when they were requested.
    pub(crate) reads: BTreeMap<ReadId, Slot>,
}

/// A write in flight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Staged {
    pub(crate) change: Change,
    pub(crate) messages: Few<Envelope<Binding>>,
}

/// The state after the last step that must not be taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pub(crate) promised: Ballot,
    pub(crate) campaigns: bool,
    pub(crate) chosen: Slot,
    /// The number of the latest configuration that it knows.
    pub(crate) configuration: u64,
    /// To whom a leader is handing its leadership, and the slot behind all that it has
    /// proposed besides what it found; 0 if that is nothing.
    pub(crate) transfer: Option<(NodeId, Slot)>,
    /// The node of a higher priority to which the leader makes way, and its own.
    pub(crate) preferred: Option<(NodeId, u8)>,
    pub(crate) leads: bool,
    /// It leads, and gives up leadership for a cause.
    pub(crate) gives_up: bool,
}

impl Seen {
    pub(crate) fn of(paxos: &Paxos) -> Self {
        let leader = match &paxos.role {
            RoleState::Leader(leader) => Some(leader),
            _ => None,
        };
        let preferred = leader.and_then(Leader::makes_way_to);
        Self {
            promised: paxos.common.promised,
            campaigns: matches!(paxos.role, RoleState::Candidate(_) | RoleState::Leader(_)),
            chosen: paxos.common.log.chosen(),
            configuration: paxos.common.configurations.number(),
            transfer: leader.and_then(|leader| Some((leader.transfers_to()?, leader.new_end()))),
            preferred: preferred.map(|to| (to, paxos.common.config.priority)),
            leads: leader.is_some(),
            gives_up: leader.is_some_and(|leader| leader.giving_up().is_some()),
        }
    }
}
