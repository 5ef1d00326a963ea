//! TrueTime for everybody: an interval that contains true time, from real clocks, or an error.

#![no_std]

#[cfg(any(test, feature = "std"))]
extern crate std;

mod growth;
mod interval;
mod local;
mod marzullo;
pub mod source;
mod timestamp;
mod truetime;

pub use growth::Drift;
pub use interval::{Interval, Reversed};
pub use local::{Clocks, Local};
pub use marzullo::{Agreement, NoAgreement, SOURCES_MAX, Tickers, marzullo};
pub use source::{Sample, Source, SourceError};
pub use timestamp::Timestamp;
pub use truetime::{BoundKind, Disruption, Reading, Status, TimeError, TrueTime};
