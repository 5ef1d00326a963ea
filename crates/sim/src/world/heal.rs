//! The end of all faults, everywhere or in a core.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{EVERYWHERE, Ending, Happening, Node, World};
use crate::world::fault::ClockChange;
use crate::world::process::{NodeId, Process};

impl<P: Process> World<P> {
    /// Ends all faults for good: nothing is lost, doubled or cut any more, the nemesis and the
    /// script rest, what was doomed is spared, disks sync and have space, clocks run right, and
    /// every node that is down starts at once. Delays stay, what rotted stays rotten, and a clock
    /// that is wrong stays so.
    pub fn stop_faults(&mut self) {
        self.note(EVERYWHERE, Happening::FaultsStop);
        self.heal_within(&self.node_ids().into_iter().collect());
    }

    /// Ends all faults for good within a core of nodes: no new ones come, its members start, go on,
    /// sync, and hear one another. Everything outside keeps its failure for ever: who is down stays
    /// down, who is paused or cut off or clogged or full stays so, and messages to and from outside
    /// are still lost and doubled.
    ///
    /// Faults that strike at random also heal at random, so they cannot show a system that makes no
    /// progress beside a node that can send but not hear. This can.
    pub fn heal_core(&mut self, core: &BTreeSet<NodeId>) {
        let named = Happening::CoreHealed(core.iter().copied().collect());
        self.note(EVERYWHERE, named);
        self.heal_within(core);
    }

    /// Draws `size` nodes, or all if there are fewer: a core to be [healed](Self::heal_core). Nodes
    /// whose disks have rotted are taken only if there are not enough others.
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

    /// Takes back a crash that has not been yet.
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
