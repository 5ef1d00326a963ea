//! The measured rate of the oscillator, from pairs of samples.

use crate::{Drift, Interval, Local};

/// The limits of the mean rate of true time relative to the oscillator, as a deviation from 1 in parts per billion:
/// at 1,000 a second of the oscillator lasts 1.000001 seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Not below this.
    pub least_ppb: i64,
    /// Not above this.
    pub most_ppb: i64,
}

/// The oscillator runs faster or slower than its drift bound allows, so intervals cannot be extrapolated
/// by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "samples put the oscillator at {} to {} ppb from true time, and it is claimed to keep within {claimed_ppb}",
    measured.least_ppb, measured.most_ppb
)]
pub struct OutOfBound {
    /// The rates that pairs of samples allow.
    pub measured: Rates,
    /// The claimed bound: [`Config::drift`](crate::Config::drift), or more if the source reported
    /// more.
    pub claimed_ppb: u32,
}

/// A sample as a pair needs it, with what the clock went by when it had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fix {
    pub(crate) at: Local,
    pub(crate) interval: Interval,
    pub(crate) drift: Drift,
}

/// A few samples since the oscillator was last disturbed, far apart, and the rates that their pairs
/// allow.
///
/// ```text
///  true time      [lo_i   hi_i]                     [lo_j   hi_j]
///  oscillator          at_i ──────────── d ──────────── at_j         mean rate within
///                                                                    [lo_j - hi_i, hi_j - lo_i] / d
/// ```
///
/// The longer the span of a pair, the more precise its measurement, whatever the width of the samples. Each pair by
/// itself only assumes that its samples are right. Combining pairs also assumes that the rate wanders by no more than
/// configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pairs {
    fixes: [Fix; KEPT_MAX],
    count: usize,
    spacing_nanos: u64,
}

/// What the pairs of samples say about the claimed bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// No pair is long enough, or none is more precise than the claim.
    Open,
    /// The rate is within these limits, wander included.
    Measured(Rates),
    /// All pairs agree with each other, and some contradict the claim.
    OutOfBound(OutOfBound),
    /// Some pair contradicts the claim, and the pairs contradict each other: a sample is wrong.
    Contradiction,
}

impl Pairs {
    pub(crate) const NONE: Self = Self {
        fixes: [Fix {
            at: Local::from_nanos(0),
            interval: Interval::ALL,
            drift: Drift::DEFAULT,
        }; KEPT_MAX],
        count: 0,
        spacing_nanos: SPACING_LEAST_NANOS,
    };

    /// Adds the latest sample, and evaluates all pairs. `slack_nanos` is the uncertainty of a span between two
    /// readings of the oscillator.
    pub(crate) fn note(&mut self, fix: Fix, wander_ppb: u32, slack_nanos: u64) -> Verdict {
        let verdict = self.judge(&fix, wander_ppb, slack_nanos);
        let is_apart = self
            .newest()
            .is_none_or(|newest| fix.at.nanos_since(newest.at) >= self.spacing_nanos);
        if is_apart {
            self.keep(fix);
        }
        verdict
    }

    /// The rates from the kept samples, wander included.
    pub(crate) fn rates(&self, wander_ppb: u32, slack_nanos: u64) -> Option<Rates> {
        let (latest, before) = self.fixes[..self.count].split_last()?;
        let mut earlier = Self { ..*self };
        earlier.count = before.len();
        match earlier.judge(latest, wander_ppb, slack_nanos) {
            Verdict::Measured(measured) | Verdict::OutOfBound(OutOfBound { measured, .. }) => {
                Some(measured)
            }
            Verdict::Open | Verdict::Contradiction => None,
        }
    }

    fn newest(&self) -> Option<&Fix> {
        self.fixes[..self.count].last()
    }

    fn keep(&mut self, fix: Fix) {
        if self.count == KEPT_MAX {
            if self.spacing_nanos < SPACING_MOST_NANOS {
                // Every second one is kept, so that the oldest stay.
                for place in 0..KEPT_MAX / 2 {
                    self.fixes[place] = self.fixes[2 * place];
                }
                self.count = KEPT_MAX / 2;
                self.spacing_nanos *= 2;
            } else {
                self.fixes.rotate_left(1);
                self.count -= 1;
            }
        }
        self.fixes[self.count] = fix;
        self.count += 1;
    }

