//! The encoding of a snapshot file: owner, header, body, trailer. The documentation of the crate
//! draws the layout.
//!
//! The owner is the log that the file belongs to. It contains the secret of that log, so it never
//! leaves the node: the transferred part begins after it, and the receiver writes its own in front.
//! Offsets and lengths count from there.

use std::fmt;
use std::io::{self, Read, Write};
use std::ops::Range;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use crate::disk::{Disk, File, read_full};
use crate::reserve::Reserve;
use crate::{GroupId, Snapshot, SnapshotError, Tag};

/// Identifies a snapshot file as a whole. It is sent with each chunk, so that the received file can
/// be checked against what the first chunk announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seal {
    /// The length of the transferred part, in bytes.
    pub len: u64,
    /// SHA-256 of all its bytes but the last 32, which store this hash.
    pub hash: [u8; HASH_BYTES],
}

/// Reads the body of a snapshot.
pub struct SnapshotReader<D: Disk> {
    file: D::File,
    body: Range<u64>,
}

impl<D: Disk> SnapshotReader<D> {
    pub(crate) fn new(file: D::File, body: Range<u64>) -> Self {
        Self { file, body }
    }

    /// How many bytes are left to read.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.body.end - self.body.start
    }
}

impl<D: Disk> Read for SnapshotReader<D> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = (into.len() as u64).min(self.remaining()) as usize;
        let at = OWNER_BYTES + self.body.start;
        let count = self.file.read_at(at, &mut into[..count])?;
        self.body.start += count as u64;
        Ok(count)
    }
}

impl<D: Disk> fmt::Debug for SnapshotReader<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotReader")
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

/// Writes a file from its beginning, through a buffer and a hash.
pub(crate) struct BodyWriter<'a, D: Disk> {
    disk: &'a D,
    reserve: &'a Reserve,
    file: &'a D::File,
    at: u64,
    synced: u64,
    hash: Sha256,
    buffer: Vec<u8>,
}

impl<'a, D: Disk> BodyWriter<'a, D> {
    pub(crate) fn new(disk: &'a D, reserve: &'a Reserve, file: &'a D::File) -> Self {
        Self {
            disk,
            reserve,
            file,
            at: 0,
            synced: 0,
            hash: Sha256::new(),
            buffer: Vec::with_capacity(BUFFER_BYTES),
        }
    }

    /// Appends the trailer; returns the length of the file.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        let len = self.at + (self.buffer.len() + TRAILER_BYTES) as u64;
        self.buffer.extend_from_slice(&len.to_le_bytes());
        self.flush()?;
        let hash = self.hash.finalize();
        let at = OWNER_BYTES + self.at;
        self.reserve
            .spend(self.disk, || self.file.write_at(at, &hash))?;
        Ok(len)
    }
}

impl<D: Disk> Write for BodyWriter<'_, D> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let at = OWNER_BYTES + self.at;
        self.reserve
            .spend(self.disk, || self.file.write_at(at, &self.buffer))?;
        self.hash.update(&self.buffer);
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        // The log shares the device: many small syncs delay its own less than a single large one.
        if self.at - self.synced >= SYNC_BYTES {
            self.file.sync()?;
            self.synced = self.at;
        }
        Ok(())
    }
}

/// Writes the owner in front of a file.
pub(crate) fn write_owner(file: &impl File, salt: u64) -> io::Result<()> {
    let mut bytes = [0; OWNER_BYTES as usize];
    bytes[..8].copy_from_slice(OWNER_NAME);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[16..].copy_from_slice(&salt.to_le_bytes());
    let checksum = owner_checksum(&bytes);
    bytes[12..16].copy_from_slice(&checksum.to_le_bytes());
    file.write_at(0, &bytes)
}

/// The bytes in front of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The salt of the log that the file belongs to.
    Log(u64),
    /// The file has another format version.
    Version(u32),
    /// The bytes are damaged.
    Damaged,
}

impl Owner {
    /// Checks that the snapshot belongs to the log with this salt.
    pub(crate) fn check(self, salt: u64, group: GroupId, index: u64) -> Result<(), SnapshotError> {
        match self {
            Self::Log(own) if own == salt => Ok(()),
            Self::Log(_) => Err(SnapshotError::Another { group, index }),
            Self::Version(version) => Err(SnapshotError::Version {
                group,
                index,
                version,
            }),
            Self::Damaged => Err(SnapshotError::Corrupt { group, index }),
        }
    }
}

/// Reads the owner of a file. If only the version differs, by a bad byte, the file is damaged.
pub(crate) fn owner(file: &impl File) -> io::Result<Owner> {
    let mut bytes = [0; OWNER_BYTES as usize];
    let whole = read_full(file, 0, &mut bytes)? == bytes.len();
    let version = u32_at(&bytes, 8);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let is_ours = bytes[..8] == *OWNER_NAME && u32_at(&bytes, 12) == owner_checksum(&bytes);
    // Before version 1 a file had no owner.
    let is_known = bytes[..8] == *OWNER_NAME || bytes[..8] == *NAME && version == 0;
    Ok(match (whole, is_ours) {
        (true, true) if version == VERSION => Owner::Log(u64_at(&bytes, 16)),
        (true, false) if version != VERSION && is_known => Owner::Version(version),
        _ => Owner::Damaged,
    })
}

