//! Interval tree clocks beside the definitions of the paper (section 5), written down as they stand
//! there: slow, without bounds, and the same trees after every step. How a deep part is forked differs from
//! the paper; there the two need only be a partition of what was owned.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use std::fmt;
use synod_vclock::CausalOrder;
use synod_vclock::itc::Stamp;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Id {
    Leaf(u8),
    Node(Box<Self>, Box<Self>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Event {
    Leaf(u64),
    Node(u64, Box<Self>, Box<Self>),
}

use Event::{Leaf, Node};

fn id(left: Id, right: Id) -> Id {
    match (&left, &right) {
        (Id::Leaf(one), Id::Leaf(other)) if one == other => left,
        _ => Id::Node(Box::new(left), Box::new(right)),
    }
}

fn split(whole: &Id) -> (Id, Id) {
    let empty = || Id::Leaf(0);
    let Id::Node(left, right) = whole else {
        return match whole {
            Id::Leaf(0) => (empty(), empty()),
            _ => (id(Id::Leaf(1), empty()), id(empty(), Id::Leaf(1))),
        };
    };
    if **left == empty() {
        let (one, other) = split(right);
        return (id(empty(), one), id(empty(), other));
    }
    if **right == empty() {
        let (one, other) = split(left);
        return (id(one, empty()), id(other, empty()));
    }
    (
        id((**left).clone(), empty()),
        id(empty(), (**right).clone()),
    )
}

/// Up to here a part is forked as in the paper; deeper ones are kept from becoming deeper with each.
const PAPERS_DEPTH: u32 = 8;

fn depth(part: &Id) -> u32 {
    match part {
        Id::Leaf(_) => 0,
        Id::Node(left, right) => 1 + depth(left).max(depth(right)),
    }
}

/// The part of a stamp, as its text has it.
fn owned(stamp: &Stamp) -> Id {
    fn part(text: &str) -> (Id, &str) {
        if let Some(rest) = text.strip_prefix('(') {
            let (left, rest) = part(rest);
            let (right, rest) = part(rest.strip_prefix(", ").unwrap());
            return (id(left, right), rest.strip_prefix(')').unwrap());
        }
        let (leaf, rest) = text.split_at(1);
        (Id::Leaf(leaf.parse().unwrap()), rest)
    }
    part(&stamp.to_string()[1..]).0
}

fn sum(one: &Id, other: &Id) -> Id {
    match (one, other) {
        (Id::Leaf(0), id) | (id, Id::Leaf(0)) => id.clone(),
        (Id::Node(l1, r1), Id::Node(l2, r2)) => id(sum(l1, l2), sum(r1, r2)),
        _ => panic!("ids overlap"),
    }
}

fn lift(event: &Event, by: u64) -> Event {
    match event {
        Leaf(n) => Leaf(n + by),
        Node(n, left, right) => Node(n + by, left.clone(), right.clone()),
    }
}

fn sink(event: &Event, by: u64) -> Event {
    match event {
        Leaf(n) => Leaf(n - by),
        Node(n, left, right) => Node(n - by, left.clone(), right.clone()),
    }
}

fn min(event: &Event) -> u64 {
    match event {
        Leaf(n) => *n,
        Node(n, left, right) => n + min(left).min(min(right)),
    }
}

fn max(event: &Event) -> u64 {
    match event {
        Leaf(n) => *n,
        Node(n, left, right) => n + max(left).max(max(right)),
    }
}

fn norm(n: u64, left: &Event, right: &Event) -> Event {
    match (left, right) {
        (Leaf(one), Leaf(other)) if one == other => Leaf(n + one),
        _ => {
            let m = min(left).min(min(right));
            Node(n + m, Box::new(sink(left, m)), Box::new(sink(right, m)))
        }
    }
}

fn leq(one: &Event, other: &Event) -> bool {
    match (one, other) {
        (Leaf(n1), Leaf(n2) | Node(n2, ..)) => n1 <= n2,
        (Node(n1, l1, r1), Leaf(n2)) => {
            n1 <= n2 && leq(&lift(l1, *n1), other) && leq(&lift(r1, *n1), other)
        }
        (Node(n1, l1, r1), Node(n2, l2, r2)) => {
            n1 <= n2 && leq(&lift(l1, *n1), &lift(l2, *n2)) && leq(&lift(r1, *n1), &lift(r2, *n2))
        }
    }
}

fn join(one: &Event, other: &Event) -> Event {
    let node = |n: u64| Node(n, Box::new(Leaf(0)), Box::new(Leaf(0)));
    match (one, other) {
        (Leaf(n1), Leaf(n2)) => Leaf(*n1.max(n2)),
        (Leaf(n1), _) => join(&node(*n1), other),
        (_, Leaf(n2)) => join(one, &node(*n2)),
        (Node(n1, ..), Node(n2, ..)) if n1 > n2 => join(other, one),
        (Node(n1, l1, r1), Node(n2, l2, r2)) => norm(
            *n1,
            &join(l1, &lift(l2, n2 - n1)),
            &join(r1, &lift(r2, n2 - n1)),
        ),
    }
}

fn fill(part: &Id, event: &Event) -> Event {
    match (part, event) {
        (Id::Leaf(0), _) => event.clone(),
        (Id::Leaf(_), _) => Leaf(max(event)),
        (_, Leaf(_)) => event.clone(),
        (Id::Node(left, right), Node(n, l, r)) => {
            if **left == Id::Leaf(1) {
                let r = fill(right, r);
                return norm(*n, &Leaf(max(l).max(min(&r))), &r);
            }
            if **right == Id::Leaf(1) {
                let l = fill(left, l);
                return norm(*n, &l, &Leaf(max(r).max(min(&l))));
            }
            norm(*n, &fill(left, l), &fill(right, r))
        }
    }
}

/// The grown tree and its cost; `None` of an anonymous part.
fn grow(part: &Id, event: &Event) -> Option<(Event, u64)> {
    const SPLIT: u64 = 1_000_000;
    match (part, event) {
        (Id::Leaf(0), _) => None,
        (Id::Leaf(_), Leaf(n)) => Some((Leaf(n + 1), 0)),
        (Id::Leaf(_), Node(..)) => panic!("fill flattens what is owned whole"),
        (Id::Node(..), Leaf(n)) => {
            let split = Node(*n, Box::new(Leaf(0)), Box::new(Leaf(0)));
            grow(part, &split).map(|(grown, cost)| (grown, cost + SPLIT))
        }
        (Id::Node(left, right), Node(n, l, r)) => match (grow(left, l), grow(right, r)) {
            (Some((grown, cost)), other) if other.as_ref().is_none_or(|other| cost < other.1) => {
                Some((Node(*n, Box::new(grown), r.clone()), cost + 1))
            }
            (_, Some((grown, cost))) => Some((Node(*n, l.clone(), Box::new(grown)), cost + 1)),
            _ => None,
        },
    }
}

fn event(part: &Id, known: &Event) -> Event {
    let filled = fill(part, known);
    if filled != *known {
        return filled;
    }
    grow(part, known).unwrap().0
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leaf(owned) => write!(f, "{owned}"),
            Self::Node(left, right) => write!(f, "({left}, {right})"),
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Leaf(n) => write!(f, "{n}"),
            Node(n, left, right) => write!(f, "({n}, {left}, {right})"),
        }
    }
}

