//! A value: a byte string that grows at its end without being copied.
//!
//! A replica applies commands one after another, so what one costs all others wait for. If a value
//! were one piece of memory, appending a byte to 16 MiB would copy 16 MiB, again and again. So a
//! value that has grown by `APPEND` is a list of pieces that never change, and a tail that does:
//!
//! ```text
//! Short   [ as it was set                    ]
//! Long    [ as it was set ] [ >= 16 KiB ] [ >= 16 KiB ] .. [ tail < 16 KiB ]
//! ```
//!
//! | | costs |
//! |---|---|
//! | clone (an answer, a snapshot) | one reference count |
//! | append of `n` bytes, nobody shares the value | `n` bytes, amortised |
//! | append of `n` bytes, somebody does | as well at most 16 KiB and 1,025 reference counts, once |
//! | append to a value below 16 KiB | all of it |

use std::{fmt, sync::Arc};

use bytes::Bytes;

use crate::capacity::VALUE_BYTES_MAX;

/// A byte string of at most [`VALUE_BYTES_MAX`]. A clone shares it and stays as it is when the
/// original grows.
///
/// ```
/// use synod_kv::Value;
///
/// let mut value = Value::new(b"la ");
/// let before = value.clone();
/// value.append(b"la");
/// assert!(value == b"la la"[..] && before == b"la "[..]);
/// ```
#[derive(Clone)]
pub struct Value(Repr);

#[derive(Clone)]
enum Repr {
    Short(Arc<[u8]>),
    Long(Arc<Long>),
}

/// Invariants:
/// - `len` is the sum of the lengths of the pieces and the tail.
/// - Each piece but the first is at least [`PIECE_BYTES`] long, and the tail is shorter.
#[derive(Clone)]
struct Long {
    pieces: Vec<Arc<[u8]>>,
    tail: Vec<u8>,
    len: usize,
}

impl Value {
    /// A copy of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(Repr::Short(bytes.into()))
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Repr::Short(bytes) => bytes.len(),
            Repr::Long(long) => long.len,
        }
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts bytes behind those that are there.
    ///
    /// # Panics
    /// When the value would be longer than [`VALUE_BYTES_MAX`].
    pub fn append(&mut self, more: &[u8]) {
        assert!(
            self.len() + more.len() <= VALUE_BYTES_MAX,
            "a value too long"
        );
        match &mut self.0 {
            Repr::Short(bytes) if bytes.len() + more.len() <= PIECE_BYTES => {
                *bytes = [bytes, more].concat().into();
            }
            Repr::Short(bytes) => {
                let mut long = Long {
                    pieces: vec![Arc::clone(bytes)],
                    tail: Vec::new(),
                    len: bytes.len(),
                };
                long.append(more);
                self.0 = Repr::Long(Arc::new(long));
            }
            Repr::Long(long) => Arc::make_mut(long).append(more),
        }
    }

    /// The bytes, piece by piece, in their order.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let (pieces, last): (&[Arc<[u8]>], &[u8]) = match &self.0 {
            Repr::Short(bytes) => (&[], bytes),
            Repr::Long(long) => (&long.pieces, &long.tail),
        };
        pieces.iter().map(|piece| &piece[..]).chain([last])
    }

    /// A copy in one piece.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        let mut bytes = Vec::with_capacity(self.len());
        self.pieces()
            .for_each(|piece| bytes.extend_from_slice(piece));
        bytes.into()
    }
}

impl Long {
    fn append(&mut self, more: &[u8]) {
        self.len += more.len();
        self.tail.extend_from_slice(more);
        if self.tail.len() >= PIECE_BYTES {
            self.pieces.push(self.tail.as_slice().into());
            // Not cleared: one long append would leave its room behind.
            self.tail = Vec::new();
        }
    }
}

impl PartialEq<[u8]> for Value {
    fn eq(&self, other: &[u8]) -> bool {
        if self.len() != other.len() {
            return false;
        }
        let mut rest = other;
        self.pieces().all(|piece| {
            let (front, behind) = rest.split_at(piece.len());
            rest = behind;
            front == piece
        })
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.to_bytes() == other.to_bytes()
    }
}

impl Eq for Value {}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let front = self.pieces().next().unwrap_or_default();
        let shown = &front[..front.len().min(SHOWN_BYTES)];
        write!(f, "\"{}\" ({} bytes)", shown.escape_ascii(), self.len())
    }
}

const PIECE_BYTES: usize = 16 * 1_024;
const SHOWN_BYTES: usize = 64;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As many pieces as a snapshot or a reader that shares the value makes an append count.
    #[test]
    fn a_value_of_the_greatest_length_has_few_pieces() {
        let mut value = Value::new(b"");
        let line = vec![b'x'; 1_000];
        while value.len() + line.len() <= VALUE_BYTES_MAX {
            value.append(&line);
        }
        assert!(value.pieces().count() <= VALUE_BYTES_MAX / PIECE_BYTES + 1);
        assert!(value.pieces().all(|piece| piece.len() < 2 * PIECE_BYTES));
    }

    proptest! {
        #[test]
        fn a_value_is_what_was_put_together_and_a_clone_what_it_was(
            lengths in prop::collection::vec(
                prop_oneof![0_usize..40, PIECE_BYTES - 20..PIECE_BYTES + 20, 0..3 * PIECE_BYTES],
                1..12,
            ),
        ) {
            let (mut value, mut model) = (Value::new(b""), Vec::new());
            let mut moments = Vec::new();
            for (round, len) in lengths.into_iter().enumerate() {
                moments.push((value.clone(), model.clone()));
                let more: Vec<u8> = (0..len).map(|at| (at * 7 + round) as u8).collect();
                value.append(&more);
                model.extend_from_slice(&more);
                prop_assert!(value == model[..]);
                prop_assert_eq!(value.len(), model.len());
            }
            for (clone, bytes) in moments {
                prop_assert!(clone == bytes[..]);
                prop_assert_eq!(&clone.to_bytes()[..], &bytes[..]);
                prop_assert!(clone != [&bytes[..], b"x"].concat()[..]);
                let mut other = bytes;
                if let Some(last) = other.last_mut() {
                    *last ^= 1;
                    prop_assert!(clone != other[..]);
                }
            }
        }
    }
}
