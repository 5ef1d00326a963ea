//! Whether the detector itself was awake: a loop that was held up must not take it for the silence of others.

use super::{Instant, SettingsError};
use std::time::Duration;

/// How a detector notices that it was itself held up, by a pause of its process or by an owner that is busy, and
/// how long it suspects nobody then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attention {
    /// The longest time between two calls of an owner that is not held up:
    /// [`poll_timeout`](super::Detector::poll_timeout) never asks for a later one.
    pub poll_every: Duration,
    /// How much later than that a call may come and still be in time.
    pub late_max: Duration,
    /// For so long after it was held up a detector suspects nobody. Long enough for a peer that lives to be
    /// heard: a heartbeat and its way, at the least.
    pub grace: Duration,
}

impl Attention {
    /// For peers that say something every `heartbeat`: polled as often, late by half of it, and two of
    /// them for everybody to be heard again.
    #[must_use]
    pub fn of(heartbeat: Duration) -> Self {
        Self {
            poll_every: heartbeat,
            late_max: heartbeat / 2,
            grace: heartbeat.saturating_mul(2),
        }
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        match self.poll_every.is_zero() {
            true => Err(SettingsError::NoTime("poll_every")),
            false => Ok(()),
        }
    }
}

/// When the detector was last called, and until when it suspects nobody.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    settings: Attention,
    called: Instant,
    until: Instant,
}

impl Watch {
    pub(super) fn begin(now: Instant, settings: Attention) -> Self {
        Self {
            settings,
            called: now,
            until: now,
        }
    }

    /// Each call of the detector comes by here first. `true`: it was held up before this one.
    pub(super) fn is_held_up(&mut self, now: Instant) -> bool {
        let allowed = self
            .settings
            .poll_every
            .saturating_add(self.settings.late_max);
        let held_up = now.since(self.called) > allowed;
        self.called = self.called.max(now);
        if held_up {
            self.until = now + self.settings.grace;
        }
        held_up
    }

    /// Until then nobody is suspected.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// The latest moment of the next call.
    pub(super) fn next(&self) -> Instant {
        self.called + self.settings.poll_every
    }
}
