use core::sync::atomic::AtomicU64;
use core::time::Duration;

use crate::anchor::{self, Anchor, HOT, State, WORDS};
use crate::latch::{Latch, Writer};
use crate::timestamp::nanos;
use crate::watch::Observation;
use crate::{Clocks, Config, Interval, Reading, Sample, Status, TimeError, TrueTime, WrongScale};

/// A clock that asks another one only now and then, and extrapolates in between.
///
/// For clocks whose reading is dear: a system call, a round trip, a vote of many. It needs no thread:
/// whoever reads when the last answer is older than `refresh_after` asks again, and the others go on
/// with what there is. An error of the inner clock is passed on, and asked for again by the next
/// reader; what was known before is forgotten.
///
/// For up to `refresh_after` it does not hear what the inner clock learns: that it was disrupted, that its
/// sample is too old, that a leap second has come. It sees sleep by itself. Keep it below a second where
/// leap seconds are not smeared.
///
/// ```
/// use core::time::Duration;
/// use synod_truetime::sim::{Machine, Offset, World};
/// use synod_truetime::{Cached, Config, TrueTime};
///
/// let world = World::new(7);
/// let machine = Machine::new(&world, 100);
/// let dear = Offset::new(&world, 0, Duration::from_millis(1));
/// let clock = Cached::new(dear, machine, Config::default(), Duration::from_secs(1));
/// assert!(clock.now()?.contains(world.now()));
/// world.advance(Duration::from_millis(500));
/// assert!(clock.now()?.contains(world.now()));
/// # Ok::<(), synod_truetime::TimeError>(())
/// ```
#[derive(Debug)]
pub struct Cached<T, C> {
    inner: T,
    clocks: C,
    config: Config,
    refresh_after_nanos: u64,
    latch: Latch<AtomicU64, WORDS>,
}

impl<T: TrueTime, C: Clocks> Cached<T, C> {
    /// Asks `inner` when its last answer is older than `refresh_after`.
    #[must_use]
    pub fn new(inner: T, clocks: C, config: Config, refresh_after: Duration) -> Self {
        Self {
            inner,
            clocks,
            config,
            refresh_after_nanos: nanos(refresh_after),
            latch: Latch::new(|| AtomicU64::new(0)),
        }
    }

    /// Asks the inner clock now.
    ///
    /// # Errors
    /// Those of the inner clock.
    pub fn refresh(&self) -> Result<(), TimeError> {
        match self.latch.writer() {
            Some(writer) => self.ask(&writer),
            None => Ok(()),
        }
    }

    fn ask(&self, writer: &Writer<'_, AtomicU64, WORDS>) -> Result<(), TimeError> {
        let before = Observation::of(&self.clocks);
        let reading = self.inner.read();
        let after = self.clocks.local();
        let forget = |error| {
            writer.write([0; WORDS]);
            error
        };
        let reading = reading.map_err(forget)?;
        let (found, expected) = (reading.scale, self.config.scale);
        if found != expected {
            return Err(forget(WrongScale { found, expected }.into()));
        }
        let sample = Sample {
            bound: reading.bound,
            stratum: reading.stratum,
            scale: reading.scale,
            ..Sample::between(before.local, after, reading.interval, 0)
        };
        let drift = self.config.drift;
        let mut anchor = Anchor::new(
            State::Known,
            &sample,
            before,
            &self.clocks,
            &self.config,
            drift,
        );
        anchor.holdover = reading.status != Status::Synchronized;
        writer.write(anchor.to_words());
        Ok(())
    }

    /// The words that a reading takes, the interval now, and its age.
    #[inline]
    fn extrapolate(&self) -> Result<([u64; HOT], Interval, u64), TimeError> {
        match anchor::extrapolate(&self.latch, &self.clocks, &self.config) {
            Ok(fresh @ (.., age)) if age <= self.refresh_after_nanos => Ok(fresh),
            _ => self.extrapolate_anew(),
        }
    }

    #[cold]
    fn extrapolate_anew(&self) -> Result<([u64; HOT], Interval, u64), TimeError> {
        self.refresh()?;
        anchor::extrapolate(&self.latch, &self.clocks, &self.config)
    }
}

impl<T: TrueTime, C: Clocks> TrueTime for Cached<T, C> {
    #[inline]
    fn read(&self) -> Result<Reading, TimeError> {
        let (hot, interval, age) = self.extrapolate()?;
        Ok(anchor::reading(&hot, interval, age, &self.config))
    }

    #[inline]
    fn now(&self) -> Result<Interval, TimeError> {
        let (_, interval, _) = self.extrapolate()?;
        Ok(interval)
    }
}
