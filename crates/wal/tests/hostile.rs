//! Bytes that no log wrote: they cause no panic, no more memory than the files have, and no record
//! that was not there.

mod support;

use proptest::prelude::*;
use support::{Medium, Model, Owned, append, open, put};
use synod_sim::Disk;
use synod_wal::{GroupId, OpenError, dump};

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_are_an_empty_log(files in proptest::collection::vec(noise(), 1..4)) {
        let disk = Disk::new(1);
        for (number, bytes) in files.iter().enumerate() {
            disk.put_image(&format!("{number:08}.log"), bytes);
        }
        let mut wal = open(&disk).unwrap();
        prop_assert_eq!(Model::of(&wal), Model::default());
        prop_assert_eq!(dump(&Medium(disk.clone())).unwrap().count(), 0);
        append(&mut wal, 1, &[put(1, 100)]).unwrap();
        wal.sync().unwrap();
        prop_assert_eq!(Model::of(&open(&disk).unwrap()).0.len(), 1);
    }

    #[test]
    fn damage_is_found_or_harmless(at in 0..40_000_usize, bytes in proptest::collection::vec(any::<u8>(), 1..3000)) {
        let disk = Disk::new(1);
        let mut wal = open(&disk).unwrap();
        let mut models = vec![Model::default()];
        for index in 1..9 {
            append(&mut wal, 1, &[put(index, 1000), Owned::State(index as u8)]).unwrap();
            let mut model = models[index as usize - 1].clone();
            model.apply(GroupId(1), &[put(index, 1000), Owned::State(index as u8)]);
            models.push(model);
            wal.sync().unwrap();
        }
        drop(wal);
        let name = format!("{:08}.log", at / 16_384 + 1);
        let mut image = disk.image(&name);
        for (into, byte) in image.iter_mut().skip(at % 16_384).zip(&bytes) {
            *into = *byte;
        }
        disk.put_image(&name, &image);
        let dumped = dump(&Medium(disk.clone())).map(Iterator::count);
        match open(&disk) {
            // At most the final batch is missing: it may have been torn.
            Ok(wal) => prop_assert!(models[7..].contains(&Model::of(&wal))),
            Err(OpenError::Corrupt(found)) => prop_assert!(found.lsn.0 > 0 && found.offset.is_multiple_of(8)),
            Err(error) => prop_assert!(matches!(error, OpenError::Missing { .. }), "{}", error),
        }
        prop_assert!(dumped.is_ok());
    }
}

#[test]
fn a_body_that_holds_records_is_a_body() {
    // A value may be a copy of a segment, so that it contains good records, some of them where a
    // batch could begin.
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    for index in 1..4 {
        append(&mut wal, 1, &[put(index, 100)]).unwrap();
        wal.sync().unwrap();
    }
    let segment = disk.image("00000001.log");
    let mut model = Model::of(&wal);
    for (index, shift) in (4..).zip([0, 1, 8, 93, 4096 - 93]) {
        let body = segment[4096 - shift..][..3900].to_vec();
        let ops = [Owned::Put(index, body.into())];
        append(&mut wal, 1, &ops).unwrap();
        model.apply(GroupId(1), &ops);
        let before = disk.fork(1);
        wal.sync().unwrap();
        assert_eq!(Model::of(&open(&disk.fork(1)).unwrap()), model);
        // Torn, so that recovery searches for its records after a bad one.
        let torn = disk.fork(1);
        for name in torn.names().unwrap() {
            let (old, new) = (before.image(&name), torn.image(&name));
            if let Some(at) = (0..old.len().min(new.len())).find(|at| old[*at] != new[*at]) {
                torn.flip(&name, at as u64, 0xff).unwrap();
            }
        }
        let cut = Model::of(&open(&torn).unwrap());
        assert_eq!(
            cut.0[&GroupId(1)].slots.len() + 1,
            model.0[&GroupId(1)].slots.len()
        );
    }
}

#[test]
fn foreign_files_are_left_alone() {
    let disk = Disk::new(1);
    for name in [
        "notes.txt",
        "1.log",
        "x0000001.log",
        "00000001.log.bak",
        "99999999999999999999999.log",
        "18446744073709551615.log",
        "18446744073709551614.log",
        "1000000000000.log",
    ] {
        disk.put_image(name, b"mine");
    }
    let mut wal = open(&disk).unwrap();
    append(&mut wal, 1, &[put(1, 100)]).unwrap();
    wal.sync().unwrap();
    assert_eq!(disk.image("notes.txt"), b"mine");
    assert_eq!(disk.names().unwrap().len(), 9);
    assert_eq!(disk.image("18446744073709551615.log"), b"mine");
    assert_eq!(Model::of(&open(&disk).unwrap()), Model::of(&wal));
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    let magic = Just(b"SYN\0".to_vec());
    let piece = prop_oneof![
        magic,
        proptest::collection::vec(any::<u8>(), 0..64),
        Just(vec![0; 4096])
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}
