//! Causal stability: an event is stable iff everybody is known to know it, and what is stable is
//! known to everybody in truth.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use std::collections::BTreeSet;
use synod_vclock::{Dot, Limits, MatrixClock, VectorClock, VersionVector, Wire};

type Dots = BTreeSet<Dot<u8>>;

#[derive(Clone, Copy, Debug)]
enum Move {
    Event(usize),
    /// A message that carries the sender's vector, or its whole matrix.
    Message {
        from: usize,
        to: usize,
        whole: bool,
    },
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = prop_oneof![
        (0..NODES).prop_map(Move::Event),
        (0..NODES, 0..NODES, any::<bool>()).prop_map(|(from, to, whole)| Move::Message {
            from,
            to,
            whole
        }),
    ];
    proptest::collection::vec(one, 0..50)
}

struct World {
    clocks: Vec<VectorClock<u8>>,
    matrices: Vec<MatrixClock<u8>>,
    /// What each node knows, in truth, that each node knows.
    known: Vec<Vec<Dots>>,
}

impl World {
    fn new() -> Self {
        let names = || 0..NODES as u8;
        Self {
            clocks: names().map(VectorClock::new).collect(),
            matrices: names().map(|me| MatrixClock::new(me, names())).collect(),
            known: vec![vec![Dots::new(); NODES]; NODES],
        }
    }

    fn event(&mut self, at: usize) {
        let vector = self.clocks[at].tick().unwrap().clone();
        self.note(at, &vector);
    }

    fn note(&mut self, at: usize, vector: &VersionVector<u8>) {
        self.matrices[at].observe(&(at as u8), vector).unwrap();
        self.known[at][at].insert(Dot::new(at as u8, vector.get(&(at as u8))).unwrap());
    }

    fn message(&mut self, from: usize, to: usize, whole: bool) {
        let vector = self.clocks[from].send().unwrap();
        self.note(from, &vector);
        if whole {
            let matrix = self.matrices[from].clone();
            self.matrices[to].merge(&matrix).unwrap();
            for member in 0..NODES {
                let theirs = self.known[from][member].clone();
                self.known[to][member].extend(theirs);
            }
        } else {
            self.matrices[to].observe(&(from as u8), &vector).unwrap();
        }
        let theirs = self.known[from][from].clone();
        self.known[to][from].extend(theirs.clone());
        self.known[to][to].extend(theirs);
        let received = self.clocks[to].receive(&vector).unwrap().clone();
        self.note(to, &received);
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for at in 0..NODES {
            let everybody = self.known[at]
                .iter()
                .skip(1)
                .fold(self.known[at][0].clone(), |all, row| &all & row);
            prop_assert_eq!(
                self.matrices[at].stable(),
                everybody.iter().copied().collect(),
                "stable iff every row covers it"
            );
            for dot in self.known.iter().flatten().flatten() {
                let stable = self.matrices[at].is_stable(dot);
                prop_assert_eq!(stable, everybody.contains(dot));
                let held = (0..NODES).all(|node| self.known[node][node].contains(dot));
                prop_assert!(!stable || held, "never forgotten before everybody has it");
            }
        }
        Ok(())
    }
}

const NODES: usize = 4;

proptest! {
    #[test]
    fn stability_is_what_every_row_covers_and_never_too_early(moves in moves()) {
        let mut world = World::new();
        for step in moves {
            let before = world.matrices.iter().map(MatrixClock::stable).collect::<Vec<_>>();
            match step {
                Move::Event(at) => world.event(at),
                Move::Message { from, to, whole } if from != to => world.message(from, to, whole),
                Move::Message { .. } => {}
            }
            world.check()?;
            for (matrix, before) in world.matrices.iter().zip(before) {
                prop_assert!(matrix.stable().descends(&before), "stable for ever");
                let read = MatrixClock::from_bytes(&matrix.to_bytes(), Limits::default());
 prop_assert_eq!(read.as_ref(), Ok(matrix));
            }
        }
    }

    #[test]
    fn stability_comes_to_every_event(moves in moves()) {
        let mut world = World::new();
        for step in moves {
            match step {
                Move::Event(at) => world.event(at),
                Move::Message { from, to, whole } if from != to => world.message(from, to, whole),
                Move::Message { .. } => {}
            }
        }
        let made = world.known.iter().flatten().flatten().copied().collect::<Dots>();
        // Twice around the ring with whole matrices: once to hear, once to hear that others heard.
        for turn in 0..2 * NODES {
            world.message(turn % NODES, (turn + 1) % NODES, true);
        }
        world.check()?;
        let last = &world.matrices[0];
        prop_assert!(made.iter().all(|dot| last.is_stable(dot)));
    }
}
