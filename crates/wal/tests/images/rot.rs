//! Rot on an image: one flipped byte, a sector of zeros, a sector from an earlier incarnation, or
//! two swapped sectors.

use std::collections::BTreeSet;
use std::ops::Range;

use synod_sim::{Disk, SECTOR_BYTES};
use synod_wal::{DumpedContent, DumpedRecord, Lsn, OpenError, Wal, dump};

use crate::campaign::next_image;
use crate::metered::Metered;
use crate::story::{GROUPS, Story, same};
use crate::support::{Medium, Model, append, put};

/// Where the rot is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    BeforeTheLastBatch,
    InTheLastBatch,
}

/// Bytes of a file that have changed.
struct Rot {
    kind: &'static str,
    places: Vec<(String, Range<u64>)>,
}

/// Damages an image in one place, and judges what recovery makes of it.
pub(crate) fn strike(story: &mut Story, disk: &Disk, at: Where) {
    let records = records(disk);
    let Some(last) = records.last().map(|record| record.batch) else {
        return;
    };
    let (final_batch, before): (Vec<_>, Vec<_>) =
        records.into_iter().partition(|record| record.batch == last);
    // The result without rot.
    let sound = disk.fork(0);
    let sound = Model::of(&story.open(&sound));
    let drawn = (0..DRAWS).find_map(|_| {
        let rotten = disk.fork(0);
        let rot = match at {
            Where::BeforeTheLastBatch => outside(story, &rotten, &before, &final_batch),
            Where::InTheLastBatch => inside(story, &rotten, &final_batch),
        };
        Some((rot?, rotten))
    });
    let Some((rot, rotten)) = drawn else { return };
    let disk = &rotten;
    next_image();
    story.coverage.see("images");
    story.coverage.see("rotten images");
    let (_, all) = story.synced_of_tried();
    let torn = story.prefix(&sound, 0).is_some_and(|left| left < all);
    story.coverage.see_if(torn, "rot and a torn batch together");
    let medium = Metered::new(disk);
    let opened = Wal::open(medium.clone(), story.options());
    medium.release();
    match at {
        Where::BeforeTheLastBatch => judge(story, disk, opened, &rot, &before, &sound),
        Where::InTheLastBatch => judge_last(story, opened, &rot, &final_batch, &sound),
    }
}

/// The image must be refused by a named record, or be as it was without rot.
fn judge(
    story: &mut Story,
    disk: &Disk,
    opened: Result<Wal<Metered>, OpenError>,
    rot: &Rot,
    before: &[DumpedRecord],
    sound: &Model,
) {
    let bad: Vec<&DumpedRecord> = before.iter().filter(|r| rot.meets(r)).collect();
    match opened {
        Ok(wal) => {
            let found = Model::of(&wal);
            assert!(same(&found, sound), "{rot} led to {found:?}, not {sound:?}");
            assert!(bad.is_empty(), "{rot} was not noticed in {}", brief(&bad));
            story.coverage.see(rot.was(false));
            let told = story
                .shelf
                .check_rotten(&wal.snapshots(), GROUPS, &rot.snapshots());
            story
                .coverage
                .see_if(told > 0, "a snapshot was told to be bad");
            drop(wal);
            goes_on(story, disk, sound);
        }
        Err(OpenError::Corrupt(told)) => {
            // The offset may be that of what an earlier recovery cut, just before the bad record.
            let file = format!("{:08}.log", told.segment);
            let named = rot.places.iter().any(|(name, _)| *name == file)
                && bad.iter().any(|record| record.lsn == told.lsn);
            // Without the newest opening it is unknown which files are the log, and an opening that
            // moved to another file takes the segment along: then the named record is a trace of
            // it.
            let opening = bad.iter().any(is_opening);
            assert!(
                named || opening,
                "{rot}: {told}, but these are bad: {}",
                brief(&bad)
            );
            story.coverage.see_if(opening, "a bad opening was told");
            story
                .coverage
                .see_if(!named, "a trace of a bad opening was told");
            story.coverage.see(rot.was(true));
        }
        Err(OpenError::Missing { .. }) if bad.iter().any(is_opening) => {
            story.coverage.see("a bad opening was told");
            story.coverage.see(rot.was(true));
        }
        Err(error) => panic!("{rot}: {error}, but these are bad: {}", brief(&bad)),
    }
}

