//! Disks that are emptied, or put back to what they were, and the replacement of their nodes.

use std::time::Duration;

use synod_replica::sim::SimRequest;
use synod_replica::{Change, Member, NodeId, Role};
use synod_sim::{self as sim, Crash, Rng};

use super::observer::Observer;
use super::options::Load;
use super::{Nodes, Subject};

/// Loses one disk after the other, each when the node of the one before it is replaced, and never so
/// many that those who forgot could be a majority of the founders.
///
/// A disk is lost only when every other node has met it: what nobody has met, nobody can miss.
#[derive(Debug)]
pub(crate) struct Losses {
    rng: Rng,
    share: f64,
    left: usize,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Whole,
    /// A copy was made of a disk, in this incarnation of its node.
    Copied {
        node: NodeId,
        boot: u64,
        files: Vec<(String, Vec<u8>)>,
    },
    /// The node has lost its disk and is to be replaced.
    Lost(NodeId),
}

impl Losses {
    pub(crate) fn new(seed: u64, founders: u64, load: &Load) -> Self {
        Self {
            rng: Rng::new(seed ^ LOSSES),
            share: load.losses,
            left: (founders.max(1) as usize - 1) / 2,
            stage: Stage::Whole,
        }
    }

    /// A client makes a request, at this time: a disk is lost now and then, and the operator replaces
    /// its node some time later.
    pub(crate) fn ask<S: Subject>(
        &mut self,
        world: &mut Nodes<S>,
        at: Duration,
        observer: &Observer<S>,
    ) {
        if self.share == 0.0 {
            return;
        }
        let goes_on = match self.stage {
            Stage::Whole => self.rng.chance(self.share),
            Stage::Copied { .. } => true,
            Stage::Lost(_) => self.rng.chance(REPLACES),
        };
        if !goes_on {
            return;
        }
        match std::mem::replace(&mut self.stage, Stage::Whole) {
            Stage::Whole => self.begin(world, observer),
            Stage::Copied { node, boot, files } => {
                if is_known(world, observer, node, boot) {
                    return self.lose(world, observer, node, Some(files));
                }
                self.stage = Stage::Copied { node, boot, files };
            }
            Stage::Lost(node) => {
                self.stage = Stage::Lost(node);
                self.replace(world, at, observer);
            }
        }
    }

    /// Asks the leader to replace the node whose disk is lost; returns whether none is left to replace.
    pub(crate) fn replace<S: Subject>(
        &mut self,
        world: &mut Nodes<S>,
        at: Duration,
        observer: &Observer<S>,
    ) -> bool {
        let Stage::Lost(old) = self.stage else {
            return true;
        };
        let Some(leader) = leader(world, observer) else {
            return false;
        };
        let Some(node) = world.process(leader) else {
            return false;
        };
        let (members, status) = (node.members(), node.status().core);
        if !members.contains(old) && status.change.is_none() {
            observer.ledger(|ledger| ledger.replaced());
            self.stage = Stage::Whole;
            return true;
        }
        let highest = members.voters.keys().max().copied();
        let ids = world.node_ids().into_iter().map(|id| NodeId(id.0));
        let new = match members.learners.keys().next().copied() {
            Some(learner) => Some(learner),
            None => ids.into_iter().find(|id| Some(*id) > highest),
        };
        if let Some(new) = new.filter(|_| status.change.is_none()) {
            let member = Member::default();
            let change = Change::Replace { old, new, member };
            world.inject_at(at, leader, SimRequest::Change(change));
        }
        false
    }

    fn begin<S: Subject>(&mut self, world: &mut Nodes<S>, observer: &Observer<S>) {
        let Some(leader) = leader(world, observer) else {
            return;
        };
        let members = world.process(leader).map(|node| node.members());
        let members = members.unwrap_or_default();
        let voters: Vec<NodeId> = members.voters.keys().copied().collect();
        let node = voters[self.rng.index(voters.len())];
        let is_lost = observer.ledger(|ledger| ledger.has_lost(node));
        let has_spare = world
            .node_ids()
            .iter()
            .any(|id| id.0 > voters[voters.len() - 1].0);
        if self.left == 0 || is_lost || !has_spare || !is_known(world, observer, node, 0) {
            return;
        }
        if self.rng.chance(0.5) {
            return self.lose(world, observer, node, None);
        }
        let (Some(boot), Some(disk)) = (
            observer.ledger(|ledger| ledger.boot(node)),
            world.disk(sim::NodeId(node.0)),
        ) else {
            return;
        };
        let Ok(names) = disk.names() else { return };
        let files = names.into_iter().map(|name| {
            let image = disk.image(&name);
            (name, image)
        });
        let files = files.collect();
        self.stage = Stage::Copied { node, boot, files };
        // In the incarnation of the copy it would look honest, which is a known limit.
        world.crash(sim::NodeId(node.0), Crash::Kill);
        world.restart(sim::NodeId(node.0));
    }

    fn lose<S: Subject>(
        &mut self,
        world: &mut Nodes<S>,
        observer: &Observer<S>,
        node: NodeId,
        files: Option<Vec<(String, Vec<u8>)>>,
    ) {
        let id = sim::NodeId(node.0);
        world.crash(id, Crash::Kill);
        let Some(disk) = world.disk(id) else { return };
        disk.restart();
        disk.fail_syncs(false);
        for name in disk.names().unwrap_or_default() {
            disk.remove(&name).expect("the file was listed");
        }
        disk.sync_names().expect("no sync fails");
        for (name, bytes) in files.iter().flatten() {
            disk.put_image(name, bytes);
        }
        observer.lost(node, files.is_none());
        self.left -= 1;
        self.stage = Stage::Lost(node);
        world.restart(id);
    }
}

/// Whether all other nodes have met this one in a later incarnation than `boot`.
fn is_known<S: Subject>(world: &Nodes<S>, observer: &Observer<S>, node: NodeId, boot: u64) -> bool {
    let all = world.node_ids().into_iter().map(|id| NodeId(id.0));
    let all: Vec<NodeId> = all.collect();
    observer.ledger(|ledger| ledger.is_known(node, &all, boot))
}

/// The leader of the latest epoch that has not lost its disk.
fn leader<S: Subject>(world: &Nodes<S>, observer: &Observer<S>) -> Option<sim::NodeId> {
    let leads = |id: sim::NodeId| {
        let core = world.process(id)?.status().core;
        let lost = observer.ledger(|ledger| ledger.has_lost(NodeId(id.0)));
        (core.role == Role::Leader && !lost).then_some((core.epoch, id))
    };
    let leaders = world.node_ids().into_iter().filter_map(leads);
    Some(leaders.max()?.1)
}

/// How often the operator looks at a lost node, of a client's requests.
const REPLACES: f64 = 0.1;
const LOSSES: u64 = 0x6c6f_7373_6573_2121;
