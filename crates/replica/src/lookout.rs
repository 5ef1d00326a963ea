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
    slow: Option<SlowSyncs>,
    transport: Arc<synod_transport::Status>,
    /// When the transport is asked again.
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
        let slow = SlowSyncs::look(&mut self.slow, now, took);
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

/// A time in which syncs are slow.
struct SlowSyncs {
    since: Instant,
    told: Instant,
    /// The slowest since it was told last, and of all.
    worst_untold: Duration,
    worst: Duration,
}

impl SlowSyncs {
    /// Takes how long a sync takes at present; what is to be told when that begins, goes on and ends.
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
        // It is over well below, so that what stays about there is told once.
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

/// Syncs that stay slow are told so often.
const SLOW_GRAIN: Duration = Duration::from_secs(60);
/// How old what is shown of a transport may be, in a node that has turns.
const TRANSPORT_GRAIN: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told in each of so many tenths of a second, by the time that a sync takes then.
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
