//! One incarnation of a node: from one start of its process to the end of it.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use synod_transport::{Hello, NodeId};
use synod_wal::{GroupId, Mark};

use crate::birth::Birth;

/// One incarnation of a node, which a [`Node`](crate::Node) is started with.
///
/// Commands are known by the incarnation that proposed them, and a name is applied once: an incarnation that is lived
/// twice would have a new command answered with what an old one did. So there is no other way to one
/// than an [`Identity`](crate::Identity), which raises a counter on its disk first and gives it out
/// once; it cannot be copied.
///
/// ```compile_fail
/// # use synod_replica::{Incarnation, NodeId};
/// let incarnation = Incarnation::ephemeral(NodeId(1));
/// let (first, second) = (incarnation.clone(), incarnation);
/// ```
pub struct Incarnation {
    pub(crate) node: NodeId,
    pub(crate) number: u64,
    /// Drawn at random: a copy of the disk counts its incarnations alike.
    pub(crate) nonce: u64,
    /// Mixed into the seeds of its groups. Without a directory none.
    pub(crate) secret: u64,
    /// What its directory knows; of an ephemeral incarnation nothing.
    pub(crate) born: Option<Born>,
}

/// What the directory of an incarnation knows of it.
pub(crate) struct Born {
    pub(crate) birth: Birth,
    /// What the transport must say.
    pub(crate) hello: Hello,
    /// What the log must hold, if one was begun.
    pub(crate) log: Option<Mark>,
    /// Keeps how far the log has come.
    pub(crate) keep: Keep,
    /// Whether the directory was founded on a group already.
    pub(crate) is_founded: Arc<dyn Fn(GroupId) -> bool + Send + Sync>,
    /// Makes durable that it is founded on one.
    pub(crate) found: Arc<dyn Fn(GroupId) -> io::Result<()> + Send + Sync>,
}

pub(crate) type Keep = Arc<dyn Fn(Mark) -> io::Result<()> + Send + Sync>;

impl Incarnation {
    /// An incarnation without a directory, for tests and examples whose log ends with the node. The next process
    /// begins to count anew, so it opens no group of which its log holds anything
    /// ([`OpenGroupError::Ephemeral`](crate::OpenGroupError::Ephemeral)); and what it names its commands by
    /// is drawn, so that not even peers that knew another such incarnation of this node take the one's for the
    /// other's.
    #[must_use]
    pub fn ephemeral(node: NodeId) -> Self {
        static INCARNATIONS: AtomicU64 = AtomicU64::new(1);
        Self {
            node,
            number: INCARNATIONS.fetch_add(1, Ordering::Relaxed),
            // Keyed by the operating system's random numbers.
            nonce: RandomState::new().build_hasher().finish(),
            secret: 0,
            born: None,
        }
    }

    /// Whose incarnation it is.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// How many incarnations that node has begun, with this one: higher than in any incarnation before.
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

    /// Another process counts its incarnations alike, so that the names of their commands are told apart by the
    /// nonce alone.
    #[test]
    fn ephemeral_lives_that_count_alike_name_their_commands_by_other_numbers() {
        let begin_at = |_| Incarnation::ephemeral(NodeId(1)).nonce >> 1;
        let mut drawn: Vec<u64> = (0..100).map(begin_at).collect();
        drawn.sort_unstable();
        let near = drawn.windows(2).filter(|two| two[1] - two[0] < 1 << 32);
        assert_eq!(near.count(), 0, "they would meet: {drawn:?}");
    }
}
