//! ClockBound's segment: written by ClockBound's own writer, and by nobody who means well.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clock_bound_shm::{ClockErrorBound, ClockStatus as Status, ShmReader, ShmWrite, ShmWriter};
use nix::sys::time::TimeSpec;
use proptest::prelude::*;
use synod_truetime::sim::{Machine, World};
use synod_truetime::source::clockbound::{
    ClockBound, ClockStatus, ReadError, SEGMENT_BYTES, Segment, SegmentError,
};
use synod_truetime::{Clocks, Drift, Sample, Source, SourceError, SystemClocks, Unsynchronized};

const SECOND_NANOS: i64 = 1_000_000_000;

/// A machine that has been up for longer than any segment here is old, and whose clocks stand still: however
/// young or busy the machine of the test is, an age is what the test says.
fn machine() -> Machine {
    let world = World::new(1);
    let machine = Machine::new(&world, 0);
    world.advance(Duration::from_secs(10_000));
    machine
}

fn monotonic_nanos(clocks: &impl Clocks) -> i64 {
    i64::try_from(clocks.monotonic()).unwrap()
}

fn time(nanos: i64) -> TimeSpec {
    TimeSpec::new(nanos / SECOND_NANOS, nanos % SECOND_NANOS)
}

/// A segment as of so many nanoseconds before the [`machine`]'s present.
fn bound_of(age_nanos: i64, drift_ppb: u32, status: Status) -> ClockErrorBound {
    let as_of = monotonic_nanos(&machine()) - age_nanos;
    bound_as_of(as_of, drift_ppb, status)
}

/// A segment as of then, good for 1000 s, with a bound of 10 µs.
fn bound_as_of(as_of: i64, drift_ppb: u32, status: Status) -> ClockErrorBound {
    let void_after = as_of + 1000 * SECOND_NANOS;
    ClockErrorBound::new(
        time(as_of),
        time(void_after),
        10_000,
        7,
        drift_ppb,
        status,
        true,
    )
}

/// A folder with a segment in it.
struct Shared {
    folder: tempfile::TempDir,
}

impl Shared {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn written(bound: &ClockErrorBound) -> Self {
        let shared = Self::new();
        shared.writer().write(bound);
        shared
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("shm0")
    }

    fn writer(&self) -> ShmWriter {
        ShmWriter::new(&self.path()).unwrap()
    }

    fn source(&self) -> ClockBound<Machine> {
        source(&self.path())
    }

    fn sample(&self) -> Result<Sample, SourceError> {
        self.source().sample()
    }

