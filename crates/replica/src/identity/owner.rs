//! What a directory says of itself, read without beginning an incarnation.

use synod_transport::{ClusterId, NodeId};
use synod_wal::{Disk, OpenError, Options, Wal};

use super::IdentityError;
use super::file::{FILE, read};
use super::state::{State, unreadable};

/// The node that a data directory belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its id.
    pub node: NodeId,
    /// What its groups were founded on, as [`Birth::founding`](crate::Birth::founding) returns it.
    pub founding: String,
}

/// The node that a directory belongs to, or `None` if no node has run on it. Nothing is changed.
///
/// # Errors
/// If the identity is damaged, has another version, or cannot be read.
pub fn owner<D: Disk>(disk: &D) -> Result<Option<Owner>, IdentityError> {
    Ok(state(disk)?.map(|state| Owner {
        cluster: state.cluster,
        node: state.node,
        founding: state.founding,
    }))
}

/// Opens the log of a directory without beginning an incarnation; it must have reached its mark.
pub(crate) fn log_of<D: Disk>(disk: D, mut options: Options) -> Result<Wal<D>, LogOfError> {
    let state = state(&disk)?.ok_or(LogOfError::Unborn)?;
    options.least = state.log;
    Ok(Wal::open(disk, options)?)
}

/// Why the log of a directory was not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogOfError {
    #[error("no node has run on this directory")]
    Unborn,
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Log(#[from] OpenError),
}

fn state<D: Disk>(disk: &D) -> Result<Option<State>, IdentityError> {
    // Opening the file would create it.
    if !disk.list()?.iter().any(|name| name == FILE) {
        return Ok(None);
    }
    let bytes = read(disk)?;
    State::decode(&bytes)
        .map(Some)
        .ok_or_else(|| unreadable(&bytes))
}
