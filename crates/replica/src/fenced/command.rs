//! The commands of a fenced machine as bytes.
//!
//! ```text
//! 30 reign                           take over
//! 31 reign number command            fenced           kinds in hexadecimal; numbers: see `varint`
//! ```

use std::fmt;

use bytes::Bytes;

use crate::varint;

/// A reign: counted by take-overs, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReignId(pub u64);

impl ReignId {
    /// The one that may follow it; `None` at the end of all numbers.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

impl fmt::Display for ReignId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Begins `reign`, if the one before it is in force.
#[must_use]
pub fn take_over(reign: ReignId) -> Bytes {
    let mut bytes = vec![TAKE_OVER];
    varint::put(reign.0, &mut bytes);
    bytes.into()
}

/// A command of a reign; `number` counts them from 1.
#[must_use]
pub fn fenced(reign: ReignId, number: u64, command: &[u8]) -> Bytes {
    let mut bytes = Vec::with_capacity(HEAD_BYTES_MAX + command.len());
    bytes.push(FENCED);
    varint::put(reign.0, &mut bytes);
    varint::put(number, &mut bytes);
    bytes.extend_from_slice(command);
    bytes.into()
}

/// What the bytes of a command hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FencedCommand<'a> {
    /// See [`take_over`].
    TakeOver(ReignId),
    /// See [`fenced`].
    Fenced {
        /// Whose.
        reign: ReignId,
        /// Which of its commands.
        number: u64,
        /// For the machine.
        command: &'a [u8],
    },
}

impl<'a> FencedCommand<'a> {
    /// `None` of bytes that are no such command.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let (&kind, mut rest) = bytes.split_first()?;
        let reign = ReignId(varint::take(&mut rest)?);
        match kind {
            TAKE_OVER => rest.is_empty().then_some(Self::TakeOver(reign)),
            FENCED => {
                let number = varint::take(&mut rest)?;
                Some(Self::Fenced {
                    reign,
                    number,
                    command: rest,
                })
            }
            _ => None,
        }
    }
}

const TAKE_OVER: u8 = 0x30;
const FENCED: u8 = 0x31;
/// A kind and two numbers.
const HEAD_BYTES_MAX: usize = 21;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let reign = ReignId(300);
        let command = FencedCommand::Fenced {
            reign,
            number: 5,
            command: b"ab",
        };
        for (bytes, golden, command) in [
            (
                take_over(reign),
                &b"\x30\xac\x02"[..],
                FencedCommand::TakeOver(reign),
            ),
            (fenced(reign, 5, b"ab"), b"\x31\xac\x02\x05ab", command),
        ] {
            assert_eq!(bytes, golden);
            assert_eq!(FencedCommand::decode(&bytes), Some(command));
        }
        for bad in [&b""[..], b"\x30", b"\x30\x01x", b"\x31\x01", b"\x32\x01"] {
            assert_eq!(FencedCommand::decode(bad), None, "{bad:?}");
        }
    }
}
