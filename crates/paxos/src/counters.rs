/// Input that was ignored, by reason. A peer's nonsense never becomes an error; it is counted here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Counters {
    /// Messages from nodes outside the group, or from this node itself.
    pub strangers: u64,
    /// Messages of a ballot below what is promised.
    pub stale: u64,
    /// Messages that no correct peer sends: another's ballot, gaps, slots or rounds beyond the end,
    /// two values in one ballot and slot.
    pub malformed: u64,
    /// Messages of a round more than [`Ballot::LEAP_MAX`](crate::Ballot::LEAP_MAX) above the stored
    /// one, see [`Leap`](crate::Leap).
    pub leaps: u64,
    /// Invitations of a leader that came too late, or to a node that lacks something.
    pub transfers_stale: u64,
    /// Messages that make no sense in this role, most of them late.
    pub out_of_role: u64,
    /// Values too far beyond the chosen prefix to vote for.
    pub too_far_ahead: u64,
    /// Values or snapshots that contradict what is chosen here.
    pub conflicts_with_chosen: u64,
    /// Snapshots that cover nothing new.
    pub snapshots_stale: u64,
    /// Receipts for no write in flight.
    pub receipts_unknown: u64,
    /// Receipts for a write of another core value: of another group, or of this one before it was
    /// opened again.
    pub receipts_foreign: u64,
    /// Fetched values that nobody waits for any more, or that are not what was asked for.
    pub fetches_stale: u64,
    /// Campaigns not begun because no round or slot is left.
    pub exhausted: u64,
}

/// Counts one more, and stays at the top instead of wrapping.
pub(crate) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
