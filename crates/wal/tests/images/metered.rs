//! A medium that counts what is read, so that recovery that loops is detected.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use synod_wal::{Disk, File};

use crate::support::{Medium, MediumFile};

/// Reads beyond the allowance panic.
#[derive(Clone, Debug)]
pub(crate) struct Metered {
    inner: Medium,
    left: Arc<AtomicU64>,
}

#[derive(Debug)]
pub(crate) struct MeteredFile {
    inner: MediumFile,
    left: Arc<AtomicU64>,
}

impl Metered {
    /// An allowance in proportion to the contents of the disk, which bounds what recovery may cost.
    pub(crate) fn new(disk: &synod_sim::Disk) -> Self {
        let allowed = READS_OF_EACH_BYTE * disk.used() + SPARE_BYTES;
        Self {
            inner: Medium(disk.clone()),
            left: Arc::new(AtomicU64::new(allowed)),
        }
    }

    /// Recovery is over: stops counting.
    pub(crate) fn release(&self) {
        self.left.store(u64::MAX, Ordering::Relaxed);
    }
}

fn pay(left: &AtomicU64, bytes: u64) {
    let paid = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(bytes)
    });
    assert!(paid.is_ok(), "recovery reads without end");
}

impl Disk for Metered {
    type File = MeteredFile;

    fn open(&self, name: &str) -> io::Result<MeteredFile> {
        pay(&self.left, CALL_BYTES);
        Ok(MeteredFile {
            inner: self.inner.open(name)?,
            left: Arc::clone(&self.left),
        })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        pay(&self.left, CALL_BYTES);
        self.inner.list()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        self.inner.free_bytes()
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }
}

impl File for MeteredFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read_at(at, into)?;
        pay(&self.left, CALL_BYTES + count as u64);
        Ok(count)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_at(at, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }
}

/// Openings are read twice, records once, and the rest after the end is searched.
const READS_OF_EACH_BYTE: u64 = 4;
/// What a call counts besides its bytes.
const CALL_BYTES: u64 = 16;
const SPARE_BYTES: u64 = 64 * 1024;
