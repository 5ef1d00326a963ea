//! Disks that were rolled back, and stale handles: which peers are refused, and what is no longer
//! stored.

use synod_wal::Lsn;

use super::tests::{hello, load};
use super::*;
use crate::sim::SimDisk;

/// A peer is met in its third incarnation. An earlier one is refused, also by this node's next
/// incarnation; so is a copy with the same number.
#[test]
fn a_disk_that_went_back_and_a_copy_are_told_from_the_node() {
    let disk = SimDisk::new(1);
    let lived = |boot, nonce| Hello {
        boot,
        nonce,
        ..hello(2, 5)
    };
    let identity = load(&disk, 1).unwrap();
    assert_eq!(identity.admit(&lived(1, 10)), Ok(()));
    assert_eq!(identity.admit(&lived(3, 30)), Ok(()));
    for identity in [identity, load(&disk, 1).unwrap()] {
        assert_eq!(identity.admit(&lived(2, 20)), Err(Refused::Stale));
        assert_eq!(identity.admit(&lived(3, 31)), Err(Refused::Twin));
        assert_eq!(identity.admit(&lived(3, 30)), Ok(()));
    }
}

/// A peer was seen rolled back: no later incarnation of its disk is accepted any more, in this
/// incarnation of the node or another, until an operator says so. Only the incarnation that was met
/// last is.
#[test]
fn a_disk_that_was_put_back_is_refused_until_its_node_is_forgotten() {
    let lived = |boot, nonce| Hello {
        boot,
        nonce,
        ..hello(2, 5)
    };
    for put_back in [lived(2, 20), lived(3, 31)] {
        let disk = SimDisk::new(1);
        let identity = load(&disk, 1).unwrap();
        assert_eq!(identity.admit(&lived(3, 30)), Ok(()));
        // A refusal alone proves nothing: anybody can send a hello.
        identity.admit(&put_back).unwrap_err();
        assert_eq!(identity.admit(&lived(4, 40)), Ok(()));
        identity.note_rollback(&lived(5, 50));
        identity.note_rollback(&Hello {
            disk: DiskId(6),
            ..lived(2, 20)
        });
        identity.note_rollback(&lived(4, 40));
        assert_eq!(
            identity.admit(&lived(5, 50)),
            Ok(()),
            "none of these is a rollback"
        );
        let put_back = Hello {
            boot: put_back.boot + 2,
            ..put_back
        };
        identity.note_rollback(&put_back);
        disk.0.power_loss();
        for identity in [identity, load(&disk, 1).unwrap()] {
            identity.admit(&put_back).unwrap_err();
            assert_eq!(identity.admit(&lived(6, 60)), Err(Refused::RolledBack));
            assert_eq!(identity.admit(&lived(5, 50)), Ok(()), "the one met last");
        }
        forget(&disk, NodeId(2)).unwrap();
        let identity = load(&disk, 1).unwrap();
        assert_eq!(identity.admit(&lived(6, 60)), Ok(()));
    }
}

/// A rollback that finds no space on the disk is known for this incarnation.
#[test]
fn a_rollback_that_cannot_be_stored_counts_all_the_same() {
    let disk = SimDisk::new(1);
    let identity = load(&disk, 1).unwrap();
    let lived = |boot| Hello {
        boot,
        ..hello(2, 5)
    };
    identity.admit(&lived(3)).unwrap();
    disk.0.crash_after(0);
    identity.note_rollback(&lived(2));
    assert_eq!(identity.admit(&lived(4)), Err(Refused::RolledBack));
}

/// Two handles on one directory, as if no lock were held: the earlier incarnation overwrites
/// neither the later one nor the result of forgetting a peer, and a missing identity is not
/// created.
#[test]
fn an_old_handle_stores_nothing_over_a_newer_one() {
    let disk = SimDisk::new(1);
    let mark = |generation| Mark {
        salt: 9,
        generation,
        end: Lsn(1),
    };
    let old = load(&disk, 1).unwrap();
    old.admit(&hello(2, 5)).unwrap();
    let new = load(&disk, 1).unwrap();
    let whole = disk.0.image(FILE);
    assert_eq!(old.admit(&hello(3, 5)), Err(Refused::Unstored));
    let told = old.note_log(mark(1)).unwrap_err().to_string();
    assert!(told.contains("somebody else uses the directory"), "{told}");
    assert_eq!(disk.0.image(FILE), whole);
    new.admit(&hello(3, 5)).unwrap();

    forget(&disk, NodeId(2)).unwrap();
    let whole = disk.0.image(FILE);
    new.note_log(mark(2)).unwrap_err();
    assert_eq!(disk.0.image(FILE), whole);

    let newest = load(&disk, 1).unwrap();
    disk.remove(FILE).unwrap();
    newest.note_log(mark(3)).unwrap_err();
    assert!(!disk.list().unwrap().iter().any(|name| name == FILE));
}

/// A half-stored state is the handle's own: it continues when the disk works again.
#[test]
fn what_a_handle_failed_to_store_is_its_own() {
    for (seed, steps) in (0..8).flat_map(|seed| (0..12).map(move |steps| (seed, steps))) {
        let disk = SimDisk::new(seed);
        let identity = load(&disk, 1).unwrap();
        disk.0.crash_after(steps);
        let _failed = identity.admit(&hello(2, 5));
        disk.0.restart();
        assert_eq!(
            identity.admit(&hello(3, 5)),
            Ok(()),
            "seed {seed}, {steps} steps"
        );
        disk.0.power_loss();
        let again = load(&disk, 1).unwrap();
        assert_eq!(again.admit(&hello(3, 6)), Err(Refused::Disk));
    }
}
