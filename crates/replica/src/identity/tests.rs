use std::sync::atomic::{AtomicU64, Ordering};

use synod_transport::ClusterId;
use synod_wal::{File as _, Lsn};

use super::*;
use crate::sim::SimDisk;

const CLUSTER: ClusterId = ClusterId(7);

pub(super) fn load(disk: &SimDisk, node: u64) -> Result<Identity<SimDisk>, IdentityError> {
    load_as(disk, &Birth::new(CLUSTER, NodeId(node)))
}

/// Draws numbers that no incarnation before has drawn.
fn load_as(disk: &SimDisk, birth: &Birth) -> Result<Identity<SimDisk>, IdentityError> {
    static DRAWN: AtomicU64 = AtomicU64::new(1);
    Identity::load(disk.clone(), birth, || {
        DRAWN.fetch_add(1, Ordering::Relaxed)
    })
}

pub(super) fn hello(node: u64, disk: u128) -> Hello {
    Hello {
        founding: Birth::new(CLUSTER, NodeId(node)).digest(),
        ..Hello::new(CLUSTER, NodeId(node), DiskId(disk), 1)
    }
}

#[test]
fn a_peer_is_pinned_to_the_disk_it_was_met_on_for_ever() {
    let disk = SimDisk::new(1);
    let identity = load(&disk, 1).unwrap();
    assert_eq!(identity.admit(&hello(2, 5)), Ok(()));
    assert_eq!(identity.admit(&hello(2, 6)), Err(Refused::Disk));
    disk.0.power_loss();
    let identity = load(&disk, 1).unwrap();
    assert_eq!(identity.admit(&hello(2, 6)), Err(Refused::Disk));
    assert_eq!(identity.admit(&hello(2, 5)), Ok(()));
    assert_eq!(identity.hello().boot, 2);
}

#[test]
fn a_directory_serves_one_node_of_one_cluster() {
    let disk = SimDisk::new(1);
    load(&disk, 1).unwrap();
    assert!(matches!(
        load(&disk, 2),
        Err(IdentityError::Node {
            found: NodeId(1),
            asked: NodeId(2)
        })
    ));
    let other = load_as(&disk, &Birth::new(ClusterId(8), NodeId(1)));
    assert!(matches!(other, Err(IdentityError::Cluster { .. })));
    disk.remove(FILE).unwrap();
    disk.open("000.log").unwrap();
    assert!(matches!(load(&disk, 1), Err(IdentityError::Missing { .. })));
}

#[test]
fn each_flipped_bit_is_noticed() {
    let disk = SimDisk::new(1);
    let identity = load(&disk, 1).unwrap();
    identity.admit(&hello(2, 5)).unwrap();
    let whole = disk.0.image(FILE);
    for at in 0..whole.len() {
        disk.0.flip(FILE, at as u64, 0x10).unwrap();
        assert!(
            matches!(load(&disk, 1), Err(IdentityError::Damaged)),
            "byte {at}"
        );
        disk.0.flip(FILE, at as u64, 0x10).unwrap();
    }
}

#[test]
fn a_crash_at_any_step_leaves_one_whole_identity() {
    for (seed, steps) in (0..20).flat_map(|seed| (0..12).map(move |steps| (seed, steps))) {
        let disk = SimDisk::new(seed);
        let first = load(&disk, 1).unwrap().hello();
        disk.0.crash_after(steps);
        let boot = load(&disk, 1).map_or(1, |identity| identity.hello().boot);
        disk.0.power_loss();
        let again = load(&disk, 1).unwrap().hello();
        assert!(
            again.boot > boot && again.disk == first.disk,
            "seed {seed}, {steps} steps"
        );
    }
}

/// In its `boot`th incarnation, with this many peers from node 2 on.
fn state(boot: u64, peers: u64) -> State {
    let incarnation = IncarnationId { boot: 1, nonce: 0 };
    let pin = Pin {
        disk: DiskId(5),
        incarnation,
        is_rolled_back: false,
    };
    State {
        cluster: CLUSTER,
        node: NodeId(1),
        disk: DiskId(42),
        incarnation: IncarnationId { boot, nonce: 0 },
        log: None,
        founding: Birth::new(CLUSTER, NodeId(1)).founding(),
        peers: (2..2 + peers).map(|node| (NodeId(node), pin)).collect(),
    }
}

