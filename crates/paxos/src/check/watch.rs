use alloc::collections::BTreeMap;

use synod_durable::Few;

use crate::check::Durable;
use crate::check::durable::Change;
use crate::role::RoleState;
use crate::{Ballot, Binding, Envelope, NodeId, Paxos, ReadId, Slot};

/// One node as the checker last saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Watch {
    /// How often it was started.
    pub(crate) incarnation: u64,
    pub(crate) durable: Durable,
    /// The write in flight, or the one that a crash may or may not have kept.
    pub(crate) staged: Option<Staged>,
    /// Snapshots may be gone that were durable.
    pub(crate) rotted: bool,
    /// The disk has lost votes that were durable.
    pub(crate) forgot: bool,
    pub(crate) seen: Seen,
    /// Up to here the disk holds, without a gap, what is chosen.
    pub(crate) settled: Slot,
    /// The last slot that the machine was given in this incarnation.
    pub(crate) applied: Slot,
    /// Reads under way, and what was known to be chosen, anywhere, when they were asked.
    pub(crate) reads: BTreeMap<ReadId, Slot>,
}

/// A write in flight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Staged {
    pub(crate) change: Change,
    pub(crate) messages: Few<Envelope<Binding>>,
}

/// What may not be taken back, as of the last step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pub(crate) promised: Ballot,
    pub(crate) campaigns: bool,
    pub(crate) chosen: Slot,
    /// To whom a leader is handing its leadership, and the slot behind all that it has proposed.
    pub(crate) transfer: Option<(NodeId, Slot)>,
}

impl Seen {
    pub(crate) fn of(paxos: &Paxos) -> Self {
        Self {
            promised: paxos.common.promised,
            campaigns: matches!(paxos.role, RoleState::Candidate(_) | RoleState::Leader(_)),
            chosen: paxos.common.log.chosen(),
            transfer: match &paxos.role {
                RoleState::Leader(leader) => leader.transfers_to().map(|to| (to, leader.end())),
                _ => None,
            },
        }
    }
}
