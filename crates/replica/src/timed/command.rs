//! The commands of a timed machine as bytes.
//!
//! ```text
//! 10 command                      plain
//! 11 anchor elapsed command       stamped          kinds in hexadecimal; anchor, elapsed (microseconds): see `varint`
//! 12 anchor elapsed               tick
//! ```

use std::time::Duration;

use bytes::Bytes;

use crate::varint;

/// How long ago, by the clock of the node that proposes, that node applied an anchor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The number of the anchor; see [`LoggedTime`](super::LoggedTime).
    pub anchor: u64,
    /// Rounded down to microseconds.
    pub elapsed: Duration,
}

/// A command that tells no time.
#[must_use]
pub fn plain(command: &[u8]) -> Bytes {
    [&[PLAIN], command].concat().into()
}

/// A command, and what its proposer's clock has measured.
#[must_use]
pub fn stamped(stamp: Stamp, command: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(STAMP_BYTES_MAX + command.len());
    put(STAMPED, stamp, &mut bytes);
    bytes.extend_from_slice(command);
    bytes.into()
}

/// A stamp without a command, so that time goes on.
#[must_use]
pub fn tick(stamp: Stamp) -> Bytes {
    let mut bytes = Vec::with_capacity(STAMP_BYTES_MAX);
    put(TICK, stamp, &mut bytes);
    bytes.into()
}

/// What the bytes of a command hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimedCommand<'a> {
    /// See [`plain`].
    Plain(&'a [u8]),
    /// See [`stamped`].
    Stamped(Stamp, &'a [u8]),
    /// See [`tick`].
    Tick(Stamp),
}

impl<'a> TimedCommand<'a> {
    /// `None` of bytes that are no such command.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (&kind, mut rest) = bytes.split_first()?;
        match kind {
            PLAIN => Some(Self::Plain(rest)),
            STAMPED => {
                let stamp = take(&mut rest)?;
                Some(Self::Stamped(stamp, rest))
            }
            TICK => {
                let stamp = take(&mut rest)?;
                rest.is_empty().then_some(Self::Tick(stamp))
            }
            _ => None,
        }
    }
}

fn put(kind: u8, stamp: Stamp, to: &mut Vec<u8>) {
    to.push(kind);
    varint::put(stamp.anchor, to);
    varint::put(super::logged::micros(stamp.elapsed), to);
}

fn take(from: &mut &[u8]) -> Option<Stamp> {
    Some(Stamp {
        anchor: varint::take(from)?,
        elapsed: Duration::from_micros(varint::take(from)?),
    })
}

/// In front of a plain command.
pub const PLAIN: u8 = 0x10;
const STAMPED: u8 = 0x11;
const TICK: u8 = 0x12;
/// A kind and two numbers.
const STAMP_BYTES_MAX: usize = 21;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let stamp = Stamp {
            anchor: 300,
            elapsed: Duration::from_micros(5),
        };
        for (bytes, golden, command) in [
            (plain(b"ab"), &b"\x10ab"[..], TimedCommand::Plain(b"ab")),
            (
                stamped(stamp, b"ab"),
                b"\x11\xac\x02\x05ab",
                TimedCommand::Stamped(stamp, b"ab"),
            ),
            (tick(stamp), b"\x12\xac\x02\x05", TimedCommand::Tick(stamp)),
        ] {
            assert_eq!(bytes, golden);
            assert_eq!(TimedCommand::decode(&bytes), Some(command));
        }
        for bad in [&b""[..], b"\x13", b"\x11", b"\x12\x80", b"\x12\x01\x01x"] {
            assert_eq!(TimedCommand::decode(bad), None, "{bad:?}");
        }
    }
}
