//! What was recorded so far, within its bounds.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZero;
use std::time::Duration;

use super::change::Change;
use super::kind::Kind;
use super::moments::{Opening, Run};
use super::news::{Clock, beside, is_news, news};
use super::view::{TEXT_CHARS_MAX, View, shorten};
use crate::world::NodeId;

/// Names an event of a recording; the first one is 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u64);

/// Names a message of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub(super) NonZero<u64>);

/// Names a client's operation of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub(super) u64);

/// Invariant: events that are kept are the last ones, and no more than twice `events_max`; a message
/// that is kept ends at one of them, or has not ended; `base` is what the nodes were before the first.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) title: String,
    /// What else a reader should know: a name and its value.
    pub(super) about: Vec<(String, String)>,
    pub(super) names: BTreeMap<NodeId, String>,
    pub(super) events_max: usize,
    /// The number of the first event that is kept.
    pub(super) first: u64,
    pub(super) events: VecDeque<Event>,
    pub(super) messages: BTreeMap<u64, Message>,
    messages_sent: u64,
    pub(super) spans: Vec<Span>,
    pub(super) operations: BTreeMap<u64, Operation>,
    operations_called: u64,
    pub(super) base: BTreeMap<NodeId, Standing>,
    latest: BTreeMap<NodeId, Latest>,
    /// Where the page opens, and why.
    pub(super) opening: Option<Opening>,
    /// Where each run begins, if there are several one behind the other.
    pub(super) runs: Vec<Run>,
    /// What every wall clock should have shown when the recording began.
    pub(super) wall_start: Duration,
}

#[derive(Debug)]
pub(super) struct Event {
    pub(super) at: Duration,
    /// Nothing for what happens to all.
    pub(super) node: Option<NodeId>,
    pub(super) kind: Kind,
    pub(super) text: String,
    /// The message that was received.
    pub(super) message: Option<MessageId>,
    pub(super) notes: Vec<(Kind, String)>,
    pub(super) change: Option<Change>,
    pub(super) clock: Option<Clock>,
}

#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) from: NodeId,
    pub(super) to: NodeId,
    pub(super) sent: EventId,
    pub(super) sent_at: Duration,
    pub(super) end: End,
    pub(super) name: String,
    pub(super) text: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    UnderWay,
    Received(EventId),
    Lost { at: Duration, why: String },
}

/// Something that lasts.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) key: String,
    pub(super) from: Duration,
    pub(super) to: Option<Duration>,
    /// Empty if it is about all.
    pub(super) nodes: Vec<NodeId>,
    pub(super) text: String,
}

#[derive(Debug)]
pub(super) struct Operation {
    pub(super) client: String,
    pub(super) called: Duration,
    pub(super) text: String,
    pub(super) outcome: Outcome,
}

#[derive(Debug)]
pub(super) enum Outcome {
    Open,
    Returned { at: Duration, text: String },
    Failed { at: Duration },
    Unknown,
}

/// What a node is.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// Nothing if it was never told to begin or to end.
    pub(super) up: Option<bool>,
    pub(super) view: View,
    pub(super) clock: Clock,
}

#[derive(Debug, Default)]
struct Latest {
    event: Option<(EventId, Duration)>,
    /// Nothing before it was first looked at since its start.
    seen: bool,
    standing: Standing,
}

impl Recording {
    pub(super) fn new(title: String) -> Self {
        Self {
            title,
            about: Vec::new(),
            names: BTreeMap::new(),
            events_max: EVENTS_MAX,
            first: 1,
            events: VecDeque::new(),
            messages: BTreeMap::new(),
            messages_sent: 0,
            spans: Vec::new(),
            operations: BTreeMap::new(),
            operations_called: 0,
            base: BTreeMap::new(),
            latest: BTreeMap::new(),
            opening: None,
            runs: Vec::new(),
            wall_start: Duration::ZERO,
        }
    }

    /// The time zero of the run that is being recorded.
    pub(super) fn origin(&self) -> Duration {
        self.runs.last().map_or(Duration::ZERO, |run| run.origin)
    }

    /// Another run begins, a little behind the one before. Nothing goes over from one to the other.
    pub(super) fn begin_run(&mut self, title: &str) {
        let last = self.events.back().map(|event| event.at);
        let origin = last.map_or(Duration::ZERO, |last| last.saturating_add(BETWEEN_RUNS));
        for span in &mut self.spans {
            span.to.get_or_insert(origin);
        }
        for latest in self.latest.values_mut() {
            (latest.event, latest.seen) = (None, false);
        }
        let event = self.event(origin, None, Kind::Note, title);
        self.runs.push(Run {
            event,
            origin,
            title: short(title),
        });
    }

