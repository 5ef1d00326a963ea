use alloc::vec::Vec;

use crate::check::Durable;
use crate::check::durable::Change;
use crate::role::RoleState;
use crate::{Envelope, Index, LogId, NodeId, Raft, Term};

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
    /// The disk has lost entries that were durable.
    pub(crate) forgot: bool,
    pub(crate) seen: Seen,
    /// The last entry that the machine was given in this incarnation.
    pub(crate) applied: Index,
    /// The term in which the node last acknowledged, and how far.
    pub(crate) acknowledged: (Term, Index),
}

/// A write in flight.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Staged {
    pub(crate) change: Change,
    pub(crate) messages: Vec<Envelope>,
}

/// What may not be taken back, as of the last step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    pub(crate) term: Term,
    pub(crate) leads: bool,
    /// To whom it is handing its leadership.
    pub(crate) transfers_to: Option<NodeId>,
    pub(crate) commit: Index,
    pub(crate) last: LogId,
    pub(crate) start: Index,
    /// From here on the log was cut, and the record that says so has not left.
    pub(crate) cut: Option<Index>,
}

impl Seen {
    pub(crate) fn of(raft: &Raft) -> Self {
        let core = &raft.common;
        Self {
            term: core.term,
            leads: matches!(raft.role, RoleState::Leader(_)),
            transfers_to: match &raft.role {
                RoleState::Leader(leader) => leader.transfers_to(),
                _ => None,
            },
            commit: core.committed,
            last: core.log.last(),
            start: core.log.start().index,
            cut: core.log.truncate_from(),
        }
    }

    /// What the last step cut off, except by beginning the log anew.
    pub(crate) fn newly_cut(&self, before: &Self) -> Option<Index> {
        let from = self.cut.filter(|_| self.start == before.start)?;
        before.cut.is_none_or(|cut| from < cut).then_some(from)
    }
}

impl Watch {
    pub(crate) fn renamed(&self, names: &impl Fn(NodeId) -> NodeId) -> Self {
        let mut watch = self.clone();
        watch.seen.transfers_to = watch.seen.transfers_to.map(names);
        watch.durable.rename(names);
        if let Some(staged) = &mut watch.staged {
            staged.change.rename(names);
            let messages = staged.messages.iter_mut();
            messages.for_each(|envelope| envelope.to = names(envelope.to));
        }
        watch
    }
}
