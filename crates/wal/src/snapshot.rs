//! Snapshot files beside the log: written as a whole or received in chunks, and complete only under
//! their final name.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, File};
use crate::reserve::Reserve;
use crate::snapshot_file::{self, BodyWriter, META_BYTES_MAX, OWNER_BYTES, Owner};
use crate::snapshot_file::{Seal, SnapshotReader};
use crate::{GroupId, SnapshotError, Tag};

use bytes::Bytes;

/// The identity of a snapshot: what it covers, and bytes that the owner interprets, such as a
/// membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The last slot it covers.
    pub index: u64,
    /// The owner's tag of that slot.
    pub tag: Tag,
    /// What else the owner needs to know before it reads the body; at most 1 MiB.
    pub meta: Bytes,
}

/// The snapshot files of a disk, usable from any thread.
///
/// A file with its final name is complete and durable, in name and contents. Until then it has
/// another name, keyed by the identity of the snapshot, so that parts of two snapshots never mix.
/// Peers transfer the whole file, byte for byte, except for its first bytes: they identify the log
/// that it belongs to by that log's salt, which is a secret.
///
/// ```
/// use std::io::Read;
/// use synod_wal::{Directory, GroupId, Options, Snapshot, Tag, Wal};
///
/// # let temporary = tempfile::tempdir()?;
/// # let path = temporary.path();
/// let snapshots = Wal::open(Directory::open(path)?, Options::default())?.snapshots();
/// let snapshot = Snapshot { index: 9, tag: Tag::default(), meta: "three voters".into() };
/// snapshots.create(GroupId(1), &snapshot, &mut |to| to.write_all(b"all that was said"))?;
///
/// let (found, mut reader) = snapshots.open(GroupId(1), 9)?;
/// let mut body = String::new();
/// reader.read_to_string(&mut body)?;
/// assert_eq!((found, body.as_str()), (snapshot, "all that was said"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Snapshots<D> {
    disk: D,
    /// The salt of the log that they belong to.
    salt: u64,
    /// Spent when a snapshot does not fit: the log can then be cut at it.
    reserve: Reserve,
    /// Held while a name is looked up and used: opening creates what is absent, so a snapshot that
    /// was removed in between would come back empty.
    names: Arc<Mutex<()>>,
}

/// The kind of a snapshot file, according to its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Complete and durable.
    Whole,
    /// Being received.
    Part,
    /// Being written here.
    New,
}

impl<D: Disk> Snapshots<D> {
    pub(crate) fn new(disk: D, salt: u64, reserve: Reserve) -> Self {
        Self {
            disk,
            salt,
            reserve,
            names: Arc::default(),
        }
    }

