//! A clock that says how wrong it may be, and a look at it.

use std::time::Duration;

use synod_replica::embed::Instant;
use synod_spanner::{Now, State};
use synod_truetime::{Floor, Interval, NamedFloor, Timestamp};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// From true time; within `epsilon_us` unless it lies.
    pub(crate) offset_us: i64,
    pub(crate) epsilon_us: i64,
    /// Says that it knows the time exactly, so that nobody waits: `[latest, latest]`.
    pub(crate) claims_no_doubt: bool,
}

impl Clock {
    /// At this true time, with what the node knows to be past.
    pub(crate) fn read(&self, us: i64, local: Instant, floor: &mut NamedFloor) -> Reading {
        let shown = Timestamp::from_nanos((us + self.offset_us) * 1000);
        let epsilon = Duration::from_micros(self.epsilon_us.unsigned_abs());
        let mut time = Interval::around(shown, epsilon);
        if self.claims_no_doubt {
            time = Interval::at(time.latest());
        }
        Reading {
            time,
            local,
            floor: floor.outgoing(&time),
            true_time: Timestamp::from_nanos(us * 1000),
        }
    }

    /// It wanders within its bound.
    pub(crate) fn wander(&mut self, by_us: i64) {
        let epsilon = self.epsilon_us;
        self.offset_us = (self.offset_us + by_us).clamp(-epsilon, epsilon);
    }
}

/// A look at the clock, which may be old when it is acted by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) time: Interval,
    pub(crate) local: Instant,
    pub(crate) floor: Floor,
    /// When it was, which nobody but the checks may know.
    pub(crate) true_time: Timestamp,
}

impl Reading {
    pub(crate) fn now<'a>(&self, state: &'a State) -> Now<'a> {
        Now {
            local: self.local,
            time: self.time,
            floor: self.floor,
            state,
        }
    }
}
