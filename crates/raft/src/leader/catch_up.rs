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
            // A round that took too long is followed by another, which may be over already.
            while !round.is_done && peer.matched >= round.to {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Log;
    use crate::{Change, Config, Entry, Kind, LogId, Membership, Term};
    use alloc::boxed::Box;
    use core::time::Duration;

    fn at(ms: u64) -> Instant {
        Instant(Duration::from_millis(ms))
    }

    fn grow(common: &mut Common) -> Index {
        let id = LogId {
            term: Term(1),
            index: common.log.last().index.next(),
        };
        let (kind, body) = (Kind::Noop, bytes::Bytes::new());
        common.push(Entry { id, kind, body });
        id.index
    }

    /// A leader that adds node 2 and has one entry, and what it knows of node 2.
    fn adding() -> (Common, Progress) {
        let config = Config::new(NodeId(1), [NodeId(1)]);
        let log = Log::new(LogId::ZERO, &config);
        let mut common = Common::new(config, log, (Term(1), None), at(0));
        let change = Change {
            voters: [1, 2].map(NodeId).into(),
            ..Change::default()
        };
        let membership = Membership {
            change: Some(Box::new(change)),
            highest: NodeId(2),
            ..Membership::of_voters([NodeId(1)])
        };
        let index = grow(&mut common);
        common.configs.push(index, membership);
        (common, Progress::new(NodeId(2), Index(2), at(0)))
    }

    /// "The algorithm waits a fixed number of rounds (such as 10) [..] Otherwise, the leader aborts
    /// the configuration change with an error."
    #[test]
    fn after_ten_long_rounds_a_node_is_too_slow() {
        let (mut common, mut peer) = adding();
        let mut catch_up = CatchUp::begin(&common, at(0));
        for round in 1..=ROUNDS_MAX {
            let end = grow(&mut common).prev();
            let now = at(150 * u64::from(round));
            assert_eq!(catch_up.rounds[0].number, round);
            peer.contact = now;
            let late = catch_up.look(&common, now, core::slice::from_ref(&peer));
            assert_eq!(late, CaughtUp::NotYet, "round {round} goes on");
            peer.matched = end;
            let ended = catch_up.look(&common, now, core::slice::from_ref(&peer));
            assert_eq!(ended == CaughtUp::Never(NodeId(2)), round == ROUNDS_MAX);
        }
    }

    #[test]
    fn a_short_round_is_enough_while_the_node_is_in_contact() {
        let (common, mut peer) = adding();
        let mut catch_up = CatchUp::begin(&common, at(0));
        (peer.matched, peer.contact) = (Index(1), at(149));
        assert_eq!(
            catch_up.look(&common, at(149), core::slice::from_ref(&peer)),
            CaughtUp::All
        );
        let gone = catch_up.look(&common, at(299), core::slice::from_ref(&peer));
        assert_eq!(gone, CaughtUp::NotYet, "a new round");
        peer.contact = at(300);
        assert_eq!(
            catch_up.look(&common, at(300), core::slice::from_ref(&peer)),
            CaughtUp::All
        );
    }

    #[test]
    fn a_node_that_never_answers_is_given_up_at_the_deadline() {
        let (common, peer) = adding();
        let mut catch_up = CatchUp::begin(&common, at(0));
        let end = at(0).plus(common.config.catch_up_max);
        let before = Instant(end.0 - Duration::from_nanos(1));
        assert_eq!(
            catch_up.look(&common, before, core::slice::from_ref(&peer)),
            CaughtUp::NotYet
        );
        assert_eq!(
            catch_up.look(&common, end, core::slice::from_ref(&peer)),
            CaughtUp::Never(NodeId(2))
        );
    }

    #[test]
    fn a_node_that_forgot_is_given_up_at_once() {
        let (common, mut peer) = adding();
        let mut catch_up = CatchUp::begin(&common, at(0));
        peer.forgot = true;
        assert_eq!(
            catch_up.look(&common, at(1), core::slice::from_ref(&peer)),
            CaughtUp::Never(NodeId(2))
        );
    }
}
