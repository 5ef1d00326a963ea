//! Randomly injected faults, drawn from the world's seed, with a separate generator for each kind.

use std::time::Duration;

use super::{Node, Scheduled, World};
use crate::rng::Rng;
use crate::world::clock::Clock;
use crate::world::fault::{ClockChange, Crash, Fault, FaultKind, Strike};
use crate::world::options::WorldOptions;
use crate::world::partition;
use crate::world::process::{NodeId, Process};

pub(super) struct Nemesis {
    /// By kind.
    rngs: [Rng; FaultKind::ALL.len()],
    /// For initial clock errors, the disks that may rot, and the healed core.
    clocks: Rng,
    rotting: Rng,
    pub(super) core: Rng,
}

impl Nemesis {
    pub(super) fn new(mut rng: Rng) -> Self {
        Self {
            clocks: rng.fork(),
            rotting: rng.fork(),
            core: rng.fork(),
            rngs: FaultKind::ALL.map(|_| rng.fork()),
        }
    }

    /// Lets each clock begin with an error.
    pub(super) fn set_clocks<'a>(
        &mut self,
        options: &WorldOptions,
        clocks: impl Iterator<Item = &'a mut Clock>,
    ) {
        for clock in clocks {
            let (mut drift, mut step, mut uptime) =
                (self.clocks.fork(), self.clocks.fork(), self.clocks.fork());
            if options.drift_ppm_max > 0 {
                clock.change(Duration::ZERO, draw_drift(options, &mut drift));
            }
            if options.wall_offset_max > Duration::ZERO {
                let by = below(options.wall_offset_max, &mut step);
                clock.change(Duration::ZERO, draw_step(by, &mut step));
            }
            clock.set_uptime(below(options.uptime_max, &mut uptime));
        }
    }

    /// Chooses the disks that may rot.
    pub(super) fn choose_rotting<P: Process>(
        &mut self,
        options: &WorldOptions,
        nodes: &mut [Node<P>],
    ) {
        let max = options.rotting_max(nodes.len());
        let mut order: Vec<usize> = (0..nodes.len()).collect();
        self.rotting.shuffle(&mut order);
        for index in order.into_iter().take(max) {
            nodes[index].may_rot = true;
        }
    }
}

impl<P: Process> World<P> {
    /// Puts the script into the queue, or the first draw of each kind.
    pub(super) fn schedule_faults(&mut self) {
        if let Some(script) = self.options.script.clone() {
            for (at, fault) in script.0 {
                self.queue.push(at, Scheduled::Strike(Box::new(fault)));
            }
            return;
        }
        for kind in FaultKind::ALL {
            self.schedule_draw(kind);
        }
    }

    fn schedule_draw(&mut self, kind: FaultKind) {
        if let Some(mean) = self.options.every(kind) {
            let wait = self.nemesis.rngs[kind as usize].exponential(mean);
            let at = self.now.saturating_add(wait);
            self.queue.push(at, Scheduled::Nemesis(kind));
        }
    }

    /// The next fault of a kind is due.
    pub(super) fn draw_faults(&mut self, kind: FaultKind) {
        if !self.faults {
            return;
        }
        self.schedule_draw(kind);
        let mut rng = self.nemesis.rngs[kind as usize].clone();
        if kind == FaultKind::Clog {
            for (after, fault) in self.draw_clogs(&mut rng) {
                let at = self.now.saturating_add(after);
                self.queue.push(at, Scheduled::Strike(Box::new(fault)));
            }
        } else if let Some(fault) = self.draw_fault(kind, &mut rng) {
            self.strike_and_record(fault);
        }
        self.nemesis.rngs[kind as usize] = rng;
    }

    fn draw_fault(&self, kind: FaultKind, rng: &mut Rng) -> Option<Fault> {
        let options = &self.options;
        Some(match kind {
            FaultKind::Crash => self.draw_crash(rng)?,
            FaultKind::PowerAll => Fault::PowerAll {
                down: options.restart_after.map(|mean| rng.exponential(mean)),
            },
            FaultKind::Pause => Fault::Pause {
                node: self.choose(rng, |node| node.process.is_some())?,
                lasts: rng.exponential(options.pause_lasts),
            },
            FaultKind::Partition => self.draw_partition(rng)?,
            FaultKind::Drift => self.draw_clock(rng, |rng| draw_drift(options, rng))?,
            FaultKind::Freeze => self.draw_clock(rng, |rng| ClockChange::Freeze {
                lasts: rng.exponential(options.freeze_lasts),
            })?,
            FaultKind::Jump => self.draw_clock(rng, |rng| ClockChange::Jump {
                by: rng.exponential(options.jump_by),
            })?,
            FaultKind::Step => self.draw_clock(rng, |rng| {
                let by = rng.exponential(options.step_by);
                draw_step(by, rng)
            })?,
            FaultKind::DiskStall => Fault::DiskStall {
                node: self.choose(rng, |_| true)?,
                lasts: rng.exponential(options.disk_stall_lasts),
            },
            FaultKind::SyncError => Fault::SyncError {
                node: self.choose(rng, |node| node.process.is_some())?,
            },
            FaultKind::DiskFull => Fault::DiskFull {
                node: self.choose(rng, |_| true)?,
                lasts: rng.exponential(options.disk_full_lasts),
            },
            FaultKind::Rot => Fault::Rot {
                node: self.choose(rng, |node| node.may_rot)?,
                seed: rng.next_u64(),
            },
            FaultKind::Loss
            | FaultKind::Duplication
            | FaultKind::OldCopy
            | FaultKind::FullLink
            | FaultKind::Clog => return None,
        })
    }

