//! Every law and theorem of the papers, on random executions against causal histories.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod execution;
mod hybrid_2014;
mod lamport_1978;
mod restart;
