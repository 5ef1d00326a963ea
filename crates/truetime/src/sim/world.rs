use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use super::rng::Rng;
use crate::Timestamp;

/// The simulated true time. It counts picoseconds internally, so that no reading of a nanosecond
/// clock is exact. Its range is 213 days.
///
/// Clones are handles to the same world.
#[derive(Clone, Debug)]
pub struct World {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    elapsed_picos: core::sync::atomic::AtomicU64,
    rng: Mutex<Rng>,
}

impl World {
    /// A world that begins on 2026-11-23, whose random numbers depend only on the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        // No clock starts at a whole nanosecond.
        let phase = rng.next() % 1000;
        Self {
            shared: Arc::new(Shared {
                elapsed_picos: phase.into(),
                rng: Mutex::new(rng),
            }),
        }
    }

    /// The true time, rounded down.
    pub fn now(&self) -> Timestamp {
        START.later(self.elapsed_picos() / 1000)
    }

    /// What the true time is beyond [`now`](Self::now), in picoseconds: 0 to 999.
    #[must_use]
    pub fn picos(&self) -> u32 {
        (self.elapsed_picos() % 1000) as u32
    }

    /// Whether true time, to the picosecond, lies in an interval.
    #[must_use]
    pub fn is_in(&self, interval: &crate::Interval) -> bool {
        let now = self.now();
        let below_latest = now < interval.latest();
        interval.earliest() <= now
            && (below_latest || now == interval.latest() && self.picos() == 0)
    }

    /// Advances time.
    pub fn advance(&self, by: Duration) {
        let nanos = crate::timestamp::nanos(by);
        self.advance_picos(nanos.saturating_mul(1000));
    }

    /// Advances time by picoseconds.
    pub fn advance_picos(&self, by: u64) {
        let elapsed = &self.shared.elapsed_picos;
        elapsed.fetch_add(by, core::sync::atomic::Ordering::AcqRel);
    }

    /// A number between two, both included, drawn by the world's seed.
    #[must_use]
    pub fn draw(&self, least: i64, most: i64) -> i64 {
        let mut rng = self
            .shared
            .rng
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        rng.between(least, most)
    }

    pub(super) fn rng(&self) -> Rng {
        let mut rng = self
            .shared
            .rng
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Rng::new(rng.next())
    }

    pub(super) fn elapsed_picos(&self) -> u64 {
        let elapsed = &self.shared.elapsed_picos;
        elapsed.load(core::sync::atomic::Ordering::Acquire)
    }
}

const START: Timestamp = Timestamp::from_nanos(1_795_392_000_000_000_000);
