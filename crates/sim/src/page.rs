//! A run as a page: one file of HTML that shows it in any browser, without a network.
//!
//! A [`Recorder`] is told what happens, and writes a space-time diagram: a line a node, messages as
//! arrows, lost ones marked, what clients did as intervals on top; each node's part and log at the
//! moment of a slider; and, for the event that is clicked, its causal past and future, with all that
//! is concurrent dimmed.
//!
//! ```text
//!  World::recorded ──┐                                     ┌─ events with numbers ─┐
//!  Cluster::record ──┼──> Recorder ── the last events_max ─┤  messages, spans      ├──> html()
//!  any other hand ───┘        ^                            └─ operations, views ───┘
//!                             │
//!                   View: role, epoch, log, marks, as the program itself tells them
//! ```
//!
//! - A [`World`](crate::World) is recorded if it is made by [`World::recorded`](crate::World::recorded)
//!   and its process has a [`Portrait`]; a [`Cluster`](crate::cluster::Cluster) by
//!   [`Cluster::record`](crate::cluster::Cluster::record). Whoever steps nodes by hand tells the
//!   recorder by hand: `examples/two_phase_commit.rs` does.
//! - Recording draws nothing, and nothing asks whether it is on: with and without it the same seed
//!   gives the same run. Where it is off it costs a look at an empty option.
//! - What is recorded is bounded, and the page says how many events were left out.
//! - The page holds the run as data, and its script writes text only: whatever stands in a message
//!   stays text.

mod by_panic;
mod change;
mod html;
mod json;
mod kind;
mod moments;
mod news;
mod recorder;
mod recording;
mod view;

use std::path::{Path, PathBuf};

pub use by_panic::LeftByPanic;
pub use kind::Kind;
pub use recorder::Recorder;
pub use recording::{EVENTS_MAX, EventId, MessageId, OperationId};
pub use view::{Entry, LOG_ENTRIES_MAX, Portrait, View, caption_of};

/// A file of this name in the folder `tmp` of the target folder that the running test was built in; in
/// that of the machine, if it was built elsewhere.
#[must_use]
pub fn beside_tests(name: &str) -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    // target/PROFILE/deps/PROGRAM
    let is_built = (program.parent()).is_some_and(|folder| folder.ends_with("deps"));
    match program.ancestors().nth(3) {
        Some(target) if is_built => target.join("tmp").join(name),
        _ => std::env::temp_dir().join(name),
    }
}

/// Writes the page of a run that failed, and says in a line where it is: `--- page: FILE`.
pub fn leave(recorder: &Recorder, path: &Path) {
    match recorder.write(path) {
        Ok(()) => println!("--- page: {}", path.display()),
        // What failed before is what counts.
        Err(error) => println!("--- no page: {}: {error}", path.display()),
    }
}
