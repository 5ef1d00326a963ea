use alloc::vec::Vec;

use crate::check::Durable;
use crate::check::durable::Change;
use crate::leader::Leader;
use crate::role::RoleState;
use crate::{Envelope, Index, LogId, NodeId, Raft, Term};

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
    /// Whether the disk has lost durable entries.
    pub(crate) forgot: bool,
    pub(crate) seen: Seen,
    /// The last entry delivered to the state machine in this incarnation.
    pub(crate) applied: Index,
    /// The term of the last acknowledgement, and its index.
    pub(crate) acknowledged: (Term, Index),
    /// The highest priority that the node ever had: it may be another after a restart.
    pub(crate) priority: u8,
}

/// A write in flight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Staged {
    pub(crate) change: Change,
    pub(crate) messages: Vec<Envelope>,
}

/// The state after the last step that must not be taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pub(crate) term: Term,
    pub(crate) leads: bool,
    /// To whom it is handing its leadership.
    pub(crate) transfers_to: Option<NodeId>,
    /// The same, if it does so for the other's priority.
    pub(crate) prefers: Option<NodeId>,
    /// It is giving up leadership for a cause.
    pub(crate) gives_up: bool,
    pub(crate) commit: Index,
    pub(crate) last: LogId,
    pub(crate) start: Index,
    /// The log was truncated from this index, and the record that contains this was not output yet.
    pub(crate) cut: Option<Index>,
}

impl Seen {
    pub(crate) fn of(raft: &Raft) -> Self {
        let core = &raft.common;
        let leader = match &raft.role {
            RoleState::Leader(leader) => Some(leader),
            _ => None,
        };
        Self {
            term: core.term,
            leads: leader.is_some(),
            transfers_to: leader.and_then(Leader::transfers_to),
            prefers: leader.and_then(Leader::prefers),
            gives_up: leader.and_then(Leader::gives_up).is_some(),
            commit: core.committed,
            last: core.log.last(),
            start: core.log.start().index,
            cut: core.log.truncate_from(),
        }
    }

    /// The index from which the last step truncated the log, unless the log began anew.
    pub(crate) fn newly_cut(&self, before: &Self) -> Option<Index> {
        let from = self.cut.filter(|_| self.start == before.start)?;
        before.cut.is_none_or(|cut| from < cut).then_some(from)
    }
}

impl Watch {
    pub(crate) fn renamed(&self, names: &impl Fn(NodeId) -> NodeId) -> Self {
        let mut watch = self.clone();
        watch.seen.transfers_to = watch.seen.transfers_to.map(names);
        watch.seen.prefers = watch.seen.prefers.map(names);
        watch.durable.rename(names);
        if let Some(staged) = &mut watch.staged {
            staged.change.rename(names);
            let messages = staged.messages.iter_mut();
            messages.for_each(|envelope| envelope.to = names(envelope.to));
        }
        watch
    }
}
