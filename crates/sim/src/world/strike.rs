//! Injection and end of faults.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Doom, EVERYWHERE, Ending, Happening, How, Scheduled, World};
use crate::rng::Rng;
use crate::world::fault::{Crash, Fault, Strike};
use crate::world::process::{NodeId, Process};

impl<P: Process> World<P> {
    /// Injects a fault now, and returns whether it had any effect: a process that is down cannot be
    /// paused. It is not recorded in [`faults`](Self::faults).
    pub fn strike(&mut self, fault: &Fault) -> bool {
        match fault {
            Fault::PowerAll { down } => {
                self.note_strike(EVERYWHERE, fault);
                self.strike_all(*down);
                return true;
            }
            Fault::Partition { cuts, lasts } => return self.strike_partition(fault, cuts, *lasts),
            Fault::Clog { from, to, lasts } => return self.strike_clog(fault, *from, *to, *lasts),
            _ => {}
        }
        match fault.node().and_then(|id| self.index(id)) {
            Some(index) => self.strike_node(index, fault),
            None => false,
        }
    }

    fn strike_node(&mut self, index: usize, fault: &Fault) -> bool {
        let (id, now) = (self.nodes[index].id, self.now);
        if let Fault::Crash {
            crash,
            strike,
            down,
            ..
        } = *fault
        {
            return self.strike_crash(index, Doom { crash, down }, strike, fault);
        }
        let node = &mut self.nodes[index];
        let ends = match *fault {
            Fault::Pause { lasts, .. } if node.process.is_some() => {
                self.stats.pauses += 1;
                let ends = prolong(&mut node.paused_until, now, lasts);
                Some((ends, Ending::Pause(id)))
            }
            Fault::DiskStall { lasts, .. } => {
                self.stats.disk_stalls += 1;
                let ends = prolong(&mut node.stalled_until, now, lasts);
                Some((ends, Ending::Stall(id)))
            }
            Fault::DiskFull { lasts, .. } => {
                self.stats.disk_fulls += 1;
                node.disk.fill(true);
                let ends = prolong(&mut node.full_until, now, lasts);
                Some((ends, Ending::Full(id)))
            }
            Fault::Clock { change, .. } => {
                self.stats.clock_changes += 1;
                node.clock.change(now, change);
                let until = node.clock.frozen_until();
                self.schedule_timer(index);
                until.map(|until| (until, Ending::Freeze(id)))
            }
            Fault::SyncError { .. } => {
                self.stats.sync_errors += 1;
                node.disk.fail_next_sync();
                None
            }
            Fault::Rot { seed, .. } if P::rot(&node.disk, &mut Rng::new(seed)) => {
                self.stats.rots += 1;
                node.rotted = true;
                None
            }
            _ => return false,
        };
        self.note_strike(id, fault);
        if let Some((at, ending)) = ends {
            self.schedule_end(at, ending);
        }
        true
    }

    /// A fault of the nemesis or of the script.
    pub(super) fn strike_and_record(&mut self, fault: Fault) {
        if self.faults && self.strike(&fault) {
            self.struck.push((self.now, fault));
        }
    }

    fn strike_crash(&mut self, index: usize, doom: Doom, strike: Strike, fault: &Fault) -> bool {
        let node = &mut self.nodes[index];
        let id = node.id;
        if node.process.is_none() {
            if doom.crash == Crash::Power {
                node.disk.power_loss();
                self.note_strike(id, fault);
            }
            return doom.crash == Crash::Power;
        }
        match strike {
            Strike::Now => {
                self.end(index, doom.crash, How::BetweenSteps, 0);
                self.schedule_restart(index, doom.down);
                return true;
            }
            Strike::InStep => node.doom = Some(doom),
            Strike::AtOperation(operations) => {
                node.disk.crash_after(operations);
                node.disk_doom = Some(doom);
            }
        }
        let expiry = Scheduled::StrikeExpires {
            node: id,
            incarnation: node.incarnation,
        };
        self.queue.push(self.now.saturating_add(TIMEOUT), expiry);
        self.note_strike(id, fault);
        true
    }

    /// A doomed node that has not reached the chosen point crashes now; otherwise there would be no
    /// crashes in an idle world.
    pub(super) fn expire_strike(&mut self, id: NodeId, incarnation: u64) {
        let Some(index) = self.index(id) else {
            return;
        };
        let node = &self.nodes[index];
        if let Some(doom) = node.doom.or(node.disk_doom)
            && node.process.is_some()
            && node.incarnation == incarnation
        {
            self.end(index, doom.crash, How::BetweenSteps, 0);
            self.schedule_restart(index, doom.down);
        }
    }

