//! What the map may hold: limits that decide what a command does.
//!
//! Every replica must decide alike, so such a limit is never a setting of a node. It is a constant of the
//! format, or it is a part of the map: replicated, in each snapshot, and changed by a command alone.

use crate::{
    command::{Blob, Command},
    response::Refusal,
};

/// How large the map may become. A command that may add to it is refused when it has reached either;
/// so it is passed by one command at most. What was in it when a limit was lowered stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MapLimits {
    /// Keys.
    pub keys_max: u64,
    /// Bytes of keys and values, and [`ENTRY_BYTES`] for each key.
    pub bytes_max: u64,
}

impl Default for MapLimits {
    /// Those of a map that was never told otherwise: a part of the format, as they decide what a log
    /// means.
    fn default() -> Self {
        Self {
            keys_max: 10_000_000,
            bytes_max: 1 << 30,
        }
    }
}

impl Command<'_> {
    /// What is refused whatever the map holds; so it can be refused before it is proposed, too.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let (none, key_only) = (Blob(b""), |key: &Blob<'_>| checked(*key, Blob(b"")));
        match self {
            Self::Set { key, value, .. }
            | Self::Append { key, value }
            | Self::SetExpiring { key, value, .. } => checked(*key, *value),
            Self::CompareAndSwap { key, new, .. } => checked(*key, *new),
            Self::Add { key, .. } => key_only(key),
            Self::SetMany { pairs } => pairs
                .iter()
                .try_for_each(|(key, value)| checked(*key, *value)),
            Self::Delete { .. }
            | Self::Clear
            | Self::Limit { .. }
            | Self::Serves { .. }
            | Self::Expire { .. }
            | Self::Persist { .. }
            | Self::DeleteIf { .. } => checked(none, none),
        }
    }

    /// Whether it may make the map larger.
    pub(crate) fn may_grow(&self) -> bool {
        match self {
            Self::Set { .. }
            | Self::Add { .. }
            | Self::Append { .. }
            | Self::SetMany { .. }
            | Self::CompareAndSwap { .. }
            | Self::SetExpiring { .. } => true,
            // A deadline takes little more than the key that it is for, and frees that.
            Self::Expire { .. } | Self::Persist { .. } | Self::DeleteIf { .. } => false,
            Self::Delete { .. } | Self::Clear | Self::Limit { .. } | Self::Serves { .. } => false,
        }
    }
}

fn checked(key: Blob<'_>, value: Blob<'_>) -> Result<(), Refusal> {
    if key.0.len() > KEY_BYTES_MAX {
        Err(Refusal::KeyTooLong)
    } else if value.0.len() > VALUE_BYTES_MAX {
        Err(Refusal::ValueTooLong)
    } else {
        Ok(())
    }
}

/// The longest key.
pub const KEY_BYTES_MAX: usize = 64 * 1_024;
/// The longest value. A constant and no setting: nodes that differ in it would answer the same
/// command differently.
pub const VALUE_BYTES_MAX: usize = 16 * 1_024 * 1_024;
/// What a key counts beside its bytes and those of its value: their places in the tree and in memory.
pub const ENTRY_BYTES: u64 = 96;
