//! A torn final batch is cut; a bad record that was durable is named and never cut.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

mod support;

use support::{Medium, Model, Owned, append, open, put};
use synod_sim::{Disk, SECTOR_BYTES};
use synod_wal::{Corruption, DumpedRecord, GroupId, OpenError, Wal, dump};

#[test]
fn a_final_batch_may_be_cut_after_every_byte() {
    let (before, after, models) = with_final_batch(&[700, 40, 2000, 1]);
    let names = before.names().unwrap();
    let name = names
        .iter()
        .find(|name| before.image(name) != after.image(name))
        .unwrap();
    let (old, new) = (before.image(name), after.image(name));
    let first = (0..old.len()).find(|i| old[*i] != new[*i]).unwrap();
    let mut seen = vec![false; models.len()];
    for cut in first..=first + 4096 {
        let disk = before.fork(1);
        disk.put_image(name, &[&new[..cut], &old[cut..]].concat());
        seen[prefix(&disk, &models)] = true;
    }
    assert!(
        seen.iter().all(|seen| *seen),
        "every number of records was left at some cut: {seen:?}"
    );
}

#[test]
fn a_final_batch_may_lose_any_of_its_sectors() {
    let (before, after, models) = with_final_batch(&[500, 450, 900, 1000]);
    let names = before.names().unwrap();
    let name = names
        .iter()
        .find(|name| before.image(name) != after.image(name))
        .unwrap();
    let (old, new) = (before.image(name), after.image(name));
    let sectors: Vec<usize> = (0..old.len() / SECTOR_BYTES)
        .filter(|s| {
            old[s * SECTOR_BYTES..][..SECTOR_BYTES] != new[s * SECTOR_BYTES..][..SECTOR_BYTES]
        })
        .collect();
    assert!(sectors.len() >= 6, "{sectors:?}");
    let mut good_behind_bad = 0;
    for kept in 0..1_u32 << sectors.len() {
        let mut image = old.clone();
        for (_, sector) in sectors
            .iter()
            .enumerate()
            .filter(|(i, _)| kept >> i & 1 == 1)
        {
            let range = sector * SECTOR_BYTES..(sector + 1) * SECTOR_BYTES;
            image[range.clone()].copy_from_slice(&new[range]);
        }
        let disk = before.fork(1);
        disk.put_image(name, &image);
        let left = prefix(&disk, &models);
        good_behind_bad +=
            usize::from(left == 0 && kept.count_ones() as usize == sectors.len() - 1);
        go_on(&disk, &models[left]);
    }
    assert!(
        good_behind_bad > 0,
        "only the first sector was lost in some case"
    );
}

#[test]
fn every_flipped_byte_outside_the_final_batch_is_told() {
    let (disk, model) = rounds();
    let records: Vec<DumpedRecord> = dump(&Medium(disk.clone()))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let last = records.last().unwrap().batch;
    assert!(records.last().unwrap().generation >= 3, "several segments");
    let (mut told, mut harmless, mut cut) = (0, 0, 0);
    for name in disk
        .names()
        .unwrap()
        .iter()
        .filter(|name| name.ends_with(".log"))
    {
        let number: u64 = name.trim_end_matches(".log").parse().unwrap();
        // Every byte of headers and ends, and every 61st of what is between.
        for at in (0..disk.image(name).len() as u64)
            .filter(|at| at % 61 == 0 || at % 4096 < 65 || at % 4096 == 4095)
        {
            let record = records
                .iter()
                .find(|r| r.segment == number && (r.offset..r.offset + r.len).contains(&at));
            disk.flip(name, at, 1 << (at % 8)).unwrap();
            let opened = open(&disk.fork(1));
            match record {
                Some(record) if record.batch != last => {
                    let Err(OpenError::Corrupt(found)) = opened else {
                        panic!("{name} at {at}: {opened:?}")
                    };
                    let expected = Corruption {
                        segment: number,
                        offset: record.offset,
                        lsn: record.lsn,
                    };
                    assert_eq!(found, expected, "{name} at {at}");
                    told += 1;
                }
                Some(_) => {
                    assert_ne!(
                        Model::of(&opened.unwrap()),
                        model,
                        "a bad record of the final batch is cut"
                    );
                    cut += 1;
                }
                None => {
                    assert_eq!(
                        Model::of(&opened.unwrap()),
                        model,
                        "{name} at {at} is filler"
                    );
                    harmless += 1;
                }
            }
            disk.flip(name, at, 1 << (at % 8)).unwrap();
        }
    }
    assert!(
        told > 800 && harmless > 100 && cut > 30,
        "{told} {harmless} {cut}"
    );
}

