//! What a node observes of its disk and transport, and which of it is logged.

use std::sync::Arc;
use std::time::Duration;

use synod_transport::Transport;

use crate::closed::Closed;
use crate::events::{Event, Events, SLOW_SYNC};
use crate::group::Clock;
use crate::log::Log;
use crate::status::Around;
use crate::time::Instant;

/// Observes the log and the transport once a turn.
pub(crate) struct Lookout {
    events: Events,
    full_since: Option<Instant>,
    slow: Option<SlowSyncs>,
    transport: Arc<synod_transport::Status>,
    /// When the transport's status is read again.
    due: Instant,
}

impl Lookout {
    pub(crate) fn new() -> Self {
        Self {
            events: Events::new(),
            full_since: None,
            slow: None,
            transport: Arc::default(),
            due: Instant::default(),
        }
    }

    /// Logs what has changed since the last turn.
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
        let slow = SlowSyncs::look(&mut self.slow, now, took);
        for event in event.into_iter().chain(slow) {
            self.events.tell(now, None, &event);
        }
        if now >= self.due {
            // Reading it takes locks and memory, and nobody needs it in every turn.
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

/// A period in which syncs are slow.
struct SlowSyncs {
    since: Instant,
    told: Instant,
    /// The slowest sync since the last line, and of the whole period.
    worst_untold: Duration,
    worst: Duration,
}

impl SlowSyncs {
    /// Takes the present duration of a sync; returns what to log when slow syncs begin, continue
    /// and end.
    fn look(slow: &mut Option<Self>, now: Instant, took: Duration) -> Option<Event> {
        let Some(this) = slow else {
            if took < SLOW_SYNC {
                return None;
            }
            *slow = Some(Self {
                since: now,
                told: now,
                worst_untold: Duration::ZERO,
                worst: took,
            });
            return Some(Event::SlowSync { took });
        };
        // Ends only well below the bound, so that a disk near it is logged once.
        if took < SLOW_SYNC / 2 {
            let (after, worst) = (now.since(this.since), this.worst);
            *slow = None;
            return Some(Event::FastSync { after, worst });
        }
        this.worst = this.worst.max(took);
        this.worst_untold = this.worst_untold.max(took);
        if now.since(this.told) < SLOW_GRAIN {
            return None;
        }
        this.told = now;
        let took = std::mem::take(&mut this.worst_untold);
        Some(Event::SlowSync { took })
    }
}

/// How often syncs that stay slow are logged.
const SLOW_GRAIN: Duration = Duration::from_secs(60);
/// The greatest age of the transport's status, while the node has turns.
const TRANSPORT_GRAIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    /// What is logged in each tenth of a second, given the duration of a sync at that time.
    fn told(tenths: u64, took_millis: impl Fn(u64) -> u64) -> Vec<(u64, Event)> {
        let mut slow = None;
        let mut look = |tenth| {
            let now = Instant(Duration::from_millis(tenth * 100));
            let took = Duration::from_millis(took_millis(tenth));
            SlowSyncs::look(&mut slow, now, took).map(|event| (tenth, event))
        };
        (0..tenths).filter_map(&mut look).collect()
    }

    #[test]
    fn slow_syncs_are_told_when_they_begin_each_minute_and_when_they_end() {
        let millis = Duration::from_millis;
        let told = told(2_000, |tenth| match tenth {
            0..10 | 1_500.. => 1,
            300 => 900,
            _ => 200,
        });
        let expected = [
            (10, Event::SlowSync { took: millis(200) }),
            (610, Event::SlowSync { took: millis(900) }),
            (1_210, Event::SlowSync { took: millis(200) }),
            (
                1_500,
                Event::FastSync {
                    after: Duration::from_secs(149),
                    worst: millis(900),
                },
            ),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn syncs_about_the_bound_are_told_once() {
        let told = told(500, |tenth| 95 + tenth % 10);
        assert_eq!(told.len(), 1, "{told:?}");
    }
}
