use crate::{Ballot, Kind, Value};

/// A value as kept by a checker: the ballot in which it was first proposed, and a fingerprint of
/// its contents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Named {
    /// [`Value::origin`](crate::Value::origin).
    pub origin: Ballot,
    pub(crate) content: u64,
}

impl Named {
    pub(crate) fn of(value: &Value) -> Self {
        Self {
            origin: value.origin,
            content: fingerprint(value),
        }
    }

    /// Whether both are the same value, as far as they are known.
    pub(crate) fn is(self, other: Self) -> bool {
        let unseen = self.content == 0 || other.content == 0;
        self.origin == other.origin && (unseen || self.content == other.content)
    }
}

/// A fingerprint of kind and body, to tell contents apart; not secure against adversaries. Never 0.
fn fingerprint(value: &Value) -> u64 {
    let kind = match value.kind {
        Kind::Noop => 1,
        Kind::Command => 2,
        Kind::Configuration => 3,
    };
    let mut hash = mix(kind, value.body.len() as u64);
    for chunk in value.body.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        hash = mix(hash, u64::from_le_bytes(word));
    }
    hash.max(1)
}

/// A step of SplitMix64 with the word as input.
fn mix(hash: u64, word: u64) -> u64 {
    let mut z = (hash ^ word).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