    pub(super) fn event(
        &mut self,
        at: Duration,
        node: Option<NodeId>,
        kind: Kind,
        text: &str,
    ) -> EventId {
        if self.events.len() >= self.events_max.saturating_mul(2) {
            self.trim();
        }
        let id = EventId(self.first + self.events.len() as u64);
        self.events.push_back(Event {
            at,
            node,
            kind,
            text: short(text),
            message: None,
            notes: Vec::new(),
            change: None,
            clock: None,
        });
        if let Some(node) = node {
            let latest = self.known(node);
            latest.event = Some((id, at));
            latest.seen &= kind != Kind::Start;
        }
        id
    }

    /// The node has a line of its own from now on.
    pub(super) fn meet(&mut self, node: NodeId, name: String) {
        self.known(node);
        self.names.insert(node, name);
    }

    fn known(&mut self, node: NodeId) -> &mut Latest {
        self.names.entry(node).or_insert_with(|| node.to_string());
        self.latest.entry(node).or_default()
    }

    pub(super) fn sent(
        &mut self,
        at: Duration,
        from: NodeId,
        to: NodeId,
        (name, text): (&str, &str),
    ) -> MessageId {
        self.known(to);
        // What a step sends leaves from the event of the step.
        let step = self.known(from).event.filter(|(_, when)| *when == at);
        let sent = match step {
            Some((event, _)) => event,
            None => self.event(at, Some(from), Kind::Note, "sends"),
        };
        self.depart(Message {
            from,
            to,
            sent,
            sent_at: at,
            end: End::UnderWay,
            name: short(name),
            text: short(text),
        })
    }

    pub(super) fn copied(&mut self, id: MessageId) -> MessageId {
        match self.messages.get(&id.0.get()) {
            Some(message) => {
                let copy = Message {
                    end: End::UnderWay,
                    ..message.clone()
                };
                self.depart(copy)
            }
            // It was left out, and its copies are.
            None => id,
        }
    }

    fn depart(&mut self, message: Message) -> MessageId {
        self.messages_sent += 1;
        self.messages.insert(self.messages_sent, message);
        MessageId(NonZero::new(self.messages_sent).unwrap_or(NonZero::<u64>::MIN))
    }

    pub(super) fn received(&mut self, at: Duration, id: MessageId) -> Option<EventId> {
        let message = self.messages.get(&id.0.get())?;
        let (to, name) = (message.to, message.name.clone());
        let event = self.event(at, Some(to), Kind::Message, &name);
        if let Some(last) = self.events.back_mut() {
            last.message = Some(id);
        }
        if let Some(message) = self.messages.get_mut(&id.0.get()) {
            message.end = End::Received(event);
        }
        Some(event)
    }

    pub(super) fn lost(&mut self, at: Duration, id: MessageId, why: &str) {
        if let Some(message) = self.messages.get_mut(&id.0.get()) {
            let why = short(why);
            message.end = End::Lost { at, why };
        }
    }

    /// Something more that the last event of a node has brought about.
    pub(super) fn note(&mut self, at: Duration, node: NodeId, kind: Kind, text: &str) {
        let step = self.known(node).event.filter(|(_, when)| *when == at);
        let Some((event, _)) = step else {
            self.event(at, Some(node), kind, text);
            return;
        };
        if let Some(event) = self.kept_mut(event)
            && event.notes.len() < NOTES_MAX
        {
            event.notes.push((kind, short(text)));
        }
    }

    fn kept_mut(&mut self, id: EventId) -> Option<&mut Event> {
        let at = id.0.checked_sub(self.first)?;
        self.events.get_mut(usize::try_from(at).ok()?)
    }

    /// A node is like this after its last event.
    pub(super) fn view(&mut self, at: Duration, node: NodeId, view: View) {
        let view = view.bounded();
        let since = at.saturating_sub(self.origin());
        let (wall, latest) = (self.wall_start.saturating_add(since), self.known(node));
        let before = std::mem::replace(&mut latest.standing.view, view.clone());
        let seen = std::mem::replace(&mut latest.seen, true);
        let clock = view
            .clock
            .map(|(from, to)| (beside(from, wall), beside(to, wall)));
        let clock = clock.filter(|clock| is_news(latest.standing.clock, *clock));
        latest.standing.clock = clock.unwrap_or(latest.standing.clock);
        let change = Change::between(&before, &view);
        if change.is_empty() && clock.is_none() {
            return;
        }
        if latest.event.is_none_or(|(_, when)| when != at) {
            self.event(at, Some(node), Kind::Note, "changes");
        }
        if seen {
            for (kind, text) in news(&before, &view) {
                self.note(at, node, kind, &text);
            }
        }
        let event = self.latest.get(&node).and_then(|latest| latest.event);
        if let Some((event, _)) = event
            && let Some(event) = self.kept_mut(event)
        {
            // An event that is looked at twice has changed both.
            let merged = match event.change.take() {
                Some(first) => first.then(&change),
                None => change,
            };
            event.change = Some(merged);
            event.clock = clock.or(event.clock);
        }
    }

