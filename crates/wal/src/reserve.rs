//! Space that is kept back for the day when the disk is full.
//!
//! A node whose own log has filled its disk gets space again by a snapshot, behind which the log is
//! cut: but the snapshot needs space first. So a file of zeros keeps some, and is removed when a
//! snapshot, or another small file that matters, does not fit.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::disk::{Disk, File, lacks_space};
use crate::spares::FILL_BYTES;

/// The space that is kept back. A clone is the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reserve {
    bytes: u64,
    held: Arc<AtomicBool>,
}

impl Reserve {
    /// What an earlier incarnation has kept, if it is as much as it should be; else what is there of it is
    /// given back.
    pub(crate) fn find<D: Disk>(disk: &D, bytes: u64) -> io::Result<Self> {
        let reserve = Self {
            bytes,
            held: Arc::default(),
        };
        if exists(disk)? {
            if bytes > 0 && disk.open(NAME)?.len()? == bytes {
                reserve.held.store(true, Ordering::Release);
            } else {
                disk.remove(NAME)?;
            }
        }
        Ok(reserve)
    }

    /// Whether it has to be filled again.
    pub(crate) fn is_wanted(&self) -> bool {
        self.bytes > 0 && !self.held.load(Ordering::Acquire)
    }

    /// How much of it there is to spend.
    pub(crate) fn held_bytes(&self) -> u64 {
        match self.held.load(Ordering::Acquire) {
            true => self.bytes,
            false => 0,
        }
    }

    /// Takes the space. Without enough of it nothing is taken.
    pub(crate) fn fill<D: Disk>(&self, disk: &D) -> io::Result<()> {
        let filled = self.try_fill(disk);
        match &filled {
            Ok(()) => self.held.store(true, Ordering::Release),
            // The error is the one to tell; a leftover is found at the next open.
            Err(_) => drop(disk.remove(NAME)),
        }
        filled
    }

    fn try_fill<D: Disk>(&self, disk: &D) -> io::Result<()> {
        let file = disk.open(NAME)?;
        let zeros = vec![0; FILL_BYTES.min(self.bytes) as usize];
        let mut at = 0;
        while at < self.bytes {
            let count = FILL_BYTES.min(self.bytes - at);
            file.write_at(at, &zeros[..count as usize])?;
            at += count;
        }
        file.sync()
    }

    /// Does something that needs space; when there is none it is tried once more with what was kept
    /// back.
    pub(crate) fn spend<D: Disk, T>(
        &self,
        disk: &D,
        mut attempt: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        match attempt() {
            Err(error) if self.give_up(disk, &error)? => attempt(),
            other => other,
        }
    }

    /// Gives the space back to the disk, if that is what is missing. `false` when there is none.
    fn give_up<D: Disk>(&self, disk: &D, missing: &io::Error) -> io::Result<bool> {
        if !lacks_space(missing) || !self.held.swap(false, Ordering::AcqRel) {
            return Ok(false);
        }
        // What cannot be given back now is there for the next time.
        give_up_reserve(disk, missing).inspect_err(|_| self.held.store(true, Ordering::Release))
    }
}

/// Gives back the space that a log on this disk keeps for hard times, if `missing` says that space
/// has run out: for whoever must write a small file beside a log that has filled the disk, and has
/// not opened it yet. `false` when there is nothing to give back, or something else is missing.
///
/// # Errors
/// Those of the medium.
pub fn give_up_reserve<D: Disk>(disk: &D, missing: &io::Error) -> io::Result<bool> {
    let held = lacks_space(missing) && exists(disk)?;
    if held {
        disk.remove(NAME)?;
    }
    Ok(held)
}

fn exists<D: Disk>(disk: &D) -> io::Result<bool> {
    Ok(disk.list()?.iter().any(|name| name == NAME))
}

const NAME: &str = "reserve";