    fn strike_all(&mut self, down: Option<Duration>) {
        self.stats.power_alls += 1;
        for index in 0..self.nodes.len() {
            if self.nodes[index].process.is_none() {
                // It restarts when it would have restarted anyway.
                self.nodes[index].disk.power_loss();
                continue;
            }
            let share = self.nodes[index].rng.fraction();
            self.end(index, Crash::Power, How::BetweenSteps, 0);
            self.schedule_restart(index, down.map(|down| down.mul_f64(share)));
        }
    }

    fn strike_partition(
        &mut self,
        fault: &Fault,
        cuts: &BTreeSet<(NodeId, NodeId)>,
        lasts: Duration,
    ) -> bool {
        let (now, mut any) = (self.now, false);
        for &(from, to) in cuts {
            if let Some(link) = self.link(from, to) {
                prolong(&mut link.cut_until, now, lasts);
                any = true;
            }
        }
        if !any {
            return false;
        }
        self.stats.partitions += 1;
        self.note_strike(EVERYWHERE, fault);
        self.schedule_end(self.now.saturating_add(lasts), Ending::Partition);
        true
    }

    fn strike_clog(&mut self, fault: &Fault, from: NodeId, to: NodeId, lasts: Duration) -> bool {
        let now = self.now;
        let Some(link) = self.link(from, to) else {
            return false;
        };
        let ends = prolong(&mut link.clogged_until, now, lasts);
        self.stats.clogs += 1;
        self.note_strike(from, fault);
        self.schedule_end(ends, Ending::Clog { from, to });
        true
    }

    /// Ends a fault, unless another one has prolonged it.
    pub(super) fn end_fault(&mut self, ending: Ending) {
        let now = self.now;
        let over = |until: Option<Duration>| until.is_some_and(|until| until <= now);
        match ending {
            Ending::Partition => {
                let mut ended = false;
                for link in &mut self.links {
                    if over(link.cut_until) {
                        link.cut_until = None;
                        ended = true;
                    }
                }
                if ended {
                    self.note(EVERYWHERE, Happening::Ended(ending));
                }
            }
            Ending::Clog { from, to } => {
                if self
                    .link(from, to)
                    .is_some_and(|link| over(link.clogged_until))
                {
                    self.unclog(from, to);
                }
            }
            Ending::Pause(id) | Ending::Freeze(id) | Ending::Stall(id) | Ending::Full(id) => {
                let Some(index) = self.index(id) else {
                    return;
                };
                let node = &self.nodes[index];
                let until = match ending {
                    Ending::Pause(_) => node.paused_until,
                    Ending::Freeze(_) => node.clock.frozen_until(),
                    Ending::Stall(_) => node.stalled_until,
                    _ => node.full_until,
                };
                if over(until) {
                    self.end_on_node(index, ending);
                }
            }
        }
    }

    /// Ends what goes on at a node, if it does.
    pub(super) fn end_on_node(&mut self, index: usize, ending: Ending) {
        let now = self.now;
        let node = &mut self.nodes[index];
        let id = node.id;
        let was = match ending {
            Ending::Pause(_) => node.paused_until.take(),
            Ending::Freeze(_) => node.clock.frozen_until(),
            Ending::Stall(_) => node.stalled_until.take(),
            Ending::Full(_) => node.full_until.take(),
            Ending::Partition | Ending::Clog { .. } => None,
        };
        if was.is_none() {
            return;
        }
        self.note(id, Happening::Ended(ending));
        let node = &mut self.nodes[index];
        match ending {
            Ending::Pause(_) => {
                for waiting in std::mem::take(&mut node.backlog) {
                    self.queue.push(now, waiting);
                }
            }
            Ending::Freeze(_) => {
                node.clock.thaw(now);
                self.schedule_timer(index);
            }
            Ending::Stall(_) => {
                for incarnation in std::mem::take(&mut node.stalled_syncs) {
                    let node = id;
                    self.queue
                        .push(now, Scheduled::SyncDone { node, incarnation });
                }
            }
            Ending::Full(_) => node.disk.fill(false),
            Ending::Partition | Ending::Clog { .. } => {}
        }
    }

    fn schedule_end(&mut self, at: Duration, ending: Ending) {
        self.queue.push(at, Scheduled::Ends(ending));
    }

    fn note_strike(&mut self, node: NodeId, fault: &Fault) {
        self.note(node, Happening::Struck(fault.clone()));
    }
}

/// Sets the end of something, unless it lasts longer already, and tells the end.
fn prolong(until: &mut Option<Duration>, now: Duration, lasts: Duration) -> Duration {
    let ends = now.saturating_add(lasts);
    *until.insert(until.map_or(ends, |until| until.max(ends)))
}

/// How long a pending crash waits for its chosen point.
const TIMEOUT: Duration = Duration::from_millis(100);
