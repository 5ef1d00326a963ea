//! Snapshots in memory: files with a header and a checksum, with an optional bug.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use synod_replica::{GroupId, Snapshot, SnapshotStore};
use synod_wal::{Seal, SnapshotError, Tag};

use crate::memory_log::Bug;

/// A group, an index, and for unfinished files also the snapshot's identity.
type Name = (u64, u64, Vec<u8>);

/// The files.
#[derive(Default)]
pub(crate) struct ShelfState {
    whole: BTreeMap<(u64, u64), Vec<u8>>,
    unsynced: Vec<(u64, u64)>,
    parts: BTreeMap<Name, Vec<u8>>,
}

impl ShelfState {
    pub(crate) fn lose_power(&mut self) {
        for name in self.unsynced.drain(..) {
            self.whole.remove(&name);
        }
    }

    pub(crate) fn damage(&mut self, group: GroupId, index: u64) {
        let file = self.whole.get_mut(&(group.0, index)).unwrap();
        let middle = file.len() / 2;
        file[middle] ^= 1;
    }
}

/// A handle to them.
pub(crate) struct Shelf {
    state: Arc<Mutex<ShelfState>>,
    bug: Option<Bug>,
}

impl Shelf {
    pub(crate) fn new(state: Arc<Mutex<ShelfState>>, bug: Option<Bug>) -> Self {
        Self { state, bug }
    }

    /// The snapshots of a group, ascending.
    pub(crate) fn list(&self, group: GroupId) -> Vec<Snapshot> {
        let state = self.lock();
        let of = state.whole.range((group.0, 0)..=(group.0, u64::MAX));
        of.filter_map(|((_, index), file)| Some(decode(group.0, *index, file, false)?.0))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, ShelfState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, group: GroupId, index: u64) -> Result<Vec<u8>, SnapshotError> {
        let file = self.lock().whole.get(&(group.0, index)).cloned();
        file.ok_or(SnapshotError::NotFound { group, index })
    }

    fn part(&self, group: GroupId, snapshot: &Snapshot) -> Name {
        if self.bug == Some(Bug::MixesParts) {
            return (0, snapshot.index, Vec::new());
        }
        let identity = [&snapshot.tag.0[..], &snapshot.meta].concat();
        (group.0, snapshot.index, identity)
    }
}

impl SnapshotStore for Shelf {
    fn create(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
    ) -> Result<u64, SnapshotError> {
        let mut body = Vec::new();
        let written = write(&mut body);
        if self.bug == Some(Bug::CutsLargeSnapshots) {
            body.truncate(256 << 10);
        }
        let file = encode(group.0, snapshot, &body);
        let len = file.len() as u64;
        if self.bug != Some(Bug::FailedWriterLeavesASnapshot) {
            written?;
            self.insert(group.0, snapshot.index, file);
            return Ok(len);
        }
        self.insert(group.0, snapshot.index, file);
        Ok(written.map(|()| len)?)
    }

