//! Bodies that a client made to look like records: correct except for the salt, which is secret.
//!
//! Each forgery is also tried with the salt of the log, and is then believed: so the salt and
//! nothing else stops it.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

mod support;

use bytes::Bytes;
use support::{Medium, Model, Owned, SALT, append, put, small};
use synod_sim::{Disk, SECTOR_BYTES};
use synod_wal::{AppendError, DumpedRecord, GroupId, OpenError, Options, Wal, dump};

#[test]
fn a_forged_record_in_a_body_is_not_replayed() {
    for salt in GUESSES {
        let disk = Disk::new(1);
        let mut wal = begin(&disk);
        let end = newest(&disk);
        let base = (end.offset + end.len).next_multiple_of(BLOCK_BYTES);
        // The final batch: a small record, and one whose body extends into the next block, where
        // another batch could begin. The forged bytes there claim to be one, right after the small
        // record.
        let at = base + BLOCK_BYTES;
        let forged = Forged {
            at,
            generation: 1,
            lsn: end.lsn.0 + 2,
            durable: end.lsn.0 + 1,
            batch: end.batch + 2,
            salt,
        };
        let ahead = at as usize - base as usize - (BODY_AT + 10).next_multiple_of(8) - BODY_AT;
        let before = disk.image(FIRST);
        append(&mut wal, 1, &[put(3, 10)]).unwrap();
        let model = Model::of(&wal);
        append(&mut wal, 1, &[Owned::Put(4, forged.body(ahead))]).unwrap();
        wal.sync().unwrap();
        let mut image = disk.image(FIRST);
        assert!(
            image[at as usize..].starts_with(&forged.bytes()),
            "it is at the intended offset"
        );
        // One sector of the second record is lost.
        let lost = base as usize + 2 * SECTOR_BYTES..base as usize + 3 * SECTOR_BYTES;
        assert_ne!(image[lost.clone()], before[lost.clone()]);
        image[lost.clone()].copy_from_slice(&before[lost]);
        disk.put_image(FIRST, &image);
        let found = Model::of(&Wal::open(Medium(disk), wide()).unwrap());
        assert_eq!(found.0.contains_key(&STRANGER), salt == SALT, "{salt:x}");
        assert!(salt == SALT || found == model);
    }
}

#[test]
fn a_forged_record_in_a_body_convicts_nobody() {
    for salt in GUESSES {
        let disk = Disk::new(1);
        let mut wal = begin(&disk);
        let model = Model::of(&wal);
        let end = newest(&disk);
        let base = (end.offset + end.len).next_multiple_of(BLOCK_BYTES);
        // It claims that much was durable when it was written, so the bad record before it must be
        // corrupt.
        let forged = Forged {
            at: base + (BODY_AT as u64).next_multiple_of(8),
            generation: 1,
            lsn: 2_000_000,
            durable: 1_000_000,
            batch: 1_000_000,
            salt,
        };
        append(&mut wal, 1, &[Owned::Put(3, forged.body(3))]).unwrap();
        wal.sync().unwrap();
        disk.flip(FIRST, base, 0xff).unwrap();
        check(&disk, salt, &model);
    }
}

#[test]
fn a_forged_record_does_not_convict_a_torn_opening() {
    for salt in GUESSES {
        let disk = Disk::new(1);
        let mut wal = begin(&disk);
        // The opening of the next segment has one group, and the body comes after it.
        let forged = Forged {
            at: (HEADER_BYTES + 24 + 88 + BODY_AT as u64).next_multiple_of(8),
            generation: 2,
            lsn: 2_000_000,
            durable: 1_000_000,
            batch: 1_000_000,
            salt,
        };
        let mut model = Model::of(&wal);
        for index in 3.. {
            append(&mut wal, 1, &[Owned::Put(index, forged.body(3))]).unwrap();
            wal.sync().unwrap();
            if newest(&disk).generation == 2 {
                break;
            }
            model = Model::of(&wal);
        }
        let name = format!("{:08}.log", newest(&disk).segment);
        assert!(disk.image(&name)[forged.at as usize..].starts_with(&forged.bytes()));
        disk.flip(&name, 0, 0xff).unwrap();
        check(&disk, salt, &model);
    }
}

#[test]
fn each_log_has_a_salt_of_its_own_and_keeps_it() {
    let mut drawn = Options::default();
    (drawn.segment_bytes, drawn.record_bytes_max) = (16 * 1024, 4 * 1024);
    drawn.reserve_bytes = 16 << 10;
    let salts = [(); 2].map(|()| {
        let disk = Disk::new(1);
        for (incarnation, salt) in [None, Some(SALT), None].into_iter().enumerate() {
            let mut options = drawn.clone();
            options.salt = salt;
            let mut wal = Wal::open(Medium(disk.clone()), options).unwrap();
            for index in 1..9 {
                append(&mut wal, 1, &[put(incarnation as u64 * 8 + index, 3000)]).unwrap();
                wal.sync().unwrap();
            }
        }
        assert!(newest(&disk).generation > 3);
        let mut salts: Vec<u64> = records(&disk).map(|record| salt(&disk, &record)).collect();
        salts.dedup();
        assert_eq!(salts.len(), 1, "also after later openings");
        salts[0]
    });
    assert_ne!(salts[0], salts[1]);
    assert!(!salts.contains(&SALT) && !salts.contains(&0));
}

