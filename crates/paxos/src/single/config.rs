use core::time::Duration;

use crate::{NodeId, Quorums};

/// What a [`Synod`](super::Synod) node is told at its start.
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
    /// This node, one of the acceptors.
    pub id: NodeId,
    /// The acceptors, which are the nodes, and their quorums. The same on each node.
    pub quorums: Quorums,
    /// Of the generator that spreads retries. Nodes may share it.
    pub seed: u64,
    /// A ballot that led to nothing is followed by the next after at least this long, which should
    /// be time enough for two round trips and three writes ..
    pub retry_min: Duration,
    /// .. and less than this.
    pub retry_max: Duration,
}

/// Why a node cannot start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Each node is one of the acceptors.
    #[error("{id} is no acceptor")]
    NoAcceptor {
        /// The node.
        id: NodeId,
    },
    /// It must hold that 0 < `retry_min` < `retry_max`.
    #[error("there is no time between retry_min and retry_max")]
    Retry,
}

impl Config {
    /// The next ballot after 50 to 100 ms, up to a second after many.
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

    /// Whether a node can start with it.
    ///
    /// # Errors
    /// The first rule that is broken.
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
