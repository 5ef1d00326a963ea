//! Theorems of distributed systems that a person can run, look at, and try to break.

pub mod flp;
mod report;

pub use report::Report;
