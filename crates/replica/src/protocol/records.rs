//! Splits a core's operations into records that fit the log.

use synod_wal::{Lsn, Op};

use crate::log::LogError;

/// Appends operations to a log, in as many records of at most `record_bytes_max` as needed. Returns
/// the end of the last one; `Lsn(0)` without operations.
pub(super) fn append_all<'a, E>(
    ops: impl Iterator<Item = Op<'a>>,
    record_bytes_max: usize,
    mut append: impl FnMut(&mut dyn Iterator<Item = Op<'_>>) -> Result<Lsn, E>,
) -> Result<Lsn, E> {
    let mut ops = ops.peekable();
    let mut lsn = Lsn(0);
    while ops.peek().is_some() {
        let (mut bytes, mut count) = (RECORD_HEAD_BYTES, 0);
        let mut fits = |op: &Op<'_>| {
            bytes += OP_BYTES
                + match op {
                    Op::Put { body, .. } => body.len(),
                    _ => 0,
                };
            count += 1;
            count == 1 || bytes <= record_bytes_max
        };
        let mut record = std::iter::from_fn(|| ops.next_if(&mut fits)).fuse();
        lsn = append(&mut record)?;
    }
    Ok(lsn)
}

/// An error for a slot that a later version has written.
pub(super) fn unknown_kind(index: u64, kind: u64) -> LogError {
    LogError::Failed(Box::new(UnknownKind { index, kind }))
}

#[derive(Debug, thiserror::Error)]
#[error("the entry at index {index} has kind {kind}, which this version does not know")]
struct UnknownKind {
    index: u64,
    kind: u64,
}

/// An upper bound on what a record takes besides its operations, in bytes.
const RECORD_HEAD_BYTES: usize = 128;
/// An upper bound on what an operation takes besides its body, in bytes.
const OP_BYTES: usize = 64;
