//! A run as a self-contained HTML page, which any browser shows without network access.
//!
//! A [`Recorder`] records events and renders a space-time diagram: a line for each node, messages as
//! arrows, lost ones marked, client operations as intervals at the top; each node's role and log at
//! the time of a slider; and, for a clicked event, its causal past and future, with concurrent
//! events dimmed.
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
//!   [`Cluster::record`](crate::cluster::Cluster::record). Tests that step nodes by hand must call the
//!   recorder by hand, as `examples/two_phase_commit.rs` does.
//! - Recording takes no random numbers and does not affect the run: with and without it the same
//!   seed gives the same run. When it is off it costs one check of an empty option.
//! - The recording is bounded, and the page shows how many events were omitted.
//! - The page holds the run as data, and its script only inserts text, so message contents are
//!   never interpreted as markup.

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

/// Writes the page of a failed run, and prints a line with its path: `--- page: FILE`.
pub fn leave(recorder: &Recorder, path: &Path) {
    match recorder.write(path) {
        Ok(()) => println!("--- page: {}", path.display()),
        // The original failure takes precedence.
        Err(error) => println!("--- no page: {}: {error}", path.display()),
    }
}
