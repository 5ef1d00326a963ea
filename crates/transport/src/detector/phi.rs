//! The φ accrual detector: suspicion as a number, from the distribution of past gaps.

use super::arrivals::{Arrivals, Timeout};
use super::normal::{LEVEL_MIN, deviations, ln_upper_tail};
use super::window::{GAPS_MAX, Window};
use super::{Attention, Counts, Detector, Incarnation, Instant, Output, SettingsError};
use crate::NodeId;
use std::f64::consts::LN_10;
use std::time::Duration;

/// The φ accrual failure detector (Hayashibara, Défago, Yared, Katayama 2004).
///
/// [`phi`](Self::phi) is -log10 of the probability that a live peer is silent for so long or longer, if its
/// gaps are normally distributed with the mean and standard deviation of the recent ones. At 8 a live peer
/// would be as silent once in a hundred million gaps, *if the model holds*; gaps in real networks have
/// heavier tails, and the README shows the resulting mistakes per day.
///
/// Eventually perfect only under a bound: see the [module](super). Differences from the paper:
///
/// | | here | why |
/// |---|---|---|
/// | φ | computed from the logarithm of the tail | beyond 38 deviations the tail is 0 in floating point |
/// | the first gaps | an estimate: mean `heartbeat`, deviation a quarter of it | an empty window has neither |
/// | the mean | is never below `heartbeat` | any frame counts, and a pause in dense traffic is not a crash |
/// | gaps below half of `heartbeat` | are not learnt | bursts would push everything else out of the window |
/// | the gap that ends a suspicion | is not learnt | one long outage would hide the next one |
#[derive(Clone, Debug)]
pub struct PhiAccrual(Arrivals<Learnt>);

/// The settings of a [`PhiAccrual`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PhiSettings {
    /// The longest interval between a peer's frames; the estimate of the mean before any gap is
    /// learnt.
    pub heartbeat: Duration,
    /// The value of φ at which a peer is suspected, from 0.5 to 1,000.
    pub threshold: f64,
    /// How many gaps are remembered, up to 4,096.
    pub gaps_max: usize,
    /// The least standard deviation, however regular the gaps were.
    pub deviation_min: Duration,
    /// A tolerated pause added to the expected gap, for instance for garbage collection.
    pub pause_accepted: Duration,
    /// The greatest timeout, whatever was learnt.
    pub timeout_max: Duration,
    /// How stalls of the detector itself are handled.
    pub attention: Attention,
}

impl PhiSettings {
    /// Settings for peers that send every `heartbeat`: threshold 8, 1,000 gaps, a deviation of at least a
    /// tenth, and a timeout of at most thirty.
    #[must_use]
    pub fn of(heartbeat: Duration) -> Self {
        Self {
            heartbeat,
            threshold: 8.0,
            gaps_max: 1_000,
            deviation_min: heartbeat / 10,
            pause_accepted: Duration::ZERO,
            timeout_max: heartbeat.saturating_mul(30),
            attention: Attention::of(heartbeat),
        }
    }

    fn check(&self) -> Result<(), SettingsError> {
        self.attention.check()?;
        if self.heartbeat.is_zero() {
            Err(SettingsError::NoTime("heartbeat"))
        } else if self.deviation_min.is_zero() {
            // With regular gaps and no deviation any delay would be infinitely unlikely.
            Err(SettingsError::NoTime("deviation_min"))
        } else if self.heartbeat > self.timeout_max {
            Err(SettingsError::Order("heartbeat", "timeout_max"))
        } else if !(LEVEL_MIN..=THRESHOLD_MAX).contains(&self.threshold) {
            Err(SettingsError::Range("threshold"))
        } else if !(2..=GAPS_MAX).contains(&self.gaps_max) {
            Err(SettingsError::Range("gaps_max"))
        } else {
            Ok(())
        }
    }
}

impl PhiAccrual {
    /// Monitors `peers` from `now` on; a peer from which nothing arrives counts as silent since
    /// then.
    ///
    /// # Errors
    /// [`SettingsError`], when the settings contradict themselves.
    pub fn new(
        now: Instant,
        peers: impl IntoIterator<Item = NodeId>,
        settings: PhiSettings,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        let learnt = Learnt::guess(settings);
        let arrivals = Arrivals::begin(now, peers, settings.attention, &learnt);
        Ok(Self(arrivals))
    }

    /// The value of φ for `peer` now; it never decreases while the silence lasts. `None` if `peer` is not
    /// monitored.
    #[must_use]
    pub fn phi(&self, now: Instant, peer: NodeId) -> Option<f64> {
        let (learnt, last) = self.0.timeout(peer)?;
        Some(learnt.phi(now.since(last)))
    }

    /// The current timeout of `peer`; `None` if it is not monitored.
    #[must_use]
    pub fn timeout(&self, peer: NodeId) -> Option<Duration> {
        self.0.timeout(peer).map(|(learnt, _)| learnt.timeout)
    }
}

impl Detector for PhiAccrual {
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

/// The learnt gaps of one incarnation of a peer.
///
/// Invariant: `timeout` is where φ reaches the threshold, or `timeout_max`. It is cached because it is read more
/// often than it changes. Comparing durations instead of values of φ also makes runs identical on machines whose
/// logarithms differ in the last digit.
#[derive(Clone, Debug)]
struct Learnt {
    settings: PhiSettings,
    /// The threshold, in standard deviations above the mean.
    threshold: f64,
    window: Window,
    timeout: Duration,
}

impl Learnt {
    fn guess(settings: PhiSettings) -> Self {
        let mut learnt = Self {
            settings,
            threshold: deviations(settings.threshold),
            window: first_window(settings),
            timeout: Duration::ZERO,
        };
        learnt.weigh();
        learnt
    }

    fn phi(&self, silence: Duration) -> f64 {
        let z = (silence.as_nanos() as f64 - self.mean()) / self.deviation();
        // Avoids negative zero for a tail of probability 1.
        (-ln_upper_tail(z) / LN_10).max(0.0)
    }

    /// In nanoseconds, as `deviation` is.
    fn mean(&self) -> f64 {
        let heartbeat = self.settings.heartbeat.as_nanos() as f64;
        self.window.mean().max(heartbeat) + self.settings.pause_accepted.as_nanos() as f64
    }

    fn deviation(&self) -> f64 {
        let min = self.settings.deviation_min.as_nanos() as f64;
        self.window.deviation().max(min)
    }

    fn weigh(&mut self) {
        let timeout = self.mean() + self.threshold * self.deviation();
        // Saturates; neither of the two is negative.
        let timeout = Duration::from_nanos(timeout.ceil() as u64);
        self.timeout = timeout.min(self.settings.timeout_max);
    }
}

impl Timeout for Learnt {
    fn learn(&mut self, gap: Duration) {
        if gap >= self.settings.heartbeat / 2 {
            self.window.push(gap);
            self.weigh();
        }
    }

    fn mistaken(&mut self) {}

    fn restart(&mut self) {
        self.window = first_window(self.settings);
        self.weigh();
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }
}

fn first_window(settings: PhiSettings) -> Window {
    let heartbeat = settings.heartbeat;
    Window::guess(heartbeat, heartbeat / 4, settings.gaps_max)
}

/// Far above any useful threshold, and well within the range of `ln_upper_tail`.
const THRESHOLD_MAX: f64 = 1_000.0;
