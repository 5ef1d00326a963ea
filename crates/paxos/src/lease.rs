//! Leases: how an acceptor promises a leader to help no other one for a while, so that the leader may answer
//! reads from its own state. The leader's half is in `leader/lease.rs`.

use core::time::Duration;

use crate::node::Common;
use crate::{Ballot, Instant, NodeId};

/// What a group's leases are: how long, and how well its clocks run. It is a setting of the group, the same
/// on every node.
///
/// It may be set, or made longer, at any time, node by node. To shorten or remove it, or to lower
/// [`drift`](Self::drift), each node has to stay stopped between its two lives for at least the old length: a
/// node that starts assumes that in its earlier life it granted leases as long as it may now
/// ([`Config::lease`](crate::Config::lease)), because what it granted is not on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// How long an acceptor promises to help no other leader, on its own clock, from the arrival of a
    /// heartbeat on. At most [`election_timeout_min`](crate::Config::election_timeout_min), so that no
    /// follower has to wait for it before it campaigns.
    pub length: Duration,
    /// The bound on how much faster or slower than true time the clock of any node runs, also across a
    /// suspension.
    pub drift: Drift,
}

/// The greatest deviation of a clock's rate, in parts per million: while a true second passes, a clock with
/// a drift of 200 advances by 0.9998 s to 1.0002 s.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Drift(pub u32);

impl Drift {
    /// The largest drift that a node accepts: 10 %, exclusive. A clock that is worse is broken.
    pub const MAX: Self = Self(100_000);
}

impl Lease {
    /// For how long from the sending of its request, on the leader's clock, a grant of `granted` counts.
    ///
    /// Let d be the drift. The acceptor's promise begins after the request was sent and lasts `granted` on
    /// its clock, which is at least `granted / (1 + d)` of true time. When `e` has passed on the leader's
    /// clock, at most `e / (1 - d)` of true time has. So the promise still lasts while
    /// `e / (1 - d) < granted / (1 + d)`, that is `e < granted * (1 - d) / (1 + d)`. Rounded down.
    pub(crate) fn usable(&self, granted: Duration) -> Duration {
        let drift = u128::from(self.drift.0.min(Drift::MAX.0));
        let scaled = granted.as_nanos().saturating_mul(MILLION - drift) / (MILLION + drift);
        Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX))
    }
}

/// An acceptor's promise that it helps no other node to lead: until then it answers no other's
/// [`Binding::Prepare`](crate::Binding::Prepare), does not campaign, and says that there is a leader. It
/// belongs to no role and no ballot: whatever the node becomes, the promise stays.
///
/// A leader that holds a lease has the grants of a phase-2 quorum of each configuration of a slot that is
/// open for it. Another one can propose in such a slot only with the answers of a phase-1 quorum of the same
/// configuration, and so of an acceptor that has granted the lease.
///
/// The acceptor still follows a leader of a higher ballot and votes for it: as a rule that one has those
/// answers, and the lease is over. But it may lead by acceptors of a former configuration alone, all of
/// whose slots are chosen, and ask for the answers of the present one next. So it does not get them, and no
/// lease, before the pledge to the other one has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Pledge {
    until: Instant,
    /// The ballot of the leader. None: whatever an earlier life of this node has granted.
    to: Option<Ballot>,
}

impl Pledge {
    /// Of a node that starts. What it granted before was in memory only, and may have been granted just
    /// before the end of its earlier life, so that the longest lease is waited for as a whole.
    pub(crate) fn of_an_earlier_life(now: Instant, lease: Lease) -> Self {
        Self {
            until: now.plus(lease.length),
            to: None,
        }
    }

    pub(crate) fn is_on(&self, now: Instant) -> bool {
        now < self.until
    }

    /// Whether it forbids to help `candidate` now. The leader to which it was given may have another ballot:
    /// it no longer leads in the former one. If that leader has invited the candidate, it has given up the
    /// lease before.
    pub(crate) fn forbids(&self, now: Instant, candidate: NodeId, invited: Option<Ballot>) -> bool {
        let is_free = |to: Ballot| to.node == candidate || invited == Some(to);
        self.is_on(now) && !self.to.is_some_and(is_free)
    }
}

impl Common {
    /// Grants the leader of the promised ballot a lease of at most the length that it asks for, and returns
    /// how long it is: zero if there is none.
    ///
    /// Only in a ballot that is durable here: so a node whose disk holds no promise has never granted a
    /// lease, and need not wait when it starts.
    pub(crate) fn grant_lease(&mut self, now: Instant, asked: Duration) -> Duration {
        let Some(lease) = self.config.lease else {
            return Duration::ZERO;
        };
        let length = asked.min(lease.length);
        let is_durable = self.promise_persisted == self.promised;
        let is_bound = self.pledge.forbids(now, self.promised.node, None);
        if length.is_zero() || !is_durable || is_bound {
            return Duration::ZERO;
        }
        self.pledge = Pledge {
            until: self.pledge.until.max(now.plus(length)),
            to: Some(self.promised),
        };
        length
    }

    /// Whatever was granted before is kept for its full length from now on.
    pub(crate) fn renew_pledge(&mut self, now: Instant) {
        if self.promise_persisted > Ballot::ZERO
            && let Some(lease) = self.config.lease
        {
            self.pledge = Pledge::of_an_earlier_life(now, lease);
        }
    }

    /// Ends the pledge to the leader of the promised ballot, which has given up its lease. False if this node
    /// is bound to another.
    pub(crate) fn release_pledge(&mut self, now: Instant) -> bool {
        let own = self.config.id;
        if self.pledge.forbids(now, own, Some(self.promised)) {
            return false;
        }
        self.pledge = Pledge::default();
        true
    }
}

const MILLION: u128 = 1_000_000;

#[cfg(test)]
mod tests;
