//! A data directory that begins with a state, such as a restored backup, instead of an empty one.
//!
//! Every founder of a group must begin with the same state: one that begins empty would form a
//! majority with others like it, and the state would be lost. Nothing here can check that for the
//! whole group.

use std::collections::BTreeMap;
use std::io;

use synod_wal::{Disk, GroupId, Op, OpenError, Options, SnapshotError, SyncError};

use crate::applier::encode_names;
use crate::birth::Birth;
use crate::identity::{Identity, IdentityError};
use crate::machine::StateMachine;
use crate::protocol::{Configured, Protocol, RecoverError, Seed};

/// Why a directory was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// The directory holds a file already.
    #[error("the directory is not empty: it holds {0}")]
    NotEmpty(String),
    /// The configuration is invalid.
    #[error(transparent)]
    Config(#[from] RecoverError),
    /// The identity cannot be stored.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The log cannot be created.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The log cannot be written.
    #[error(transparent)]
    Append(#[from] synod_wal::AppendError),
    /// The log cannot be synced.
    #[error(transparent)]
    Sync(#[from] SyncError),
    /// The state cannot be written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The disk failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Makes an empty directory that of a node whose `group` begins with this state, before its first
/// start. Other groups of `birth` begin empty. No names of proposals are brought: those of another
/// group would let new commands be taken for old ones.
///
/// The directory is complete only when this returns. One that was left half made must be removed.
///
/// # Errors
/// [`SeedError`]
pub fn seed<D: Disk, C: Configured, S: StateMachine>(
    disk: D,
    birth: &Birth,
    options: Options,
    (group, config): (GroupId, C),
    machine: &S,
) -> Result<(), SeedError> {
    if let Some(file) = disk.list()?.into_iter().next() {
        return Err(SeedError::NotEmpty(file));
    }
    let Seed { state, snapshot } = C::Protocol::seed(config)?;
    let identity = Identity::open(disk, birth)?;
    let mut log = identity.open_log(options)?;
    let mut frozen = Some(machine.freeze());
    log.snapshots().create(group, &snapshot, &mut |to| {
        to.write_all(&encode_names(&BTreeMap::new()))?;
        match frozen.take() {
            Some(frozen) => S::write(frozen, to),
            None => Err(io::ErrorKind::Other.into()),
        }
    })?;
    let (after, tag) = (snapshot.index, snapshot.tag);
    let ops = [Op::State(state), Op::Start { after, tag }];
    log.append(group, &mut ops.into_iter())?;
    log.sync()?;
    // From now on a directory that lost any of its files does not open.
    identity.note_log(log.mark())?;
    Ok(())
}
