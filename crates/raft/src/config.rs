use alloc::collections::BTreeSet;
use core::time::Duration;

use crate::{Drift, Lease, Membership, NodeId, Replicate};

/// The configuration of a node. The name of each bound states its unit.
///
/// ```
/// use synod_raft::{Config, NodeId};
///
/// let mut config = Config::new(NodeId(1), [NodeId(1), NodeId(2), NodeId(3)]);
/// config.seed = 42;
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// The id of this node.
    pub id: NodeId,
    /// The voters with which the group began, the same on all nodes; they count until the log or a
    /// snapshot names others. A node that joins later is not among them, and may leave them out: it
    /// follows whoever leads, and does not campaign before its log names it.
    pub voters: BTreeSet<NodeId>,
    /// Those of `voters` that are [witnesses](crate::Membership::is_witness), the same on all nodes.
    pub witnesses: BTreeSet<NodeId>,
    /// Whether this node joins as a witness, and so never stores commands; the same at each of its starts.
    ///
    /// What it pulls as a snapshot cannot say so. Without this setting a node whose addition as a witness
    /// was lost with its leader could be added again as a voter with the whole log.
    pub joins_as_witness: bool,
    /// Seed of the generator that randomizes election timeouts. Nodes may share it.
    pub seed: u64,
    /// Lower bound of the election timeout, inclusive. Each timeout is drawn at random.
    pub election_timeout_min: Duration,
    /// Upper bound of the election timeout, exclusive. Also how long a leader stays leader without
    /// contact with a quorum.
    pub election_timeout_max: Duration,
    /// How often a leader sends heartbeats.
    pub heartbeat_interval: Duration,
    /// Ask peers before campaigning, so that a node that was away does not raise the term (thesis
    /// §9.6).
    pub pre_vote: bool,
    /// A leader without contact with a quorum steps down, and a node in contact with a leader
    /// grants no vote (thesis §4.2.3, §6.2). This is one switch because the second without the
    /// first could leave the cluster of a dead leader without a new one.
    pub check_quorum: bool,
    /// With `check_quorum`, a leader of several nodes steps down when its disk has not finished a
    /// write, or has read nothing of the entries that a peer needs, for this long: it is in
    /// contact, but makes no progress. It also steps down when for this long no quorum with free
    /// space was in contact, and not every peer was. This is checked together with the quorum, so
    /// it may take up to two election timeouts longer, and a third in which it hands over to a node
    /// that can do better, if it knows one. The value should be well above what a
    /// healthy disk needs under load, or a slow moment causes an election, and must not be below
    /// `election_timeout_max`, the interval of the check.
    ///
    /// A node that gave up leadership prefers others for at least four times this long, and after the
    /// third time in a row for sixteen times: it waits longer before it campaigns.
    pub write_stall_max: Duration,
    /// Bytes of entries in one append; a larger entry is sent alone. Entries that are proposed
    /// together are stored in runs of at most this size, see [`Entries`](crate::Entries).
    pub append_bytes_max: usize,
    /// Number of entries in one append: at most [`Replicate::ENTRIES_MAX`], which is the default.
    pub append_entries_max: usize,
    /// Bytes of unacknowledged entries sent to one peer, above which nothing more is sent. It may
    /// be exceeded by one append.
    pub inflight_bytes_max: usize,
    /// Unacknowledged appends sent to one peer.
    pub inflight_messages_max: usize,
    /// Bytes in the body of one proposal; a larger one is refused.
    pub entry_bytes_max: usize,
    /// Bytes of a leader's proposals that are not yet both committed and durable here. They are
    /// counted by run: entries that were proposed together count until the last of them is.
    pub uncommitted_bytes_max: usize,
    /// Bytes of durable entries kept in memory for peers and for `Apply`. Entries that were
    /// proposed or received together (a run) are evicted together.
    pub cache_bytes_max: usize,
    /// Accepted reads that were not yet answered.
    pub reads_max: usize,
    /// How long a leader waits for new voters to catch up with its log before it gives up the change
    /// of membership (thesis §4.2.1). Must not be below `election_timeout_max`.
    pub catch_up_max: Duration,
    /// Reads by lease: how long a lease lasts, and the bound on the clocks. Without it no lease is asked
    /// for or granted. The setting is the group's; [`Lease`] describes how it may be changed.
    pub lease: Option<Lease>,
    /// How much this node is preferred as a leader; higher is preferred, and equal values prefer nobody.
    ///
    /// It is a preference and never a condition: no vote is refused for it, and a node that is the only
    /// one to be elected leads whatever its priority is (raft-rs refuses votes by priority, issue 511).
    /// It ranks nodes where a leader chooses to whom it hands over, and has two effects of its own:
    /// - With `pre_vote`, a node that would be elected, and learns from the answers that a node of
    ///   higher priority is there, waits for one more election timeout, once an election.
    /// - A leader hands over to a voter of higher priority that it hears, that has space and a disk
    ///   fast enough, and that lacks little: a [`transfer`](crate::Raft::transfer) of its own accord. It
    ///   does not do so before it has led for 8 of the longest election timeouts, nor during a change of
    ///   membership. An attempt that leads to nothing is repeated after 8, 16, 32, and then every 64.
    ///
    /// A node that gave up leadership for a cause is not preferred until that is forgiven. One that gives
    /// up each time it leads gets leadership back each time that it is forgiven. Who leads because a
    /// leader handed over to it keeps leadership for at least 64 of the longest election timeouts (19 s
    /// at the defaults): a transfer that somebody asked for is not taken back at once.
    pub priority: u8,
}

