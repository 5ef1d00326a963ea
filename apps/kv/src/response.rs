//! What a command answers, and why one changes nothing.

use synod_replica::SessionRefusal;

use crate::{
    capacity::{KEY_BYTES_MAX, VALUE_BYTES_MAX},
    value::Value,
};

/// What a command answers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Response {
    /// Done, and there is nothing else to say.
    Done,
    /// There is no value, or a condition did not hold.
    Absent,
    /// A count, a length, a sum, or a truth (0 or 1).
    Integer(i64),
    /// The value before.
    Value(Value),
    /// The command changed nothing, for this reason.
    Refused(Refusal),
}

/// Why a command changed nothing. The texts are those that clients of Redis know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The value under the key, or the argument, is not a 64-bit decimal integer.
    #[error("value is not an integer or out of range")]
    NotAnInteger,
    /// The sum does not fit 64 bits.
    #[error("increment or decrement would overflow")]
    Overflow,
    /// A key longer than [`KEY_BYTES_MAX`].
    #[error("key exceeds maximum allowed size ({KEY_BYTES_MAX} bytes)")]
    KeyTooLong,
    /// A value longer than [`VALUE_BYTES_MAX`].
    #[error("string exceeds maximum allowed size ({VALUE_BYTES_MAX} bytes)")]
    ValueTooLong,
    /// The map has reached one of its [`MapLimits`](crate::MapLimits).
    #[error("command not allowed when the map has reached 'maxmemory' or 'maxkeys'")]
    MapFull,
    /// The session refuses it.
    #[error(transparent)]
    Session(#[from] SessionRefusal),
    /// The bytes are no command: written by another version, or by no version.
    #[error("the log entry holds no command that this version knows")]
    Malformed,
}

impl Refusal {
    /// The word in front of the text, by which clients tell errors apart.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::MapFull => "OOM",
            Self::Session(SessionRefusal::Expired) => "NOSESSION",
            Self::Session(SessionRefusal::ReplyGone) => "NOREPLY",
            Self::Session(SessionRefusal::Behind) => "BEHIND",
            _ => "ERR",
        }
    }
}
