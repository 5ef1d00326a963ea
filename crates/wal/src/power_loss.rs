//! A medium whose unsynced writes are lost when the process dies.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, File, read_full};

/// Keeps unsynced writes in the memory of the process, so that killing it loses what a power cut
/// would lose.
///
/// Killing a process preserves the page cache, so on a real disk a kill proves nothing about syncs.
/// Through this layer contents reach the inner disk at [`File::sync`] and names at [`Disk::sync`],
/// while reads see both at once. All contents of a file are kept in memory until its name is
/// durable. What fails to reach the inner disk stays in memory, and is written by the next sync.
///
/// It is milder than a power cut in one respect: a kill during a sync leaves a prefix of the
/// pending writes, in ascending order of the offsets, where a power cut may leave any part of them.
///
/// ```
/// use synod_wal::{Directory, Disk, File, PowerLoss};
///
/// # let temporary = tempfile::tempdir()?;
/// # let path = temporary.path();
/// let disk = PowerLoss::new(Directory::open(path)?);
/// let file = disk.open("log")?;
/// disk.sync()?;                                 // the name is durable,
/// file.write_at(0, b"not synced")?;             // this is not
/// assert_eq!(file.len()?, 10);
/// assert_eq!(std::fs::metadata(path.join("log"))?.len(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PowerLoss<D: Disk> {
    inner: D,
    state: Arc<Mutex<State<D::File>>>,
    lying: bool,
}

/// A file of a [`PowerLoss`].
pub struct PowerLossFile<D: Disk> {
    held: Arc<Mutex<Held<D::File>>>,
    lying: bool,
}

/// The names as the process sees them, and the changes that the inner disk does not have yet.
struct State<F> {
    /// The file of each name; `None` before the first use.
    names: Option<BTreeMap<String, u64>>,
    /// Oldest first. A change is removed only after it was applied, so that an error loses none.
    changes: VecDeque<Change>,
    /// By number: files that are open or have pending contents. A file whose name here differs from
    /// its name in the inner disk is always among them.
    files: BTreeMap<u64, Arc<Mutex<Held<F>>>>,
    next: u64,
}

enum Change {
    Create(String, u64),
    Rename(String, String),
    Remove(String),
}

/// A file: the part that the inner disk has, and the extents that it lacks.
struct Held<F> {
    inner: Option<F>,
    /// For a file without a durable name: contents that were synced and wait for it.
    settled: Extents,
    unsynced: Extents,
    len: u64,
}

/// Pieces of a file that do not overlap, by offset.
#[derive(Default)]
struct Extents(BTreeMap<u64, Vec<u8>>);

impl<D: Disk> PowerLoss<D> {
    /// A layer over `inner` that passes on, at each sync, what the sync covers.
    pub fn new(inner: D) -> Self {
        let state = State {
            names: None,
            changes: VecDeque::new(),
            files: BTreeMap::new(),
            next: 0,
        };
        Self {
            inner,
            state: Arc::new(Mutex::new(state)),
            lying: false,
        }
    }

    /// A layer whose syncs report success and do nothing, to show what not syncing means.
    /// Everything written stays in memory.
    pub fn lying(inner: D) -> Self {
        Self {
            lying: true,
            ..Self::new(inner)
        }
    }

    /// The state, with the names of the inner disk.
    fn state(&self) -> io::Result<MutexGuard<'_, State<D::File>>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.names.is_none() {
            let names: BTreeMap<String, u64> = self.inner.list()?.into_iter().zip(0..).collect();
            state.next = names.len() as u64;
            state.names = Some(names);
        }
        Ok(state)
    }
}

impl<D: Disk> Disk for PowerLoss<D> {
    type File = PowerLossFile<D>;

    fn open(&self, name: &str) -> io::Result<PowerLossFile<D>> {
        let mut state = self.state()?;
        let held = match state.file(&self.inner, name)? {
            Some(held) => held,
            None => state.create(name),
        };
        Ok(PowerLossFile {
            held,
            lying: self.lying,
        })
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state()?.names().keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state()?;
        // From now on its name in the inner disk differs from its own.
        state.file(&self.inner, from)?.ok_or(ErrorKind::NotFound)?;
        let id = state.names().remove(from).ok_or(ErrorKind::NotFound)?;
        state.names().insert(to.to_owned(), id);
        state
            .changes
            .push_back(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state()?;
        state.names().remove(name).ok_or(ErrorKind::NotFound)?;
        state.changes.push_back(Change::Remove(name.to_owned()));
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        self.inner.free_bytes()
    }

    fn sync(&self) -> io::Result<()> {
        if self.lying {
            return Ok(());
        }
        let mut state = self.state()?;
        while let Some(change) = state.changes.front() {
            match change {
                Change::Create(name, id) => {
                    if let Some(held) = state.files.get(id) {
                        lock(held).settle(self.inner.open(name)?)?;
                    }
                }
                Change::Rename(from, to) => self.inner.rename(from, to)?,
                Change::Remove(name) => self.inner.remove(name)?,
            }
            state.changes.pop_front();
        }
        self.inner.sync()?;
        state.forget();
        Ok(())
    }
}

impl<F: File> State<F> {
    fn names(&mut self) -> &mut BTreeMap<String, u64> {
        self.names.get_or_insert_default()
    }

