//! What is applied: once, in order, in parts, and kept in snapshots.

use std::io::Read;

use super::*;
use crate::body::encode;
use crate::log::Log;
use crate::sim::SimDisk;
use synod_wal::{Options, Wal};

#[derive(Default)]
struct Commands(Vec<u8>);

impl StateMachine for Commands {
    type Response = usize;
    type Frozen = Vec<u8>;

    fn apply(&mut self, _: Applying, command: Bytes) -> usize {
        self.0.extend_from_slice(&command);
        self.0.len()
    }

    fn freeze(&self) -> Vec<u8> {
        self.0.clone()
    }

    fn write(frozen: Vec<u8>, to: &mut dyn Write) -> io::Result<()> {
        to.write_all(&frozen)
    }

    fn restore(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.0.clear();
        from.read_to_end(&mut self.0).map(drop)
    }
}

struct Nobody;

impl Ticket<Commands> for Nobody {
    fn applied(self, _: usize) {}
    fn read(self, _: &Commands, _: Option<Instant>) {}
    fn failed(self, _: Failure) {}
}

fn applier(snapshots: Arc<dyn SnapshotStore>) -> Applier<Commands> {
    Applier::new(GroupId(1), Commands::default(), Bytes::new(), snapshots)
}

fn apply(applier: &mut Applier<Commands>, incarnation: u64, sequence: u64, command: &'static str) {
    let body = encode(
        Name {
            node: 1,
            incarnation,
            sequence,
        },
        [Bytes::from(command)].iter(),
    );
    let at = Position {
        index: applier.applied() + 1,
        ..Position::default()
    };
    let tickets = vec![Some(Nobody)];
    applier
        .run(Job::Apply {
            at,
            kind: Kind::Commands,
            body,
            tickets,
            in_doubt: false,
        })
        .unwrap();
}

#[test]
fn a_name_is_applied_once_and_names_only_rise_also_across_a_snapshot() {
    let wal = Wal::open(SimDisk::new(1), Options::default()).unwrap();
    let snapshots = Log::snapshots(&wal);
    let mut first = applier(snapshots.clone());
    for (incarnation, sequence, command) in [(1, 1, "a"), (1, 1, "a"), (1, 3, "c"), (1, 2, "b")] {
        apply(&mut first, incarnation, sequence, command);
    }
    assert_eq!(
        (&first.machine().0[..], first.repeats(), first.applied()),
        (&b"ac"[..], 2, 4)
    );
    let Ok(Some(Done::Frozen(frozen))) = first.run(Job::<Nobody>::Freeze) else {
        panic!()
    };
    let snapshot = frozen.snapshot.clone();
    let mut frozen = Some(frozen);
    let write = &mut |to: &mut dyn Write| frozen.take().unwrap().write(to);
    snapshots.create(GroupId(1), &snapshot, write).unwrap();

    let mut second = applier(snapshots);
    second.run(Job::<Nobody>::Restore(snapshot)).unwrap();
    for (incarnation, sequence, command) in [(1, 3, "c"), (2, 1, "d"), (1, 4, "e")] {
        apply(&mut second, incarnation, sequence, command);
    }
    assert_eq!(
        (&second.machine().0[..], second.repeats(), second.applied()),
        (&b"acd"[..], 2, 7)
    );
}

/// A ticket that must not be applied.
struct Waits(std::sync::mpsc::Sender<Failure>);

impl Ticket<Commands> for Waits {
    fn applied(self, _: usize) {
        panic!("a name that does not rise was applied");
    }
    fn read(self, _: &Commands, _: Option<Instant>) {}
    fn failed(self, failure: Failure) {
        self.0.send(failure).unwrap();
    }
}

#[test]
fn a_name_that_does_not_rise_is_refused_as_that() {
    let wal = Wal::open(SimDisk::new(1), Options::default()).unwrap();
    let mut applier = applier(Log::snapshots(&wal));
    apply(&mut applier, 5, 1, "a");
    let (reason, leader) = (Reason::NameUsed, None);
    let refused = Failure::Rejected { reason, leader };
    // A snapshot may have applied what seems to be skipped.
    for (index, in_doubt, failure) in [(2, false, refused), (3, true, Failure::Unknown)] {
        let (to, failures) = std::sync::mpsc::channel();
        let name = Name {
            node: 1,
            incarnation: 4,
            sequence: 9,
        };
        let done = applier.run(Job::Apply {
            at: Position {
                index,
                ..Position::default()
            },
            kind: Kind::Commands,
            body: encode(name, ["b", "c"].map(Bytes::from).iter()),
            tickets: vec![Some(Waits(to.clone())), Some(Waits(to))],
            in_doubt,
        });
        match done.unwrap().unwrap() {
            Done::NameUsed { index: at, last } => {
                let last = (last.incarnation, last.sequence);
                assert_eq!((at, last, in_doubt), (index, (5, 1), false));
            }
            done => assert!(in_doubt, "{done:?}"),
        }
        assert!(failures.try_iter().eq([failure; 2]));
        assert_eq!(
            (&applier.machine().0[..], applier.applied()),
            (&b"a"[..], index)
        );
    }
}

/// However an entry is split, the machine sees each command once, at its position.
#[test]
fn an_entry_may_be_applied_in_pieces() {
    let wal = Wal::open(SimDisk::new(1), Options::default()).unwrap();
    let mut applier = applier(Log::snapshots(&wal));
    let (node, incarnation, sequence) = (1, 1, 1);
    let name = Name {
        node,
        incarnation,
        sequence,
    };
    let commands = ["a", "bc", "", "d"].map(Bytes::from);
    let at = Position {
        index: 1,
        ..Position::default()
    };
    let mut job = Job::Apply {
        at,
        kind: Kind::Commands,
        body: encode(name, commands.iter()),
        tickets: vec![Some(Nobody), None, Some(Nobody), Some(Nobody)],
        in_doubt: false,
    };
    let mut seen = Vec::new();
    loop {
        match applier.run_within(job, &mut |_| false).unwrap() {
            Ran::Left(rest) => job = rest,
            Ran::Whole(done) => break assert!(matches!(done, Some(Done::Applied(1)))),
            Ran::Later(job, why) => panic!("{job:?} needs nothing: {why}"),
        }
        seen.push((applier.machine().0.clone(), applier.applied()));
    }
    let expected = [(&b"a"[..], 0), (b"abc", 0), (b"abc", 0)];
    assert!(seen.iter().map(|(held, at)| (&held[..], *at)).eq(expected));
    assert_eq!(
        (&applier.machine().0[..], applier.applied()),
        (&b"abcd"[..], 1)
    );
}

#[test]
fn a_gap_is_refused() {
    let wal = Wal::open(SimDisk::new(1), Options::default()).unwrap();
    let mut applier = applier(Log::snapshots(&wal));
    let (at, body) = (
        Position {
            index: 2,
            ..Position::default()
        },
        Bytes::new(),
    );
    let gap = applier.run(Job::<Nobody>::Apply {
        at,
        kind: Kind::Noop,
        body,
        tickets: vec![],
        in_doubt: false,
    });
    assert!(matches!(
        gap,
        Err(ApplyError::Gap {
            applied: 0,
            found: 2
        })
    ));
}
