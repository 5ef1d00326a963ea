use alloc::collections::BTreeSet;

use crate::counters::count;
use crate::election;
use crate::node::Common;
use crate::pace::Pace;
use crate::step::Step;
use crate::{DiskHealth, Echo, Governing, Instant, NodeId, Slot};

/// Asks other nodes whether they are without a leader too, which changes no state on any node.
/// Their answers are kept in a set, so a repeated answer counts once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Asking {
    attempt: u64,
    /// The nodes without a leader. Whom of them to count, each configuration says.
    no_leader: BTreeSet<NodeId>,
    /// Whether a node that answered should lead rather: it knows of many more chosen slots, or is
    /// preferred.
    outdone: bool,
    /// Whether it gives precedence to others, because it is outdone, until its next attempt.
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
            outdone: false,
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
        let own = Answer {
            attempt,
            no_leader: true,
            chosen: common.log.chosen(),
            disk,
            priority: None,
        };
        let step = asking.handle_answer(common, now, common.config.id, &own);
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
        answer: &Answer,
    ) -> Step {
        let chosen = answer.chosen;
        if self.attempt != answer.attempt || self.waits {
            count(&mut common.counters.out_of_role);
            return Step::Stay;
        }
        if chosen > Slot::MAX {
            count(&mut common.counters.malformed);
            return Step::Stay;
        }
        let known = common.log.chosen().0.saturating_add(BEHIND_SLOTS);
        self.outdone |= chosen.0 > known;
        if !answer.no_leader {
            return Step::Stay;
        }
        let open = common.open();
        let counts = |one: &Governing| one.configuration.membership.quorums.contains(from);
        if open.iter().any(counts) {
            self.no_leader.insert(from);
            self.outdone |= answer.is_preferred_to(common);
        }
        let is_enough = !open.is_empty() && open.iter().all(|one| self.has_quorums(one));
        if !is_enough {
            return Step::Stay;
        }
        if self.outdone && !self.waited {
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

/// What a node answers that was asked, see [`Echo::Answer`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) attempt: u64,
    pub(crate) no_leader: bool,
    pub(crate) chosen: Slot,
    pub(crate) disk: DiskHealth,
    pub(crate) priority: Option<u8>,
}

impl Answer {
    /// Whether its sender has a higher priority than this node, and could lead as well.
    fn is_preferred_to(&self, common: &Common) -> bool {
        let is_fit = self.disk.has_room && Pace::is_fast(self.disk.sync_time, &common.config);
        is_fit && self.priority > Some(common.config.priority)
    }
}

/// A candidate that lacks more chosen values than this gives precedence to others, once: it would
/// have to learn them before it can serve anything.
const BEHIND_SLOTS: u64 = 1024;
