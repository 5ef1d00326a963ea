//! The parts of a node that must agree with its identity, each made from it, so that none of what a
//! node knows of itself and of its peers is forgotten on the way.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use synod_transport::{Listen, NodeId, TcpConfig};
use synod_wal::{Disk, OpenError, Options, Wal};

use super::{Identity, IdentityError};
use crate::birth::Birth;

impl<D: Disk> Identity<D> {
    /// As [`load`](Self::load), with what is random drawn from the operating system.
    ///
    /// # Errors
    /// Those of [`load`](Self::load); [`IdentityError::Io`] when the system has no random numbers.
    pub fn open(disk: D, birth: &Birth) -> Result<Self, IdentityError> {
        // Drawn before the first file is made: a directory without them must not come to be.
        let mut bytes = [[0; 8]; DRAWS_MAX];
        for number in &mut bytes {
            getrandom::fill(number).map_err(io::Error::from)?;
        }
        let mut drawn = bytes.into_iter().map(u64::from_le_bytes);
        Self::load(disk, birth, || drawn.next().unwrap_or_default())
    }

    /// Opens the log that lies in the directory of this identity, or begins one. It must hold what was noted
    /// of it: with other means it opens as well, and what was lost is not missed.
    ///
    /// # Errors
    /// [`OpenError::Lost`] and [`OpenError::Another`] when it is not what was noted; the others as they say.
    pub fn open_log(&self, mut options: Options) -> Result<Wal<D>, OpenError> {
        options.least = self.log();
        Wal::open(self.0.disk.clone(), options)
    }

    /// A configuration of [`Tcp`](synod_transport::Tcp) that says of this node what it is, and
    /// [admits](Self::admit) and [doubts](Self::doubt) peers by what is known of them. `peers` may name this
    /// node too.
    pub fn tcp(&self, listen: impl Into<Listen>, peers: BTreeMap<NodeId, String>) -> TcpConfig {
        let mut config = TcpConfig::new(self.hello(), listen, peers);
        config.known = self.met();
        let identity = self.clone();
        config.admit = Arc::new(move |hello| identity.admit(hello));
        let identity = self.clone();
        config.doubt = Arc::new(move |hello| identity.doubt(hello));
        config
    }
}

/// What an incarnation draws at most: a disk id of two, a nonce, the secret of its elections.
const DRAWS_MAX: usize = 4;
