//! Fidge 1988, Mattern 1989: vector time is isomorphic to causality.
//!
//! Random executions of a few processes that send each other messages, and the causal history of
//! each event as a set.
//!
//! A message may be received by several processes, by one several times, late, in any order, or
//! never: a receipt picks any earlier sending of another process.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use proptest::prelude::*;
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use synod_vclock::{CausalOrder, DenseClock, Limits, Members, VectorClock, VersionVector, Wire};

type Vector = VersionVector<u16>;

#[derive(Clone, Debug)]
enum Kind {
    Local,
    Send,
    /// Of the message that was sent at this place of the execution.
    Receive(usize),
}

#[derive(Clone, Debug)]
struct Event {
    process: usize,
    kind: Kind,
    /// Every event that happened before this one, and this one, by place.
    past: BTreeSet<usize>,
}

/// Events in an order in which they may have happened.
#[derive(Clone, Debug)]
struct Execution {
    processes: usize,
    events: Vec<Event>,
}

impl Execution {
    fn of(processes: usize, moves: &[(usize, u8, usize)]) -> Self {
        let mut events: Vec<Event> = Vec::new();
        let mut pasts = vec![BTreeSet::new(); processes];
        for (process, kind, pick) in moves {
            let process = process % processes;
            let sendings = (0..events.len())
                .filter(|id| {
                    matches!(events[*id].kind, Kind::Send) && events[*id].process != process
                })
                .collect::<Vec<_>>();
            let kind = match kind {
                0 => Kind::Local,
                1 => Kind::Send,
                // Recent messages more often than old ones, so that chains grow.
                _ if sendings.is_empty() => Kind::Send,
                2 => Kind::Receive(sendings[pick % sendings.len()]),
                _ => Kind::Receive(sendings[sendings.len() - 1 - pick % sendings.len().min(3)]),
            };
            if let Kind::Receive(sending) = kind {
                let carried = events[sending].past.clone();
                pasts[process].extend(carried);
            }
            pasts[process].insert(events.len());
            let past = pasts[process].clone();
            events.push(Event {
                process,
                kind,
                past,
            });
        }
        Self { processes, events }
    }

