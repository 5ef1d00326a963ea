use core::sync::atomic::AtomicU64;

use crate::anchor::{self, Anchor, State, WORDS};
use crate::latch::{Latch, Writer};
use crate::watch::Observation;
use crate::{
    Clocks, Config, Disruption, Interval, Reading, Sample, Source, SourceError, TimeError, TrueTime,
};

/// A source made into a clock: its last sample, extrapolated by the local oscillator, and wider the
/// older it is.
///
/// [`poll`](Self::poll) asks the source; call it every few seconds, or let a thread do it
/// ([`spawn`](Self::spawn)). Reading asks nobody and never waits: it copies eight words that were
/// published together, reads `local` and, if the machine may sleep, `monotonic` and `boottime`.
///
/// # When it goes unknown
///
/// - Before the first sample, and when the last one is too old or the interval too wide.
/// - The machine slept: seen by every read, since the oscillator did not count meanwhile.
/// - Somebody set the wall clock, or one clock stood still or ran off: seen by the next `poll`. A slewed
///   clock runs differently too, so what counts is more than an eighth of the time since the last
///   sample, and a millisecond; less is left to the contradiction with the next sample.
/// - Two samples in a row contradict each other: the oscillator broke its bound, or the source did,
///   and there is no telling which.
///
/// After a disruption it stays unknown until [`settling_samples`](Config::settling_samples) samples
/// in a row, all taken since, agree with each other. What no clock of the machine shows, say that a
/// whole virtual machine was paused with all its clocks, it cannot see before the next sample
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
/// Invariant: what readers see was published by one writer as a whole.
#[derive(Debug)]
pub struct Disciplined<S, C> {
    source: S,
    clocks: C,
    config: Config,
    latch: Latch<AtomicU64, WORDS>,
}

impl<S: Source, C: Clocks> Disciplined<S, C> {
    /// A clock that knows nothing before the first [`poll`](Self::poll).
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
        }
    }

    /// Asks the source once, and says what became of its answer.
    ///
    /// While a poll is under way in another thread this one does nothing.
    ///
    /// # Errors
    /// [`PollError`]. If the source only failed to answer, readers go on with what they had.
    pub fn poll(&self) -> Result<Polled, PollError> {
        let Some(writer) = self.latch.writer() else {
            return Ok(Polled::Busy);
        };
        let anchor = Anchor::from_words(self.latch.read());
        let before = Observation::of(&self.clocks);
        let anchor = self.undisturbed(&writer, anchor, before);
        let sample = match self.source.sample() {
            Ok(sample) => sample,
            Err(SourceError::Disrupted) => {
                return Err(disrupt(&writer, Disruption::Source, before));
            }
            Err(error) => return Err(PollError::Source(error)),
        };
        let after = Observation::of(&self.clocks);
        if let Err(cause) = after.compare(&before, &self.config) {
            return Err(disrupt(&writer, cause, after));
        }
        if sample.at > after.local {
            return Err(PollError::Source(SourceError::Malformed));
        }
        self.adopt(&writer, &anchor, &sample, before)
    }

    /// The anchor, if nothing happened to the clocks since it was cast.
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
        let publish = |state| {
            let anchor = Anchor::new(state, sample, seen, &self.clocks, &self.config);
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
        let contradicted = anchor.is_some() && !anchor.agrees_with(sample);
        match anchor.state {
            // From before anybody looked at the clocks, or from before what disrupted them; or older
            // than what is known already.
            State::Unset | State::Settling { .. } if sample.at < anchor.seen.local => {
                Ok(Polled::Older)
            }
            _ if anchor.is_some() && anchor.is_after(sample) => Ok(Polled::Older),
            // The same one again, of a source that keeps them: it has nobody to agree with but itself.
            State::Settling { agreed: 1.., .. } if anchor.is_of(sample) => Ok(Polled::Older),
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
        Ok(anchor::reading(&hot, interval, age))
    }

    #[inline]
    fn now(&self) -> Result<Interval, TimeError> {
        let (_, interval, _) = anchor::extrapolate(&self.latch, &self.clocks, &self.config)?;
        Ok(interval)
    }
}

fn disrupt(
    writer: &Writer<'_, AtomicU64, WORDS>,
    cause: Disruption,
    seen: Observation,
) -> PollError {
    writer.write(Anchor::disrupted(cause, seen).to_words());
    PollError::Disrupted(cause)
}

/// What became of a poll that went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Polled {
    /// Readers go by the new sample.
    Adopted,
    /// The clock was disrupted, and is not known again before so many more samples agree.
    Settling {
        /// Samples.
        missing: u8,
    },
    /// The sample was dropped: it is from before the last one, from before a disruption, or from before
    /// the clock was made; or it is the last one again, and was to agree with itself.
    Older,
    /// Another thread is polling.
    Busy,
}

/// Why a poll brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PollError {
    /// The source gave no sample; readers go on with the last one.
    #[error(transparent)]
    Source(SourceError),
    /// Something happened to the clocks, and readers know nothing now.
    #[error("the clock was disrupted: {0}")]
    Disrupted(Disruption),
}