#[test]
fn the_only_opening_does_not_take_the_salt_with_it() {
    let disk = Disk::new(1);
    drop(begin(&disk));
    disk.flip(FIRST, HEADER_BYTES - 1, 1).unwrap();
    let error = Wal::open(Medium(disk), wide()).unwrap_err();
    assert!(
        matches!(error, OpenError::Corrupt(found) if found.offset == 0),
        "{error}"
    );
}

/// Numbers under a right checksum that no log reaches by counting: the log opens, always the same,
/// and accepts nothing, since no number is left that would be found again.
#[test]
fn a_log_at_the_end_of_all_numbers_opens_and_takes_nothing() {
    let disk = Disk::new(1);
    drop(begin(&disk));
    let image = disk.image(FIRST);
    for (field, margin) in [(16, 0), (24, 0), (24, 1), (40, 0), (40, 1)] {
        let mut opening = image[..BLOCK_BYTES as usize].to_vec();
        let last = u64::MAX - margin;
        opening[field..field + 8].copy_from_slice(&last.to_le_bytes());
        if field == 16 {
            // The oldest generation of the log is its only one.
            opening[64 + 8..][..8].copy_from_slice(&last.to_le_bytes());
        }
        if field == 24 {
            opening[32..40].copy_from_slice(&(last - 1).to_le_bytes());
        }
        seal(&mut opening, 0);
        let mut forged = [&opening[..], &vec![0; image.len() - opening.len()]].concat();
        if margin == 0 && field == 24 {
            // Other bytes are where the next record would be.
            let follower = Forged {
                at: BLOCK_BYTES,
                generation: 1,
                lsn: 0,
                durable: last,
                batch: 9,
                salt: SALT,
            };
            forged[BLOCK_BYTES as usize..][..follower.bytes().len()]
                .copy_from_slice(&follower.bytes());
        }
        let disk = Disk::new(1);
        disk.put_image(FIRST, &forged);
        let told = dump(&Medium(disk.clone())).unwrap().map(Result::unwrap);
        assert_eq!(told.count(), 1, "field {field}");
        for _ in 0..2 {
            let mut wal = Wal::open(Medium(disk.clone()), wide()).unwrap();
            assert_eq!(Model::of(&wal), Model::default());
            let taken = append(&mut wal, 1, &[put(1, 100)]);
            assert!(matches!(taken, Err(AppendError::Latched)), "{taken:?}");
        }
    }
}

/// A log with two slots, whose records may be longer than a block.
fn begin(disk: &Disk) -> Wal<Medium> {
    let mut wal = Wal::open(Medium(disk.clone()), wide()).unwrap();
    for index in 1..3 {
        append(&mut wal, 1, &[put(index, 100)]).unwrap();
        wal.sync().unwrap();
    }
    wal
}

fn wide() -> Options {
    let mut options = small();
    (options.segment_bytes, options.record_bytes_max) = (64 * 1024, 8000);
    options
}

/// The log is cut to `model`, unless the forger knew the salt.
fn check(disk: &Disk, salt: u64, model: &Model) {
    match Wal::open(Medium(disk.clone()), wide()) {
        Ok(wal) => assert!(salt != SALT && Model::of(&wal) == *model, "{salt:x}"),
        Err(OpenError::Corrupt(_)) => assert_eq!(salt, SALT, "it was believed"),
        Err(error) => panic!("{error}"),
    }
}

fn records(disk: &Disk) -> impl Iterator<Item = DumpedRecord> {
    dump(&Medium(disk.clone())).unwrap().map(Result::unwrap)
}

fn newest(disk: &Disk) -> DumpedRecord {
    records(disk).last().unwrap()
}

fn salt(disk: &Disk, record: &DumpedRecord) -> u64 {
    let image = disk.image(&format!("{:08}.log", record.segment));
    u64::from_le_bytes(*image[record.offset as usize + 56..].first_chunk().unwrap())
}

/// A record that sets the state of an unused group.
struct Forged {
    at: u64,
    generation: u64,
    lsn: u64,
    durable: u64,
    batch: u64,
    salt: u64,
}

impl Forged {
    fn bytes(&self) -> Vec<u8> {
        let payload = [&[1][..], &[0xee; 32]].concat();
        let mut frame = b"SYN\0\0\0\0\0".to_vec();
        frame.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        frame.extend_from_slice(&[1, 0, 0, 0]);
        let Self {
            generation,
            lsn,
            durable,
            batch,
            salt,
            ..
        } = *self;
        for field in [generation, lsn, durable, batch, STRANGER.0, salt] {
            frame.extend_from_slice(&field.to_le_bytes());
        }
        frame.extend_from_slice(&payload);
        frame.resize(frame.len().next_multiple_of(8), 0);
        seal(&mut frame, self.at);
        frame
    }

    /// A body with the record after `ahead` bytes.
    fn body(&self, ahead: usize) -> Bytes {
        let body = [&vec![0x11; ahead][..], &self.bytes(), &[0x11; 1000]];
        body.concat().into()
    }
}

/// Writes the right checksum into a record at offset `at`.
fn seal(frame: &mut [u8], at: u64) {
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&at.to_le_bytes()), &frame[..4]);
    let checksum = crc32c::crc32c_append(checksum, &frame[8..]);
    frame[4..8].copy_from_slice(&checksum.to_le_bytes());
}

const FIRST: &str = "00000001.log";
const STRANGER: GroupId = GroupId(7);
const GUESSES: [u64; 4] = [0, SALT ^ 1, !SALT, SALT];
const BLOCK_BYTES: u64 = 4096;
const HEADER_BYTES: u64 = 64;
/// The distance from the start of a record to the body of its first put.
const BODY_AT: usize = 64 + 45;
