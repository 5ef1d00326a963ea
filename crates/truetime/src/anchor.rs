use core::sync::atomic::AtomicU64;
use core::time::Duration;

use crate::latch::Latch;
use crate::timestamp::nanos;
use crate::watch::{self, Observation, SLEEP_SLACK_NANOS};
use crate::{
    BoundKind, Clocks, Config, Disruption, Drift, Interval, Local, OutOfBound, Rates, Reading,
    Sample, Status, Stratum, TimeError, Timestamp,
};

/// The last adopted sample, from which the present is extrapolated. Readers and the writer of a
/// clock share it as atomic words.
///
/// Invariant: if the state is [`State::Known`], then true time at `at` lay in `interval`, widened by
/// the uncertainty of reading the clocks; and the machine had been suspended for at least `asleep`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) state: State,
    at: Local,
    interval: Interval,
    drift: Drift,
    bound: BoundKind,
    /// The age from which on the interval is too wide or the sample too old.
    unusable_from: u64,
    age_nanos_max: u64,
    fresh_nanos_max: u64,
    /// The clocks before the sample was taken.
    pub(crate) seen: Observation,
    /// The stratum that the source reported.
    pub(crate) stratum: Stratum,
    /// The lowest stratum of a source since this clock has been readable, and the epsilon that a source with a
    /// higher stratum must not undercut.
    pub(crate) best: Stratum,
    pub(crate) floor_nanos: u64,
    /// The reading after which the oscillator has been undisturbed; the disruption may have been before or
    /// after that reading.
    pub(crate) since: Local,
    /// The measured rate, if the clock refuses because of its oscillator.
    pub(crate) out_of_bound: OutOfBound,
}

/// The state of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Never synchronised.
    Unset,
    /// The anchor is valid.
    Known,
    /// After a disruption: `agreed` samples have agreed since, which is not enough yet.
    Settling { cause: Disruption, agreed: u8 },
}

