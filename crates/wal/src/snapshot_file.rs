//! A snapshot file as bytes: header, body, trailer. The layout is drawn in the documentation of the
//! crate.

use std::fmt;
use std::io::{self, Read, Write};
use std::ops::Range;

use bytes::Bytes;

use crate::disk::{Disk, File, read_full};
use crate::reserve::Reserve;
use crate::{GroupId, Snapshot, Tag};

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
        let count = self.file.read_at(self.body.start, &mut into[..count])?;
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

/// Writes a file from its beginning, through a buffer and a checksum.
pub(crate) struct BodyWriter<'a, D: Disk> {
    disk: &'a D,
    reserve: &'a Reserve,
    file: &'a D::File,
    at: u64,
    synced: u64,
    checksum: u32,
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
            checksum: 0,
            buffer: Vec::with_capacity(BUFFER_BYTES),
        }
    }

    /// Adds the trailer; returns the length of the file.
    pub(crate) fn finish(mut self) -> io::Result<u64> {
        let len = self.at + (self.buffer.len() + TRAILER_BYTES) as u64;
        self.buffer.extend_from_slice(&len.to_le_bytes());
        let checksum = crc32c::crc32c_append(self.checksum, &self.buffer);
        self.buffer.extend_from_slice(&checksum.to_le_bytes());
        self.flush()?;
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
        self.reserve
            .spend(self.disk, || self.file.write_at(self.at, &self.buffer))?;
        self.checksum = crc32c::crc32c_append(self.checksum, &self.buffer);
        self.at += self.buffer.len() as u64;
        self.buffer.clear();
        // The log shares the device: many small syncs hold its own up less than one of everything.
        if self.at - self.synced >= SYNC_BYTES {
            self.file.sync()?;
            self.synced = self.at;
        }
        Ok(())
    }
}

/// The header of the file of a snapshot.
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

/// Reads the header of a file, if it is a good one of `group`; and where the body begins.
pub(crate) fn header(file: &impl File, group: GroupId) -> io::Result<Option<(Snapshot, u64)>> {
    let mut fixed = [0; FIXED_BYTES];
    if read_full(file, 0, &mut fixed)? < FIXED_BYTES {
        return Ok(None);
    }
    let meta_len = u32_at(&fixed, 12) as usize;
    let known = fixed[..8] == *NAME && u32_at(&fixed, 8) == VERSION;
    if !known || u64_at(&fixed, 16) != group.0 || meta_len > META_BYTES_MAX {
        return Ok(None);
    }
    let mut rest = vec![0; meta_len + 4];
    if read_full(file, FIXED_BYTES as u64, &mut rest)? < rest.len() {
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

/// Reads a whole file against its checksums. What it holds and where the body is, if all of it is
/// good.
pub(crate) fn verify(
    file: &impl File,
    group: GroupId,
) -> io::Result<Option<(Snapshot, Range<u64>)>> {
    let Some((snapshot, start)) = header(file, group)? else {
        return Ok(None);
    };
    let len = file.len()?;
    let Some(end) = len
        .checked_sub(TRAILER_BYTES as u64)
        .filter(|end| *end >= start)
    else {
        return Ok(None);
    };
    let mut trailer = [0; TRAILER_BYTES];
    if read_full(file, end, &mut trailer)? < TRAILER_BYTES || u64_at(&trailer, 0) != len {
        return Ok(None);
    }
    let (mut at, mut checksum) = (0, 0);
    let mut buffer = vec![0; BUFFER_BYTES];
    while at < end {
        let want = (end - at).min(BUFFER_BYTES as u64) as usize;
        let count = read_full(file, at, &mut buffer[..want])?;
        if count < want {
            return Ok(None);
        }
        checksum = crc32c::crc32c_append(checksum, &buffer[..count]);
        at += count as u64;
    }
    let checksum = crc32c::crc32c_append(checksum, &trailer[..8]);
    Ok((checksum == u32_at(&trailer, 8)).then_some((snapshot, start..end)))
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

/// The longest `meta`.
pub(crate) const META_BYTES_MAX: usize = 1 << 20;
const NAME: &[u8; 8] = b"synodsnp";
const VERSION: u32 = 0;
const FIXED_BYTES: usize = 64;
const TRAILER_BYTES: usize = 12;
const BUFFER_BYTES: usize = 64 * 1024;
const SYNC_BYTES: u64 = 4 << 20;
