//! When a node must stop believing its own clock.

use std::collections::BTreeMap;
use std::time::Duration;

use synod_replica::embed::Instant;
use synod_truetime::Contradiction;

/// Who contradicts this node's clock.
///
/// One contradiction proves that one of two clocks is wrong, and not which. But if more nodes than may be wrong at once
/// contradict this one, then this one is wrong: it must not lead, since its timestamps would lie, and it may vote and
/// store as before, because no log looks at a clock.
///
/// Invariant: it remembers at most `NODES_MAX` nodes.
#[derive(Clone, Debug)]
pub struct Doubt {
    node: u64,
    nodes_needed: usize,
    lasts: Duration,
    by: BTreeMap<u64, Instant>,
}

impl Doubt {
    /// Of this node, if so many others contradict it within so long. With `f` clocks that may be wrong it takes `f +
    /// 1`; a majority of the nodes is on the safe side.
    #[must_use]
    pub fn new(node: u64, nodes_needed: usize, lasts: Duration) -> Self {
        Self {
            node,
            nodes_needed,
            lasts,
            by: BTreeMap::new(),
        }
    }

    /// Found here about a message that came, or told by whoever refused one of this node's. What is between two
    /// others is their matter.
    pub fn handle_contradiction(&mut self, found: &Contradiction, now: Instant) {
        let other = match (found.said_by, found.contradicted_by) {
            (said_by, other) if said_by == self.node => other,
            (other, contradicted_by) if contradicted_by == self.node => other,
            _ => return,
        };
        if self.by.len() < NODES_MAX || self.by.contains_key(&other) {
            self.by.insert(other, now);
        }
    }

    /// Whether this node must give up to lead, and not begin to.
    #[must_use]
    pub fn is_too_great(&self, now: Instant) -> bool {
        let lately = self.by.values();
        let lately = lately.filter(|when| now.since(**when) < self.lasts);
        lately.count() >= self.nodes_needed
    }
}

/// How many nodes may be remembered.
const NODES_MAX: usize = 1 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use synod_truetime::{Floor, Interval, NamedFloor, Timestamp};

    /// As node `refuses` finds it about what `says` has said.
    fn contradiction(says: u64, refuses: u64) -> Contradiction {
        let said = Floor {
            earliest: Timestamp::from_nanos(9),
            said_by: says,
        };
        let reading = Interval::at(Timestamp::from_nanos(1));
        NamedFloor::new(refuses)
            .incoming(said, &reading)
            .unwrap_err()
    }

    #[test]
    fn several_others_are_needed_and_the_quarrels_of_others_do_not_count() {
        let at = |seconds| Instant(Duration::from_secs(seconds));
        let mut doubt = Doubt::new(1, 2, Duration::from_secs(10));
        for found in [(1, 2), (2, 1), (3, 2), (2, 3)] {
            doubt.handle_contradiction(&contradiction(found.0, found.1), at(0));
        }
        assert!(!doubt.is_too_great(at(0)), "it is node 2 alone");
        doubt.handle_contradiction(&contradiction(3, 1), at(5));
        assert!(doubt.is_too_great(at(9)));
        assert!(!doubt.is_too_great(at(10)), "the first is long ago");
    }
}
