//! Conformance of logs: ours over a directory and over a simulated disk, one in memory, and broken
//! ones.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use synod_replica::conformance::{self, LogStore, Unsupported};
use synod_replica::sim::SimDisk;
use synod_replica::{GroupId, ThreadedLog};
use synod_wal::{Directory, Options, PowerLoss, Wal};
use tempfile::TempDir;

use crate::caught;
use crate::memory_log::{Bug, MemoryLog, MemoryStore};

/// Small segments, so that they roll and are recycled.
fn options() -> Options {
    let mut options = Options::default();
    (options.segment_bytes, options.record_bytes_max) = (64 << 10, 16 << 10);
    options.reserve_bytes = 16 << 10;
    options
}

/// A real directory, with a layer that drops what was not synced when the log is dropped.
struct InDirectory(TempDir);

impl LogStore for InDirectory {
    type Log = Wal<PowerLoss<Directory>>;

    fn open(&mut self) -> Self::Log {
        let directory = Directory::open(self.0.path()).unwrap();
        Wal::open(PowerLoss::new(directory), options()).unwrap()
    }

    fn lose_power(&mut self) -> Result<(), Unsupported> {
        Ok(())
    }

    fn damage_snapshot(&mut self, group: GroupId, index: u64) -> Result<(), Unsupported> {
        let path = self.0.path().join(format!("{group}-{index:020}.snap"));
        let file = File::options().read(true).write(true).open(path).unwrap();
        let (mut byte, at) = ([0], file.metadata().unwrap().len() / 2);
        file.read_exact_at(&mut byte, at).unwrap();
        file.write_all_at(&[byte[0] ^ 1], at).unwrap();
        Ok(())
    }
}

/// A simulated disk, which loses, tears and reorders what was not synced.
struct OnDisk(SimDisk);

impl LogStore for OnDisk {
    type Log = Wal<SimDisk>;

    fn open(&mut self) -> Self::Log {
        Wal::open(self.0.clone(), options()).unwrap()
    }

    fn lose_power(&mut self) -> Result<(), Unsupported> {
        self.0.0.power_loss();
        Ok(())
    }

    fn damage_snapshot(&mut self, group: GroupId, index: u64) -> Result<(), Unsupported> {
        let name = format!("{group}-{index:020}.snap");
        let middle = self.0.0.len(&name).unwrap() / 2;
        self.0.0.flip(&name, middle, 1).unwrap();
        Ok(())
    }

    fn fail_syncs(&mut self, fail: bool) -> Result<(), Unsupported> {
        self.0.0.fail_syncs(fail);
        Ok(())
    }

    fn fill(&mut self, full: bool) -> Result<(), Unsupported> {
        let bytes = if full { self.0.0.used() } else { u64::MAX };
        self.0.0.capacity(bytes);
        Ok(())
    }
}

/// The same, with every sync on a thread.
struct OnAThread(OnDisk);

impl LogStore for OnAThread {
    type Log = ThreadedLog<SimDisk>;

    fn open(&mut self) -> Self::Log {
        ThreadedLog::new(self.0.open()).in_place_up_to(Duration::ZERO)
    }

    fn lose_power(&mut self) -> Result<(), Unsupported> {
        self.0.lose_power()
    }

    fn damage_snapshot(&mut self, group: GroupId, index: u64) -> Result<(), Unsupported> {
        self.0.damage_snapshot(group, index)
    }

    fn fail_syncs(&mut self, fail: bool) -> Result<(), Unsupported> {
        self.0.fail_syncs(fail)
    }

    fn fill(&mut self, full: bool) -> Result<(), Unsupported> {
        self.0.fill(full)
    }
}

#[test]
fn the_wal_conforms_with_a_thread_for_its_syncs() {
    let mut seed = 0;
    let report = conformance::log(|| {
        seed += 1;
        OnAThread(OnDisk(SimDisk::new(seed)))
    });
    assert_eq!(report.skipped, []);
    assert_eq!(report.passed.len(), CASES);
}

#[test]
fn the_wal_conforms_in_a_directory() {
    let report = conformance::log(|| InDirectory(tempfile::tempdir().unwrap()));
    let skipped = [
        ("failed_sync", Unsupported("fail_syncs")),
        ("full_medium", Unsupported("fill")),
    ];
    assert_eq!(report.skipped, skipped);
}

