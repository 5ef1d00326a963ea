//! A medium with faults that one can ask for: its syncs take longer than they must, or fail. For tests
//! of what such a disk does to a cluster of real processes.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use synod_wal::{Disk, File};

mod ailing;

pub(crate) use ailing::{Ailing, DiskCommand, met};

/// A disk, and what is wrong with it.
#[derive(Clone, Debug)]
pub(crate) struct Faulty<D> {
    disk: D,
    faults: Faults,
}

/// A file of it.
#[derive(Debug)]
pub(crate) struct FaultyFile<F> {
    file: F,
    faults: Faults,
}

/// What is wrong with the syncs of a disk. A clone counts with the original.
#[derive(Clone, Debug)]
pub(crate) struct Faults {
    /// How much longer each takes.
    pub(crate) delay: Duration,
    /// How many succeed before all others fail.
    pub(crate) good: Arc<AtomicU64>,
    /// What is wrong with the disk at the moment.
    pub(crate) ailing: Arc<Ailing>,
}

impl<D> Faulty<D> {
    pub(crate) fn new(disk: D, faults: Faults) -> Self {
        Self { disk, faults }
    }
}

impl Faults {
    /// Before a sync.
    #[expect(
        clippy::disallowed_methods,
        reason = "a slow disk holds up the thread that waits for it: that is what is shown"
    )]
    fn strike(&self) -> io::Result<()> {
        self.ailing.wait();
        if !self.delay.is_zero() {
            thread::sleep(self.delay);
        }
        self.good
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |good| {
                good.checked_sub(1)
            })
            .map(|_| ())
            .map_err(|_| io::Error::other("a sync that was to fail"))
    }
}

impl<D: Disk> Disk for Faulty<D> {
    type File = FaultyFile<D::File>;

    fn open(&self, name: &str) -> io::Result<Self::File> {
        let file = self.disk.open(name)?;
        Ok(FaultyFile {
            file,
            faults: self.faults.clone(),
        })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        if self.faults.ailing.is_full() {
            return Ok(Some(0));
        }
        self.disk.free_bytes()
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.strike()?;
        self.disk.sync()
    }
}

impl<F: File> File for FaultyFile<F> {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(at, into)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.faults.ailing.wait();
        let end = at.saturating_add(bytes.len() as u64);
        if end > self.file.len()? {
            self.faults.ailing.grows()?;
        }
        self.file.write_at(at, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.strike()?;
        self.file.sync()
    }
}

#[cfg(test)]
mod tests {
    use synod_wal::Directory;

    use super::*;

    #[test]
    fn so_many_syncs_succeed_and_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let faults = Faults {
            delay: Duration::ZERO,
            good: Arc::new(2.into()),
            ailing: Arc::default(),
        };
        let disk = Faulty::new(Directory::open(directory.path()).unwrap(), faults);
        let file = disk.open("file").unwrap();
        assert!(file.sync().is_ok() && disk.clone().sync().is_ok());
        assert!(file.sync().is_err() && disk.sync().is_err() && file.sync().is_err());
    }
}
