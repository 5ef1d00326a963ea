use super::Log;
use crate::{Kind, Slot, Value, Vote, Votes};

/// Where the log has configurations, so that nobody looks through its values for them.
impl Log {
    #[cold]
    pub(super) fn mark_configurations(&mut self, votes: &Votes) {
        let configures = |vote: &Vote<&Value>| vote.value.kind == Kind::Configuration;
        let slots = votes.iter().filter(configures).map(|vote| vote.slot);
        self.marked.extend(slots);
    }

    /// Whether a configuration may be among the chosen values that were not asked for yet.
    #[inline]
    pub(crate) fn may_configure(&self) -> bool {
        self.marked.first().is_some_and(|slot| *slot <= self.chosen)
    }

    /// The next configuration that is chosen. Values do not leave memory before they are asked for.
    #[cold]
    pub(crate) fn next_configuration(&mut self) -> Option<(Slot, Value)> {
        while let Some(slot) = self.marked.first().copied()
            && slot <= self.chosen
        {
            self.marked.pop_first();
            let value = self.vote(slot).map(|vote| vote.value);
            // A higher ballot may have replaced it by another value.
            let value = value.filter(|value| value.kind == Kind::Configuration);
            if let Some(value) = value.cloned() {
                return Some((slot, value));
            }
        }
        // What was kept for its sake.
        self.evict();
        None
    }

    /// Whether a configuration up to `slot` was not asked for yet.
    pub(super) fn is_marked_to(&self, slot: Slot) -> bool {
        self.marked.first().is_some_and(|marked| *marked <= slot)
    }
}
