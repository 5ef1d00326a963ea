//! Random disk images of a crashed node: recovery neither panics nor hangs, and returns what was
//! synced and nothing that was not appended. Rot added to an image is reported or harmless.
//!
//! A *story* is one disk from one seed: several incarnations of a process that appends, takes
//! snapshots, cuts its log and pulls snapshots, and dies in any operation on the disk. Each death
//! gives several *images*, which differ in what becomes of unsynced writes. In the release profile
//! all tests together recover 100,000 images of crashes alone, and half as many with rot:
//!
//! ```text
//! cargo test --release -p synod-wal --test images
//! IMAGES=1000000 cargo test --release -p synod-wal --test images      more of them
//! IMAGES_SEED=17 cargo test -p synod-wal --test images NAME           one story again
//! ```

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test may panic like the test"
)]

mod campaign;
mod metered;
mod rot;
mod shelf;
mod story;
#[path = "../support/mod.rs"]
mod support;

use campaign::Campaign;
use rot::Where;
use story::Story;
use support::{Medium, Owned, append, open, put};
use synod_sim::Disk;
use synod_wal::{DumpedRecord, OpenError, dump};

#[test]
fn a_crash_alone_loses_nothing_that_was_synced() {
    let campaign = Campaign {
        name: "a_crash_alone_loses_nothing_that_was_synced",
        images: if QUICK { 8_000 } else { 100_000 },
        images_a_story: INCARNATIONS * IMAGES_A_LIFE,
        least: &[
            ("died while it opened", 250),
            ("died while it synced", 300),
            ("died while it appended", 70),
            ("died while it wrote a snapshot", 100),
            ("died while it pulled a snapshot", 50),
            ("died while it removed snapshots", 8),
            ("died between operations", 300),
            ("the power went", 2_500),
            ("the page cache stayed", 800),
            ("a write was torn", 300),
            ("a name was lost", 300),
            ("a snapshot's last name was lost", 30),
            ("the last batch was lost whole", 700),
            ("the last batch was cut in its middle", 70),
            ("the last batch was there unsynced", 150),
            ("a good record stood behind a bad one", 3),
            ("the newest segment was a recycled one", 250),
            ("several segments were read", 700),
            ("slots had been carried", 500),
            ("a segment was half filled", 250),
            ("a torn part was found out", 2),
            ("a part was finished", 150),
            ("the power went once more", 1_500),
            ("recovery itself died", 700),
        ],
    };
    campaign.run(|seed| {
        let mut story = Story::new(seed);
        for _ in 0..INCARNATIONS {
            story.live();
            for _ in 1..IMAGES_A_LIFE {
                let disk = story.image();
                story.recover(&disk);
            }
            story.go_on();
        }
        story.coverage
    });
}

#[test]
fn rot_outside_the_last_batch_is_told_or_harmless() {
    rotten(
        "rot_outside_the_last_batch_is_told_or_harmless",
        Where::BeforeTheLastBatch,
        &[
            ("a flipped byte was told", 1_000),
            ("a zeroed sector was told", 200),
            ("a swap of sectors was told", 200),
            ("a flipped byte was harmless", 300),
            ("a zeroed sector was harmless", 50),
            ("a swap of sectors was harmless", 10),
            ("an old sector was told", 60),
            ("an old sector was harmless", 1),
            ("a bad opening was told", 300),
            ("a snapshot was told to be bad", 100),
            ("rot and a torn batch together", 500),
        ],
    );
}

#[test]
fn rot_in_the_last_batch_invents_nothing() {
    rotten(
        "rot_in_the_last_batch_invents_nothing",
        Where::InTheLastBatch,
        &[
            ("the last batch was cut by rot", 1_000),
            ("the last batch was cut in its middle by rot", 50),
            ("rot and a torn batch together", 200),
        ],
    );
}

/// The write of a segment's opening was lost long ago: the opening there is that of its previous
/// use, by which it is not part of the log.
#[test]
fn an_old_opening_hides_no_records() {
    let disk = Disk::new(1);
    let mut wal = open(&disk).unwrap();
    let (mut old, mut newest, mut hidden) = (Vec::new(), 0, 0);
    for index in 1..60 {
        let before = disk.fork(0);
        append(&mut wal, 1, &[put(index, 1500), Owned::Start(index - 1)]).unwrap();
        wal.sync().unwrap();
        let records = dump(&Medium(disk.fork(0))).unwrap();
        let records: Vec<DumpedRecord> = records.map(Result::unwrap).collect();
        let last = records.last().unwrap();
        let opening = records.iter().rfind(|record| record.offset == 0).unwrap();
        let name = format!("{:08}.log", opening.segment);
        if opening.generation > newest {
            newest = opening.generation;
            old = before.image(&name);
            old.truncate(4096);
        }
        if opening.batch < last.batch && !old.is_empty() {
            let rotten = disk.fork(0);
            let mut image = rotten.image(&name);
            image[..old.len()].copy_from_slice(&old);
            rotten.put_image(&name, &image);
            let told = open(&rotten).unwrap_err();
            assert!(
                matches!(told, OpenError::Corrupt(told) if told.segment == opening.segment),
                "{told}"
            );
            hidden += usize::from(old.iter().any(|byte| *byte != 0));
        }
    }
    assert!(hidden > 10, "{hidden} openings were old ones");
}

fn rotten(name: &'static str, at: Where, least: &'static [(&'static str, u64)]) {
    let campaign = Campaign {
        name,
        images: if QUICK { 2_000 } else { 50_000 },
        images_a_story: INCARNATIONS * IMAGES_A_LIFE,
        least,
    };
    campaign.run(move |seed| {
        let mut story = Story::new(seed);
        for _ in 0..INCARNATIONS {
            story.live();
            for _ in 0..IMAGES_A_LIFE {
                let disk = story.image();
                rot::strike(&mut story, &disk, at);
            }
            story.go_on();
        }
        story.coverage
    });
}

/// What may take a minute in the release profile takes seconds here.
const QUICK: bool = cfg!(debug_assertions);
/// Incarnations in a story.
const INCARNATIONS: u64 = 8;
/// Images of each death.
const IMAGES_A_LIFE: u64 = 3;