#[test]
fn a_missing_segment_is_told() {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    (1..20).for_each(|i| {
        append(&mut wal, 1, &[put(i, 2000)]).unwrap();
        wal.sync().unwrap();
    });
    drop(wal);
    let segments: Vec<DumpedRecord> = dump(&Medium(disk.clone()))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let newest = segments.last().unwrap().generation;
    for generation in 1..newest {
        let fork = disk.fork(1);
        let record = segments
            .iter()
            .find(|r| r.generation == generation)
            .unwrap();
        fork.remove(&format!("{:08}.log", record.segment)).unwrap();
        let error = open(&fork).unwrap_err();
        assert!(
            matches!(error, OpenError::Missing { generation: g } if g == generation),
            "{error}"
        );
    }
}

#[test]
fn records_of_a_torn_batch_never_come_back() {
    // The first incarnation's batch leaves its second record behind, while its first one is lost. A
    // second incarnation writes a batch of the same shape, of which only the first record arrives.
    // The second record of the first incarnation would be at the right offset, with the right
    // number, if it counted.
    for same_shape in [true, false] {
        let disk = Disk::new(1);
        let mut wal = open(&disk).unwrap();
        append(&mut wal, 1, &[put(1, 10)]).unwrap();
        wal.sync().unwrap();
        let first_life = tear(
            &disk,
            wal,
            &[Owned::Put(2, vec![1; 907].into())],
            &[put(3, 907)],
            0,
        );
        let mut expected = Model::default();
        expected.apply(GroupId(1), &[put(1, 10)]);
        assert_eq!(Model::of(&open(&first_life).unwrap()), expected);

        let second = Owned::Put(2, vec![2; if same_shape { 907 } else { 300 }].into());
        let wal = open(&first_life).unwrap();
        let second_life = tear(
            &first_life,
            wal,
            std::slice::from_ref(&second),
            &[put(4, 907)],
            1,
        );
        expected.apply(GroupId(1), &[second]);
        let third = open(&second_life).unwrap();
        assert_eq!(Model::of(&third), expected);
        go_on(&second_life, &expected);
    }
}

#[test]
fn what_recovery_has_seen_survives_the_next_power_loss() {
    for seed in 0..50 {
        let disk = Disk::new(seed);
        let mut wal = open(&disk).unwrap();
        append(&mut wal, 1, &[put(1, 10)]).unwrap();
        wal.sync().unwrap();
        append(&mut wal, 1, &[put(2, 3000)]).unwrap();
        if seed % 2 == 0 {
            // Written, then killed before the sync.
            disk.crash_after(1);
        } else {
            disk.fail_next_sync();
        }
        wal.sync().unwrap_err();
        drop(wal);
        disk.restart();
        let seen = Model::of(&open(&disk).unwrap());
        assert_eq!(
            seen.0[&GroupId(1)].slots.len(),
            2,
            "the page cache holds the batch"
        );
        disk.power_loss();
        assert_eq!(Model::of(&open(&disk).unwrap()), seen, "seed {seed}");
    }
}

/// A file that was truncated in the middle of a block: records in the rest of that block are read
/// like all others, so they are evidence like all others.
#[test]
fn a_cut_segment_hides_no_witness() {
    let (disk, model, cuts) = long_batches();
    let mut convicted = 0;
    for (flipped, witness) in cuts {
        let fork = disk.fork(1);
        let name = format!("{:08}.log", witness.segment);
        let end = (witness.offset + witness.len) as usize;
        assert_ne!(end % BLOCK_BYTES, 0, "the cut is within a block");
        let image = fork.image(&name);
        fork.remove(&name).unwrap();
        fork.put_image(&name, &image[..end]);
        // What came after it is gone as well.
        for later in fork.names().unwrap().iter().filter(|later| **later > name) {
            fork.remove(later).unwrap();
        }
        fork.flip(&name, flipped.offset + 20, 1).unwrap();
        let expected = Corruption {
            segment: flipped.segment,
            offset: flipped.offset,
            lsn: flipped.lsn,
        };
        let opened = open(&fork);
        let Err(OpenError::Corrupt(found)) = opened else {
            panic!(
                "lsn {} was durable and is cut: {opened:?}, then {:?}",
                flipped.lsn,
                open(&fork)
            )
        };
        assert_eq!(found, expected);
        convicted += 1;
    }
    assert!(convicted >= 2, "{convicted}");
    assert_eq!(Model::of(&open(&disk).unwrap()), model);
}

/// The end of a file cuts a record in its padding, so that it is bad, and nothing else is good.
/// Continuing to fill that file must not restore the zeros that make the record good again.
#[test]
fn a_cut_record_is_not_made_whole() {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    append(&mut wal, 1, &[put(1, 100)]).unwrap();
    wal.sync().unwrap();
    drop(wal);
    let name = "00000001.log";
    let mut image = disk.image(name);
    image[..BLOCK_BYTES].fill(0);
    let record = BLOCK_BYTES..2 * BLOCK_BYTES;
    assert_eq!(image[record.clone()][..3], *b"SYN");
    let padding = image[record.clone()].iter().rposition(|byte| *byte != 0);
    let mut cuts = 0;
    for cut in (record.start + padding.unwrap() + 1..record.end).step_by(61) {
        let disk = Disk::new(1);
        disk.put_image(name, &image[..cut]);
        let first = Model::of(&open(&disk).unwrap());
        let again =
            open(&disk).unwrap_or_else(|error| panic!("opened once, cut at {cut}: {error}"));
        assert_eq!(Model::of(&again), first);
        cuts += 1;
    }
    assert!(cuts > 50, "{cuts}");
    // With its padding it is a record without an opening before it.
    let whole = Disk::new(1);
    whole.put_image(name, &image[..record.end]);
    assert!(matches!(open(&whole), Err(OpenError::Corrupt(_))));
}

