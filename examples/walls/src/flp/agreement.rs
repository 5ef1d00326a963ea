//! What has to hold when a run is over.

use std::collections::BTreeMap;

use synod_sim::Rng;

use super::configuration::Configuration;
use super::protocol::all;
use super::{ProcessId, Protocol, Value};

/// Who crashes, and when: after then it takes no step.
#[derive(Clone, Debug, Default)]
pub(super) struct Crashes(BTreeMap<ProcessId, u64>);

impl Crashes {
    /// Any number from none to `most`, at moments before `ends`. This one never crashes.
    pub(super) fn draw<P: Protocol>(
        protocol: &P,
        most: usize,
        ends: u64,
        spared: Option<ProcessId>,
        rng: &mut Rng,
    ) -> Self {
        let mut may: Vec<ProcessId> = all(protocol).filter(|at| Some(*at) != spared).collect();
        rng.shuffle(&mut may);
        may.truncate(rng.index(most + 1));
        Self(may.into_iter().map(|at| (at, rng.below(ends))).collect())
    }

    pub(super) fn has_crashed(&self, at: ProcessId, now: u64) -> bool {
        self.0.get(&at).is_some_and(|crash| *crash <= now)
    }

    /// How many crash.
    pub(super) fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// Who never crashes.
    pub(super) fn survivors<P: Protocol>(&self, protocol: &P) -> Vec<ProcessId> {
        let survives = |at: &ProcessId| !self.0.contains_key(at);
        all(protocol).filter(survives).collect()
    }

    /// Whether each survivor has decided.
    pub(super) fn is_over<P: Protocol>(&self, protocol: &P, now: &Configuration<P>) -> bool {
        let survivors = self.survivors(protocol);
        survivors
            .into_iter()
            .all(|at| now.decision(protocol, at).is_some())
    }
}

/// Whether all that was decided, also by those that crashed, is one value, and somebody proposed it.
pub(super) fn is_agreed<P: Protocol>(
    protocol: &P,
    now: &Configuration<P>,
    inputs: &[Value],
) -> bool {
    let decisions = all(protocol).filter_map(|at| now.decision(protocol, at));
    let decisions: Vec<Value> = decisions.collect();
    decisions.windows(2).all(|pair| pair[0] == pair[1])
        && decisions
            .first()
            .is_some_and(|value| inputs.contains(value))
}
