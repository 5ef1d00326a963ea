//! Starting, stepping and ending processes.

use std::fmt::Write;
use std::io;
use std::time::Duration;

use super::{Doom, Happening, How, Scheduled, Why, World};
use crate::world::fault::Crash;
use crate::world::process::{Context, Event, NodeId, Process, Start};

impl<P: Process> World<P> {
    /// Ends the process on `node`, between two of its steps. It stays down until
    /// [`restart`](Self::restart). Nothing happens if it is down, except that [`Crash::Power`]
    /// still discards unsynced changes of its disk.
    pub fn crash(&mut self, node: NodeId, crash: Crash) {
        let Some(index) = self.index(node) else {
            return;
        };
        if self.nodes[index].process.is_some() {
            self.end(index, crash, How::BetweenSteps, 0);
        } else if crash == Crash::Power {
            self.nodes[index].disk.power_loss();
        }
    }

    /// All nodes at once.
    pub fn crash_all(&mut self, crash: Crash) {
        for node in self.node_ids() {
            self.crash(node, crash);
        }
    }

    /// Makes the next step of `node` end in a crash, with a random prefix of its messages sent. The
    /// node restarts by [`restart_after`](crate::WorldOptions::restart_after).
    pub fn crash_in_step(&mut self, node: NodeId, crash: Crash) {
        if let Some(index) = self.index(node) {
            let down = self.draw_down(index);
            self.nodes[index].doom = Some(Doom { crash, down });
        }
    }

    /// Makes `node` crash in the disk operation after the next `operations`: between a write and
    /// its sync, for instance. The node restarts by
    /// [`restart_after`](crate::WorldOptions::restart_after).
    pub fn crash_at_operation(&mut self, node: NodeId, operations: u64, crash: Crash) {
        if let Some(index) = self.index(node) {
            let down = self.draw_down(index);
            let node = &mut self.nodes[index];
            if node.process.is_none() {
                // The order is for the next process, and a dead disk would forget it at the start.
                node.disk.restart();
            }
            node.disk.crash_after(operations);
            node.disk_doom = Some(Doom { crash, down });
        }
    }

    /// Starts a process on `node` if none runs there. Returns whether one runs now.
    pub fn restart(&mut self, node: NodeId) -> bool {
        let Some(index) = self.index(node) else {
            return false;
        };
        if self.nodes[index].process.is_none() {
            self.start(index);
        }
        self.nodes[index].process.is_some()
    }

    pub(super) fn start(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        // A disk that is set to die in the next process keeps its order; a dead one comes back.
        if node.disk.is_dead() {
            node.disk.restart();
        }
        node.incarnation += 1;
        let start = Start {
            id: node.id,
            disk: node.disk.clone(),
            incarnation: node.incarnation,
            seed: node.rng.next_u64(),
            recorded: self.recording.is_some(),
        };
        let (id, incarnation) = (node.id, node.incarnation);
        self.stats.starts += 1;
        self.note(id, Happening::Start { incarnation });
        let mut context = self.context(index);
        match P::start(start, &self.shared, &mut context) {
            Ok(process) => {
                self.nodes[index].process = Some(process);
                self.finish_step(index, Ok(()), context);
            }
            Err(error) => {
                self.stats.start_failures += 1;
                self.note(id, Happening::Error(error.to_string()));
                let doom = self.doom_by_error(index);
                let unsent = self.send_prefix(index, context);
                self.end(index, doom.crash, How::AtStart, unsent);
                self.schedule_restart(index, doom.down);
            }
        }
    }

    pub(super) fn deliver_input(&mut self, id: NodeId, input: P::Input) {
        let Some(index) = self.index(id) else {
            self.stats.undeliverable += 1;
            return;
        };
        let node = &mut self.nodes[index];
        let up = node.process.is_some();
        if up && node.paused_until.is_some() {
            return node.backlog.push(Scheduled::Input { node: id, input });
        }
        self.note_input(id, &input, !up);
        if up {
            self.execute(index, Event::Input(input));
        } else {
            self.stats.undeliverable += 1;
        }
    }

    fn note_input(&mut self, id: NodeId, input: &P::Input, dropped: bool) {
        self.text.clear();
        // Writing to a string cannot fail.
        let _ = write!(self.text, "{input:?}");
        self.record_input(id, dropped);
        self.trace.note_input(self.now, id, &self.text, dropped);
    }

    pub(super) fn fire_timer(&mut self, id: NodeId, version: u64) {
        let Some(index) = self.index(id) else {
            return;
        };
        let node = &mut self.nodes[index];
        if node.timer_version != version {
            return;
        }
        if node.paused_until.is_some() {
            return node.backlog.push(Scheduled::Timer { node: id, version });
        }
        node.timer_entry = None;
        let Some(at) = node.timer else {
            return;
        };
        if node.clock.local(self.now) < at {
            return self.schedule_timer(index);
        }
        node.timer = None;
        self.note(id, Happening::Timer);
        self.execute(index, Event::Timer);
    }

    /// Ensures that there is a queue entry at or before the timer's due time.
    pub(super) fn schedule_timer(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        let Some(due) = node.timer.and_then(|at| node.clock.reaches(at)) else {
            return;
        };
        let due = due.max(self.now);
        if node.timer_entry.is_some_and(|entry| entry <= due) {
            return;
        }
        node.timer_entry = Some(due);
        node.timer_version += 1;
        let (node, version) = (node.id, node.timer_version);
        self.queue.push(due, Scheduled::Timer { node, version });
    }

