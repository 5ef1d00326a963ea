//! The newest rumour about each node, and how often it is still to be sent.

use super::{Refutation, Rumor};
use crate::NodeId;
use crate::detector::Incarnation;
use std::collections::BTreeMap;

/// The newest rumour about each monitored node and about this node itself.
///
/// Invariants: a rumour is about the known incarnation of its node; only the node itself increments its
/// refutation.
#[derive(Clone, Debug)]
pub(super) struct Rumors {
    newest: BTreeMap<NodeId, Passed>,
    /// How often each rumour is sent.
    transmissions: u32,
}

#[derive(Clone, Copy, Debug)]
struct Passed {
    rumor: Rumor,
    left: u32,
}

/// How a received rumour compares with the known one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is newer than the known one.
    News,
    /// It is already known or outdated.
    Old,
    /// It is about an incarnation other than the known one.
    Unmet,
    /// Its refutation is implausibly far ahead of the known one.
    Nonsense,
}

impl Rumors {
    /// Starts with a rumour that this node is alive, in a cluster of `nodes`.
    pub(super) fn begin(
        own: NodeId,
        incarnation: Incarnation,
        nodes: usize,
        transmissions: u32,
    ) -> Self {
        let doublings = usize::BITS - nodes.leading_zeros();
        let mut rumors = Self {
            newest: BTreeMap::new(),
            transmissions: transmissions.saturating_mul(doublings),
        };
        rumors.meet(own, incarnation);
        rumors
    }

    /// Records a node's incarnation and discards rumours about an earlier one.
    pub(super) fn meet(&mut self, node: NodeId, incarnation: Incarnation) {
        let rumor = Rumor {
            node,
            incarnation,
            refutation: Refutation(0),
            suspected: false,
        };
        // That it is alive is not gossiped: every monitor receives its frames.
        self.newest.insert(node, Passed { rumor, left: 0 });
    }

    /// The newest rumour about a known node.
    pub(super) fn of(&self, node: NodeId) -> Option<Rumor> {
        self.newest.get(&node).map(|passed| passed.rumor)
    }

    /// Handles a received rumour.
    pub(super) fn hear(&mut self, rumor: Rumor) -> Heard {
        let Some(known) = self.newest.get_mut(&rumor.node) else {
            return Heard::Unmet;
        };
        let leap = known.rumor.refutation.0.saturating_add(LEAP_MAX);
        if rumor.incarnation != known.rumor.incarnation {
            Heard::Unmet
        } else if rumor.refutation.0 > leap {
            Heard::Nonsense
        } else if rumor.overrides(&known.rumor) {
            *known = Passed {
                rumor,
                left: self.transmissions,
            };
            Heard::News
        } else {
            Heard::Old
        }
    }

    /// Starts gossiping that `node` did not answer.
    pub(super) fn doubt(&mut self, node: NodeId) {
        if let Some(known) = self.newest.get_mut(&node) {
            known.rumor.suspected = true;
            known.left = self.transmissions;
        }
    }

    /// Stops gossiping the doubt about `node`, from which a frame has arrived. The node itself refutes
    /// copies that were already sent.
    pub(super) fn drop_doubt(&mut self, node: NodeId) {
        if let Some(known) = self.newest.get_mut(&node).filter(|k| k.rumor.suspected) {
            known.left = 0;
        }
    }

    /// Refutes a suspicion about this node's present incarnation with a counter that only this node increments.
    /// An outdated suspicion makes it send the refutation again.
    pub(super) fn refute(&mut self, own: NodeId, suspicion: &Rumor) -> Heard {
        let Some(known) = self.newest.get_mut(&own) else {
            return Heard::Unmet;
        };
        if suspicion.incarnation != known.rumor.incarnation {
            return Heard::Unmet;
        }
        if suspicion.refutation > known.rumor.refutation {
            return Heard::Nonsense;
        }
        if suspicion.refutation == known.rumor.refutation {
            known.rumor.refutation.0 = known.rumor.refutation.0.saturating_add(1);
        }
        known.left = self.transmissions;
        Heard::News
    }

    /// The rumours to piggyback on a message to `to`: first the one about `to` itself, so that it can
    /// refute it, then those sent least often.
    pub(super) fn pass_on(&mut self, to: NodeId, rumors_max: usize) -> Vec<Rumor> {
        let to_itself = self.of(to).filter(|rumor| rumor.suspected);
        let mut waiting: Vec<_> = self
            .newest
            .values_mut()
            .filter(|passed| passed.left > 0 && passed.rumor.node != to)
            .collect();
        waiting.sort_by_key(|passed| std::cmp::Reverse(passed.left));
        let room = rumors_max - usize::from(to_itself.is_some()).min(rumors_max);
        let others = waiting.into_iter().take(room).map(|passed| {
            passed.left -= 1;
            passed.rumor
        });
        to_itself.into_iter().chain(others).collect()
    }
}

/// How far a refutation may be ahead of the known one: more than any node refutes while another is unreachable.
/// Without this bound one forged rumour would keep a node suspected until its counter had caught up.
const LEAP_MAX: u64 = 1 << 20;
