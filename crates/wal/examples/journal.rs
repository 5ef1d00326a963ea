//! A journal that survives `kill -9`: a child process appends numbered lines and says which are durable;
//! its parent kills it in the midst, three times, and finds each of them.
//!
//! ```text
//! cargo run -p synod-wal --example journal
//! ```
//!
//! A killed process loses what it had not written. What the kernel holds survives it, so this proves less
//! than a loss of power would: for that, the tests of this crate have a simulated disk.

use std::env;
use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;
use synod_wal::{Directory, GroupId, Op, Options, Tag, Wal};

/// A log is shared by groups; this journal is the only one.
const JOURNAL: GroupId = GroupId(1);
const LINES: u64 = 200;

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(directory) = env::args_os().nth(1) {
        return append(directory.as_ref());
    }
    let directory = tempfile::tempdir()?;
    let mut durable = 0;
    for _ in 0..3 {
        durable = kill_in_the_midst(directory.path(), durable)?;
        let found = read(directory.path())?;
        println!("said to be durable: {durable} lines, found: {found}");
        if found < durable {
            return Err("a durable line is lost".into());
        }
    }
    Ok(())
}

/// Appends lines for ever, and prints the number of each once it is durable.
fn append(directory: &Path) -> Result<(), Box<dyn Error>> {
    let (mut wal, mut next) = open(directory)?;
    let mut told = std::io::stdout().lock();
    loop {
        let body = Bytes::from(line(next));
        let put = Op::Put {
            index: next,
            tag: Tag::default(),
            body: &body,
        };
        wal.append(JOURNAL, &mut [put].into_iter())?;
        wal.sync()?;
        writeln!(told, "{next}")?;
        next += 1;
    }
}

/// Returns the last number that the child has printed before it was killed.
fn kill_in_the_midst(directory: &Path, before: u64) -> Result<u64, Box<dyn Error>> {
    let mut child = Command::new(env::current_exe()?)
        .arg(directory)
        .stdout(Stdio::piped())
        .spawn()?;
    let told = BufReader::new(child.stdout.take().ok_or("its output")?);
    let mut last = before;
    let mut lines = told.lines();
    while last < before + LINES {
        last = lines.next().ok_or("the child ended")??.parse()?;
    }
    child.kill()?;
    child.wait()?;
    // What was on the way when it was killed counts as well; of the last line it may be a part.
    for line in lines {
        last = line?.parse().unwrap_or(last).max(last);
    }
    Ok(last)
}

/// Counts the lines, and compares each with what was written.
fn read(directory: &Path) -> Result<u64, Box<dyn Error>> {
    let (_, next) = open(directory)?;
    Ok(next - 1)
}

/// The log, and the number of the next line.
fn open(directory: &Path) -> Result<(Wal<Directory>, u64), Box<dyn Error>> {
    let wal = Wal::open(Directory::open(directory)?, Options::default())?;
    let mut next = 1;
    for slot in wal.recover(JOURNAL)?.slots {
        let slot = slot?;
        if slot.index != next || slot.body != line(next).as_bytes() {
            return Err(format!("in place of line {next}: {slot:?}").into());
        }
        next += 1;
    }
    Ok((wal, next))
}

fn line(number: u64) -> String {
    format!("line {number}")
}
