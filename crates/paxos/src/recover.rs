use crate::{Position, Snapshot, State};

/// What the storage holds when a node starts. For a node that never ran: no state,
/// `Position::ZERO`, no snapshot, no votes.
#[derive(Clone, Debug)]
pub struct Recovered<I> {
    /// The newest [`Record::state`](crate::Record::state).
    pub state: Option<State>,
    /// The newest [`Record::start`](crate::Record::start), or `Position::ZERO`.
    pub start: Position,
    /// The newest complete snapshot, if any. It may be ahead of `start` and even of every vote.
    pub snapshot: Option<Snapshot>,
    /// The newest vote for each slot behind `start` that has one, ascending.
    pub votes: I,
}
