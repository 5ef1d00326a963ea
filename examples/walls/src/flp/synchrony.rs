//! The first way out: partial synchrony (Dwork, Lynch, Stockmeyer 1988).
//!
//! There is a moment, unknown to the processes, from which on every message takes at most Δ. Until
//! then the attacker does as it likes. Nothing is asked of clocks before that moment; after it they
//! agree on the slots of a rota, in which one node at a time may begin ballots.

use std::collections::BTreeSet;

use synod_sim::Rng;

use super::agreement::{Crashes, is_agreed};
use super::protocol::all;
use super::{Attacker, Event, Paxos, PaxosNode, ProcessId, Value, pursue};

/// What happened from the moment of stabilisation on. Times are in thousandths of Δ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// When the last survivor had decided, if all did within a hundred slots, and one value that was
    /// proposed.
    pub decided_after: Option<u64>,
    /// The first decision was that of a ballot which was begun by the rota, and not of one that the
    /// attacker had left.
    pub by_rota: bool,
    /// How many processes crashed: none or one.
    pub crashes: u64,
}

/// What happened at many moments of stabilisation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SettledOften {
    /// At how many moments nobody had decided.
    pub undecided: u64,
    /// How many runs went on from there.
    pub runs: u64,
    /// How many of them have [decided](Settled::decided_after).
    pub decided: u64,
    /// How many did [by the rota](Settled::by_rota).
    pub by_rota: u64,
    /// The longest that it took, in thousandths of Δ.
    pub after_max: u64,
}

/// Δ.
pub const DELTA: u64 = 1000;

/// What was sent before has come after Δ, and each node has had the beginning of a slot for itself 24 Δ
/// later. In it a ballot may be refused (2 Δ), is begun again above all others, and takes 4 Δ, unless
/// somebody has decided before and says so. The first decision falls in the first slot; the last may
/// need its own, because a node that has decided is silent until it is asked.
pub const BOUND: u64 = 31 * DELTA;

/// The attacker's power ends here: messages take from nothing up to Δ, drawn, also those that it held
/// back. One process, drawn, may crash.
pub fn settle(attacker: Attacker<Paxos>, inputs: &[Value], rng: &mut Rng) -> Settled {
    let (paxos, mut now) = attacker.into_configuration();
    let mut under_way: BTreeSet<(u64, Event)> = BTreeSet::new();
    let mut known: BTreeSet<Event> = BTreeSet::new();
    let mut slot = Slot {
        begins: rng.below(SLOT),
        number: rng.below(SLOTS_MAX),
    };
    let crashes = Crashes::draw(&paxos, 1, BOUND, None, rng);
    let left = all(&paxos).map(|at| now.state(at).round()).max();
    let mut settled = Settled {
        decided_after: None,
        by_rota: false,
        crashes: crashes.count(),
    };
    let last = slot.number + SLOTS_MAX;
    let mut time = 0;
    while slot.number < last {
        for (event, _) in all(&paxos).flat_map(|to| now.waiting_for(to)) {
            if known.insert(event) {
                under_way.insert((time + rng.below(DELTA + 1), event));
            }
        }
        let arrives = under_way.first().copied();
        let Some((at, event)) = arrives.filter(|(at, _)| *at < slot.begins) else {
            // The clock of the node whose turn it is comes to the slot's beginning.
            time = slot.begins;
            if !crashes.has_crashed(slot.owner(), time) {
                now.take(&paxos, Event::Alone { at: slot.owner() });
            }
            slot = slot.next();
            continue;
        };
        under_way.pop_first();
        time = at;
        if crashes.has_crashed(event.at(), time) {
            continue;
        }
        let was_undecided = all(&paxos).all(|at| now.decision(&paxos, at).is_none());
        let owner = now.state(event.at());
        let message = now.waiting_for(event.at()).find(|(it, _)| *it == event);
        let is_outrun = message.is_some_and(|(_, message)| owner.is_outrun_by(message));
        let voted = message.and_then(|(_, message)| PaxosNode::round_of_vote(message));
        now.take(&paxos, event);
        if was_undecided && now.decision(&paxos, event.at()).is_some() {
            settled.by_rota = voted > left;
        }
        let current = slot.last();
        if is_outrun && event.at() == current.owner() && time < current.begins + 4 * DELTA {
            now.take(&paxos, Event::Alone { at: event.at() });
        }
        if crashes.is_over(&paxos, &now) {
            let is_agreed = is_agreed(&paxos, &now, inputs);
            settled.decided_after = Some(time).filter(|_| is_agreed);
            break;
        }
    }
    settled
}

/// Lets the attacker of Paxos have its way for up to so many steps, drawn for each of so many moments,
/// and goes on from each of them so many times.
pub fn settle_often(
    seed: u64,
    steps_max: u64,
    moments: u64,
    each: u64,
    rng: &mut Rng,
) -> SettledOften {
    let mut all = SettledOften::default();
    for _ in 0..moments {
        let steps = 1 + rng.below(steps_max);
        let pursuit = pursue(&Paxos::new(seed), seed, steps);
        let (Some(attacker), Some(opening)) = (pursuit.attacker, pursuit.opening) else {
            continue;
        };
        all.undecided += u64::from(pursuit.ended.is_none());
        for _ in 0..each {
            let settled = settle(attacker.clone(), &opening.inputs, rng);
            all.runs += 1;
            all.by_rota += u64::from(settled.by_rota);
            if let Some(after) = settled.decided_after {
                all.decided += 1;
                all.after_max = all.after_max.max(after);
            }
        }
    }
    all
}

/// A time in which one node may begin ballots: in its first half, so that they end in it.
#[derive(Clone, Copy)]
struct Slot {
    begins: u64,
    number: u64,
}

impl Slot {
    fn owner(self) -> ProcessId {
        ProcessId(1 + (self.number % 3) as usize)
    }

    fn next(self) -> Self {
        Self {
            begins: self.begins + SLOT,
            number: self.number + 1,
        }
    }

    fn last(self) -> Self {
        Self {
            begins: self.begins.saturating_sub(SLOT),
            number: self.number.wrapping_sub(1),
        }
    }
}

const SLOT: u64 = 8 * DELTA;
const SLOTS_MAX: u64 = 99;
