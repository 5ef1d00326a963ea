//! What is known of each node by hearsay, and how often that is still to be passed on.

use super::{Refutation, Rumor};
use crate::NodeId;
use crate::detector::Incarnation;
use std::collections::BTreeMap;

/// The newest rumour about each node: one for each that is watched, and the node's own.
///
/// Invariants: a rumour is of the incarnation that its node was met in; nobody but the node itself raises its
/// refutation.
#[derive(Clone, Debug)]
pub(super) struct Rumors {
    newest: BTreeMap<NodeId, Passed>,
    /// How often each is passed on.
    transmissions: u32,
}

#[derive(Clone, Copy, Debug)]
struct Passed {
    rumor: Rumor,
    left: u32,
}

/// What a rumour was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nobody had said that yet.
    News,
    /// It is known, or something newer is.
    Old,
    /// Of another incarnation than the one that was met.
    Unmet,
    /// Its refutation is too far from what is known to be true.
    Nonsense,
}

impl Rumors {
    /// Knows nothing but that its own node lives. Of `nodes` in all.
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

    /// A node is met in this incarnation: what was said of an earlier one is void.
    pub(super) fn meet(&mut self, node: NodeId, incarnation: Incarnation) {
        let rumor = Rumor {
            node,
            incarnation,
            refutation: Refutation(0),
            suspected: false,
        };
        // That it lives is nothing to tell: whoever watches it hears it.
        self.newest.insert(node, Passed { rumor, left: 0 });
    }

    /// What is said of a node that was met.
    pub(super) fn of(&self, node: NodeId) -> Option<Rumor> {
        self.newest.get(&node).map(|passed| passed.rumor)
    }

    /// Somebody passes this on.
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

    /// This node did not hear of `node`: let all know.
    pub(super) fn doubt(&mut self, node: NodeId) {
        if let Some(known) = self.newest.get_mut(&node) {
            known.rumor.suspected = true;
            known.left = self.transmissions;
        }
    }

    /// Nobody needs to hear from here any more that `node` is suspected: it was just heard. What others were
    /// told is for the node to take back.
    pub(super) fn drop_doubt(&mut self, node: NodeId) {
        if let Some(known) = self.newest.get_mut(&node).filter(|k| k.rumor.suspected) {
            known.left = 0;
        }
    }

    /// Somebody suspects this node in its present incarnation: it lives, and says so with a counter that nobody
    /// else raises. Whoever is behind is told once more.
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

    /// What goes along with a message to `to`, at most so many: first what is said of `to` itself, so that
    /// it can take it back, then what was passed on least.
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

/// How far a refutation may be ahead of what is known: more than any node takes back while another does not listen.
/// Without it one lie would keep a node suspected until its counter had come as far.
const LEAP_MAX: u64 = 1 << 20;
