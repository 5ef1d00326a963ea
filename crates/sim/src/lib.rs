//! A deterministic world in virtual time, and checkers of what was seen in it.
mod history;
mod kv;
mod linearizability;
mod value;
pub use history::{ClientId, Counts, History, Moment, OpId, Operation, Outcome, RecordError};
pub use kv::{KeyName, Kv, KvInput, KvOutput, KvRequest};
pub use linearizability::{Checker, Effect, Model, Verdict, Violation, check};
pub use value::Value;
