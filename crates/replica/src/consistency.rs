use std::time::Duration;

/// How fresh a read must be.
///
/// "Ended" is meant of a write that somebody was told about, on whichever node, before a moment in true
/// time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// Sees every write that had ended when the read began: its leader asks a quorum. Safe whatever any
    /// clock shows.
    Linearizable,
    /// Sees every write that had ended when the read began, as long as no clock of the group runs outside
    /// the drift that the configuration states. A leader that holds a lease answers without a message; in
    /// any other case the read is [`Linearizable`](Self::Linearizable) by itself.
    Lease,
    /// Sees every write that had ended this long before the read began, by the clock of this node. What
    /// this node has is enough if it is that fresh; else it asks, as for [`Lease`](Self::Lease). The time
    /// for which a machine was suspended counts only in a group that has leases, whose nodes notice it.
    Bounded(Duration),
    /// Sees some state that this node has reached; needs no other node.
    Stale,
}

impl Consistency {
    /// Whether the word of a leader that holds a lease is enough.
    pub(crate) fn takes_lease(self) -> bool {
        !matches!(self, Self::Linearizable)
    }
}
