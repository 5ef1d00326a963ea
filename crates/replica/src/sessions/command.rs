//! The commands of a machine with sessions as bytes.
//!
//! ```text
//! 20 command                         unnamed
//! 21                                 open
//! 22 session sequence command        named            kinds in hexadecimal; numbers: see `varint`
//! 23 session                         close
//! 24 sessions window reply replies idle               limit; idle in microseconds
//! ```

use std::fmt;

use bytes::Bytes;

use super::SessionLimits;
use crate::varint;

/// A session: issued by the log, never twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a command within its session, given out by the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

/// The name of a command: under it, it runs at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionName {
    /// Whose.
    pub session: SessionId,
    /// Which of its commands.
    pub sequence: Sequence,
}

/// A command outside of any session: it runs each time that it is asked.
#[must_use]
pub fn unnamed(command: &[u8]) -> Bytes {
    [&[UNNAMED], command].concat().into()
}

/// Opens a session. Asked twice, it opens two; what is not used expires.
#[must_use]
pub fn open() -> Bytes {
    Bytes::from_static(&[OPEN])
}

/// A command under its name.
#[must_use]
pub fn named(name: SessionName, command: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(HEAD_BYTES_MAX + command.len());
    bytes.push(NAMED);
    varint::put(name.session.0, &mut bytes);
    varint::put(name.sequence.0, &mut bytes);
    bytes.extend_from_slice(command);
    bytes.into()
}

/// Ends a session, and forgets all that is known of it.
#[must_use]
pub fn close(session: SessionId) -> Bytes {
    let mut bytes = vec![CLOSE];
    varint::put(session.0, &mut bytes);
    bytes.into()
}

/// Sets the limits of all sessions from here on, [within what is allowed](SessionLimits::within_bounds).
#[must_use]
pub fn limit(limits: SessionLimits) -> Bytes {
    let mut bytes = vec![LIMIT];
    for number in limits.numbers() {
        varint::put(number, &mut bytes);
    }
    bytes.into()
}

/// What the bytes of a command hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionCommand<'a> {
    /// See [`unnamed`].
    Unnamed(&'a [u8]),
    /// See [`open`].
    Open,
    /// See [`named`].
    Named(SessionName, &'a [u8]),
    /// See [`close`].
    Close(SessionId),
    /// See [`limit`].
    Limit(SessionLimits),
}

impl<'a> SessionCommand<'a> {
    /// `None` of bytes that are no such command.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (&kind, mut rest) = bytes.split_first()?;
        let decoded = match kind {
            UNNAMED => return Some(Self::Unnamed(rest)),
            NAMED => {
                let name = SessionName {
                    session: SessionId(varint::take(&mut rest)?),
                    sequence: Sequence(varint::take(&mut rest)?),
                };
                return Some(Self::Named(name, rest));
            }
            OPEN => Self::Open,
            CLOSE => Self::Close(SessionId(varint::take(&mut rest)?)),
            LIMIT => {
                let mut numbers = [0; 5];
                for number in &mut numbers {
                    *number = varint::take(&mut rest)?;
                }
                Self::Limit(SessionLimits::of_numbers(numbers))
            }
            _ => return None,
        };
        rest.is_empty().then_some(decoded)
    }
}

/// In front of an unnamed command.
pub const UNNAMED: u8 = 0x20;
const OPEN: u8 = 0x21;
const NAMED: u8 = 0x22;
const CLOSE: u8 = 0x23;
const LIMIT: u8 = 0x24;
/// A kind and two numbers.
const HEAD_BYTES_MAX: usize = 21;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let name = SessionName {
            session: SessionId(300),
            sequence: Sequence(5),
        };
        let limits = SessionLimits {
            sessions_max: 1,
            window: 2,
            reply_bytes_max: 3,
            replies_bytes_max: 4,
            idle: std::time::Duration::from_micros(5),
        };
        for (bytes, golden, command) in [
            (
                unnamed(b"ab"),
                &b"\x20ab"[..],
                SessionCommand::Unnamed(b"ab"),
            ),
            (open(), b"\x21", SessionCommand::Open),
            (
                named(name, b"ab"),
                b"\x22\xac\x02\x05ab",
                SessionCommand::Named(name, b"ab"),
            ),
            (
                close(name.session),
                b"\x23\xac\x02",
                SessionCommand::Close(name.session),
            ),
            (
                limit(limits),
                b"\x24\x01\x02\x03\x04\x05",
                SessionCommand::Limit(limits),
            ),
        ] {
            assert_eq!(bytes, golden);
            assert_eq!(SessionCommand::decode(&bytes), Some(command));
        }
        for bad in [
            &b""[..],
            b"\x25",
            b"\x21x",
            b"\x22\x01",
            b"\x23",
            b"\x24\x01",
        ] {
            assert_eq!(SessionCommand::decode(bad), None, "{bad:?}");
        }
    }
}
