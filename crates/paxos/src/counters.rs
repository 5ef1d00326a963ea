/// Counts of ignored input, by reason. Invalid input from a peer is never an error; it is counted
/// here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Counters {
    /// Messages in which this node is named as the sender. Whoever else sends is handled: it may be a
    /// member that this node's log does not know yet.
    pub strangers: u64,
    /// Questions and requests for promises of nodes that were removed. They are told so.
    pub removed: u64,
    /// Messages of a ballot below the promise.
    pub stale: u64,
    /// Messages that no correct peer sends: another node's ballot, gaps, slots or rounds out of
    /// range, two values in one ballot and slot.
    pub malformed: u64,
    /// Messages of a round more than [`Ballot::LEAP_MAX`](crate::Ballot::LEAP_MAX) above the stored
    /// one, see [`Leap`](crate::Leap).
    pub leaps: u64,
    /// Invitations of a leader that came too late, or to a node that lacks something.
    pub transfers_stale: u64,
    /// Requests for promises that were not answered because of a lease: one that this node has granted to
    /// another, or holds.
    pub leased: u64,
    /// Messages that do not fit this node's role, mostly late ones.
    pub out_of_role: u64,
    /// Values too far beyond the chosen prefix to vote for.
    pub too_far_ahead: u64,
    /// Values or snapshots that contradict what is chosen here.
    pub conflicts_with_chosen: u64,
    /// Snapshots that cover nothing new.
    pub snapshots_stale: u64,
    /// Receipts for a write that is not in flight.
    pub receipts_unknown: u64,
    /// Receipts for a write of another core value: of another group, or of this one before it was
    /// opened again.
    pub receipts_foreign: u64,
    /// Fetched values that are no longer needed, or were not requested.
    pub fetches_stale: u64,
    /// Campaigns not started because no round or slot is left.
    pub exhausted: u64,
}

/// Increments a counter. Saturates instead of wrapping.
pub(crate) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
