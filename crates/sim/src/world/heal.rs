//! The end of all faults, everywhere or in a core.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{EVERYWHERE, Ending, Happening, Node, World};
use crate::world::fault::ClockChange;
use crate::world::process::{NodeId, Process};

impl<P: Process> World<P> {
    /// Permanently ends all faults: no messages are lost, duplicated or cut any more, the nemesis
    /// and the script stop, pending crashes are cancelled, disks sync and have space, clocks run at
    /// the right rate, and every node that is down starts at once. Delays, bit rot and clock
    /// offsets stay.
    pub fn stop_faults(&mut self) {
        self.note(EVERYWHERE, Happening::FaultsStop);
        self.heal_within(&self.node_ids().into_iter().collect());
    }

    /// Permanently ends all faults within a core of nodes: there are no new ones, and its members
    /// start, resume, sync, and can communicate. Nodes outside keep their faults forever: a node
    /// that is down, paused, cut off, clogged or full stays so, and messages to and from outside
    /// are still lost and duplicated.
    ///
    /// Random faults also heal at random, so they do not reveal a system that makes no progress
    /// next to a node that can send but not receive. This method does.
    pub fn heal_core(&mut self, core: &BTreeSet<NodeId>) {
        let named = Happening::CoreHealed(core.iter().copied().collect());
        self.note(EVERYWHERE, named);
        self.heal_within(core);
    }

    /// Chooses `size` random nodes, or all if there are fewer, as a core for
    /// [`heal_core`](Self::heal_core). Nodes with bit rot are chosen only if there are not enough
    /// others.
    pub fn random_core(&mut self, size: usize) -> BTreeSet<NodeId> {
        let mut order: Vec<&Node<P>> = self.nodes.iter().collect();
        self.nemesis.core.shuffle(&mut order);
        order.sort_by_key(|node| node.rotted);
        order.iter().take(size).map(|node| node.id).collect()
    }

    fn heal_within(&mut self, core: &BTreeSet<NodeId>) {
        self.faults = false;
        for index in 0..self.nodes.len() {
            self.spare(index);
            if !core.contains(&self.nodes[index].id) {
                self.leave_outside(index);
            }
        }
        for from in self.node_ids() {
            for to in self.node_ids() {
                if core.contains(&from) && core.contains(&to) {
                    self.heal(from, to);
                    if let Some(link) = self.link(from, to) {
                        link.sound = true;
                    }
                } else if let Some(link) = self.link(from, to) {
                    for_ever(&mut link.cut_until);
                    for_ever(&mut link.clogged_until);
                }
            }
        }
        for index in 0..self.nodes.len() {
            if core.contains(&self.nodes[index].id) {
                self.cure(index);
            }
        }
    }

    /// Cancels a pending crash.
    fn spare(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.doom = None;
        if node.disk_doom.take().is_some() {
            node.disk.restart();
        }
    }

    fn cure(&mut self, index: usize) {
        let id = self.nodes[index].id;
        for ending in [
            Ending::Pause(id),
            Ending::Freeze(id),
            Ending::Stall(id),
            Ending::Full(id),
        ] {
            self.end_on_node(index, ending);
        }
        let node = &mut self.nodes[index];
        node.left_outside = false;
        node.disk.fail_syncs(false);
        node.disk.fill(false);
        node.clock.change(self.now, ClockChange::Drift { ppm: 0 });
        self.schedule_timer(index);
        self.restart(id);
    }

    fn leave_outside(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.left_outside = true;
        for_ever(&mut node.paused_until);
        for_ever(&mut node.stalled_until);
        for_ever(&mut node.full_until);
        node.clock.keep_frozen();
    }
}

fn for_ever(until: &mut Option<Duration>) {
    if let Some(until) = until {
        *until = Duration::MAX;
    }
}
