use core::sync::atomic::AtomicU64;

use crate::anchor::{self, Anchor, State, WORDS};
#[cfg(feature = "std")]
use crate::journal::Journal;
use crate::latch::{Latch, Writer};
use crate::oscillator::{Fix, PAIR_WORDS, Pairs, Verdict};
use crate::watch::{Observation, SLEEP_SLACK_NANOS};
use crate::{
    Clocks, Config, Disruption, Drift, Interval, Local, OutOfBound, Rates, Reading, Sample, Source,
    SourceError, TimeError, TrueTime, WrongScale,
};

/// A clock from a source: its last sample, extrapolated by the local oscillator and widened with
/// its age.
///
/// [`poll`](Self::poll) queries the source; call it every few seconds, or let a thread do it
/// ([`spawn`](Self::spawn)). Reading queries nothing and never blocks: it copies words that were
/// published together, reads `local` and, if the machine may be suspended, `monotonic` and
/// `boottime`.
///
/// # When it is not synchronised
///
/// - Before the first sample, and when the last one is too old or the interval too wide.
/// - The machine was suspended: detected by every read, since the oscillator did not count
///   meanwhile.
/// - The wall clock was set, or one clock stopped or ran at a wrong rate: detected by the next `poll`.
///   Since a slewed clock also runs at a different rate, the threshold is an eighth of the time since
///   the last sample plus a millisecond; smaller deviations are detected by a contradiction with the
///   next sample.
/// - Two consecutive samples contradict each other: either the oscillator or the source broke its
///   bound.
/// - Samples over a longer time agree with each other, and not with the drift bound: the oscillator does not keep it
///   ([`TimeError::OutOfBound`]).
///
/// # Which samples are accepted
///
/// A sample with a higher [`Stratum`](crate::Stratum) than earlier ones never makes the interval narrower than it was
/// when the nearer source was lost, as long as the clock was readable throughout: free-running servers that have lost
/// their reference claim small errors.
///
/// After a disruption it stays unsynchronised until [`settling_samples`](Config::settling_samples)
/// consecutive samples, all taken since, agree with each other. A disruption that no clock of the
/// machine shows, such as a pause of a whole virtual machine, is detected only when the next sample
/// contradicts the last.
///
/// ```
/// use core::time::Duration;
/// use synod_truetime::sim::{Machine, Reference, World}; // the feature `sim`
/// use synod_truetime::{Config, Disciplined, TrueTime};
///
/// let world = World::new(7);
/// let machine = Machine::new(&world, 100); // a drift of up to 100 ppm
/// let source = Reference::new(&machine, Duration::from_millis(1));
/// let clock = Disciplined::new(source, &machine, Config::default());
/// assert!(clock.now().is_err());
///
/// clock.poll()?;
/// world.advance(Duration::from_secs(10));
/// let now = clock.now()?;
/// assert!(now.contains(world.now()));
/// assert!(now.epsilon() >= Duration::from_millis(3)); // 1 of the source, 2 of ten seconds
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Invariant: readers see only states that one writer published as a whole.
#[derive(Debug)]
pub struct Disciplined<S, C> {
    source: S,
    clocks: C,
    config: Config,
    latch: Latch<AtomicU64, WORDS>,
    /// The pairs of samples that measure the oscillator; written by the holder of the latch's write
    /// right.
    pairs: Latch<AtomicU64, PAIR_WORDS>,
    #[cfg(feature = "std")]
    pub(crate) journal: Journal,
}

impl<S: Source, C: Clocks> Disciplined<S, C> {
    /// A clock that is not synchronised before the first [`poll`](Self::poll).
    ///
    /// `clocks` must be the clocks that the source stamps its samples with.
    #[must_use]
    pub fn new(source: S, clocks: C, config: Config) -> Self {
        let latch = Latch::new(|| AtomicU64::new(0));
        if let Some(writer) = latch.writer() {
            writer.write(Anchor::unset(Observation::of(&clocks)).to_words());
        }
        Self {
            source,
            clocks,
            config,
            latch,
            pairs: Latch::new(|| AtomicU64::new(0)),
            #[cfg(feature = "std")]
            journal: Journal::default(),
        }
    }

    /// Queries the source once, and returns what became of its answer.
    ///
    /// Does nothing while another thread is polling.
    ///
    /// # Errors
    /// [`PollError`]. If the source only failed to answer, readers keep using the last sample.
    pub fn poll(&self) -> Result<Polled, PollError> {
        let polled = self.ask();
        #[cfg(feature = "std")]
        self.journal.note(&polled, self.clocks.local());
        polled
    }

