//! Space reserved for when the disk is full.
//!
//! A node whose own log has filled its disk frees space by taking a snapshot and cutting the log;
//! but the snapshot needs space first. So a file of zeros reserves some, and is removed when a
//! snapshot, or another small file that matters, does not fit.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::disk::{Disk, File, lacks_space};
use crate::spares::FILL_BYTES;

/// The reserved space. Clones refer to the same reserve.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reserve {
    bytes: u64,
    held: Arc<AtomicBool>,
}

impl Reserve {
    /// Finds the reserve of an earlier incarnation, if it has the right size; otherwise removes it.
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

    /// How many bytes can be spent.
    pub(crate) fn held_bytes(&self) -> u64 {
        match self.held.load(Ordering::Acquire) {
            true => self.bytes,
            false => 0,
        }
    }

    /// Reserves the space; if it is not available, nothing is taken.
    pub(crate) fn fill<D: Disk>(&self, disk: &D) -> io::Result<()> {
        let filled = self.try_fill(disk);
        match &filled {
            Ok(()) => self.held.store(true, Ordering::Release),
            // The first error is the one to report; a leftover is found at the next open.
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

    /// Runs something that needs space; if there is none, frees the reserve and tries once more.
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

    /// Frees the reserve, if missing space is the problem. Returns `false` if there was none.
    fn give_up<D: Disk>(&self, disk: &D, missing: &io::Error) -> io::Result<bool> {
        if !lacks_space(missing) || !self.held.swap(false, Ordering::AcqRel) {
            return Ok(false);
        }
        // What cannot be freed now stays reserved for the next time.
        give_up_reserve(disk, missing).inspect_err(|_| self.held.store(true, Ordering::Release))
    }
}

/// Frees the space that a log on this disk has reserved, if `missing` reports a lack of space: for
/// writing a small file beside a log that has filled the disk and is not open yet. Returns `false`
/// if there is no reserve, or if something else is missing.
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
