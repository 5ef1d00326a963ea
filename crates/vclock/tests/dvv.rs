//! Dotted version vector sets (Almeida, Gonçalves, Preguiça, Fonte, DAIS 2014) against the rule that
//! they compress: a value stays unless somebody knows of it and does not have it any more.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use synod_vclock::{CausalOrder, ContextError, Dot, DvvSet, Limits, VersionVector, Wire};

type Dots = BTreeSet<Dot<u8>>;
type Set = DvvSet<u8, u32>;

/// A copy without any cleverness: all dots ever heard of, and the values that are left.
#[derive(Clone, Debug, Default, PartialEq)]
struct Copy {
    known: Dots,
    values: BTreeMap<Dot<u8>, u32>,
}

impl Copy {
    fn update(&mut self, read: &Dots, dot: Dot<u8>, value: u32) {
        self.discard(read);
        self.known.insert(dot);
        self.values.insert(dot, value);
    }

    fn discard(&mut self, read: &Dots) {
        self.values.retain(|dot, _| !read.contains(dot));
        self.known.extend(read);
    }

    fn sync(&mut self, other: &Self) {
        self.values
            .retain(|dot, _| other.values.contains_key(dot) || !other.known.contains(dot));
        let new = other
            .values
            .iter()
            .filter(|entry| !self.known.contains(entry.0));
        self.values.extend(new.map(|(dot, value)| (*dot, *value)));
        self.known.extend(&other.known);
    }
}

#[derive(Clone, Copy, Debug)]
enum Move {
    Read { client: usize, server: usize },
    Write { client: usize, server: usize },
    Delete { client: usize, server: usize },
    Sync { to: usize, from: usize },
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let (client, server) = (0..CLIENTS, 0..SERVERS);
    let one = prop_oneof![
        2 => (client.clone(), server.clone()).prop_map(|(client, server)| Move::Read { client, server }),
        4 => (client.clone(), server.clone()).prop_map(|(client, server)| Move::Write { client, server }),
        1 => (client, server.clone()).prop_map(|(client, server)| Move::Delete { client, server }),
        2 => (server.clone(), server).prop_map(|(to, from)| Move::Sync { to, from }),
    ];
    proptest::collection::vec(one, 0..60)
}

#[derive(Default)]
struct World {
    sets: [Set; SERVERS],
    copies: [Copy; SERVERS],
    /// What each client has read: as the vector it carries, and in truth.
    clients: [(VersionVector<u8>, Dots); CLIENTS],
    written: u32,
}

impl World {
    fn run(moves: &[Move]) -> Result<Self, TestCaseError> {
        let mut world = Self::default();
        for step in moves {
            world.step(*step)?;
        }
        Ok(world)
    }

    fn step(&mut self, step: Move) -> Result<(), TestCaseError> {
        match step {
            Move::Read { client, server } => {
                self.clients[client] = (
                    self.sets[server].context(),
                    self.copies[server].known.clone(),
                );
            }
            Move::Write { client, server } => {
                let (context, read) = &self.clients[client];
                let before = self.sets[server].clone();
                let written = self.sets[server].update(context, server as u8, self.written);
                prop_assert_eq!(written.is_ok(), before.context().descends(context));
                let dot = match written {
                    Ok(dot) => dot,
                    // The client comes from a copy that is ahead.
                    Err(_) => {
                        prop_assert_eq!(&self.sets[server], &before, "nothing is changed");
                        let set = &mut self.sets[server];
                        set.update_vouched(context, server as u8, self.written)
                            .unwrap()
                    }
                };
                prop_assert!(!before.context().contains(&dot), "a dot is given once");
                self.copies[server].update(read, dot, self.written);
                self.written += 1;
            }
            Move::Delete { client, server } => {
                let (context, read) = &self.clients[client];
                let known = self.sets[server].context().descends(context);
                prop_assert_eq!(self.sets[server].discard(context).is_ok(), known);
                self.sets[server].discard_vouched(context);
                self.copies[server].discard(read);
            }
            Move::Sync { to, from } => {
                let other = (self.sets[from].clone(), self.copies[from].clone());
                self.sets[to].sync(&other.0);
                self.copies[to].sync(&other.1);
            }
        }
        for (set, copy) in self.sets.iter().zip(&self.copies) {
            let values = set
                .iter()
                .map(|(dot, value)| (dot, *value))
                .collect::<BTreeMap<_, _>>();
            prop_assert_eq!(&values, &copy.values, "after {:?}", step);
            prop_assert_eq!(set.context(), copy.known.iter().copied().collect());
        }
        Ok(())
    }
}

