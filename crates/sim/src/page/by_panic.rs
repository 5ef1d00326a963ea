//! The page of a test that fails by a panic.

use std::path::PathBuf;
use std::thread;

use super::recorder::Recorder;
use crate::campaign;

/// Leaves the page of a run if the thread panics while this exists.
///
/// For hand-written tests with assertions along the way: record the run from the beginning, and keep
/// this value next to the nodes.
#[derive(Debug)]
pub struct LeftByPanic {
    recorder: Recorder,
    path: PathBuf,
}

impl LeftByPanic {
    /// Under the name of this thread, which is that of the test.
    #[must_use]
    pub fn new(recorder: &Recorder) -> Self {
        campaign::keep_last_words();
        let test = thread::current().name().unwrap_or("story").to_owned();
        let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
        recorder.about("test", format!("{package}: {test}"));
        let file = format!("{package}-{test}.html").replace("::", "-");
        Self {
            recorder: recorder.clone(),
            path: super::beside_tests(&file),
        }
    }
}

impl Drop for LeftByPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            self.recorder.violation(campaign::last_words().trim_end());
            super::leave(&self.recorder, &self.path);
        }
    }
}
