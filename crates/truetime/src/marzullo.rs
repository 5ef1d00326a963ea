use core::fmt;

use crate::{Interval, Timestamp};

/// The interval of true time when at most `faulty_max` of the given intervals are wrong: Marzullo's
/// algorithm (1984), in the form of the sound fault-tolerant intersection.
///
/// True time lies in every interval that is right, so at a point that all but `faulty_max` of them
/// cover. The answer reaches from the first such point to the last; a single point counts. It does
/// not depend on the order, and wider intervals never make it narrower. All intervals must be for
/// the same instant.
///
/// It takes two passes over all pairs and constant memory: 16 intervals need 1024 comparisons.
///
/// # Errors
/// [`NoAgreement`], if too few intervals agree.
///
/// ```
/// use synod_truetime::{Interval, Timestamp, marzullo};
///
/// let at = |earliest, latest| {
///     Interval::new(Timestamp::from_nanos(earliest), Timestamp::from_nanos(latest)).unwrap()
/// };
/// let agreement = marzullo(&[at(8, 12), at(11, 13), at(10, 12), at(50, 51)], 1)?;
/// assert_eq!(agreement.interval, at(11, 12));
/// assert_eq!(agreement.falsetickers.iter().collect::<Vec<_>>(), [3]);
/// # Ok::<(), synod_truetime::NoAgreement>(())
/// ```
pub fn marzullo(intervals: &[Interval], faulty_max: usize) -> Result<Agreement, NoAgreement> {
    let count = intervals.len();
    if count > SOURCES_MAX {
        return Err(NoAgreement::TooMany);
    }
    // With more faulty ones, these could agree among themselves.
    if count == 0 || faulty_max >= count.div_ceil(2) {
        return Err(NoAgreement::TooFew { count, faulty_max });
    }
    let needed = count - faulty_max;
    let cover = |point: Timestamp| {
        let covers = |interval: &Interval| usize::from(interval.contains(point));
        intervals.iter().map(covers).sum::<usize>()
    };
    // A stretch of points with enough cover begins where an interval begins and ends where one ends.
    let mut begins = [false; SOURCES_MAX];
    let (mut agreed, mut most) = (None::<Interval>, 0);
    for (begin, interval) in begins.iter_mut().zip(intervals) {
        for point in [interval.earliest(), interval.latest()] {
            let covered = cover(point);
            most = most.max(covered);
            if covered >= needed {
                let here = Interval::at(point);
                agreed = Some(agreed.map_or(here, |agreed| agreed.hull(&here)));
                *begin |= point == interval.earliest();
            }
        }
    }
    let Some(interval) = agreed else {
        return Err(NoAgreement::Contradiction {
            count,
            agreeing: most,
            needed,
        });
    };
    let mut truechimers = Tickers::NONE;
    for (number, candidate) in intervals.iter().enumerate() {
        // Such a stretch meets the interval, so one of them begins within the other.
        let meets =
            |(begins, other): (&bool, &Interval)| *begins && candidate.contains(other.earliest());
        if begins[number] || begins.iter().zip(intervals).any(meets) {
            truechimers = truechimers.with(number);
        }
    }
    Ok(Agreement {
        interval,
        truechimers,
        falsetickers: truechimers.others(count),
    })
}

/// The agreement of enough intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Agreement {
    /// True time lies in it.
    pub interval: Interval,
    /// Those that may be right.
    pub truechimers: Tickers,
    /// Those that are certainly wrong, unless more are wrong than was allowed for: no point of theirs
    /// has enough cover.
    pub falsetickers: Tickers,
}

/// A set of sources, by their position in the list.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Tickers(u64);

impl Tickers {
    /// No source.
    pub const NONE: Self = Self(0);

    /// The number of sources in the set.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// Whether the set contains this source.
    #[must_use]
    pub const fn contains(&self, number: usize) -> bool {
        number < SOURCES_MAX && self.0 >> number & 1 == 1
    }

    /// In the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = usize> + use<> {
        let all = *self;
        (0..SOURCES_MAX).filter(move |number| all.contains(*number))
    }

    pub(crate) const fn with(self, number: usize) -> Self {
        Self(self.0 | 1 << number)
    }

    /// Those of the first `count` that are not here.
    const fn others(self, count: usize) -> Self {
        let all = if count == SOURCES_MAX {
            u64::MAX
        } else {
            (1 << count) - 1
        };
        Self(all & !self.0)
    }
}

impl fmt::Debug for Tickers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Why there is no agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoAgreement {
    /// Too few intervals to outvote so many wrong ones: it takes more than twice as many.
    #[error("{count} sources cannot outvote {faulty_max} wrong ones")]
    TooFew {
        /// The number of intervals.
        count: usize,
        /// How many of them may be wrong.
        faulty_max: usize,
    },
    /// No point is covered by enough of them.
    #[error("{agreeing} of {count} sources agree, {needed} must")]
    Contradiction {
        /// The number of intervals.
        count: usize,
        /// The most that have a point in common.
        agreeing: usize,
        /// How many must.
        needed: usize,
    },
    /// More than [`SOURCES_MAX`].
    #[error("more than {SOURCES_MAX} sources")]
    TooMany,
}

/// How many sources can be compared.
pub const SOURCES_MAX: usize = 64;
