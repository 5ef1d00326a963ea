//! The names applied last, as a snapshot stores them before the machine.

use std::collections::BTreeMap;
use std::io::{self, Read};

/// A version byte, a count, then 24 bytes for each node; integers are little-endian.
pub(crate) fn encode(names: &BTreeMap<u64, (u64, u64)>) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.extend_from_slice(&(names.len() as u64).to_le_bytes());
    for (node, (incarnation, sequence)) in names {
        for word in [node, incarnation, sequence] {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
    out
}

pub(super) fn decode(from: &mut dyn Read) -> io::Result<BTreeMap<u64, (u64, u64)>> {
    let mut version = [0];
    from.read_exact(&mut version)?;
    if version[0] != VERSION {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut word = || {
        let mut bytes = [0; 8];
        from.read_exact(&mut bytes)
            .map(|()| u64::from_le_bytes(bytes))
    };
    let count = word()?;
    let mut names = BTreeMap::new();
    for _ in 0..count {
        names.insert(word()?, (word()?, word()?));
    }
    Ok(names)
}

const VERSION: u8 = 0;
