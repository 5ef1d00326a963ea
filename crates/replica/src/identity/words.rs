//! The error texts for a refused directory, and bytes that are no valid identity.

use proptest::prelude::*;
use synod_transport::ClusterId;

use super::state::seal;
use super::*;
use crate::sim::SimDisk;

const CLUSTER: ClusterId = ClusterId(7);

fn load(disk: &SimDisk, cluster: u128, node: u64) -> Result<(), IdentityError> {
    let birth = Birth::new(ClusterId(cluster), NodeId(node));
    let mut drawn = 1..;
    Identity::load(disk.clone(), &birth, || drawn.next().unwrap()).map(drop)
}

/// Both what was found and what was asked for are named.
#[test]
fn a_refusal_names_what_was_found_and_what_was_asked_for() {
    let disk = SimDisk::new(1);
    load(&disk, 7, 1).unwrap();
    let told = |cluster, node| load(&disk, cluster, node).unwrap_err().to_string();
    assert_eq!(
        told(7, 2),
        "the data directory belongs to node 1, and this is node 2"
    );
    assert_eq!(
        told(8, 1),
        "the data directory belongs to cluster 00000000000000000000000000000007, and this is a node of cluster \
         00000000000000000000000000000008"
    );
    disk.remove(FILE).unwrap();
    disk.open("00000001.log").unwrap();
    let told = load(&disk, 7, 1).unwrap_err().to_string();
    assert!(
        told.starts_with("the data directory holds 00000001.log, and not the file `identity`"),
        "{told}"
    );
}

/// Another version is not damage, and a corrupt version byte is not another version.
#[test]
fn another_version_is_told_from_damage() {
    let disk = SimDisk::new(1);
    load(&disk, 7, 1).unwrap();
    let whole = disk.0.image(FILE);
    let told = |bytes: &[u8]| {
        disk.0.put_image(FILE, bytes);
        let refused = load(&disk, 7, 1).unwrap_err();
        assert_eq!(disk.0.image(FILE), bytes, "it is left as it is");
        match forget(&disk, NodeId(2)).unwrap_err() {
            ForgetError::Identity(again) => assert_eq!(again.to_string(), refused.to_string()),
            other => panic!("{other}"),
        }
        match refused {
            IdentityError::Version { found, known } => Some((found, known)),
            IdentityError::Damaged => None,
            other => panic!("{other}"),
        }
    };
    let mut other = whole.clone();
    other[0] = 7;
    assert_eq!(told(&other), None, "its checksum is that of our version");
    other[1] ^= 1;
    assert_eq!(told(&other), Some((7, whole[0])));
    other[0] = 0;
    assert_eq!(told(&other), Some((0, whole[0])));
    other[0] = whole[0];
    assert_eq!(told(&other), None);
    for len in [0, 1, 4096] {
        assert_eq!(told(&vec![0; len]), None, "{len} zeros");
    }
    disk.0.put_image(FILE, &whole);
    load(&disk, 7, 1).unwrap();
}

/// Peers are stored in the order of their ids, each once; the mark of a log that was not begun is
/// all zeros.
#[test]
fn an_identity_has_one_form() {
    let disk = SimDisk::new(1);
    load(&disk, 7, 1).unwrap();
    let mut state = State::decode(&disk.0.image(FILE)).unwrap();
    let bare = state.body();
    let incarnation = IncarnationId { boot: 1, nonce: 2 };
    for node in [2, 3] {
        let disk = DiskId(5);
        let is_rolled_back = node == 3;
        let pin = Pin {
            disk,
            incarnation,
            is_rolled_back,
        };
        state.peers.insert(NodeId(node), pin);
    }
    let body = state.body();
    let (head, pins) = body.split_at(bare.len());
    let (two, three) = pins.split_at(pins.len() / 2);
    let sealed = |pins: [&[u8]; 2]| seal([head, pins[0], pins[1]].concat());
    assert_eq!(State::decode(&sealed([two, three])), Some(state));
    for other in [[three, two], [two, two]] {
        assert_eq!(State::decode(&sealed(other)), None);
    }
    let mut in_doubt = two.to_vec();
    in_doubt[40] = 2;
    assert_eq!(
        State::decode(&sealed([&in_doubt, three])),
        None,
        "neither 0 nor 1"
    );
    let mut with_salt = bare;
    assert_eq!(with_salt[57..81], [0; 24], "no log was begun");
    with_salt[57] = 1;
    assert_eq!(State::decode(&seal(with_salt)), None);
}

fn states() -> impl Strategy<Value = State> {
    let incarnation =
        || (any::<u64>(), any::<u64>()).prop_map(|(boot, nonce)| IncarnationId { boot, nonce });
    let hello = (any::<u64>(), any::<u128>(), incarnation(), any::<bool>());
    let hello = hello.prop_map(|(node, disk, incarnation, is_rolled_back)| {
        let disk = DiskId(disk);
        let pin = Pin {
            disk,
            incarnation,
            is_rolled_back,
        };
        (NodeId(node), pin)
    });
    let log = (any::<u64>(), 1_u64.., any::<u64>()).prop_map(|(salt, generation, end)| Mark {
        salt,
        generation,
        end: synod_wal::Lsn(end),
    });
    let peers = prop::collection::vec(hello, 0..4);
    (prop::option::of(log), ".{0,9}", incarnation(), peers).prop_map(
        |(log, founding, incarnation, peers)| State {
            cluster: CLUSTER,
            node: NodeId(1),
            disk: DiskId(42),
            incarnation,
            log,
            founding,
            peers: peers.into_iter().collect(),
        },
    )
}

proptest! {
    /// With a valid version and checksum, so that the bytes between them are decoded.
    #[test]
    fn what_is_read_is_what_was_written_byte_by_byte(
        state in states(),
        harm in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in 0_usize..50,
        more in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let whole = state.encode();
        prop_assert_eq!(State::decode(&whole), Some(state.clone()));
        let mut body = state.body();
        for (at, byte) in harm {
            let at = 1 + at.index(body.len() - 1);
            body[at] = byte;
        }
        let other = seal(body.clone());
        if let Some(read) = State::decode(&other) {
            prop_assert_eq!(read.encode(), other);
        }
        body.truncate(body.len() - cut.min(body.len() - 1));
        body.extend(more);
        let other = seal(body);
        if let Some(read) = State::decode(&other) {
            prop_assert_eq!(read.encode(), other);
        }
    }
}
