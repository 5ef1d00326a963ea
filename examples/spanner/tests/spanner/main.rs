//! Shards, leaders and clients together: stories that are written, and runs that are drawn.

#![expect(
    clippy::unwrap_used,
    clippy::result_large_err,
    reason = "tests: what fails ends the run"
)]

mod bank;
mod handing_over;
mod leases;
mod locks;
mod nodes;
mod random;
mod settling;
mod two_phase_commit;
mod world;
