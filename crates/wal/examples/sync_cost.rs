//! Measures what a durable batch costs on this disk, with each way in which a log could write it.
//!
//! `cargo run --release -p synod-wal --example sync_cost [DIR]`: the ways take turns, so that a
//! drift of the machine affects all of them alike. The figures in the documentation of the crate
//! come from this program.

use std::error::Error;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use synod_wal::{Directory, GroupId, Op, Options, Tag, Wal};

fn main() -> Result<(), Box<dyn Error>> {
    let parent = std::env::args_os()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from);
    let temporary = tempfile::tempdir_in(parent)?;
    let path = temporary.path();
    println!("{ROUNDS} rounds in {}, microseconds\n", path.display());
    println!(
        "{:<44}{:>8}{:>8}{:>8}",
        "4 KiB at a time", "p50", "p99", "max"
    );
    let mut ways = [
        Way::new(path, "append", 0, false)?,
        Way::new(path, "overwrite", FILE_BYTES, false)?,
        Way::new(path, "overwrite-dsync", FILE_BYTES, true)?,
    ];
    for round in 0..ROUNDS {
        for way in &mut ways {
            way.write(round)?;
        }
    }
    let names = [
        "append, fdatasync",
        "overwrite, fdatasync",
        "overwrite, O_DSYNC",
    ];
    for (name, way) in names.into_iter().zip(ways) {
        report(name, way.times);
    }
    for (name, body) in [
        ("the log, 256 B a batch", 256),
        ("the log, 64 KiB a batch", 65_536),
    ] {
        log(&path.join(name.replace(' ', "-")), name, body)?;
    }
    Ok(())
}

/// The log itself: first while it grows, so that new segments are filled, then while it recycles.
fn log(path: &Path, name: &str, body: usize) -> Result<(), Box<dyn Error>> {
    let started = now();
    let mut wal = Wal::open(Directory::open(path)?, Options::default())?;
    report(&format!("{name}: first open"), vec![started.elapsed()]);
    let body = Bytes::from(vec![7; body]);
    let batches = (6 * Options::default().segment_bytes / (body.len() as u64 + 4096)).min(24_000);
    for (phase, cut) in [("grows", false), ("recycles", true)] {
        let mut times = Vec::new();
        for index in 1..=batches {
            let start = Op::Start {
                after: index.saturating_sub(9),
                tag: Tag::default(),
            };
            let put = Op::Put {
                index,
                tag: Tag::default(),
                body: &body,
            };
            let started = now();
            wal.append(
                GroupId(1),
                &mut [put, start].into_iter().take(if cut { 2 } else { 1 }),
            )?;
            wal.sync()?;
            times.push(started.elapsed());
        }
        report(&format!("{name}: {phase}"), times);
    }
    let stats = wal.stats();
    println!(
        "    {} syncs, {} filled, {} recycled",
        stats.syncs, stats.segments_filled, stats.segments_recycled
    );
    Ok(())
}

struct Way {
    file: File,
    appends: bool,
    syncs: bool,
    times: Vec<Duration>,
}

impl Way {
    fn new(path: &Path, name: &str, len: usize, dsync: bool) -> Result<Self, Box<dyn Error>> {
        let file = File::create_new(path.join(name))?;
        file.write_all_at(&vec![0; len], 0)?;
        file.sync_all()?;
        let mut options = OpenOptions::new();
        options
            .write(true)
            .custom_flags(if dsync { O_DSYNC } else { 0 });
        Ok(Self {
            file: options.open(path.join(name))?,
            appends: len == 0,
            syncs: !dsync,
            times: Vec::new(),
        })
    }

    fn write(&mut self, round: usize) -> Result<(), Box<dyn Error>> {
        let at = if self.appends {
            round * 4096
        } else {
            round * 4096 % FILE_BYTES
        };
        let started = now();
        self.file.write_all_at(&[round as u8; 4096], at as u64)?;
        if self.syncs {
            self.file.sync_data()?;
        }
        self.times.push(started.elapsed());
        Ok(())
    }
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)].as_micros();
    println!("{name:<44}{:>8}{:>8}{:>8}", at(50), at(99), at(100));
}

#[expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}

const ROUNDS: usize = 2000;
const FILE_BYTES: usize = 16 << 20;
/// The value on Linux on x86-64 and aarch64; std has no name for it.
const O_DSYNC: i32 = 0o10000;
