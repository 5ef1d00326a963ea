//! Operations of a core as records of a log, none longer than the log takes.

use synod_wal::{Lsn, Op};

use crate::log::LogError;

/// Hands operations to a log, in as many records of at most `record_bytes_max` as they need. The end
/// of the last one; `Lsn(0)` without operations.
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

/// A later version has written what is at this index.
pub(super) fn unknown_kind(index: u64, kind: u64) -> LogError {
    LogError::Failed(Box::new(UnknownKind { index, kind }))
}

#[derive(Debug, thiserror::Error)]
#[error("what stands at index {index} is of kind {kind}, which this version does not know")]
struct UnknownKind {
    index: u64,
    kind: u64,
}

/// At least what a record takes beside its operations.
const RECORD_HEAD_BYTES: usize = 128;
/// At least what an operation takes in a record beside a body.
const OP_BYTES: usize = 64;
