//! Our logs, transports and machines pass their suites, and a broken one of each kind is caught by
//! the case for its bug.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod decorators;
mod log;
mod machine;
mod memory_log;
mod memory_snapshots;
mod transport;

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a suite that must fail, and checks which case failed first.
fn caught(bug: &str, case: &str, suite: impl FnOnce()) {
    let ended = catch_unwind(AssertUnwindSafe(suite));
    let Err(panic) = ended else {
        panic!("{bug}: nothing was noticed")
    };
    let said = panic.downcast_ref::<String>().unwrap();
    assert!(
        said.split_once("case `")
            .is_some_and(|(_, rest)| rest.starts_with(&format!("{case}`")))
            && said.contains("promised: "),
        "{bug}: expected `{case}` to fail, and not: {said}"
    );
}
