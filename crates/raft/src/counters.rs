/// Input that was ignored, by reason. A peer's nonsense never becomes an error; it is counted here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Counters {
    /// Messages from nodes outside the membership, or from this node itself.
    pub strangers: u64,
    /// Messages of an earlier term.
    pub stale: u64,
    /// Messages that no correct peer sends: gaps, falling terms, indexes or terms beyond the end.
    pub malformed: u64,
    /// Messages of a term more than [`Term::LEAP_MAX`](crate::Term::LEAP_MAX) above the stored one, see
    /// [`Leap`](crate::Leap).
    pub leaps: u64,
    /// Messages that make no sense in this role, most of them late.
    pub out_of_role: u64,
    /// Requests for votes while a leader is heard.
    pub votes_while_led: u64,
    /// Requests of a leader to campaign that came too late, or to a node that lacks something.
    pub transfers_stale: u64,
    /// Entries or snapshots that contradict what is committed here, or what its leader has sent.
    pub conflicts_with_commit: u64,
    /// Snapshots that cover nothing new.
    pub snapshots_stale: u64,
    /// Receipts for no write in flight.
    pub receipts_unknown: u64,
    /// Receipts for a write of another core value: of another group, or of this one before it was
    /// opened again.
    pub receipts_foreign: u64,
    /// Fetched entries that nobody waits for any more, or that are not what was asked for.
    pub fetches_stale: u64,
    /// Elections not begun because no term or index is left.
    pub exhausted: u64,
}

/// Counts one more, and stays at the top instead of wrapping.
pub(crate) fn count(counter: &mut u64) {
    *counter = counter.saturating_add(1);
}