    /// What the segment is taken for with some of its bytes changed.
    fn changed(
        &self,
        at: usize,
        bytes: &[u8],
    ) -> (Option<SegmentError>, Result<Sample, SourceError>) {
        let path = self.folder.path().join("changed");
        let mut segment = fs::read(self.path()).unwrap();
        segment[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(&path, segment).unwrap();
        let source = source(&path);
        let error = match source.segment() {
            Ok(_) => None,
            Err(ReadError::Segment(error)) => Some(error),
            Err(error) => panic!("{error}"),
        };
        (error, source.sample())
    }
}

fn source(path: &Path) -> ClockBound<Machine> {
    ClockBound::new(machine()).at(path)
}

#[test]
fn reads_what_clockbound_wrote() {
    let shared = Shared::new();
    let bound = ClockErrorBound::new(
        TimeSpec::new(11, 12),
        TimeSpec::new(13, 14),
        15,
        16,
        17,
        Status::FreeRunning,
        true,
    );
    shared.writer().write(&bound);
    let segment = shared.source().segment().unwrap();
    assert_eq!(segment.as_of_nanos, 11_000_000_012);
    assert_eq!(segment.void_after_nanos, 13_000_000_014);
    assert_eq!(segment.bound_nanos, 15);
    assert_eq!(segment.disruption_marker, 16);
    assert_eq!(segment.drift_ppb, 17);
    assert_eq!(segment.status, ClockStatus::FreeRunning);
    assert!(segment.disruption_support);
    assert_eq!(
        fs::metadata(shared.path()).unwrap().len(),
        SEGMENT_BYTES as u64
    );
}

/// Ours is never narrower than ClockBound's own interval of the same segment, which grows by a
/// coarse clock and is cut off. ClockBound's reader knows the machine's own clock only, so here an age is no
/// greater than that clock.
#[test]
fn agrees_with_clockbounds_own_reader() {
    let clocks = SystemClocks::new();
    for (age_nanos, drift_ppb) in [
        (50_000_000, 1000),
        (60_000_003, 50_000),
        (2 * SECOND_NANOS, 1000),
        (500 * SECOND_NANOS, 99_000),
    ] {
        let as_of = (monotonic_nanos(&clocks) - age_nanos).max(0);
        let shared = Shared::written(&bound_as_of(as_of, drift_ppb, Status::Synchronized));
        let path = CString::new(shared.path().as_os_str().as_bytes()).unwrap();
        let mut reader = ShmReader::new(&path).unwrap();
        let mut theirs = || {
            let (earliest, latest, _) = reader.snapshot().unwrap().now().unwrap();
            Duration::from(latest - earliest)
        };
        let source = ClockBound::new(clocks)
            .at(shared.path())
            .with_drift_least(Drift::from_ppb(0));
        // Both grow meanwhile, so theirs is asked before and behind.
        let theirs_before = theirs();
        let asked_at = clocks.local();
        let ours = source.sample().unwrap();
        let took = Duration::from_nanos(clocks.local().nanos_since(asked_at));
        let theirs_behind = theirs();
        let width = ours.interval.width();
        assert!(width >= theirs_before, "{width:?} {theirs_before:?}");
        // An eighth of the growth, what the question took, and the tick by which their clock may be behind.
        let most = theirs_behind + theirs_behind / 8 + 2 * took + Duration::from_millis(10);
        assert!(width < most, "{width:?} {theirs_behind:?} {took:?}");
        assert_eq!(ours.drift_ppb, drift_ppb);
    }
}

#[test]
fn the_bound_grows_with_the_age_and_by_the_least_drift() {
    let shared = Shared::written(&bound_of(100 * SECOND_NANOS, 1000, Status::Synchronized));
    let half_width = |source: ClockBound<Machine>| source.sample().unwrap().interval.epsilon();
    let claimed = half_width(shared.source().with_drift_least(Drift::from_ppb(0)));
    // 10 µs, and 100 s by 1 ppm.
    assert!(claimed >= Duration::from_micros(110), "{claimed:?}");
    let least = half_width(shared.source());
    assert!(least >= Duration::from_micros(10 + 5000), "{least:?}");
}

#[test]
fn each_status_means_what_it_says() {
    let of = |status| Shared::written(&bound_of(0, 1000, status));
    assert!(of(Status::Synchronized).sample().is_ok());
    assert_eq!(
        of(Status::Unknown).sample(),
        Err(SourceError::NotSynchronized(Unsynchronized::Said))
    );
    assert_eq!(of(Status::Disrupted).sample(), Err(SourceError::Disrupted));
    let free = of(Status::FreeRunning);
    assert!(free.sample().is_ok());
    let strict = free.source().without_free_running();
    assert_eq!(
        strict.sample(),
        Err(SourceError::NotSynchronized(Unsynchronized::FreeRunning))
    );
}

#[test]
fn nothing_is_believed_after_it_is_void() {
    let young = Shared::written(&bound_of(999 * SECOND_NANOS, 1000, Status::Synchronized));
    assert_eq!(young.sample().unwrap().valid_for, Duration::from_secs(1));
    let void = Shared::written(&bound_of(1000 * SECOND_NANOS, 1000, Status::Synchronized));
    assert_eq!(
        void.sample(),
        Err(SourceError::NotSynchronized(Unsynchronized::Old))
    );
    // Written before the machine was started: of its future.
    let future = Shared::written(&bound_of(-5 * SECOND_NANOS, 1000, Status::Synchronized));
    assert_eq!(future.sample(), Err(SourceError::Disrupted));
}

/// What ClockBound makes of a `chronyd` that follows nothing but its own clock.
#[test]
fn a_bound_of_nothing_is_no_bound() {
    let as_of = monotonic_nanos(&machine());
    let bound = |nanos| {
        let void_after = time(as_of + 1000 * SECOND_NANOS);
        ClockErrorBound::new(
            time(as_of),
            void_after,
            nanos,
            7,
            1000,
            Status::Synchronized,
            true,
        )
    };
    let unmeasured = SourceError::NotSynchronized(Unsynchronized::Unmeasured);
    assert_eq!(Shared::written(&bound(0)).sample(), Err(unmeasured));
    assert!(Shared::written(&bound(1)).sample().is_ok());
}

#[test]
fn a_file_that_is_no_segment_has_a_name() {
    let shared = Shared::new();
    assert_eq!(shared.sample(), Err(SourceError::Unavailable));
    // Made, and not yet written to.
    let writer = shared.writer();
    assert!(matches!(
        shared.source().segment(),
        Err(ReadError::Segment(SegmentError::Uninitialized))
    ));
    assert_eq!(
        shared.sample(),
        Err(SourceError::NotSynchronized(Unsynchronized::Said))
    );
    drop(writer);
    // A folder can be opened, and not read.
    assert_eq!(
        source(shared.folder.path()).sample(),
        Err(SourceError::Unavailable)
    );

    let whole = Shared::written(&bound_of(0, 1000, Status::Synchronized));
    let bytes = fs::read(whole.path()).unwrap();
    for length in 0..bytes.len() {
        fs::write(shared.path(), &bytes[..length]).unwrap();
        assert!(matches!(
            shared.source().segment(),
            Err(ReadError::Segment(SegmentError::Length { .. }))
        ));
        assert_eq!(shared.sample(), Err(SourceError::Malformed));
    }
    fs::write(shared.path(), [0; SEGMENT_BYTES]).unwrap();
    assert!(matches!(
        shared.source().segment(),
        Err(ReadError::Segment(SegmentError::Magic))
    ));
}

#[test]
fn a_field_that_makes_no_sense_has_a_name() {
    let shared = Shared::written(&bound_of(0, 1000, Status::Synchronized));
    let malformed = |at, bytes: &[u8], error| {
        assert_eq!(
            shared.changed(at, bytes),
            (Some(error), Err(SourceError::Malformed))
        );
    };
    malformed(0, &[0], SegmentError::Magic);
    malformed(7, &[0xff], SegmentError::Magic);
    malformed(8, &79_u32.to_ne_bytes(), SegmentError::Length { bytes: 79 });
    malformed(
        24,
        &SECOND_NANOS.to_ne_bytes(),
        SegmentError::Field { field: "as of" },
    );
    malformed(
        16,
        &(-1_i64).to_ne_bytes(),
        SegmentError::Field { field: "as of" },
    );
    malformed(
        32,
        &i64::MAX.to_ne_bytes(),
        SegmentError::Field {
            field: "void after",
        },
    );
    malformed(
        48,
        &(-1_i64).to_ne_bytes(),
        SegmentError::Field { field: "bound" },
    );
    malformed(
        64,
        &100_000_001_u32.to_ne_bytes(),
        SegmentError::Field { field: "drift" },
    );
    malformed(
        68,
        &4_i32.to_ne_bytes(),
        SegmentError::Field { field: "status" },
    );
    malformed(
        68,
        &(-1_i32).to_ne_bytes(),
        SegmentError::Field { field: "status" },
    );
    for found in [1_u16, 3] {
        let (error, sample) = shared.changed(12, &found.to_ne_bytes());
        assert_eq!(error, Some(SegmentError::Version { found }));
        assert_eq!(
            sample,
            Err(SourceError::UnknownVersion {
                found: found.into()
            })
        );
    }
    // A daemon that died while it wrote.
    let (error, sample) = shared.changed(14, &3_u16.to_ne_bytes());
    assert_eq!(error, Some(SegmentError::Updating));
    assert_eq!(sample, Err(SourceError::TimedOut));
    let (error, _) = shared.changed(14, &0_u16.to_ne_bytes());
    assert_eq!(error, Some(SegmentError::Uninitialized));
    // A longer segment of the same version has something new behind what is known.
    let longer = shared.changed(8, &96_u32.to_ne_bytes());
    assert_eq!(longer.0, None);
}

proptest! {
    #[test]
    fn any_bytes_are_a_segment_or_an_error(
        bytes: [u8; SEGMENT_BYTES / 2],
        rest: [u8; SEGMENT_BYTES / 2],
        headed: bool,
        // Of how many fields the bytes stay as they were drawn; those of the others are small.
        wild in 0..8_usize,
    ) {
        let mut all: [u8; SEGMENT_BYTES] = std::array::from_fn(|i| if i < 40 { bytes[i] } else { rest[i - 40] });
        if headed {
            all[..16].copy_from_slice(&[
                0x4e, 0x5a, 0x4d, 0x41, 0x00, 0x02, 0x42, 0x43, 80, 0, 0, 0, 2, 0, 2, 0,
            ]);
            for field in (16..80).step_by(4).skip(2 * wild) {
                let small = u32::from(all[field] % 4);
                all[field..field + 4].copy_from_slice(&small.to_ne_bytes());
            }
        }
        let word = |at: usize| i64::from_ne_bytes(all[at..at + 8].try_into().unwrap());
        let time = |at: usize| word(at).unsigned_abs() * 1_000_000_000 + word(at + 8).unsigned_abs();
        match Segment::decode(&all) {
            Ok(segment) => {
                prop_assert!(headed && all[14] == 2);
                prop_assert_eq!(segment.as_of_nanos, time(16));
                prop_assert_eq!(segment.void_after_nanos, time(32));
                prop_assert_eq!(segment.bound_nanos, word(48).unsigned_abs());
                prop_assert!(segment.drift_ppb <= 100_000_000);
            }
            // Behind a head that is right, it is a field that is wrong.
            Err(error) => {
                let of_a_field = matches!(error, SegmentError::Field { .. });
                prop_assert_eq!(of_a_field, headed, "{}", error);
            }
        }
    }
}

/// One writer, ClockBound's own, as fast as it can; several readers share one source. All fields of
/// an update tell its number, so half of one update and half of another cannot pass for a whole.
#[test]
fn concurrent_reads_are_whole() {
    const READS: usize = 20_000;
    let shared = Shared::written(&numbered(1));
    let source = shared.source();
    let done = AtomicBool::new(false);
    let newest = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = shared.writer();
            for number in (1..1_000_000).cycle() {
                writer.write(&numbered(number));
                if done.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let readers = [(); 3].map(|()| {
            scope.spawn(|| {
                let (mut whole, mut newest) = (0, 0);
                while whole < READS {
                    match source.segment() {
                        Ok(segment) => {
                            check_numbered(&segment);
                            newest = newest.max(segment.bound_nanos);
                            whole += 1;
                        }
                        Err(ReadError::Segment(SegmentError::Updating)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                newest
            })
        });
        let newest = readers.map(|reader| reader.join().unwrap());
        done.store(true, Ordering::Relaxed);
        newest
    });
    // They did read while it was written.
    assert!(newest.iter().all(|&number| number > 1), "{newest:?}");
}

fn numbered(number: i64) -> ClockErrorBound {
    ClockErrorBound::new(
        TimeSpec::new(number, number),
        TimeSpec::new(number, number),
        number,
        number.unsigned_abs(),
        u32::try_from(number).unwrap(),
        Status::Synchronized,
        number % 2 == 0,
    )
}

fn check_numbered(segment: &Segment) {
    let number = segment.bound_nanos;
    assert_eq!(segment.as_of_nanos, number * 1_000_000_001, "{segment:?}");
    assert_eq!(
        segment.void_after_nanos,
        number * 1_000_000_001,
        "{segment:?}"
    );
    assert_eq!(segment.disruption_marker, number, "{segment:?}");
    assert_eq!(u64::from(segment.drift_ppb), number, "{segment:?}");
    assert_eq!(
        segment.disruption_support,
        number.is_multiple_of(2),
        "{segment:?}"
    );
}