    fn happened_before(&self, one: usize, other: usize) -> bool {
        one != other && self.events[other].past.contains(&one)
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> {
        let len = self.events.len();
        (0..len).flat_map(move |one| (0..len).map(move |other| (one, other)))
    }
}

fn executions() -> impl Strategy<Value = Execution> {
    let moves = proptest::collection::vec((0_usize..12, 0_u8..5, any::<usize>()), 0..45);
    // Past the bound of the inline form now and then.
    let processes = prop_oneof![4 => 2_usize..5, 1 => 9_usize..12];
    (processes, moves).prop_map(|(processes, moves)| Execution::of(processes, &moves))
}

/// Runs the execution with a clock a process; the vector of each event.
fn vectors(execution: &Execution) -> Vec<Vector> {
    let mut clocks = (0..execution.processes)
        .map(|process| VectorClock::new(process as u16))
        .collect::<Vec<_>>();
    let mut vectors: Vec<Vector> = Vec::new();
    for event in &execution.events {
        let clock = &mut clocks[event.process];
        let vector = match event.kind {
            Kind::Local => clock.tick().unwrap().clone(),
            Kind::Send => clock.send().unwrap(),
            Kind::Receive(sending) => clock.receive(&vectors[sending]).unwrap().clone(),
        };
        vectors.push(vector);
    }
    vectors
}

/// The same with the dense form.
fn dense_vectors(execution: &Execution) -> Vec<DenseClock<12>> {
    let mut clocks = vec![DenseClock::new(); execution.processes];
    let mut vectors: Vec<DenseClock<12>> = Vec::new();
    for event in &execution.events {
        let clock = &mut clocks[event.process];
        if let Kind::Receive(sending) = event.kind {
            clock.join(&vectors[sending]);
        }
        clock.increment(event.process).unwrap();
        vectors.push(*clock);
    }
    vectors
}

fn expected(execution: &Execution, one: usize, other: usize) -> CausalOrder {
    if one == other {
        return CausalOrder::Equal;
    }
    let (before, after) = (
        execution.happened_before(one, other),
        execution.happened_before(other, one),
    );
    match (before, after) {
        (true, _) => CausalOrder::Before,
        (_, true) => CausalOrder::After,
        _ => CausalOrder::Concurrent,
    }
}

fn any_vector() -> impl Strategy<Value = Vector> {
    proptest::collection::vec((0_u16..12, 0_u64..4), 0..14).prop_map(Vector::from_iter)
}

fn joined(one: &Vector, other: &Vector) -> Vector {
    let mut result = one.clone();
    result.join(other);
    result
}

fn met(one: &Vector, other: &Vector) -> Vector {
    let mut result = one.clone();
    result.meet(other);
    result
}

/// The events that a vector stands for.
fn events(vector: &Vector) -> BTreeSet<(u16, u64)> {
    (0..12)
        .flat_map(|actor| (1..=vector.get(&actor)).map(move |counter| (actor, counter)))
        .collect()
}

fn hash(vector: &Vector) -> u64 {
    let mut hasher = DefaultHasher::new();
    vector.hash(&mut hasher);
    hasher.finish()
}

proptest! {
    #[test]
    fn fidge_mattern_one_happened_before_the_other_iff_its_vector_is_less(execution in executions()) {
        let vectors = vectors(&execution);
        for (one, other) in execution.pairs() {
            let less = vectors[one] < vectors[other];
            prop_assert_eq!(less, execution.happened_before(one, other), "{} {}", one, other);
        }
    }

    #[test]
    fn fidge_mattern_events_are_concurrent_iff_their_vectors_are_incomparable(execution in executions()) {
        let vectors = vectors(&execution);
        for (one, other) in execution.pairs() {
            prop_assert_eq!(vectors[one].causal_cmp(&vectors[other]), expected(&execution, one, other));
            let ordered = vectors[one].partial_cmp(&vectors[other]).is_some();
            prop_assert_eq!(ordered, expected(&execution, one, other) != CausalOrder::Concurrent);
        }
    }

    #[test]
    fn fidge_mattern_an_entry_counts_the_events_in_the_past(execution in executions()) {
        let vectors = vectors(&execution);
        for (event, vector) in execution.events.iter().zip(&vectors) {
            for process in 0..execution.processes {
                let past = event.past.iter().filter(|id| execution.events[**id].process == process);
                prop_assert_eq!(vector.get(&(process as u16)), past.count() as u64);
            }
        }
    }

    #[test]
    fn fidge_mattern_holds_for_the_dense_form(execution in executions()) {
        let (dense, sparse) = (dense_vectors(&execution), vectors(&execution));
        let members = Members::new(std::array::from_fn::<_, 12, _>(|member| member as u16)).unwrap();
        for (one, other) in execution.pairs() {
            prop_assert_eq!(dense[one].causal_cmp(&dense[other]), expected(&execution, one, other));
        }
        for (dense, sparse) in dense.iter().zip(&sparse) {
            prop_assert_eq!(&members.sparse(dense), sparse);
            prop_assert_eq!(&members.dense(sparse).unwrap(), dense);
        }
    }

    #[test]
    fn histories_are_included_iff_vectors_descend(one in any_vector(), other in any_vector()) {
        let (ours, theirs) = (events(&one), events(&other));
        prop_assert_eq!(one.descends(&other), theirs.is_subset(&ours));
        prop_assert_eq!(one == other, ours == theirs);
        let unknown = one
            .difference(&other)
            .flat_map(|(actor, counters)| counters.map(|counter| (*actor, counter)))
            .collect::<BTreeSet<_>>();
        prop_assert_eq!(unknown, &ours - &theirs);
    }

    #[test]
    fn join_is_the_union_and_meet_the_intersection_of_histories(one in any_vector(), other in any_vector()) {
        let (ours, theirs) = (events(&one), events(&other));
        prop_assert_eq!(events(&joined(&one, &other)), &ours | &theirs);
        prop_assert_eq!(events(&met(&one, &other)), &ours & &theirs);
    }

    #[test]
    fn join_and_meet_make_a_lattice(a in any_vector(), b in any_vector(), c in any_vector()) {
        for law in [joined, met] {
            prop_assert_eq!(law(&a, &a), a.clone(), "idempotent");
            prop_assert_eq!(law(&a, &b), law(&b, &a), "commutative");
            prop_assert_eq!(law(&law(&a, &b), &c), law(&a, &law(&b, &c)), "associative");
        }
        prop_assert_eq!(joined(&a, &met(&a, &b)), a.clone(), "absorption");
        prop_assert_eq!(met(&a, &joined(&a, &b)), a.clone(), "absorption");
        prop_assert_eq!(met(&a, &joined(&b, &c)), joined(&met(&a, &b), &met(&a, &c)), "distributive");
        prop_assert!(joined(&a, &b).descends(&a) && a.descends(&met(&a, &b)), "bounds");
    }

    #[test]
    fn the_order_is_partial(a in any_vector(), b in any_vector(), c in any_vector()) {
        prop_assert_eq!(a.causal_cmp(&a), CausalOrder::Equal, "reflexive");
        prop_assert_eq!(a.causal_cmp(&b), b.causal_cmp(&a).reverse(), "antisymmetric");
        prop_assert_eq!(a == b, a.causal_cmp(&b) == CausalOrder::Equal);
        prop_assert!(!(a < b && b < c) || a < c, "transitive");
    }

    #[test]
    fn equality_hash_and_bytes_are_canonical(one in any_vector(), other in any_vector()) {
        prop_assert!(one.iter().all(|dot| dot.counter.get() > 0));
        prop_assert_eq!(one == other, one.to_bytes() == other.to_bytes());
        prop_assert!(one != other || hash(&one) == hash(&other));
        prop_assert_eq!(Vector::from_bytes(&one.to_bytes(), Limits::default()), Ok(one));
    }
}