impl Anchor {
    /// An anchor from a sample, and the clocks observed before it was taken.
    pub(crate) fn new(
        state: State,
        sample: &Sample,
        seen: Observation,
        clocks: &(impl Clocks + ?Sized),
        config: &Config,
        drift: Drift,
    ) -> Self {
        // A span between two readings may be a granule longer or shorter than measured, and so may
        // the query itself. A short suspend may hide in the slack.
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
            unusable_from,
            age_nanos_max,
            fresh_nanos_max: nanos(config.fresh_max),
            seen,
            stratum: sample.stratum,
            best: sample.stratum,
            floor_nanos: 0,
            since: sample.at,
            out_of_bound: NOT_MEASURED,
        }
    }

    /// An anchor before the first sample.
    pub(crate) fn unset(seen: Observation) -> Self {
        Self {
            seen,
            since: seen.local,
            ..Self::from_words([0; WORDS])
        }
    }

    /// An anchor after a disruption.
    pub(crate) fn disrupted(cause: Disruption, seen: Observation) -> Self {
        Self {
            state: State::Settling { cause, agreed: 0 },
            ..Self::unset(seen)
        }
    }

    /// An anchor for an oscillator that is out of its bound.
    pub(crate) fn refused(out_of_bound: OutOfBound, seen: Observation) -> Self {
        Self {
            out_of_bound,
            ..Self::disrupted(Disruption::Oscillator, seen)
        }
    }

    /// Why there is no interval now.
    fn refusal(&self, now: Local, config: &Config) -> TimeError {
        match self.state {
            State::Unset => return TimeError::NotSynchronized,
            State::Settling {
                cause: Disruption::Oscillator,
                ..
            } => return TimeError::OutOfBound(self.out_of_bound),
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

    /// Whether there is an interval to read or to compare with.
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

    /// Whether a sample overlaps with this anchor, extrapolated to the sample's time.
    pub(crate) fn agrees_with(&self, sample: &Sample) -> bool {
        let elapsed = sample.at.nanos_since(self.at);
        let grown = self.drift.extrapolate(self.interval, elapsed);
        grown.intersect(&sample.interval).is_some()
    }

    /// Where true time was, or will be, at an instant of the oscillator.
    pub(crate) fn at(&self, local: Local, config: &Config) -> Result<Interval, TimeError> {
        if self.state != State::Known || local <= self.since {
            return Err(TimeError::NotSynchronized);
        }
        let elapsed = local.nanos_since(self.at).max(self.at.nanos_since(local));
        if elapsed >= self.unusable_from {
            return Err(if elapsed > self.age_nanos_max {
                TimeError::Stale {
                    age: Duration::from_nanos(elapsed),
                    age_max: Duration::from_nanos(self.age_nanos_max),
                }
            } else {
                TimeError::BoundTooWide {
                    epsilon: self.drift.extrapolate(self.interval, elapsed).epsilon(),
                    epsilon_max: config.epsilon_max,
                }
            });
        }
        if local >= self.at {
            return Ok(self.drift.extrapolate(self.interval, elapsed));
        }
        let (least, most) = (self.drift.least(elapsed), self.drift.most(elapsed));
        // There may also have been a suspend too short to be detected.
        let earliest = self
            .interval
            .earliest()
            .earlier(most.saturating_add(SLEEP_SLACK_NANOS));
        Ok(Interval::spanning(
            earliest,
            self.interval.latest().earlier(least),
        ))
    }

    /// Half the width of the interval at a later instant, if it could still be read then.
    pub(crate) fn epsilon_nanos(&self, at: Local) -> Option<u64> {
        let age = at.nanos_since(self.at);
        let readable = self.is_some() && age < self.unusable_from;
        readable.then(|| nanos(self.drift.extrapolate(self.interval, age).epsilon()))
    }

    pub(crate) fn to_words(self) -> [u64; WORDS] {
        let bound = match self.bound {
            BoundKind::Hard => 0,
            BoundKind::Statistical { miss_ppb } => STATISTICAL | u64::from(miss_ppb) << 32,
        };
        [
            self.state.to_bits() | bound | u64::from(self.stratum.get()) << STRATUM_AT,
            self.at.as_nanos(),
            self.interval.earliest().as_nanos().cast_unsigned(),
            self.interval.latest().as_nanos().cast_unsigned(),
            self.drift.to_word(),
            self.unusable_from,
            self.fresh_nanos_max,
            self.seen.asleep,
            self.seen.marker,
            self.age_nanos_max,
            self.seen.local.as_nanos(),
            self.seen.monotonic,
            self.seen.wall.cast_unsigned(),
            self.since.as_nanos(),
            self.floor_nanos,
            u64::from(self.best.get()) << 32 | u64::from(self.out_of_bound.claimed_ppb),
            self.out_of_bound.measured.least_ppb.cast_unsigned(),
            self.out_of_bound.measured.most_ppb.cast_unsigned(),
        ]
    }

    pub(crate) fn from_words(words: [u64; WORDS]) -> Self {
        let [bits, at, earliest, latest, drift, ..] = words;
        let [
            _,
            _,
            _,
            _,
            _,
            unusable_from,
            fresh_nanos_max,
            asleep,
            marker,
            ..,
        ] = words;
        let [.., age_nanos_max, local, monotonic, wall, _, _, _, _, _] = words;
        let [.., since, floor_nanos, best_and_claim, least, most] = words;
        Self {
            state: State::from_bits(bits),
            at: Local::from_nanos(at),
            interval: Interval::spanning(end(earliest), end(latest)),
            drift: Drift::from_word(drift),
            bound: bound(bits),
            unusable_from,
            age_nanos_max,
            fresh_nanos_max,
            seen: Observation::new(
                Local::from_nanos(local),
                monotonic,
                asleep,
                wall.cast_signed(),
                marker,
            ),
            stratum: stratum(bits),
            best: Stratum::new((best_and_claim >> 32) as u16),
            floor_nanos,
            since: Local::from_nanos(since),
            out_of_bound: OutOfBound {
                measured: Rates {
                    least_ppb: least.cast_signed(),
                    most_ppb: most.cast_signed(),
                },
                claimed_ppb: best_and_claim as u32,
            },
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
    let [
        bits,
        at,
        earliest,
        latest,
        drift,
        unusable_from,
        _,
        asleep,
        marker,
    ] = hot;
    // Read before the marker and the check for suspends, so that a pause in between is detected.
    let now = clocks.local();
    // An oscillator that went back makes this greater than any age that is usable.
    let age = now.as_nanos().wrapping_sub(at);
    if bits & STATE != KNOWN || age >= unusable_from {
        return Err(refusal(latch, clocks, config));
    }
    if clocks.disruption_marker() != marker {
        return Err(TimeError::Disrupted(Disruption::Moved));
    }
    if watch::slept(clocks, asleep) {
        return Err(TimeError::Disrupted(Disruption::Suspended));
    }
    let interval = Interval::spanning(end(earliest), end(latest));
    let interval = Drift::from_word(drift).extrapolate(interval, age);
    Ok((hot, interval, age))
}

/// Why there was no interval; if there is one by now, the previous one was too old.
#[cold]
fn refusal(
    latch: &Latch<AtomicU64, WORDS>,
    clocks: &(impl Clocks + ?Sized),
    config: &Config,
) -> TimeError {
    Anchor::from_words(latch.read()).refusal(clocks.local(), config)
}

/// The status of an interval extrapolated from these words over so many nanoseconds.
#[inline]
pub(crate) fn reading(hot: &[u64; HOT], interval: Interval, age: u64, config: &Config) -> Reading {
    let holdover = age > hot[6];
    Reading {
        interval,
        status: if holdover {
            Status::Holdover
        } else {
            Status::Synchronized
        },
        bound: bound(hot[0]),
        stratum: stratum(hot[0]),
        scale: config.scale,
    }
}

#[inline]
fn stratum(bits: u64) -> Stratum {
    Stratum::new((bits >> STRATUM_AT & STRATUM_MASK) as u16)
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

pub(crate) const WORDS: usize = 18;

/// How many of the words a read needs; they come first.
pub(crate) const HOT: usize = 9;

const STATE: u64 = 0xff;

const KNOWN: u64 = 1;

const STATISTICAL: u64 = 1 << 25;

const STRATUM_AT: u32 = 26;

const STRATUM_MASK: u64 = 0x1f;

const NOT_MEASURED: OutOfBound = OutOfBound {
    measured: Rates {
        least_ppb: 0,
        most_ppb: 0,
    },
    claimed_ppb: 0,
};

/// 146 years. An age that is negative wraps to more than that.
const USABLE_NANOS_MAX: u64 = u64::MAX / 4;

const CAUSES: [Disruption; 8] = [
    Disruption::Suspended,
    Disruption::Stepped,
    Disruption::Rate,
    Disruption::Backwards,
    Disruption::Contradiction,
    Disruption::Source,
    Disruption::Oscillator,
    Disruption::Moved,
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
            unusable_from: 1,
            age_nanos_max: u64::MAX,
            fresh_nanos_max: 2,
            seen: Observation::new(Local::from_nanos(1), 2, 3, -4, 5),
            stratum: Stratum::UNSYNCHRONIZED,
            best: Stratum::new(3),
            floor_nanos: 9,
            since: Local::from_nanos(10),
            out_of_bound: OutOfBound {
                measured: Rates {
                    least_ppb: -11,
                    most_ppb: 12,
                },
                claimed_ppb: u32::MAX,
            },
        };
        for cause in CAUSES {
            assert_eq!(Anchor::from_words(anchor.to_words()), anchor);
            anchor.state = State::Settling { cause, agreed: 255 };
            anchor.bound = BoundKind::Hard;
        }
        assert_eq!(Anchor::from_words([0; WORDS]).state, State::Unset);
    }
}
