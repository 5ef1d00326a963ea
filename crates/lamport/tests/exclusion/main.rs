//! The mutual exclusion of 1978: simulated over a network that loses, repeats and reorders, and
//! searched through for a few processes; and its edges: restarts, and the end of time.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod end_of_time;
#[path = "../../examples/mutual_exclusion/exclusion.rs"]
mod exclusion;
mod exhaustive;
mod restart;
mod simulated;
