//! The recorder, to which events are reported in order.

use std::fmt::Display;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{fs, io};

use super::html;
use super::kind::Kind;
use super::moments::Opening;
use super::recording::{EventId, MessageId, OperationId, Outcome, Recording};
use super::view::View;
use crate::campaign;
use crate::history::{self, History};
use crate::world::NodeId;

/// Records a run, and makes a page of it. Clones record the same run.
///
/// A [`World`](crate::World) and a [`Cluster`](crate::cluster::Cluster) call it themselves. Other
/// drivers must call these methods in the order of events; times must not go back.
///
/// ```
/// use std::time::Duration;
/// use synod_sim::NodeId;
/// use synod_sim::page::{Kind, Recorder, View};
///
/// let ms = Duration::from_millis;
/// let recorder = Recorder::new("A greeting");
/// let (alice, bob) = (NodeId(1), NodeId(2));
/// recorder.name(alice, "Alice");
/// recorder.event(ms(0), alice, Kind::Input, "is asked to greet Bob");
/// let hello = recorder.sent(ms(0), alice, bob, ("Hello", "Hello, Bob"));
/// recorder.received(ms(3), hello);
/// let mut view = View::default();
/// view.marks.push("was greeted".to_owned());
/// recorder.view(ms(3), bob, view);
/// recorder.violation("politeness: Bob does not answer");
/// assert!(recorder.html().contains("politeness"));
/// ```
///
/// It keeps the last [`events_max`](Self::events_max) events. Omitted ones are counted, and the
/// page shows their number.
#[derive(Clone, Debug)]
pub struct Recorder(Arc<Mutex<Recording>>);

