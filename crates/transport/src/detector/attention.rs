//! Detection of stalls of the detector itself, which must not count as silence of its peers.

use super::{Instant, SettingsError};
use std::time::Duration;

/// How a detector notices that it was itself stalled, by a pause of its process or a busy owner, and how long
/// its grace period is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attention {
    /// The longest time between two calls by an owner that is not stalled:
    /// [`poll_timeout`](super::Detector::poll_timeout) never returns a later time.
    pub poll_every: Duration,
    /// How late a call may be without counting as a stall.
    pub late_max: Duration,
    /// How long after a stall nobody is suspected. It should be long enough for a frame of each live peer
    /// to arrive: at least a heartbeat and its latency.
    pub grace: Duration,
}

impl Attention {
    /// Settings for peers that send every `heartbeat`: polled as often, half of it late at most, and a
    /// grace period of two.
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

/// The time of the last call and the end of the grace period.
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

    /// To be called first in each call of the detector. `true`: it was stalled before this one.
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

    /// The end of the grace period; nobody is suspected before.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// When the next call is due at the latest.
    pub(super) fn next(&self) -> Instant {
        self.called + self.settings.poll_every
    }
}
