/// Counts of ignored input, by reason. Invalid input from a peer is never an error; it is counted
/// here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Counters {
    /// Messages from this node itself.
    pub strangers: u64,
    /// Requests for votes, and messages of a later term, from nodes whose removal is committed.
    pub removed: u64,
    /// Messages of an earlier term.
    pub stale: u64,
    /// Messages that no correct peer sends: gaps, decreasing terms, indexes or terms out of range.
    pub malformed: u64,
    /// Messages of a term more than [`Term::LEAP_MAX`](crate::Term::LEAP_MAX) above the stored one, see
    /// [`Leap`](crate::Leap).
    pub leaps: u64,
    /// Messages that do not fit this node's role, mostly late ones.
    pub out_of_role: u64,
    /// Vote requests received while in contact with a leader.
    pub votes_while_led: u64,
    /// Vote requests received while bound by a promise to a leader, see [`Lease`](crate::Lease).
    pub votes_while_bound: u64,
    /// Requests of a leader to campaign that came too late, or to a node that lacks something.
    pub transfers_stale: u64,
    /// Entries or snapshots that contradict what is committed here, or what the leader itself sent.
    pub conflicts_with_commit: u64,
    /// Snapshots that cover nothing new.
    pub snapshots_stale: u64,
    /// Receipts for a write that is not in flight.
    pub receipts_unknown: u64,
    /// Receipts for a write of another core value: of another group, or of this one before it was
    /// opened again.
    pub receipts_foreign: u64,
    /// Fetched entries that are no longer needed, or were not requested.
    pub fetches_stale: u64,
    /// Elections not started because no term or index is left.
    pub exhausted: u64,
}

/// Increments a counter. Saturates instead of wrapping.
pub(crate) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