/// The last possible incarnation begins once, and the directory is refused afterwards.
#[test]
fn behind_the_last_boot_there_is_none() {
    let disk = SimDisk::new(1);
    let state = state(u64::MAX - 1, 0);
    disk.0.put_image(FILE, &state.encode());
    assert_eq!(load(&disk, 1).unwrap().hello().boot, u64::MAX);
    let last = disk.0.image(FILE);
    for _ in 0..2 {
        assert!(matches!(
            load(&disk, 1),
            Err(IdentityError::LastIncarnation)
        ));
        assert_eq!(disk.0.image(FILE), last);
    }
}

#[test]
fn no_more_peers_are_pinned_than_the_next_life_can_read() {
    let disk = SimDisk::new(1);
    let bare = state(1, 0).founding.len() + 91;
    let peers = (BYTES_MAX - bare) / 41;
    let state = state(1, peers as u64 - 1);
    disk.0.put_image(FILE, &state.encode());
    let identity = load(&disk, 1).unwrap();
    let (last, beyond) = (1 + peers as u64, 2 + peers as u64);
    assert_eq!(identity.admit(&hello(last, 5)), Ok(()));
    assert_eq!(identity.admit(&hello(beyond, 5)), Err(Refused::Unstored));
    assert_eq!(identity.admit(&hello(last, 6)), Err(Refused::Disk));
    assert_eq!(disk.0.image(FILE).len(), BYTES_MAX);
    assert_eq!(load(&disk, 1).unwrap().hello().boot, 3);
}

/// Not a byte is free. Twice, since the first time must have reserved the space for the second.
#[test]
fn a_node_starts_on_a_full_disk() {
    let disk = SimDisk::new(1);
    load(&disk, 1).unwrap();
    disk.0.capacity(disk.0.used());
    for boot in 2..4 {
        let identity = load(&disk, 1).unwrap();
        assert_eq!(identity.hello().boot, boot);
        identity.admit(&hello(boot, 5)).unwrap();
    }
}

/// The peer is on the right disk, as far as anybody knows, but there is no space for its pin. It is
/// accepted as soon as there is some.
#[test]
fn a_pin_that_finds_no_space_is_refused_as_that() {
    let disk = SimDisk::new(1);
    let identity = load(&disk, 1).unwrap();
    disk.remove(PART).unwrap();
    let used = disk.0.used();
    disk.0.capacity(used);
    for _ in 0..3 {
        assert_eq!(identity.admit(&hello(2, 5)), Err(Refused::Full));
    }
    disk.0.capacity(used + 4 * 4096);
    assert_eq!(identity.admit(&hello(2, 5)), Ok(()));
    assert_eq!(identity.admit(&hello(2, 6)), Err(Refused::Disk));
}

#[test]
fn a_pin_that_cannot_be_written_is_refused_as_that() {
    let disk = SimDisk::new(1);
    let identity = load(&disk, 1).unwrap();
    disk.0.crash_after(0);
    assert_eq!(identity.admit(&hello(2, 5)), Err(Refused::Unstored));
}

/// As after a crash between storing the file and reserving space for the next.
#[test]
fn what_the_log_keeps_back_is_for_the_identity_too() {
    let disk = SimDisk::new(1);
    load(&disk, 1).unwrap();
    let mut options = synod_wal::Options::default();
    (options.segment_bytes, options.record_bytes_max) = (16 << 10, 1 << 10);
    options.reserve_bytes = 8 << 10;
    drop(synod_wal::Wal::open(disk.clone(), options).unwrap());
    disk.remove(PART).unwrap();
    disk.0.capacity(disk.0.used());
    assert_eq!(load(&disk, 1).unwrap().hello().boot, 2);
}