/// The last batch may be cut, since it cannot be distinguished from a torn one; nothing else may.
fn judge_last(
    story: &mut Story,
    opened: Result<Wal<Metered>, OpenError>,
    rot: &Rot,
    final_batch: &[DumpedRecord],
    sound: &Model,
) {
    let bad: Vec<&DumpedRecord> = final_batch.iter().filter(|r| rot.meets(r)).collect();
    let wal = match opened {
        Ok(wal) => wal,
        // The remains of a torn batch after it prove that it was durable. If that batch had begun a
        // segment, its opening is named.
        Err(OpenError::Corrupt(told)) if bad.iter().any(|record| record.lsn <= told.lsn) => {
            story.coverage.see("rot in the last whole batch was told");
            return;
        }
        // Its opening had released a segment, on which the previous opening still relies.
        Err(OpenError::Missing { .. }) if bad.iter().any(is_opening) => {
            story.coverage.see("rot in the last whole batch was told");
            return;
        }
        Err(error) => panic!("{rot}: {error}, but these are bad: {}", brief(&bad)),
    };
    let found = Model::of(&wal);
    let first = final_batch.first().map_or(Lsn(0), |record| record.lsn);
    let least = story.appends.partition_point(|append| append.lsn < first);
    let left = story.prefix(&found, least);
    let Some(left) = left else {
        panic!("{rot} gave {found:?}, with {least} appends before it")
    };
    let whole = story.prefix(sound, least).unwrap_or(left);
    story
        .coverage
        .see_if(left < whole, "the last batch was cut by rot");
    story.coverage.see_if(
        least < left && left < whole,
        "the last batch was cut in its middle by rot",
    );
}

/// A log with harmless rot accepts more, and finds it.
fn goes_on(story: &mut Story, disk: &Disk, sound: &Model) {
    if !story.random.chance(0.2) {
        return;
    }
    let mut model = sound.clone();
    for round in 0..4 {
        let mut wal = Wal::open(Medium(disk.clone()), story.options()).unwrap();
        assert!(same(&Model::of(&wal), &model));
        let ops = [put(1_000_000 + round, 2_000)];
        append(&mut wal, 1, &ops).unwrap();
        model.apply(synod_wal::GroupId(1), &ops);
        wal.sync().unwrap();
    }
}

/// A place outside of the last batch: mostly in records, and there mostly in headers.
fn outside(
    story: &mut Story,
    disk: &Disk,
    before: &[DumpedRecord],
    final_batch: &[DumpedRecord],
) -> Option<Rot> {
    let random = &mut story.random;
    let names = disk.names().ok()?;
    let mut draw = || {
        if random.chance(0.7) && !before.is_empty() {
            let record = &before[random.index(before.len())];
            let len = if random.chance(0.4) { 64 } else { record.len };
            return (name(record), record.offset + random.below(len));
        }
        let name = names[random.index(names.len())].clone();
        let at = random.below(disk.image(&name).len() as u64);
        (name, at)
    };
    let (one, two) = (draw(), draw());
    let rot = Rot::draw(story, disk, one, two)?;
    (!final_batch.iter().any(|record| rot.meets(record))).then_some(rot)
}

/// A place in the last batch, all of whose records this incarnation has written.
fn inside(story: &mut Story, disk: &Disk, final_batch: &[DumpedRecord]) -> Option<Rot> {
    if final_batch.first()?.lsn <= story.began {
        return None;
    }
    let random = &mut story.random;
    let mut draw = || {
        let record = &final_batch[random.index(final_batch.len())];
        (name(record), record.offset + random.below(record.len))
    };
    let (one, two) = (draw(), draw());
    Rot::draw(story, disk, one, two)
}

