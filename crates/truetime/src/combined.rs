use core::ops::Deref;
use core::time::Duration;

use crate::marzullo::{Agreement, NoAgreement, SOURCES_MAX, Tickers, marzullo};
use crate::timestamp::nanos;
use crate::{
    BoundKind, Clocks, Drift, Interval, Local, Sample, Scale, Source, SourceError, Stratum,
    WrongScale,
};

/// A source that combines several sources and peers, correct as long as at most `faulty_max` of them
/// are wrong or silent.
///
/// It queries each source, extrapolates all answers to one instant, and computes their agreement by
/// [`marzullo`](marzullo()). A source that does not answer counts as faulty; without an agreement
/// there is no sample. The list may be a `Vec`, an array behind a reference, or anything else that
/// derefs to a slice.
///
/// ```
/// use core::time::Duration;
/// use synod_truetime::sim::{Machine, Reference, World};
/// use synod_truetime::{Combined, Config, Disciplined, TrueTime};
///
/// let world = World::new(7);
/// let machine = Machine::new(&world, 100);
/// let sources: Vec<_> = (0..3).map(|_| Reference::new(&machine, Duration::from_millis(2))).collect();
/// sources[1].lie(50_000_000); // wrong by 50 ms, with a small claimed error
///
/// let combined = Combined::new(sources, &machine, 1);
/// let (_, agreement) = combined.survey(|_, _| {})?;
/// assert!(agreement.falsetickers.contains(1));
///
/// let clock = Disciplined::new(combined, &machine, Config::default());
/// clock.poll()?;
/// assert!(clock.now()?.contains(world.now()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Combined<L, C> {
    sources: L,
    clocks: C,
    faulty_max: usize,
    drift: Drift,
    scale: Scale,
}

impl<S, L, C> Combined<L, C>
where
    S: Source,
    L: Deref<Target = [S]>,
    C: Clocks,
{
    /// Combines these sources, at most `faulty_max` of which may be wrong or silent; there must be
    /// more than twice as many.
    ///
    /// `clocks` must be the clocks that the sources stamp their samples with.
    #[must_use]
    pub fn new(sources: L, clocks: C, faulty_max: usize) -> Self {
        Self {
            sources,
            clocks,
            faulty_max,
            drift: Drift::DEFAULT,
            scale: Scale::Utc,
        }
    }

    /// The drift bound of the local oscillator, if it is not 200 ppm.
    #[must_use]
    pub fn with_drift(mut self, drift: Drift) -> Self {
        self.drift = drift;
        self
    }

    /// The scale that sources must be on, if it is not UTC. One on another counts as silent.
    #[must_use]
    pub fn with_scale(mut self, scale: Scale) -> Self {
        self.scale = scale;
        self
    }

    /// The sources, in their order.
    pub fn sources(&self) -> &[S] {
        &self.sources
    }

    /// Queries all sources, passes each answer to `note`, and returns their agreement. Numbers are
    /// positions in the list; a silent source is neither a truechimer nor a falseticker.
    ///
    /// # Errors
    /// [`NoAgreement`], with the silent ones counted among the faulty.
    pub fn survey(
        &self,
        mut note: impl FnMut(usize, Result<Sample, SourceError>),
    ) -> Result<(Sample, Agreement), NoAgreement> {
        let count = self.sources.len();
        if count > SOURCES_MAX {
            return Err(NoAgreement::TooMany);
        }
        let mut answers = [None::<Sample>; SOURCES_MAX];
        for (number, (answer, source)) in answers.iter_mut().zip(self.sources.iter()).enumerate() {
            let sample = source.sample().and_then(|sample| self.on_scale(sample));
            *answer = sample.ok();
            note(number, sample);
        }
        self.agree(&answers[..count])
    }

    fn on_scale(&self, sample: Sample) -> Result<Sample, SourceError> {
        let (found, expected) = (sample.scale, self.scale);
        if found == expected {
            Ok(sample)
        } else {
            Err(WrongScale { found, expected }.into())
        }
    }

    fn agree(&self, answers: &[Option<Sample>]) -> Result<(Sample, Agreement), NoAgreement> {
        let count = answers.len();
        let at = self.clocks.local();
        let mut intervals = [Interval::ALL; SOURCES_MAX];
        let mut numbers = [0; SOURCES_MAX];
        let mut present = 0;
        for (number, answer) in answers.iter().enumerate() {
            if let Some(interval) = answer.and_then(|sample| self.grown(&sample, at)) {
                (intervals[present], numbers[present]) = (interval, number);
                present += 1;
            }
        }
        let faulty_max = self.faulty_max;
        let Some(liars_max) = faulty_max.checked_sub(count - present) else {
            return Err(NoAgreement::TooFew {
                count: present,
                faulty_max,
            });
        };
        if faulty_max >= count.div_ceil(2) {
            return Err(NoAgreement::TooFew { count, faulty_max });
        }
        let agreement = marzullo(&intervals[..present], liars_max)?;
        let renumbered = |tickers: Tickers| {
            let places = tickers.iter().map(|place| numbers[place]);
            places.fold(Tickers::NONE, Tickers::with)
        };
        let agreement = Agreement {
            interval: agreement.interval,
            truechimers: renumbered(agreement.truechimers),
            falsetickers: renumbered(agreement.falsetickers),
        };
        Ok((sample(answers, &agreement, at), agreement))
    }

    /// The interval of a sample at a later instant, if it may still be used then.
    fn grown(&self, sample: &Sample, at: Local) -> Option<Interval> {
        let age = at.nanos_since(sample.at);
        if sample.at > at || age > nanos(sample.valid_for) {
            return None;
        }
        let drift = self.drift.max(Drift::from_ppb(sample.drift_ppb));
        let granules = drift.most(2 * u64::from(self.clocks.granularity()));
        Some(drift.extrapolate(sample.interval, age).widen(granules))
    }
}

/// The combined sample of the truechimers.
fn sample(answers: &[Option<Sample>], agreement: &Agreement, at: Local) -> Sample {
    let mut sample = Sample {
        at,
        interval: agreement.interval,
        drift_ppb: 0,
        valid_for: Duration::MAX,
        bound: BoundKind::Hard,
        // The lowest stratum of those that agree; the others may have the time from it, or from this
        // node.
        stratum: Stratum::UNSYNCHRONIZED,
        scale: Scale::Utc,
    };
    let truechimers = agreement.truechimers.iter();
    for answer in truechimers.filter_map(|number| answers[number]) {
        let age = Duration::from_nanos(at.nanos_since(answer.at));
        // All are on the requested scale.
        sample.scale = answer.scale;
        sample.drift_ppb = sample.drift_ppb.max(answer.drift_ppb);
        sample.valid_for = sample.valid_for.min(answer.valid_for.saturating_sub(age));
        sample.bound = sample.bound.and(answer.bound);
        sample.stratum = sample.stratum.min(answer.stratum);
    }
    sample
}

impl<S, L, C> Source for Combined<L, C>
where
    S: Source,
    L: Deref<Target = [S]> + Send + Sync,
    C: Clocks,
{
    fn sample(&self) -> Result<Sample, SourceError> {
        let (sample, _) = self.survey(|_, _| {})?;
        Ok(sample)
    }
}