    fn judge(&self, latest: &Fix, wander_ppb: u32, slack_nanos: u64) -> Verdict {
        let kept = &self.fixes[..self.count];
        let mut claimed = latest.drift;
        let (mut least, mut most) = (i64::MIN, i64::MAX);
        let mut is_broken = false;
        let mut pairs = 0;
        for (number, from) in kept.iter().enumerate() {
            claimed = claimed.max(from.drift);
            for to in kept[number + 1..].iter().chain([latest]) {
                let Some(rates) = rates(from, to, slack_nanos) else {
                    continue;
                };
                pairs += 1;
                let bound = i64::from(from.drift.max(to.drift).growth_ppb());
                is_broken |= rates.least_ppb > bound || rates.most_ppb < -bound;
                least = least.max(rates.least_ppb);
                most = most.min(rates.most_ppb);
            }
        }
        let wander = i64::from(wander_ppb);
        let measured = Rates {
            least_ppb: least.saturating_sub(wander),
            most_ppb: most.saturating_add(wander),
        };
        let is_consistent = measured.least_ppb <= measured.most_ppb;
        // A single contradicting pair may as well come from a source that jumped.
        match (is_broken, is_consistent) {
            (true, true) if pairs > 1 => Verdict::OutOfBound(OutOfBound {
                measured,
                claimed_ppb: claimed.growth_ppb(),
            }),
            (true, _) => Verdict::Contradiction,
            (false, true) if pairs > 0 => Verdict::Measured(measured),
            (false, _) => Verdict::Open,
        }
    }

    pub(crate) fn to_words(self) -> [u64; PAIR_WORDS] {
        let mut words = [0; PAIR_WORDS];
        words[0] = self.count as u64;
        words[1] = self.spacing_nanos;
        for (place, fix) in words[2..].chunks_exact_mut(FIX_WORDS).zip(&self.fixes) {
            place.copy_from_slice(&[
                fix.at.as_nanos(),
                fix.interval.earliest().as_nanos().cast_unsigned(),
                fix.interval.latest().as_nanos().cast_unsigned(),
                fix.drift.to_word(),
            ]);
        }
        words
    }

    pub(crate) fn from_words(words: &[u64; PAIR_WORDS]) -> Self {
        let mut pairs = Self::NONE;
        pairs.count = (words[0] as usize).min(KEPT_MAX);
        pairs.spacing_nanos = words[1].max(SPACING_LEAST_NANOS);
        for (fix, place) in pairs
            .fixes
            .iter_mut()
            .zip(words[2..].chunks_exact(FIX_WORDS))
        {
            let end = |word: u64| crate::Timestamp::from_nanos(word.cast_signed());
            *fix = Fix {
                at: Local::from_nanos(place[0]),
                interval: Interval::spanning(end(place[1]), end(place[2])),
                drift: Drift::from_word(place[3]),
            };
        }
        pairs
    }
}

impl Rates {
    /// Whether all of it is within a drift bound.
    pub(crate) fn is_within(&self, drift: Drift) -> bool {
        let bound = i64::from(drift.growth_ppb());
        -bound <= self.least_ppb && self.most_ppb <= bound
    }
}

/// The rates from one pair, rounded outward; `None` if it is too short.
fn rates(from: &Fix, to: &Fix, slack_nanos: u64) -> Option<Rates> {
    let counted = to.at.nanos_since(from.at);
    if counted < SPACING_LEAST_NANOS {
        return None;
    }
    let slack = i128::from(slack_nanos);
    let (shortest, longest) = (i128::from(counted) - slack, i128::from(counted) + slack);
    let [least_true, most_true] = [
        (to.interval.earliest(), from.interval.latest()),
        (to.interval.latest(), from.interval.earliest()),
    ]
    .map(|(end, begin)| i128::from(end.as_nanos()) - i128::from(begin.as_nanos()));
    let least = (least_true - longest) * GIGA;
    let most = (most_true - shortest) * GIGA;
    // Divided by what makes it smaller, or greater.
    let least = least.div_euclid(if least < 0 { shortest } else { longest });
    let most = -(-most).div_euclid(if most < 0 { longest } else { shortest });
    let clamp = |ppb: i128| ppb.clamp(-PPB_MAX, PPB_MAX) as i64;
    Some(Rates {
        least_ppb: clamp(least),
        most_ppb: clamp(most),
    })
}

