//! Theorems of distributed systems that a person can run, look at, and try to break.

pub mod cap;
pub mod clocks;
mod command;
pub mod flp;
pub mod generals;
pub mod raft_service;
mod report;
pub mod scene;

pub use report::Report;