#[test]
fn what_an_earlier_life_left_half_done_goes_first() {
    let disk = SimDisk::new(1);
    load(&disk, 1).unwrap();
    disk.remove(PART).unwrap();
    let unfinished = [
        "1-00000000000000000007.new",
        "1-00000000000000000009-0a0b0c0d.part",
    ];
    for name in unfinished {
        disk.open(name).unwrap().write_at(0, &[1; 4096]).unwrap();
    }
    disk.0.capacity(disk.0.used());
    assert_eq!(load(&disk, 1).unwrap().hello().boot, 2);
    let names = disk.list().unwrap();
    assert!(
        !unfinished
            .iter()
            .any(|name| names.iter().any(|n| n == name))
    );
}

/// Same cluster and node, other groups: the error names what was found and what was asked for.
#[cfg(all(feature = "raft", feature = "paxos"))]
#[test]
fn a_directory_serves_what_it_was_founded_on() {
    use crate::{GroupId, paxos, raft};

    let raft = |voters: &[u64]| {
        raft::Config::new(raft::NodeId(1), voters.iter().copied().map(raft::NodeId))
    };
    let paxos = |phase1, phase2| {
        let acceptors = [1, 2, 3].map(paxos::NodeId);
        let quorums = paxos::Quorums::flexible(acceptors, phase1, phase2).unwrap();
        paxos::Config::new(paxos::NodeId(1), quorums)
    };
    let bare = || Birth::new(CLUSTER, NodeId(1));
    let births = [
        bare().group(GroupId(1), &raft(&[1, 2, 3])),
        bare().group(GroupId(1), &raft(&[1, 2, 3, 4])),
        bare().group(GroupId(2), &raft(&[1, 2, 3])),
        bare().group(GroupId(1), &paxos(2, 2)),
        bare().group(GroupId(1), &paxos(3, 1)),
        bare(),
    ];
    for (own, birth) in births.iter().enumerate() {
        let identity = load_as(&SimDisk::new(1), birth).unwrap();
        let disk = SimDisk::new(2);
        load_as(&disk, birth).unwrap();
        for (other, asked) in births.iter().enumerate() {
            let again = load_as(&disk, asked).map(|_| ());
            let peer = Hello {
                founding: asked.digest(),
                ..hello(2, 5)
            };
            let further = Hello {
                node: NodeId(3),
                founding: synod_transport::Founding {
                    decided_at: 9,
                    ..asked.digest()
                },
                ..peer
            };
            assert_eq!(
                identity.admit(&further),
                Err(Refused::Founding),
                "nothing decides it, so a peer's claim proves nothing"
            );
            if own == other {
                again.unwrap();
                assert_eq!(identity.admit(&peer), Ok(()));
            } else if birth == &bare() {
                // It accepts each group of which its log holds nothing; its peers must agree.
                again.unwrap();
                assert_eq!(identity.admit(&peer), Err(Refused::Founding));
            } else {
                let told = again.unwrap_err().to_string();
                let (found, asked) = (birth.founding(), asked.founding());
                let words = format!("was founded as [{found}], and is to be opened as [{asked}]");
                assert!(told.contains(&words), "{told}");
                assert_eq!(identity.admit(&peer), Err(Refused::Founding));
            }
        }
    }
}

/// With the secrets from a log line, a reader could impersonate the node or predict its elections.
#[test]
fn what_is_shown_of_an_identity_holds_no_secret() {
    let disk = SimDisk::new(1);
    let mut drawn = 987_654_321_000_u64..;
    let draw = || drawn.next().unwrap();
    let identity = Identity::load(disk, &Birth::new(CLUSTER, NodeId(1)), draw).unwrap();
    let peer = Hello {
        nonce: 987_654_321_777,
        ..hello(2, 5)
    };
    identity.admit(&peer).unwrap();
    let mark = Mark {
        salt: 987_654_321_888,
        generation: 1,
        end: Lsn(1),
    };
    identity.note_log(mark).unwrap();
    let mut options = synod_wal::Options::default();
    options.least = Some(mark);
    let incarnation = identity.incarnation().unwrap();
    let shown = format!(
        "{identity:?} {:?} {:?} {options:?} {incarnation:?}",
        identity.hello(),
        identity.met()
    );
    assert!(
        shown.contains("NodeId(2)") && !shown.contains("987654321"),
        "{shown}"
    );
}

