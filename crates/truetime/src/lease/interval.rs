use core::time::Duration;

use crate::{CommitWait, Interval, Timestamp};

/// A candidate's request to one voter, with the time before it was sent.
///
/// It must be created before the request is sent, and kept until that request is answered: a vote
/// counts from the request that it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseRequest {
    asked: Timestamp,
}

impl LeaseRequest {
    /// A request, with a reading taken before it is sent.
    #[must_use]
    pub fn new(now: &Interval) -> Self {
        Self {
            asked: now.earliest(),
        }
    }

    /// `earliest` of that reading: Spanner's `v`.
    pub fn asked(&self) -> Timestamp {
        self.asked
    }
}

/// The lease of a leader: it may act while [`holds`](Self::holds), by a reading taken for each act.
///
/// If the quorums of two leaders intersect, their leases are disjoint in true time, and so are the
/// timestamps that they [`assign`](Self::assign).
///
/// ```
/// use core::time::Duration;
/// use synod_truetime::lease::{LeaseInterval, LeaseRequest};
/// use synod_truetime::{Interval, Timestamp};
///
/// let at = |s: i64| Interval::around(Timestamp::from_nanos(s * 1_000_000_000), Duration::from_millis(4));
/// let (first, second) = (LeaseRequest::new(&at(100)), LeaseRequest::new(&at(101)));
/// // Both voters granted their votes: a quorum.
/// let lease = LeaseInterval::granted([first, second], Duration::from_secs(10), &at(102)).unwrap();
/// assert!(lease.holds(&at(109)));
/// assert!(!lease.holds(&at(110)));
/// ```
///
/// Invariant: `start < end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseInterval {
    start: Timestamp,
    end: Timestamp,
}

impl LeaseInterval {
    /// A lease from the requests that a quorum granted, and a reading taken after the last answer
    /// arrived. The caller defines the quorums, any two of which must intersect.
    ///
    /// `None` if the lease is already over, or if there are no votes.
    #[must_use]
    pub fn granted(
        requests: impl IntoIterator<Item = LeaseRequest>,
        length: Duration,
        now: &Interval,
    ) -> Option<Self> {
        let asked = requests.into_iter().map(|request| request.asked).min()?;
        let lease = Self {
            start: now.latest(),
            end: asked + length,
        };
        lease.holds(now).then_some(lease)
    }

    /// A recorded lease, for instance in a log that all possible leaders follow: timestamps from `start` to before
    /// `end`. The code that records leases must keep them disjoint. A lease may start in the future: a leader whose
    /// predecessor's lease is not over may assign timestamps above it at once, with correspondingly longer commit
    /// waits.
    ///
    /// `None` if it would be empty.
    #[must_use]
    pub fn between(start: Timestamp, end: Timestamp) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }

    /// Extends the recorded lease to a later end; an earlier one changes nothing.
    pub fn extend_to(&mut self, end: Timestamp) {
        self.end = self.end.max(end);
    }

    /// Extends the lease by one that a quorum granted while it held. If there is a gap between the
    /// two, the new one replaces it.
    pub fn extend(&mut self, by: &Self) {
        if self.end < by.start {
            self.start = by.start;
        }
        self.end = self.end.max(by.end);
    }

    /// No timestamp before this may be assigned.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// The lease ends before this.
    pub fn end(&self) -> Timestamp {
        self.end
    }

    /// Whether the end has certainly not been reached: `TT.before(end)`.
    #[must_use]
    pub fn holds(&self, now: &Interval) -> bool {
        now.latest() < self.end
    }

    /// A timestamp for a transaction whose request arrived before the reading was taken: not below
    /// `latest`, above `previous` (the greatest that this leader has assigned), and inside the
    /// lease. `None` if there is none.
    #[must_use]
    pub fn assign(&self, previous: Option<Timestamp>, now: &Interval) -> Option<Timestamp> {
        self.assign_from(Timestamp::MIN, previous, now)
    }

    /// As [`assign`](Self::assign), and not below `least`: for a transaction prepared by other participants, the
    /// greatest of their prepare timestamps (Spanner, section 4.2.1).
    #[must_use]
    pub fn assign_from(
        &self,
        least: Timestamp,
        previous: Option<Timestamp>,
        now: &Interval,
    ) -> Option<Timestamp> {
        let mut timestamp = now.latest().max(self.start).max(least);
        if let Some(previous) = previous {
            timestamp = timestamp.max(previous.later(1));
        }
        let is_new = previous.is_none_or(|previous| previous < timestamp);
        (self.holds(now) && is_new && timestamp < self.end).then_some(timestamp)
    }

    /// Abdicates before the end of the lease. Voters may be notified when the wait is over: then every
    /// assigned timestamp has certainly passed, so the next leader's are greater. Each voter is sent the
    /// last promise that it made ([`LeaseVote::given_back`](super::LeaseVote::given_back)).
    pub fn give_back(self, greatest_given: Timestamp, now: &Interval) -> CommitWait {
        CommitWait::until(greatest_given, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_lease_is_assigned_from_start_to_before_end() {
        let at = Timestamp::from_nanos;
        let mut lease = LeaseInterval::between(at(100), at(130)).unwrap();
        let early = Interval::around(at(90), Duration::from_nanos(4));
        assert_eq!(
            lease.assign(None, &early),
            Some(at(100)),
            "above the last lease, at once"
        );
        assert_eq!(
            lease.assign_from(at(120), Some(at(100)), &early),
            Some(at(120))
        );
        assert_eq!(lease.assign_from(at(130), Some(at(120)), &early), None);
        lease.extend_to(at(110));
        assert_eq!(lease.end(), at(130), "what was built on stays");
        lease.extend_to(at(140));
        assert_eq!(
            lease.assign_from(at(130), Some(at(120)), &early),
            Some(at(130))
        );
        assert_eq!(LeaseInterval::between(at(5), at(5)), None);
    }
}