#[test]
fn the_wal_conforms_on_a_simulated_disk() {
    let mut seed = 0;
    let report = conformance::log(|| {
        seed += 1;
        OnDisk(SimDisk::new(seed))
    });
    assert_eq!(report.skipped, []);
    assert_eq!(report.passed.len(), CASES);
}

/// A store that can only be opened.
#[test]
fn a_log_that_can_only_be_opened_is_tried_as_far_as_it_goes() {
    let report = conformance::log(|| {
        let store = MemoryStore::new(None, false);
        move || MemoryLog::open(&store)
    });
    let missing = [
        "lose_power",
        "damage_snapshot",
        "lose_power",
        "fail_syncs",
        "fill",
    ];
    let skipped: Vec<&str> = report
        .skipped
        .iter()
        .map(|(_, missing)| missing.0)
        .collect();
    assert_eq!(skipped, missing);
    assert_eq!(report.passed.len(), CASES - missing.len());
}

#[test]
fn a_log_in_memory_conforms_also_when_its_syncs_end_later() {
    for later in [false, true] {
        let report = conformance::log(|| MemoryStore::new(None, later));
        assert_eq!(report.skipped, []);
    }
}

#[test]
fn broken_logs_are_caught() {
    for (bug, case) in [
        (Bug::InventsAState, "empty"),
        (Bug::FailsToSyncNothing, "sync_of_nothing"),
        (Bug::RefusesLongRecords, "longest_record"),
        (Bug::LosesARecordNowAndThen, "lives"),
        (Bug::ForgetsTruncations, "truncation"),
        (Bug::TruncatesOneTooFew, "truncation"),
        (Bug::LosesTheTailBehindDurable, "power_loss"),
        (Bug::DurableBeforeTheSync, "power_loss"),
        (Bug::TearsRecords, "power_loss"),
        (Bug::KeepsGroupsApartInPowerLoss, "power_loss"),
        (Bug::RestartsNumbers, "sequence_numbers"),
        (Bug::FirstPutWins, "last_put_wins"),
        (Bug::FillsGaps, "gaps"),
        (Bug::DropsEmptyBodies, "extremes"),
        (Bug::SortsRecords, "order_in_a_record"),
        (Bug::StartsBehindItsSlots, "order_in_a_record"),
        (Bug::StartKeepsSlots, "start"),
        (Bug::StartForgetsItsTag, "start"),
        (Bug::TruncationTakesTheState, "state"),
        (Bug::MixesGroups, "groups"),
        (Bug::StreamsBackwards, "append"),
        (Bug::LosesLongStreams, "stream"),
        (Bug::ReadsNothingBelowTheBound, "reads_are_bounded"),
        (Bug::ReadsBeyondTheBound, "reads_are_bounded"),
        (Bug::ReadsBeforeTheStart, "reads"),
        (Bug::ReadersSeeHalfWrittenSlots, "reads_beside_the_writer"),
        (Bug::SyncsAgainAfterAFailure, "failed_sync"),
        (Bug::SnapshotsOfAllGroups, "snapshots_of_groups"),
        (Bug::OldestSnapshotIsRecovered, "snapshots"),
        (Bug::FailedWriterLeavesASnapshot, "failing_writer"),
        (Bug::UnsyncedSnapshots, "snapshots_survive_power_loss"),
        (Bug::BelievesParts, "partial_transfer"),
        (Bug::IgnoresSeals, "other_file"),
        (Bug::BelievesAnyByte, "partial_transfer"),
        (Bug::TakesTrailingBytes, "bad_transfer"),
        (Bug::MixesParts, "transfers_do_not_mix"),
        (Bug::CutsLargeSnapshots, "large_snapshot"),
        (Bug::ReceivedIsNotDurable, "transfer"),
        (Bug::BelievesDamage, "damaged_snapshot"),
        (Bug::PromisesTooMuchRoom, "full_medium"),
        (Bug::HasRoomOnAFullMedium, "full_medium"),
        (Bug::TakesHalfOfARecord, "full_medium"),
        (Bug::HasNoRoomEverAgain, "full_medium"),
    ] {
        for later in [false, true] {
            let suite = || drop(conformance::log(|| MemoryStore::new(Some(bug), later)));
            caught(&format!("{bug:?}, later: {later}"), case, suite);
        }
    }
}

/// The number of cases.
const CASES: usize = 32;
