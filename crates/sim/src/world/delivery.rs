//! Messages in transit: sent, lost, duplicated, delayed, received.

use super::{Ending, Happening, Scheduled, Why, World};
use crate::page::MessageId;
use crate::rng::Rng;
use crate::world::process::{Event, NodeId, Process};
use crate::world::queue::Ticket;

impl<P: Process> World<P> {
    /// Cuts the link from `from` to `to`, including messages in flight. The other direction is not
    /// affected.
    pub fn cut(&mut self, from: NodeId, to: NodeId) {
        if let Some(link) = self.link(from, to)
            && !link.cut
        {
            link.cut = true;
            self.note(from, Happening::Cut { to });
        }
    }

    /// Opens the link from `from` to `to` again, whatever cut or clogged it.
    pub fn heal(&mut self, from: NodeId, to: NodeId) {
        if let Some(link) = self.link(from, to)
            && link.is_cut()
        {
            link.cut = false;
            link.cut_until = None;
            self.note(from, Happening::Healed { to });
        }
        self.unclog(from, to);
    }

    /// Whether the link from `from` to `to` is neither cut nor clogged.
    #[must_use]
    pub fn is_open(&self, from: NodeId, to: NodeId) -> bool {
        let (Some(source), Some(target)) = (self.index(from), self.index(to)) else {
            return false;
        };
        let link = &self.links[source * self.nodes.len() + target];
        !link.is_cut() && link.clogged_until.is_none()
    }

    /// Cuts both directions between `node` and every other node.
    pub fn isolate(&mut self, node: NodeId) {
        for other in self.node_ids().into_iter().filter(|&other| other != node) {
            self.cut(node, other);
            self.cut(other, node);
        }
    }

    /// Opens every link.
    pub fn heal_all(&mut self) {
        for from in self.node_ids() {
            for to in self.node_ids() {
                self.heal(from, to);
            }
        }
    }

    pub(super) fn send(&mut self, from: NodeId, to: NodeId, message: P::Message) {
        self.stats.sent += 1;
        let recorded = self.record_sent(from, to, &message);
        let (now, row) = (self.now, self.nodes.len());
        let (Some(source), Some(target)) = (self.index(from), self.index(to)) else {
            self.stats.undeliverable += 1;
            return self.note_drop(from, to, (message, recorded), Why::Down);
        };
        let link = &mut self.links[source * row + target];
        let fate = link.fate(&self.options);
        if link.is_cut() {
            self.stats.cut += 1;
            return self.note_drop(from, to, (message, recorded), Why::Cut);
        }
        if let Some(delay) = fate.old {
            self.stats.old_copies += 1;
            let copy = self.copy(from, to, &message);
            self.queue.push(now.saturating_add(delay), copy);
        }
        let Some(delay) = fate.once else {
            self.stats.lost += 1;
            return self.note_drop(from, to, (message, recorded), Why::Lost);
        };
        let max = self.options.link_messages_max;
        let index = source * row + target;
        let counts = max < usize::MAX && !self.links[index].sound;
        if let Some(delay) = fate.twice {
            self.stats.duplicated += 1;
            let copy = self.copy(from, to, &message);
            let ticket = self.queue.push(now.saturating_add(delay), copy);
            if counts {
                self.links[index].under_way.push(ticket);
            }
        }
        let whole = Scheduled::Message {
            from,
            to,
            message,
            recorded,
        };
        let ticket = self.queue.push(now.saturating_add(delay), whole);
        if counts {
            self.links[index].under_way.push(ticket);
            self.overflow(index, fate.full, max);
        }
    }

    fn copy(&self, from: NodeId, to: NodeId, message: &P::Message) -> Scheduled<P> {
        Scheduled::Message {
            from,
            to,
            message: message.clone(),
            recorded: self.record_sent(from, to, message),
        }
    }

    /// Drops random messages of a link until it is within its limit.
    fn overflow(&mut self, link: usize, seed: u64, max: usize) {
        let mut rng = Rng::new(seed);
        loop {
            let link = &mut self.links[link];
            let length = link.under_way.len() + link.backlog.len();
            if length <= max.max(1) {
                return;
            }
            let chosen = rng.index(length);
            let dropped = match chosen.checked_sub(link.under_way.len()) {
                Some(waiting) => Some(link.backlog.remove(waiting)),
                None => self.queue.cancel(link.under_way.swap_remove(chosen)),
            };
            if let Some(Scheduled::Message {
                from,
                to,
                message,
                recorded,
            }) = dropped
            {
                self.stats.overflowed += 1;
                self.note_drop(from, to, (message, recorded), Why::Full);
            }
        }
    }

    /// A message has come to the end of its link.
    pub(super) fn arrive(
        &mut self,
        ticket: Ticket,
        from: NodeId,
        to: NodeId,
        (message, recorded): Tracked<P>,
    ) {
        let Some(link) = self.link(from, to) else {
            return;
        };
        if !link.under_way.is_empty()
            && let Some(at) = link.under_way.iter().position(|&other| other == ticket)
        {
            link.under_way.swap_remove(at);
        }
        if link.is_cut() {
            self.stats.cut += 1;
            return self.note_drop(from, to, (message, recorded), Why::Cut);
        }
        if link.clogged_until.is_some() {
            link.backlog.push(Scheduled::Message {
                from,
                to,
                message,
                recorded,
            });
            self.stats.clogged += 1;
            return;
        }
        self.receive(from, to, (message, recorded));
    }

    /// A message has reached its node and left its link.
    pub(super) fn receive(&mut self, from: NodeId, to: NodeId, (message, recorded): Tracked<P>) {
        let Some(index) = self.index(to) else {
            return;
        };
        let node = &mut self.nodes[index];
        if node.process.is_none() {
            self.stats.undeliverable += 1;
            return self.note_drop(from, to, (message, recorded), Why::Down);
        }
        if node.paused_until.is_some() {
            return node.backlog.push(Scheduled::Received {
                from,
                to,
                message,
                recorded,
            });
        }
        self.stats.delivered += 1;
        self.record_received(recorded);
        self.trace.note_delivered(self.now, to, from, &message);
        self.execute(index, Event::Message { from, message });
    }

    pub(super) fn note_drop(
        &mut self,
        from: NodeId,
        to: NodeId,
        (message, recorded): Tracked<P>,
        why: Why,
    ) {
        self.record_lost(recorded, &why);
        self.trace
            .note(self.now, from, Happening::Dropped { to, message, why });
    }

    /// Delivers the messages that waited on a clogged link.
    pub(super) fn unclog(&mut self, from: NodeId, to: NodeId) {
        let now = self.now;
        let Some(link) = self.link(from, to) else {
            return;
        };
        if link.clogged_until.take().is_none() {
            return;
        }
        for message in std::mem::take(&mut link.backlog) {
            self.queue.push(now, message);
        }
        let ending = Happening::Ended(Ending::Clog { from, to });
        self.note(from, ending);
    }
}

/// A message, with its id if the run is recorded.
type Tracked<P> = (<P as Process>::Message, Option<MessageId>);
