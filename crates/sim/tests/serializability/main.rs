//! The checks of strict serializability against an enumeration of all orders, on planted anomalies
//! of every name, and on histories of real size.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod agreement;
mod cases;
mod edn;
mod large;
mod orders;
mod planted;
mod positions;
