//! `kv identity forget`: a peer whose disk was replaced on purpose is to be met anew.

use std::path::PathBuf;

use synod_replica::{ForgetError, Forgotten, NodeId};
use synod_wal::{Directory, DirectoryError};

/// Forget a peer, so that it is met anew
///
/// A node knows each peer by the disk that it was first met on, and refuses another disk under the same number: what
/// the peer promised on the old one is lost with it. If that disk was replaced on purpose, and all other nodes are up
/// and none of them is behind their leader, stop this node, let it forget the peer, and start it again; and so each of
/// the others, one after the other.
#[derive(Clone, Debug, clap::Args)]
pub struct ForgetOptions {
    /// The number of the peer to forget
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(u64).range(1..))]
    pub node: u64,
    /// The data directory of the node that is to forget it, which must not run
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
}

/// Why nothing was forgotten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForgetPeerError {
    /// There is no such directory. It is not made.
    #[error("{} is no directory", .0.display())]
    Absent(PathBuf),
    /// It is in use.
    #[error("{0}: stop its node first")]
    InUse(DirectoryError),
    /// It cannot be used.
    #[error(transparent)]
    Directory(DirectoryError),
    /// It holds no node that has met that peer, or cannot be read or stored.
    #[error("{}: {error}", directory.display())]
    Forget {
        /// The directory.
        directory: PathBuf,
        /// The reason.
        error: ForgetError,
    },
}

/// Forgets a peer, durably.
///
/// # Errors
/// [`ForgetPeerError`]
pub fn forget(options: &ForgetOptions) -> Result<Forgotten, ForgetPeerError> {
    if !options.data.is_dir() {
        return Err(ForgetPeerError::Absent(options.data.clone()));
    }
    let directory = Directory::open(&options.data).map_err(|error| match error {
        DirectoryError::Locked { .. } => ForgetPeerError::InUse(error),
        other => ForgetPeerError::Directory(other),
    })?;
    synod_replica::forget(&directory, NodeId(options.node)).map_err(|error| {
        let directory = options.data.clone();
        ForgetPeerError::Forget { directory, error }
    })
}
