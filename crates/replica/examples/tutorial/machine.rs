//! Part 1: a state machine, and a test of it.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};

use synod_replica::{Applying, Bytes, StateMachine, conformance};

/// How many votes each candidate has.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Poll {
    votes: BTreeMap<String, u64>,
}

/// A limit is part of the machine: nodes that had different ones would come to different states.
const NAME_BYTES_MAX: usize = 100;

impl StateMachine for Poll {
    /// The candidate's votes, or why the command is none.
    type Response = Result<u64, &'static str>;
    type Frozen = Self;

    fn apply(&mut self, _: Applying, command: Bytes) -> Self::Response {
        // A command is bytes, and whoever sends them may send anything.
        let name = std::str::from_utf8(&command).map_err(|_| "a name is text")?;
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\n') {
            return Err("a name is a line of 1 to 100 bytes");
        }
        let votes = self.votes.entry(name.to_owned()).or_default();
        *votes += 1;
        Ok(*votes)
    }

    // Called in the node's loop: it must be quick. `write` runs elsewhere.
    fn freeze(&self) -> Self {
        self.clone()
    }

    fn write(frozen: Self, to: &mut dyn Write) -> io::Result<()> {
        for (name, votes) in &frozen.votes {
            writeln!(to, "{votes} {name}")?;
        }
        write!(to, "end")
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let bad = || io::Error::new(io::ErrorKind::InvalidData, "no snapshot of a poll");
        self.votes.clear();
        let mut lines = BufReader::new(from).lines();
        // A snapshot that breaks off is no poll with fewer votes.
        loop {
            let line = lines.next().ok_or_else(bad)??;
            let Some((votes, name)) = line.split_once(' ') else {
                return if line == "end" { Ok(()) } else { Err(bad()) };
            };
            let votes = votes.parse().map_err(|_| bad())?;
            self.votes.insert(name.to_owned(), votes);
        }
    }
}

impl Poll {
    pub(crate) fn votes(&self, name: &str) -> u64 {
        self.votes.get(name).copied().unwrap_or_default()
    }
}

/// As a test would: snapshots in the midst, restored and not, must make no difference.
pub(crate) fn conforms() {
    let commands = [&b"ada"[..], b"grace", b"ada", b"", &[0xff], &[b'x'; 101]];
    conformance::state_machine(Poll::default, Poll::clone, &commands);
}
