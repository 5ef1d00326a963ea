use alloc::collections::BTreeSet;

use crate::counters::count;
use crate::election;
use crate::node::Common;
use crate::step::Step;
use crate::{Echo, Governing, Instant, NodeId, Slot};

/// Asks other nodes whether they are without a leader too, which changes no state on any node.
/// Their answers are kept in a set, so a repeated answer counts once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asking {
    attempt: u64,
    /// The nodes without a leader. Whom of them to count, each configuration says.
    no_leader: BTreeSet<NodeId>,
    /// Whether a node that answered knows of many more chosen slots.
    behind: bool,
    /// Whether it gives precedence to others, because it is behind, until its next attempt.
    waits: bool,
    /// Whether it has done so before.
    waited: bool,
}

impl Asking {
    /// Asks all peers, and answers its own question. `waited`: it gave precedence to others before.
    pub(crate) fn begin(common: &mut Common, now: Instant, waited: bool) -> (Self, Step) {
        common.attempt = common.attempt.wrapping_add(1);
        let attempt = common.attempt;
        let mut asking = Self {
            attempt,
            no_leader: BTreeSet::new(),
            behind: false,
            waits: false,
            waited,
        };
        let (promised, disk) = (common.promised, common.disk);
        for peer in common.other_acceptors() {
            let ask = Echo::Ask {
                promised,
                attempt,
                disk,
            };
            common.echo(peer, ask);
        }
        let (id, chosen) = (common.config.id, common.log.chosen());
        let step = asking.handle_answer(common, now, id, attempt, true, chosen);
        (asking, step)
    }

    /// Whether it has given precedence to others, or does so now.
    pub(crate) fn has_waited(&self) -> bool {
        self.waits || self.waited
    }

    pub(crate) fn handle_answer(
        &mut self,
        common: &mut Common,
        now: Instant,
        from: NodeId,
        attempt: u64,
        no_leader: bool,
        chosen: Slot,
    ) -> Step {
        if self.attempt != attempt || self.waits {
            count(&mut common.counters.out_of_role);
            return Step::Stay;
        }
        if chosen > Slot::MAX {
            count(&mut common.counters.malformed);
            return Step::Stay;
        }
        let known = common.log.chosen().0.saturating_add(BEHIND_SLOTS);
        self.behind |= chosen.0 > known;
        if !no_leader {
            return Step::Stay;
        }
        let open = common.open();
        let counts = |one: &Governing| one.configuration.membership.quorums.contains(from);
        if open.iter().any(counts) {
            self.no_leader.insert(from);
        }
        let is_enough = !open.is_empty() && open.iter().all(|one| self.has_quorums(one));
        if !is_enough {
            return Step::Stay;
        }
        if self.behind && !self.waited {
            self.waits = true;
            common.reset_election(now);
            return Step::Stay;
        }
        election::campaign(common, now)
    }

    /// Whether quorums of both phases of this configuration are without a leader.
    fn has_quorums(&self, one: &Governing) -> bool {
        let quorums = &one.configuration.membership.quorums;
        let set = quorums.set_of(self.no_leader.iter().copied());
        quorums.is_phase1(set) && quorums.is_phase2(set)
    }
}

/// A candidate that lacks more chosen values than this gives precedence to others, once: it would
/// have to learn them before it can serve anything.
const BEHIND_SLOTS: u64 = 1024;
