//! Clocks that do not run alike, and reads by lease, which rest on how far they can differ.

use std::time::Duration;

use super::core::{Protocol, Watch};
use super::group::Cluster;

impl<P: Protocol> Cluster<P> {
    /// What the clock of a node shows.
    pub fn clock(&self, id: P::Id) -> P::Instant {
        let Some(rate) = self.clocks.get(&id) else {
            return self.now;
        };
        let nanos = i128::try_from(P::elapsed(self.now).as_nanos()).unwrap_or(i128::MAX);
        let shown = nanos.saturating_mul(MILLION + i128::from(*rate)) / MILLION;
        let shown = Duration::from_nanos(u64::try_from(shown).unwrap_or(u64::MAX));
        P::plus(P::Instant::default(), shown)
    }

    /// Up to which place a read by lease sees the log of this node, which looks at its clock now.
    ///
    /// # Errors
    /// Why there is no lease.
    pub fn read_by_lease(&self, id: u64) -> Result<u64, String> {
        let core = self.nodes[&P::id(id)].core.as_ref();
        let core = core.ok_or_else(|| "it is down".to_owned())?;
        P::read_by_lease(core, self.clock(P::id(id)))
    }

    /// At any moment one node at most could answer by lease, and it has all that anybody could have
    /// been told before.
    ///
    /// # Panics
    /// If not.
    pub fn check_leases(&self) {
        if !P::LEASES {
            return;
        }
        let mut holder = None;
        for (id, node) in &self.nodes {
            let Some(core) = node.core.as_ref().filter(|_| node.is_up()) else {
                continue;
            };
            let Ok(seen) = P::read_by_lease(core, self.clock(*id)) else {
                continue;
            };
            let applied = self.watch.applied();
            assert!(
                seen >= applied,
                "a stale read by lease at {id:?}: {seen} after {applied}"
            );
            if let Some(other) = holder.replace(*id) {
                panic!("two leases at once: {other:?} and {id:?}");
            }
        }
    }
}

const MILLION: i128 = 1_000_000;
