use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use crate::node::Common;
use crate::progress::Progress;
use crate::{AcceptorSet, Governing, Instant, NodeId, Slot};

/// The nodes that a leader sends to, and what it knows of each: the acceptors of the configurations
/// that govern open slots, learners, nodes that are to become acceptors, and for a while those that
/// were removed. A node keeps its place while it is here. The places of acceptors in their
/// configurations are others, see [`Office`](super::office::Office).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Roster {
    nodes: Vec<NodeId>,
    peers: Vec<Progress>,
    /// The places of all but this node that are in use.
    pub(super) others: AcceptorSet,
    /// The place of this node.
    pub(super) own: usize,
}

impl Roster {
    /// The members of the open configurations, and of the one before, as far as they are known: its
    /// members may have to be told that they were removed.
    pub(super) fn of(common: &Common, open: &[Governing], now: Instant) -> Self {
        let members = |one: &Governing| one.configuration.membership.nodes().collect::<Vec<_>>();
        let nodes: BTreeSet<NodeId> = open.iter().flat_map(members).collect();
        let mut roster = Self::new(common.config.id, nodes.into_iter(), now);
        let first = open.first().map_or(Slot(0), |one| one.from);
        let before = common.configurations.before(first);
        for node in before.into_iter().flat_map(members) {
            roster.add(node, now);
        }
        roster
    }

    /// This node and `nodes`, which ascend.
    fn new(own: NodeId, nodes: impl Iterator<Item = NodeId>, now: Instant) -> Self {
        let mut roster = Self {
            nodes: Vec::new(),
            peers: Vec::new(),
            others: AcceptorSet::default(),
            own: 0,
        };
        for node in nodes {
            if node == own {
                roster.own = roster.nodes.len();
                roster.push(own, now);
            } else {
                roster.add(node, now);
            }
        }
        if roster.nodes.get(roster.own) != Some(&own) {
            roster.own = roster.nodes.len();
            roster.push(own, now);
        }
        roster
    }

    fn push(&mut self, node: NodeId, now: Instant) {
        self.nodes.push(node);
        self.peers.push(Progress::new(now));
    }

    /// Adds a node, if it is not here. False if there is no place.
    pub(super) fn add(&mut self, node: NodeId, now: Instant) -> bool {
        if self.place_of_any(node).is_some() {
            return true;
        }
        let is_free = |place: &usize| *place != self.own && !self.others.contains(*place);
        let place = match (0..self.nodes.len()).find(is_free) {
            Some(place) => {
                self.nodes[place] = node;
                self.peers[place] = Progress::new(now);
                place
            }
            None if self.nodes.len() < PLACES_MAX => {
                self.push(node, now);
                self.nodes.len() - 1
            }
            None => return false,
        };
        self.others.insert(place);
        true
    }

    pub(super) fn remove(&mut self, place: usize) {
        self.others.remove(place);
    }

    /// The place of another node.
    #[inline]
    pub(super) fn place(&self, node: NodeId) -> Option<usize> {
        let mut places = self.nodes.iter().enumerate();
        let is_it = |(place, id): (usize, &NodeId)| *id == node && self.others.contains(place);
        let found = places.find(|(place, id)| is_it((*place, id)));
        found.map(|(place, _)| place)
    }

    /// The place of any node, this one included.
    pub(super) fn place_of_any(&self, node: NodeId) -> Option<usize> {
        match self.nodes.get(self.own) == Some(&node) {
            true => Some(self.own),
            false => self.place(node),
        }
    }

    #[inline]
    pub(super) fn node(&self, place: usize) -> NodeId {
        self.nodes.get(place).copied().unwrap_or_default()
    }

    #[inline]
    pub(super) fn peer(&self, place: usize) -> &Progress {
        &self.peers[place]
    }

    #[inline]
    pub(super) fn peer_mut(&mut self, place: usize) -> &mut Progress {
        &mut self.peers[place]
    }

    /// What is known of all, this node and places that are free included.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Progress> {
        self.peers.iter_mut()
    }
}

/// The members before and after a change are at most as many, see
/// [`Membership::NODES_MAX`](crate::Membership::NODES_MAX); one more is a leader that is no member.
const PLACES_MAX: usize = 64;
