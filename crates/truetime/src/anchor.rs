use core::sync::atomic::AtomicU64;
use core::time::Duration;

use crate::latch::Latch;
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
    /// From which age on the interval is too wide or the sample too old.
    unusable_from: u64,
    age_nanos_max: u64,
    fresh_nanos_max: u64,
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
        let hidden_sleep = if clocks.may_sleep() {
            SLEEP_SLACK_NANOS
        } else {
            0
        };
        let interval = interval.after_span(0, hidden_sleep);
        let age_nanos_max = nanos(config.age_max.min(sample.valid_for));
        // An interval that is too wide from the start is usable at no age.
        let room = nanos(config.epsilon_max).checked_sub(nanos(interval.epsilon()));
        let usable = |room| drift.growth_stays_within(room).min(age_nanos_max);
        let unusable_from = room.map_or(0, |room| usable(room).min(USABLE_NANOS_MAX) + 1);
        Self {
            state,
            at: sample.at,
            interval,
            drift,
            bound: sample.bound,
            holdover: false,
            unusable_from,
            age_nanos_max,
            fresh_nanos_max: nanos(config.fresh_max),
            seen,
        }
    }

    /// Nothing is known yet.
    pub(crate) fn unset(seen: Observation) -> Self {
        Self {
            seen,
            ..Self::from_words([0; WORDS])
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

    /// Why there is no interval now.
    fn refusal(&self, now: Local, config: &Config) -> TimeError {
        match self.state {
            State::Unset => return TimeError::NotSynchronized,
            State::Settling { cause, .. } => return TimeError::Disrupted(cause),
            State::Known if now < self.at => {
                return TimeError::Disrupted(Disruption::Backwards);
            }
            State::Known => {}
        }
        let age = now.nanos_since(self.at);
        if age > self.age_nanos_max {
            return TimeError::Stale {
                age: Duration::from_nanos(age),
                age_max: Duration::from_nanos(self.age_nanos_max),
            };
        }
        TimeError::BoundTooWide {
            epsilon: self.drift.extrapolate(self.interval, age).epsilon(),
            epsilon_max: config.epsilon_max,
        }
    }

    /// Whether there is an interval at all, to be read or to be compared with.
    pub(crate) fn is_some(&self) -> bool {
        !matches!(self.state, State::Unset | State::Settling { agreed: 0, .. })
    }

    /// Whether a sample was taken before this one's.
    pub(crate) fn is_after(&self, sample: &Sample) -> bool {
        sample.at < self.at
    }

    /// Whether a sample was taken when this one's was.
    pub(crate) fn is_of(&self, sample: &Sample) -> bool {
        sample.at == self.at
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
            BoundKind::Statistical { miss_ppb } => STATISTICAL | u64::from(miss_ppb) << 32,
        };
        let holdover = if self.holdover { HOLDOVER } else { 0 };
        [
            self.state.to_bits() | holdover | bound,
            self.at.as_nanos(),
            self.interval.earliest().as_nanos().cast_unsigned(),
            self.interval.latest().as_nanos().cast_unsigned(),
            self.drift.to_word(),
            self.unusable_from,
            self.fresh_nanos_max,
            self.seen.asleep,
            self.age_nanos_max,
            self.seen.local.as_nanos(),
            self.seen.monotonic,
            self.seen.wall.cast_unsigned(),
        ]
    }

    pub(crate) fn from_words(words: [u64; WORDS]) -> Self {
        let [bits, at, earliest, latest, drift, ..] = words;
        let [.., age_nanos_max, local, monotonic, wall] = words;
        let [.., unusable_from, fresh_nanos_max, asleep, _, _, _, _] = words;
        Self {
            state: State::from_bits(bits),
            at: Local::from_nanos(at),
            interval: Interval::spanning(end(earliest), end(latest)),
            drift: Drift::from_word(drift),
            bound: bound(bits),
            holdover: bits & HOLDOVER != 0,
            unusable_from,
            age_nanos_max,
            fresh_nanos_max,
            seen: Observation::new(
                Local::from_nanos(local),
                monotonic,
                asleep,
                wall.cast_signed(),
            ),
        }
    }
}

/// The words that a reading takes, the interval now, and how many nanoseconds old the sample is.
#[inline]
pub(crate) fn extrapolate(
    latch: &Latch<AtomicU64, WORDS>,
    clocks: &(impl Clocks + ?Sized),
    config: &Config,
) -> Result<([u64; HOT], Interval, u64), TimeError> {
    let hot = latch.read_first();
    let [bits, at, earliest, latest, drift, unusable_from, _, asleep] = hot;
    // Before the look at sleep: then whoever sleeps between the two is found out.
    let now = clocks.local();
    // An oscillator that went back makes this greater than any age that is usable.
    let age = now.as_nanos().wrapping_sub(at);
    if bits & STATE != KNOWN || age >= unusable_from {
        return Err(refusal(latch, clocks, config));
    }
    if watch::slept(clocks, asleep) {
        return Err(TimeError::Disrupted(Disruption::Suspended));
    }
    let interval = Interval::spanning(end(earliest), end(latest));
    let interval = Drift::from_word(drift).extrapolate(interval, age);
    Ok((hot, interval, age))
}

/// Why there was no interval; if there is one by now, because it was too old.
#[cold]
fn refusal(
    latch: &Latch<AtomicU64, WORDS>,
    clocks: &(impl Clocks + ?Sized),
    config: &Config,
) -> TimeError {
    Anchor::from_words(latch.read()).refusal(clocks.local(), config)
}

/// What to think of an interval that was extrapolated from such words over so many nanoseconds.
#[inline]
pub(crate) fn reading(hot: &[u64; HOT], interval: Interval, age: u64) -> Reading {
    let holdover = hot[0] & HOLDOVER != 0 || age > hot[6];
    Reading {
        interval,
        status: if holdover {
            Status::Holdover
        } else {
            Status::Synchronized
        },
        bound: bound(hot[0]),
    }
}

#[inline]
fn bound(bits: u64) -> BoundKind {
    if bits & STATISTICAL == 0 {
        return BoundKind::Hard;
    }
    let miss_ppb = (bits >> 32) as u32;
    BoundKind::Statistical { miss_ppb }
}

#[inline]
fn end(word: u64) -> Timestamp {
    Timestamp::from_nanos(word.cast_signed())
}

impl State {
    /// Zero for [`State::Unset`], so that a latch begins with it.
    fn to_bits(self) -> u64 {
        match self {
            Self::Unset => 0,
            Self::Known => KNOWN,
            Self::Settling { cause, agreed } => {
                let cause = CAUSES.iter().position(|it| *it == cause).unwrap_or(0);
                2 | (cause as u64) << 8 | u64::from(agreed) << 16
            }
        }
    }

    fn from_bits(bits: u64) -> Self {
        match bits & STATE {
            0 => Self::Unset,
            KNOWN => Self::Known,
            _ => Self::Settling {
                cause: CAUSES[(bits >> 8 & 0xff) as usize % CAUSES.len()],
                agreed: (bits >> 16) as u8,
            },
        }
    }
}

pub(crate) const WORDS: usize = 12;

/// How many of them a reading takes; they come first.
pub(crate) const HOT: usize = 8;

const STATE: u64 = 0xff;

const KNOWN: u64 = 1;

const HOLDOVER: u64 = 1 << 24;

const STATISTICAL: u64 = 1 << 25;

/// 146 years. An age that is negative wraps to more than that.
const USABLE_NANOS_MAX: u64 = u64::MAX / 4;

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
            unusable_from: 1,
            age_nanos_max: u64::MAX,
            fresh_nanos_max: 2,
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
