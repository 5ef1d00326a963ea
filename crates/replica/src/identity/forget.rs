//! Forgetting a peer: what an operator does after replacing a peer's disk on purpose.

use std::fmt;

use synod_transport::{DiskId, NodeId};
use synod_wal::Disk;

use super::IdentityError;
use super::file::{FILE, Written, read};
use super::state::{State, unreadable};

/// What a node knew of a peer that it has forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// The node whose directory it is.
    pub node: NodeId,
    /// The forgotten peer.
    pub peer: NodeId,
    /// The disk that the peer was met on.
    pub disk: DiskId,
    /// The number of the last incarnation in which the peer was met.
    pub boot: u64,
}

impl fmt::Display for Forgotten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (node, peer, disk, boot) = (self.node.0, self.peer.0, self.disk.0, self.boot);
        write!(
            f,
            "node {node} has forgotten node {peer}, which it knew by disk {disk:032x}, incarnation {boot}: the first \
             to connect as node {peer} is accepted as such from then on"
        )
    }
}

/// Why a peer was not forgotten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForgetError {
    /// The directory holds no identity.
    #[error("no node has run on this directory")]
    Unborn,
    /// The node has not met that peer.
    #[error("node {} has not met node {}{}", node.0, peer.0, Known(known))]
    Unknown {
        /// The node whose directory it is.
        node: NodeId,
        /// The peer that was to be forgotten.
        peer: NodeId,
        /// The peers that it has met.
        known: Vec<NodeId>,
    },
    /// The identity is damaged, has another version, or cannot be read or stored.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Durably removes what the node of a directory knows of a peer: the disk and incarnation that it
/// was met in, by which other disks and earlier incarnations are refused, and whether that disk is
/// in doubt. The directory must not be in use: a running node would keep what it knows in memory,
/// and could store nothing more.
///
/// Whatever the peer promised on its old disk is lost with that disk. Accepting another disk for it
/// may lose acknowledged data, so this is a decision for an operator, made for each node
/// separately.
///
/// # Errors
/// [`ForgetError`]; then nothing has changed.
pub fn forget<D: Disk>(disk: &D, peer: NodeId) -> Result<Forgotten, ForgetError> {
    let names = disk.list().map_err(IdentityError::Io)?;
    if !names.iter().any(|name| name == FILE) {
        return Err(ForgetError::Unborn);
    }
    let bytes = read(disk)?;
    let mut state = State::decode(&bytes).ok_or_else(|| unreadable(&bytes))?;
    let node = state.node;
    let mut written = Written::new(state.clone());
    let Some(pin) = state.peers.remove(&peer) else {
        let known = state.peers.into_keys().collect();
        return Err(ForgetError::Unknown { node, peer, known });
    };
    written.replace(disk, &state).map_err(IdentityError::Io)?;
    Ok(Forgotten {
        node,
        peer,
        disk: pin.disk,
        boot: pin.incarnation.boot,
    })
}

/// Lists the known peers at the end of the error text.
struct Known<'a>(&'a [NodeId]);

impl fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, node) in self.0.iter().enumerate() {
            let before = if at == 0 { ", only " } else { " and " };
            write!(f, "{before}{}", node.0)?;
        }
        Ok(())
    }
}
