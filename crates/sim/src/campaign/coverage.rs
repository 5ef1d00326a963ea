//! What runs have seen.

use std::collections::BTreeMap;
use std::fmt;

use crate::world::WorldStats;

/// How often what a test is about has come to pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage(BTreeMap<&'static str, u64>);

impl Coverage {
    /// Nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What a world counts: `events`, `delivered`, and one count for each kind of fault that struck.
    #[must_use]
    pub fn of(stats: &WorldStats) -> Self {
        Self(BTreeMap::from([
            ("events", stats.events),
            ("delivered", stats.delivered),
            ("lost", stats.lost),
            ("duplicated", stats.duplicated),
            ("old copies", stats.old_copies),
            ("overflowed", stats.overflowed),
            ("cut", stats.cut),
            ("clogged", stats.clogged),
            ("crashes", stats.crashes),
            ("power losses", stats.power_losses),
            ("crashes before send", stats.crashes_before_send),
            ("crashes by error", stats.crashes_by_error),
            ("start failures", stats.start_failures),
            ("power losses of all", stats.power_alls),
            ("pauses", stats.pauses),
            ("partitions", stats.partitions),
            ("clogs", stats.clogs),
            ("clock changes", stats.clock_changes),
            ("disk stalls", stats.disk_stalls),
            ("sync errors", stats.sync_errors),
            ("disks full", stats.disk_fulls),
            ("rots", stats.rots),
        ]))
    }

    /// Counts `what` so many times more.
    pub fn add(&mut self, what: &'static str, times: u64) {
        *self.0.entry(what).or_default() += times;
    }

    /// How often `what` has been counted.
    #[must_use]
    pub fn get(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// All counts, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().map(|(what, times)| (*what, *times))
    }

    /// Takes over the counts of another.
    pub fn merge(&mut self, other: &Self) {
        other.iter().for_each(|(what, times)| self.add(what, times));
    }
}

/// `crashes 12, partitions 3`, without what did not come to pass.
impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (what, times) in self.iter().filter(|(_, times)| *times > 0) {
            write!(f, "{separator}{what} {times}")?;
            separator = ", ";
        }
        Ok(())
    }
}
