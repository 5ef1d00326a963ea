//! What is appended is read back, by the same process and by the next.

mod support;

use support::{Model, Owned, append, open, put, small};
use synod_sim::Disk;
use synod_wal::{AppendError, GroupId, Lsn, ReadError};

#[test]
fn a_log_is_empty_at_first() {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    assert_eq!(wal.durable(), Lsn(0));
    assert!(wal.groups().is_empty());
    let operations = disk.operations();
    wal.sync().unwrap();
    assert_eq!(
        disk.operations(),
        operations,
        "a sync without anything pending does nothing"
    );
    let recovered = wal.recover(GroupId(1)).unwrap();
    assert_eq!((recovered.state, recovered.slots.count()), (None, 0));
}

#[test]
fn appends_of_many_groups_survive_the_process() {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    let mut model = Model::default();
    for round in 1..200 {
        for group in 1..4 {
            let ops = [Owned::State(round as u8), put(round, 100 * group as usize)];
            let lsn = append(&mut wal, group, &ops).unwrap();
            assert!(lsn > wal.durable());
            model.apply(GroupId(group), &ops);
        }
        wal.sync().unwrap();
    }
    assert_eq!(Model::of(&wal), model);
    disk.power_loss();
    let mut wal = open(&disk).unwrap();
    assert_eq!(Model::of(&wal), model);
    let before = wal.durable();
    let lsn = append(&mut wal, 9, &[put(1, 1)]).unwrap();
    assert!(lsn > before, "numbers go on");
    wal.sync().unwrap();
    assert!(wal.durable() >= lsn);
}

#[test]
fn one_sync_answers_for_all() {
    let disk = Disk::new(1);
    // Half a segment, after which the next one is filled, is not reached.
    let mut options = small();
    options.segment_bytes = 1 << 20;
    let mut wal = synod_wal::Wal::open(support::Medium(disk.clone()), options).unwrap();
    append(&mut wal, 1, &[put(1, 10)]).unwrap();
    wal.sync().unwrap();
    let (syncs, stats) = (disk.stats().syncs, wal.stats());
    let last = (2..20)
        .map(|i| append(&mut wal, i % 3, &[put(i, 10)]).unwrap())
        .last();
    wal.sync().unwrap();
    assert_eq!(disk.stats().syncs, syncs + 1);
    assert_eq!(
        (wal.stats().syncs, wal.stats().records),
        (stats.syncs + 1, stats.records + 18)
    );
    assert_eq!(Some(wal.durable()), last);
}

#[test]
fn the_last_write_of_a_slot_wins_and_gaps_are_allowed() {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    let ops = [
        put(7, 10),
        put(3, 20),
        Owned::Put(7, "second".into()),
        put(100, 0),
    ];
    append(&mut wal, 1, &ops).unwrap();
    wal.sync().unwrap();
    for wal in [wal, open(&disk).unwrap()] {
        let slots = wal
            .reader()
            .read(GroupId(1), 1..=u64::MAX, usize::MAX)
            .unwrap();
        assert_eq!(
            slots.iter().map(|slot| slot.index).collect::<Vec<_>>(),
            [3, 7, 100]
        );
        assert_eq!(slots[1].body, "second");
    }
}

#[test]
fn truncation_and_start_at_their_edges() {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    let mut model = Model::default();
    let mut run = |wal: &mut _, ops: &[Owned]| {
        append(wal, 1, ops).unwrap();
        model.apply(GroupId(1), ops);
        wal.sync().unwrap();
        assert_eq!(Model::of(wal), model);
        assert_eq!(Model::of(&open(&disk.fork(1)).unwrap()), model);
    };
    run(&mut wal, &(1..=10).map(|i| put(i, 10)).collect::<Vec<_>>());
    run(&mut wal, &[Owned::Truncate(11)]);
    run(&mut wal, &[Owned::Truncate(10)]);
    run(&mut wal, &[Owned::Start(0)]);
    run(&mut wal, &[Owned::Start(1)]);
    run(
        &mut wal,
        &[put(1, 5), Owned::Truncate(0), put(2, 6), put(3, 7)],
    );
    run(&mut wal, &[Owned::Start(3), Owned::Truncate(1), put(4, 1)]);
    run(&mut wal, &[Owned::Start(u64::MAX - 1), put(u64::MAX, 3)]);
    run(&mut wal, &[Owned::Truncate(u64::MAX)]);
    run(&mut wal, &[Owned::Start(u64::MAX), put(u64::MAX, 3)]);
    assert_eq!(wal.log_bytes(GroupId(1)), 0);
}

