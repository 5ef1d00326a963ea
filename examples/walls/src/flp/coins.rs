//! The second way out: coins that the attacker cannot foresee (Ben-Or 1983).
//!
//! The attacker sees every state, every message and every coin that has fallen, and schedules by that.
//! It keeps the processes from a majority for as long as their values differ at all: it shows each of
//! them both values. Then all toss, and once in `2^(n-1)` rounds all coins fall alike. It can do
//! nothing about that.

use synod_sim::Rng;

use super::ben_or::Word;
use super::configuration::Configuration;
use super::protocol::all;
use super::{BenOr, Event, ProcessId, Value};

/// In which round the first process decided, with the attacker as scheduler; `None` if not within
/// `rounds_max`.
#[must_use]
pub fn attack(protocol: &BenOr, rounds_max: u64) -> Option<u64> {
    let mut now = begin(protocol);
    for round in 1..=rounds_max {
        let values: Vec<Value> = all(protocol).map(|at| now.state(at).value()).collect();
        let is_split = values.windows(2).any(|pair| pair[0] != pair[1]);
        if !is_split {
            return drain(protocol, now, rounds_max);
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

/// The same with a scheduler that has nothing against anybody: any message may be next.
#[must_use]
pub fn be_fair(protocol: &BenOr, rng: &mut Rng, rounds_max: u64) -> Option<u64> {
    let mut now = begin(protocol);
    loop {
        let events: Vec<Event> = all(protocol)
            .flat_map(|at| now.waiting_for(at).map(|(event, _)| event))
            .collect();
        let event = *events.get(rng.index(events.len()))?;
        now.take(protocol, event);
        let at = event.at();
        let round = now.state(at).round();
        if now.decision(protocol, at).is_some() {
            return Some(round);
        }
        if round > rounds_max {
            return None;
        }
    }
}

/// Inputs differ, and everybody has reported.
fn begin(protocol: &BenOr) -> Configuration<BenOr> {
    let inputs: Vec<Value> = all(protocol)
        .map(|at| {
            if at.0 % 2 == 0 {
                Value::One
            } else {
                Value::Zero
            }
        })
        .collect();
    let mut now = Configuration::new(protocol, &inputs);
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

/// Everything is delivered, oldest first, until somebody decides.
fn drain(protocol: &BenOr, mut now: Configuration<BenOr>, rounds_max: u64) -> Option<u64> {
    loop {
        let oldest = all(protocol).find_map(|at| now.oldest_for(at))?;
        now.take(protocol, oldest);
        let at = oldest.at();
        let round = now.state(at).round();
        if now.decision(protocol, at).is_some() {
            return Some(round);
        }
        if round > rounds_max {
            return None;
        }
    }
}
