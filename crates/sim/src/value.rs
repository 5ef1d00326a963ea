//! Byte strings that grow by appending, cheap to clone, compare and hash.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// An immutable byte string.
///
/// [`append`](Self::append) shares what is there, so a thousand versions of a growing value cost
/// what the last one costs. A fingerprint (a polynomial modulo the prime 2^61 - 1) goes along; it
/// tells different values apart at once, and equality is then confirmed byte by byte.
///
/// ```
/// use synod_sim::Value;
///
/// let two = Value::from("a").append(b"b");
/// assert_eq!(two, Value::from("ab"));
/// assert!(two.is_prefix_of(&Value::from("abc")));
/// ```
#[derive(Clone, Default)]
pub struct Value(Option<Arc<Node>>);

/// Invariant: `bytes` is not empty; `length` and `fingerprint` are of the whole value.
struct Node {
    before: Value,
    bytes: Box<[u8]>,
    length: usize,
    fingerprint: u64,
}

impl Value {
    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |node| node.length)
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// This value with `bytes` behind it.
    #[must_use]
    pub fn append(&self, bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return self.clone();
        }
        let mut fingerprint = self.fingerprint();
        for &byte in bytes {
            let product = u128::from(fingerprint) * u128::from(BASE) + u128::from(byte) + 1;
            fingerprint = (product % u128::from(PRIME)) as u64;
        }
        let length = self.len() + bytes.len();
        Self(Some(Arc::new(Node {
            before: self.clone(),
            bytes: bytes.into(),
            length,
            fingerprint,
        })))
    }

    /// This value with `other` behind it.
    #[must_use]
    pub fn append_value(&self, other: &Self) -> Self {
        other
            .pieces()
            .into_iter()
            .fold(self.clone(), |value, piece| value.append(piece))
    }

    /// Whether `other` begins with this value.
    #[must_use]
    pub fn is_prefix_of(&self, other: &Self) -> bool {
        if let (Some(mine), Some(theirs)) = (&self.0, &other.0)
            && mine.before.is_empty()
            && theirs.before.is_empty()
        {
            return theirs.bytes.starts_with(&mine.bytes);
        }
        let mut theirs = Pieces::new(other);
        self.len() <= other.len() && self.pieces().into_iter().all(|piece| theirs.skip(piece))
    }

    /// The bytes in one piece.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        self.pieces().concat()
    }

    fn fingerprint(&self) -> u64 {
        self.0.as_ref().map_or(0, |node| node.fingerprint)
    }

    fn pieces(&self) -> Vec<&[u8]> {
        let mut pieces = Vec::new();
        let mut at = self;
        while let Some(node) = &at.0 {
            pieces.push(&*node.bytes);
            at = &node.before;
        }
        pieces.reverse();
        pieces
    }

    fn is_same(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (None, None) => true,
            (Some(mine), Some(theirs)) => Arc::ptr_eq(mine, theirs),
            _ => false,
        }
    }
}

/// The rest of a value that has been read from its front.
struct Pieces<'a> {
    pieces: std::vec::IntoIter<&'a [u8]>,
    first: &'a [u8],
}

impl<'a> Pieces<'a> {
    fn new(value: &'a Value) -> Self {
        Self {
            pieces: value.pieces().into_iter(),
            first: &[],
        }
    }

    /// Whether `bytes` come next; if so they are read.
    fn skip(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            if self.first.is_empty() {
                let Some(piece) = self.pieces.next() else {
                    return false;
                };
                self.first = piece;
            }
            let common = bytes.len().min(self.first.len());
            if bytes[..common] != self.first[..common] {
                return false;
            }
            bytes = &bytes[common..];
            self.first = &self.first[common..];
        }
        true
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other)
            || (self.len() == other.len()
                && self.fingerprint() == other.fingerprint()
                && self.is_prefix_of(other))
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint().hash(state);
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::default().append(bytes)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(&bytes[..])
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::from(text.as_bytes())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::from(text.as_bytes())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.to_vec().escape_ascii())
    }
}

impl Drop for Node {
    /// Without recursion: a value may consist of very many pieces.
    fn drop(&mut self) {
        let mut before = self.before.0.take();
        while let Some(node) = before {
            before = Arc::into_inner(node).and_then(|mut node| node.before.0.take());
        }
    }
}

const PRIME: u64 = (1 << 61) - 1;
const BASE: u64 = 0x0b5a_2d3f_97c1_e6d7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_do_not_matter() {
        let whole = Value::from("hello world");
        let pieces = Value::from("hel")
            .append(b"")
            .append(b"lo wor")
            .append(b"ld");
        assert_eq!(whole, pieces);
        assert_eq!(pieces.to_vec(), b"hello world");
        assert_eq!(
            Value::from("hel").append_value(&Value::from("lo w").append(b"orld")),
            whole
        );
        assert_ne!(whole, Value::from("hello_world"));
        assert_ne!(Value::from("\0"), Value::default());
        assert_eq!(format!("{:?}", Value::from("a\n")), r#""a\n""#);
    }

    #[test]
    fn prefixes() {
        let value = Value::from("ab").append(b"cd");
        for (text, expected) in [
            ("", true),
            ("a", true),
            ("abc", true),
            ("abcd", true),
            ("abcde", false),
            ("ac", false),
            ("abd", false),
        ] {
            assert_eq!(Value::from(text).is_prefix_of(&value), expected, "{text}");
        }
    }

    #[test]
    fn a_value_of_very_many_pieces_is_dropped() {
        let mut value = Value::default();
        for _ in 0..1_000_000 {
            value = value.append(b"x");
        }
        assert_eq!(value.len(), 1_000_000);
    }
}
