//! Records the log events of a transport.

use std::fmt;
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// The names of the recorded events.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    pub(crate) told: Arc<Mutex<Vec<String>>>,
    /// Logging this event panics: a subscriber is the user's code, too, and runs in the transport's
    /// tasks.
    pub(crate) panics_at: &'static str,
}

impl Heard {
    pub(crate) fn count(&self, event: &str) -> usize {
        let told = self.told.lock().expect("no panic");
        told.iter().filter(|told| *told == event).count()
    }
}

impl Subscriber for Heard {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("synod_transport")
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Names(self));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Names<'a>(&'a Heard);

impl Visit for Names<'_> {
    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "event" {
            self.0.told.lock().expect("no panic").push(value.into());
            assert_ne!(value, self.0.panics_at, "planned");
        }
    }
}
