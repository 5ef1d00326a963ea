use alloc::collections::VecDeque;
use core::time::Duration;

use crate::backoff::Backoff;
use crate::{Instant, Slot};

/// What a leader knows about one peer.
///
/// Invariants: `through < next`; everything in flight is above `through`.
///
/// ```text
///            contact                    compacted away
///   Silent ─────────▶ Stream ──────────────────────▶ Snapshot
///                     │    ▲  lost: back to the gap     │
///                     └────┘◀───────────────────────────┘ through >= start
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Progress {
    /// The last slot acknowledged without a gap: voted for in this ballot, or known to be chosen,
    /// durably.
    pub(crate) through: Slot,
    /// The next slot to send.
    pub(crate) next: Slot,
    pub(crate) flow: Flow,
    /// The time of the peer's last message in this ballot.
    pub(crate) contact: Instant,
    /// The lease of it that lasts longest.
    pub(crate) grant: Option<Grant>,
    /// How much it is preferred as the leader, by its last echo; None if it is not, or not known.
    pub(crate) priority: Option<u8>,
    /// How long a write takes there, by its last echo.
    pub(crate) sync_time: Duration,
    /// The highest round that it echoed.
    pub(crate) round: u64,
    /// Up to where it has values without a gap in memory, by its last echo or acknowledgement.
    echoed: Slot,
    /// Its chosen prefix, as reported by itself.
    pub(crate) chosen: Slot,
    pub(crate) retransmission: Backoff,
    /// The highest chosen prefix that was sent to it.
    pub(crate) told: Slot,
    /// Whether values for it are being read from the log.
    pub(crate) fetching: bool,
    /// Reading failed: nothing is sent before the next heartbeat.
    pub(crate) backoff: bool,
    /// Whether the stream skipped slots that this leader has yet to learn.
    pub(crate) skipped: bool,
    /// The number of messages that may be in flight, in addition to the bounds of the
    /// configuration: one after a loss, and twice as many with each acknowledgement. A link that
    /// lost part of a burst would lose part of the same burst again, and the first message is
    /// needed most.
    pub(crate) window: usize,
}

/// A lease that a peer has granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Grant {
    /// When the heartbeat was sent that it answers, or before.
    pub(crate) sent: Instant,
    pub(crate) length: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Flow {
    /// Nothing is known about the peer.
    Silent,
    /// `next` advances when values are sent.
    Stream(Inflight),
    /// The values are compacted away; a snapshot is offered.
    Snapshot { offered: Slot },
}

/// Messages sent and not acknowledged, bounded in bytes and in number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Inflight {
    messages: VecDeque<Sent>,
    bytes: usize,
}

/// A message with values that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sent {
    pub(crate) last: Slot,
    pub(crate) bytes: usize,
    /// The number of the last heartbeat round before it.
    pub(crate) round: u64,
}

