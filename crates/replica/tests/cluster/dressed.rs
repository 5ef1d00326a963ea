//! A machine in all its decorators: logged time, sessions, and a fence.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};

use synod_replica::{
    Applying, Bytes, Fenced, FencedReply, LogTime, LoggedTime, SessionMachine, Sessions,
    StateMachine, Timed, TimedMachine,
};

use super::tokens::{FNV_BASIS, fnv};

/// What each node replicates.
pub(crate) type Machine = Timed<Sessions<Both>>;

/// Cells that anybody may change, and cells of one holder at a time.
#[derive(Debug, Default)]
pub(crate) struct Both {
    pub(crate) free: Cells,
    pub(crate) fenced: Fenced<Cells>,
}

/// What was noted, in order, and what is held for a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cells {
    pub(crate) notes: Vec<u64>,
    pub(crate) held: BTreeMap<u64, LogTime>,
    /// What was held, until it expired.
    pub(crate) over: BTreeSet<u64>,
    /// Of all that; computed anew from a snapshot.
    digest: u64,
}

/// What a command answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    Free(u64),
    Fenced(FencedReply<u64>),
}

/// A command for the cells of all.
pub(crate) fn free(command: &[u8]) -> Vec<u8> {
    [&[FREE], command].concat()
}

/// A command that names its reign, or a take-over.
pub(crate) fn fenced(command: &[u8]) -> Vec<u8> {
    [&[FENCED], command].concat()
}

/// Notes a token; answers how many there are.
pub(crate) fn note(token: u64) -> Vec<u8> {
    [&[NOTE][..], &token.to_le_bytes()].concat()
}

/// The same, and holds it for some milliseconds.
pub(crate) fn hold(token: u64, millis: u64) -> Vec<u8> {
    [&[HOLD][..], &token.to_le_bytes(), &millis.to_le_bytes()].concat()
}

/// What distinguishes the state of a machine from another.
pub(crate) fn digest(machine: &Machine) -> u64 {
    let sessions = machine.machine();
    let both = sessions.machine();
    let mut digest = machine.time().now().0;
    for number in [
        sessions.len() as u64,
        sessions.reply_bytes(),
        both.fenced.reign().0,
    ] {
        digest = fnv(digest, &number.to_le_bytes());
    }
    for cells in [&both.free, both.fenced.machine()] {
        digest = fnv(digest, &cells.digest.to_le_bytes());
    }
    digest
}

impl Cells {
    fn run(&mut self, time: Option<&mut LoggedTime>, command: &[u8]) -> u64 {
        let mut words = command.get(1..).unwrap_or_default().chunks_exact(8);
        let mut word = || {
            let word = words.next().and_then(|word| word.try_into().ok());
            u64::from_le_bytes(word.unwrap_or_default())
        };
        let (token, millis) = (word(), word());
        self.note(token);
        if let (Some(&HOLD), Some(time)) = (command.first(), time) {
            let lasts = std::time::Duration::from_millis(millis);
            self.hold(token, time.deadline(lasts));
        }
        self.notes.len() as u64
    }

    fn note(&mut self, token: u64) {
        self.notes.push(token);
        let place = self.notes.len() as u64;
        self.count([NOTED, place, token]);
    }

    fn hold(&mut self, token: u64, ends: LogTime) {
        if let Some(before) = self.held.insert(token, ends) {
            self.digest = self.digest.wrapping_sub(hash([HELD, token, before.0]));
        }
        self.count([HELD, token, ends.0]);
    }

    fn end(&mut self, token: u64) {
        if self.over.insert(token) {
            self.count([OVER, token, 0]);
        }
    }

    fn count(&mut self, what: [u64; 3]) {
        self.digest = self.digest.wrapping_add(hash(what));
    }

    fn bytes(&self) -> Vec<u8> {
        let mut numbers = vec![self.notes.len() as u64];
        numbers.extend(&self.notes);
        numbers.push(self.held.len() as u64);
        numbers.extend(self.held.iter().flat_map(|(token, at)| [*token, at.0]));
        numbers.push(self.over.len() as u64);
        numbers.extend(&self.over);
        numbers
            .iter()
            .flat_map(|number| number.to_le_bytes())
            .collect()
    }

