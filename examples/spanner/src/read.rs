//! Reads without locks, at any replica (sections 4.1.3, 4.1.4 and 4.2.2), and what each must wait for.
//!
//! | read | timestamp | waits for |
//! |---|---|---|
//! | strong, of any shards | `latest` where it began | safe time; the leader is asked to close, once for all who wait |
//! | at a given time | given | safe time; what lies in the future first comes |
//! | of bounded staleness | the least safe time of its shards, below `earliest` | nothing, or is refused |
//!
//! And each of them for the versions that it returns: this runtime applies a command on every replica as soon as it
//! is decided, which may be before its timestamp has passed. So a replica that has a version keeps it to itself until
//! that has certainly passed **by its own clock** ([`look`]). Spanner delays the apply instead (section 4.2.1).
//! Without it one reader sees a transaction, and a later one, by a slower clock, does not.

use std::time::Duration;

use synod_truetime::{CommitWait, Interval, Timestamp};

use crate::safe_time::SafeTime;
use crate::shard::State;
use crate::span::Span;
use crate::store::{Collected, Scan, ScanLimit};

/// What a replica can do for a read at a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// [`look`] at it.
    Serve,
    /// Ask the leader to close it ([`Leader::close`](crate::Leader::close)), and come again when a promise or an
    /// entry has come.
    Close,
    /// What it would see may be gone.
    Collected(Collected),
}

/// What to do about a read at a timestamp here.
#[must_use]
pub fn plan(at: Timestamp, state: &State, safe: &SafeTime) -> Plan {
    let horizon = state.store().horizon();
    if at < horizon {
        Plan::Collected(Collected { horizon })
    } else if at <= safe.at(state) {
        Plan::Serve
    } else {
        Plan::Close
    }
}

/// A part of a scan, and the wait before anybody is shown it: poll it by readings taken for that.
///
/// # Errors
/// [`Collected`]: the horizon has moved since the read was planned, or since its last part.
pub fn look(
    state: &State,
    span: &Span,
    at: Timestamp,
    limit: ScanLimit,
    now: &Interval,
) -> Result<(Scan, CommitWait), Collected> {
    let scan = state.store().scan(span, at, limit)?;
    let wait = CommitWait::until(newest(&scan), now);
    Ok((scan, wait))
}

/// The newest timestamp that the scan shows, also of a deletion.
pub(crate) fn newest(scan: &Scan) -> Timestamp {
    let written = scan.versions.iter().map(|version| version.written);
    written.max().unwrap_or(Timestamp::MIN)
}

/// One timestamp for a read of several shards that is at most so old and waits for nothing, by what a replica of each
/// offers ([`SafeTime::at`]).
///
/// # Errors
/// [`TooStale`]: other replicas, a longer bound, or a strong read.
pub fn bounded_staleness(
    offers: impl IntoIterator<Item = Timestamp>,
    bound: Duration,
    now: &Interval,
) -> Result<Timestamp, TooStale> {
    // Below `earliest` all versions have passed, so no wait is left.
    let past = now.earliest().earlier(1);
    let at = offers.into_iter().fold(past, Timestamp::min);
    let age = now.latest() - at;
    if age > bound {
        return Err(TooStale { age });
    }
    Ok(at)
}

/// Nothing here is as fresh as was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("what is here may be {age:?} old")]
pub struct TooStale {
    /// A read with this bound would have been served.
    pub age: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::Writes;
    use synod_truetime::Wait;

    const ALL: ScanLimit = ScanLimit {
        versions_max: 9,
        bytes_max: 99,
    };

    fn now(nanos: i64) -> Interval {
        Interval::around(Timestamp::from_nanos(nanos), Duration::from_nanos(4))
    }

    /// True time is 100. The writer's timestamp is 104, by `latest`; this replica has it already.
    #[test]
    fn a_version_is_shown_when_its_timestamp_has_passed() {
        let at = Timestamp::from_nanos;
        let mut state = State {
            closed: at(104),
            ..State::default()
        };
        let mut writes = Writes::default();
        writes.put("k".into(), None).unwrap();
        state.store.put(at(104), writes);
        let safe = SafeTime::default();
        assert_eq!(plan(now(100).latest(), &state, &safe), Plan::Serve);
        assert_eq!(plan(at(105), &state, &safe), Plan::Close);
        let (scan, mut wait) = look(&state, &Span::key("k"), at(104), ALL, &now(100)).unwrap();
        let left = Wait::Sleep(Duration::from_nanos(9));
        assert_eq!((scan.versions.len(), wait.poll_at(&now(100))), (1, left));
        assert_eq!(wait.poll_at(&now(109)), Wait::Done);
        state.store.collect(at(50));
        let collected = Collected { horizon: at(50) };
        assert_eq!(plan(at(49), &state, &safe), Plan::Collected(collected));
    }

    #[test]
    fn a_stale_read_of_two_shards_has_one_timestamp_or_hears_what_it_could_have() {
        let at = Timestamp::from_nanos;
        let bound = Duration::from_nanos;
        let offers = [at(98), at(90)];
        assert_eq!(bounded_staleness(offers, bound(14), &now(100)), Ok(at(90)));
        let stale = TooStale { age: bound(14) };
        assert_eq!(bounded_staleness(offers, bound(13), &now(100)), Err(stale));
        assert_eq!(
            bounded_staleness([at(500)], bound(9), &now(100)),
            Ok(at(95))
        );
    }
}
