//! A disk in memory: a target writes its files as it likes, lets it die in the middle, and picks what is left.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synod_wal::{Disk, File};

/// Files by name. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<Medium>>);

#[derive(Debug, Default)]
struct Medium {
    files: BTreeMap<String, Contents>,
    /// Writes and syncs that still succeed.
    left: Option<u64>,
}

/// A file's bytes, which an open file shares, also when its name is gone.
type Contents = Arc<Mutex<Bytes>>;

#[derive(Clone, Debug, Default)]
struct Bytes {
    now: Vec<u8>,
    /// As of its last sync.
    durable: Vec<u8>,
}

/// An open file of a [`Memory`].
#[derive(Debug)]
pub(crate) struct MemoryFile {
    disk: Memory,
    contents: Contents,
}

impl Memory {
    /// A durable file.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let contents = Bytes {
            now: bytes.to_vec(),
            durable: bytes.to_vec(),
        };
        let files = &mut lock(&self.0).files;
        files.insert(name.to_owned(), Arc::new(Mutex::new(contents)));
    }

    pub(crate) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let contents = lock(&self.0).files.get(name).cloned()?;
        let bytes = lock(&contents).now.clone();
        Some(bytes)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        lock(&self.0).files.keys().cloned().collect()
    }

    /// After so many more writes and syncs everything fails.
    pub(crate) fn die_after(&self, operations: u64) {
        lock(&self.0).left = Some(operations);
    }

    /// The disk as it is after a power loss: all that was synced, and of each sector that was not the old bytes or
    /// the new ones, as `written` says. What has a name keeps it.
    pub(crate) fn left_over(&self, mut written: impl FnMut() -> bool) -> Self {
        let left = Self::default();
        for (name, contents) in &lock(&self.0).files {
            let Bytes { now, durable } = &*lock(contents);
            let mut bytes = durable.clone();
            bytes.resize(now.len().max(durable.len()), 0);
            for (at, sector) in now.chunks(SECTOR_BYTES).enumerate() {
                let place = &mut bytes[at * SECTOR_BYTES..][..sector.len()];
                if place != sector && written() {
                    place.copy_from_slice(sector);
                }
            }
            left.put(name, &bytes);
        }
        left
    }

    fn spend(&self) -> io::Result<()> {
        match &mut lock(&self.0).left {
            None => Ok(()),
            Some(0) => Err(io::Error::other("the disk is dead")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }
}

impl Disk for Memory {
    type File = MemoryFile;

    fn open(&self, name: &str) -> io::Result<MemoryFile> {
        let files = &mut lock(&self.0).files;
        Ok(MemoryFile {
            disk: self.clone(),
            contents: files.entry(name.to_owned()).or_default().clone(),
        })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.spend()?;
        let files = &mut lock(&self.0).files;
        let contents = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), contents);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.spend()?;
        let removed = lock(&self.0).files.remove(name);
        removed
            .map(drop)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync(&self) -> io::Result<()> {
        self.spend()
    }
}

impl File for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.contents).now.len() as u64)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let bytes = &lock(&self.contents).now;
        let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..));
        let rest = rest.unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let end = usize::try_from(at)
            .ok()
            .and_then(|at| at.checked_add(bytes.len()));
        let Some(end) = end.filter(|end| *end <= FILE_BYTES_MAX) else {
            return Err(io::ErrorKind::StorageFull.into());
        };
        // The last write before the end is in the file, and may be torn.
        self.disk.spend()?;
        let file = &mut lock(&self.contents).now;
        let len = file.len().max(end);
        file.resize(len, 0);
        file[end - bytes.len()..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.spend()?;
        let mut bytes = lock(&self.contents);
        bytes.durable = bytes.now.clone();
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const SECTOR_BYTES: usize = 512;
const FILE_BYTES_MAX: usize = 1 << 22;
