//! An incarnation of a node: one run of its process, from start to end.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use synod_transport::{Hello, NodeId};
use synod_wal::{GroupId, Mark};

use crate::birth::Birth;

/// One incarnation of a node, with which a [`Node`](crate::Node) is started.
///
/// Commands are named by the incarnation that proposed them, and each name is applied once. If an
/// incarnation were used twice, a new command could be answered with the result of an old one. So
/// an incarnation comes from an [`Identity`](crate::Identity), which durably raises a counter first
/// and gives it out once, and it cannot be cloned.
///
/// ```compile_fail
/// # use synod_replica::{Incarnation, NodeId};
/// let incarnation = Incarnation::ephemeral(NodeId(1));
/// let (first, second) = (incarnation.clone(), incarnation);
/// ```
pub struct Incarnation {
    pub(crate) node: NodeId,
    pub(crate) number: u64,
    /// Random, so that the incarnations of two copies of a disk differ although their numbers are
    /// equal.
    pub(crate) nonce: u64,
    /// Mixed into the random seeds of the node's groups; 0 without a directory.
    pub(crate) secret: u64,
    /// What the data directory knows; `None` for an ephemeral incarnation.
    pub(crate) born: Option<Born>,
}

/// What the data directory knows at the start of an incarnation.
pub(crate) struct Born {
    pub(crate) birth: Birth,
    /// The hello that the transport must send.
    pub(crate) hello: Hello,
    /// The mark that the log must have reached, if a log was begun.
    pub(crate) log: Option<Mark>,
    /// Records the log's mark in the directory.
    pub(crate) keep: Keep,
    /// Whether the directory was founded on a group already.
    pub(crate) is_founded: Arc<dyn Fn(GroupId) -> bool + Send + Sync>,
    /// Durably records that the directory is founded on a group.
    pub(crate) found: Arc<dyn Fn(GroupId) -> io::Result<()> + Send + Sync>,
}

pub(crate) type Keep = Arc<dyn Fn(Mark) -> io::Result<()> + Send + Sync>;

impl Incarnation {
    /// Makes an incarnation without a data directory, for tests and examples whose log ends with
    /// the node. Its number restarts with the process, so a node with it opens no group of which
    /// its log holds anything ([`OpenGroupError::Ephemeral`](crate::OpenGroupError::Ephemeral)).
    /// The names of its commands begin at a random number, so that peers that knew another such
    /// incarnation of this node do not confuse the two.
    #[must_use]
    pub fn ephemeral(node: NodeId) -> Self {
        static INCARNATIONS: AtomicU64 = AtomicU64::new(1);
        Self {
            node,
            number: INCARNATIONS.fetch_add(1, Ordering::Relaxed),
            // Keyed by the operating system's random number generator.
            nonce: RandomState::new().build_hasher().finish(),
            secret: 0,
            born: None,
        }
    }

    /// The node that this is an incarnation of.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// The incarnation's number: how many the node has begun, this one included. It rises with
    /// each.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incarnation")
            .field("node", &self.node)
            .field("number", &self.number)
            .field("birth", &self.born.as_ref().map(|born| &born.birth))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another process counts the same numbers, so only the nonce distinguishes the names of their
    /// commands.
    #[test]
    fn ephemeral_lives_that_count_alike_name_their_commands_by_other_numbers() {
        let begin_at = |_| Incarnation::ephemeral(NodeId(1)).nonce >> 1;
        let mut drawn: Vec<u64> = (0..100).map(begin_at).collect();
        drawn.sort_unstable();
        let near = drawn.windows(2).filter(|two| two[1] - two[0] < 1 << 32);
        assert_eq!(near.count(), 0, "they would meet: {drawn:?}");
    }
}
