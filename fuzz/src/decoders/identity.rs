//! The identity file of a data directory, and what stands beside it.

use synod_replica::{Birth, Identity, IdentityError, NodeId};
use synod_transport::{ClusterId, Hello};

use crate::disk::Memory;
use crate::memory::bounded;
use crate::script::Script;

/// First byte: whether the checksum is put right, and whether a half-written file lies beside. Then the file.
pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let (sealed, beside) = (script.flag(), script.flag());
    let mut file = script.rest().to_vec();
    if sealed {
        seal(&mut file);
    }
    let disk = Memory::default();
    disk.put(FILE, &file);
    if beside {
        disk.put(PART, b"half");
    }
    let Ok(first) = bounded(file.len(), || load(&disk)) else {
        assert_eq!(
            disk.bytes(FILE),
            Some(file),
            "a refused file was written over"
        );
        return;
    };
    let first = first.hello();
    let Some(second) = again(&disk, first.boot, load(&disk)) else {
        return;
    };
    let expected = Hello {
        boot: first.boot + 1,
        ..first
    };
    assert_eq!(second.hello(), expected);
    let peer = Hello {
        node: NodeId(7),
        ..expected
    };
    // The first meeting is kept, whatever it was.
    let (met, met_again) = (second.admit(&peer), second.admit(&peer));
    assert_eq!(met, met_again);
    if let Some(third) = again(&disk, expected.boot, load(&disk)) {
        assert_eq!(third.admit(&peer), met);
    }
}

/// Puts the right checksum where the lengths in front of it say that it stands; nowhere, when they lead outside.
fn seal(file: &mut [u8]) {
    if let Some(at) = sum_at(file)
        && let Some((body, rest)) = file.split_at_mut_checked(at)
        && let Some(sum) = rest.first_chunk_mut()
    {
        *sum = crc32c::crc32c(body).to_le_bytes();
    }
}

/// Behind the founding and the peers, each with its length before it.
fn sum_at(file: &[u8]) -> Option<usize> {
    let founding_bytes = u16::from_le_bytes(*file.get(FOUNDING_AT..)?.first_chunk()?);
    let peers_at = FOUNDING_AT + 2 + usize::from(founding_bytes);
    let peers = u32::from_le_bytes(*file.get(peers_at..)?.first_chunk()?);
    let peers_bytes = usize::try_from(peers).ok()?.checked_mul(PEER_BYTES)?;
    (peers_at + 4).checked_add(peers_bytes)
}

/// What opened once opens again, unless that was the last boot there can be: an incarnation takes a number that none
/// had before, and a made-up file may leave room for one incarnation alone. No node counts that far. What is refused
/// stays refused and as it was.
fn again(
    disk: &Memory,
    boot: u64,
    loaded: Result<Identity<Memory>, IdentityError>,
) -> Option<Identity<Memory>> {
    if boot < u64::MAX {
        return Some(loaded.expect("what opened once opens again"));
    }
    let before = disk.bytes(FILE);
    for refused in [loaded, load(disk)] {
        assert!(matches!(refused, Err(IdentityError::LastIncarnation)));
    }
    assert_eq!(disk.bytes(FILE), before, "a refused file was written over");
    None
}

fn load(disk: &Memory) -> Result<Identity<Memory>, IdentityError> {
    Identity::load(disk.clone(), &Birth::new(CLUSTER, NODE), || 9)
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let disk = Memory::default();
    let mut seeds = vec![vec![0, 0]];
    for incarnation in 0..2_u8 {
        let Ok(identity) = load(&disk) else {
            break;
        };
        let mut seed = vec![1, incarnation];
        seed.extend(disk.bytes(FILE).unwrap_or_default());
        seeds.push(seed);
        let met = identity.hello();
        let peer = |node| Hello {
            node: NodeId(node),
            ..met
        };
        // Whether they are let in is not the point.
        let _met = (identity.admit(&peer(2)), identity.admit(&peer(3)));
    }
    seeds
}

const CLUSTER: ClusterId = ClusterId(7);
const NODE: NodeId = NodeId(1);
/// Where the length of the founding stands.
const FOUNDING_AT: usize = 81;
const PEER_BYTES: usize = 41;
const FILE: &str = "identity";
const PART: &str = "identity.part";

#[cfg(test)]
mod tests {
    use super::*;

    /// Were the checksum put elsewhere, everything would be refused, and nothing behind that looked at.
    #[test]
    fn what_is_sealed_opens() {
        for seed in &seeds()[1..] {
            let mut file = seed[2..].to_vec();
            // Another disk id, under the checksum of the old one.
            file[30] ^= 1;
            let disk = Memory::default();
            disk.put(FILE, &file);
            assert!(matches!(load(&disk), Err(IdentityError::Damaged)));
            seal(&mut file);
            disk.put(FILE, &file);
            assert!(load(&disk).is_ok());
        }
    }
}