impl Recorder {
    /// Records a run under this title.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self(Arc::new(Mutex::new(Recording::new(title.into()))))
    }

    /// Keeps no more than so many events on the page, the last ones, and while it records not more
    /// than twice as many. [`EVENTS_MAX`](super::EVENTS_MAX) if nobody says so.
    #[must_use]
    pub fn events_max(self, events: usize) -> Self {
        self.lock().events_max = events.max(1);
        self
    }

    /// Additional information about the run: its seed, the command that reproduces it.
    pub fn about(&self, name: &str, value: impl Display) {
        self.lock().about.push((name.to_owned(), value.to_string()));
    }

    /// A node is called so; without this `n1`, `n2`, ...
    pub fn name(&self, node: NodeId, name: &str) {
        self.lock().meet(node, name.to_owned());
    }

    /// What every wall clock should have shown at time zero, for [`View::clock`].
    pub fn wall_start(&self, wall: Duration) {
        self.lock().wall_start = wall;
    }

    /// Something happens at a node. [`Kind::Start`] and [`Kind::Crash`] say when it is up; without
    /// them it always is.
    pub fn event(&self, at: Duration, node: NodeId, kind: Kind, text: &str) -> EventId {
        let (mut recording, at) = self.lock_at(at);
        recording.event(at, Some(node), kind, text)
    }

    /// An event of the whole system.
    pub fn everywhere(&self, at: Duration, kind: Kind, text: &str) -> EventId {
        let (mut recording, at) = self.lock_at(at);
        recording.event(at, None, kind, text)
    }

    /// Adds a note to the last event of a node.
    pub fn note(&self, at: Duration, node: NodeId, kind: Kind, text: &str) {
        let (mut recording, at) = self.lock_at(at);
        recording.note(at, node, kind, text);
    }

    /// A message leaves, with the last event of its sender if that was at the same time. `caption`
    /// is its name, and what it says.
    pub fn sent(&self, at: Duration, from: NodeId, to: NodeId, caption: (&str, &str)) -> MessageId {
        let (mut recording, at) = self.lock_at(at);
        recording.sent(at, from, to, caption)
    }

    /// Another copy of a message, which left with it.
    pub fn copied(&self, message: MessageId) -> MessageId {
        self.lock().copied(message)
    }

    /// A message arrives: an event of its receiver. Nothing if it was sent too long ago to be kept.
    pub fn received(&self, at: Duration, message: MessageId) -> Option<EventId> {
        let (mut recording, at) = self.lock_at(at);
        recording.received(at, message)
    }

    /// A message will never arrive.
    pub fn lost(&self, at: Duration, message: MessageId, why: &str) {
        let (mut recording, at) = self.lock_at(at);
        recording.lost(at, message, why);
    }

    /// A node is like this now, after its last event. What is new of it becomes notes of that event:
    /// another role, more that is committed, marks.
    pub fn view(&self, at: Duration, node: NodeId, view: View) {
        let (mut recording, at) = self.lock_at(at);
        recording.view(at, node, view);
    }

    /// Something begins that lasts, at some nodes or, with none, everywhere: a partition, a pause.
    /// While a span of this key goes on, no other one begins.
    pub fn began(&self, at: Duration, key: &str, nodes: &[NodeId], text: &str) {
        let (mut recording, at) = self.lock_at(at);
        recording.began(at, key, nodes, text);
    }

    /// The span of this key ends.
    pub fn ended(&self, at: Duration, key: &str) {
        let (mut recording, at) = self.lock_at(at);
        recording.ended(at, key);
    }

    /// A client asks for something.
    pub fn called(&self, at: Duration, client: &str, text: &str) -> OperationId {
        let (mut recording, at) = self.lock_at(at);
        recording.called(at, client, text)
    }

    /// It was answered.
    pub fn returned(&self, at: Duration, operation: OperationId, text: &str) {
        let (mut recording, at) = self.lock_at(at);
        let text = text.to_owned();
        recording.closed(operation, Outcome::Returned { at, text });
    }

    /// It certainly did not happen.
    pub fn failed(&self, at: Duration, operation: OperationId) {
        let (mut recording, at) = self.lock_at(at);
        recording.closed(operation, Outcome::Failed { at });
    }

    /// Its outcome will never be known.
    pub fn unknown(&self, operation: OperationId) {
        self.lock().closed(operation, Outcome::Unknown);
    }

    /// All operations of a history, with texts of what was asked and answered.
    pub fn history<I, O>(
        &self,
        history: &History<I, O>,
        input: impl Fn(&I) -> String,
        output: impl Fn(&O) -> String,
    ) {
        for operation in history.operations() {
            let client = operation.client.to_string();
            let id = self.called(operation.called.at, &client, &input(&operation.input));
            match &operation.outcome {
                history::Outcome::Open => {}
                history::Outcome::Returned { at, output: answer } => {
                    self.returned(at.at, id, &output(answer));
                }
                history::Outcome::Failed => self.failed(operation.called.at, id),
                history::Outcome::Unknown => self.unknown(id),
            }
        }
    }

    /// Another run begins, and is shown behind the one before, on the same lines: times count from
    /// zero again, and nothing of one run is a cause of anything in another.
    pub fn begin_run(&self, title: &str) {
        self.lock().begin_run(title);
    }

    /// A checker has found this out: with the last event, unless something was found out before. The
    /// page opens there.
    pub fn violation(&self, what: &str) {
        let mut recording = self.lock();
        let event = recording.last();
        let known = recording.opening.take().filter(|known| known.is_violation);
        recording.opening = Some(known.unwrap_or_else(|| Opening::violation(event, what)));
    }

    /// The same of a moment of this run that is past: the page opens at the last event until then.
    pub fn violation_at(&self, at: Duration, what: &str) {
        let (mut recording, at) = self.lock_at(at);
        let event = recording.event_at(at);
        recording.opening = Some(Opening::violation(event, what));
    }

    /// What a run is shown for, if no rule is broken in it: the page opens at its last event until
    /// then, and says this. A violation counts more, and the first such moment more than those behind.
    pub fn opens_at(&self, at: Duration, what: &str) {
        let (mut recording, at) = self.lock_at(at);
        let event = recording.event_at(at);
        recording.opening.get_or_insert_with(|| Opening {
            event,
            what: what.to_owned(),
            is_violation: false,
        });
    }

    /// Runs, and takes a panic for what a checker has found out. Gives back what the run gives, if it
    /// did not panic.
    pub fn watch<T>(&self, run: impl FnOnce() -> T) -> Option<T> {
        match campaign::watch(0, None, false, run) {
            Ok(ended) => Some(ended),
            Err(failure) => {
                self.violation(failure.message.trim_end());
                None
            }
        }
    }

    /// How many events there were, those that were left out among them.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.lock().last().0
    }

    /// The page: one file of HTML that needs nothing else.
    #[must_use]
    pub fn html(&self) -> String {
        let mut recording = self.lock();
        recording.trim();
        html::page(&recording)
    }

    /// Writes the page, and the folder that it is to be in if that is missing.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: impl AsRef<Path>) -> io::Result<()> {
        let path = path.as_ref();
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, self.html())
    }

    /// With the time of the present run as one of the whole recording.
    fn lock_at(&self, at: Duration) -> (MutexGuard<'_, Recording>, Duration) {
        let recording = self.lock();
        let at = recording.origin().saturating_add(at);
        (recording, at)
    }

    /// A panic of whoever records leaves what was recorded.
    fn lock(&self) -> MutexGuard<'_, Recording> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
