//! A disk that stalls or is full for a while, as whoever started the node says on standard input: for demos only.
//!
//! | command | from now on |
//! |---|---|
//! | `disk stall` | what is written or synced waits |
//! | `disk full` | what would make a file longer is refused for want of space |
//! | `disk well` | nothing of that, and what waited goes on |
//!
//! Each is answered with a line: how often the disk has kept somebody waiting or has refused something so far.

use std::{
    fmt, io,
    str::FromStr,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// What is wrong with a disk.
#[derive(Debug, Default)]
pub(crate) struct Ailing {
    state: Mutex<State>,
    changed: Condvar,
    met: AtomicU64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Well,
    Stalled,
    Full,
}

/// What the parent may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DiskCommand {
    Stall,
    Fill,
    Heal,
}

impl Ailing {
    /// Does what was said, and answers with a line.
    pub(crate) fn obey(&self, command: DiskCommand) -> String {
        *self.lock() = match command {
            DiskCommand::Stall => State::Stalled,
            DiskCommand::Fill => State::Full,
            DiskCommand::Heal => State::Well,
        };
        self.changed.notify_all();
        format!("{ANSWER}{}", self.met.load(Ordering::Relaxed))
    }

    /// Waits while the disk is stalled.
    pub(super) fn wait(&self) {
        let mut state = self.lock();
        if *state == State::Stalled {
            self.met.fetch_add(1, Ordering::Relaxed);
        }
        while *state == State::Stalled {
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn is_full(&self) -> bool {
        *self.lock() == State::Full
    }

    /// Before a file becomes longer.
    pub(super) fn grows(&self) -> io::Result<()> {
        if !self.is_full() {
            return Ok(());
        }
        self.met.fetch_add(1, Ordering::Relaxed);
        Err(io::ErrorKind::StorageFull.into())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FromStr for DiskCommand {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        match line.trim() {
            "disk stall" => Ok(Self::Stall),
            "disk full" => Ok(Self::Fill),
            "disk well" => Ok(Self::Heal),
            _ => Err(()),
        }
    }
}

impl fmt::Display for DiskCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stall => "disk stall",
            Self::Fill => "disk full",
            Self::Heal => "disk well",
        })
    }
}

/// How often a disk was met as it was, as its node's answer says; nothing for any other line.
pub(crate) fn met(answer: &str) -> Option<u64> {
    answer.strip_prefix(ANSWER)?.trim().parse().ok()
}

const ANSWER: &str = "disk: ";

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, mpsc::channel},
        thread,
    };

    use super::*;

    #[test]
    fn a_stalled_disk_lets_nobody_through_until_it_is_well() {
        let disk = Arc::new(Ailing::default());
        disk.wait();
        assert_eq!(met(&disk.obey(DiskCommand::Stall)), Some(0));
        let (through, seen) = channel();
        let waits = disk.clone();
        let waiting = thread::spawn(move || {
            waits.wait();
            through.send(()).unwrap();
        });
        while disk.met.load(Ordering::Relaxed) == 0 {
            thread::yield_now();
        }
        assert!(seen.try_recv().is_err());
        assert_eq!(met(&disk.obey(DiskCommand::Heal)), Some(1));
        seen.recv().unwrap();
        waiting.join().unwrap();
    }

    #[test]
    fn a_full_disk_refuses_what_grows() {
        let disk = Ailing::default();
        assert!(disk.grows().is_ok() && !disk.is_full());
        disk.obey(DiskCommand::Fill);
        assert_eq!(disk.grows().unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(met(&disk.obey(DiskCommand::Heal)), Some(1));
        assert!(disk.grows().is_ok());
    }

    #[test]
    fn a_command_comes_back_as_it_went() {
        for command in [DiskCommand::Stall, DiskCommand::Fill, DiskCommand::Heal] {
            assert_eq!(format!("{command}\n").parse(), Ok(command));
        }
        assert_eq!("disk".parse::<DiskCommand>(), Err(()));
    }
}
