//! Interval tree clocks (Almeida, Baquero, Fonte, OPODIS 2008) against sets of events.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use std::collections::BTreeSet;
use synod_vclock::itc::{EventError, Stamp};
use synod_vclock::{CausalOrder, DecodeError, Limits, Wire};

type Past = BTreeSet<u32>;

#[derive(Clone, Copy, Debug)]
enum Move {
    Fork(usize),
    Event(usize),
    Join(usize, usize),
    /// A message from one to the other.
    Message(usize, usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let any = || 0_usize..1_000;
    let one = prop_oneof![
        3 => any().prop_map(Move::Fork),
        4 => any().prop_map(Move::Event),
        2 => (any(), any()).prop_map(|(one, other)| Move::Join(one, other)),
        2 => (any(), any()).prop_map(|(from, to)| Move::Message(from, to)),
    ];
    proptest::collection::vec(one, 0..60)
}

/// Live stamps with what they know in truth, and anonymous ones that were peeked on the way.
struct World {
    live: Vec<(Stamp, Past)>,
    peeked: Vec<(Stamp, Past)>,
    events: u32,
}

impl World {
    fn run(moves: &[Move]) -> Self {
        let mut world = Self {
            live: vec![(Stamp::seed(), Past::new())],
            peeked: Vec::new(),
            events: 0,
        };
        moves.iter().for_each(|step| world.step(*step));
        world
    }

    fn step(&mut self, step: Move) {
        let len = self.live.len();
        match step {
            Move::Fork(at) => {
                let (stamp, past) = &mut self.live[at % len];
                let forked = (stamp.fork().unwrap(), past.clone());
                self.live.push(forked);
            }
            Move::Event(at) => self.event(at % len),
            Move::Join(one, other) if len > 1 => {
                let (stamp, past) = self.live.remove(one % len);
                let into = &mut self.live[other % (len - 1)];
                into.0.join(stamp).unwrap();
                into.1.extend(past);
            }
            Move::Message(from, to) if from % len != to % len => {
                let message = self.live[from % len].0.send().unwrap();
                self.note_event(from % len);
                let past = self.live[from % len].1.clone();
                self.peeked.push((message.clone(), past.clone()));
                self.live[to % len].0.receive(&message).unwrap();
                self.live[to % len].1.extend(past);
                self.note_event(to % len);
            }
            Move::Join(..) | Move::Message(..) => {}
        }
    }

    fn event(&mut self, at: usize) {
        self.live[at].0.event().unwrap();
        self.note_event(at);
    }

    fn note_event(&mut self, at: usize) {
        self.live[at].1.insert(self.events);
        self.events += 1;
    }