#[test]
fn each_life_draws_a_nonce_and_is_given_out_once() {
    let disk = SimDisk::new(1);
    let (first, second) = (load(&disk, 1).unwrap(), load(&disk, 1).unwrap());
    assert_ne!(first.hello().nonce, second.hello().nonce);
    assert_eq!(first.hello().disk, second.hello().disk);
    assert_eq!(second.incarnation().unwrap().number(), 2);
    assert!(second.incarnation().is_none());
}

/// The recorded mark is there in the next incarnation, and a log that was never begun leaves none.
#[test]
fn how_far_the_log_has_come_is_kept() {
    let disk = SimDisk::new(1);
    let identity = load(&disk, 1).unwrap();
    let mark = |generation, end| Mark {
        salt: 99,
        generation,
        end: Lsn(end),
    };
    identity.note_log(mark(0, 0)).unwrap();
    assert_eq!(identity.log(), None);
    identity.note_log(mark(1, 7)).unwrap();
    disk.0.power_loss();
    let identity = load(&disk, 1).unwrap();
    assert_eq!(identity.log(), Some(mark(1, 7)));
    disk.0.crash_after(0);
    identity.note_log(mark(2, 8)).unwrap_err();
    assert_eq!(identity.log(), Some(mark(1, 7)));
}

