//! `--lease`: whether a leader may answer reads without asking the others.

use std::time::Duration;

/// Reads by lease, as the command line says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Leases {
    /// A leader that a quorum has heard answers reads of connections that allow it (`CONSISTENCY LEASE`) by itself
    /// for this long, at most the election timeout. The same on all nodes. To lower it or leave it out, keep each
    /// node down for as long as it was before [default: no leases]
    #[arg(
        long,
        value_name = "MS",
        requires = "clock_drift",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub lease: Option<u64>,
    /// By how many parts per million the clock of any node may run faster or slower than true time: leases rest on
    /// this, and a worse clock makes reads by lease stale
    #[arg(
        long,
        value_name = "PPM",
        requires = "lease",
        value_parser = clap::value_parser!(u32).range(..100_000)
    )]
    pub clock_drift: Option<u32>,
}

impl Leases {
    /// How long they are, and the bound on clocks, in parts per million. Neither without the other.
    pub(crate) fn setting(self) -> Option<(Duration, u32)> {
        Some((Duration::from_millis(self.lease?), self.clock_drift?))
    }

    /// The same on the command line of a node.
    #[must_use]
    pub fn arguments(self) -> Vec<String> {
        let Some((length, drift)) = self.setting() else {
            return Vec::new();
        };
        let (length, drift) = (length.as_millis().to_string(), drift.to_string());
        vec!["--lease".into(), length, "--clock-drift".into(), drift]
    }
}
