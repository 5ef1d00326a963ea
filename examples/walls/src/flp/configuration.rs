//! Processes and the messages between them, as the attacker sees them.

use std::collections::VecDeque;
use std::rc::Rc;

use super::protocol::all;
use super::{Event, ProcessId, Protocol, Sends, Value};

/// The states of all processes and what is in transit. Cheap to copy: what does not change is
/// shared.
#[derive(Debug)]
pub(super) struct Configuration<P: Protocol> {
    states: Vec<Rc<P::State>>,
    /// By receiver, oldest first.
    inboxes: Vec<Rc<VecDeque<Packet<P::Message>>>>,
    /// How many messages were sent on each link: `from * processes + to`.
    sent: Rc<Vec<u64>>,
    /// How many messages were sent.
    births: u64,
}

#[derive(Clone, Debug)]
struct Packet<M> {
    birth: u64,
    from: ProcessId,
    nth: u64,
    message: M,
}

impl<P: Protocol> Configuration<P> {
    pub(super) fn new(protocol: &P, inputs: &[Value]) -> Self {
        let count = protocol.processes();
        let states = all(protocol).zip(inputs);
        Self {
            states: states
                .map(|(at, input)| Rc::new(protocol.start(at, *input)))
                .collect(),
            inboxes: (0..count).map(|_| Rc::default()).collect(),
            sent: Rc::new(vec![0; count * count]),
            births: 0,
        }
    }

    pub(super) fn state(&self, at: ProcessId) -> &P::State {
        &self.states[at.index()]
    }

    pub(super) fn decision(&self, protocol: &P, at: ProcessId) -> Option<Value> {
        protocol.decision(self.state(at))
    }

    /// The taking of the oldest message that waits for this process.
    pub(super) fn oldest_for(&self, to: ProcessId) -> Option<Event> {
        let oldest = self.inboxes[to.index()].front()?;
        let (from, nth) = (oldest.from, oldest.nth);
        Some(Event::Deliver { from, to, nth })
    }

    /// The taking of the oldest message that waits for anybody but this process.
    pub(super) fn oldest_without(&self, silent: ProcessId) -> Option<Event> {
        let inboxes = (1..).map(ProcessId).zip(&self.inboxes);
        let others = inboxes.filter(|(to, _)| *to != silent);
        let fronts = others.filter_map(|(to, inbox)| Some((inbox.front()?.birth, to)));
        let (_, to) = fronts.min()?;
        self.oldest_for(to)
    }

    /// What waits for this process, oldest first.
    pub(super) fn waiting_for(&self, to: ProcessId) -> impl Iterator<Item = (Event, &P::Message)> {
        self.inboxes[to.index()].iter().map(move |packet| {
            let (from, nth) = (packet.from, packet.nth);
            (Event::Deliver { from, to, nth }, &packet.message)
        })
    }

    /// All of it, but for the order in which messages were sent: two that have one text are one.
    pub(super) fn text(&self) -> String {
        let letters = |inbox: &Rc<VecDeque<Packet<P::Message>>>| {
            let texts = inbox
                .iter()
                .map(|it| format!("{} {:?}", it.from, it.message));
            let mut texts: Vec<String> = texts.collect();
            texts.sort_unstable();
            texts
        };
        let inboxes: Vec<_> = self.inboxes.iter().map(letters).collect();
        format!("{:?} {inboxes:?}", self.states)
    }

    /// How many messages are in transit.
    pub(super) fn in_transit(&self) -> usize {
        self.inboxes.iter().map(|inbox| inbox.len()).sum()
    }

    /// One step. Does nothing if there is no such message.
    pub(super) fn take(&mut self, protocol: &P, event: Event) {
        let at = event.at();
        let sends = match event {
            Event::Alone { .. } => protocol.step_alone(Rc::make_mut(&mut self.states[at.index()])),
            Event::Deliver { from, nth, .. } => {
                let inbox = Rc::make_mut(&mut self.inboxes[at.index()]);
                let is_it = |packet: &Packet<_>| packet.from == from && packet.nth == nth;
                let Some(found) = inbox.iter().position(is_it) else {
                    return;
                };
                let Some(packet) = inbox.remove(found) else {
                    return;
                };
                let state = Rc::make_mut(&mut self.states[at.index()]);
                protocol.receive(state, from, packet.message)
            }
        };
        self.send(at, sends);
    }

    fn send(&mut self, from: ProcessId, sends: Sends<P::Message>) {
        let count = self.states.len();
        for (to, message) in sends {
            let sent = &mut Rc::make_mut(&mut self.sent)[from.index() * count + to.index()];
            let nth = *sent;
            *sent += 1;
            let birth = self.births;
            self.births += 1;
            let packet = Packet {
                birth,
                from,
                nth,
                message,
            };
            Rc::make_mut(&mut self.inboxes[to.index()]).push_back(packet);
        }
    }
}

impl<P: Protocol> Clone for Configuration<P> {
    fn clone(&self) -> Self {
        Self {
            states: self.states.clone(),
            inboxes: self.inboxes.clone(),
            sent: Rc::clone(&self.sent),
            births: self.births,
        }
    }
}
