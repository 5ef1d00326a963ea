use core::time::Duration;

use crate::timestamp::nanos;
use crate::watch::{self, Observation, SLEEP_SLACK_NANOS};
use crate::{
    BoundKind, Clocks, Config, Disruption, Drift, Interval, Local, Reading, Sample, Status,
    TimeError, Timestamp,
};

/// The last thing known for certain, from which the present is extrapolated: what readers and the
/// writer of a clock share, in words.
///
/// Invariant: if the state is [`State::Known`], then true time at `at` lay in `interval`, widened by
/// all that the reading of clocks may hide; and the machine had slept for at least `asleep`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) state: State,
    at: Local,
    interval: Interval,
    drift: Drift,
    bound: BoundKind,
    /// The source itself was in holdover.
    pub(crate) holdover: bool,
    valid_for_nanos: u64,
    /// The clocks before the sample was taken.
    pub(crate) seen: Observation,
}

/// How much is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Nothing ever.
    Unset,
    /// The anchor may be read from.
    Known,
    /// After a disruption: so many samples have agreed since, which is not enough.
    Settling { cause: Disruption, agreed: u8 },
}

impl Anchor {
    /// From a sample, and the clocks as they were before it was taken.
    pub(crate) fn new(
        state: State,
        sample: &Sample,
        seen: Observation,
        clocks: &(impl Clocks + ?Sized),
        config: &Config,
    ) -> Self {
        let drift = config.drift.max(Drift::from_ppb(sample.drift_ppb));
        // A span between two readings may be a granule longer or shorter than it looks; the question
        // itself was such a span too. And sleep may hide in the slack.
        let granules = drift.most(2 * u64::from(clocks.granularity()));
        let interval = sample.interval.widen(granules);
        Self {
            state,
            at: sample.at,
            interval: interval.after_span(0, SLEEP_SLACK_NANOS),
            drift,
            bound: sample.bound,
            holdover: false,
            valid_for_nanos: nanos(sample.valid_for),
            seen,
        }
    }

    /// Nothing is known any more.
    pub(crate) fn disrupted(cause: Disruption, seen: Observation) -> Self {
        Self {
            state: State::Settling { cause, agreed: 0 },
            seen,
            ..Self::from_words([0; WORDS])
        }
    }

    /// The interval now, and how many nanoseconds old the sample is.
    #[inline]
    pub(crate) fn read(
        &self,
        clocks: &(impl Clocks + ?Sized),
        config: &Config,
    ) -> Result<(Reading, u64), TimeError> {
        // Before the look at sleep: then whoever sleeps between the two is found out.
        let now = clocks.local();
        match self.state {
            State::Known => {}
            State::Unset => return Err(TimeError::NotSynchronized),
            State::Settling { cause, .. } => return Err(TimeError::Disrupted(cause)),
        }
        if now < self.at {
            return Err(TimeError::Disrupted(Disruption::Backwards));
        }
        if watch::slept(clocks, self.seen.asleep) {
            return Err(TimeError::Disrupted(Disruption::Suspended));
        }
        let age = now.nanos_since(self.at);
        let age_max = nanos(config.age_max).min(self.valid_for_nanos);
        if age > age_max {
            return Err(stale(age, age_max));
        }
        let interval = self.drift.extrapolate(self.interval, age);
        if interval.epsilon() > config.epsilon_max {
            return Err(too_wide(interval, config));
        }
        let status = if self.holdover || age > nanos(config.fresh_max) {
            Status::Holdover
        } else {
            Status::Synchronized
        };
        let reading = Reading {
            interval,
            status,
            bound: self.bound,
        };
        Ok((reading, age))
    }

    /// Whether there is an interval at all, to be read or to be compared with.
    pub(crate) fn is_some(&self) -> bool {
        !matches!(self.state, State::Unset | State::Settling { agreed: 0, .. })
    }

    /// Whether a sample was taken before this one's.
    pub(crate) fn is_after(&self, sample: &Sample) -> bool {
        sample.at < self.at
    }

    /// Whether a sample leaves any instant that this anchor also allows, grown up to it.
    pub(crate) fn agrees_with(&self, sample: &Sample) -> bool {
        let elapsed = sample.at.nanos_since(self.at);
        let grown = self.drift.extrapolate(self.interval, elapsed);
        grown.intersect(&sample.interval).is_some()
    }