impl Inflight {
    pub(crate) fn push(&mut self, sent: Sent) {
        self.bytes = self.bytes.saturating_add(sent.bytes);
        self.messages.push_back(sent);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A message may be sent even if it alone exceeds the bound of bytes.
    pub(crate) fn is_full(&self, messages_max: usize, bytes_max: usize) -> bool {
        self.messages.len() >= messages_max || self.bytes >= bytes_max
    }

    /// Whether `round` began after the first message was sent that its echo does not cover.
    fn is_missing(&self, round: u64, through: Slot) -> bool {
        let first = self.messages.iter().find(|sent| sent.last > through);
        first.is_some_and(|sent| sent.round < round)
    }

    fn free_to(&mut self, through: Slot) {
        while self
            .messages
            .front()
            .is_some_and(|sent| sent.last <= through)
        {
            let sent = self.messages.pop_front();
            self.bytes -= sent.map_or(0, |sent| sent.bytes);
        }
    }
}

impl Progress {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            through: Slot(0),
            next: Slot(1),
            flow: Flow::Silent,
            contact: now,
            grant: None,
            priority: None,
            sync_time: Duration::ZERO,
            round: 0,
            echoed: Slot(0),
            chosen: Slot(0),
            retransmission: Backoff::new(),
            told: Slot(0),
            fetching: false,
            backoff: false,
            skipped: false,
            window: usize::MAX,
        }
    }

    /// Handles a peer's report of its chosen prefix; if it was silent, the stream begins there.
    pub(crate) fn handle_chosen(&mut self, chosen: Slot) {
        self.chosen = self.chosen.max(chosen);
        if self.flow == Flow::Silent {
            self.through = chosen;
            self.echoed = chosen;
            self.rewind_to(chosen);
        }
    }

    /// Handles an acknowledgement of `first` to `last`. Our log begins at `start`.
    pub(crate) fn handle_accepted(&mut self, first: Slot, last: Slot, start: Slot) {
        if first > self.through.next() || last <= self.through {
            // Behind a gap, or of a message that was sent twice: missing values may still arrive.
            self.retransmission.handle_contact();
            return;
        }
        if last > self.echoed {
            self.echoed = last;
            self.retransmission.handle_progress();
        }
        self.through = last;
        self.window = self.window.saturating_mul(2);
        self.next = self.next.max(last.next());
        match &mut self.flow {
            Flow::Stream(inflight) => inflight.free_to(last),
            // Not compared with the offered snapshot: the peer may have advanced in another way.
            Flow::Snapshot { .. } if last >= start => self.rewind_to(last),
            Flow::Snapshot { .. } | Flow::Silent => {}
        }
    }

    /// Handles an echo of the heartbeat of `round`: the peer has values without a gap up to
    /// `through`, and `behind` means that it forgot some. Returns whether something must be sent.
    ///
    /// An echo does not show that what was sent before the heartbeat is lost, because heartbeats
    /// overtake values that queue for a slow link. It shows that the peer still waits; after enough
    /// echoes without progress the backoff ends and the values are sent again.
    pub(crate) fn handle_echo(
        &mut self,
        round: u64,
        through: Slot,
        chosen: Slot,
        behind: bool,
    ) -> bool {
        let was_silent = self.flow == Flow::Silent;
        self.handle_chosen(chosen);
        if round < self.round {
            return was_silent;
        }
        self.round = round;
        if was_silent {
            return true;
        }
        if behind && through < self.through {
            self.through = through.min(chosen);
            self.chosen = chosen;
            self.echoed = self.through;
            if matches!(self.flow, Flow::Stream(_)) {
                self.rewind_to(self.through);
            }
            return true;
        }
        let moved = through > self.echoed;
        self.echoed = through;
        if moved {
            self.retransmission.handle_progress();
        }
        let (missing, bytes) = match &self.flow {
            Flow::Stream(inflight) => (inflight.is_missing(round, through), inflight.bytes()),
            Flow::Silent | Flow::Snapshot { .. } => (false, 0),
        };
        if !missing {
            // An append that arrived and is not acknowledged waits for the peer's disk, which may
            // be slow. The peer itself repeats a lost acknowledgement.
            self.retransmission.handle_contact();
            return false;
        }
        if moved || !self.retransmission.is_exhausted_by(round, bytes) {
            return false;
        }
        self.rewind_to(through);
        self.window = 1;
        true
    }

    /// Whether the peer has told anything about itself.
    pub(crate) fn is_known(&self) -> bool {
        self.flow != Flow::Silent
    }

    /// Whether it has everything before `end`, or will soon: nothing of it has to be read or pulled.
    pub(crate) fn is_near(&self, end: Slot) -> bool {
        let is_streamed = matches!(self.flow, Flow::Stream(_));
        let lacks = end.prev().0.saturating_sub(self.through.0);
        is_streamed && !self.fetching && !self.backoff && !self.skipped && lacks <= NEAR_SLOTS
    }

    pub(crate) fn offer(&mut self, offered: Slot) {
        self.flow = Flow::Snapshot { offered };
    }

    /// Continues the stream after `slot`, or after the last acknowledged slot if that is higher.
    pub(crate) fn rewind_to(&mut self, slot: Slot) {
        self.flow = Flow::Stream(Inflight::default());
        self.next = slot.max(self.through).next();
    }

    #[cfg(debug_assertions)]
    pub(crate) fn check(&self) {
        assert!(
            self.through < self.next,
            "what is acknowledged is not sent again"
        );
    }
}

/// A node that lacks more slots than this is not handed leadership to by itself.
const NEAR_SLOTS: u64 = 1024;

#[cfg(test)]
mod tests;
