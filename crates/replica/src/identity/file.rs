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
