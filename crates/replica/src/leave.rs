//! A node that is about to go: it hands its leaderships over and finishes what it has taken.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::engine::Engine;
use crate::protocol::Protocol;
use crate::time::Instant;

/// A node is asked to end.
pub(crate) struct Leaving {
    /// Whoever asked.
    pub(crate) asked: oneshot::Sender<()>,
    /// Then it ends, however far it has come.
    pub(crate) until: Instant,
}

/// How far one group has come on a node that is about to go.
///
/// Nobody who sends to this node has heard of the next leader any sooner than this node: what they forwarded
/// until then is refused here, so that it is asked of the next leader, for [`LINGER`]. Silence would leave
/// them with requests of which nobody knows what became.
#[derive(Debug)]
pub(crate) enum Leave {
    /// It leads, or nobody knows who does.
    Leads,
    /// It led, and since then another has been known to lead, or nobody.
    Led(Instant),
    /// It has never led, or there is nobody to lead instead.
    Follows,
}

impl Leave {
    /// Nothing new is taken from here on.
    pub(crate) fn begin<P: Protocol, T>(now: Instant, engine: &mut Engine<P, T>) -> Self {
        engine.leave();
        let mut leave = if engine.leader() == Some(engine.node()) {
            Self::Leads
        } else if engine.has_led() {
            // Some may not have heard of it.
            Self::Led(now)
        } else {
            Self::Follows
        };
        leave.look(now, engine);
        leave
    }

    /// As long as this node leads somebody is asked to; a transfer that was given up is begun again.
    pub(crate) fn look<P: Protocol, T>(&mut self, now: Instant, engine: &mut Engine<P, T>) {
        let Self::Leads = self else { return };
        match engine.leader() {
            Some(leader) if leader != engine.node() => *self = Self::Led(now),
            Some(_) if engine.transfers_to().is_none() => {
                if engine.transfer(now, None).is_err() {
                    *self = Self::Follows;
                }
            }
            Some(_) | None => {}
        }
    }

    /// Whether the group may be closed without anything being lost by it that could be helped.
    pub(crate) fn is_over<P: Protocol, T>(&self, now: Instant, engine: &Engine<P, T>) -> bool {
        let is_finished = engine.requests() == 0;
        match self {
            Self::Leads => false,
            Self::Led(at) => is_finished && now >= *at + LINGER,
            // Where nobody leads requests may wait for ever.
            Self::Follows => is_finished || engine.leader().is_none(),
        }
    }

    /// When there is something to look at beside what happens.
    pub(crate) fn wake(&self) -> Option<Instant> {
        match self {
            Self::Led(at) => Some(*at + LINGER),
            Self::Leads | Self::Follows => None,
        }
    }
}

/// So long after another was known to lead, what was meant for this node's leadership is still answered.
const LINGER: Duration = Duration::from_millis(50);