    fn all(&self) -> impl Iterator<Item = &(Stamp, Past)> + Clone {
        self.live.iter().chain(&self.peeked)
    }
}

proptest! {
    #[test]
    fn itc_order_is_inclusion_of_causal_histories(moves in moves()) {
        let world = World::run(&moves);
        for (one, ours) in world.all() {
            for (other, theirs) in world.all() {
                let expected = CausalOrder::of(!theirs.is_subset(ours), !ours.is_subset(theirs));
                prop_assert_eq!(one.causal_cmp(other), expected, "{} {}", one, other);
                prop_assert_eq!(one.descends(other), theirs.is_subset(ours));
            }
        }
    }

    #[test]
    fn itc_live_ids_are_disjoint(moves in moves()) {
        let world = World::run(&moves);
        for (at, (one, _)) in world.live.iter().enumerate() {
            for (other, _) in &world.live[at + 1..] {
                prop_assert!(one.clone().join(other.clone()).is_ok(), "{} {}", one, other);
            }
            prop_assert!(one.clone().join(one.clone()).is_err());
        }
        // Together they own everything.
        let mut stamps = world.live.into_iter().map(|(stamp, _)| stamp);
        let mut whole = stamps.next().unwrap();
        stamps.for_each(|stamp| whole.join(stamp).unwrap());
        prop_assert!(whole.to_string().starts_with("(1, "), "{whole}");
    }

    #[test]
    fn itc_join_of_a_fork_restores_it(moves in moves()) {
        for (stamp, _) in World::run(&moves).live {
            let mut joined = stamp.clone();
            let forked = joined.fork().unwrap();
            prop_assert_ne!(&joined, &stamp);
            joined.join(forked).unwrap();
            prop_assert_eq!(joined, stamp);
        }
    }

    /// Each history has one tree: stamps that know the same are equal, and bytes in another form
    /// than the one of normal trees are refused.
    #[test]
    fn itc_trees_are_in_normal_form(moves in moves()) {
        let world = World::run(&moves);
        for (one, _) in world.all() {
            for (other, _) in world.all() {
                let equal = one.causal_cmp(other) == CausalOrder::Equal;
                prop_assert_eq!(one.peek() == other.peek(), equal, "{} {}", one, other);
            }
            let read = Stamp::from_bytes(&one.to_bytes(), Limits::default());
            prop_assert_eq!(read.as_ref(), Ok(one));
        }
    }

    #[test]
    fn itc_an_event_is_known_to_nobody_else(moves in moves(), at in any::<usize>()) {
        let mut world = World::run(&moves);
        let at = at % world.live.len();
        let before = world.live[at].0.clone();
        world.event(at);
        prop_assert!(before.causal_cmp(&world.live[at].0) == CausalOrder::Before);
        for (other, _) in world.all().filter(|(other, _)| *other != world.live[at].0) {
            prop_assert!(!other.descends(&world.live[at].0));
        }
    }

    #[test]
    fn itc_join_is_a_semilattice_of_knowledge(moves in moves()) {
        let stamps = World::run(&moves).live.into_iter().map(|(stamp, _)| stamp.peek()).collect::<Vec<_>>();
        let join = |one: &Stamp, other: &Stamp| {
            let mut result = one.clone();
            result.join(other.clone()).unwrap();
            result
        };
        for a in &stamps {
            prop_assert_eq!(&join(a, a), a);
            for b in &stamps {
                prop_assert_eq!(join(a, b), join(b, a));
                prop_assert!(join(a, b).descends(a));
                for c in &stamps {
                    prop_assert_eq!(join(&join(a, b), c), join(a, &join(b, c)));
                }
            }
        }
    }

    #[test]
    fn itc_anonymous_stamps_have_no_events(moves in moves()) {
        for (stamp, _) in World::run(&moves).live {
            let mut peeked = stamp.peek();
            prop_assert_eq!(peeked.event(), Err(EventError::Anonymous));
            prop_assert_eq!(peeked.receive(&stamp), Err(EventError::Anonymous));
            prop_assert_eq!(peeked, stamp.peek());
        }
    }
}

/// A forged message cannot take the counters of the own part to their end, and a stamp that was
/// restored from too early a state learns of it.
#[test]
fn itc_messages_from_the_own_future_are_refused() {
    let mut alice = Stamp::seed();
    let mut bob = alice.fork().unwrap();
    let restored = bob.clone();
    let forged = stamp("000 110111").unwrap(); // eleven events everywhere
    assert_eq!(bob.receive(&forged), Err(EventError::FromOwnFuture));
    assert_eq!(bob, restored);

    alice.receive(&bob.send().unwrap()).unwrap();
    let answer = alice.send().unwrap();
    bob.receive(&answer).unwrap();
    let mut bob = restored;
    assert_eq!(bob.receive(&answer), Err(EventError::FromOwnFuture));
}

/// A stamp from the bits of its encoding, spaces for reading.
fn stamp(bits: &str) -> Result<Stamp, DecodeError> {
    let bits = bits
        .bytes()
        .filter(|bit| *bit != b' ')
        .map(|bit| bit - b'0')
        .collect::<Vec<_>>();
    let bytes = bits
        .chunks(8)
        .map(|byte| {
            byte.iter()
                .zip((0..8).rev())
                .map(|(bit, place)| bit << place)
                .sum()
        })
        .collect::<Vec<u8>>();
    Stamp::from_bytes(&bytes, Limits::default())
}

/// The encoding of the paper, tag by tag.
#[test]
fn itc_bits_are_those_of_the_paper() {
    for (bits, expected) in [
        ("001 1000", "(1, 0)"),
        ("000 1011", "(0, 3)"),
        ("000 110000", "(0, 4)"),
        ("000 110111", "(0, 11)"),
        ("000 11100000", "(0, 12)"),
        ("01 001 1000", "((0, 1), 0)"),
        ("10 001 1000", "((1, 0), 0)"),
        ("11 10 001 001 1000", "(((1, 0), 1), 0)"),
        ("001 000 1001", "(1, (0, 0, 1))"),
        ("001 001 1001", "(1, (0, 1, 0))"),
        ("001 01100 1010 1001", "(1, (2, 0, 1))"),
        ("001 01101 1010 1001", "(1, (2, 1, 0))"),
        // One half of a node is zero somewhere, so both show only if one of them is a node.
        ("001 010 000 1001 1010", "(1, (0, (0, 0, 1), 2))"),
        ("001 0111 1001 1010 000 1001", "(1, (1, 2, (0, 0, 1)))"),
    ] {
        let stamp = stamp(bits).unwrap();
        assert_eq!(stamp.to_string(), expected);
        assert_eq!(
            stamp.bit_len(),
            bits.bytes().filter(|bit| *bit != b' ').count()
        );
    }
}

#[test]
fn itc_bits_in_another_form_are_refused() {
    for bits in [
        "01 000 1000",                 // (0, 0) is 0
        "11 001 001 1000",             // (1, 1) is 1
        "11 000 001 1000",             // (0, 1) has a tag of its own
        "001 000 1000",                // (0, 0, 0) is 0
        "001 010 1001 1001",           // (0, 1, 1) is 1
        "001 010 1001 1010",           // (0, 1, 2) is (1, 0, 1)
        "001 0111 1001 1000 1001",     // (1, 0, 1) has a tag of its own
        "001 0111 1000 1001 000 1001", // a base of zero has tags of its own
        "001 01100 0 0",               // a base that is a node
        "001 1000 1",                  // padding that is not zero
    ] {
        assert_eq!(stamp(bits), Err(DecodeError::NotCanonical), "{bits}");
    }
    assert_eq!(stamp("11 10 001"), Err(DecodeError::Truncated));
}

/// The walk through a run that the paper draws (section 3.5, figure 4).
#[test]
fn itc_follows_the_example_of_the_paper() {
    let mut a = Stamp::seed();
    let mut b = a.fork().unwrap();
    a.event().unwrap();
    b.event().unwrap();
    assert_eq!(a.to_string(), "((1, 0), (0, 1, 0))");
    assert_eq!(b.to_string(), "((0, 1), (0, 0, 1))");
    let mut c = a.fork().unwrap();
    a.event().unwrap();
    assert_eq!(a.to_string(), "(((1, 0), 0), (0, (1, 1, 0), 0))");
    b.event().unwrap();
    b.join(c.clone()).unwrap();
    c = b.fork().unwrap();
    assert_eq!(b.to_string(), "(((0, 1), 0), (1, 0, 1))");
    assert_eq!(c.to_string(), "((0, 1), (1, 0, 1))");
    a.join(b).unwrap();
    assert_eq!(a.to_string(), "((1, 0), (1, (0, 1, 0), 1))");
    a.event().unwrap();
    assert_eq!(a.to_string(), "((1, 0), 2)");
    assert_eq!(c.causal_cmp(&a), CausalOrder::Before);
}
