//! TrueTime for everybody: an interval that contains true time, from real clocks, or an error.

#![no_std]

#[cfg(any(test, feature = "std"))]
extern crate std;

#[cfg(target_has_atomic = "64")]
mod anchor;
#[cfg(target_has_atomic = "64")]
mod cached;
mod combined;
mod commit_wait;
mod config;
#[cfg(target_has_atomic = "64")]
mod disciplined;
#[cfg(target_has_atomic = "64")]
mod floor;
mod growth;
#[cfg(test)]
mod interleavings;
mod interval;
#[cfg(target_has_atomic = "64")]
mod latch;
pub mod lease;
mod local;
mod marzullo;
#[cfg(target_has_atomic = "64")]
mod monotonic;
#[cfg(feature = "std")]
mod poller;
#[cfg(target_has_atomic = "64")]
mod register;
#[cfg(feature = "sim")]
pub mod sim;
pub mod source;
#[cfg(all(feature = "std", target_os = "linux"))]
mod system;
mod timestamp;
mod truetime;
#[cfg(target_has_atomic = "64")]
mod watch;
#[cfg(target_has_atomic = "64")]
mod word;

#[cfg(target_has_atomic = "64")]
pub use cached::Cached;
pub use combined::Combined;
pub use commit_wait::{CommitWait, Overlap, Wait};
pub use config::Config;
#[cfg(target_has_atomic = "64")]
pub use disciplined::{Disciplined, PollError, Polled};
#[cfg(target_has_atomic = "64")]
pub use floor::{CausalFloor, ClockBoundViolated};
pub use growth::Drift;
pub use interval::{Interval, Reversed};
pub use local::{Clocks, Local};
pub use marzullo::{Agreement, NoAgreement, SOURCES_MAX, Tickers, marzullo};
#[cfg(target_has_atomic = "64")]
pub use monotonic::Monotonic;
#[cfg(feature = "std")]
pub use poller::Poller;
pub use source::{Sample, Source, SourceError};
#[cfg(all(feature = "std", target_os = "linux"))]
pub use system::SystemClocks;
pub use timestamp::Timestamp;
pub use truetime::{BoundKind, Disruption, Reading, Status, TimeError, TrueTime};
