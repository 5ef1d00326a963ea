//! What the nodes' clocks showed, and when.

use std::collections::BTreeMap;
use std::time::Duration;

/// For each node, what its clock showed in its steps, each with the first true time at which it did.
#[derive(Debug, Default)]
pub(crate) struct Clocks(BTreeMap<u64, Vec<(Duration, Duration)>>);

impl Clocks {
    pub(crate) fn saw(&mut self, node: u64, shown: Duration, truth: Duration) {
        let seen = self.0.entry(node).or_default();
        if seen.last().is_none_or(|(last, _)| *last < shown) {
            seen.push((shown, truth));
        }
    }

    /// A true time, as late as is known, at which the clock of this node showed `shown` or less.
    pub(crate) fn when(&self, node: u64, shown: Duration) -> Duration {
        self.last(node, |seen| seen.0 <= shown)
            .map_or(Duration::ZERO, |(_, truth)| truth)
    }

    /// What this clock showed at a true time, or a step before it.
    pub(crate) fn showed(&self, node: u64, truth: Duration) -> Duration {
        self.last(node, |seen| seen.1 <= truth)
            .map_or(Duration::ZERO, |(shown, _)| shown)
    }

    fn last(
        &self,
        node: u64,
        is_before: impl Fn(&(Duration, Duration)) -> bool,
    ) -> Option<(Duration, Duration)> {
        let seen = self.0.get(&node)?;
        let count = seen.partition_point(is_before);
        seen.get(count.checked_sub(1)?).copied()
    }
}
