//! The simulated disk keeps what was synced, loses the rest in every order, and fails when told to.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

use std::io::ErrorKind;

use synod_sim::{Disk, DiskOptions, SECTOR_BYTES};

#[test]
fn what_was_synced_survives_every_power_loss() {
    for seed in 0..200 {
        let disk = synced(seed, &[7; 2000]);
        disk.write_at("a", 1000, &[9; 3000]).unwrap();
        disk.power_loss();
        let image = disk.image("a");
        assert!(image.len() >= 2000);
        assert_eq!(image[..512], [7; 512]);
    }
}

#[test]
fn unsynced_writes_are_lost_kept_torn_and_reordered() {
    let mut seen = [false; 4];
    for seed in 0..400 {
        let disk = synced(seed, &[0; 4096]);
        disk.write_at("a", 0, &[1; 1024]).unwrap();
        disk.write_at("a", 1024, &[2; 1024]).unwrap();
        disk.power_loss();
        let image = disk.image("a");
        assert_eq!(image.len(), 4096);
        for sector in image.chunks(SECTOR_BYTES) {
            assert!(
                sector.iter().all(|byte| *byte == sector[0]),
                "a sector is atomic"
            );
        }
        let (first, second) = (image[0] == 1 && image[512] == 1, image[1024] == 2);
        seen[0] |= image == vec![0; 4096];
        seen[1] |= first && second;
        seen[2] |= !first && second;
        seen[3] |= image[0] == 0 && image[512] == 1;
    }
    assert_eq!(
        seen, [true; 4],
        "lost, kept, reordered, torn without a prefix"
    );
}

#[test]
fn a_sector_that_survives_holds_the_earlier_writes_to_it() {
    for seed in 0..200 {
        let disk = synced(seed, &[0; 512]);
        disk.write_at("a", 0, &[1; 100]).unwrap();
        disk.write_at("a", 100, &[2; 100]).unwrap();
        disk.power_loss();
        let image = disk.image("a");
        assert!(
            image[150] != 2 || image[50] == 1,
            "the page cache holds one version of a sector"
        );
    }
}

#[test]
fn a_name_that_was_not_synced_may_vanish_and_a_rename_may_be_undone() {
    let (mut vanished, mut undone, mut kept) = (false, false, false);
    for seed in 0..100 {
        let disk = synced(seed, b"old");
        disk.create("b").unwrap();
        disk.write_at("b", 0, b"new").unwrap();
        disk.sync("b").unwrap();
        disk.rename("b", "a").unwrap();
        assert_eq!(disk.image("a"), b"new");
        disk.power_loss();
        match (disk.image("a").as_slice(), disk.image("b").as_slice()) {
            (b"old", b"") => vanished = true,
            (b"old", b"new") => undone = true,
            (b"new", b"") => kept = true,
            other => panic!("no order of operations leads to {other:?}"),
        }
    }
    assert!(vanished && undone && kept);
}

#[test]
fn names_are_durable_after_their_sync() {
    for seed in 0..50 {
        let disk = synced(seed, b"x");
        disk.rename("a", "b").unwrap();
        disk.sync_names().unwrap();
        disk.power_loss();
        assert_eq!(disk.names().unwrap(), ["b"]);
        disk.remove("b").unwrap();
        disk.sync_names().unwrap();
        disk.power_loss();
        assert!(disk.names().unwrap().is_empty());
    }
}

#[test]
fn a_kill_keeps_the_page_cache() {
    let disk = Disk::new(1);
    disk.create("a").unwrap();
    disk.write_at("a", 0, b"cached").unwrap();
    disk.kill();
    assert!(disk.len("a").is_err() && disk.is_dead());
    disk.restart();
    assert_eq!(disk.image("a"), b"cached");
}

#[test]
fn a_process_can_die_at_each_operation() {
    let whole = |disk: &Disk| -> std::io::Result<()> {
        disk.create("a")?;
        disk.write_at("a", 0, b"abc")?;
        disk.sync("a")?;
        disk.sync_names()
    };
    let disk = Disk::new(1);
    whole(&disk).unwrap();
    let operations = disk.operations();
    assert_eq!(operations, 4);
    for at in 0..operations {
        let disk = Disk::new(at);
        disk.crash_after(at);
        whole(&disk).unwrap_err();
        assert_eq!(disk.operations(), at + 1);
        assert!(disk.names().is_err(), "a dead process reads nothing");
        disk.power_loss();
        whole(&disk).unwrap();
    }
}