    /// Writes a snapshot whose body comes from `write`, and returns the length of the file. It is
    /// durable on return: synced under another name, renamed, and the directory synced.
    ///
    /// # Errors
    /// [`SnapshotError::Full`], which leaves nothing behind; errors of `write` or the medium;
    /// [`SnapshotError::MetaTooLarge`].
    pub fn create(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<u64, SnapshotError> {
        let (bytes, bytes_max) = (snapshot.meta.len(), META_BYTES_MAX);
        if bytes > bytes_max {
            return Err(SnapshotError::MetaTooLarge { bytes, bytes_max });
        }
        let name = name(group, snapshot.index, Kind::New);
        if self.exists(&name)? {
            self.disk.remove(&name)?;
        }
        let written = self.write_whole(group, snapshot, &name, write);
        let len = written.inspect_err(|_| {
            // The first error is the one to report; a leftover is removed by the next attempt.
            let _ = self.disk.remove(&name);
        })?;
        self.publish(group, snapshot.index, &name)?;
        Ok(len)
    }

    /// Writes a chunk of a file that is being received, at its offset. Chunks come in order; they
    /// may be repeated. The first chunk is accepted only if the whole file will fit: otherwise it
    /// would fill the disk for nothing, and leave no space to the log.
    ///
    /// # Errors
    /// [`SnapshotError::Gap`] if the chunk does not follow what was received;
    /// [`SnapshotError::Full`], also if the whole file would not fit; those of the medium.
    pub fn write_part(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        seal: &Seal,
        at: u64,
        bytes: &[u8],
    ) -> Result<(), SnapshotError> {
        let len = self.part_len(group, snapshot)?;
        if at > len {
            return Err(SnapshotError::Gap { len });
        }
        if at == 0 && !self.fits(seal, len)? {
            return Err(SnapshotError::Full);
        }
        let name = part_name(group, snapshot);
        let write = || self.disk.open(&name)?.write_at(OWNER_BYTES + at, bytes);
        Ok(self.reserve.spend(&self.disk, write)?)
    }

    /// Whether a file, of which `len` bytes are there, will fit, as far as the medium knows. The
    /// reserve may be spent.
    fn fits(&self, seal: &Seal, len: u64) -> io::Result<bool> {
        let Some(free) = self.disk.free_bytes()? else {
            return Ok(true);
        };
        let there = if len == 0 { 0 } else { OWNER_BYTES + len };
        let missing = seal.len.saturating_add(OWNER_BYTES).saturating_sub(there);
        Ok(missing <= free.saturating_add(self.reserve.held_bytes()))
    }

    /// How much of a file was received, so that a transfer can continue. After a power loss some of
    /// it may be bad, which [`finish_part`](Self::finish_part) detects.
    ///
    /// # Errors
    /// Those of the medium.
    pub fn part_len(&self, group: GroupId, snapshot: &Snapshot) -> Result<u64, SnapshotError> {
        let name = part_name(group, snapshot);
        Ok(if self.exists(&name)? {
            snapshot_file::len(&self.disk.open(&name)?)?
        } else {
            0
        })
    }

    /// Verifies a received file against its hash, against `snapshot` and against the `seal` that
    /// came with its chunks, and makes it complete and durable. It may be called again after a kill
    /// or a power loss interrupted it.
    ///
    /// A failed sync is different: a second one may report success without having done anything. If
    /// the contents could not be synced, the part is removed and the transfer must start over. If
    /// the name could not be synced, the snapshot must not be relied on, whatever a second call
    /// returns, until the directory was opened again.
    ///
    /// # Errors
    /// [`SnapshotError::Corrupt`] if it is not the whole file of `snapshot`, and
    /// [`SnapshotError::Seal`] if it is one, but not the one of the seal: discard it and start
    /// over; [`SnapshotError::NotFound`] without any part; those of the medium.
    pub fn finish_part(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        seal: &Seal,
    ) -> Result<(), SnapshotError> {
        let index = snapshot.index;
        let part = part_name(group, snapshot);
        let whole = name(group, index, Kind::Whole);
        let corrupt = SnapshotError::Corrupt { group, index };
        if !self.exists(&part)? {
            // It was renamed before, but the directory may not have been synced.
            if !self.exists(&whole)? || self.open(group, index)?.0 != *snapshot {
                return Err(SnapshotError::NotFound { group, index });
            }
            return Ok(self.disk.sync()?);
        }
        let file = self.disk.open(&part)?;
        match snapshot_file::verify(&file, group)? {
            Some((found, _, sealed)) if found == *snapshot && sealed == *seal => {}
            Some((found, ..)) if found == *snapshot => {
                return Err(SnapshotError::Seal { group, index });
            }
            _ => return Err(corrupt),
        }
        snapshot_file::write_owner(&file, self.salt)?;
        if let Err(error) = file.sync() {
            // This error is the one to report, whether or not the part can be removed.
            let _ = self.disk.remove(&part);
            return Err(error.into());
        }
        self.publish(group, index, &part)
    }

    /// Removes what was received of a snapshot, if anything.
    ///
    /// # Errors
    /// Those of the medium.
    pub fn discard_part(&self, group: GroupId, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        let name = part_name(group, snapshot);
        if self.exists(&name)? {
            self.disk.remove(&name)?;
        }
        Ok(())
    }

    /// The length and hash of a complete file, as stored in it.
    ///
    /// # Errors
    /// [`SnapshotError::NotFound`]; those of the medium.
    pub fn seal(&self, group: GroupId, index: u64) -> Result<Seal, SnapshotError> {
        Ok(snapshot_file::seal(&self.whole(group, index)?)?)
    }

    /// Reads bytes of a complete file, including header and trailer, to send them. It may read less
    /// than requested; 0 means the end. Nothing is verified here: the receiver does that.
    ///
    /// # Errors
    /// [`SnapshotError::NotFound`]; those of the medium.
    pub fn read(
        &self,
        group: GroupId,
        index: u64,
        at: u64,
        into: &mut [u8],
    ) -> Result<usize, SnapshotError> {
        let at = OWNER_BYTES.saturating_add(at);
        Ok(self.whole(group, index)?.read_at(at, into)?)
    }

    /// Verifies a complete file and opens its body.
    ///
    /// # Errors
    /// [`SnapshotError::NotFound`], [`Corrupt`](SnapshotError::Corrupt), [`Another`](SnapshotError::Another),
    /// [`Version`](SnapshotError::Version); the medium's.
    pub fn open(
        &self,
        group: GroupId,
        index: u64,
    ) -> Result<(Snapshot, SnapshotReader<D>), SnapshotError> {
        let file = self.own(group, index)?;
        let corrupt = SnapshotError::Corrupt { group, index };
        let found = snapshot_file::verify(&file, group)?.filter(|(found, ..)| found.index == index);
        let (snapshot, body, _) = found.ok_or(corrupt)?;
        Ok((snapshot, SnapshotReader::new(file, body)))
    }

    /// The complete snapshots of a group, ascending. Their headers are verified, their bodies are
    /// not. An unusable file is left out if there is a newer good one, which covers it;
    /// [`damaged`](Self::damaged) reports it.
    ///
    /// # Errors
    /// Unless there is a newer good file: [`SnapshotError::Corrupt`] names a file with a bad
    /// header, [`SnapshotError::Another`] one that belongs to another log; those of the medium.
    pub fn list(&self, group: GroupId) -> Result<Vec<Snapshot>, SnapshotError> {
        let mut found = Vec::new();
        for (_, snapshot) in self.survey(group)? {
            match snapshot {
                Ok(snapshot) => found.push(snapshot),
                Err(error) if found.is_empty() => return Err(error),
                Err(_) => {}
            }
        }
        found.reverse();
        Ok(found)
    }

    /// The complete snapshots of a group whose headers are bad or cannot be read, ascending, with
    /// index and error. [`remove_before`](Self::remove_before) removes them like good ones.
    ///
    /// # Errors
    /// Those of listing the medium.
    pub fn damaged(&self, group: GroupId) -> Result<Vec<(u64, SnapshotError)>, SnapshotError> {
        let bad = |(index, snapshot): (u64, Result<_, _>)| Some((index, snapshot.err()?));
        let mut damaged: Vec<_> = self.survey(group)?.filter_map(bad).collect();
        damaged.reverse();
        Ok(damaged)
    }

    /// Removes the complete snapshots of a group below `index`, and what was being written or
    /// received of them. Open readers stay usable.
    ///
    /// # Errors
    /// Those of the medium.
    pub fn remove_before(&self, group: GroupId, index: u64) -> Result<(), SnapshotError> {
        let _names = self.names();
        let files = self.files(group)?;
        let stale: Vec<_> = files
            .into_iter()
            .filter(|(_, other, _)| *other < index)
            .collect();
        for (name, ..) in &stale {
            self.disk.remove(name)?;
        }
        if !stale.is_empty() {
            self.disk.sync()?;
        }
        Ok(())
    }

    /// The header of each complete file, newest first.
    fn survey(
        &self,
        group: GroupId,
    ) -> io::Result<impl Iterator<Item = (u64, Result<Snapshot, SnapshotError>)>> {
        let files = self.files(group)?.into_iter();
        let mut indexes: Vec<u64> = files
            .filter(|(_, _, kind)| *kind == Kind::Whole)
            .map(|(_, index, _)| index)
            .collect();
        indexes.sort_unstable_by(|a, b| b.cmp(a));
        let read = move |index| match self.header(group, index) {
            // Removed since it was listed.
            Err(SnapshotError::NotFound { .. }) => None,
            snapshot => Some((index, snapshot)),
        };
        Ok(indexes.into_iter().filter_map(read))
    }

    fn header(&self, group: GroupId, index: u64) -> Result<Snapshot, SnapshotError> {
        let found = snapshot_file::header(&self.own(group, index)?, group)?;
        match found {
            Some((snapshot, _)) if snapshot.index == index => Ok(snapshot),
            _ => Err(SnapshotError::Corrupt { group, index }),
        }
    }

    fn write_whole(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        name: &str,
        write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<u64> {
        let file = self.reserve.spend(&self.disk, || self.disk.open(name))?;
        let owner = || snapshot_file::write_owner(&file, self.salt);
        self.reserve.spend(&self.disk, owner)?;
        let mut writer = BodyWriter::new(&self.disk, &self.reserve, &file);
        writer.write_all(&snapshot_file::encode_header(group, snapshot))?;
        write(&mut writer)?;
        let len = writer.finish()?;
        file.sync()?;
        Ok(len)
    }

    /// Gives a synced file its final name. Only after this may the log be cut.
    fn publish(&self, group: GroupId, index: u64, from: &str) -> Result<(), SnapshotError> {
        self.disk.rename(from, &name(group, index, Kind::Whole))?;
        Ok(self.disk.sync()?)
    }

    fn whole(&self, group: GroupId, index: u64) -> Result<D::File, SnapshotError> {
        let name = name(group, index, Kind::Whole);
        let _names = self.names();
        if self.exists(&name)? {
            Ok(self.disk.open(&name)?)
        } else {
            Err(SnapshotError::NotFound { group, index })
        }
    }

    /// Like [`whole`](Self::whole), if the file belongs to this log.
    fn own(&self, group: GroupId, index: u64) -> Result<D::File, SnapshotError> {
        let file = self.whole(group, index)?;
        snapshot_file::owner(&file)?.check(self.salt, group, index)?;
        Ok(file)
    }

    fn names(&self) -> MutexGuard<'_, ()> {
        // It guards no data, so it is consistent even if a holder panicked.
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn exists(&self, name: &str) -> io::Result<bool> {
        Ok(self.disk.list()?.iter().any(|other| other == name))
    }

    fn files(&self, group: GroupId) -> io::Result<Vec<(String, u64, Kind)>> {
        let parsed = |name: String| {
            let (owner, index, kind) = parse(&name)?;
            (owner == group).then_some((name, index, kind))
        };
        Ok(self.disk.list()?.into_iter().filter_map(parsed).collect())
    }
}

impl<D: Disk> Clone for Snapshots<D> {
    fn clone(&self) -> Self {
        Self {
            disk: self.disk.clone(),
            salt: self.salt,
            reserve: self.reserve.clone(),
            names: Arc::clone(&self.names),
        }
    }
}

impl<D> fmt::Debug for Snapshots<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots").finish_non_exhaustive()
    }
}