impl Rot {
    /// Draws a kind of rot and applies it to the disk. `None` if no byte changes.
    fn draw(
        story: &mut Story,
        disk: &Disk,
        (name, at): (String, u64),
        other: (String, u64),
    ) -> Option<Self> {
        let image = disk.image(&name);
        if at as usize >= image.len() {
            return None;
        }
        match story.random.below(6) {
            0..3 => {
                let mask = 1 + story.random.below(255) as u8;
                disk.flip(&name, at, mask).ok()?;
                let (kind, places) = ("flipped byte", vec![(name, at..at + 1)]);
                Some(Self { kind, places })
            }
            3 => {
                let past = &story.past[story.random.index(story.past.len())];
                let old = past.image(&name);
                let old = old.get(sector(&image, at))?;
                Self::replace(disk, "old sector", &[(name, at, old.to_vec())])
            }
            4 => {
                let zeros = vec![0; sector(&image, at).len()];
                Self::replace(disk, "zeroed sector", &[(name, at, zeros)])
            }
            _ => {
                let there = disk.image(&other.0);
                let (one, two) = (
                    image[sector(&image, at)].to_vec(),
                    there.get(sector(&there, other.1))?.to_vec(),
                );
                if one.len() != two.len() {
                    return None;
                }
                Self::replace(disk, SWAP, &[(name, at, two), (other.0, other.1, one)])
            }
        }
    }

    /// Replaces the contents of the sectors at these places.
    fn replace(
        disk: &Disk,
        kind: &'static str,
        sectors: &[(String, u64, Vec<u8>)],
    ) -> Option<Self> {
        let (mut places, mut changed) = (Vec::new(), false);
        for (name, at, contents) in sectors {
            let mut image = disk.image(name);
            let range = sector(&image, *at);
            changed |= image[range.clone()] != contents[..];
            image[range.clone()].copy_from_slice(contents);
            disk.put_image(name, &image);
            places.push((name.clone(), range.start as u64..range.end as u64));
        }
        changed.then_some(Self { kind, places })
    }

    fn meets(&self, record: &DumpedRecord) -> bool {
        let (file, end) = (name(record), record.offset + record.len);
        let met = |(name, range): &(String, Range<u64>)| {
            *name == file && range.start < end && record.offset < range.end
        };
        self.places.iter().any(met)
    }

    /// The complete snapshots that it is in.
    fn snapshots(&self) -> BTreeSet<(u64, u64)> {
        let parsed = |(name, _): &(String, Range<u64>)| {
            let (group, index) = name.strip_suffix(".snap")?.split_once('-')?;
            Some((group.parse().ok()?, index.parse().ok()?))
        };
        self.places.iter().filter_map(parsed).collect()
    }

    fn was(&self, told: bool) -> &'static str {
        match (self.kind, told) {
            ("flipped byte", true) => "a flipped byte was told",
            ("flipped byte", false) => "a flipped byte was harmless",
            ("zeroed sector", true) => "a zeroed sector was told",
            ("zeroed sector", false) => "a zeroed sector was harmless",
            ("old sector", true) => "an old sector was told",
            ("old sector", false) => "an old sector was harmless",
            (_, true) => "a swap of sectors was told",
            (_, false) => "a swap of sectors was harmless",
        }
    }
}

impl std::fmt::Display for Rot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} in {:?}", self.kind, self.places)
    }
}

/// The records of a disk that was not recovered yet, as far as they follow each other.
fn records(disk: &Disk) -> Vec<DumpedRecord> {
    let dumped = dump(&Medium(disk.fork(0))).unwrap();
    dumped.map_while(Result::ok).collect()
}

fn name(record: &DumpedRecord) -> String {
    format!("{:08}.log", record.segment)
}

fn is_opening(record: &&DumpedRecord) -> bool {
    matches!(record.content, DumpedContent::Head { .. })
}

/// The locations of records, without their contents.
fn brief(records: &[&DumpedRecord]) -> String {
    let one = |r: &&DumpedRecord| {
        let end = r.offset + r.len;
        format!(
            "lsn {} in {} at {}..{end}, batch {}",
            r.lsn,
            name(r),
            r.offset,
            r.batch
        )
    };
    records.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn sector(image: &[u8], at: u64) -> Range<usize> {
    let start = (at as usize / SECTOR_BYTES * SECTOR_BYTES).min(image.len());
    start..(start + SECTOR_BYTES).min(image.len())
}

const SWAP: &str = "swap of sectors";
/// How often a place is drawn, as some do not fit.
const DRAWS: usize = 8;
