use core::time::Duration;

use crate::{Instant, NodeId};

/// Reads by lease (thesis §6.4.1), and the bound on the clocks that they rest on.
///
/// Each heartbeat asks its receivers to promise that for `length` they elect nobody else, and each echo
/// says how much of that is granted. While a quorum is bound, no other node leads, so the leader may
/// answer reads from its own state: [`Raft::read_by_lease`](crate::Raft::read_by_lease).
///
/// # Why no two leaders read by lease
///
/// Let every clock show between `(1 - d)` and `(1 + d)` seconds in a true second, suspension included.
/// A heartbeat is sent at the true time `s`, and arrives later.
///
/// - The promise ends when the voter's clock has advanced by the granted length `g` since the arrival:
///   in true time not before `s + g / (1 + d)`.
/// - The leader takes its lease to hold until its own clock has advanced by `g * (1 - d) / (1 + d)`
///   since the sending: in true time at most until `s + g / (1 + d)`.
///
/// So the lease ends before any promise does. Two quorums have a node in common, in joint memberships
/// as well, and so whoever is elected has the vote of a node whose promise is over.
///
/// # The setting belongs to the group
///
/// A promise is kept in memory. A node that starts with a disk that is not empty may have given one
/// just before, of at most its own `length`: so for that long it elects nobody and does not campaign
/// (its clock is the one that the promise would have counted on, so nothing is added for drift). This
/// is sound only if `length` is not *smaller* than before the start. Hence:
///
/// - To switch leases on, or to raise `length`, nodes may be restarted in any order.
/// - To lower `length`, or to switch leases off, each node has to stay down for the old `length` before
///   it starts with the new setting. That is at most an election timeout.
/// - `drift` may be raised in any order, and a lower one holds from the moment a leader starts with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// How long a promise lasts, by the clock of the voter. At most
    /// [`election_timeout_min`](crate::Config::election_timeout_min): for that long a voter that hears
    /// its leader refuses others anyway, so leases leave no group without a leader for longer.
    pub length: Duration,
    /// The bound on all clocks of the group.
    pub drift: Drift,
}

/// How much faster or slower than true time a clock may run, in parts per million. Nothing in this
/// crate can check it. A machine all of whose clocks stand still together, as a virtual machine that is
/// stopped and continued, breaks every such bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Drift(pub u32);

impl Drift {
    /// The first value that is refused: a tenth.
    pub const MAX: Self = Self(100_000);
}

impl Lease {
    /// Until when a leader's own clock may show that a promise of this length holds, which was asked
    /// for at `sent`.
    pub(crate) fn end(&self, sent: Instant, granted: Duration) -> Instant {
        let (million, drift) = (1_000_000, u128::from(self.drift.0));
        let nanos = granted.as_nanos() * (million - drift) / (million + drift);
        sent.plus(Duration::from_nanos(
            u64::try_from(nanos).unwrap_or(u64::MAX),
        ))
    }
}

/// Why a read cannot be answered by lease. It can still be [confirmed](crate::Raft::read).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NoLease {
    /// Only a leader has a lease. Holds the leader, if known.
    #[error("this node does not lead")]
    NotLeader(Option<NodeId>),
    /// [`Config::lease`](crate::Config::lease) is not set.
    #[error("no lease is configured")]
    NotConfigured,
    /// In this term this leader has asked another node to campaign, and voters may have followed that
    /// one. There is no lease again before the next term, even if the transfer fails.
    #[error("this leader has offered its leadership to another node")]
    Transferred,
    /// No entry of this leader's term is committed yet, so it does not know all that is.
    #[error("this leader has committed nothing yet")]
    NotReady,
    /// No quorum has promised anything, or the promises are over.
    #[error("no quorum is bound by a promise")]
    NotHeld,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slowest clock at the leader and the fastest at the voter: in true time the lease ends first.
    #[test]
    fn a_lease_ends_before_the_promise() {
        for ppm in [0, 1, 500, 50_000, 99_999] {
            let lease = Lease {
                length: Duration::from_millis(150),
                drift: Drift(ppm),
            };
            let sent = Instant(Duration::from_secs(5));
            let shown = lease.end(sent, lease.length).since(sent).as_nanos();
            let true_end = shown * 1_000_000 / (1_000_000 - u128::from(ppm));
            let promised = lease.length.as_nanos() * 1_000_000 / (1_000_000 + u128::from(ppm));
            assert!(true_end <= promised, "{ppm}: {true_end} {promised}");
            assert!(promised - true_end < 3, "and no earlier than that asks for");
        }
    }
}