/// Removes the remains of snapshots that were being written or received when a process ended. For
/// callers that do not continue transfers and must write something before the log is opened,
/// perhaps to a full disk.
///
/// # Errors
/// Those of the medium.
pub fn remove_unfinished<D: Disk>(disk: &D) -> io::Result<()> {
    remove_kinds(disk, &[Kind::New, Kind::Part])
}

/// The complete snapshots of all groups, ascending, with the salts of the logs that they belong to.
/// Unreadable files and bad salts are left out: they are reported when the snapshot is needed.
///
/// # Errors
/// Those of listing the medium.
pub(crate) fn owners<D: Disk>(disk: &D) -> io::Result<Vec<(GroupId, u64, u64)>> {
    let mut owners = Vec::new();
    for name in disk.list()? {
        if let Some((group, index, Kind::Whole)) = parse(&name)
            && let Ok(file) = disk.open(&name)
            && let Ok(Owner::Log(salt)) = snapshot_file::owner(&file)
        {
            owners.push((group, index, salt));
        }
    }
    owners.sort_unstable();
    Ok(owners)
}

/// Removes what was being written, since writing is never resumed.
pub(crate) fn remove_unwritten<D: Disk>(disk: &D) -> io::Result<()> {
    remove_kinds(disk, &[Kind::New])
}

