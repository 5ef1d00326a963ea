//! A simulated disk that may lose unsynced writes.

mod medium;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use medium::{Change, Medium, Node, Random, died};

/// A simulated disk: files by name in one flat directory, with live and durable contents.
///
/// A process reads the *live* content (the page cache). The *durable* content survives a power
/// loss. They differ by the writes since the last [`sync`](Self::sync) of each file and the
/// creations, renames and removals since the last [`sync_names`](Self::sync_names):
///
/// ```text
///   write_at ──> live content ──── sync ───────> durable content
///   create   ──> live names   ──── sync_names ─> durable names
///                     │ power_loss: a drawn part of what was not synced survives
/// ```
///
/// [`power_loss`](Self::power_loss) decides for each unsynced write on its own whether it is lost,
/// survives or is torn at sectors of [`SECTOR_BYTES`], so every reordering is covered. Sectors are
/// atomic, and a sector that survives carries what the page cache held at that write. Unsynced
/// changes of names survive as a prefix: a rename may be undone, and a file that was synced but
/// whose name was not may vanish.
///
/// Clones are handles to the same disk. All random choices come from the disk's own generator:
/// equal seeds and equal calls give equal disks. An *operation* is a call that may change the disk;
/// reads are not operations.
///
/// ```
/// use synod_sim::Disk;
///
/// let disk = Disk::new(1);
/// disk.create("log")?;
/// disk.write_at("log", 0, b"kept")?;
/// disk.sync("log")?;
/// disk.sync_names()?;
/// disk.power_loss();
/// assert_eq!(disk.image("log"), b"kept");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Disk(Arc<Mutex<Medium>>);

/// The effects of a power loss and of a full disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskOptions {
    /// The percentage of unsynced writes that are lost completely.
    pub lost_percent: u8,
    /// The percentage of unsynced writes that are torn: each of their sectors survives with
    /// probability one half.
    pub torn_percent: u8,
    /// The percentage of power losses that undo every unsynced change of names; otherwise a random
    /// prefix survives.
    pub names_lost_percent: u8,
    /// Whether a write to a full disk writes the part that fits before it fails. Otherwise it
    /// writes nothing.
    pub short_writes: bool,
}

impl Default for DiskOptions {
    fn default() -> Self {
        Self {
            lost_percent: 40,
            torn_percent: 30,
            names_lost_percent: 40,
            short_writes: false,
        }
    }
}

/// Counters of a disk's operations and faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct DiskStats {
    /// Calls that may change the disk, counted also when they fail.
    pub operations: u64,
    /// Writes that succeeded.
    pub writes: u64,
    /// Bytes of those writes.
    pub written_bytes: u64,
    /// Syncs of files that succeeded.
    pub syncs: u64,
    /// Syncs of the directory that succeeded.
    pub name_syncs: u64,
    /// Power losses.
    pub power_losses: u64,
    /// Unsynced writes that a power loss discarded completely.
    pub lost_writes: u64,
    /// Unsynced writes that a power loss tore.
    pub torn_writes: u64,
    /// Unsynced changes of names that a power loss undid.
    pub lost_names: u64,
}

