//! A deadline for each peer, which each mistake makes later.

use super::arrivals::{Arrivals, Patience};
use super::{Attention, Counts, Detector, Incarnation, Instant, Output, SettingsError};
use crate::NodeId;
use std::time::Duration;

/// Suspects a peer that was silent for a fixed time, and is more patient with it after each mistake (Chandra and Toueg,
/// *Unreliable failure detectors for reliable distributed systems*, 1996, figure 10).
///
/// Eventually perfect when the silences of whoever lives are bounded from some moment on, by any bound below
/// `patience_max`: after finitely many mistakes its patience is above the bound. Nobody needs to know the bound.
/// The price is that what it gave way to once it keeps: detection stays late until the peer begins a new
/// incarnation.
#[derive(Clone, Debug)]
pub struct Deadline(Arrivals<Growing>);

/// What a [`Deadline`] is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlineSettings {
    /// The silence at which a peer is suspected at first.
    pub patience_first: Duration,
    /// How much longer it is after each mistake.
    pub growth: Duration,
    /// It gets no longer than this: whoever crashed is suspected within it.
    pub patience_max: Duration,
    /// When it was itself held up.
    pub attention: Attention,
}

impl DeadlineSettings {
    /// For peers that say something every `heartbeat`: three of them missed, one more after each mistake,
    /// up to thirty.
    #[must_use]
    pub fn of(heartbeat: Duration) -> Self {
        Self {
            patience_first: heartbeat.saturating_mul(3),
            growth: heartbeat,
            patience_max: heartbeat.saturating_mul(30),
            attention: Attention::of(heartbeat),
        }
    }

    fn check(&self) -> Result<(), SettingsError> {
        self.attention.check()?;
        if self.patience_first.is_zero() {
            Err(SettingsError::NoTime("patience_first"))
        } else if self.patience_first > self.patience_max {
            Err(SettingsError::Order("patience_first", "patience_max"))
        } else {
            Ok(())
        }
    }
}

impl Deadline {
    /// Watches `peers` from now on; one that never says anything counts as silent since then.
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
            patience: settings.patience_first,
        };
        let arrivals = Arrivals::begin(now, peers, settings.attention, &growing);
        Ok(Self(arrivals))
    }

    /// The silence at which `peer` is suspected now; `None` for a stranger.
    #[must_use]
    pub fn patience(&self, peer: NodeId) -> Option<Duration> {
        self.0.patience(peer).map(|(growing, _)| growing.patience)
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
    patience: Duration,
}

impl Patience for Growing {
    fn learn(&mut self, _gap: Duration) {}

    fn mistaken(&mut self) {
        let longer = self.patience.saturating_add(self.settings.growth);
        self.patience = longer.min(self.settings.patience_max);
    }

    fn restart(&mut self) {
        self.patience = self.settings.patience_first;
    }

    fn patience(&self) -> Duration {
        self.patience
    }
}