#[test]
fn a_failed_sync_marks_pages_clean_and_a_later_one_does_not_bring_them_back() {
    let options = {
        let mut options = DiskOptions::default();
        (options.lost_percent, options.torn_percent) = (0, 0);
        options
    };
    let disk = Disk::with_options(1, options);
    disk.put_image("a", &[0; 1024]);
    disk.write_at("a", 0, &[1; 512]).unwrap();
    disk.fail_next_sync();
    disk.sync("a").unwrap_err();
    disk.write_at("a", 512, &[2; 512]).unwrap();
    disk.sync("a").unwrap();
    assert_eq!(
        disk.image("a")[0],
        1,
        "until the power is lost reads see it"
    );
    disk.power_loss();
    assert_eq!((disk.image("a")[0], disk.image("a")[512]), (0, 2));
    disk.fail_syncs(true);
    disk.sync("a").unwrap_err();
    disk.sync_names().unwrap_err();
    disk.fail_syncs(false);
    disk.sync("a").unwrap();
}

#[test]
fn a_full_disk_refuses_growth_but_not_overwrites() {
    let disk = synced(1, &[1; 100]);
    disk.capacity(120);
    disk.create("b").unwrap();
    assert_eq!(
        disk.write_at("b", 0, &[2; 21]).unwrap_err().kind(),
        ErrorKind::StorageFull
    );
    assert!(disk.is_empty("b"), "nothing is half written");
    disk.write_at("a", 0, &[3; 100]).unwrap();
    disk.write_at("b", 0, &[2; 20]).unwrap();
    disk.remove("a").unwrap();
    disk.write_at("b", 20, &[2; 100]).unwrap();
    assert_eq!(disk.used(), 120);

    let mut options = DiskOptions::default();
    options.short_writes = true;
    let disk = Disk::with_options(1, options);
    disk.capacity(10);
    disk.create("a").unwrap();
    disk.write_at("a", 0, &[1; 20]).unwrap_err();
    assert_eq!(disk.image("a"), [1; 10], "a short write leaves what fits");
}

#[test]
fn rot_is_durable_and_seen_at_once() {
    let disk = synced(1, &[0; 4]);
    disk.flip("a", 2, 0x80).unwrap();
    assert_eq!(disk.image("a"), [0, 0, 0x80, 0]);
    disk.power_loss();
    assert_eq!(disk.image("a"), [0, 0, 0x80, 0]);
    disk.flip("a", 4, 1).unwrap_err();
    disk.flip("b", 0, 1).unwrap_err();
}

#[test]
fn equal_seeds_give_equal_disks() {
    let run = |seed| {
        let disk = synced(seed, &[0; 8192]);
        (0..8).for_each(|i| disk.write_at("a", i * 1024, &[i as u8 + 1; 1024]).unwrap());
        disk.power_loss();
        disk.image("a")
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn a_fork_is_another_disk_with_the_same_past() {
    let disk = synced(1, b"one");
    let fork = disk.fork(2);
    fork.write_at("a", 0, b"two").unwrap();
    assert_eq!(
        (disk.image("a"), fork.image("a")),
        (b"one".to_vec(), b"two".to_vec())
    );
}

#[test]
fn a_wild_offset_is_an_error() {
    let disk = synced(1, b"x");
    disk.write_at("a", u64::MAX, b"x").unwrap_err();
    assert_eq!(disk.read_at("a", u64::MAX, &mut [0]).unwrap(), 0);
    assert_eq!(
        disk.write_at("b", 0, b"x").unwrap_err().kind(),
        ErrorKind::NotFound
    );
}

fn synced(seed: u64, bytes: &[u8]) -> Disk {
    let disk = Disk::new(seed);
    disk.create("a").unwrap();
    disk.write_at("a", 0, bytes).unwrap();
    disk.sync("a").unwrap();
    disk.sync_names().unwrap();
    disk
}

#[test]
fn a_process_that_dies_on_a_full_disk_leaves_no_growth() {
    for seed in 0..20 {
        let disk = synced(seed, b"old");
        disk.fill(true);
        disk.crash_after(0);
        disk.write_at("a", 0, b"much longer").unwrap_err();
        disk.restart();
        assert_eq!(disk.len("a").unwrap(), 3, "seed {seed}");
    }
}