impl Disk {
    /// An empty disk whose draws follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_options(seed, DiskOptions::default())
    }

    /// As [`Disk::new`], with other odds.
    #[must_use]
    pub fn with_options(seed: u64, options: DiskOptions) -> Self {
        Self(Arc::new(Mutex::new(Medium {
            random: Random(seed),
            options,
            ..Medium::default()
        })))
    }

    /// A separate disk with the same live and durable contents and its own generator. It is alive,
    /// even if this one is dead.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        let mut state = self.state().clone();
        state.random = Random(seed);
        state.restart();
        Self(Arc::new(Mutex::new(state)))
    }

    /// Names of all files, sorted.
    ///
    /// # Errors
    /// When the process is dead.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let state = self.alive()?;
        Ok(state.names.keys().cloned().collect())
    }

    /// Creates an empty file; does nothing if it exists.
    ///
    /// # Errors
    /// When the process is dead.
    pub fn create(&self, name: &str) -> io::Result<()> {
        let mut state = self.alive()?;
        if state.names.contains_key(name) {
            return Ok(());
        }
        state.operation()?;
        let node = state.next_node;
        state.next_node += 1;
        state.nodes.insert(node, Node::default());
        state.change(Change::Create(name.to_owned(), node));
        Ok(())
    }

    /// Length of a file in bytes.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], or when the process is dead.
    pub fn len(&self, name: &str) -> io::Result<u64> {
        Ok(self.alive()?.node(name)?.live.len() as u64)
    }

    /// Whether a file is absent or empty.
    #[must_use]
    pub fn is_empty(&self, name: &str) -> bool {
        self.image(name).is_empty()
    }

    /// Reads what the page cache holds at `at`; fewer bytes than asked for at the end of the file,
    /// 0 behind it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], or when the process is dead.
    pub fn read_at(&self, name: &str, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let mut state = self.alive()?;
        let live = &state.node(name)?.live;
        let rest = usize::try_from(at)
            .ok()
            .and_then(|at| live.get(at..))
            .unwrap_or_default();
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    /// Writes into the page cache; a gap before `at` reads as zeros.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::StorageFull`] when the file would grow past
    /// [`capacity`](Self::capacity) or on a disk that is [full](Self::fill);
    /// [`ErrorKind::FileTooLarge`] past [`FILE_BYTES_MAX`]; when the process is dead. A process
    /// that dies during this operation may leave any prefix of the write.
    pub fn write_at(&self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.alive()?;
        state.node(name)?;
        if at.saturating_add(bytes.len() as u64) > FILE_BYTES_MAX {
            return Err(ErrorKind::FileTooLarge.into());
        }
        let dead = state.operation().err();
        let fits = bytes.len().min(state.space(name, at));
        let whole = fits == bytes.len();
        let count = match whole || state.options.short_writes {
            true => fits,
            false => 0,
        };
        if let Some(dead) = dead {
            let prefix = state.random.below(count as u64 + 1) as usize;
            state.node(name)?.write(at as usize, &bytes[..prefix]);
            return Err(dead);
        }
        state.node(name)?.write(at as usize, &bytes[..count]);
        if !whole {
            return Err(ErrorKind::StorageFull.into());
        }
        state.stats.writes += 1;
        state.stats.written_bytes += count as u64;
        Ok(())
    }

    /// Renames a file, replacing any file with the new name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], or when the process is dead.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.alive()?;
        state.node(from)?;
        state.operation()?;
        state.change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    /// Removes a file.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], or when the process is dead.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.alive()?;
        state.node(name)?;
        state.operation()?;
        state.change(Change::Remove(name.to_owned()));
        Ok(())
    }

    /// Makes the contents of a file durable, but not its name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; when the process is dead; as ordered by
    /// [`fail_next_sync`](Self::fail_next_sync) and [`fail_syncs`](Self::fail_syncs). After a
    /// failed sync the pages count as clean, as on ext4: a later sync that succeeds does not bring
    /// them back, though reads go on to see them until the power is lost.
    pub fn sync(&self, name: &str) -> io::Result<()> {
        let mut state = self.alive()?;
        state.node(name)?;
        state.operation()?;
        let failed = state.sync_fails();
        let node = state.node(name)?;
        let writes = std::mem::take(&mut node.unsynced);
        if failed {
            return Err(io::Error::other("simulated failure of a sync"));
        }
        writes.iter().for_each(|write| node.settle(write, |_| true));
        state.stats.syncs += 1;
        Ok(())
    }

    /// Makes all creations, renames and removals durable.
    ///
    /// # Errors
    /// When the process is dead, and as ordered by [`fail_next_sync`](Self::fail_next_sync); the
    /// changes then stay unsynced.
    pub fn sync_names(&self) -> io::Result<()> {
        let mut state = self.alive()?;
        state.operation()?;
        if state.sync_fails() {
            return Err(io::Error::other(
                "simulated failure of a sync of the directory",
            ));
        }
        state.durable_names = state.names.clone();
        state.changes.clear();
        state.collect();
        state.stats.name_syncs += 1;
        Ok(())
    }

    /// Simulates a power loss and restart: a random part of the unsynced changes is lost. A dead
    /// process may start again.
    pub fn power_loss(&self) {
        self.state().power_loss();
    }

    /// Kills the process; the page cache survives. Every call fails until
    /// [`restart`](Self::restart) or [`power_loss`](Self::power_loss).
    pub fn kill(&self) {
        self.state().dead = true;
    }

    /// A new process starts on what the page cache holds.
    pub fn restart(&self) {
        self.state().restart();
    }

    /// Kills the process in the operation after the next `operations`: it and all later calls fail
    /// until [`restart`](Self::restart) or [`power_loss`](Self::power_loss).
    pub fn crash_after(&self, operations: u64) {
        self.state().crash_in = Some(operations);
    }

    /// Whether the process is dead.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// The number of operations so far, so that a test can kill the process in each of them.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().stats.operations
    }

    /// The next sync, of a file or of the directory, fails once.
    pub fn fail_next_sync(&self) {
        self.state().fail_next_sync = true;
    }

    /// All syncs fail from now on, or no longer do, not even the next.
    pub fn fail_syncs(&self, fail: bool) {
        let mut state = self.state();
        state.fail_syncs = fail;
        state.fail_next_sync &= fail;
    }

    /// Limits the sum of the lengths of all files; [`u64::MAX`] is no limit. Existing longer files
    /// stay.
    pub fn capacity(&self, bytes: u64) {
        self.state().used_bytes_max = Some(bytes);
    }

    /// No file can grow from now on, whatever the capacity, or they can again.
    pub fn fill(&self, full: bool) {
        self.state().full = full;
    }

    /// Whether it was [filled](Self::fill) and is still full.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.state().full
    }

    /// The sum of the lengths of all files.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// The remaining space in bytes.
    #[must_use]
    pub fn free_bytes(&self) -> u64 {
        let state = self.state();
        match state.used_bytes_max {
            _ if state.full => 0,
            Some(max) => max.saturating_sub(state.used()),
            None => u64::MAX,
        }
    }

    /// Rots the byte at `at`: toggles the bits of `mask` on the medium and in the page cache alike.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] without such a file, [`ErrorKind::UnexpectedEof`] behind its end.
    pub fn flip(&self, name: &str, at: u64, mask: u8) -> io::Result<()> {
        self.state()
            .node(name)?
            .flip(usize::try_from(at).unwrap_or(usize::MAX), mask)
    }

    /// What the page cache holds of a file, also while the process is dead; empty when there is
    /// none.
    #[must_use]
    pub fn image(&self, name: &str) -> Vec<u8> {
        self.state()
            .node(name)
            .map(|node| node.live.clone())
            .unwrap_or_default()
    }

    /// Installs a file with durable name and contents, without counting as an operation or being
    /// subject to faults.
    pub fn put_image(&self, name: &str, bytes: &[u8]) {
        let mut state = self.state();
        let node = state.next_node;
        state.next_node += 1;
        let image = Node {
            live: bytes.to_vec(),
            durable: bytes.to_vec(),
            unsynced: Vec::new(),
        };
        state.nodes.insert(node, image);
        state.names.insert(name.to_owned(), node);
        state.durable_names.insert(name.to_owned(), node);
    }

    /// The counters so far.
    #[must_use]
    pub fn stats(&self) -> DiskStats {
        self.state().stats
    }

    /// A hash of its counters and the state of its generator.
    pub(crate) fn hash_past(&self, into: &mut impl Hasher) {
        let state = self.state();
        (state.stats, state.random.0).hash(into);
    }

    fn alive(&self) -> io::Result<MutexGuard<'_, Medium>> {
        let state = self.state();
        if state.dead { Err(died()) } else { Ok(state) }
    }

    fn state(&self) -> MutexGuard<'_, Medium> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Disk")
            .field("files", &state.names.len())
            .field("stats", &state.stats)
            .finish()
    }
}

/// The unit of atomic writes.
pub const SECTOR_BYTES: usize = 512;

/// The longest file, so that an invalid offset is an error and not an allocation.
pub const FILE_BYTES_MAX: u64 = 1 << 30;
