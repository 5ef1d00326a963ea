use core::time::Duration;

use crate::{Configuration, Drift, Lease, Membership, MembershipError, NodeId, Quorums, Replicate};

/// The configuration of a node. The name of each bound states its unit.
///
/// ```
/// use synod_paxos::{Config, NodeId, Quorums};
///
/// let four = [1, 2, 3, 4].map(NodeId);
/// let mut config = Config::new(NodeId(1), Quorums::flexible(four, 3, 2)?);
/// config.seed = 42;
/// assert!(config.validate().is_ok());
/// # Ok::<(), synod_paxos::QuorumError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// The id of this node.
    pub id: NodeId,
    /// The first configuration of the group, with its α; the same on each of its first nodes. It is
    /// only the beginning: what the log and a snapshot decide counts, whatever is here.
    ///
    /// None in a node that joins a group: it follows, and never campaigns before its log or a snapshot
    /// makes it an acceptor.
    pub first: Option<Configuration>,
    /// Seed of the generator that randomizes election timeouts. Nodes may share it.
    pub seed: u64,
    /// Lower bound of the election timeout, inclusive. Each timeout is drawn at random.
    pub election_timeout_min: Duration,
    /// Upper bound of the election timeout, exclusive. Also how long a leader stays leader without
    /// contact with a quorum.
    pub election_timeout_max: Duration,
    /// How often a leader sends heartbeats, and a candidate repeats its requests.
    pub heartbeat_interval: Duration,
    /// A leader of several nodes steps down when its disk has not finished a write, or has read
    /// nothing of the values that a peer needs, for this long: it is in contact, but makes no
    /// progress. It also steps down when for this long no phase-2 quorum with free space was in
    /// contact, and not every peer was. This is checked together with the quorum, so it may take up
    /// to two election timeouts longer. The value should be well above what a healthy disk needs
    /// under load, or a slow moment causes an election, and must not be below
    /// `election_timeout_max`, the interval of the check.
    ///
    /// A node that gave up leadership prefers others for at least four times this long, and after the
    /// third time in a row for sixteen times: it waits longer before it campaigns.
    pub write_stall_max: Duration,
    /// Bytes of values in one message; a larger value is sent alone.
    pub accept_bytes_max: usize,
    /// Number of values, or votes, in one message: at most [`Replicate::VALUES_MAX`], which is the
    /// default.
    pub accept_values_max: usize,
    /// Bytes of unacknowledged values sent to one peer, above which nothing more is sent. It may be
    /// exceeded by one message.
    pub inflight_bytes_max: usize,
    /// Unacknowledged messages with values sent to one peer.
    pub inflight_messages_max: usize,
    /// Bytes in the body of one proposal; a larger one is refused.
    pub value_bytes_max: usize,
    /// Bytes of a leader's proposals that are not yet both chosen and durable here.
    pub unchosen_bytes_max: usize,
    /// Bytes of chosen and durable values kept in memory for peers and for `Apply`.
    pub cache_bytes_max: usize,
    /// Accepted reads that were not yet answered.
    pub reads_max: usize,
    /// A number that is another one in each life of this node, as from a counter that the driver keeps on its
    /// disk. An answer that was meant for an earlier life is not taken for one to
    /// [`Paxos::read_by_quorum`](crate::Paxos::read_by_quorum). If that is never called, it does not matter.
    pub life: u64,
    /// How long the new acceptors of a change of membership may take to catch up, before the
    /// configuration is proposed. A change that takes longer ends by itself. What a new node has to
    /// receive first is a snapshot and what follows it.
    pub catch_up_max: Duration,
    /// How much this node is preferred as the leader, against the others: the higher, the more. It is
    /// no reason to be kept out, and no promise depends on it. A node that learns of a higher one, when
    /// it asks whether others miss a leader too, waits for one more election timeout, once. A leader
    /// hands over to a node of a higher one that is in contact, has space, a disk that is fast enough,
    /// and nearly all of the log: at the earliest 8 of the longest election timeouts after it was
    /// elected, or 64 after it was itself invited to lead. For so long
    /// [`Paxos::transfer`](crate::Paxos::transfer) to a node of a low priority holds. A node that gave
    /// up leadership for a cause is not preferred to any until that is forgiven.
    pub priority: u8,
    /// The leases of the group, by which its leader may answer reads without asking
    /// ([`Paxos::read_by_lease`](crate::Paxos::read_by_lease)). None, the default: no bound on the drift of
    /// clocks is set, and no lease is asked for or granted.
    ///
    /// With leases, a node that has promised anything before promises nothing to candidates, and does not
    /// campaign, for [`Lease::length`] after its start.
    pub lease: Option<Lease>,
}