/// A log of several segments, and pairs of records of one segment: the second was written when the
/// first was durable, is not the last of its batch, and ends within a block that has no other good
/// evidence.
fn long_batches() -> (Disk, Model, Vec<(DumpedRecord, DumpedRecord)>) {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    let mut model = Model::default();
    for round in 1..14 {
        for part in 0..3 {
            let ops = [put(round * 3 + part, 200)];
            append(&mut wal, 1, &ops).unwrap();
            model.apply(GroupId(1), &ops);
        }
        wal.sync().unwrap();
    }
    drop(wal);
    let records: Vec<DumpedRecord> = dump(&Medium(disk.clone()))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let mut pairs = Vec::new();
    for pair in records.windows(2) {
        // The last record of a batch, and the first of the next in the same segment.
        if let [one, two] = pair
            && one.batch < two.batch
            && one.segment == two.segment
            && records
                .iter()
                .any(|r| r.batch == two.batch && r.lsn > two.lsn)
        {
            pairs.push((one.clone(), two.clone()));
        }
    }
    (disk, model, pairs)
}

const BLOCK_BYTES: usize = 4096;

/// Appends two records in one batch, of which only the one at `kept` reaches the disk.
fn tear(disk: &Disk, mut wal: Wal<Medium>, first: &[Owned], second: &[Owned], kept: usize) -> Disk {
    let before = disk.fork(1);
    // The opening of a process is a batch of its own, and does arrive.
    append(&mut wal, 1, first).unwrap();
    append(&mut wal, 1, second).unwrap();
    wal.sync().unwrap();
    drop(wal);
    let records: Vec<DumpedRecord> = dump(&Medium(disk.clone()))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let [.., one, two] = records.as_slice() else {
        panic!("two records were written")
    };
    assert_eq!((one.batch, one.segment), (two.batch, two.segment));
    let name = format!("{:08}.log", one.segment);
    let (old, mut image) = (before.image(&name), disk.image(&name));
    let lost = if kept == 0 { two } else { one };
    let lost = if lost.lsn == one.lsn { two } else { one };
    let range = lost.offset as usize..(lost.offset + lost.len) as usize;
    image[range.clone()].copy_from_slice(&old[range]);
    let torn = disk.fork(2);
    torn.put_image(&name, &image);
    torn
}

/// A log of several segments, each batch with a record of two groups.
fn rounds() -> (Disk, Model) {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    let mut model = Model::default();
    for round in 1..14 {
        for group in 1..3 {
            let ops = [Owned::State(round as u8), put(round, 900 * group as usize)];
            append(&mut wal, group, &ops).unwrap();
            model.apply(GroupId(group), &ops);
        }
        wal.sync().unwrap();
    }
    (disk, model)
}

/// A log before and after a final batch with a record of each length, and the models after each
/// record.
fn with_final_batch(lens: &[usize]) -> (Disk, Disk, Vec<Model>) {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    let mut models = vec![Model::default()];
    for index in 1..3 {
        append(&mut wal, 1, &[put(index, 300)]).unwrap();
        models[0].apply(GroupId(1), &[put(index, 300)]);
        wal.sync().unwrap();
    }
    let before = disk.fork(1);
    for (index, len) in (3..).zip(lens) {
        append(&mut wal, 1, &[put(index, *len)]).unwrap();
        let mut model = models.last().unwrap().clone();
        model.apply(GroupId(1), &[put(index, *len)]);
        models.push(model);
    }
    wal.sync().unwrap();
    (before, disk, models)
}

/// Opens a log that must hold some of the records; returns how many.
fn prefix(disk: &Disk, models: &[Model]) -> usize {
    let found = Model::of(&open(disk).unwrap());
    models.iter().position(|model| *model == found).unwrap()
}

/// A log that was cut accepts more, and finds it.
fn go_on(disk: &Disk, model: &Model) {
    let mut model = model.clone();
    for round in 0..3 {
        let mut wal = open(disk).unwrap();
        assert_eq!(Model::of(&wal), model);
        let ops = [put(50 + round, 600)];
        append(&mut wal, 2, &ops).unwrap();
        append(&mut wal, 2, &[put(60, 700)]).unwrap();
        model.apply(GroupId(2), &ops);
        model.apply(GroupId(2), &[put(60, 700)]);
        wal.sync().unwrap();
    }
}
