//! Theorems of distributed systems that a person can run, look at, and try to break.

pub mod cap;
mod command;
pub mod flp;
pub mod raft_service;
mod report;
pub mod scene;

pub use report::Report;
