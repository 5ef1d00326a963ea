//! Linearizability: does some order of the operations, one that respects real time, explain all
//! outputs?

mod cache;
mod checker;
mod entries;
mod model;
mod search;
mod violation;

pub use checker::{Checker, Verdict, check};
pub use model::{Effect, Model};
pub use violation::Violation;
