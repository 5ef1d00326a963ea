//! Builds the parts of a node from its identity, so that they agree with it and with what the node
//! knows of its peers.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use synod_transport::{Listen, NodeId, TcpConfig};
use synod_wal::{Disk, OpenError, Options, Wal};

use super::{Identity, IdentityError};
use crate::birth::Birth;

impl<D: Disk> Identity<D> {
    /// Like [`load`](Self::load), with random numbers from the operating system.
    ///
    /// # Errors
    /// Those of [`load`](Self::load), and [`IdentityError::Io`] if the system provides no random
    /// numbers.
    pub fn open(disk: D, birth: &Birth) -> Result<Self, IdentityError> {
        // Drawn before the first file is created: no directory may be created without them.
        let mut bytes = [[0; 8]; DRAWS_MAX];
        for number in &mut bytes {
            getrandom::fill(number).map_err(io::Error::from)?;
        }
        let mut drawn = bytes.into_iter().map(u64::from_le_bytes);
        Self::load(disk, birth, || drawn.next().unwrap_or_default())
    }

    /// Opens the log in the directory of this identity, or creates one. It must have reached the
    /// recorded mark; a log that is opened in another way does not notice what was lost.
    ///
    /// # Errors
    /// [`OpenError::Lost`] and [`OpenError::Another`] if the log does not match its mark; the
    /// others as documented there.
    pub fn open_log(&self, mut options: Options) -> Result<Wal<D>, OpenError> {
        options.least = self.log();
        Wal::open(self.0.disk.clone(), options)
    }

    /// A configuration of [`Tcp`](synod_transport::Tcp) that sends this node's hello, and
    /// [admits](Self::admit) and [notes rollbacks of](Self::note_rollback) peers by this identity. `peers` may include
    /// this node.
    pub fn tcp(&self, listen: impl Into<Listen>, peers: BTreeMap<NodeId, String>) -> TcpConfig {
        let mut config = TcpConfig::new(self.hello(), listen, peers);
        config.known = self.met();
        let identity = self.clone();
        config.admit = Arc::new(move |hello| identity.admit(hello));
        let identity = self.clone();
        config.on_rollback = Arc::new(move |hello| identity.note_rollback(hello));
        config
    }
}

/// The most numbers an incarnation draws: two for a disk id, a nonce, and the secret of its
/// elections.
const DRAWS_MAX: usize = 4;
