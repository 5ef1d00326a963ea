//! A way through the states once more, recorded step by step.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::atlas::{Atlas, Event};
use super::explore::Happened;
use super::system::System;
use crate::page::{MessageId, Recorder};
use crate::world::NodeId;

/// Where a retraced way has come to.
struct Retrace<'a, 'b, S: System> {
    atlas: &'a mut Atlas<'b, S>,
    recorder: Recorder,
    /// The nodes by their places.
    nodes: Vec<u32>,
    /// What was sent to whom. It stays, and is received from here any number of times.
    sent: BTreeMap<(u32, usize), MessageId>,
    received: BTreeSet<MessageId>,
    now: Duration,
}

impl<S: System> Atlas<'_, S> {
    /// Records a way from the first state to a broken rule, silent steps included.
    pub(super) fn record(&mut self, path: &[Happened], rule: &str) -> Recorder {
        let nodes = self.first.clone();
        let mut retrace = Retrace {
            atlas: self,
            recorder: Recorder::new("The shortest way to a broken rule"),
            nodes,
            sent: BTreeMap::new(),
            received: BTreeSet::new(),
            now: Duration::ZERO,
        };
        for place in 0..retrace.nodes.len() {
            let name = retrace.atlas.system.name(place);
            retrace.recorder.name(id(place), &name);
            retrace.look_at(place);
        }
        for happened in path {
            let place = usize::from(happened.place);
            for event in retrace.silent_way(place, happened.node) {
                retrace.happen(place, event);
            }
            if let Some(event) = happened.event {
                retrace.happen(place, event);
            }
        }
        retrace.recorder.violation(rule);
        retrace.recorder
    }
}

impl<S: System> Retrace<'_, '_, S> {
    /// The silent steps that make of the node at a place the one that is wanted, by what was sent
    /// until now. A shortest way.
    fn silent_way(&self, place: usize, wanted: u32) -> Vec<Event> {
        let mut origins: BTreeMap<u32, Option<(u32, Event)>> = BTreeMap::new();
        let first = self.nodes[place];
        origins.insert(first, None);
        let mut open = VecDeque::from([first]);
        while let Some(node) = open.pop_front().filter(|node| *node != wanted) {
            for (event, to) in self.atlas.silent_steps(node) {
                let message = event.message;
                let can = message.is_none_or(|it| self.sent.contains_key(&(it, place)));
                if can && !origins.contains_key(&to) {
                    origins.insert(to, Some((node, event)));
                    open.push_back(to);
                }
            }
        }
        let mut way = Vec::new();
        let mut at = wanted;
        while let Some(Some((before, event))) = origins.get(&at) {
            way.push(*event);
            at = *before;
        }
        way.reverse();
        way
    }

    fn happen(&mut self, place: usize, event: Event) {
        self.now += STEP;
        self.begin(place, event);
        let step = self.atlas.step(self.nodes[place], event);
        // A node that breaks an assertion of its own makes nothing more of it.
        if let Ok(Some(known)) = self.atlas.known_step(step) {
            self.nodes[place] = known.to;
        }
        for message in self.atlas.sent(step).to_vec() {
            self.send(place, &message);
        }
        self.look_at(place);
    }

    /// A message is received, or something else happens.
    fn begin(&mut self, place: usize, event: Event) {
        let sent = event.message.and_then(|it| self.sent.get(&(it, place)));
        if let Some(&sent) = sent {
            let again = !self.received.insert(sent);
            let message = if again {
                self.recorder.copied(sent)
            } else {
                sent
            };
            self.recorder.received(self.now, message);
            return;
        }
        let (system, input) = (self.atlas.system, self.atlas.input(event.kind));
        let message = event.message.map(|message| self.atlas.message(message));
        let text = system.tell(place, input, message);
        let kind = system.kind(input);
        self.recorder.event(self.now, id(place), kind, &text);
    }

    /// To everybody who would take it.
    fn send(&mut self, from: usize, message: &S::Message) {
        let system = self.atlas.system;
        let (name, text) = system.caption(message);
        for to in (0..self.nodes.len()).filter(|to| *to != from) {
            if !system.hears(self.atlas.node(self.nodes[to]), message) {
                continue;
            }
            let Some(number) = self.atlas.number_of(message) else {
                continue;
            };
            let caption = (name.as_str(), text.as_str());
            let sent = self.recorder.sent(self.now, id(from), id(to), caption);
            if system.carries(message) {
                self.sent.entry((number, to)).or_insert(sent);
            } else {
                self.recorder
                    .lost(self.now, sent, "the network carries no such message");
            }
        }
    }

    fn look_at(&self, place: usize) {
        let view = self.atlas.system.view(self.atlas.node(self.nodes[place]));
        self.recorder.view(self.now, id(place), view);
    }
}

fn id(place: usize) -> NodeId {
    NodeId(place as u64)
}

/// Nothing here has a duration; on the page steps are this far apart.
const STEP: Duration = Duration::from_millis(1);
