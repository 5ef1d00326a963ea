//! The body of a log entry: the name of a proposal, followed by its commands.
//!
//! ```text
//!  0        8             16         24     28
//! ┌────────┬─────────────┬──────────┬──────┬─────────────┬──────┬───
//! │ node   │ incarnation │ sequence │ len  │ command ... │ len  │ ...     integers little-endian, version 0
//! └────────┴─────────────┴──────────┴──────┴─────────────┴──────┴───
//! ```
//!
//! The name matches an outcome to its request: an entry is found by name, never by index, because a
//! value may be chosen under a leadership that its proposer never had. It also reveals duplicates:
//! the names of one node rise in the order in which the node assigned them, so the applier drops
//! whatever does not rise.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The name of a proposal: unique, and rising on each node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The node on which the commands were proposed.
    pub node: u64,
    /// The number of the node's incarnation.
    pub incarnation: u64,
    /// Rises by one with each proposal of the incarnation.
    pub sequence: u64,
}

/// The length of the name, in bytes.
pub(crate) const NAME_BYTES: usize = 24;
/// The overhead of each command, in bytes.
pub(crate) const COMMAND_OVERHEAD_BYTES: usize = 4;

/// Encodes a body. Each command is at most `u32::MAX` bytes, which the engine's bounds ensure.
pub(crate) fn encode<'a>(name: Name, commands: impl Iterator<Item = &'a Bytes> + Clone) -> Bytes {
    let bytes: usize = commands
        .clone()
        .map(|c| COMMAND_OVERHEAD_BYTES + c.len())
        .sum();
    let mut body = BytesMut::with_capacity(NAME_BYTES + bytes);
    body.put_u64_le(name.node);
    body.put_u64_le(name.incarnation);
    body.put_u64_le(name.sequence);
    for command in commands {
        let len = u32::try_from(command.len()).unwrap_or(u32::MAX);
        body.put_u32_le(len);
        body.put_slice(&command[..len as usize]);
    }
    body.freeze()
}

/// The name at the start of a body, or `None` if it is too short to hold one.
#[must_use]
pub fn name(body: &[u8]) -> Option<Name> {
    let word = |at: usize| Some(u64::from_le_bytes(*body.get(at..)?.first_chunk()?));
    Some(Name {
        node: word(0)?,
        incarnation: word(8)?,
        sequence: word(16)?,
    })
}

/// The commands of a body, in order; ends at the first that is truncated.
pub fn commands(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = body.get(NAME_BYTES..).unwrap_or(&[]);
    std::iter::from_fn(move || {
        let (len, tail) = rest.split_first_chunk::<4>()?;
        let (command, tail) = tail.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        rest = tail;
        Some(command)
    })
}

/// The bytes after the name of a body.
pub(crate) fn after_name(body: &Bytes) -> Bytes {
    body.slice(NAME_BYTES.min(body.len())..)
}

/// Takes the first command off what [`after_name`] returned; `None` at the end, and at a truncated
/// command.
pub(crate) fn split_command(rest: &mut Bytes) -> Option<Bytes> {
    let (len, tail) = rest.split_first_chunk::<4>()?;
    let len = u32::from_le_bytes(*len) as usize;
    if tail.len() < len {
        return None;
    }
    rest.advance(4);
    Some(rest.split_to(len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden() {
        let name = Name {
            node: 1,
            incarnation: 2,
            sequence: 3,
        };
        let body = encode(name, [Bytes::from_static(b"ab"), Bytes::new()].iter());
        assert_eq!(
            &body[..],
            b"\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x02\0\0\0ab\0\0\0\0"
        );
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..9)) {
            let given = Name { node: 7, incarnation: 8, sequence: 9 };
            let parts: Vec<Bytes> = parts.into_iter().map(Bytes::from).collect();
            let body = encode(given, parts.iter());
            prop_assert_eq!(name(&body), Some(given));
            prop_assert!(commands(&body).eq(parts.iter().map(|p| &p[..])));
            let mut rest = after_name(&body);
            prop_assert!(std::iter::from_fn(|| split_command(&mut rest)).eq(parts));
        }

        #[test]
        fn arbitrary_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = name(&bytes);
            prop_assert!(commands(&bytes).map(|c| c.len() + 4).sum::<usize>() <= bytes.len());
        }
    }
}
