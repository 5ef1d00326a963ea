//! Readers and writers that behave badly.

use std::io::{self, ErrorKind, Read, Write};

/// Handles one byte at a time, and is interrupted before each third one.
pub(super) struct Trickle<'a> {
    left: &'a [u8],
    pub(super) written: Vec<u8>,
    calls: usize,
}

impl<'a> Trickle<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            left: bytes,
            written: Vec::new(),
            calls: 0,
        }
    }

    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        if self.calls.is_multiple_of(3) {
            return Err(ErrorKind::Interrupted.into());
        }
        Ok(())
    }
}

impl Read for Trickle<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.call()?;
        let count = into.len().min(1);
        self.left.read(&mut into[..count])
    }
}

impl Write for Trickle<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.call()?;
        self.written.write(&bytes[..bytes.len().min(1)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Fails for good after a number of bytes.
pub(super) struct Failing<'a> {
    left: &'a [u8],
    room: usize,
}

impl<'a> Failing<'a> {
    pub(super) fn reader(bytes: &'a [u8]) -> Self {
        Self {
            left: bytes,
            room: 0,
        }
    }

    pub(super) fn writer(room: usize) -> Self {
        Self { left: &[], room }
    }
}

impl Read for Failing<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.left.read(into)? {
            0 if !into.is_empty() => Err(broken()),
            count => Ok(count),
        }
    }
}

impl Write for Failing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room);
        self.room -= count;
        if count == 0 && !bytes.is_empty() {
            return Err(broken());
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn broken() -> io::Error {
    io::Error::other(BROKEN)
}

/// Whether the error came from a [`Failing`], or mentions it.
pub(super) fn is_broken(error: &io::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if error.to_string().contains(BROKEN) {
            return true;
        }
        source = error.source();
    }
    false
}

const BROKEN: &str = "the medium of this case broke";
