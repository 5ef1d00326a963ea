//! Faults that come by themselves: crashes and partitions, drawn from the world's seed.

use super::{Crash, How, Scheduled, World};
use crate::world::process::{NodeId, Process};

impl<P: Process> World<P> {
    pub(super) fn schedule_crash(&mut self) {
        if let Some(mean) = self.options.crash_every {
            let at = self.now + self.nemesis_rng.exponential(mean);
            self.queue.push(at, Scheduled::NemesisCrash);
        }
    }

    pub(super) fn schedule_partition(&mut self) {
        if let Some(mean) = self.options.partition_every {
            let at = self.now + self.nemesis_rng.exponential(mean);
            self.queue.push(at, Scheduled::NemesisPartition);
        }
    }

    /// One node that is up, and not doomed yet, is going to crash, in one of three ways.
    pub(super) fn strike_crash(&mut self) {
        if !self.faults {
            return;
        }
        self.schedule_crash();
        let fit = |id: &NodeId| {
            let node = &self.nodes[id];
            node.process.is_some() && node.doom.is_none() && node.disk_doom.is_none()
        };
        let fit: Vec<NodeId> = self.node_ids().into_iter().filter(fit).collect();
        if fit.is_empty() || self.nodes.len() - fit.len() >= self.options.down_max {
            return;
        }
        let node = fit[self.nemesis_rng.index(fit.len())];
        let crash = if self.nemesis_rng.chance(self.options.power_loss_share) {
            Crash::Power
        } else {
            Crash::Kill
        };
        match self.nemesis_rng.below(3) {
            0 => {
                self.end(node, crash, How::BetweenSteps, 0);
                return self.schedule_restart(node);
            }
            1 => self.crash_in_step(node, crash),
            _ => {
                let operations = self.nemesis_rng.below(CRASH_OPERATIONS_MAX);
                self.crash_at_operation(node, operations, crash);
            }
        }
        let Some(mean) = self.options.crash_every else {
            return;
        };
        let at = self.now + self.nemesis_rng.exponential(mean);
        let incarnation = self.nodes[&node].incarnation;
        self.queue
            .push(at, Scheduled::NemesisPatienceEnds { node, incarnation });
    }

    /// A doomed node that has been idle since dies where it stands, or a quiet world would see no
    /// crashes.
    pub(super) fn strike_doomed(&mut self, id: NodeId, incarnation: u64) {
        let Some(node) = self.nodes.get(&id) else {
            return;
        };
        if let Some(crash) = node.doom.or(node.disk_doom)
            && self.faults
            && node.process.is_some()
            && node.incarnation == incarnation
        {
            self.end(id, crash, How::BetweenSteps, 0);
            self.schedule_restart(id);
        }
    }

    /// The nodes fall into two sides that do not hear each other, or of which one does not hear the
    /// other. One partition at a time.
    pub(super) fn strike_partition(&mut self) {
        if !self.faults {
            return;
        }
        self.schedule_partition();
        if !self.partition.is_empty() || self.nodes.len() < 2 {
            return;
        }
        let mut ids = self.node_ids();
        self.nemesis_rng.shuffle(&mut ids);
        let (left, right) = ids.split_at(1 + self.nemesis_rng.index(ids.len() - 1));
        let one_way = self.nemesis_rng.chance(self.options.one_way_share);
        let pairs = left
            .iter()
            .flat_map(|&from| right.iter().map(move |&to| (from, to)));
        let links = pairs.flat_map(|(from, to)| {
            [(from, to)]
                .into_iter()
                .chain((!one_way).then_some((to, from)))
        });
        // A link that a test has cut is not the nemesis's to heal.
        self.partition = links
            .filter(|&(from, to)| !self.network.is_cut(from, to))
            .collect();
        for (from, to) in self.partition.clone() {
            self.cut(from, to);
        }
        self.stats.partitions += 1;
        let at = self.now + self.nemesis_rng.exponential(self.options.partition_lasts);
        self.queue.push(at, Scheduled::NemesisHeal);
    }

    pub(super) fn heal_partition(&mut self) {
        for (from, to) in std::mem::take(&mut self.partition) {
            self.heal(from, to);
        }
    }
}

/// A doomed disk dies within so many operations: enough to reach each point of a write, a snapshot,
/// a recovery.
const CRASH_OPERATIONS_MAX: u64 = 24;
