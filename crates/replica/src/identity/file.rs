//! The file that holds an identity, and its successor beside it.

use std::io;

use synod_wal::Disk;
use synod_wal::File;

use super::IdentityError;
use super::state::State;

pub(super) fn read<D: Disk>(disk: &D) -> Result<Vec<u8>, IdentityError> {
    let file = disk.open(FILE)?;
    let len = usize::try_from(file.len()?)
        .ok()
        .filter(|len| *len <= BYTES_MAX)
        .ok_or(IdentityError::Damaged)?;
    let mut bytes = vec![0; len];
    let mut filled = 0;
    while filled < len {
        match file.read_at(filled as u64, &mut bytes[filled..])? {
            0 => return Err(IdentityError::Damaged),
            n => filled += n,
        }
    }
    Ok(bytes)
}

/// The contents of the file, as this handle has last read or written them.
#[derive(Debug)]
pub(super) struct Written {
    stored: State,
    /// Contents that may have replaced them, although storing these failed.
    tried: Option<State>,
}

/// Another handle uses the directory, which its lock should prevent: a later incarnation, or an
/// operator who forgot a peer.
#[derive(Debug, thiserror::Error)]
#[error("the identity file was changed by another process: somebody else uses the directory")]
struct NotOurs;

impl Written {
    pub(super) const fn new(stored: State) -> Self {
        Self {
            stored,
            tried: None,
        }
    }

    /// Stores a state, provided that the file still holds what this handle knows of.
    pub(super) fn replace<D: Disk>(&mut self, disk: &D, with: &State) -> io::Result<()> {
        let found = found(disk)?;
        let known = [Some(&self.stored), self.tried.as_ref()];
        if found.is_none() || !known.contains(&found.as_ref()) {
            return Err(io::Error::other(NotOurs));
        }
        self.stored = found.unwrap_or_else(|| with.clone());
        self.tried = Some(with.clone());
        store(disk, with)?;
        *self = Self::new(with.clone());
        Ok(())
    }
}

/// The current contents; `None` if they are no valid identity.
fn found<D: Disk>(disk: &D) -> io::Result<Option<State>> {
    // Opening it would create it.
    if !disk.list()?.iter().any(|name| name == FILE) {
        return Ok(None);
    }
    match read(disk) {
        Ok(bytes) => Ok(State::decode(&bytes)),
        Err(IdentityError::Io(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Stores a state, using the log's reserved space if necessary.
pub(super) fn store<D: Disk>(disk: &D, state: &State) -> io::Result<()> {
    match replace(disk, state) {
        Err(error) if synod_wal::give_up_reserve(disk, &error)? => replace(disk, state),
        other => other,
    }
}

/// Written beside the old one, synced, renamed, directory synced: there is always one complete
/// identity.
fn replace<D: Disk>(disk: &D, state: &State) -> io::Result<()> {
    let bytes = state.encode();
    let mut file = disk.open(PART)?;
    if file.len()? > bytes.len() as u64 {
        // Not a file that was prepared here.
        disk.remove(PART)?;
        file = disk.open(PART)?;
    }
    file.write_at(0, &bytes)?;
    file.sync()?;
    disk.rename(PART, FILE)?;
    disk.sync()?;
    // Reserves space for the next version. If that fails, the next store may fail for want of
    // space.
    let _unprepared = prepare(disk, bytes.len());
    Ok(())
}

fn prepare<D: Disk>(disk: &D, len: usize) -> io::Result<()> {
    let file = disk.open(PART)?;
    file.write_at(0, &vec![0; len])?;
    file.sync()?;
    disk.sync()
}

pub(super) const FILE: &str = "identity";
pub(super) const PART: &str = "identity.part";
/// A longer file was not written by this crate.
pub(super) const BYTES_MAX: usize = 1 << 20;
