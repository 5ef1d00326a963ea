use alloc::collections::BTreeSet;
use core::time::Duration;

use crate::{NodeId, Replicate};

/// What a node is told at its start. Every bound is in the unit that its name says.
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
    /// This node.
    pub id: NodeId,
    /// All voters, this node among them.
    pub voters: BTreeSet<NodeId>,
    /// Seed of the generator that spreads election timeouts. Nodes may share it.
    pub seed: u64,
    /// An election timeout is drawn anew from this ..
    pub election_timeout_min: Duration,
    /// .. up to this, exclusive. It is also how long a leader leads without hearing a quorum.
    pub election_timeout_max: Duration,
    /// How often a leader makes itself heard.
    pub heartbeat_interval: Duration,
    /// Ask before campaigning, so that a node that was away does not raise the term (thesis §9.6).
    pub pre_vote: bool,
    /// A leader that does not hear a quorum steps down, and a node that hears a leader gives no
    /// vote (thesis §4.2.3, §6.2). One switch, because the second without the first can keep a
    /// dead leader's cluster without a new one.
    pub check_quorum: bool,
    /// With `check_quorum`, a leader of others whose disk has not finished one write, or has read
    /// nothing of what a peer needs, for this long steps down: it is heard, and gets nowhere. So does
    /// one that for this long hears no quorum with space, and does not hear all. Seen when a quorum is
    /// checked, so up to two election timeouts late. Well above what a healthy disk needs under load,
    /// else a slow moment costs an election; and not below `election_timeout_max`, the pace at which
    /// it is looked at.
    pub write_stall_max: Duration,
    /// Bytes of entries in one append; an entry that is larger goes alone. What is proposed together is
    /// kept in runs of as much, see [`Entries`](crate::Entries).
    pub append_bytes_max: usize,
    /// Entries in one append: at most [`Replicate::ENTRIES_MAX`], which is the default.
    pub append_entries_max: usize,
    /// Bytes of entries sent to one peer and not acknowledged, beyond which nothing more is sent:
    /// it is passed by one append at most.
    pub inflight_bytes_max: usize,
    /// Appends sent to one peer and not acknowledged.
    pub inflight_messages_max: usize,
    /// Bytes in the body of one proposal; a larger one is refused.
    pub entry_bytes_max: usize,
    /// Bytes of a leader's proposals that are not yet both committed and durable here. They are counted
    /// by run: what was proposed together counts until the last of it is.
    pub uncommitted_bytes_max: usize,
    /// Bytes of durable entries kept in memory for peers and for `Apply`. They leave it by run, as they
    /// were proposed or received together.
    pub cache_bytes_max: usize,
    /// Reads accepted and not yet answered.
    pub reads_max: usize,
}

impl Config {
    /// The defaults: election after 150 to 300 ms of silence, heartbeats each 40 ms, pre-vote and
    /// check-quorum on.
    #[must_use]
    pub fn new(id: NodeId, voters: impl IntoIterator<Item = NodeId>) -> Self {
        Self {
            id,
            voters: voters.into_iter().collect(),
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
        }
    }

    /// Whether a node can run with this.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !self.voters.contains(&self.id) {
            return Err(ConfigError::NotAVoter);
        }
        if self.voters.len() > crate::Membership::NODES_MAX {
            return Err(ConfigError::TooManyVoters);
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
    /// The node must be one of the voters.
    #[error("this node is not among the voters")]
    NotAVoter,
    /// More than [`Membership::NODES_MAX`](crate::Membership::NODES_MAX).
    #[error("more voters than a membership may have")]
    TooManyVoters,
    /// It must be above zero and below the shortest election timeout.
    #[error("the heartbeat interval must be positive and below the election timeout")]
    HeartbeatInterval,
    /// The range must not be empty (equal timeouts split votes for ever) and end within an hour.
    #[error("the election timeouts must form a range of at most an hour")]
    ElectionTimeout,
    /// It must not be below the longest election timeout.
    #[error("a write counts as stalled before an election timeout has passed")]
    WriteStall,
    /// A bound of zero would stop the node.
    #[error("a bound is zero")]
    ZeroBound,
    /// More than [`Replicate::ENTRIES_MAX`]: no decoder would take it.
    #[error("more entries in an append than any node takes")]
    AppendEntries,
}

const ELECTION_TIMEOUT_MAX: Duration = Duration::from_secs(3600);
