//! Time in a few steps: a clock says in which stretch of time it is, and the clocks of the two shards are at most one
//! stretch apart.
//!
//! ```text
//!  0    10    20    30          70    80    90     nanoseconds
//!  ├─ 0 ─┼─ 1 ─┼─ 2 ─┼──── 3 ────┼─ 4 ─┼─ 5 ─┤ ..
//! ```
//!
//! In stretch 1 a clock reads `[10, 20]`. A clock in stretch 1 and one in stretch 2 both contain the true time 20, so
//! neither of them lies, and time is as uncertain as their bounds say. A timestamp that is `latest` in one stretch has
//! certainly passed two stretches later.

use std::time::Duration;

use synod_replica::embed::Instant;
use synod_truetime::{Interval, Timestamp};

/// Where stretches begin. The long one reaches behind the end of the first lease.
const BEGINS: [i64; 6] = [0, 10, 20, 30, 70, 80];
/// How long the stretches are that follow.
const LENGTH: i64 = 10;

fn begin(stretch: usize) -> i64 {
    let Some(begin) = BEGINS.get(stretch) else {
        let behind = stretch + 1 - BEGINS.len();
        return BEGINS[BEGINS.len() - 1]
            + LENGTH * i64::try_from(behind).unwrap_or(i64::MAX / LENGTH);
    };
    *begin
}

/// What a clock reads in a stretch.
pub(crate) fn reading(stretch: usize) -> Interval {
    Interval::spanning(at(begin(stretch)), at(begin(stretch + 1)))
}

/// Of the node, for what takes too long.
pub(crate) fn local(stretch: usize) -> Instant {
    Instant(Duration::from_nanos(begin(stretch).unsigned_abs()))
}

pub(crate) fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanos(nanos)
}

/// What true time may be at the least and at the most, while the two clocks are there.
pub(crate) fn true_time(stretches: [usize; 2]) -> Interval {
    let [one, other] = stretches.map(reading);
    let both = one.intersect(&other);
    both.expect("I1: the clocks are at most one stretch apart")
}
