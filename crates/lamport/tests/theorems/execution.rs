//! Random executions of a distributed system, and for each event its causal history: the set of
//! events that happened before it, kept as a set. This is the definition itself, and the oracle
//! that the clocks are held against.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// What happened, in an order that causality allows. Messages may be received by anybody, late,
/// out of order, more than once, or never.
#[derive(Clone, Debug)]
pub(crate) struct Execution {
    pub(crate) processes: usize,
    pub(crate) events: Vec<Event>,
}

#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) process: usize,
    /// The event that sent the message, if this is a receipt.
    pub(crate) received: Option<usize>,
    /// What the physical clock of the process shows, in nanoseconds.
    pub(crate) physical: u64,
    /// All events that happened before this one: the history of the one before it on its process
    /// and of the one that sent its message, and those two.
    pub(crate) past: BTreeSet<usize>,
}

/// How the physical clocks of an execution behave.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Physical {
    /// Never further from the true time than this many nanoseconds; they step back within that.
    Within(u64),
    /// As before, and of one process each reading is at least a millisecond above the last.
    Rising(u64),
    /// Anywhere at any time, up to this.
    Wild(u64),
}

/// One step, as drawn: which process, whether it receives, which message, how long after the last
/// step, and what its clock is off by (both parts of a whole).
type Draw = (usize, bool, Index, u64, u64);

pub(crate) fn executions(physical: Physical) -> impl Strategy<Value = Execution> {
    let draw = (
        0..5_usize,
        any::<bool>(),
        any::<Index>(),
        0..1_000_u64,
        any::<u64>(),
    );
    (1..=5_usize, vec(draw, 1..100))
        .prop_map(move |(processes, draws)| execution(processes, &draws, physical))
}

fn execution(processes: usize, draws: &[Draw], physical: Physical) -> Execution {
    let mut events: Vec<Event> = Vec::new();
    let mut true_time = START;
    for (process, receives, which, pause, off) in draws {
        let process = process % processes;
        // Half of the pauses are none: events crowd on one tick.
        true_time += pause.saturating_sub(500) * 4_000;
        let received = (*receives && !events.is_empty()).then(|| which.index(events.len()));
        let previous = events.iter().rposition(|event| event.process == process);
        let mut past = BTreeSet::new();
        for cause in [received, previous].into_iter().flatten() {
            past.extend(events[cause].past.iter().copied());
            past.insert(cause);
        }
        let within = |bound: u64| true_time - bound + off % (2 * bound + 1);
        let physical = match physical {
            Physical::Within(bound) => within(bound),
            Physical::Rising(bound) => {
                let last = previous.map_or(0, |previous| events[previous].physical);
                within(bound).max(last + MILLISECOND)
            }
            Physical::Wild(end) => off % end,
        };
        events.push(Event {
            process,
            received,
            physical,
            past,
        });
    }
    Execution { processes, events }
}

impl Execution {
    /// Runs a clock for each process along the events; `stamp` makes the event of a process happen,
    /// and gets what the message carries, if the event is a receipt.
    pub(crate) fn stamp<T: Copy>(&self, mut stamp: impl FnMut(&Event, Option<T>) -> T) -> Vec<T> {
        let mut stamps = Vec::new();
        for event in &self.events {
            let carried = event.received.map(|sender| stamps[sender]);
            stamps.push(stamp(event, carried));
        }
        stamps
    }

    /// Every pair of events of which the first happened before the second.
    pub(crate) fn causes(&self) -> impl Iterator<Item = (usize, usize)> {
        let events = self.events.iter().enumerate();
        events.flat_map(|(effect, event)| event.past.iter().map(move |cause| (*cause, effect)))
    }

    /// For each event, how many events of its past lie on the longest causal chain to it of those
    /// that `counts` takes.
    pub(crate) fn chains(&self, counts: impl Fn(usize, usize) -> bool) -> Vec<u64> {
        let mut chains: Vec<u64> = Vec::new();
        for (effect, event) in self.events.iter().enumerate() {
            let on_chain = event.past.iter().filter(|cause| counts(**cause, effect));
            chains.push(on_chain.map(|cause| chains[*cause] + 1).max().unwrap_or(0));
        }
        chains
    }
}

pub(crate) const MILLISECOND: u64 = 1_000_000;
/// 2026-11-23T07:00:00Z: where true time begins.
pub(crate) const START: u64 = 1_795_417_200_000_000_000;
