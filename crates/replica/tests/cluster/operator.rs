//! Who operates the group: hands leadership over, changes the members, and destroys the replicas of those
//! that were removed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use synod_replica::sim::SimRequest;
use synod_replica::{Change, Epoch, Member, Members, NodeId, Role};
use synod_sim::{self as sim, Coverage, Rng};

use super::guard::Guard;
use super::options::Load;
use super::{Nodes, Subject};

/// Draws from generators of its own, so that a seed means what it meant before there was one.
#[derive(Debug)]
pub(crate) struct Operator {
    transfers: Rng,
    transfer_share: f64,
    changes: Rng,
    change_share: f64,
    destroys: Rng,
    /// In which epoch each node was last seen to be a member.
    seen: BTreeMap<NodeId, Epoch>,
}

impl Operator {
    pub(crate) fn new(seed: u64, load: &Load) -> Self {
        Self {
            transfers: Rng::new(seed ^ TRANSFER),
            transfer_share: load.transfers,
            changes: Rng::new(seed ^ CHANGE),
            change_share: load.changes,
            destroys: Rng::new(seed ^ DESTROY),
            seen: BTreeMap::new(),
        }
    }

    /// A client makes a request, at this time: the operator sometimes makes one too. Not before the
    /// client's: what ends by it brings further requests, and those come later.
    pub(crate) fn ask<S: Subject>(
        &mut self,
        world: &mut Nodes<S>,
        at: Duration,
        coverage: &mut Coverage,
    ) {
        if self.change_share > 0.0 && self.destroys.chance(DESTROYS) {
            self.destroy(world, at);
        }
        let transfers = self.transfers.chance(self.transfer_share);
        let changes = self.changes.chance(self.change_share);
        if !transfers && !changes {
            return;
        }
        let ids = world.node_ids();
        let leads = |id: &sim::NodeId| {
            let node = world.process(*id);
            node.is_some_and(|node| node.status().core.role == Role::Leader)
        };
        let Some(leader) = ids.iter().copied().find(leads) else {
            return;
        };
        if transfers {
            coverage.add("transfers asked for", 1);
            let to = self.heir(&ids);
            world.inject_at(at, leader, SimRequest::Transfer { to });
        }
        if changes {
            let members = world.process(leader).map(|node| node.members());
            let request = self.change(&members.unwrap_or_default(), &ids);
            coverage.add(name(&request), 1);
            world.inject_at(at, leader, request);
        }
    }

    /// Destroys the replica of a node that was removed, which may not know that it was.
    fn destroy<S: Subject>(&mut self, world: &mut Nodes<S>, at: Duration) {
        let ids = world.node_ids();
        let leads = ids.iter().filter_map(|id| {
            let node = world.process(*id)?;
            let core = node.status().core;
            let leads = core.role == Role::Leader && core.change.is_none();
            leads.then(|| (core.epoch, node.members()))
        });
        let Some((epoch, members)) = leads.max_by_key(|(epoch, _)| *epoch) else {
            return;
        };
        for (member, _) in members.iter() {
            let seen = self.seen.entry(member).or_default();
            *seen = epoch.max(*seen);
        }
        let is_removed = |id: &&sim::NodeId| {
            let seen = self.seen.get(&NodeId(id.0));
            let follows = |node: &Guard<S>| node.status().core.role != Role::Leader;
            seen.is_some_and(|seen| *seen <= epoch)
                && !members.contains(NodeId(id.0))
                && world.process(**id).is_some_and(follows)
        };
        if let Some(removed) = ids.iter().find(is_removed) {
            world.inject_at(at, *removed, SimRequest::Destroy);
        }
    }

    /// Whoever suits best, or a node that may be down, or behind.
    fn heir(&mut self, ids: &[sim::NodeId]) -> Option<NodeId> {
        let any = ids[self.transfers.index(ids.len())];
        self.transfers.chance(0.5).then_some(NodeId(any.0))
    }

    /// One of the changes that are possible, and sometimes one that is not.
    fn change<T>(&mut self, members: &Members, ids: &[sim::NodeId]) -> SimRequest<T> {
        let rng = &mut self.changes;
        if rng.chance(ABORTS) {
            return SimRequest::AbortChange;
        }
        let mut pick = |ids: Vec<NodeId>| Some(*ids.get(rng.index(ids.len().max(1)))?);
        let voter = pick(members.voters.keys().copied().collect());
        let learner = pick(members.learners.keys().copied().collect());
        let highest = members.iter().map(|(id, _)| id).max();
        let new = ids.iter().map(|id| NodeId(id.0));
        let new: Vec<NodeId> = new.filter(|id| Some(*id) > highest).collect();
        // Usually the lowest, so that the others can follow.
        let spare = match rng.chance(0.7) {
            true => new.first().copied(),
            false => new.get(rng.index(new.len().max(1))).copied(),
        };
        let member = Member::default();
        let change = match (rng.below(6), learner, spare, voter) {
            (0 | 1, Some(learner), ..) => Change::Promote(learner),
            (0..=2, _, Some(spare), _) => Change::Add(spare, member),
            (3, Some(learner), ..) => Change::Remove(learner),
            (3 | 4, _, Some(new), Some(old)) => Change::Replace { old, new, member },
            (5, ..) => Change::Set(self.any_of(members, &new)),
            (.., Some(voter)) => Change::Remove(voter),
            _ => Change::Remove(NodeId(1)),
        };
        SimRequest::Change(change)
    }

    /// Any members and new nodes, as voters or learners; perhaps no voter at all.
    fn any_of(&mut self, members: &Members, new: &[NodeId]) -> Members {
        let mut set = Members::default();
        let old = members.iter().map(|(id, _)| id);
        let all: BTreeSet<NodeId> = old.chain(new.iter().copied()).collect();
        for id in all {
            match self.changes.below(5) {
                0 => {}
                1 => drop(set.learners.insert(id, Member::default())),
                _ => drop(set.voters.insert(id, Member::default())),
            }
        }
        set
    }
}

fn name<T>(request: &SimRequest<T>) -> &'static str {
    match request {
        SimRequest::AbortChange => "aborts asked for",
        SimRequest::Change(Change::Add(..)) => "learners asked for",
        SimRequest::Change(Change::Promote(_)) => "promotions asked for",
        SimRequest::Change(Change::Remove(_)) => "removals asked for",
        SimRequest::Change(Change::Replace { .. }) => "replacements asked for",
        _ => "other members asked for",
    }
}

/// How many of the operator's requests about members lead back.
const ABORTS: f64 = 0.1;
/// How often a removed node's replica is destroyed, of a client's requests, where members change.
const DESTROYS: f64 = 0.1;
const DESTROY: u64 = 0x6465_7374_726f_7921;
const TRANSFER: u64 = 0x7472_616e_7366_6572;
const CHANGE: u64 = 0x6368_616e_6765_2121;