    pub(super) fn began(&mut self, at: Duration, key: &str, nodes: &[NodeId], text: &str) {
        let goes_on = |span: &Span| span.key == key && span.to.is_none();
        if self.spans.iter().any(goes_on) {
            return;
        }
        if self.spans.len() >= SPANS_MAX {
            self.spans.remove(0);
        }
        self.spans.push(Span {
            key: key.to_owned(),
            from: at,
            to: None,
            nodes: nodes.to_vec(),
            text: short(text),
        });
    }

    pub(super) fn ended(&mut self, at: Duration, key: &str) {
        let mut spans = self.spans.iter_mut();
        if let Some(span) = spans.find(|span| span.key == key && span.to.is_none()) {
            span.to = Some(at);
        }
    }

    pub(super) fn called(&mut self, at: Duration, client: &str, text: &str) -> OperationId {
        if self.operations.len() >= self.events_max {
            self.operations.pop_first();
        }
        self.operations_called += 1;
        let operation = Operation {
            client: short(client),
            called: at,
            text: short(text),
            outcome: Outcome::Open,
        };
        self.operations.insert(self.operations_called, operation);
        OperationId(self.operations_called)
    }

    pub(super) fn closed(&mut self, id: OperationId, outcome: Outcome) {
        if let Some(operation) = self.operations.get_mut(&id.0) {
            operation.outcome = outcome;
        }
    }

    /// The last event that had happened by then.
    pub(super) fn event_at(&self, at: Duration) -> EventId {
        let happened = self.events.partition_point(|event| event.at <= at);
        EventId((self.first + happened as u64).saturating_sub(1))
    }

    /// The last event.
    pub(super) fn last(&self) -> EventId {
        EventId(self.first + self.events.len() as u64 - 1)
    }

    /// Leaves out the oldest events, so that no more are left than are asked for.
    pub(super) fn trim(&mut self) {
        while self.events.len() > self.events_max {
            let Some(event) = self.events.pop_front() else {
                break;
            };
            self.first += 1;
            let Some(node) = event.node else {
                continue;
            };
            let base = self.base.entry(node).or_default();
            match event.kind {
                Kind::Start => base.up = Some(true),
                Kind::Crash => base.up = Some(false),
                _ => {}
            }
            if let Some(change) = event.change {
                change.apply(&mut base.view);
            }
            base.clock = event.clock.unwrap_or(base.clock);
        }
        let (first, begins) = (self.first, self.events.front().map(|event| event.at));
        let begins = begins.unwrap_or_default();
        self.messages.retain(|_, message| match &message.end {
            End::UnderWay => true,
            End::Received(event) => event.0 >= first,
            End::Lost { at, .. } => *at >= begins,
        });
        // What is never heard of again does not pile up.
        while self.messages.len() > self.events_max.saturating_mul(MESSAGES_AN_EVENT) {
            self.messages.pop_first();
        }
        self.spans
            .retain(|span| span.to.is_none_or(|to| to >= begins));
        self.operations
            .retain(|_, operation| match operation.outcome {
                Outcome::Returned { at, .. } | Outcome::Failed { at } => at >= begins,
                Outcome::Open | Outcome::Unknown => true,
            });
    }
}

fn short(text: &str) -> String {
    let mut text = text.to_owned();
    shorten(&mut text, TEXT_CHARS_MAX);
    text
}

/// Unless somebody wants more, or less.
pub const EVENTS_MAX: usize = 10_000;
const SPANS_MAX: usize = 2_000;
const MESSAGES_AN_EVENT: usize = 8;
const NOTES_MAX: usize = 16;
/// On the page.
const BETWEEN_RUNS: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_however_much_happens() {
        let mut recording = Recording::new(String::new());
        recording.events_max = 10;
        let (one, two) = (NodeId(1), NodeId(2));
        for number in 0..10_000 {
            let at = Duration::from_millis(number);
            recording.event(at, Some(one), Kind::Timer, "timer");
            for _ in 0..20 {
                // Nobody hears of it again.
                recording.sent(at, one, two, ("Count", "count"));
            }
            let operation = recording.called(at, "c", "put");
            recording.closed(operation, Outcome::Unknown);
            recording.began(at, &number.to_string(), &[], "a span");
            assert!(recording.events.len() <= 20);
            assert!(recording.messages.len() <= 10 * MESSAGES_AN_EVENT + 20 * 20);
            assert!(recording.operations.len() <= 10 && recording.spans.len() <= SPANS_MAX);
        }
        recording.trim();
        assert_eq!((recording.events.len(), recording.first), (10, 9_991));
    }
}