/// 16 samples, at last a minute apart, reach back for a quarter of an hour.
const KEPT_MAX: usize = 16;
const SPACING_LEAST_NANOS: u64 = 1_000_000_000;
const SPACING_MOST_NANOS: u64 = 64 * SPACING_LEAST_NANOS;
const FIX_WORDS: usize = 4;
pub(crate) const PAIR_WORDS: usize = 2 + KEPT_MAX * FIX_WORDS;
const GIGA: i128 = 1_000_000_000;
/// Above any plausible rate.
const PPB_MAX: i128 = i32::MAX as i128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    /// Exactly right at `seconds` of true time, by an oscillator that loses so many ppb, and so wide.
    fn fix(seconds: u64, slow_ppb: i64, width_nanos: u64) -> Fix {
        let nanos = seconds as i64 * 1_000_000_000;
        let counted = nanos - seconds as i64 * slow_ppb;
        let interval = Interval::at(Timestamp::from_nanos(nanos)).widen(width_nanos / 2);
        Fix {
            at: Local::from_nanos(counted.cast_unsigned()),
            interval,
            drift: Drift::DEFAULT,
        }
    }

    #[test]
    fn a_pair_is_as_fine_as_it_is_long() {
        let wide = 2_000_000;
        let within = |seconds: u64| rates(&fix(0, 50_000, wide), &fix(seconds, 50_000, wide), 0);
        assert_eq!(within(0), None);
        let short = within(10).unwrap();
        assert!(
            short.least_ppb < -140_000 && short.most_ppb > 240_000,
            "{short:?}"
        );
        let long = within(1_000).unwrap();
        assert!((47_000..50_003).contains(&long.least_ppb), "{long:?}");
        assert!((50_002..53_000).contains(&long.most_ppb), "{long:?}");
    }

    /// Never inward, and by less than one, whatever the signs and remainders.
    #[test]
    fn rates_are_rounded_outward() {
        for slow_ppb in [-1_100_003, -50_000, -1, 0, 1, 49_999, 1_100_003] {
            for (seconds, width) in [(1, 0), (2, 7), (3, 2_000_000), (1_000, 11), (86_400, 1)] {
                let (from, to) = (fix(0, slow_ppb, width), fix(seconds, slow_ppb, width));
                let counted = i128::from(to.at.nanos_since(from.at));
                let Some(rates) = rates(&from, &to, 0) else {
                    continue;
                };
                let scaled = |end: Timestamp, begin: Timestamp| {
                    (i128::from(end.as_nanos()) - i128::from(begin.as_nanos()) - counted) * GIGA
                };
                let least = scaled(to.interval.earliest(), from.interval.latest());
                let most = scaled(to.interval.latest(), from.interval.earliest());
                let [said_least, said_most] = [rates.least_ppb, rates.most_ppb].map(i128::from);
                assert!(said_least * counted <= least, "inward: {rates:?}");
                assert!((said_least + 1) * counted > least, "{rates:?}");
                assert!(said_most * counted >= most, "inward: {rates:?}");
                assert!((said_most - 1) * counted < most, "{rates:?}");
            }
        }
    }

    #[test]
    fn pairs_reach_back_a_quarter_of_an_hour_and_no_farther() {
        let mut pairs = Pairs::NONE;
        for seconds in 0..5_000 {
            let verdict = pairs.note(fix(seconds, 50_000, 2_000_000), 0, 0);
            assert!(!matches!(
                verdict,
                Verdict::OutOfBound(_) | Verdict::Contradiction
            ));
            assert_eq!(Pairs::from_words(&pairs.to_words()), pairs);
        }
        let reach = pairs.newest().unwrap().at.nanos_since(pairs.fixes[0].at);
        assert!((900..1_000).contains(&(reach / 1_000_000_000)), "{reach}");
        assert_eq!(pairs.count, KEPT_MAX);
    }

    #[test]
    fn one_that_jumps_is_no_oscillator() {
        let mut pairs = Pairs::NONE;
        for seconds in [0, 10, 20] {
            let _ = pairs.note(fix(seconds, 0, 1_000), 0, 0);
        }
        let mut jumped = fix(30, 0, 1_000);
        jumped.interval = jumped.interval.after_span(50_000_000, 50_000_000);
        assert_eq!(pairs.note(jumped, 10_000, 0), Verdict::Contradiction);
    }
}
