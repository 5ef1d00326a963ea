//! The file that an identity stands in, and its successor beside it.

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

/// What the file holds, as far as whoever holds this has read or written it.
#[derive(Debug)]
pub(super) struct Written {
    stored: State,
    /// What may have taken its place, although to store it has failed.
    tried: Option<State>,
}

/// Another handle has the directory, which the lock on it is there to prevent: a later incarnation, or whoever has
/// forgotten a peer.
#[derive(Debug, thiserror::Error)]
#[error("the identity file is not as it was left here: somebody else uses the directory")]
struct NotOurs;

impl Written {
    pub(super) const fn new(stored: State) -> Self {
        Self {
            stored,
            tried: None,
        }
    }

    /// Stores a state in place of the one that this knows of, and of no other.
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

/// What lies there now; `None` for what no identity is.
fn found<D: Disk>(disk: &D) -> io::Result<Option<State>> {
    // To open it would make it.
    if !disk.list()?.iter().any(|name| name == FILE) {
        return Ok(None);
    }
    match read(disk) {
        Ok(bytes) => Ok(State::decode(&bytes)),
        Err(IdentityError::Io(error)) => Err(error),
        Err(_) => Ok(None),
    }
}

/// Stores a state, if need be with the space that the log keeps back.
pub(super) fn store<D: Disk>(disk: &D, state: &State) -> io::Result<()> {
    match replace(disk, state) {
        Err(error) if synod_wal::give_up_reserve(disk, &error)? => replace(disk, state),
        other => other,
    }
}

/// Beside, synced, renamed, directory synced: at any moment there is one whole identity.
fn replace<D: Disk>(disk: &D, state: &State) -> io::Result<()> {
    let bytes = state.encode();
    let mut file = disk.open(PART)?;
    if file.len()? > bytes.len() as u64 {
        // Not one that was prepared here.
        disk.remove(PART)?;
        file = disk.open(PART)?;
    }
    file.write_at(0, &bytes)?;
    file.sync()?;
    disk.rename(PART, FILE)?;
    disk.sync()?;
    // The space for the next one. Without it that one may find no space, and says so then.
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
/// A longer file is none of this crate's.
pub(super) const BYTES_MAX: usize = 1 << 20;