    fn ask(&self) -> Result<Polled, PollError> {
        let Some(writer) = self.latch.writer() else {
            return Ok(Polled::Busy);
        };
        let anchor = Anchor::from_words(self.latch.read());
        let before = Observation::of(&self.clocks);
        let anchor = self.undisturbed(&writer, anchor, before);
        let sample = match self.source.sample() {
            Ok(sample) => sample,
            Err(SourceError::Disrupted) => {
                return Err(self.disrupt(&writer, Disruption::Source, before));
            }
            Err(error) => return Err(PollError::Source(error)),
        };
        let (found, expected) = (sample.scale, self.config.scale);
        if found != expected {
            return Err(PollError::Source(WrongScale { found, expected }.into()));
        }
        let after = Observation::of(&self.clocks);
        if let Err(cause) = after.compare(&before, &self.config) {
            return Err(self.disrupt(&writer, cause, after));
        }
        if sample.at > after.local {
            return Err(PollError::Source(SourceError::Malformed));
        }
        self.adopt(&writer, &anchor, &sample, before)
    }

    /// The anchor, if the clocks were not disrupted since it was made.
    fn undisturbed(
        &self,
        writer: &Writer<'_, AtomicU64, WORDS>,
        anchor: Anchor,
        now: Observation,
    ) -> Anchor {
        match now.compare(&anchor.seen, &self.config) {
            Ok(()) => anchor,
            Err(cause) => {
                let anchor = match anchor.state {
                    State::Unset => Anchor::unset(now),
                    State::Known | State::Settling { .. } => Anchor::disrupted(cause, now),
                };
                self.remember(Pairs::NONE);
                writer.write(anchor.to_words());
                anchor
            }
        }
    }

    fn adopt(
        &self,
        writer: &Writer<'_, AtomicU64, WORDS>,
        anchor: &Anchor,
        sample: &Sample,
        seen: Observation,
    ) -> Result<Polled, PollError> {
        match anchor.state {
            // Taken before the clock was made, before the last disruption, or before the current
            // sample.
            State::Unset | State::Settling { .. } if sample.at < anchor.seen.local => {
                return Ok(Polled::Older);
            }
            _ if anchor.is_some() && anchor.is_after(sample) => return Ok(Polled::Older),
            // The same sample again, from a source that caches samples: it would only agree with
            // itself.
            State::Settling { agreed: 1.., .. } if anchor.is_of(sample) => {
                return Ok(Polled::Older);
            }
            _ => {}
        }
        let mut contradicted = anchor.is_some() && !anchor.agrees_with(sample);
        let admitted = self.config.drift.max(Drift::from_ppb(sample.drift_ppb));
        let drift = match self.measure(anchor, sample, admitted, contradicted) {
            Verdict::OutOfBound(out_of_bound) => {
                writer.write(Anchor::refused(out_of_bound, seen).to_words());
                return Err(PollError::OutOfBound(out_of_bound));
            }
            Verdict::Contradiction => {
                contradicted = true;
                admitted
            }
            Verdict::Measured(rates) if rates.is_within(self.config.drift) => self.config.drift,
            Verdict::Measured(_) | Verdict::Open => admitted,
        };
        let publish = |state| {
            let before = if contradicted { None } else { Some(anchor) };
            let anchor = self.succeed(before, state, sample, seen, drift);
            writer.write(anchor.to_words());
        };
        let settling = |cause, agreed| {
            if agreed >= self.config.settling_samples {
                publish(State::Known);
                Polled::Adopted
            } else {
                publish(State::Settling { cause, agreed });
                let missing = self.config.settling_samples - agreed;
                Polled::Settling { missing }
            }
        };
        match anchor.state {
            State::Known | State::Settling { .. } if contradicted => {
                publish(State::Settling {
                    cause: Disruption::Contradiction,
                    agreed: 1,
                });
                Err(PollError::Disrupted(Disruption::Contradiction))
            }
            State::Settling { cause, agreed } => Ok(settling(cause, agreed.saturating_add(1))),
            State::Unset | State::Known => {
                publish(State::Known);
                Ok(Polled::Adopted)
            }
        }
    }

    /// The anchor that replaces another one, unless the sample contradicts it.
    fn succeed(
        &self,
        before: Option<&Anchor>,
        state: State,
        sample: &Sample,
        seen: Observation,
        drift: Drift,
    ) -> Anchor {
        let mut sample = *sample;
        let readable = before.and_then(|before| before.epsilon_nanos(sample.at));
        let (mut best, mut floor_nanos) = (sample.stratum, 0);
        if let (Some(before), Some(epsilon_nanos)) = (before, readable)
            && before.best < sample.stratum
        {
            best = before.best;
            floor_nanos = match before.floor_nanos {
                0 => epsilon_nanos,
                floor_nanos => floor_nanos,
            };
            let short =
                floor_nanos.saturating_sub(crate::timestamp::nanos(sample.interval.epsilon()));
            sample.interval = sample.interval.widen(short);
        }
        let mut anchor = Anchor::new(state, &sample, seen, &self.clocks, &self.config, drift);
        (anchor.best, anchor.floor_nanos) = (best, floor_nanos);
        anchor.since = before.map_or(anchor.since, |before| before.since);
        anchor
    }

