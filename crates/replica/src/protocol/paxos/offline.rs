//! What is done with a log while no core runs on it.

use bytes::Bytes;
use synod_paxos::{self as paxos, Paxos};
use synod_wal::{Op, Slot, Snapshot};

use super::tags::{ballot, ballot_tag, put, state, vote};
use crate::log::{LogError, Recovered};
use crate::protocol::{Committed, Kind, Position, Protocol, RecoverError, Seed};
use crate::time::Instant;

/// As if a no-op had been chosen in the first slot, in the first ballot of the lowest acceptor.
pub(super) fn seed(config: paxos::Config) -> Result<Seed, RecoverError> {
    let acceptors = config
        .first
        .iter()
        .flat_map(|first| first.membership.quorums.acceptors());
    let origin = ballot(1, acceptors.min().map_or(config.id.0, |lowest| lowest.0));
    let first = paxos::Slot(1);
    let noop = paxos::Value {
        kind: paxos::Kind::Noop,
        origin,
        body: Bytes::new(),
    };
    let held = paxos::Vote {
        slot: first,
        ballot: origin,
        value: &noop,
    };
    let Op::State(state) = state(paxos::State {
        promised: origin,
        chosen: first,
    }) else {
        unreachable!("a state is encoded as one")
    };
    let mut recovered = Recovered::nothing();
    recovered.state = Some(state);
    if let Op::Put { index, tag, body } = put(held) {
        let body = body.clone();
        recovered.slots = Box::new(std::iter::once(Ok(Slot { index, tag, body })));
    }
    let core = <Paxos as Protocol>::recover(config, recovered, Instant::default())?;
    let snapshot = Snapshot {
        index: first.0,
        tag: ballot_tag(origin),
        meta: core.configurations_at(first).encode(),
    };
    Ok(Seed { state, snapshot })
}

/// The vote of this node, chosen or not. Configurations are left out: which of them are in force only
/// a core can tell.
pub(super) fn held(slot: Slot) -> Result<Committed, LogError> {
    let vote = vote(slot)?;
    let (kind, body) = match vote.value.kind {
        paxos::Kind::Command => (Kind::Commands, vote.value.body),
        paxos::Kind::Noop | paxos::Kind::Configuration => (Kind::Noop, Bytes::new()),
    };
    let at = Position {
        index: vote.slot.0,
        tag: ballot_tag(vote.value.origin),
    };
    Ok(Committed { at, kind, body })
}
