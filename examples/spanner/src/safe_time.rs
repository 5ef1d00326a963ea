//! Up to which timestamp a replica may serve reads (section 4.1.3).
//!
//! `t_safe = min(closed, first prepared - 1)`. `closed` comes from the log, or by word from the leader: [`Promise`].
//! "Closed" is Spanner's `MinNextTS` less one, by message instead of in the log, so an idle shard costs no entries.

use std::collections::BTreeMap;

use synod_truetime::Timestamp;

use crate::shard::State;
use crate::txn::Reign;

/// Every command that assigns at or below `closed` stands at or before index `through`.
///
/// It covers prepares and commits that are still to come. It stays true for ever once it was made: its own leader keeps
/// above it, later reigns begin above the lease in which it was made, and earlier ones are fenced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Promise {
    /// Whose word it is.
    pub reign: Reign,
    /// It counts where this index is applied.
    pub through: u64,
    /// No timestamp at or below comes behind `through`.
    pub closed: Timestamp,
}

/// The promises of a shard that a replica keeps: the best one that it has reached, and those ahead.
///
/// Invariant: at most [`AHEAD_MAX`] are ahead.
#[derive(Clone, Debug, Default, Hash)]
pub struct SafeTime {
    ahead: BTreeMap<u64, Timestamp>,
    reached: Timestamp,
}

impl SafeTime {
    /// A promise came, in whatever order. One of a reign that the replica has not heard of yet is as good as any: it
    /// counts from its position, and there the replica has applied that reign's take-over.
    pub fn handle_promise(&mut self, promise: Promise, state: &State) {
        let best = self.ahead.entry(promise.through).or_default();
        *best = (*best).max(promise.closed);
        self.handle_applied(state);
        while self.ahead.len() > AHEAD_MAX {
            // The farthest helps last.
            self.ahead.pop_last();
        }
    }

    /// The replica has applied more.
    pub fn handle_applied(&mut self, state: &State) {
        while let Some(first) = self.ahead.first_entry() {
            if *first.key() > state.applied {
                break;
            }
            self.reached = self.reached.max(first.remove());
        }
    }

    /// A read at or below this sees all that will ever be there.
    pub fn at(&self, state: &State) -> Timestamp {
        let ahead = self.ahead.range(..=state.applied);
        let reached = ahead.map(|(_, closed)| *closed).max();
        let closed = state.floor().max(self.reached);
        state.safe_if_closed(closed.max(reached.unwrap_or(Timestamp::MIN)))
    }
}

/// How many promises a replica keeps that it has not reached.
pub const AHEAD_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_counts_from_where_its_index_is_applied() {
        let promise = |through, closed| Promise {
            reign: Reign(1),
            through,
            closed: Timestamp::from_nanos(closed),
        };
        let mut state = State {
            applied: 4,
            ..State::default()
        };
        let mut safe = SafeTime::default();
        safe.handle_promise(promise(4, 10), &state);
        safe.handle_promise(promise(6, 30), &state);
        assert_eq!(safe.at(&state).as_nanos(), 10);
        state.applied = 6;
        assert_eq!(safe.at(&state).as_nanos(), 30);
        for through in 7..200 {
            safe.handle_promise(promise(through, 40), &state);
        }
        assert_eq!(safe.ahead.len(), AHEAD_MAX);
    }
}