    /// Measures the oscillator by this sample and earlier ones.
    fn measure(
        &self,
        anchor: &Anchor,
        sample: &Sample,
        drift: Drift,
        contradicted: bool,
    ) -> Verdict {
        let mut pairs = Pairs::from_words(&self.pairs.read());
        let was_contradicted = matches!(
            anchor.state,
            State::Settling {
                cause: Disruption::Contradiction,
                agreed: 1..,
            }
        );
        if was_contradicted && !contradicted {
            // Then the oscillator was not the cause, and earlier samples are discarded.
            pairs = Pairs::NONE;
        }
        let hidden = if self.clocks.may_sleep() {
            SLEEP_SLACK_NANOS
        } else {
            0
        };
        let slack_nanos = hidden + 2 * u64::from(self.clocks.granularity());
        let fix = Fix {
            at: sample.at,
            interval: sample.interval,
            drift,
        };
        let verdict = pairs.note(fix, self.config.wander_ppb, slack_nanos);
        if verdict == Verdict::Contradiction && !contradicted {
            pairs = Pairs::NONE;
            let _ = pairs.note(fix, self.config.wander_ppb, slack_nanos);
        }
        self.remember(pairs);
        verdict
    }

    /// Called while holding the latch's write right, so no other thread writes these.
    fn remember(&self, pairs: Pairs) {
        if let Some(writer) = self.pairs.writer() {
            writer.write(pairs.to_words());
        }
    }

    fn disrupt(
        &self,
        writer: &Writer<'_, AtomicU64, WORDS>,
        cause: Disruption,
        seen: Observation,
    ) -> PollError {
        self.remember(Pairs::NONE);
        writer.write(Anchor::disrupted(cause, seen).to_words());
        PollError::Disrupted(cause)
    }

    /// The interval at an earlier reading of the oscillator, for instance one attached to a packet or a log
    /// line; or at a later one, if the clocks are not disrupted until then.
    ///
    /// It is extrapolated from the last sample, so its width grows with the distance from it: it is no narrower than
    /// [`now`](TrueTime::now) would have been then with samples of the same quality.
    ///
    /// # Errors
    /// As [`read`](TrueTime::read); [`TimeError::NotSynchronized`] for an instant before the clock was made or
    /// before its last disruption.
    pub fn at(&self, local: Local) -> Result<Interval, TimeError> {
        // Fails if the clocks were disrupted up to now.
        let _ = self.now()?;
        Anchor::from_words(self.latch.read()).at(local, &self.config)
    }

    /// The limits of the oscillator's mean rate since it was last disturbed, as measured by samples, including the
    /// configured wander; `None` before there are two samples that are a second apart.
    #[must_use]
    pub fn oscillator(&self) -> Option<Rates> {
        let pairs = Pairs::from_words(&self.pairs.read());
        pairs.rates(
            self.config.wander_ppb,
            2 * u64::from(self.clocks.granularity()),
        )
    }

    #[cfg(feature = "std")]
    pub(crate) fn clocks(&self) -> &C {
        &self.clocks
    }

    /// The source.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// The limits.
    pub fn config(&self) -> &Config {
        &self.config
    }
}

impl<S: Source, C: Clocks> TrueTime for Disciplined<S, C> {
    #[inline]
    fn read(&self) -> Result<Reading, TimeError> {
        let (hot, interval, age) = anchor::extrapolate(&self.latch, &self.clocks, &self.config)?;
        Ok(anchor::reading(&hot, interval, age, &self.config))
    }

    #[inline]
    fn now(&self) -> Result<Interval, TimeError> {
        let (_, interval, _) = anchor::extrapolate(&self.latch, &self.clocks, &self.config)?;
        Ok(interval)
    }
}

/// The outcome of a successful poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Polled {
    /// The new sample is in use.
    Adopted,
    /// The clock was disrupted, and needs more samples that agree before it is synchronised again.
    Settling {
        /// How many more samples are needed.
        missing: u8,
    },
    /// The sample was dropped: it was taken before the last one, before a disruption, or before the
    /// clock was made; or it is the last one again and would only agree with itself.
    Older,
    /// Another thread is polling.
    Busy,
}

/// Why a poll failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PollError {
    /// The source returned no sample; the last one stays in use.
    #[error(transparent)]
    Source(SourceError),
    /// The clocks were disrupted, and the clock is not synchronised now.
    #[error("the clock was disrupted: {0}")]
    Disrupted(Disruption),
    /// The oscillator does not keep its drift bound, and the clock is not synchronised now.
    #[error(transparent)]
    OutOfBound(OutOfBound),
    /// The source or the clocks panicked in the thread of `spawn`, which has ended. The last sample
    /// stays in use until it is too old.
    #[error("the source panicked, and the polling thread has ended")]
    Panicked,
}
