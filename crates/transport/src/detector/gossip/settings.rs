//! What a gossiping detector is told.

use super::RUMORS_MAX;
use crate::detector::{Attention, SettingsError};
use std::time::Duration;

/// What a [`Gossip`](super::Gossip) is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GossipSettings {
    /// A round: one peer is probed in each.
    pub probe_every: Duration,
    /// When a probe was not answered for so long, helpers are asked; they have the rest of the round.
    pub answer_max: Duration,
    /// How long a peer that was not heard of, or that others do not hear of, has for taking that back before
    /// it is suspected here.
    pub refute_max: Duration,
    /// How many helpers are asked.
    pub helpers: usize,
    /// The most rumours in one message, up to [`RUMORS_MAX`].
    pub rumors_max: usize,
    /// Each rumour is passed on so many times for each doubling of the cluster.
    pub transmissions: u32,
    /// The most probes for others under way at a time; what is asked beyond that is not done.
    pub errands_max: usize,
    /// Seeds the choice of whom to probe and whom to ask for help.
    pub seed: u64,
    /// When it was itself held up.
    pub attention: Attention,
}

impl GossipSettings {
    /// A round every `probe_every`, of which a third is for the direct answer; three rounds to refute; three
    /// helpers, eight rumours a message, each passed on three times for each doubling.
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
