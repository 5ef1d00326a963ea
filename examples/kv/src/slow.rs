//! A medium whose syncs take longer than they must, for tests of what a slow disk does to a cluster.

use std::{io, thread, time::Duration};

use synod_wal::{Disk, File};

/// A disk, and how long each sync takes beside what it takes anyway.
#[derive(Clone, Debug)]
pub(crate) struct Slow<D> {
    disk: D,
    sync: Duration,
}

/// A file of it.
#[derive(Debug)]
pub(crate) struct SlowFile<F> {
    file: F,
    sync: Duration,
}

impl<D> Slow<D> {
    pub(crate) fn new(disk: D, sync: Duration) -> Self {
        Self { disk, sync }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a slow disk holds up the thread that waits for it: that is what is shown"
)]
fn wait(length: Duration) {
    if !length.is_zero() {
        thread::sleep(length);
    }
}

impl<D: Disk> Disk for Slow<D> {
    type File = SlowFile<D::File>;

    fn open(&self, name: &str) -> io::Result<Self::File> {
        let file = self.disk.open(name)?;
        Ok(SlowFile {
            file,
            sync: self.sync,
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

    fn sync(&self) -> io::Result<()> {
        wait(self.sync);
        self.disk.sync()
    }
}

impl<F: File> File for SlowFile<F> {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(at, into)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(at, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        wait(self.sync);
        self.file.sync()
    }
}
