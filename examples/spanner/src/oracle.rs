//! Timestamps of one reign (sections 4.1.2 and 4.2.1): above all before, inside the lease.

use std::collections::BTreeSet;

use synod_truetime::lease::LeaseInterval;
use synod_truetime::{Interval, Timestamp};

use crate::command::Standing;
use crate::safe_time::Promise;
use crate::txn::Reign;

/// What a leader assigns and closes.
///
/// # Invariants
/// - `last` is at or above everything assigned and closed, and below `end`.
/// - `end` is in the log: an extension that is not applied yet may be lost.
#[derive(Clone, Debug, Hash)]
pub struct Oracle {
    reign: Reign,
    last: Timestamp,
    end: Timestamp,
    /// Assigned, in a command that is not applied here yet.
    in_flight: BTreeSet<Timestamp>,
}

/// No timestamp is left inside the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no timestamp is left before the end of the lease at {end}")]
pub struct LeaseOver {
    /// Timestamps are below.
    pub end: Timestamp,
}

impl Oracle {
    /// Of the reign that has just begun.
    #[must_use]
    pub fn new(standing: &Standing) -> Self {
        Self {
            reign: standing.reign,
            last: standing.floor,
            end: standing.lease_end,
            in_flight: BTreeSet::new(),
        }
    }

    /// A timestamp that is at least `least` and `latest`, above everything before, and below the end. The last lease
    /// need not be over by the clock: the timestamp is above it all the same, and its commit wait is the longer.
    ///
    /// # Errors
    /// [`LeaseOver`]: extend it and try again.
    pub fn assign(&mut self, least: Timestamp, now: &Interval) -> Result<Timestamp, LeaseOver> {
        let over = LeaseOver { end: self.end };
        let lease = LeaseInterval::between(self.last.later(1), self.end).ok_or(over)?;
        let at = lease.assign_from(least, Some(self.last), now).ok_or(over)?;
        self.last = at;
        self.in_flight.insert(at);
        Ok(at)
    }

    /// The command that carries it is applied here, or was never proposed.
    pub fn applied(&mut self, at: Timestamp) {
        self.in_flight.remove(&at);
    }

    /// The log has the new end. Before that nothing may be built on it.
    pub fn extended(&mut self, end: Timestamp) {
        self.end = self.end.max(end);
    }

    /// Promises hold up to here; read locks are kept up to it.
    pub fn end(&self) -> Timestamp {
        self.end
    }

    /// The greatest that was assigned or closed.
    pub fn last(&self) -> Timestamp {
        self.last
    }

    /// Closes up to `wanted`, and not beyond what a writer would be given now anyway: a reader never makes a writer
    /// wait. What is in flight comes later, and holds it down. (Spanner's `MinNextTS(n) - 1`, section 4.2.4.)
    pub fn close(&mut self, wanted: Timestamp, through: u64, now: &Interval) -> Promise {
        let upto = wanted.min(now.latest()).min(self.end.earlier(1));
        self.last = self.last.max(upto);
        self.closed(through)
    }

    /// What is closed already.
    #[must_use]
    pub fn closed(&self, through: u64) -> Promise {
        let first = self.in_flight.first();
        let closed = first.map_or(self.last, |first| first.earlier(1).min(self.last));
        Promise {
            reign: self.reign,
            through,
            closed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn now(nanos: i64) -> Interval {
        Interval::around(Timestamp::from_nanos(nanos), Duration::from_nanos(4))
    }

    #[test]
    fn timestamps_rise_stay_inside_and_are_not_closed_while_in_flight() {
        let at = Timestamp::from_nanos;
        let mut oracle = Oracle::new(&Standing {
            reign: Reign(2),
            floor: at(100),
            lease_end: at(130),
            prepared: vec![],
            unsettled: vec![],
        });
        assert_eq!(oracle.assign(Timestamp::MIN, &now(90)), Ok(at(101)));
        assert_eq!(oracle.close(at(110), 7, &now(110)).closed, at(100));
        oracle.applied(at(101));
        assert_eq!(oracle.close(at(110), 8, &now(110)).closed, at(110));
        assert_eq!(oracle.assign(at(120), &now(110)), Ok(at(120)));
        let over = Err(LeaseOver { end: at(130) });
        assert_eq!(oracle.assign(Timestamp::MIN, &now(126)), over);
        assert_eq!(oracle.close(at(900), 9, &now(900)).closed, at(119));
        oracle.extended(at(140));
        assert_eq!(oracle.assign(Timestamp::MIN, &now(126)), Ok(at(130)));
    }
}
