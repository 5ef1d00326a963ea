//! A timeout for each peer, which grows with each mistake.

use super::arrivals::{Arrivals, Timeout};
use super::{Attention, Counts, Detector, Incarnation, Instant, Output, SettingsError};
use crate::NodeId;
use std::time::Duration;

/// Suspects a peer that was silent for its timeout, which grows after each mistake (Chandra and Toueg, *Unreliable
/// failure detectors for reliable distributed systems*, 1996, figure 10).
///
/// Eventually perfect when the gaps of live peers are eventually bounded by any value below `timeout_max`:
/// after finitely many mistakes the timeout exceeds the bound, which need not be known. The cost is that the
/// timeout never shrinks: detection stays slow until the peer starts a new incarnation.
#[derive(Clone, Debug)]
pub struct Deadline(Arrivals<Growing>);

/// The settings of a [`Deadline`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlineSettings {
    /// The initial timeout.
    pub timeout_first: Duration,
    /// By how much each mistake extends it.
    pub growth: Duration,
    /// The greatest timeout, within which every crash is detected.
    pub timeout_max: Duration,
    /// How stalls of the detector itself are handled.
    pub attention: Attention,
}

impl DeadlineSettings {
    /// Settings for peers that send every `heartbeat`: a timeout of three, one more after each mistake,
    /// up to thirty.
    #[must_use]
    pub fn of(heartbeat: Duration) -> Self {
        Self {
            timeout_first: heartbeat.saturating_mul(3),
            growth: heartbeat,
            timeout_max: heartbeat.saturating_mul(30),
            attention: Attention::of(heartbeat),
        }
    }

    fn check(&self) -> Result<(), SettingsError> {
        self.attention.check()?;
        if self.timeout_first.is_zero() {
            Err(SettingsError::NoTime("timeout_first"))
        } else if self.timeout_first > self.timeout_max {
            Err(SettingsError::Order("timeout_first", "timeout_max"))
        } else {
            Ok(())
        }
    }
}

impl Deadline {
    /// Monitors `peers` from `now` on; a peer from which nothing arrives counts as silent since
    /// then.
    ///
    /// # Errors
    /// [`SettingsError`], when the settings contradict themselves.
    pub fn new(
        now: Instant,
        peers: impl IntoIterator<Item = NodeId>,
        settings: DeadlineSettings,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        let growing = Growing {
            settings,
            timeout: settings.timeout_first,
        };
        let arrivals = Arrivals::begin(now, peers, settings.attention, &growing);
        Ok(Self(arrivals))
    }

    /// The current timeout of `peer`; `None` if it is not monitored.
    #[must_use]
    pub fn timeout(&self, peer: NodeId) -> Option<Duration> {
        self.0.timeout(peer).map(|(growing, _)| growing.timeout)
    }
}

impl Detector for Deadline {
    fn handle_frame(&mut self, now: Instant, peer: NodeId, incarnation: Incarnation) {
        self.0.handle_frame(now, peer, incarnation);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.0.handle_timeout(now);
    }

    fn poll_timeout(&self) -> Instant {
        self.0.poll_timeout()
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.0.poll_output()
    }

    fn suspects(&self, peer: NodeId) -> bool {
        self.0.suspects(peer)
    }

    fn counts(&self) -> Counts {
        self.0.counts()
    }
}

#[derive(Clone, Debug)]
struct Growing {
    settings: DeadlineSettings,
    timeout: Duration,
}

impl Timeout for Growing {
    fn learn(&mut self, _gap: Duration) {}

    fn mistaken(&mut self) {
        let longer = self.timeout.saturating_add(self.settings.growth);
        self.timeout = longer.min(self.settings.timeout_max);
    }

    fn restart(&mut self) {
        self.timeout = self.settings.timeout_first;
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }
}
