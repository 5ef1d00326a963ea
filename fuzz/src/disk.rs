//! A disk in memory whose files a target writes as it likes.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use synod_wal::{Disk, File};

/// Files by name. Clones are the same disk. All that is written is durable.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    files: Arc<Mutex<BTreeMap<String, Contents>>>,
}

/// A file's bytes, which an open file shares, also when its name is gone.
type Contents = Arc<Mutex<Vec<u8>>>;

/// An open file of a [`Memory`].
#[derive(Debug)]
pub(crate) struct MemoryFile(Contents);

impl Memory {
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let contents = Arc::new(Mutex::new(bytes.to_vec()));
        lock(&self.files).insert(name.to_owned(), contents);
    }

    pub(crate) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let files = lock(&self.files);
        files.get(name).map(|contents| lock(contents).clone())
    }

    /// A disk with the same files, which go their own ways from here.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::default();
        for (name, contents) in &*lock(&self.files) {
            copy.put(name, &lock(contents));
        }
        copy
    }

    pub(crate) fn names(&self) -> Vec<String> {
        lock(&self.files).keys().cloned().collect()
    }
}

impl Disk for Memory {
    type File = MemoryFile;

    fn open(&self, name: &str) -> io::Result<MemoryFile> {
        let mut files = lock(&self.files);
        Ok(MemoryFile(
            files.entry(name.to_owned()).or_default().clone(),
        ))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = lock(&self.files);
        let contents = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), contents);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let removed = lock(&self.files).remove(name);
        removed
            .map(drop)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

impl File for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.0).len() as u64)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let bytes = lock(&self.0);
        let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..));
        let rest = rest.unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut file = lock(&self.0);
        let end = usize::try_from(at)
            .ok()
            .and_then(|at| at.checked_add(bytes.len()));
        let Some(end) = end.filter(|end| *end <= FILE_BYTES_MAX) else {
            return Err(io::ErrorKind::StorageFull.into());
        };
        let len = file.len().max(end);
        file.resize(len, 0);
        file[end - bytes.len()..end].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const FILE_BYTES_MAX: usize = 1 << 22;
