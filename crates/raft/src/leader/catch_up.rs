use alloc::vec::Vec;

use crate::node::Common;
use crate::progress::Progress;
use crate::{CatchingUp, Index, Instant, NodeId};

/// New voters catch up with the log in rounds (thesis §4.2.1). A round replicates what the log holds
/// when it begins. It has to be shorter than an election timeout, because that is about how long the
/// group may wait for the node's copy when it counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CatchUp {
    rounds: Vec<Round>,
    deadline: Instant,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Round {
    id: NodeId,
    /// From 1.
    number: u32,
    to: Index,
    begun: Instant,
    is_done: bool,
}

/// Where all new voters stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CaughtUp {
    NotYet,
    All,
    /// This one is too slow.
    Never(NodeId),
}

impl CatchUp {
    /// The voters after the change that are none before it begin their first round.
    pub(super) fn begin(common: &Common, now: Instant) -> Self {
        let membership = common.membership();
        let change = membership.change.as_deref();
        let voters = change.into_iter().flat_map(|change| &change.voters);
        let new = voters.filter(|id| !membership.voters.contains(id));
        let round = |id: &NodeId| Round {
            id: *id,
            number: 1,
            to: common.log.last().index,
            begun: now,
            is_done: false,
        };
        Self {
            rounds: new.map(round).collect(),
            deadline: now.plus(common.config.catch_up_max),
        }
    }

    /// Ends the rounds that have ended, and begins the next ones.
    pub(super) fn look(&mut self, common: &Common, now: Instant, peers: &[Progress]) -> CaughtUp {
        let timeout = common.config.election_timeout_min;
        for round in &mut self.rounds {
            let Some(peer) = peers.iter().find(|peer| peer.id == round.id) else {
                return CaughtUp::Never(round.id);
            };
            if peer.forgot {
                return CaughtUp::Never(round.id);
            }
            if !round.is_done && peer.matched >= round.to {
                round.is_done = now.since(round.begun) < timeout;
                if !round.is_done {
                    round.next(common, now);
                }
            }
            // It was quick once, and is out of contact now.
            if round.is_done && now.since(peer.contact) >= timeout {
                round.is_done = false;
                round.next(common, now);
            }
            if round.number > ROUNDS_MAX {
                return CaughtUp::Never(round.id);
            }
        }
        match self.rounds.iter().find(|round| !round.is_done) {
            None => CaughtUp::All,
            Some(late) if now >= self.deadline => CaughtUp::Never(late.id),
            Some(_) => CaughtUp::NotYet,
        }
    }

    pub(super) fn status(&self, peers: &[Progress]) -> Vec<CatchingUp> {
        let status = |round: &Round| {
            let peer = peers.iter().find(|peer| peer.id == round.id);
            CatchingUp {
                id: round.id,
                round: round.number,
                to: round.to,
                matched: peer.map_or(Index(0), |peer| peer.matched),
                is_done: round.is_done,
            }
        };
        self.rounds.iter().map(status).collect()
    }

    pub(super) fn forget_time(&mut self) {
        self.deadline = Instant::ZERO;
        let rounds = self.rounds.iter_mut();
        rounds.for_each(|round| round.begun = Instant::ZERO);
    }
}

impl Round {
    fn next(&mut self, common: &Common, now: Instant) {
        self.number += 1;
        self.to = common.log.last().index;
        self.begun = now;
    }
}

/// The thesis suggests ten.
const ROUNDS_MAX: u32 = 10;
