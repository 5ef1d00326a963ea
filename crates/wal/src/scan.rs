//! Reads a segment record by record, and finds good records after a bad one.

use std::io;
use std::sync::Arc;

use crate::Lsn;
use crate::disk::{File, read_full};
use crate::format::{self, ALIGN_BYTES, BLOCK_BYTES, HEADER_BYTES, Header, MAGIC};

/// A part of a segment in memory, for reading forwards.
#[derive(Debug)]
pub(crate) struct Window<F> {
    file: Arc<F>,
    len: u64,
    /// Only records with this salt count; `None` if the salt is not known yet.
    salt: Option<u64>,
    at: u64,
    buffer: Vec<u8>,
}

/// A record whose checksum is right.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) at: u64,
    pub(crate) len: u64,
    pub(crate) header: Header,
    pub(crate) version: u8,
}

/// A position between two records of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The end of the record before it.
    pub(crate) at: u64,
    /// The start of that record's batch.
    pub(crate) batch_at: u64,
    pub(crate) lsn: Lsn,
    pub(crate) batch: u64,
    /// The durable end according to the records of the batch.
    pub(crate) durable: Lsn,
    /// Whether the record before it was the last of its batch.
    pub(crate) last: bool,
}

impl<F: File> Window<F> {
    pub(crate) fn new(file: Arc<F>, len: u64, salt: Option<u64>) -> Self {
        Self {
            file,
            len,
            salt,
            at: 0,
            buffer: Vec::new(),
        }
    }

    /// The bytes of a range; `None` unless it lies within the file.
    pub(crate) fn bytes(&mut self, at: u64, count: u64) -> io::Result<Option<&[u8]>> {
        let Some(end) = at.checked_add(count).filter(|end| *end <= self.len) else {
            return Ok(None);
        };
        if at < self.at || end > self.at + self.buffer.len() as u64 {
            let want = count.max(WINDOW_BYTES).min(self.len - at);
            self.buffer.resize(want as usize, 0);
            self.at = at;
            let count = read_full(&*self.file, at, &mut self.buffer)
                .inspect_err(|_| self.buffer.clear())?;
            self.buffer.truncate(count);
        }
        Ok(self
            .buffer
            .get((at - self.at) as usize..)
            .and_then(|bytes| bytes.get(..count as usize)))
    }

    /// The record at `at`, if there is a good one.
    pub(crate) fn frame(&mut self, at: u64) -> io::Result<Option<Frame>> {
        let bytes = self.bytes(at, HEADER_BYTES as u64)?;
        let Some((header, len)) = bytes
            .and_then(|b| b.first_chunk())
            .and_then(|b| format::header(at, b))
            .filter(|(header, _)| self.salt.is_none_or(|salt| header.salt == salt))
        else {
            return Ok(None);
        };
        let frame = self
            .bytes(at, len)?
            .filter(|bytes| format::verify(at, bytes));
        Ok(frame.map(|bytes| Frame {
            at,
            len,
            header,
            version: format::version(bytes),
        }))
    }

    /// The payload of a record.
    pub(crate) fn payload(&mut self, frame: &Frame) -> io::Result<&[u8]> {
        let bytes = self.bytes(frame.at, frame.len)?.and_then(format::payload);
        bytes.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// The record that follows `cursor` in the segment of `generation`, if there is one.
    ///
    /// It either continues the batch, or begins another one at the next block: after the last
    /// record of a batch, or where an earlier recovery cut a torn one. The numbers under its
    /// checksum decide.
    pub(crate) fn next(
        &mut self,
        generation: u64,
        cursor: &Cursor,
    ) -> io::Result<Option<(Frame, Cursor)>> {
        let fits = |header: &Header| {
            header.generation == generation && cursor.lsn.next() == Some(header.lsn)
        };
        if !cursor.last
            && let Some(frame) = self.frame(cursor.at)?
        {
            let header = frame.header;
            if fits(&header)
                && header.batch == cursor.batch
                && header.durable == cursor.durable
                && frame.version == 0
            {
                return Ok(Some((frame.clone(), frame.cursor(cursor.batch_at))));
            }
        }
        let start = cursor.at.next_multiple_of(BLOCK_BYTES);
        let Some(frame) = self.frame(start)? else {
            return Ok(None);
        };
        let header = frame.header;
        let follows = fits(&header) && header.batch > cursor.batch && header.durable == cursor.lsn;
        Ok((follows && frame.version == 0).then(|| (frame.clone(), frame.cursor(start))))
    }

    /// The first good record at or after `from` whose header is `wanted`. It may begin wherever a
    /// record may, even in the partial last block of a truncated file, because [`next`](Self::next)
    /// reads records there too.
    pub(crate) fn search(
        &mut self,
        from: u64,
        wanted: impl Fn(&Header) -> bool,
    ) -> io::Result<Option<Frame>> {
        let mut block = from / BLOCK_BYTES * BLOCK_BYTES;
        while block < self.len {
            let count = BLOCK_BYTES.min(self.len - block);
            let Some(bytes) = self.bytes(block, count)? else {
                break;
            };
            let chunks = bytes.chunks_exact(ALIGN_BYTES as usize).enumerate();
            let magic = chunks.filter(|(_, chunk)| chunk[..MAGIC.len()] == MAGIC);
            let candidates: Vec<u64> = magic.map(|(i, _)| block + i as u64 * ALIGN_BYTES).collect();
            for at in candidates.into_iter().filter(|at| *at >= from) {
                if let Some(frame) = self.frame(at)?
                    && wanted(&frame.header)
                {
                    return Ok(Some(frame));
                }
            }
            block += BLOCK_BYTES;
        }
        Ok(None)
    }
}

impl Frame {
    /// The position after this record.
    pub(crate) fn cursor(&self, batch_at: u64) -> Cursor {
        let Header {
            lsn,
            batch,
            durable,
            last,
            ..
        } = self.header;
        Cursor {
            at: self.at + self.len,
            batch_at,
            lsn,
            batch,
            durable,
            last,
        }
    }
}

impl Cursor {
    /// The position before the first record of a segment.
    pub(crate) fn before(head: &Header) -> Self {
        let lsn = Lsn(head.lsn.0.saturating_sub(1));
        Self {
            at: 0,
            batch_at: 0,
            lsn,
            batch: head.batch.saturating_sub(1),
            durable: lsn,
            last: true,
        }
    }

    /// The same position, at the start of the next segment.
    pub(crate) fn into_next_segment(self) -> Self {
        Self {
            at: 0,
            batch_at: 0,
            last: true,
            ..self
        }
    }
}

/// How much is read at once.
const WINDOW_BYTES: u64 = 256 * 1024;