#[test]
fn golden_bytes_of_version_1() {
    let mut golden = vec![1];
    golden.extend([7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    golden.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    golden.extend([42, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    // Incarnation, log: boot, nonce; salt, generation, end.
    for word in [6_u64, 0, 99, 2, 300] {
        golden.extend(word.to_le_bytes());
    }
    golden.extend([9, 0]);
    golden.extend(b"formats 2");
    golden.extend([1, 0, 0, 0]);
    golden.extend([2, 0, 0, 0, 0, 0, 0, 0]);
    golden.extend([5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    for word in [1_u64, 0] {
        golden.extend(word.to_le_bytes());
    }
    golden.push(1);
    // Computed by another implementation, bit by bit.
    golden.extend([0xc7, 0x8f, 0x63, 0x3f]);
    golden.resize(4096, 0);
    let mut state = state(6, 1);
    state.log = Some(Mark {
        salt: 99,
        generation: 2,
        end: Lsn(300),
    });
    state.peers.get_mut(&NodeId(2)).unwrap().is_rolled_back = true;
    assert_eq!(state.encode(), golden);
    assert_eq!(State::decode(&golden), Some(state));
}

/// For good, and only that peer; everything else in the directory stays, including its own
/// incarnation.
#[test]
fn a_peer_that_is_forgotten_is_met_anew() {
    let disk = SimDisk::new(1);
    let identity = load(&disk, 1).unwrap();
    identity.admit(&hello(2, 5)).unwrap();
    identity.admit(&hello(3, 7)).unwrap();
    let before = identity.hello();
    drop(identity);
    let forgotten = forget(&disk, NodeId(2)).unwrap();
    let expected = Forgotten {
        node: NodeId(1),
        peer: NodeId(2),
        disk: DiskId(5),
        boot: 1,
    };
    assert_eq!(forgotten, expected);
    disk.0.power_loss();
    let identity = load(&disk, 1).unwrap();
    assert_eq!(identity.hello().disk, before.disk);
    assert_eq!(
        identity.hello().boot,
        before.boot + 1,
        "forgetting begins no incarnation"
    );
    assert_eq!(identity.admit(&hello(3, 8)), Err(Refused::Disk));
    assert_eq!(identity.admit(&hello(2, 6)), Ok(()));
    assert_eq!(identity.admit(&hello(2, 5)), Err(Refused::Disk));
}

#[test]
fn who_was_never_met_is_not_forgotten() {
    let disk = SimDisk::new(1);
    assert!(matches!(forget(&disk, NodeId(2)), Err(ForgetError::Unborn)));
    assert_eq!(disk.list().unwrap(), Vec::<String>::new());
    let identity = load(&disk, 1).unwrap();
    let told = |peer| forget(&disk, NodeId(peer)).unwrap_err().to_string();
    assert_eq!(told(2), "node 1 has not met node 2");
    identity.admit(&hello(2, 5)).unwrap();
    identity.admit(&hello(3, 5)).unwrap();
    let whole = disk.0.image(FILE);
    assert_eq!(told(4), "node 1 has not met node 4, only 2 and 3");
    assert_eq!(disk.0.image(FILE), whole);
    disk.0.flip(FILE, 9, 1).unwrap();
    let damaged = forget(&disk, NodeId(2));
    assert!(matches!(
        damaged,
        Err(ForgetError::Identity(IdentityError::Damaged))
    ));
}

/// A different secret in each incarnation, and zero without a directory.
#[test]
fn each_life_has_a_secret_of_its_own() {
    let disk = SimDisk::new(1);
    let secret = || load(&disk, 1).unwrap().incarnation().unwrap().secret;
    let (first, second) = (secret(), secret());
    assert_ne!(first, second);
    assert_eq!(Incarnation::ephemeral(NodeId(1)).secret, 0);
}

/// What a node knows of itself and its peers goes into its transport, and what it knows of its log
/// into the log.
#[test]
fn the_parts_of_a_node_are_made_from_its_identity() {
    let disk = SimDisk::new(1);
    let birth = Birth::new(CLUSTER, NodeId(1));
    let identity = Identity::open(disk.clone(), &birth).unwrap();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let config = identity.tcp(address, BTreeMap::new());
    assert_eq!(config.hello, identity.hello());
    assert_eq!((config.admit)(&hello(2, 5)), Ok(()));
    assert_eq!((config.admit)(&hello(2, 6)), Err(Refused::Disk));
    let (first, later) = (hello(2, 5), |boot| Hello {
        boot,
        ..hello(2, 5)
    });
    let config = identity.tcp(address, BTreeMap::new());
    let known = LastIncarnation {
        disk: first.disk,
        boot: first.boot,
        nonce: first.nonce,
    };
    assert_eq!(config.known, BTreeMap::from([(NodeId(2), known)]));
    (config.admit)(&later(3)).unwrap();
    (config.on_rollback)(&later(2));
    assert_eq!((config.admit)(&later(4)), Err(Refused::RolledBack));
    let least = Mark {
        salt: 7,
        generation: 1,
        end: Lsn(3),
    };
    identity.note_log(least).unwrap();
    let options = synod_wal::Options::default();
    let opened = identity.open_log(options).unwrap_err();
    assert!(
        matches!(opened, synod_wal::OpenError::Lost { least: Lsn(3), .. }),
        "{opened:?}"
    );
    let again = Identity::open(disk, &birth).unwrap();
    assert_eq!(again.hello().disk, identity.hello().disk);
    assert_ne!(again.hello().nonce, identity.hello().nonce);
}

#[cfg(all(feature = "raft", feature = "paxos"))]
#[test]
fn the_secret_of_a_life_is_in_the_seed() {
    use crate::protocol::Configured;
    use crate::{paxos, raft};

    let mut raft = raft::Config::new(raft::NodeId(1), [raft::NodeId(1)]);
    let quorums = paxos::Quorums::majority([paxos::NodeId(1)]).unwrap();
    let mut paxos = paxos::Config::new(paxos::NodeId(1), quorums);
    (raft.seed, paxos.seed) = (6, 6);
    raft.stir(0);
    paxos.stir(0);
    assert_eq!((raft.seed, paxos.seed), (6, 6), "no secret, no change");
    raft.stir(5);
    paxos.stir(5);
    assert_eq!((raft.seed, paxos.seed), (3, 3));
}
