//! A log that lacks what was durable in an earlier incarnation, because files are missing or were
//! rolled back, is not opened with its recorded mark, and is left as it is.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

mod support;

use support::{Medium, append, open, put, small};
use synod_sim::Disk;
use synod_wal::{Lsn, Mark, OpenError, Options, Wal};

/// A log of several segments, and its mark.
fn begun() -> (Disk, Mark) {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    let mut slot = 0;
    while wal.mark().generation < 3 {
        slot += 1;
        append(&mut wal, 1, &[put(slot, 2_000)]).unwrap();
        wal.sync().unwrap();
    }
    let mark = wal.mark();
    assert_eq!(mark.end, wal.durable());
    drop(wal);
    disk.power_loss();
    (disk, mark)
}

fn noting(mark: Mark) -> Options {
    let mut options = small();
    options.least = Some(mark);
    options
}

fn reopen(disk: &Disk, mark: Mark) -> Result<Wal<Medium>, OpenError> {
    Wal::open(Medium(disk.clone()), noting(mark))
}

/// The segments of the log, oldest first.
fn segments(disk: &Disk) -> Vec<String> {
    let generation = |name: &String| {
        let image = disk.image(name);
        let head = image.get(16..24)?;
        Some(u64::from_le_bytes(head.try_into().unwrap()))
    };
    let mut names = disk.names().unwrap();
    names
        .retain(|name| name.ends_with(".log") && generation(name).is_some_and(|number| number > 0));
    names.sort_by_key(generation);
    names
}

/// What is refused is refused again, and nothing on the disk has changed.
fn is_refused(disk: &Disk, mark: Mark, is_reason: impl Fn(&OpenError) -> bool) {
    let files = |disk: &Disk| -> Vec<_> {
        let names = disk.names().unwrap().into_iter();
        names.map(|name| (disk.image(&name), name)).collect()
    };
    let before = files(disk);
    for _ in 0..2 {
        let refused = reopen(disk, mark).unwrap_err();
        assert!(is_reason(&refused), "{refused}");
    }
    assert_eq!(files(disk), before);
}

fn is_lost(refused: &OpenError) -> bool {
    matches!(refused, OpenError::Lost { .. })
}

#[test]
fn a_log_that_holds_what_was_noted_opens_and_goes_on() {
    let (disk, mark) = begun();
    let mut wal = reopen(&disk, mark).unwrap();
    append(&mut wal, 1, &[put(1_000, 10)]).unwrap();
    wal.sync().unwrap();
    let later = wal.mark();
    assert!(later.end > mark.end && later.salt == mark.salt);
    drop(wal);
    drop(reopen(&disk, mark).unwrap());
    drop(reopen(&disk, later).unwrap());
}

#[test]
fn a_log_whose_files_are_gone_does_not_open() {
    let (disk, mark) = begun();
    for name in segments(&disk) {
        disk.remove(&name).unwrap();
    }
    is_refused(&disk, mark, is_lost);
    let (disk, mark) = begun();
    for name in disk.names().unwrap() {
        disk.remove(&name).unwrap();
    }
    is_refused(&disk, mark, is_lost);
}

#[test]
fn a_log_without_its_newest_segment_does_not_open() {
    let (disk, mark) = begun();
    disk.remove(segments(&disk).last().unwrap()).unwrap();
    is_refused(&disk, mark, is_lost);
    let (disk, mark) = begun();
    let newest = segments(&disk).pop().unwrap();
    let zeros = vec![0; disk.image(&newest).len()];
    disk.put_image(&newest, &zeros);
    is_refused(&disk, mark, is_lost);
}

/// With zeros it looks like a segment that was never written, and with a shorter file like one that
/// was begun.
#[test]
fn a_log_whose_end_is_gone_does_not_open() {
    for whole in [true, false] {
        for zeroed in [true, false] {
            let (disk, _) = begun();
            let mut wal = open(&disk).unwrap();
            for slot in 1_000..1_004 {
                append(&mut wal, 1, &[put(slot, 2_000)]).unwrap();
                wal.sync().unwrap();
            }
            let mark = wal.mark();
            drop(wal);
            let newest = segments(&disk).pop().unwrap();
            let mut image = disk.image(&newest);
            let len = image.len();
            // The block of the last record, or everything but the opening.
            let last = image.iter().rposition(|byte| *byte != 0).unwrap();
            image.truncate(if whole { 4096 } else { last / 4096 * 4096 });
            assert!(image.len() <= last);
            if zeroed {
                image.resize(len, 0);
            }
            disk.put_image(&newest, &image);
            is_refused(&disk, mark, is_lost);
        }
    }
}

#[test]
fn a_disk_that_was_put_back_and_another_log_do_not_open() {
    let (disk, mark) = begun();
    let older = disk.fork(7);
    let mut wal = reopen(&disk, mark).unwrap();
    append(&mut wal, 1, &[put(1_000, 10)]).unwrap();
    wal.sync().unwrap();
    is_refused(&older, wal.mark(), is_lost);

    let mut options = small();
    options.salt = Some(mark.salt ^ 1);
    let another = Disk::new(2);
    let mut wal = Wal::open(Medium(another.clone()), options).unwrap();
    while wal.durable() < Lsn(2 * mark.end.0) {
        let slot = wal.durable().0 + 1;
        append(&mut wal, 1, &[put(slot, 2_000)]).unwrap();
        wal.sync().unwrap();
    }
    drop(wal);
    another.power_loss();
    is_refused(&another, mark, |refused| {
        matches!(refused, OpenError::Another)
    });
}
