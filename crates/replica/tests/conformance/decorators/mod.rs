//! Decorators of machines: each against a model, and each a machine like any other.

mod fenced;
mod sessions;
mod timed;

use std::io::{self, Read, Write};

use synod_replica::{
    Applying, Bytes, LogTime, LoggedTime, SessionMachine, StateMachine, TimedMachine,
};

/// Remembers its commands, and answers how many there were. `e` and a number of milliseconds is something that ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Journal {
    pub(crate) commands: Vec<Vec<u8>>,
    /// When what the commands have let expire is over.
    pub(crate) ends: Vec<LogTime>,
    /// Up to where its end was removed.
    pub(crate) passed: LogTime,
}

impl StateMachine for Journal {
    type Response = u64;
    type Frozen = Self;

    fn apply(&mut self, _: Applying, command: Bytes) -> u64 {
        self.commands.push(command.to_vec());
        self.commands.len() as u64
    }

    fn freeze(&self) -> Self {
        self.clone()
    }

    fn write(frozen: Self, to: &mut dyn Write) -> io::Result<()> {
        let ends = frozen.ends.iter().map(|end| end.0);
        let commands = frozen.commands.len() as u64;
        for number in [frozen.passed.0, frozen.ends.len() as u64]
            .into_iter()
            .chain(ends)
            .chain([commands])
        {
            to.write_all(&number.to_le_bytes())?;
        }
        for command in frozen.commands {
            to.write_all(&(command.len() as u64).to_le_bytes())?;
            to.write_all(&command)?;
        }
        Ok(())
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut read = Self {
            passed: LogTime(number(from)?),
            ..Self::default()
        };
        for _ in 0..number(from)? {
            read.ends.push(LogTime(number(from)?));
        }
        for _ in 0..number(from)? {
            let (len, mut command) = (number(from)?, Vec::new());
            from.take(len).read_to_end(&mut command)?;
            if (command.len() as u64) < len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            read.commands.push(command);
        }
        *self = read;
        Ok(())
    }
}

impl SessionMachine for Journal {
    fn keep(response: &u64, bytes_max: usize) -> Option<Vec<u8>> {
        let bytes = response.to_string().into_bytes();
        (bytes.len() <= bytes_max).then_some(bytes)
    }

    fn recall(kept: &[u8]) -> Option<u64> {
        str::from_utf8(kept).ok()?.parse().ok()
    }
}

impl TimedMachine for Journal {
    fn apply_at(&mut self, at: Applying, time: &mut LoggedTime, command: Bytes) -> u64 {
        if let Some(millis) = command.strip_prefix(b"e")
            && let Some(millis) = Self::recall(millis)
        {
            let lasts = std::time::Duration::from_millis(millis.min(1 << 40));
            self.ends.push(time.deadline(lasts));
        }
        self.apply(at, command)
    }

    fn pass(&mut self, now: LogTime) {
        self.passed = self.passed.max(now);
    }

    fn next_due(&self) -> Option<LogTime> {
        let ends = self.ends.iter().copied();
        ends.filter(|end| *end > self.passed).min()
    }
}

fn number(from: &mut dyn Read) -> io::Result<u64> {
    let mut bytes = [0; 8];
    from.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

/// The machine that a snapshot of another one gives.
pub(crate) fn through_a_snapshot<S: StateMachine>(machine: &S, mut fresh: S) -> S {
    let mut bytes = Vec::new();
    S::write(machine.freeze(), &mut bytes).unwrap();
    fresh.restore(&mut &bytes[..]).unwrap();
    fresh
}

pub(crate) fn at(index: u64) -> Applying {
    Applying { index, offset: 0 }
}