    fn read(from: &mut dyn Read) -> io::Result<Self> {
        let mut number = || {
            let mut bytes = [0; 8];
            from.read_exact(&mut bytes)?;
            Ok::<_, io::Error>(u64::from_le_bytes(bytes))
        };
        let mut cells = Self::default();
        for _ in 0..number()? {
            cells.note(number()?);
        }
        for _ in 0..number()? {
            cells.hold(number()?, LogTime(number()?));
        }
        for _ in 0..number()? {
            cells.end(number()?);
        }
        Ok(cells)
    }
}

impl StateMachine for Cells {
    type Response = u64;
    type Frozen = Self;

    fn apply(&mut self, _: Applying, command: Bytes) -> u64 {
        self.run(None, &command)
    }

    fn freeze(&self) -> Self {
        self.clone()
    }

    fn write(frozen: Self, to: &mut dyn Write) -> io::Result<()> {
        to.write_all(&frozen.bytes())
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        *self = Self::read(from)?;
        Ok(())
    }
}

impl TimedMachine for Cells {
    fn apply_at(&mut self, _: Applying, time: &mut LoggedTime, command: Bytes) -> u64 {
        self.run(Some(time), &command)
    }

    fn pass(&mut self, now: LogTime) {
        let over: Vec<_> = self.held.extract_if(.., |_, ends| *ends <= now).collect();
        for (token, ends) in over {
            self.digest = self.digest.wrapping_sub(hash([HELD, token, ends.0]));
            self.end(token);
        }
    }

    fn next_due(&self) -> Option<LogTime> {
        self.held.values().min().copied()
    }
}

impl StateMachine for Both {
    type Response = Said;
    type Frozen = (Cells, <Fenced<Cells> as StateMachine>::Frozen);

    fn apply(&mut self, at: Applying, command: Bytes) -> Said {
        match command.first() {
            Some(&FENCED) => Said::Fenced(self.fenced.apply(at, command.slice(1..))),
            _ => Said::Free(self.free.apply(at, command.slice(1..))),
        }
    }

    fn freeze(&self) -> Self::Frozen {
        (self.free.freeze(), self.fenced.freeze())
    }

    fn write((free, fenced): Self::Frozen, to: &mut dyn Write) -> io::Result<()> {
        Cells::write(free, to)?;
        Fenced::<Cells>::write(fenced, to)
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.free.restore(from)?;
        self.fenced.restore(from)
    }
}

impl TimedMachine for Both {
    fn apply_at(&mut self, at: Applying, time: &mut LoggedTime, command: Bytes) -> Said {
        match command.first() {
            Some(&FENCED) => Said::Fenced(self.fenced.apply_at(at, time, command.slice(1..))),
            _ => Said::Free(self.free.apply_at(at, time, command.slice(1..))),
        }
    }

    fn pass(&mut self, now: LogTime) {
        self.free.pass(now);
        self.fenced.pass(now);
    }

    fn next_due(&self) -> Option<LogTime> {
        let due = [self.free.next_due(), self.fenced.next_due()];
        due.into_iter().flatten().min()
    }
}

impl SessionMachine for Both {
    fn keep(response: &Said, _: usize) -> Option<Vec<u8>> {
        match response {
            Said::Free(count) => Some(count.to_le_bytes().to_vec()),
            Said::Fenced(_) => None,
        }
    }

    fn recall(kept: &[u8]) -> Option<Said> {
        let count = kept.try_into().ok()?;
        Some(Said::Free(u64::from_le_bytes(count)))
    }
}

fn hash(numbers: [u64; 3]) -> u64 {
    let hash = numbers
        .iter()
        .fold(FNV_BASIS, |hash, number| fnv(hash, &number.to_le_bytes()));
    hash ^ (hash >> 29)
}

const NOTED: u64 = 1;
const HELD: u64 = 2;
const OVER: u64 = 3;
const FREE: u8 = 0;
const FENCED: u8 = 1;
const NOTE: u8 = 0;
const HOLD: u8 = 1;
