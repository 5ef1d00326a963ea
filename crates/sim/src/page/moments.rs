//! Moments of a recording that count more than others: where the page opens, and where runs begin.

use std::time::Duration;

use super::recording::EventId;

/// The moment that a reader should see first.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    pub(super) event: EventId,
    pub(super) what: String,
    /// A rule is broken there. Otherwise it is only what the run was made for.
    pub(super) is_violation: bool,
}

/// One of several runs on the same lines.
#[derive(Debug)]
pub(super) struct Run {
    /// Its first event, which has its title.
    pub(super) event: EventId,
    /// Its time zero.
    pub(super) origin: Duration,
    pub(super) title: String,
}

impl Opening {
    pub(super) fn violation(event: EventId, what: &str) -> Self {
        Self {
            event,
            what: what.to_owned(),
            is_violation: true,
        }
    }
}