    fn choose(&self, rng: &mut Rng, fits: impl Fn(&Node<P>) -> bool) -> Option<NodeId> {
        let fit: Vec<NodeId> = self
            .nodes
            .iter()
            .filter(|node| fits(node))
            .map(|node| node.id)
            .collect();
        fit.get(rng.index(fit.len())).copied()
    }

    fn draw_crash(&self, rng: &mut Rng) -> Option<Fault> {
        let well = self.nodes.iter().filter(|node| node.is_well()).count();
        if self.nodes.len() - well >= self.options.down_max {
            return None;
        }
        Some(Fault::Crash {
            node: self.choose(rng, Node::is_well)?,
            crash: match rng.chance(self.options.power_loss_share) {
                true => Crash::Power,
                false => Crash::Kill,
            },
            strike: match rng.below(3) {
                0 => Strike::Now,
                1 => Strike::InStep,
                _ => Strike::AtOperation(rng.below(CRASH_OPERATIONS_MAX)),
            },
            down: self.options.restart_after.map(|mean| rng.exponential(mean)),
        })
    }

    /// One partition at a time.
    fn draw_partition(&self, rng: &mut Rng) -> Option<Fault> {
        if self.links.iter().any(|link| link.cut_until.is_some()) {
            return None;
        }
        let leads = |node: &Node<P>| node.process.as_ref().is_some_and(P::leads);
        let leader = self.choose(rng, leads);
        let share = self.options.one_way_share;
        let cuts = partition::draw(&self.node_ids(), leader, share, rng);
        let lasts = rng.exponential(self.options.partition_lasts);
        (!cuts.is_empty()).then_some(Fault::Partition { cuts, lasts })
    }

    fn draw_clock(
        &self,
        rng: &mut Rng,
        change: impl FnOnce(&mut Rng) -> ClockChange,
    ) -> Option<Fault> {
        let node = self.choose(rng, |_| true)?;
        let change = change(rng);
        Some(Fault::Clock { node, change })
    }

    /// One link, or (FoundationDB's swizzle) all links of some nodes, one node after the other, to
    /// come free in another order.
    fn draw_clogs(&self, rng: &mut Rng) -> Vec<(Duration, Fault)> {
        let (mut ids, mean) = (self.node_ids(), self.options.clog_lasts);
        rng.shuffle(&mut ids);
        if ids.len() < 2 {
            return Vec::new();
        }
        if rng.chance(0.5) {
            let (from, to, lasts) = (ids[0], ids[1], rng.exponential(mean));
            return vec![(Duration::ZERO, Fault::Clog { from, to, lasts })];
        }
        let all = ids.clone();
        ids.truncate(1 + rng.index(all.len() - 1));
        let mut clogs = Vec::new();
        for node in ids {
            let after = rng.exponential(mean / 4);
            let lasts = rng.exponential(mean);
            for &other in all.iter().filter(|&&other| other != node) {
                for (from, to) in [(node, other), (other, node)] {
                    clogs.push((after, Fault::Clog { from, to, lasts }));
                }
            }
        }
        clogs
    }
}

fn draw_drift(options: &WorldOptions, rng: &mut Rng) -> ClockChange {
    let max = i32::try_from(options.drift_ppm_max).map_or(PPM_MAX, |max| max.min(PPM_MAX));
    let ppm = rng.below(2 * max as u64 + 1) as i32 - max;
    ClockChange::Drift { ppm }
}

fn draw_step(by: Duration, rng: &mut Rng) -> ClockChange {
    match rng.chance(0.5) {
        true => ClockChange::StepForward { by },
        false => ClockChange::StepBack { by },
    }
}

fn below(max: Duration, rng: &mut Rng) -> Duration {
    Duration::from_nanos(rng.below(u64::try_from(max.as_nanos()).unwrap_or(u64::MAX)))
}

/// The greatest number of operations before a disk crash: enough to reach each point of a write, a
/// snapshot, a recovery.
const CRASH_OPERATIONS_MAX: u64 = 24;

/// The greatest drift; at -1,000,000 ppm the clock would stop.
const PPM_MAX: i32 = 999_999;
