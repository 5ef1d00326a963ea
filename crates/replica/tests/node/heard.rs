//! Captures a node's log lines.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::Notify;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Event, Metadata, Subscriber};

/// Keeps the lines of this library.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    lines: Arc<Mutex<Vec<String>>>,
    more: Arc<Notify>,
}

impl Heard {
    /// Captures lines in this thread. There is always a second subscriber, which gets no lines:
    /// with a single one, a callsite is disabled for ever when the first thread that reaches it has
    /// no subscriber.
    pub(crate) fn listen() -> (Self, DefaultGuard) {
        static SECOND: OnceLock<Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| Dispatch::new(Self::default()));
        let heard = Self::default();
        (heard.clone(), tracing::subscriber::set_default(heard))
    }

    /// The lines with this event.
    pub(crate) fn of(&self, name: &str) -> Vec<String> {
        let name = format!("event={name:?} ");
        let lines = self.lines.lock().unwrap();
        let of = lines.iter().filter(|line| line.contains(&name));
        of.cloned().collect()
    }

    /// The same, once there is one.
    pub(crate) async fn told(&self, name: &str) -> Vec<String> {
        loop {
            let more = self.more.notified();
            let lines = self.of(name);
            if !lines.is_empty() {
                return lines;
            }
            more.await;
        }
    }
}

impl Subscriber for Heard {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("synod_replica")
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.lines.lock().unwrap().push(line.0);
        self.more.notify_waiters();
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}
