//! The identity file of a data directory, and what stands beside it.

use synod_replica::{Identity, NodeId};
use synod_transport::{ClusterId, DiskId, Hello};

use crate::disk::Memory;
use crate::memory::bounded;
use crate::script::Script;

/// First byte: whether the checksum is put right, and whether a half-written file lies beside. Then the file.
pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let (sealed, beside) = (script.flag(), script.flag());
    let mut file = script.rest().to_vec();
    if sealed && let Some((body, sum)) = file.split_last_chunk_mut::<4>() {
        *sum = crc32c::crc32c(body).to_le_bytes();
    }
    let disk = Memory::default();
    disk.put(FILE, &file);
    if beside {
        disk.put(PART, b"half");
    }
    let load = || Identity::load(disk.clone(), CLUSTER, NODE, || DiskId(9));
    let Ok(first) = bounded(file.len(), load) else {
        assert_eq!(
            disk.bytes(FILE),
            Some(file),
            "a refused file was written over"
        );
        return;
    };
    let first = first.hello();
    let second = load().expect("what opened once opens again");
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
    let (met, again) = (second.admit(&peer), second.admit(&peer));
    assert_eq!(met, again);
    let third = load().expect("what opened once opens again");
    assert_eq!(third.admit(&peer), met);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let disk = Memory::default();
    let mut seeds = vec![vec![0, 0]];
    for life in 0..2_u8 {
        let Ok(identity) = Identity::load(disk.clone(), CLUSTER, NODE, || DiskId(9)) else {
            break;
        };
        let mut seed = vec![1, life];
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
const FILE: &str = "identity";
const PART: &str = "identity.part";