    pub(crate) fn to_words(self) -> [u64; WORDS] {
        let bound = match self.bound {
            BoundKind::Hard => 0,
            BoundKind::Statistical { miss_ppb } => STATISTICAL | u64::from(miss_ppb),
        };
        [
            self.state.to_bits()
                | u64::from(self.holdover) << 24
                | u64::from(self.drift.growth_ppb()) << 32,
            self.at.as_nanos(),
            self.interval.earliest().as_nanos().cast_unsigned(),
            self.interval.latest().as_nanos().cast_unsigned(),
            self.valid_for_nanos,
            self.seen.asleep,
            bound,
            self.seen.local.as_nanos(),
            self.seen.monotonic,
            self.seen.wall.cast_unsigned(),
        ]
    }

    #[inline]
    pub(crate) fn from_words(words: [u64; WORDS]) -> Self {
        let [
            state,
            at,
            earliest,
            latest,
            valid_for_nanos,
            asleep,
            bound,
            local,
            monotonic,
            wall,
        ] = words;
        let end = |word: u64| Timestamp::from_nanos(word.cast_signed());
        Self {
            state: State::from_bits(state as u32),
            at: Local::from_nanos(at),
            interval: Interval::spanning(end(earliest), end(latest)),
            drift: Drift::from_growth_ppb((state >> 32) as u32),
            bound: if bound & STATISTICAL == 0 {
                BoundKind::Hard
            } else {
                BoundKind::Statistical {
                    miss_ppb: bound as u32,
                }
            },
            holdover: state >> 24 & 1 == 1,
            valid_for_nanos,
            seen: Observation::new(
                Local::from_nanos(local),
                monotonic,
                asleep,
                wall.cast_signed(),
            ),
        }
    }
}

impl State {
    /// Zero for [`State::Unset`], so that a latch begins with it.
    fn to_bits(self) -> u64 {
        match self {
            Self::Unset => 0,
            Self::Known => 1,
            Self::Settling { cause, agreed } => {
                let cause = CAUSES.iter().position(|it| *it == cause).unwrap_or(0);
                2 | (cause as u64) << 8 | u64::from(agreed) << 16
            }
        }
    }

    #[inline]
    fn from_bits(bits: u32) -> Self {
        match bits & 0xff {
            0 => Self::Unset,
            1 => Self::Known,
            _ => Self::Settling {
                cause: CAUSES[(bits >> 8 & 0xff) as usize % CAUSES.len()],
                agreed: (bits >> 16) as u8,
            },
        }
    }
}

#[cold]
fn stale(age: u64, age_max: u64) -> TimeError {
    TimeError::Stale {
        age: Duration::from_nanos(age),
        age_max: Duration::from_nanos(age_max),
    }
}

#[cold]
fn too_wide(interval: Interval, config: &Config) -> TimeError {
    TimeError::BoundTooWide {
        epsilon: interval.epsilon(),
        epsilon_max: config.epsilon_max,
    }
}

pub(crate) const WORDS: usize = 10;

const STATISTICAL: u64 = 1 << 32;

const CAUSES: [Disruption; 6] = [
    Disruption::Suspended,
    Disruption::Stepped,
    Disruption::Rate,
    Disruption::Backwards,
    Disruption::Contradiction,
    Disruption::Source,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_hold_all_of_it() {
        let end = Timestamp::from_nanos;
        let mut anchor = Anchor {
            state: State::Known,
            at: Local::from_nanos(7),
            interval: Interval::spanning(end(-5), end(i64::MAX)),
            drift: Drift::from_ppm(100_000),
            bound: BoundKind::Statistical { miss_ppb: u32::MAX },
            holdover: true,
            valid_for_nanos: u64::MAX,
            seen: Observation::new(Local::from_nanos(1), 2, 3, -4),
        };
        for cause in CAUSES {
            assert_eq!(Anchor::from_words(anchor.to_words()), anchor);
            anchor.state = State::Settling { cause, agreed: 255 };
            anchor.bound = BoundKind::Hard;
        }
        assert_eq!(Anchor::from_words([0; WORDS]).state, State::Unset);
    }
}