    /// The file with this name.
    fn file<D: Disk<File = F>>(
        &mut self,
        inner: &D,
        name: &str,
    ) -> io::Result<Option<Arc<Mutex<Held<F>>>>> {
        let Some(id) = self.names().get(name).copied() else {
            return Ok(None);
        };
        if let Some(held) = self.files.get(&id) {
            return Ok(Some(Arc::clone(held)));
        }
        let file = inner.open(name)?;
        let len = file.len()?;
        Ok(Some(self.hold(
            id,
            Held {
                inner: Some(file),
                len,
                ..Held::default()
            },
        )))
    }

    fn create(&mut self, name: &str) -> Arc<Mutex<Held<F>>> {
        let id = self.next;
        self.next += 1;
        self.names().insert(name.to_owned(), id);
        self.changes.push_back(Change::Create(name.to_owned(), id));
        self.hold(id, Held::default())
    }

    fn hold(&mut self, id: u64, held: Held<F>) -> Arc<Mutex<Held<F>>> {
        let held = Arc::new(Mutex::new(held));
        self.files.insert(id, Arc::clone(&held));
        held
    }

    /// Drops the files that are not open and have no pending contents.
    fn forget(&mut self) {
        let names = self.names.take().unwrap_or_default();
        self.files.retain(|id, held| {
            let is_named = names.values().any(|named| named == id);
            is_named && (Arc::strong_count(held) > 1 || !lock(held).unsynced.0.is_empty())
        });
        self.names = Some(names);
    }
}

impl<D: Disk> File for PowerLossFile<D> {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.held).len)
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        lock(&self.held).read(at, into)
    }

    fn write_at(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let end = at
            .checked_add(bytes.len() as u64)
            .ok_or(ErrorKind::FileTooLarge)?;
        let mut held = lock(&self.held);
        held.unsynced.write(at, bytes.to_vec());
        held.len = held.len.max(end);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        if self.lying {
            Ok(())
        } else {
            lock(&self.held).sync()
        }
    }
}

impl<F: File> Held<F> {
    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let count = (into.len() as u64).min(self.len.saturating_sub(at)) as usize;
        let into = &mut into[..count];
        let done = match &self.inner {
            Some(inner) => read_full(inner, at, into)?,
            None => 0,
        };
        into[done..].fill(0);
        self.settled.read(at, into);
        self.unsynced.read(at, into);
        Ok(count)
    }

    fn sync(&mut self) -> io::Result<()> {
        match &self.inner {
            Some(inner) => {
                self.unsynced.apply(inner)?;
                self.unsynced = Extents::default();
            }
            None => {
                for (at, bytes) in std::mem::take(&mut self.unsynced.0) {
                    self.settled.write(at, bytes);
                }
            }
        }
        Ok(())
    }

    /// The file has a name in the inner disk now.
    fn settle(&mut self, inner: F) -> io::Result<()> {
        if !self.settled.0.is_empty() {
            self.settled.apply(&inner)?;
            self.settled = Extents::default();
        }
        self.inner = Some(inner);
        Ok(())
    }
}

impl Extents {
    /// Writes all pieces and syncs. They may be dropped only afterwards: after an error it is
    /// unknown which of them arrived, so the next attempt writes all of them again.
    fn apply(&self, file: &impl File) -> io::Result<()> {
        for (at, bytes) in &self.0 {
            file.write_at(*at, bytes)?;
        }
        file.sync()
    }

    fn write(&mut self, at: u64, bytes: Vec<u8>) {
        let end = at + bytes.len() as u64;
        if let Some((start, before)) = self.0.range_mut(..at).next_back() {
            let keep = (at - start) as usize;
            if before.len() > keep {
                let mut rest = before.split_off(keep);
                let covered = bytes.len().min(rest.len());
                if covered < rest.len() {
                    self.0.insert(end, rest.split_off(covered));
                }
            }
        }
        while let Some((start, _)) = self.0.range(at..end).next() {
            let start = *start;
            let Some(mut piece) = self.0.remove(&start) else {
                break;
            };
            if start + piece.len() as u64 > end {
                self.0.insert(end, piece.split_off((end - start) as usize));
            }
        }
        if !bytes.is_empty() {
            self.0.insert(at, bytes);
        }
    }

    /// Overlays the pieces on what was read at `at`.
    fn read(&self, at: u64, into: &mut [u8]) {
        let end = at + into.len() as u64;
        let first = self
            .0
            .range(..at)
            .next_back()
            .map_or(at, |(start, _)| *start);
        for (start, bytes) in self.0.range(first..end) {
            let (from, to) = (at.max(*start), end.min(start + bytes.len() as u64));
            if from < to {
                let piece = &bytes[(from - start) as usize..(to - start) as usize];
                into[(from - at) as usize..(to - at) as usize].copy_from_slice(piece);
            }
        }
    }
}

impl<F> Default for Held<F> {
    fn default() -> Self {
        Self {
            inner: None,
            settled: Extents::default(),
            unsynced: Extents::default(),
            len: 0,
        }
    }
}

impl<D: Disk> Clone for PowerLoss<D> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            state: Arc::clone(&self.state),
            lying: self.lying,
        }
    }
}

impl<D: Disk + fmt::Debug> fmt::Debug for PowerLoss<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PowerLoss")
            .field("inner", &self.inner)
            .field("lying", &self.lying)
            .finish_non_exhaustive()
    }
}

impl<D: Disk> fmt::Debug for PowerLossFile<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PowerLossFile")
            .field("len", &lock(&self.held).len)
            .finish_non_exhaustive()
    }
}

fn lock<F>(held: &Mutex<Held<F>>) -> MutexGuard<'_, Held<F>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}
