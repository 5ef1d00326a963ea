//! Steps of processes, and how processes begin and end.

use std::io;

use super::{Crash, Drop, Happening, How, Node, Scheduled, World};
use crate::disk::Disk;
use crate::rng::Rng;
use crate::world::network::Fate;
use crate::world::process::{Context, Event, NodeId, Process, Start};

impl<P: Process> World<P> {
    /// Ends the process on `node`, between two of its steps. It stays down until
    /// [`restart`](Self::restart). Nothing happens if it is down, except that [`Crash::Power`]
    /// takes what its disk had not synced.
    pub fn crash(&mut self, node: NodeId, crash: Crash) {
        if self.process(node).is_some() {
            self.end(node, crash, How::BetweenSteps, 0);
        } else if crash == Crash::Power
            && let Some(node) = self.nodes.get(&node)
        {
            node.disk.power_loss();
        }
    }

    /// All nodes at once.
    pub fn crash_all(&mut self, crash: Crash) {
        for node in self.node_ids() {
            self.crash(node, crash);
        }
    }

    /// Lets the next step of `node` end in a crash, with a drawn prefix of its messages sent.
    pub fn crash_in_step(&mut self, node: NodeId, crash: Crash) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.doom = Some(crash);
        }
    }

    /// Lets `node` die in the disk operation after the next `operations`: between a write and its
    /// sync, for instance.
    pub fn crash_at_operation(&mut self, node: NodeId, operations: u64, crash: Crash) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.disk.crash_after(operations);
            node.disk_doom = Some(crash);
        }
    }

    /// Starts a process on `node` if none runs there. Tells whether one runs now.
    pub fn restart(&mut self, node: NodeId) -> bool {
        if self.process(node).is_none() {
            self.start(node);
        }
        self.process(node).is_some()
    }

    pub(super) fn start(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        // A disk that is set to die in the next process keeps its order; a dead one comes back.
        if node.disk.is_dead() {
            node.disk.restart();
        }
        node.incarnation += 1;
        let start = Start {
            id,
            disk: node.disk.clone(),
            incarnation: node.incarnation,
            seed: node.rng.next_u64(),
        };
        self.stats.starts += 1;
        self.trace.note(
            self.now,
            id,
            Happening::Start {
                incarnation: node.incarnation,
            },
        );
        let mut context = Context::new(self.now);
        context.sync_delay = self.options.sync_min + self.rng.exponential(self.options.sync_mean);
        match P::start(start, &self.shared, &mut context) {
            Ok(process) => {
                node.process = Some(process);
                self.finish_step(id, Ok(()), context);
            }
            Err(error) => {
                self.stats.start_failures += 1;
                self.trace
                    .note(self.now, id, Happening::Error(error.to_string()));
                let crash = node.disk_doom.take().unwrap_or(Crash::Kill);
                let unsent = self.send_prefix(id, context);
                self.end(id, crash, How::AtStart, unsent);
                self.schedule_restart(id);
            }
        }
    }

    pub(super) fn deliver(&mut self, from: NodeId, to: NodeId, message: P::Message) {
        let why = if self.network.is_cut(from, to) {
            self.stats.cut += 1;
            Drop::Cut
        } else if self.process(to).is_none() {
            self.stats.undeliverable += 1;
            Drop::Down
        } else {
            self.stats.delivered += 1;
            self.trace.note(
                self.now,
                to,
                Happening::Delivered {
                    from,
                    message: message.clone(),
                },
            );
            return self.execute(to, Event::Message { from, message });
        };
        self.trace
            .note(self.now, from, Happening::Dropped { to, message, why });
    }

    pub(super) fn deliver_input(&mut self, node: NodeId, input: P::Input) {
        let text = format!("{input:?}");
        if self.process(node).is_none() {
            self.stats.undeliverable += 1;
            return self
                .trace
                .note(self.now, node, Happening::InputDropped(text));
        }
        self.trace.note(self.now, node, Happening::Input(text));
        self.execute(node, Event::Input(input));
    }

    pub(super) fn fire_timer(&mut self, id: NodeId, version: u64) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        if node.timer_version == version && node.timer.take().is_some() {
            self.trace.note(self.now, id, Happening::Timer);
            self.execute(id, Event::Timer);
        }
    }

    /// One step of a process that is up.
    pub(super) fn execute(&mut self, id: NodeId, event: Event<P::Message, P::Input>) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let Some(process) = &mut node.process else {
            return;
        };
        let mut context = Context::new(self.now);
        context.timer = node.timer;
        context.sync_delay = self.options.sync_min + self.rng.exponential(self.options.sync_mean);
        let result = process.handle(event, &mut context);
        self.finish_step(id, result, context);
    }

    /// Takes over what a step did, and lets its crash come to pass.
    fn finish_step(
        &mut self,
        id: NodeId,
        result: io::Result<()>,
        mut context: Context<P::Message>,
    ) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let died = result.is_err() || node.disk.is_dead();
        if let Err(error) = result {
            self.trace
                .note(self.now, id, Happening::Error(error.to_string()));
        }
        let (crash, how) = match (died, node.doom) {
            (true, _) => {
                // A process that gives up without being told to leaves the page cache behind.
                (node.disk_doom.take().unwrap_or(Crash::Kill), How::ByError)
            }
            (false, Some(crash)) => (crash, How::InStep),
            (false, None) => {
                if context.timer != node.timer {
                    node.timer = context.timer;
                    node.timer_version += 1;
                    if let Some(at) = context.timer {
                        let version = node.timer_version;
                        self.queue
                            .push(at.max(self.now), Scheduled::Timer { node: id, version });
                    }
                }
                if let Some(at) = context.sync_at {
                    let incarnation = node.incarnation;
                    self.queue.push(
                        at.max(self.now),
                        Scheduled::SyncDone {
                            node: id,
                            incarnation,
                        },
                    );
                }
                for (to, message) in std::mem::take(&mut context.sent) {
                    self.send(id, to, message);
                }
                return;
            }
        };
        let unsent = self.send_prefix(id, context);
        self.end(id, crash, how, unsent);
        self.schedule_restart(id);
    }

    /// Sends a drawn prefix of what a step that ends in a crash had to send, and tells how many are
    /// left.
    fn send_prefix(&mut self, id: NodeId, context: Context<P::Message>) -> usize {
        let sent = self.rng.index(context.sent.len() + 1);
        let unsent = context.sent.len() - sent;
        for (to, message) in context.sent.into_iter().take(sent) {
            self.send(id, to, message);
        }
        unsent
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: P::Message) {
        self.stats.sent += 1;
        let why = if self.network.is_cut(from, to) {
            self.stats.cut += 1;
            Drop::Cut
        } else {
            match self.network.fate(&self.options) {
                Fate::Once(delay) => {
                    return self
                        .queue
                        .push(self.now + delay, Scheduled::Message { from, to, message });
                }
                Fate::Twice(first, second) => {
                    self.stats.duplicated += 1;
                    let copy = Scheduled::Message {
                        from,
                        to,
                        message: message.clone(),
                    };
                    self.queue.push(self.now + first, copy);
                    return self
                        .queue
                        .push(self.now + second, Scheduled::Message { from, to, message });
                }
                Fate::Lost => {
                    self.stats.lost += 1;
                    Drop::Lost
                }
            }
        };
        self.trace
            .note(self.now, from, Happening::Dropped { to, message, why });
    }

    /// The process is gone, and with it what was set on it.
    pub(super) fn end(&mut self, id: NodeId, crash: Crash, how: How, unsent: usize) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.process = None;
        node.timer = None;
        node.doom = None;
        node.disk_doom = None;
        let power = crash == Crash::Power;
        match crash {
            Crash::Kill => node.disk.kill(),
            Crash::Power => node.disk.power_loss(),
        }
        if !matches!(how, How::AtStart) {
            self.stats.crashes += 1;
        }
        self.stats.power_losses += u64::from(power);
        self.stats.crashes_before_send += u64::from(unsent > 0);
        self.stats.crashes_by_error += u64::from(matches!(how, How::ByError));
        self.trace
            .note(self.now, id, Happening::Crash { power, how, unsent });
    }

    pub(super) fn schedule_restart(&mut self, id: NodeId) {
        let Some(mean) = self.options.restart_after else {
            return;
        };
        let Some(incarnation) = self.nodes.get(&id).map(|node| node.incarnation) else {
            return;
        };
        let at = self.now + self.rng.exponential(mean);
        self.queue.push(
            at,
            Scheduled::Restart {
                node: id,
                incarnation,
            },
        );
    }

    /// Takes back what was set to end the process on this node, and lets its disk sync.
    pub(super) fn spare(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        node.doom = None;
        node.disk_doom = None;
        node.disk.fail_syncs(false);
        node.disk.restart();
    }
}

impl<P> Node<P> {
    pub(super) fn new(disk: Disk, rng: Rng) -> Self {
        Self {
            process: None,
            disk,
            rng,
            incarnation: 0,
            timer: None,
            timer_version: 0,
            doom: None,
            disk_doom: None,
        }
    }
}