fn remove_kinds<D: Disk>(disk: &D, kinds: &[Kind]) -> io::Result<()> {
    for name in disk.list()? {
        if parse(&name).is_some_and(|(_, _, kind)| kinds.contains(&kind)) {
            disk.remove(&name)?;
        }
    }
    Ok(())
}

fn name(group: GroupId, index: u64, kind: Kind) -> String {
    format!("{group}-{index:020}.{}", kind.suffix())
}

fn part_name(group: GroupId, snapshot: &Snapshot) -> String {
    let header = snapshot_file::encode_header(group, snapshot);
    // Its last bytes are its checksum; a checksum over those as well would be the same for all
    // headers.
    let identity = crc32c::crc32c(&header[..header.len() - 4]);
    format!(
        "{group}-{:020}-{identity:08x}.{}",
        snapshot.index,
        Kind::Part.suffix()
    )
}

fn parse(name: &str) -> Option<(GroupId, u64, Kind)> {
    let (stem, suffix) = name.rsplit_once('.')?;
    let kind = [Kind::Whole, Kind::Part, Kind::New]
        .into_iter()
        .find(|kind| kind.suffix() == suffix)?;
    let mut fields = stem.splitn(3, '-');
    let (group, index) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((GroupId(group), index, kind))
}

impl Kind {
    fn suffix(self) -> &'static str {
        match self {
            Self::Whole => "snap",
            Self::Part => "part",
            Self::New => "new",
        }
    }
}