fn synced(one: &Set, other: &Set) -> Set {
    let mut result = one.clone();
    result.sync(other);
    result
}

const SERVERS: usize = 3;
const CLIENTS: usize = 4;

proptest! {
    #[test]
    fn dvvset_keeps_a_value_iff_its_dot_is_not_in_anothers_known_context(moves in moves()) {
        World::run(&moves)?;
    }

    #[test]
    fn dvvset_sync_is_commutative_associative_and_idempotent(moves in moves()) {
        let [a, b, c] = World::run(&moves)?.sets;
        prop_assert_eq!(synced(&a, &a), a.clone());
        prop_assert_eq!(synced(&a, &b), synced(&b, &a));
        prop_assert_eq!(synced(&synced(&a, &b), &c), synced(&a, &synced(&b, &c)));
    }

    #[test]
    fn dvvset_update_discards_exactly_what_the_client_has_read(moves in moves(), client in 0..CLIENTS) {
        let world = World::run(&moves)?;
        let (context, read) = &world.clients[client];
        let mut set = world.sets[0].clone();
        let dot = set.update_vouched(context, 0, u32::MAX).unwrap();
        let mut expected = world.sets[0]
            .iter()
            .filter(|(dot, _)| !read.contains(dot))
            .map(|(dot, value)| (dot, *value))
            .collect::<BTreeMap<_, _>>();
        expected.insert(dot, u32::MAX);
        prop_assert_eq!(set.iter().map(|(dot, value)| (dot, *value)).collect::<BTreeMap<_, _>>(), expected);
    }

    #[test]
    fn dvvset_order_is_inclusion_of_known_dots(moves in moves()) {
        let world = World::run(&moves)?;
        for (one, ours) in world.sets.iter().zip(&world.copies) {
            for (other, theirs) in world.sets.iter().zip(&world.copies) {
                let expected = CausalOrder::of(
                    !theirs.known.is_subset(&ours.known),
                    !ours.known.is_subset(&theirs.known),
                );
                prop_assert_eq!(one.causal_cmp(other), expected);
            }
        }
    }

    #[test]
    fn dvvset_bytes_decode_to_what_was_encoded(moves in moves()) {
        for set in World::run(&moves)?.sets {
            prop_assert_eq!(Set::from_bytes(&set.to_bytes(), Limits::default()), Ok(set));
        }
    }
}

/// The case that plain version vectors get wrong: two clients write through one server, and the
/// second has not seen the first.
#[test]
fn dvvset_has_no_false_order_within_a_server() {
    let mut set = Set::new();
    set.update(&VersionVector::new(), 0, 1).unwrap();
    set.update(&VersionVector::new(), 0, 2).unwrap();
    assert!(set.values().eq(&[1, 2]));
}

/// And the case that a vector entry a client gets wrong the other way: rewriting what one has read
/// leaves no sibling behind, through whichever server.
#[test]
fn dvvset_has_no_false_conflict_between_servers() {
    let mut set = Set::new();
    set.update(&VersionVector::new(), 0, 1).unwrap();
    let mut other = set.clone();
    other.update(&set.context(), 1, 2).unwrap();
    set.sync(&other);
    assert!(set.values().eq(&[2]));
}

/// A server that has lost its memory is told so, and gives no name again that the writer has read.
#[test]
fn dvvset_dots_go_on_behind_what_the_client_has_read() {
    let read = VersionVector::from_iter([(0, 5)]);
    let mut forgetful = Set::new();
    let lost = ContextError::Unseen {
        claimed: 5,
        known: 0,
    };
    assert_eq!(forgetful.update(&read, 0, 1), Err(lost));
    assert_eq!(forgetful, Set::new(), "nothing is changed");
    let dot = forgetful.update_vouched(&read, 0, 1);
    assert_eq!(dot, Ok(Dot::new(0, 6).unwrap()));
    assert_eq!(forgetful.context(), VersionVector::from_iter([(0, 6)]));

    let mut remembers = Set::new();
    for value in 2..7 {
        remembers.update(&VersionVector::new(), 0, value).unwrap();
    }
    remembers.sync(&forgetful);
    assert!(remembers.values().eq(&[1]), "the client had read all five");
}
