//! One life of a node: from one start of its process to the end of it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use synod_transport::{ClusterId, NodeId};
use synod_wal::Mark;

use crate::birth::Birth;

/// One life of a node, which a [`Node`](crate::Node) is started with.
///
/// Commands are known by the life that proposed them, and a name is applied once: a life that is lived
/// twice would have a new command answered with what an old one did. So there is no other way to one
/// than an [`Identity`](crate::Identity), which raises a counter on its disk first and gives it out
/// once; it cannot be copied.
///
/// ```compile_fail
/// # use synod_replica::{Life, NodeId};
/// let life = Life::ephemeral(NodeId(1));
/// let (first, second) = (life.clone(), life);
/// ```
pub struct Life {
    pub(crate) birth: Birth,
    pub(crate) incarnation: u64,
    /// Drawn at random: a copy of the disk counts its lives alike.
    pub(crate) nonce: u64,
    /// Mixed into the seeds of its groups. Without a directory none: such nodes are the same in each run.
    pub(crate) secret: u64,
    /// Keeps how far the log has come.
    pub(crate) keep: Option<Keep>,
}

pub(crate) type Keep = Arc<dyn Fn(Mark) -> io::Result<()> + Send + Sync>;

impl Life {
    /// A life without a directory, for tests and examples whose log ends with the process: the next
    /// process begins to count anew.
    #[must_use]
    pub fn ephemeral(node: NodeId) -> Self {
        static LIVES: AtomicU64 = AtomicU64::new(1);
        Self {
            birth: Birth::new(ClusterId(0), node),
            incarnation: LIVES.fetch_add(1, Ordering::Relaxed),
            nonce: 0,
            secret: 0,
            keep: None,
        }
    }

    /// Whose life it is.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.birth.node
    }

    /// How many lives that node has begun, with this one: higher than in any life before.
    #[must_use]
    pub const fn incarnation(&self) -> u64 {
        self.incarnation
    }
}

impl fmt::Debug for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Life")
            .field("birth", &self.birth)
            .field("incarnation", &self.incarnation)
            .finish_non_exhaustive()
    }
}