impl Config {
    /// The priority that nodes have by default.
    pub const PRIORITY: u8 = 100;

    /// A node of a new group with these acceptors. The defaults: an election after 150 to 300 ms
    /// without contact, a heartbeat every 40 ms.
    #[must_use]
    pub fn new(id: NodeId, quorums: Quorums) -> Self {
        let first = Configuration::first(Membership::of(quorums));
        Self {
            first: Some(first),
            ..Self::joining(id)
        }
    }

    /// A node that waits to be added to a group, with the same defaults.
    #[must_use]
    pub fn joining(id: NodeId) -> Self {
        Self {
            id,
            first: None,
            seed: 0,
            election_timeout_min: Duration::from_millis(150),
            election_timeout_max: Duration::from_millis(300),
            heartbeat_interval: Duration::from_millis(40),
            write_stall_max: Duration::from_secs(3),
            accept_bytes_max: 1 << 20,
            accept_values_max: Replicate::VALUES_MAX,
            inflight_bytes_max: 8 << 20,
            inflight_messages_max: 256,
            value_bytes_max: 8 << 20,
            unchosen_bytes_max: 32 << 20,
            cache_bytes_max: 16 << 20,
            reads_max: 4096,
            life: 0,
            catch_up_max: Duration::from_secs(60),
            priority: Self::PRIORITY,
            lease: None,
        }
    }

    /// Checks that a node can run with this configuration. Quorums need no check: [`Quorums`] that
    /// do not intersect cannot be constructed.
    ///
    /// # Errors
    /// The first violated rule.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if let Some(first) = &self.first {
            first.validate()?;
            if !first.membership.contains(self.id) {
                return Err(ConfigError::NotAMember);
            }
        }
        if self.heartbeat_interval.is_zero() || self.heartbeat_interval >= self.election_timeout_min
        {
            return Err(ConfigError::HeartbeatInterval);
        }
        if self.election_timeout_min >= self.election_timeout_max
            || self.election_timeout_max > ELECTION_TIMEOUT_MAX
        {
            return Err(ConfigError::ElectionTimeout);
        }
        if self.write_stall_max < self.election_timeout_max {
            return Err(ConfigError::WriteStall);
        }
        let bounds = [
            self.accept_bytes_max,
            self.accept_values_max,
            self.inflight_bytes_max,
            self.inflight_messages_max,
            self.value_bytes_max,
            self.unchosen_bytes_max,
            self.reads_max,
        ];
        if bounds.contains(&0) {
            return Err(ConfigError::ZeroBound);
        }
        if self.accept_values_max > Replicate::VALUES_MAX {
            return Err(ConfigError::AcceptValues);
        }
        self.validate_lease()
    }

    fn validate_lease(&self) -> Result<(), ConfigError> {
        let Some(lease) = self.lease else {
            return Ok(());
        };
        if lease.length.is_zero() || lease.length > self.election_timeout_min {
            return Err(ConfigError::LeaseLength);
        }
        if lease.drift >= Drift::MAX {
            return Err(ConfigError::Drift);
        }
        Ok(())
    }
}

/// Why a [`Config`] was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The node must be a member of the first configuration, if that is given.
    #[error("this node is not among the members")]
    NotAMember,
    /// The first configuration breaks a rule.
    #[error(transparent)]
    Membership(#[from] MembershipError),
    /// It must be above zero and below the shortest election timeout.
    #[error("the heartbeat interval must be positive and below the election timeout")]
    HeartbeatInterval,
    /// The range must not be empty (equal timeouts let candidates preempt each other for ever) and
    /// end within an hour.
    #[error("the election timeouts must form a range of at most an hour")]
    ElectionTimeout,
    /// It must not be below the longest election timeout.
    #[error("write_stall_max is below the longest election timeout")]
    WriteStall,
    /// A bound of zero would stop the node.
    #[error("a bound is zero")]
    ZeroBound,
    /// More than [`Replicate::VALUES_MAX`]: no decoder would take it.
    #[error("more values per message than any node accepts")]
    AcceptValues,
    /// A longer lease would have to be waited for before an election.
    #[error("the lease must be positive and at most the shortest election timeout")]
    LeaseLength,
    /// See [`Drift::MAX`].
    #[error("a clock must drift by less than 10 %")]
    Drift,
}

const ELECTION_TIMEOUT_MAX: Duration = Duration::from_secs(3600);
