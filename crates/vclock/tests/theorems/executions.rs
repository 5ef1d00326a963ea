//! Random executions of a few processes that send each other messages, and the causal history of
//! each event as a set.
//!
//! A message may be received by several processes, by one several times, late, in any order, or
//! never: a receipt picks any earlier sending of another process.

use std::collections::BTreeSet;

use proptest::prelude::*;

/// An event by its place in the execution.
pub(crate) type EventId = usize;

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Local,
    Send,
    /// Of the message that was sent at this event.
    Receive(EventId),
}

#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) process: usize,
    pub(crate) kind: Kind,
    /// Every event that happened before this one, and this one.
    pub(crate) past: BTreeSet<EventId>,
}

/// Events in an order in which they may have happened.
#[derive(Clone, Debug)]
pub(crate) struct Execution {
    pub(crate) processes: usize,
    pub(crate) events: Vec<Event>,
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

    pub(crate) fn happened_before(&self, one: EventId, other: EventId) -> bool {
        one != other && self.events[other].past.contains(&one)
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (EventId, EventId)> {
        let len = self.events.len();
        (0..len).flat_map(move |one| (0..len).map(move |other| (one, other)))
    }
}

pub(crate) fn executions() -> impl Strategy<Value = Execution> {
    let moves = proptest::collection::vec((0_usize..12, 0_u8..5, any::<usize>()), 0..45);
    // Past the bound of the inline form now and then.
    let processes = prop_oneof![4 => 2_usize..5, 1 => 9_usize..12];
    (processes, moves).prop_map(|(processes, moves)| Execution::of(processes, &moves))
}
