//! A peer that is to be met anew: what an operator does who has replaced its disk, and knows it.

use std::fmt;

use synod_transport::{DiskId, NodeId};
use synod_wal::Disk;

use super::IdentityError;
use super::file::{FILE, Written, read};
use super::state::{State, unreadable};

/// What a node knew of a peer that it has forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// Whose directory it is.
    pub node: NodeId,
    /// Whom it has forgotten.
    pub peer: NodeId,
    /// The disk that the peer was met on.
    pub disk: DiskId,
    /// The last incarnation of the peer that was met, by its number.
    pub boot: u64,
}

impl fmt::Display for Forgotten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (node, peer, disk, boot) = (self.node.0, self.peer.0, self.disk.0, self.boot);
        write!(
            f,
            "node {node} has forgotten node {peer}, which it knew by disk {disk:032x}, incarnation {boot}: whoever \
             comes as node {peer} first is it from then on"
        )
    }
}

/// Why nothing was forgotten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForgetError {
    /// There is no identity in the directory.
    #[error("no node has run on this directory")]
    Unborn,
    /// The node has not met that peer.
    #[error("node {} has not met node {}{}", node.0, peer.0, Known(known))]
    Unknown {
        /// Whose directory it is.
        node: NodeId,
        /// Whom it was to forget.
        peer: NodeId,
        /// Whom it has met.
        known: Vec<NodeId>,
    },
    /// The identity is damaged or of another version, or cannot be read or stored.
    #[error(transparent)]
    Identity(#[from] IdentityError),
}

/// Lets the node of a directory forget durably what it knows of a peer: the disk and the incarnation that it was
/// met in, by which another disk and an earlier incarnation are refused, and whether that disk is in doubt. The
/// directory must not be in use: what its node knows in memory would still count for it, and it could store
/// nothing more.
///
/// What the peer promised on its old disk is lost with that disk. To take another one for it may cost what
/// was acknowledged, so this is for an operator to decide, and for each node alone.
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

/// The tail of a sentence.
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