    pub(super) fn end_sync(&mut self, id: NodeId, incarnation: u64) {
        let Some(index) = self.index(id) else {
            return;
        };
        let node = &mut self.nodes[index];
        if node.incarnation != incarnation || node.process.is_none() {
            return;
        }
        if node.stalled_until.is_some() {
            return node.stalled_syncs.push(incarnation);
        }
        if node.paused_until.is_some() {
            let sync = Scheduled::SyncDone {
                node: id,
                incarnation,
            };
            return node.backlog.push(sync);
        }
        self.note(id, Happening::SyncDone);
        self.execute(index, Event::SyncDone);
    }

    /// One step of a process that is up.
    pub(super) fn execute(&mut self, index: usize, event: Event<P::Message, P::Input>) {
        let mut context = self.context(index);
        if let Some(process) = &mut self.nodes[index].process {
            let result = process.handle(event, &mut context);
            self.finish_step(index, result, context);
        }
    }

    fn context(&mut self, index: usize) -> Context<P::Message> {
        let node = &mut self.nodes[index];
        let (min, mean) = (self.options.sync_min, self.options.sync_mean);
        let sync_delay = *node
            .sync_delay
            .get_or_insert_with(|| min + node.rng.exponential(mean));
        let mut context = Context::new(node.clock.local(self.now));
        context.wall = node.clock.wall(self.now);
        context.true_now = self.now;
        context.sent = std::mem::take(&mut self.outbox);
        context.timer = node.timer;
        context.sync_delay = sync_delay;
        context
    }

    /// Applies the effects of a step, and its crash if there is one.
    fn finish_step(
        &mut self,
        index: usize,
        result: io::Result<()>,
        mut context: Context<P::Message>,
    ) {
        let node = &mut self.nodes[index];
        let id = node.id;
        let died = result.is_err() || node.disk.is_dead();
        if let Err(error) = result {
            self.note(id, Happening::Error(error.to_string()));
        }
        let node = &mut self.nodes[index];
        let (doom, how) = match (died, node.doom) {
            (true, _) => (self.doom_by_error(index), How::ByError),
            (false, Some(doom)) => (doom, How::InStep),
            (false, None) => {
                if let Some(at) = context.sync_at {
                    node.sync_delay = None;
                    let at = self.now.saturating_add(at.saturating_sub(context.now));
                    let incarnation = node.incarnation;
                    let sync = Scheduled::SyncDone {
                        node: id,
                        incarnation,
                    };
                    self.queue.push(at, sync);
                }
                if context.timer != node.timer {
                    node.timer = context.timer;
                    self.schedule_timer(index);
                }
                for (to, message) in context.sent.drain(..) {
                    self.send(id, to, message);
                }
                self.outbox = context.sent;
                return self.record_view(index);
            }
        };
        let unsent = self.send_prefix(index, context);
        self.end(index, doom.crash, how, unsent);
        self.schedule_restart(index, doom.down);
    }

    /// After an error of the process itself the page cache survives.
    fn doom_by_error(&mut self, index: usize) -> Doom {
        let node = &self.nodes[index];
        match node.disk_doom.or(node.doom) {
            Some(doom) => doom,
            None => Doom {
                crash: Crash::Kill,
                down: self.draw_down(index),
            },
        }
    }

    /// Sends a random prefix of the messages of a step that ends in a crash, and returns how many
    /// are left.
    fn send_prefix(&mut self, index: usize, context: Context<P::Message>) -> usize {
        let node = &mut self.nodes[index];
        let (id, sent) = (node.id, node.rng.index(context.sent.len() + 1));
        let unsent = context.sent.len() - sent;
        for (to, message) in context.sent.into_iter().take(sent) {
            self.send(id, to, message);
        }
        unsent
    }

    /// Removes the process, its timers and its queued events.
    pub(super) fn end(&mut self, index: usize, crash: Crash, how: How, unsent: usize) {
        let node = &mut self.nodes[index];
        let id = node.id;
        node.process = None;
        node.timer = None;
        node.timer_entry = None;
        node.timer_version += 1;
        node.doom = None;
        node.disk_doom = None;
        node.paused_until = None;
        node.stalled_syncs.clear();
        let backlog = std::mem::take(&mut node.backlog);
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
        self.note(id, Happening::Crash { power, how, unsent });
        for waiting in backlog {
            match waiting {
                Scheduled::Received {
                    from,
                    to,
                    message,
                    recorded,
                } => {
                    self.stats.undeliverable += 1;
                    self.note_drop(from, to, (message, recorded), Why::Down);
                }
                Scheduled::Input { node, input } => {
                    self.stats.undeliverable += 1;
                    self.note_input(node, &input, true);
                }
                _ => {}
            }
        }
    }

    /// How long a node stays down.
    pub(super) fn draw_down(&mut self, index: usize) -> Option<Duration> {
        let mean = self.options.restart_after?;
        Some(self.nodes[index].rng.exponential(mean))
    }

    pub(super) fn schedule_restart(&mut self, index: usize, down: Option<Duration>) {
        let node = &self.nodes[index];
        if let Some(down) = down
            && !node.left_outside
        {
            let restart = Scheduled::Restart {
                node: node.id,
                incarnation: node.incarnation,
            };
            self.queue.push(self.now.saturating_add(down), restart);
        }
    }

    pub(super) fn come_back(&mut self, id: NodeId, incarnation: u64) {
        if let Some(index) = self.index(id) {
            let node = &self.nodes[index];
            if node.incarnation == incarnation && node.process.is_none() && !node.left_outside {
                self.start(index);
            }
        }
    }
}
