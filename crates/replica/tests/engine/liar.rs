//! A holder that lies about the snapshot it sends: nothing of it is installed, the transfer ends,
//! and a new one begins.

use bytes::Bytes;
use synod_wal::Disk as _;

use crate::rig::{CHUNK, KIND_AT, Rig};
use crate::scarce::behind;

tests! {
    what_a_holder_says_of_its_snapshot_is_held_against_what_it_sends,
}

#[derive(Clone, Copy, Debug)]
enum Lie {
    /// Another hash, the same in each chunk.
    Hash,
    /// Another hash from the second chunk on.
    HashOfTheRest,
    /// A length that the last chunk exceeds.
    Shorter,
    /// A length that no chunk reaches.
    Longer,
    /// A length that grows with each chunk.
    Growing,
    /// A chunk that differs from the file.
    Contents,
}

fn what_a_holder_says_of_its_snapshot_is_held_against_what_it_sends<C: Rig>() {
    let lies = [
        Lie::Hash,
        Lie::HashOfTheRest,
        Lie::Shorter,
        Lie::Longer,
        Lie::Growing,
        Lie::Contents,
    ];
    for lie in lies {
        let mut nodes = behind::<C>(10_000);
        let before = nodes.status(3).applied;
        nodes.hold = |from, to, kind| (from, to, kind) == (1, 3, CHUNK);
        let mut steps = 0..20_000;
        while nodes.status(3).snapshots_failed == 0 {
            assert!(steps.next().is_some(), "{lie:?}: it never ends");
            nodes.step();
            for (from, to, frame) in std::mem::take(&mut nodes.held) {
                nodes.deliver((from, to, told(&frame, lie)));
            }
        }
        let deceived = nodes.status(3);
        assert_eq!(
            (deceived.snapshots_received, deceived.applied),
            (0, before),
            "{lie:?}"
        );
        let names = nodes.nodes[&3].disk.list().unwrap();
        let left = names.iter().any(|name| name.ends_with(".snap"));
        assert!(!left, "{lie:?}: {names:?}");
        nodes.hold = |_, _, _| false;
        nodes.held.clear();
        nodes.run(5_000);
        let (follower, leader) = (nodes.status(3), nodes.status(1));
        assert_eq!(follower.snapshots_received, 1, "{lie:?}: begun anew");
        assert_eq!(follower.applied, leader.applied, "{lie:?}");
    }
}

/// The frame of a chunk, with a lie in it.
fn told(frame: &Bytes, lie: Lie) -> Bytes {
    let mut rest = &frame[KIND_AT + 1..];
    let _index = varint(&mut rest);
    rest = &rest[32..];
    let from = varint(&mut rest);
    let head = frame.len() - rest.len();
    let len = varint(&mut rest);
    let (mut hash, mut chunk) = (rest[..32].to_vec(), rest[32..].to_vec());
    let said = match lie {
        Lie::Shorter => len - 10,
        Lie::Longer => len + 10,
        Lie::Growing => len + from,
        Lie::Hash | Lie::HashOfTheRest | Lie::Contents => len,
    };
    hash[9] ^= u8::from(matches!(lie, Lie::Hash) || from > 0 && matches!(lie, Lie::HashOfTheRest));
    // Beyond the header, which has a checksum of its own.
    let at = chunk.len() / 2;
    // A chunk is empty if more was requested than there is.
    if let Some(byte) = chunk.get_mut(at) {
        *byte ^= u8::from(from > 0 && matches!(lie, Lie::Contents));
    }
    let mut forged = frame[..head].to_vec();
    put_varint(&mut forged, said);
    [forged, hash, chunk].concat().into()
}

/// A varint as postcard encodes it: seven bits a byte, the lowest first.
fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
    }
    value
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
