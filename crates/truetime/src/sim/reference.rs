use core::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use core::time::Duration;

use super::Machine;
use crate::timestamp::nanos;
use crate::{Clocks, Interval, Sample, Source, SourceError};

/// A source that returns the true time within a bound, with an error drawn at random for each
/// sample.
///
/// A query takes simulated time: up to a millisecond each way.
#[derive(Debug)]
pub struct Reference {
    machine: Machine,
    epsilon_nanos: u64,
    way_picos_max: i64,
    lie_nanos: AtomicI64,
    silent: AtomicBool,
}

impl Reference {
    /// A source for one machine, right to within `epsilon` of the true time.
    #[must_use]
    pub fn new(machine: &Machine, epsilon: Duration) -> Self {
        Self {
            machine: machine.clone(),
            epsilon_nanos: nanos(epsilon),
            way_picos_max: 1_000_000_000,
            lie_nanos: AtomicI64::new(0),
            silent: AtomicBool::new(false),
        }
    }

    /// Sets the maximum delay of the query and of the answer.
    #[must_use]
    pub fn with_way_max(mut self, way_max: Duration) -> Self {
        self.way_picos_max = i64::try_from(nanos(way_max).saturating_mul(1000)).unwrap_or(i64::MAX);
        self
    }

    /// Adds an error of so many nanoseconds that the claimed bound does not include.
    pub fn lie(&self, nanos: i64) {
        self.lie_nanos.store(nanos, Ordering::Release);
    }

    /// Whether it stops answering.
    pub fn silence(&self, silent: bool) {
        self.silent.store(silent, Ordering::Release);
    }

    fn travel(&self) {
        let world = self.machine.world();
        let picos = world.draw(0, self.way_picos_max);
        world.advance_picos(picos.unsigned_abs());
    }
}

impl Source for Reference {
    fn sample(&self) -> Result<Sample, SourceError> {
        if self.silent.load(Ordering::Acquire) {
            return Err(SourceError::TimedOut);
        }
        let before = self.machine.local();
        self.travel();
        let world = self.machine.world();
        let epsilon = self.epsilon_nanos;
        let below = world.draw(0, i64::try_from(2 * epsilon).unwrap_or(i64::MAX));
        let lie = self.lie_nanos.load(Ordering::Acquire);
        // The true time lies in the nanosecond that begins at `now`.
        let earliest = world
            .now()
            .as_nanos()
            .saturating_add(lie)
            .saturating_sub(below);
        let earliest = crate::Timestamp::from_nanos(earliest);
        let interval = Interval::spanning(earliest, earliest.later(2 * epsilon + 1));
        self.travel();
        let after = self.machine.local();
        Ok(Sample::between(before, after, interval, 0))
    }
}
