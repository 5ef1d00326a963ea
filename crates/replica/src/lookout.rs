//! What a node knows of what stands around its groups, and what of it is told.

use std::sync::Arc;
use std::time::Duration;

use synod_transport::Transport;

use crate::closed::Closed;
use crate::events::{Event, Events, SLOW_SYNC};
use crate::group::Clock;
use crate::log::Log;
use crate::status::Around;
use crate::time::Instant;

/// Looks once a turn.
pub(crate) struct Lookout {
    events: Events,
    full_since: Option<Instant>,
    transport: Arc<synod_transport::Status>,
    /// When the transport is asked again.
    due: Instant,
}

impl Lookout {
    pub(crate) fn new() -> Self {
        Self {
            events: Events::new(),
            full_since: None,
            transport: Arc::default(),
            due: Instant::default(),
        }
    }

    /// Tells what has changed since the last turn.
    pub(crate) fn look(
        &mut self,
        clock: Clock,
        has_room: bool,
        log: &dyn Log,
        transport: &dyn Transport,
    ) -> Around {
        let now = clock.now();
        let event = match self.full_since {
            None if !has_room => {
                self.full_since = Some(now);
                Some(Event::DiskFull)
            }
            Some(since) if has_room => {
                self.full_since = None;
                let after = now.since(since);
                Some(Event::DiskSpace { after })
            }
            _ => None,
        };
        let took = log.sync_time();
        let slow = (took >= SLOW_SYNC).then_some(Event::SlowSync { took });
        for event in event.into_iter().chain(slow) {
            self.events.tell(now, None, &event);
        }
        if now >= self.due {
            // It takes locks and memory, and nobody needs it in every turn.
            (self.transport, self.due) = (Arc::new(transport.status()), now + TRANSPORT_GRAIN);
        }
        Around {
            now,
            clock,
            log: log.stats(),
            sync_time: took,
            full_since: self.full_since,
            transport: self.transport.clone(),
        }
    }

    pub(crate) fn stopped(&mut self, now: Instant, why: &Closed) {
        let why = why.clone();
        self.events.tell(now, None, &Event::NodeStopped { why });
    }
}

/// How old what is shown of a transport may be, in a node that has turns.
const TRANSPORT_GRAIN: Duration = Duration::from_millis(100);
