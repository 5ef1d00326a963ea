use core::time::Duration;

use crate::{NodeId, Quorums};

/// The configuration of a [`Synod`](super::Synod) node.
///
/// ```
/// use core::time::Duration;
/// use synod_paxos::{NodeId, Quorums, single::Config};
///
/// let quorums = Quorums::majority([1, 2, 3].map(NodeId)).unwrap();
/// let mut config = Config::new(NodeId(1), quorums);
/// config.seed = 42;
/// config.retry_min = Duration::from_millis(5);
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Config {
    /// The id of this node, which must be one of the acceptors.
    pub id: NodeId,
    /// The acceptors, which are all nodes, and their quorums. Must be the same on every node.
    pub quorums: Quorums,
    /// Seed of the generator that randomizes retries. Nodes may share it.
    pub seed: u64,
    /// Lower bound of the time before the next ballot, if one led to nothing. Should be enough for
    /// two round trips and three writes.
    pub retry_min: Duration,
    /// Upper bound of that time, exclusive.
    pub retry_max: Duration,
}

/// Why a node cannot start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Each node must be one of the acceptors.
    #[error("{id} is not an acceptor")]
    NoAcceptor {
        /// The id of this node.
        id: NodeId,
    },
    /// 0 < `retry_min` < `retry_max` must hold.
    #[error("retry_min must be positive and below retry_max")]
    Retry,
}

impl Config {
    /// The defaults: the next ballot after 50 to 100 ms, up to a second after many.
    #[must_use]
    pub fn new(id: NodeId, quorums: Quorums) -> Self {
        Self {
            id,
            quorums,
            seed: 0,
            retry_min: Duration::from_millis(50),
            retry_max: Duration::from_secs(1),
        }
    }

    /// Checks that a node can run with this configuration.
    ///
    /// # Errors
    /// The first violated rule.
    pub fn validate(&self) -> Result<(), ConfigError> {
        if !self.quorums.contains(self.id) {
            return Err(ConfigError::NoAcceptor { id: self.id });
        }
        if self.retry_min.is_zero() || self.retry_min >= self.retry_max {
            return Err(ConfigError::Retry);
        }
        Ok(())
    }
}