fn owner_checksum(bytes: &[u8; OWNER_BYTES as usize]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..])
}

/// The length of the transferred part of a file.
pub(crate) fn len(file: &impl File) -> io::Result<u64> {
    Ok(file.len()?.saturating_sub(OWNER_BYTES))
}

/// Reads the seal of a file. Nothing is verified: a file that is too short for a seal gets a hash
/// that no file has.
pub(crate) fn seal(file: &impl File) -> io::Result<Seal> {
    let len = len(file)?;
    let mut hash = [0; HASH_BYTES];
    if let Some(at) = len.checked_sub(HASH_BYTES as u64) {
        read_full(file, OWNER_BYTES + at, &mut hash)?;
    }
    Ok(Seal { len, hash })
}

/// Encodes the header of a snapshot's file.
pub(crate) fn encode_header(group: GroupId, snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(FIXED_BYTES + snapshot.meta.len() + 4);
    bytes.extend_from_slice(NAME);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(snapshot.meta.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&group.0.to_le_bytes());
    bytes.extend_from_slice(&snapshot.index.to_le_bytes());
    bytes.extend_from_slice(&snapshot.tag.0);
    bytes.extend_from_slice(&snapshot.meta);
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
    bytes
}

/// Reads the header of a file, if it is a good one of `group`, and the offset of the body.
pub(crate) fn header(file: &impl File, group: GroupId) -> io::Result<Option<(Snapshot, u64)>> {
    let mut fixed = [0; FIXED_BYTES];
    if read_full(file, OWNER_BYTES, &mut fixed)? < FIXED_BYTES {
        return Ok(None);
    }
    let meta_len = u32_at(&fixed, 12) as usize;
    let known = fixed[..8] == *NAME && u32_at(&fixed, 8) == VERSION;
    if !known || u64_at(&fixed, 16) != group.0 || meta_len > META_BYTES_MAX {
        return Ok(None);
    }
    let mut rest = vec![0; meta_len + 4];
    if read_full(file, OWNER_BYTES + FIXED_BYTES as u64, &mut rest)? < rest.len() {
        return Ok(None);
    }
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&fixed), &rest[..meta_len]);
    if checksum != u32_at(&rest, meta_len) {
        return Ok(None);
    }
    let mut tag = Tag::default();
    tag.0.copy_from_slice(&fixed[32..]);
    rest.truncate(meta_len);
    let snapshot = Snapshot {
        index: u64_at(&fixed, 24),
        tag,
        meta: Bytes::from(rest),
    };
    Ok(Some((snapshot, (FIXED_BYTES + meta_len + 4) as u64)))
}

/// Verifies a whole file against its checksum and its hash. Returns its snapshot, the range of the
/// body, and the seal, if all of it is good.
pub(crate) fn verify(
    file: &impl File,
    group: GroupId,
) -> io::Result<Option<(Snapshot, Range<u64>, Seal)>> {
    let Some((snapshot, start)) = header(file, group)? else {
        return Ok(None);
    };
    let seal = seal(file)?;
    let Some(end) = seal
        .len
        .checked_sub(TRAILER_BYTES as u64)
        .filter(|end| *end >= start)
    else {
        return Ok(None);
    };
    let (mut at, mut hash) = (0, Sha256::new());
    let mut buffer = vec![0; BUFFER_BYTES];
    while at < end {
        let want = (end - at).min(BUFFER_BYTES as u64) as usize;
        let count = read_full(file, OWNER_BYTES + at, &mut buffer[..want])?;
        if count < want {
            return Ok(None);
        }
        hash.update(&buffer[..count]);
        at += count as u64;
    }
    // The length is included, so that a truncation is detected.
    hash.update(seal.len.to_le_bytes());
    let mut said = [0; 8];
    read_full(file, OWNER_BYTES + end, &mut said)?;
    let good = u64::from_le_bytes(said) == seal.len && hash.finalize()[..] == seal.hash;
    Ok(good.then_some((snapshot, start..end, seal)))
}

/// `at` lies within `bytes`, whose length is fixed by the caller.
fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..]
        .first_chunk()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// The greatest length of `meta`.
pub(crate) const META_BYTES_MAX: usize = 1 << 20;
/// The length of the owner, in front of the transferred part.
pub(crate) const OWNER_BYTES: u64 = 24;
pub(crate) const HASH_BYTES: usize = 32;
const OWNER_NAME: &[u8; 8] = b"synodown";
const NAME: &[u8; 8] = b"synodsnp";
const VERSION: u32 = 1;
const FIXED_BYTES: usize = 64;
const TRAILER_BYTES: usize = 8 + HASH_BYTES;
const BUFFER_BYTES: usize = 64 * 1024;
const SYNC_BYTES: u64 = 4 << 20;
