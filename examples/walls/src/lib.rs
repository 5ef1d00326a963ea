//! Theorems of distributed systems that a person can run, look at, and try to break.

pub mod cap;
pub mod clocks;
pub mod comforts;
mod command;
pub mod fallacies;
pub mod flp;
pub mod generals;
pub mod illusion;
pub mod raft_service;
mod report;
pub mod scene;

pub use report::Report;
