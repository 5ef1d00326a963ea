use alloc::collections::VecDeque;
use core::time::Duration;

use super::Leader;
use crate::node::Common;
use crate::progress::Progress;
use crate::{Index, Instant, Lease, NoLease};

/// When rounds of heartbeats were sent, as far as a lease may still count from them. A round that is
/// not among them counts from the last one before it, which was sent earlier.
///
/// Invariant: rounds and times ascend; at most [`SAMPLES_MAX`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Sendings {
    sent: VecDeque<(u64, Instant)>,
}

impl Sendings {
    /// `round` and all after it are sent at `now` or later.
    pub(super) fn note(&mut self, round: u64, now: Instant, lease: Option<Lease>) {
        let Some(Lease { length, .. }) = lease else {
            return;
        };
        while self
            .sent
            .front()
            .is_some_and(|(_, at)| now.since(*at) >= length)
        {
            self.sent.pop_front();
        }
        let step = length / STEPS_A_LEASE;
        let is_due = |(_, at): &(u64, Instant)| now.since(*at) >= step;
        if self.sent.len() < SAMPLES_MAX && self.sent.back().is_none_or(is_due) {
            self.sent.push_back((round, now));
        }
    }

    /// A time that is not after the sending of `round`; `None` if that is not known, or too long ago.
    fn of(&self, round: u64) -> Option<Instant> {
        let later = self.sent.partition_point(|(at, _)| *at <= round);
        let (_, sent) = self.sent.get(later.checked_sub(1)?)?;
        Some(*sent)
    }

    pub(super) fn forget(&mut self) {
        self.sent.clear();
    }
}

/// How a leader reads by lease: see [`Lease`].
impl Leader {
    /// The index that a state must have applied to answer a read that came before the clock showed
    /// `now`. No end of a lease is stored: who counts is decided by the membership in force now.
    pub(crate) fn read_by_lease(&self, common: &Common, now: Instant) -> Result<Index, NoLease> {
        let lease = common.config.lease.ok_or(NoLease::NotConfigured)?;
        if self.gave_up_lease {
            return Err(NoLease::Transferred);
        }
        if common.committed < self.first {
            return Err(NoLease::NotReady);
        }
        let is_bound = |place| now < self.bound_until(common, place, lease);
        match common.members().quorum().agrees(is_bound) {
            true => Ok(common.committed),
            false => Err(NoLease::NotHeld),
        }
    }

    /// When the lease ends if no further echo comes; `None` without one that can be used.
    pub(crate) fn lease_end(&self, common: &Common) -> Option<Instant> {
        let lease = common.config.lease?;
        if self.gave_up_lease || common.committed < self.first {
            return None;
        }
        let end = |place| self.bound_until(common, place, lease);
        Some(common.members().quorum().reached(Instant::ZERO, end))
    }

    /// Until when the voter at this position is bound. This node is, for as long as it leads: it uses no
    /// lease afterwards.
    fn bound_until(&self, common: &Common, place: usize, lease: Lease) -> Instant {
        let Some(peer) = self.peer_at(common, place) else {
            return Instant(Duration::MAX);
        };
        let sent = self.sendings.of(peer.round);
        let sent = sent.filter(|_| !peer.forgot && !peer.granted.is_zero());
        sent.map_or(Instant::ZERO, |sent| lease.end(sent, peer.granted))
    }

    /// The clock may have been wrong: nothing counts from what was sent before.
    pub(crate) fn forget_lease(&mut self) {
        self.sendings.forget();
    }
}

impl Progress {
    /// The peer has promised so much with its echo of `round`, when it was asked for `asked`.
    pub(super) fn handle_grant(&mut self, round: u64, granted: Duration, asked: Duration) {
        if round >= self.round {
            self.granted = granted.min(asked);
        }
    }
}

/// How finely sendings are noted. A lease ends early by at most this part of its length, and only if
/// heartbeats are more frequent.
const STEPS_A_LEASE: u32 = 32;
const SAMPLES_MAX: usize = STEPS_A_LEASE as usize + 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Drift;

    fn at(ms: u64) -> Instant {
        Instant(Duration::from_millis(ms))
    }

    #[test]
    fn a_round_counts_from_no_later_than_its_sending() {
        let lease = Some(Lease {
            length: Duration::from_millis(64),
            drift: Drift(0),
        });
        let mut sendings = Sendings::default();
        assert_eq!(sendings.of(9), None);
        for (round, ms) in [(1, 10), (2, 11), (5, 12), (7, 20)] {
            sendings.note(round, at(ms), lease);
        }
        let known = [0, 1, 4, 5, 6, 7, 99].map(|round| sendings.of(round));
        let expected = [
            None,
            Some(10),
            Some(10),
            Some(12),
            Some(12),
            Some(20),
            Some(20),
        ];
        assert_eq!(known, expected.map(|ms| ms.map(at)));
        sendings.note(9, at(76), lease);
        assert_eq!(sendings.of(6), None, "too long ago");
        assert_eq!(sendings.of(8), Some(at(20)));
    }

    #[test]
    fn frequent_rounds_take_no_more_space() {
        let lease = Some(Lease {
            length: Duration::from_millis(100),
            drift: Drift(0),
        });
        let mut sendings = Sendings::default();
        for ms in 0..10_000 {
            sendings.note(ms, at(ms), lease);
            assert!(sendings.sent.len() <= SAMPLES_MAX);
            let known = sendings.of(ms).expect("just noted");
            assert!(at(ms).since(known) < Duration::from_millis(4));
        }
    }
}
