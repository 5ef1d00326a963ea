use alloc::collections::BTreeMap;

use synod_durable::Few;

use crate::check::Durable;
use crate::check::durable::Change;
use crate::role::RoleState;
use crate::{Ballot, Binding, Envelope, Paxos, ReadId, Slot};

/// The checker's view of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Watch {
    /// How many times the node was started.
    pub(crate) incarnation: u64,
    pub(crate) durable: Durable,
    /// The write in flight, or the one that a crash may have kept or lost.
    pub(crate) staged: Option<Staged>,
    /// Whether durable snapshots may be gone.
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

/// The state after the last step that must not be taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pub(crate) promised: Ballot,
    pub(crate) campaigns: bool,
    pub(crate) chosen: Slot,
}

impl Seen {
    pub(crate) fn of(paxos: &Paxos) -> Self {
        Self {
            promised: paxos.common.promised,
            campaigns: matches!(paxos.role, RoleState::Candidate(_) | RoleState::Leader(_)),
            chosen: paxos.common.log.chosen(),
        }
    }
}