impl Config {
    /// The default [`priority`](Self::priority), the same for all. It leaves room on both sides.
    pub const PRIORITY: u8 = 100;

    /// The defaults: an election after 150 to 300 ms without contact, a heartbeat every 40 ms,
    /// pre-vote and check-quorum on, no leases.
    #[must_use]
    pub fn new(id: NodeId, voters: impl IntoIterator<Item = NodeId>) -> Self {
        Self {
            id,
            voters: voters.into_iter().collect(),
            witnesses: BTreeSet::new(),
            joins_as_witness: false,
            seed: 0,
            election_timeout_min: Duration::from_millis(150),
            election_timeout_max: Duration::from_millis(300),
            heartbeat_interval: Duration::from_millis(40),
            pre_vote: true,
            check_quorum: true,
            write_stall_max: Duration::from_secs(3),
            append_bytes_max: 1 << 20,
            append_entries_max: Replicate::ENTRIES_MAX,
            inflight_bytes_max: 8 << 20,
            inflight_messages_max: 256,
            entry_bytes_max: 8 << 20,
            uncommitted_bytes_max: 32 << 20,
            cache_bytes_max: 16 << 20,
            reads_max: 4096,
            catch_up_max: Duration::from_secs(300),
            lease: None,
            priority: Self::PRIORITY,
        }
    }

    /// Checks that a node can run with this configuration.
    ///
    /// # Errors
    /// The first violated rule.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if self.voters.len() > Membership::NODES_MAX {
            return Err(ConfigError::TooManyVoters);
        }
        let first = Membership {
            witnesses: self.witnesses.clone(),
            ..Membership::of_voters(self.voters.iter().copied())
        };
        if first.validate().is_err() {
            return Err(ConfigError::Witnesses);
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
        if self.catch_up_max < self.election_timeout_max {
            return Err(ConfigError::CatchUp);
        }
        if let Some(lease) = self.lease {
            if lease.length.is_zero() || lease.length > self.election_timeout_min {
                return Err(ConfigError::LeaseLength);
            }
            if lease.drift >= Drift::MAX {
                return Err(ConfigError::Drift);
            }
        }
        let bounds = [
            self.append_bytes_max,
            self.append_entries_max,
            self.inflight_bytes_max,
            self.inflight_messages_max,
            self.entry_bytes_max,
            self.uncommitted_bytes_max,
            self.reads_max,
        ];
        if bounds.contains(&0) {
            return Err(ConfigError::ZeroBound);
        }
        if self.append_entries_max > Replicate::ENTRIES_MAX {
            return Err(ConfigError::AppendEntries);
        }
        Ok(())
    }
}

/// Why a [`Config`] was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// More than [`Membership::NODES_MAX`](crate::Membership::NODES_MAX).
    #[error("more voters than a membership allows")]
    TooManyVoters,
    /// They must be voters, and fewer than half of them.
    #[error("witnesses must be voters, and fewer than half of them")]
    Witnesses,
    /// It must be above zero and below the shortest election timeout.
    #[error("the heartbeat interval must be positive and below the election timeout")]
    HeartbeatInterval,
    /// The range must not be empty (equal timeouts split votes for ever) and end within an hour.
    #[error("the election timeouts must form a range of at most an hour")]
    ElectionTimeout,
    /// It must not be below the longest election timeout.
    #[error("write_stall_max is below the longest election timeout")]
    WriteStall,
    /// It must not be below the longest election timeout.
    #[error("catch_up_max is below the longest election timeout")]
    CatchUp,
    /// It must be positive and not above the shortest election timeout.
    #[error("a lease must be positive and not above the shortest election timeout")]
    LeaseLength,
    /// It must be below [`Drift::MAX`].
    #[error("clocks that drift by a tenth or more give no lease")]
    Drift,
    /// A bound of zero would stop the node.
    #[error("a bound is zero")]
    ZeroBound,
    /// More than [`Replicate::ENTRIES_MAX`]: no decoder would take it.
    #[error("more entries per append than any node accepts")]
    AppendEntries,
}

const ELECTION_TIMEOUT_MAX: Duration = Duration::from_secs(3600);