#[test]
fn a_reader_sees_what_is_not_synced() {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    let reader = wal.reader();
    append(&mut wal, 1, &[put(1, 100)]).unwrap();
    append(&mut wal, 1, &[put(2, 200)]).unwrap();
    let read = || reader.read(GroupId(1), 1..=9, usize::MAX).unwrap();
    let before = read();
    assert_eq!(
        before
            .iter()
            .map(|slot| slot.body.len())
            .collect::<Vec<_>>(),
        [100, 200]
    );
    wal.sync().unwrap();
    assert_eq!(read(), before);
    append(&mut wal, 1, &[put(3, 300)]).unwrap();
    assert_eq!(read()[..2], before[..]);
    assert_eq!(read()[2].body.len(), 300);
}

#[test]
fn a_read_is_bounded_but_gives_one_slot() {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    let ten: Vec<_> = (1..=10).map(|i| put(i, 100)).collect();
    append(&mut wal, 1, &ten).unwrap();
    wal.sync().unwrap();
    let read = |range, max| wal.reader().read(GroupId(1), range, max).unwrap().len();
    assert_eq!(read(1..=10, 0), 1);
    assert_eq!(read(1..=10, 3 * 148), 3);
    assert_eq!(read(1..=10, 3 * 148 - 1), 2);
    assert_eq!(read(4..=5, usize::MAX), 2);
    assert_eq!(read(11..=20, usize::MAX), 0);
    #[expect(clippy::reversed_empty_ranges, reason = "a caller may")]
    let empty = read(5..=4, usize::MAX);
    assert_eq!(empty, 0);
}

#[test]
fn a_slot_that_rots_is_named_and_the_others_are_read() {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    append(&mut wal, 1, &[put(1, 50), put(2, 50), put(3, 50)]).unwrap();
    wal.sync().unwrap();
    let image = disk.image("00000001.log");
    let Owned::Put(_, body) = put(2, 50) else {
        unreachable!()
    };
    let at = image
        .windows(50)
        .position(|window| *window == body[..])
        .unwrap() as u64;
    disk.flip("00000001.log", at + 49, 1).unwrap();
    let read = |range| wal.reader().read(GroupId(1), range, usize::MAX);
    let error = read(1..=3).unwrap_err();
    let ReadError::Slot {
        group: GroupId(1),
        index: 2,
        segment: 1,
        offset,
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(offset, at);
    assert_eq!(
        (read(1..=1).unwrap().len(), read(3..=3).unwrap().len()),
        (1, 1)
    );
    let slots: Vec<_> = wal.recover(GroupId(1)).unwrap().slots.collect();
    assert!(
        matches!(slots[..], [Err(ReadError::Slot { .. })]),
        "a stream ends with its error"
    );
}

#[test]
fn what_the_start_cut_is_named() {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    append(&mut wal, 1, &[put(4, 1), put(6, 1), Owned::Start(5)]).unwrap();
    let read = |from| wal.reader().read(GroupId(1), from..=9, 100);
    assert!(matches!(read(5), Err(ReadError::Cut { start: 5 })));
    assert_eq!(read(6).unwrap().len(), 1);
    let absent = wal.reader().read(GroupId(2), 0..=9, 100);
    assert!(
        matches!(absent, Err(ReadError::Cut { start: 0 })),
        "numbers begin at 1"
    );
}

#[test]
fn bounds_are_errors() {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    let error = append(&mut wal, 1, &[put(1, 4096)]).unwrap_err();
    assert!(
        matches!(
            error,
            AppendError::TooLarge {
                bytes_max: 4096,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        wal.groups().is_empty(),
        "nothing of a refused append is in the log"
    );
    append(&mut wal, 1, &[put(1, 4096 - 45)]).unwrap();

    let groups_max = (0..)
        .find(|i| append(&mut wal, 10 + i, &[Owned::State(1)]).is_err())
        .unwrap();
    assert!(
        (40..50).contains(&groups_max),
        "a quarter of 16 KiB: {groups_max}"
    );
    append(&mut wal, 10, &[Owned::State(2)]).unwrap();
    wal.sync().unwrap();

    let mut options = small();
    options.pending_bytes_max = 10_000;
    let mut wal = synod_wal::Wal::open(support::Medium(Disk::new(1)), options).unwrap();
    let refused = (1..)
        .find_map(|i| append(&mut wal, 1, &[put(i, 1000)]).err())
        .unwrap();
    assert!(
        matches!(refused, AppendError::Pending { bytes_max: 10_000 }),
        "{refused}"
    );
    wal.sync().unwrap();
    append(&mut wal, 1, &[put(99, 1000)]).unwrap();

    for (segment, record) in [
        (4096, 100),
        (20_000, 100),
        (16_384, 0),
        (16_384, 9000),
        (1 << 40, 100),
    ] {
        let mut options = small();
        (options.segment_bytes, options.record_bytes_max) = (segment, record);
        synod_wal::Wal::open(support::Medium(Disk::new(1)), options).unwrap_err();
    }
}
