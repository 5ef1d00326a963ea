use crate::{Entry, Kind};

/// A fingerprint of kind and body, to tell contents apart; not secure against adversaries. 0 without a
/// body: what a witness has.
pub(crate) fn fingerprint(entry: &Entry) -> u64 {
    let kind = match entry.kind {
        Kind::Noop => 1,
        Kind::Command => 2,
        Kind::Membership => 3,
        Kind::Withheld => return 0,
    };
    let mut hash = mix(kind, entry.body.len() as u64);
    for chunk in entry.body.chunks(8) {
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