    fn write_part(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        _: &Seal,
        at: u64,
        bytes: &[u8],
    ) -> Result<(), SnapshotError> {
        let (name, mut state) = (self.part(group, snapshot), self.lock());
        let part = state.parts.entry(name).or_default();
        let end = at as usize + bytes.len();
        part.resize(part.len().max(end), 0);
        part[at as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn finish_part(
        &self,
        group: GroupId,
        snapshot: &Snapshot,
        seal: &Seal,
    ) -> Result<(), SnapshotError> {
        let (name, index) = (self.part(group, snapshot), snapshot.index);
        let part = self.lock().parts.get(&name).cloned();
        let part = part.ok_or(SnapshotError::NotFound { group, index })?;
        let declared = part.first_chunk().map_or(0, |len| u64::from_le_bytes(*len));
        let is_long_enough = declared == part.len() as u64;
        let found = match self.bug {
            Some(Bug::BelievesParts) => Some(snapshot.clone()),
            Some(Bug::BelievesAnyByte) if is_long_enough => {
                decode(group.0, index, &part, false).map(|found| found.0)
            }
            Some(Bug::TakesTrailingBytes) => {
                let len = declared.min(part.len() as u64) as usize;
                decode(group.0, index, &part[..len], true).map(|found| found.0)
            }
            _ => decode(group.0, index, &part, true).map(|found| found.0),
        };
        if found.is_none_or(|found| found != *snapshot) {
            return Err(SnapshotError::Corrupt { group, index });
        }
        let asks_nothing = matches!(
            self.bug,
            Some(
                Bug::IgnoresSeals
                    | Bug::BelievesParts
                    | Bug::BelievesAnyByte
                    | Bug::TakesTrailingBytes
            )
        );
        if seal_of(&part) != *seal && !asks_nothing {
            return Err(SnapshotError::Seal { group, index });
        }
        self.insert(group.0, index, part);
        let mut state = self.lock();
        state.parts.remove(&name);
        if self.bug == Some(Bug::ReceivedIsNotDurable) {
            state.unsynced.push((group.0, index));
        }
        Ok(())
    }

    fn discard_part(&self, group: GroupId, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        let name = self.part(group, snapshot);
        self.lock().parts.remove(&name);
        Ok(())
    }

    fn seal(&self, group: GroupId, index: u64) -> Result<Seal, SnapshotError> {
        Ok(seal_of(&self.file(group, index)?))
    }

    fn read(
        &self,
        group: GroupId,
        index: u64,
        at: u64,
        into: &mut [u8],
    ) -> Result<usize, SnapshotError> {
        let mut file = Cursor::new(self.file(group, index)?);
        file.set_position(at);
        Ok(file.read(into)?)
    }

    fn open(
        &self,
        group: GroupId,
        index: u64,
    ) -> Result<(Snapshot, Box<dyn Read + Send>), SnapshotError> {
        let file = self.file(group, index)?;
        let found = decode(group.0, index, &file, self.bug != Some(Bug::BelievesDamage));
        let (snapshot, body) = found.ok_or(SnapshotError::Corrupt { group, index })?;
        Ok((snapshot, Box::new(Cursor::new(body))))
    }

    fn remove_before(&self, group: GroupId, index: u64) -> Result<(), SnapshotError> {
        let all = self.bug == Some(Bug::SnapshotsOfAllGroups);
        let mut state = self.lock();
        state
            .whole
            .retain(|(of, at), _| (*of != group.0 && !all) || *at >= index);
        Ok(())
    }
}

impl Shelf {
    fn insert(&self, group: u64, index: u64, file: Vec<u8>) {
        let mut state = self.lock();
        state.whole.insert((group, index), file);
        if self.bug == Some(Bug::UnsyncedSnapshots) {
            state.unsynced.push((group, index));
        }
    }
}

/// A file in memory needs no unforgeable hash. It ends with its checksum, so the checksum of the
/// whole would be the same for all files.
fn seal_of(file: &[u8]) -> Seal {
    let mut hash = [0; 32];
    let content = &file[..file.len().saturating_sub(4)];
    hash[..4].copy_from_slice(&crc32c::crc32c(content).to_le_bytes());
    let len = file.len() as u64;
    Seal { len, hash }
}

/// Encodes length, group, index, tag, length of meta, meta, body, checksum.
fn encode(group: u64, snapshot: &Snapshot, body: &[u8]) -> Vec<u8> {
    let len = 8 + 8 + 8 + 32 + 8 + snapshot.meta.len() + body.len() + 4;
    let mut file = (len as u64).to_le_bytes().to_vec();
    file.extend_from_slice(&group.to_le_bytes());
    file.extend_from_slice(&snapshot.index.to_le_bytes());
    file.extend_from_slice(&snapshot.tag.0);
    file.extend_from_slice(&(snapshot.meta.len() as u64).to_le_bytes());
    file.extend_from_slice(&snapshot.meta);
    file.extend_from_slice(body);
    let checksum = crc32c::crc32c(&file);
    file.extend_from_slice(&checksum.to_le_bytes());
    file
}

fn decode(group: u64, index: u64, file: &[u8], verify: bool) -> Option<(Snapshot, Vec<u8>)> {
    let word = |at: usize| Some(u64::from_le_bytes(*file.get(at..)?.first_chunk()?));
    let (content, checksum) = file.split_at_checked(file.len().checked_sub(4)?)?;
    let is_whole =
        word(0)? == file.len() as u64 && crc32c::crc32c(content).to_le_bytes() == checksum;
    if (verify && !is_whole) || (word(8)?, word(16)?) != (group, index) {
        return None;
    }
    let meta_len = usize::try_from(word(56)?).ok()?;
    let snapshot = Snapshot {
        index,
        tag: Tag(*file.get(24..)?.first_chunk()?),
        meta: Bytes::copy_from_slice(content.get(64..64_usize.checked_add(meta_len)?)?),
    };
    Some((snapshot, content.get(64 + meta_len..)?.to_vec()))
}
