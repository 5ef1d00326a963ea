//! The settings of the gossip detector.

use super::RUMORS_MAX;
use crate::detector::{Attention, SettingsError};
use std::time::Duration;

/// The settings of a [`Gossip`](super::Gossip).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GossipSettings {
    /// The length of a round; one peer is probed in each.
    pub probe_every: Duration,
    /// How long to wait for a direct answer before asking helpers, which have the rest of the round.
    pub answer_max: Duration,
    /// How long a doubted peer has to refute the doubt before it is suspected here.
    pub refute_max: Duration,
    /// How many helpers are asked for each unanswered probe.
    pub helpers: usize,
    /// The most rumours in one message, up to [`RUMORS_MAX`].
    pub rumors_max: usize,
    /// How often each rumour is sent, per doubling of the cluster's size.
    pub transmissions: u32,
    /// The most concurrent probes on behalf of others; further requests are ignored.
    pub errands_max: usize,
    /// The seed for the choice of probe targets and helpers.
    pub seed: u64,
    /// How stalls of the detector itself are handled.
    pub attention: Attention,
}

impl GossipSettings {
    /// Settings with a round every `probe_every`, of which a third is for the direct answer; three rounds to
    /// refute; three helpers; eight rumours per message, each sent three times per doubling.
    #[must_use]
    pub fn of(probe_every: Duration, seed: u64) -> Self {
        Self {
            probe_every,
            answer_max: probe_every / 3,
            refute_max: probe_every.saturating_mul(3),
            helpers: 3,
            rumors_max: 8,
            transmissions: 3,
            errands_max: 64,
            seed,
            attention: Attention::of(probe_every),
        }
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        self.attention.check()?;
        if self.answer_max.is_zero() {
            Err(SettingsError::NoTime("answer_max"))
        } else if self.answer_max >= self.probe_every {
            Err(SettingsError::Order("answer_max", "probe_every"))
        } else if !(1..=RUMORS_MAX).contains(&self.rumors_max) {
            Err(SettingsError::Range("rumors_max"))
        } else {
            Ok(())
        }
    }
}