/// What is done, and the two that it is done to.
fn moves() -> impl Strategy<Value = Vec<(u8, usize, usize)>> {
    proptest::collection::vec((0_u8..9, 0_usize..1_000, 0_usize..1_000), 0..80)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn itc_takes_each_step_as_the_paper_does(moves in moves()) {
        let mut live = vec![(Stamp::seed(), Id::Leaf(1), Leaf(0))];
        for (step, one, other) in moves {
            let len = live.len();
            let (one, other) = (one % len, other % len);
            match step {
                0..3 => {
                    let (stamp, part, known) = &mut live[one];
                    let forked = stamp.fork().unwrap();
                    let (kept, given) = if depth(part) < PAPERS_DEPTH {
                        split(part)
                    } else {
                        let two = (owned(stamp), owned(&forked));
                        prop_assert_eq!(&sum(&two.0, &two.1), &*part);
                        prop_assert!(two.0 != Id::Leaf(0) && two.1 != Id::Leaf(0));
                        two
                    };
                    *part = kept;
                    let forked = (forked, given, known.clone());
                    live.push(forked);
                }
                3..6 => {
                    let (stamp, part, known) = &mut live[one];
                    stamp.event().unwrap();
                    *known = event(part, known);
                }
                6..8 if one != other => {
                    let (message, _, told) = live[one].clone();
                    let (stamp, part, known) = &mut live[other];
                    stamp.receive(&message.peek()).unwrap();
                    *known = event(part, &join(known, &told));
                }
                _ if one != other => {
                    let (stamp, part, known) = live.remove(one);
                    let at = other - usize::from(other > one);
                    let into = &mut live[at];
                    into.0.join(stamp).unwrap();
                    into.1 = sum(&into.1, &part);
                    into.2 = join(&into.2, &known);
                }
                _ => {}
            }
            for (stamp, part, known) in &live {
                prop_assert_eq!(stamp.to_string(), format!("({part}, {known})"));
            }
        }
        for (one, _, ours) in &live {
            for (other, _, theirs) in &live {
                let expected = CausalOrder::of(!leq(theirs, ours), !leq(ours, theirs));
                prop_assert_eq!(one.causal_cmp(other), expected, "{} {}", one, other);
            }
        }
    }
}
