//! The theorems of the papers, each on random executions and against an oracle that knows nothing of
//! clocks: the set of events in the past of each event.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod broadcast;
mod dvv;
mod executions;
mod itc;
mod matrix;
mod pruned;
mod vectors;
