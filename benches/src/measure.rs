//! One measurement: what a contender costs in one cell of the table.

use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

use crate::{Allocations, Driver, Source};

/// What is measured: a size, and how many entries are proposed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Bytes of an entry.
    pub bytes: usize,
    /// Entries in a batch; the next one begins when all three machines have this one.
    pub in_flight: u64,
}

impl Cell {
    /// Entries of one measurement: enough to be long against the reading of a clock, and not so many that memory
    /// which the machine never had before is what is measured.
    #[must_use]
    pub fn entries(self) -> u64 {
        let most = match self.in_flight {
            1..64 => 1 << 13,
            64..1024 => 1 << 15,
            _ => 1 << 16,
        };
        let fitting = LOG_BYTES_MAX / self.bytes.max(1);
        self.whole_batches((fitting as u64).min(most))
    }

    /// Entries before those that are measured: what a core keeps in memory for its peers is full then, where the
    /// driver has set it to [`cache_bytes`](Self::cache_bytes).
    #[must_use]
    pub fn warm_up(self) -> u64 {
        self.whole_batches(self.cache_bytes().div_ceil(self.bytes + ENTRY_BYTES) as u64)
    }

    /// What a core should keep of the log in its own memory, if it does that and can be told.
    #[must_use]
    pub fn cache_bytes(self) -> usize {
        let batch = self.in_flight as usize * (self.bytes + ENTRY_BYTES);
        (2 * batch).max(CACHE_BYTES_MIN)
    }

    fn whole_batches(self, entries: u64) -> u64 {
        entries.div_ceil(self.in_flight) * self.in_flight
    }
}

/// What an entry cost in one measurement.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Nanoseconds for which this thread ran.
    pub cpu_ns: f64,
    /// Nanoseconds that went by.
    pub wall_ns: f64,
    /// Calls of the allocator; 0 in a program that does not count them.
    pub allocations: f64,
    /// Bytes asked for in them.
    pub allocated_bytes: f64,
}

impl Sample {
    /// Measures a driver that has just been started.
    ///
    /// # Panics
    /// When a machine or a log has not all entries in the end.
    pub fn of(driver: &mut dyn Driver, cell: Cell) -> Self {
        let mut source = Source::of(cell.bytes);
        run(driver, cell, &mut source, cell.warm_up());
        let entries = cell.entries();
        let allocations = Allocations::so_far();
        let (wall, cpu) = (now(), cpu_ns());
        run(driver, cell, &mut source, entries);
        let cpu = cpu_ns() - cpu;
        let wall = wall.elapsed();
        let allocations = Allocations::so_far().since(allocations);
        check(driver, source.made());
        let an_entry = |sum: f64| sum / entries as f64;
        Self {
            cpu_ns: an_entry(cpu as f64),
            wall_ns: an_entry(wall.as_nanos() as f64),
            allocations: an_entry(allocations.count as f64),
            allocated_bytes: an_entry(allocations.bytes as f64),
        }
    }
}

/// Replicates so many more entries, in batches, and nothing else: for whoever counts from outside.
pub fn run(driver: &mut dyn Driver, cell: Cell, source: &mut Source, entries: u64) {
    let mut left = entries;
    while left > 0 {
        let batch = left.min(cell.in_flight);
        driver.replicate(source.batch(batch));
        left -= batch;
    }
}

fn check(driver: &dyn Driver, made: u64) {
    assert_eq!(driver.given(), [made; 3], "every machine has every entry");
    let stored = driver.stored();
    assert!(
        stored.iter().all(|stored| *stored >= made),
        "every log has all of {made}: {stored:?}"
    );
}

/// Makes the allocator keep what is freed, so that no measurement pays for the pages of the one before.
///
/// That of glibc gives a large piece back to the system at once, until it sees one of a size being freed that it takes
/// for usual from then on; this one is just below the largest for which it does.
pub fn keep_freed_memory() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(31 << 20)));
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn now() -> Instant {
    Instant::now()
}

/// Nanoseconds for which this thread has run.
fn cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Of the entries of one measurement, in one log.
const LOG_BYTES_MAX: usize = 16 << 20;

const CACHE_BYTES_MIN: usize = 1 << 20;

/// About what a core counts an entry for besides its body.
const ENTRY_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_are_whole_and_logs_bounded() {
        for bytes in [16, 256, 4096] {
            for in_flight in [1, 3, 64, 1024] {
                let cell = Cell { bytes, in_flight };
                assert_eq!(cell.entries() % in_flight, 0);
                assert_eq!(cell.warm_up() % in_flight, 0);
                assert!(cell.entries() as usize * bytes <= LOG_BYTES_MAX + 1024 * bytes);
                assert!(cell.warm_up() as usize * (bytes + ENTRY_BYTES) >= cell.cache_bytes());
            }
        }
    }
}
