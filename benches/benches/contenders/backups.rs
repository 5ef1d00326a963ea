//! A primary with two backups: no terms, no elections, no lost messages, and so no consensus. What is left is what
//! three copies of a log cost, and the shortest example of a [`Driver`].
//!
//! ```text
//!   primary   store ─ Entries ─▶ backups   store ─ Stored ─▶ primary   apply ─ Apply ─▶ backups   apply
//! ```

use bytes::Bytes;
use synod_benches::{Bodies, Cell, Driver, Inboxes, Machine};

pub(super) fn start(_cell: Cell) -> Box<dyn Driver> {
    Box::<Backups>::default()
}

/// What replicas say to each other; a core of yours has a type for that already.
#[derive(Debug)]
enum Message {
    /// Store these behind what you have.
    Entries(Vec<Bytes>),
    /// So many of them are stored here.
    Stored(usize),
    /// So many of them are stored by a majority.
    Apply(usize),
}

#[derive(Debug, Default)]
struct Replica {
    log: Vec<Bytes>,
    applied: usize,
    machine: Machine,
}

impl Replica {
    fn apply(&mut self, up_to: usize) {
        for body in &self.log[self.applied..up_to] {
            self.machine.apply(body);
        }
        self.applied = up_to;
    }
}

#[derive(Debug, Default)]
struct Backups {
    replicas: [Replica; 3],
    inboxes: Inboxes<Message>,
}

impl Driver for Backups {
    fn replicate(&mut self, bodies: Bodies<'_>) {
        let bodies: Vec<_> = bodies.map(Bytes::from).collect();
        for backup in [1, 2] {
            self.inboxes
                .send(0, backup, Message::Entries(bodies.clone()));
        }
        self.replicas[0].log.extend(bodies);
        while !self.inboxes.are_empty() {
            for at in 0..3 {
                self.handle_messages(at);
            }
        }
    }

    fn given(&self) -> [u64; 3] {
        self.replicas.each_ref().map(|it| it.machine.given())
    }

    fn stored(&self) -> [u64; 3] {
        self.replicas.each_ref().map(|it| it.log.len() as u64)
    }
}

impl Backups {
    fn handle_messages(&mut self, at: usize) {
        let replica = &mut self.replicas[at];
        let (mut stored, mut chosen) = (None, None);
        for (_, message) in self.inboxes.take(at) {
            match message {
                Message::Entries(entries) => {
                    replica.log.extend(entries);
                    stored = Some(replica.log.len());
                }
                // With the primary's own copy the first of them is a majority.
                Message::Stored(up_to) if up_to > replica.applied => {
                    replica.apply(up_to);
                    chosen = Some(up_to);
                }
                Message::Stored(_) => {}
                Message::Apply(up_to) => replica.apply(up_to),
            }
        }
        if let Some(up_to) = stored {
            self.inboxes.send(at, 0, Message::Stored(up_to));
        }
        if let Some(up_to) = chosen {
            for backup in [1, 2] {
                self.inboxes.send(at, backup, Message::Apply(up_to));
            }
        }
    }
}
