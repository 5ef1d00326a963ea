//! The second way out: coins that the attacker cannot foresee (Ben-Or 1983).
//!
//! The attacker sees every state, every message and every coin that has fallen, and schedules by that.
//! It keeps the processes from a majority for as long as their values differ at all: it shows each of
//! them both values. Then all toss, and once in `2^(n-1)` rounds all coins fall alike. It can do
//! nothing about that.

use synod_sim::Rng;

use super::agreement::{Crashes, is_agreed};
use super::ben_or::Word;
use super::configuration::Configuration;
use super::protocol::all;
use super::{BenOr, Event, ProcessId, Value};

/// In which round the first process decided, with the attacker as scheduler, who at last crashes up to
/// `f` processes; `None` if some survivor has not decided within `rounds_max`, or if what was decided
/// is not one value that was proposed.
#[must_use]
pub fn attack(protocol: &BenOr, rng: &mut Rng, rounds_max: u64) -> Option<u64> {
    let inputs: Vec<Value> = all(protocol)
        .map(|at| match at.0 % 2 {
            0 => Value::One,
            _ => Value::Zero,
        })
        .collect();
    let mut now = begin(protocol, &inputs);
    for round in 1..=rounds_max {
        let values: Vec<Value> = all(protocol).map(|at| now.state(at).value()).collect();
        let is_split = values.windows(2).any(|pair| pair[0] != pair[1]);
        if !is_split {
            let crashes = Crashes::draw(protocol, protocol.faults(), 1, None, rng);
            return go_on(protocol, now, &inputs, &crashes, rng, rounds_max);
        }
        for at in all(protocol) {
            show_both(protocol, &mut now, &values, at, round);
        }
        for at in all(protocol) {
            let proposals = now
                .waiting_for(at)
                .filter(|(_, word)| matches!(word, Word::Proposal(it, None) if *it == round));
            let quorum = protocol.faults();
            let events: Vec<Event> = proposals.map(|(event, _)| event).take(quorum).collect();
            events.into_iter().for_each(|it| now.take(protocol, it));
        }
        // What it held back arrives, too late to matter: nobody can say that it lost a message.
        for at in all(protocol) {
            let is_late = |word: &Word| match word {
                Word::Report(it, _) | Word::Proposal(it, _) => *it <= round,
                Word::Decided(_) => false,
            };
            let late = now.waiting_for(at).filter(|(_, word)| is_late(word));
            let events: Vec<Event> = late.map(|(event, _)| event).collect();
            events.into_iter().for_each(|it| now.take(protocol, it));
        }
    }
    None
}

/// The same with a scheduler that has nothing against anybody: any message may be next. Inputs are
/// drawn, and who crashes, and when.
#[must_use]
pub fn be_fair(protocol: &BenOr, rng: &mut Rng, rounds_max: u64) -> Option<u64> {
    let inputs: Vec<Value> = all(protocol)
        .map(|_| match rng.chance(0.5) {
            true => Value::One,
            false => Value::Zero,
        })
        .collect();
    let now = begin(protocol, &inputs);
    let exchange = (protocol.processes * protocol.processes) as u64;
    let crashes = Crashes::draw(protocol, protocol.faults(), 2 * exchange, None, rng);
    go_on(protocol, now, &inputs, &crashes, rng, rounds_max)
}

/// Delivers what is in transit to those that have not crashed, in any order, until all of them have
/// decided.
fn go_on(
    protocol: &BenOr,
    mut now: Configuration<BenOr>,
    inputs: &[Value],
    crashes: &Crashes,
    rng: &mut Rng,
    rounds_max: u64,
) -> Option<u64> {
    let mut first = None;
    let mut steps = 0;
    while !crashes.is_over(protocol, &now) {
        let events: Vec<Event> = all(protocol)
            .filter(|at| !crashes.has_crashed(*at, steps))
            .flat_map(|at| now.waiting_for(at).map(|(event, _)| event))
            .collect();
        let event = *events.get(rng.index(events.len().max(1)))?;
        now.take(protocol, event);
        steps += 1;
        let at = event.at();
        let round = now.state(at).round();
        if now.decision(protocol, at).is_some() {
            first = first.or(Some(round));
        }
        if round > rounds_max {
            return None;
        }
    }
    first.filter(|_| is_agreed(protocol, &now, inputs))
}

/// Everybody has reported.
fn begin(protocol: &BenOr, inputs: &[Value]) -> Configuration<BenOr> {
    let mut now = Configuration::new(protocol, inputs);
    for at in all(protocol) {
        now.take(protocol, Event::Alone { at });
    }
    now
}

/// Delivers reports to a process until it has as many as it waits for, one of the other value first.
fn show_both(
    protocol: &BenOr,
    now: &mut Configuration<BenOr>,
    values: &[Value],
    at: ProcessId,
    round: u64,
) {
    let own = values[at.index()];
    let reports = now.waiting_for(at).filter_map(|(event, word)| match word {
        Word::Report(it, value) if *it == round => Some((*value == own, event)),
        _ => None,
    });
    let mut reports: Vec<(bool, Event)> = reports.collect();
    reports.sort_unstable();
    let quorum = protocol.faults();
    for (_, event) in reports.into_iter().take(quorum) {
        now.take(protocol, event);
    }
}
