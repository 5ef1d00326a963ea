//! Syncs that are begun in one place and run in another: nothing overtakes them, results of an
//! earlier incarnation are refused, and a failure is final.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

mod support;

use support::{Medium, Model, append, open, put, small};
use synod_sim::{Disk, Rng};
use synod_wal::{
    AppendError, Directory, DirectoryError, GroupId, Lsn, SyncDone, SyncError, SyncWork, Wal,
};

fn begin(wal: &mut Wal<Medium>) -> SyncWork<Medium> {
    wal.begin_sync().unwrap().unwrap()
}

/// Finishes work until nothing is due, so upkeep that comes first does not matter.
fn finish(wal: &mut Wal<Medium>) {
    while let Some(work) = wal.begin_sync().unwrap() {
        wal.finish_sync(work.run()).unwrap();
    }
}

#[test]
fn what_is_appended_meanwhile_goes_into_the_next_batch() {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    let first = append(&mut wal, 1, &[put(1, 500)]).unwrap();
    let work = begin(&mut wal);
    let second = append(&mut wal, 1, &[put(2, 500)]).unwrap();
    let read = wal.reader().read(GroupId(1), 1..=9, usize::MAX).unwrap();
    assert_eq!(read.len(), 2, "reads see pending slots, in both batches");
    assert!(wal.begin_sync().unwrap().is_none(), "one at a time");
    assert_eq!(wal.durable(), Lsn(0));
    let done = work.run();
    assert_eq!(wal.durable(), Lsn(0), "the sync is not finished yet");
    wal.finish_sync(done).unwrap();
    assert_eq!(wal.durable(), first);
    finish(&mut wal);
    assert_eq!(wal.durable(), second);
    let model = Model::of(&wal);
    drop(wal);
    disk.power_loss();
    assert_eq!(Model::of(&open(&disk).unwrap()), model);
}

#[test]
fn a_sync_in_place_does_not_overtake_one_that_was_begun() {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    append(&mut wal, 1, &[put(1, 500)]).unwrap();
    let work = begin(&mut wal);
    let second = append(&mut wal, 1, &[put(2, 500)]).unwrap();
    let operations = disk.operations();
    assert!(matches!(wal.sync(), Err(SyncError::UnderWay)));
    assert_eq!(
        disk.operations(),
        operations,
        "the medium was not used while a sync was in progress"
    );
    wal.finish_sync(work.run()).unwrap();
    wal.sync().unwrap();
    assert_eq!(wal.durable(), second);
}

#[test]
fn a_begun_sync_that_fails_latches() {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    append(&mut wal, 1, &[put(1, 500)]).unwrap();
    wal.sync().unwrap();
    let durable = wal.durable();
    append(&mut wal, 1, &[put(2, 500)]).unwrap();
    let work = begin(&mut wal);
    append(&mut wal, 1, &[put(3, 500)]).unwrap();
    disk.fail_next_sync();
    let done = work.run();
    assert!(matches!(wal.finish_sync(done), Err(SyncError::Io(_))));
    // The medium works again, and its pages count as clean.
    assert!(
        matches!(wal.begin_sync(), Err(SyncError::Latched)),
        "a sync that failed on another thread was begun again"
    );
    assert!(matches!(wal.sync(), Err(SyncError::Latched)));
    assert!(matches!(
        append(&mut wal, 1, &[put(4, 500)]),
        Err(AppendError::Latched)
    ));
    assert_eq!(wal.durable(), durable);
}

#[test]
fn a_log_takes_nothing_of_another_life() {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    append(&mut wal, 1, &[put(1, 500)]).unwrap();
    let done = begin(&mut wal).run();
    drop(wal);
    let mut wal = open(&disk).unwrap();
    append(&mut wal, 1, &[put(2, 500)]).unwrap();
    let durable = wal.durable();
    let work = begin(&mut wal);
    assert!(matches!(wal.finish_sync(done), Err(SyncError::OtherLife)));
    assert_eq!(
        wal.durable(),
        durable,
        "the sync was of another incarnation"
    );
    wal.finish_sync(work.run()).unwrap();
    assert!(wal.durable() > durable);
}

#[test]
fn a_directory_stays_locked_while_a_sync_is_under_way() {
    let temporary = tempfile::tempdir().unwrap();
    let path = temporary.path();
    let mut wal = Wal::open(Directory::open(path).unwrap(), small()).unwrap();
    append(&mut wal, 1, &[put(1, 500)]).unwrap();
    let work = wal.begin_sync().unwrap().unwrap();
    drop(wal);
    let locked = Directory::open(path);
    assert!(matches!(locked, Err(DirectoryError::Locked { .. })));
    drop(work.run());
    Directory::open(path).unwrap();
}

/// The steps of an incarnation in any order, a crash after any number of disk operations, and a
/// power loss: the log then holds the appends up to one point, at or after what was durable.
#[test]
fn begun_syncs_keep_what_they_answered_for() {
    let (mut lost, mut between, mut failed) = (0, 0, 0);
    for seed in 0..300 {
        let mut random = Rng::new(seed);
        let disk = Disk::new(seed);
        let (mut models, mut lsns) = (vec![Model::default()], vec![Lsn(0)]);
        let mut durable = Lsn(0);
        for incarnation in 0..4 {
            let mut wal = open(&disk).unwrap();
            if random.chance(0.5) {
                disk.crash_after(random.below(40));
            }
            let mut under_way: Option<SyncWork<Medium>> = None;
            let mut done: Option<SyncDone<Medium>> = None;
            for step in 0..30 {
                let index = incarnation * 100 + step + 1;
                match random.below(5) {
                    0 | 1 => {
                        let ops = [put(index, random.below(2_500) as usize + 1)];
                        let group = 1 + random.below(2);
                        let Ok(lsn) = append(&mut wal, group, &ops) else {
                            break;
                        };
                        let mut model = models.last().unwrap().clone();
                        model.apply(GroupId(group), &ops);
                        models.push(model);
                        lsns.push(lsn);
                    }
                    2 if under_way.is_none() && done.is_none() => {
                        under_way = wal.begin_sync().unwrap();
                    }
                    3 => done = done.or_else(|| Some(under_way.take()?.run())),
                    _ => {
                        let Some(done) = done.take() else { continue };
                        between += 1;
                        if wal.finish_sync(done).is_err() {
                            failed += 1;
                            break;
                        }
                        durable = wal.durable();
                    }
                }
            }
            drop((wal, under_way, done));
            disk.power_loss();
            let found = Model::of(&open(&disk).unwrap()).trimmed();
            let kept = models.iter().rposition(|model| *model == found);
            let kept = kept.unwrap_or_else(|| panic!("seed {seed}: no prefix gives {found:?}"));
            let least = lsns.iter().rposition(|lsn| *lsn <= durable).unwrap();
            assert!(
                kept >= least,
                "seed {seed}: {least} were durable, {kept} are left"
            );
            lost += models.len() - 1 - kept;
            models.truncate(kept + 1);
            lsns.truncate(kept + 1);
        }
    }
    assert!(
        lost > 500 && between > 500 && failed > 50,
        "{lost} {between} {failed}"
    );
}
