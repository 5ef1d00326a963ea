use alloc::collections::VecDeque;
use core::time::Duration;

use crate::backoff::Backoff;
use crate::{Config, Index, Instant, LogId, NodeId};

/// What a leader knows about one peer.
///
/// Invariants: `matched < next`; `matched` never decreases within a term; only an acknowledgement
/// removes appends from those in flight.
///
/// ```text
///            Appended                       compacted away
///   Probe ─────────────▶ Replicate    any ─────────────────▶ Snapshot
///     ▲   Rejected, lost     │         ▲   matched >= start      │
///     └──────────────────────┘         └─────────────────────────┘
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Progress {
    pub(crate) id: NodeId,
    /// The peer's log is known to equal ours up to this index, durably.
    pub(crate) matched: Index,
    /// The index of the next entry to send.
    pub(crate) next: Index,
    pub(crate) flow: Flow,
    /// The time of the peer's last message in this term.
    pub(crate) contact: Instant,
    /// The highest round that it echoed.
    pub(crate) round: u64,
    /// For how long it promised with the echo of that round to elect nobody else.
    pub(crate) granted: Duration,
    /// How far its log in memory matches ours, by its last echo or acknowledgement.
    echoed: Index,
    pub(crate) retransmission: Backoff,
    /// The highest commit index that was sent to it.
    pub(crate) commit: Index,
    /// Whether it may lack something that can be sent now.
    pub(crate) is_lacking: bool,
    /// Whether entries for it are being read from the log.
    pub(crate) fetching: bool,
    /// Whether its disk has space; `None` until it has reported that.
    pub(crate) has_room: Option<bool>,
    /// How long a write takes it, and how much it is preferred as a leader, by its last echo.
    pub(crate) sync_time: Duration,
    pub(crate) priority: Option<u8>,
    /// Reading failed: nothing is sent before the next heartbeat.
    pub(crate) backoff: bool,
    /// It reported that its disk lost what it acknowledged. It does not count in this term.
    pub(crate) forgot: bool,
    /// The membership in force dropped it. It is sent entries until it has left, or until then.
    pub(crate) leaving: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Flow {
    /// One append at a time until one matches.
    Probe { sent: Option<Sent> },
    /// Optimistic: `next` advances when an append is sent.
    Replicate(Inflight),
    /// The entries are compacted away; a snapshot is offered.
    Snapshot { offered: LogId },
}

/// Appends sent and not acknowledged, bounded in bytes and in number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Inflight {
    appends: VecDeque<Sent>,
    bytes: usize,
}

/// An append that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Sent {
    /// The last entry of the append, or the position that it probes.
    pub(crate) last: Index,
    pub(crate) bytes: usize,
    /// The number of the last heartbeat round before it.
    pub(crate) round: u64,
}

impl Sent {
    /// Whether `round` began after this append was sent, and its echo does not cover the append.
    fn is_missing(&self, round: u64, matched: Index) -> bool {
        self.round < round && self.last > matched
    }
}

impl Inflight {
    pub(crate) fn push(&mut self, sent: Sent) {
        self.bytes = self.bytes.saturating_add(sent.bytes);
        self.appends.push_back(sent);
    }

    /// Among the appends that the peer does not match yet, the first is the oldest.
    fn is_missing(&self, round: u64, matched: Index) -> bool {
        let first = self.appends.iter().find(|sent| sent.last > matched);
        first.is_some_and(|sent| sent.is_missing(round, matched))
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// An append may be sent even if it alone exceeds the bound of bytes.
    pub(crate) fn is_full(&self, messages_max: usize, bytes_max: usize) -> bool {
        self.appends.len() >= messages_max || self.bytes >= bytes_max
    }

    fn free_to(&mut self, matched: Index) {
        while self
            .appends
            .front()
            .is_some_and(|sent| sent.last <= matched)
        {
            let sent = self.appends.pop_front();
            self.bytes -= sent.map_or(0, |sent| sent.bytes);
        }
    }
}

impl Progress {
    /// The acknowledged index, the last echoed round and the last contact, as far as they count.
    pub(crate) fn counted(&self) -> (Index, u64, Instant) {
        if self.forgot {
            (Index(0), 0, Instant::ZERO)
        } else {
            (self.matched, self.round, self.contact)
        }
    }

    pub(crate) fn new(id: NodeId, next: Index, now: Instant) -> Self {
        Self {
            id,
            is_lacking: true,
            matched: Index(0),
            next,
            flow: Flow::Probe { sent: None },
            contact: now,
            round: 0,
            granted: Duration::ZERO,
            echoed: Index(0),
            retransmission: Backoff::new(),
            commit: Index(0),
            fetching: false,
            has_room: None,
            sync_time: Duration::ZERO,
            priority: None,
            backoff: false,
            forgot: false,
            leaving: None,
        }
    }

    /// Handles an acknowledgement up to `last`; a stale one changes nothing. Our log begins at
    /// `start`.
    pub(crate) fn handle_appended(&mut self, last: Index, start: Index) {
        if last > self.echoed {
            self.echoed = last;
            self.retransmission.handle_progress();
        } else if last <= self.matched {
            // This acknowledges an append that was sent twice; entries behind it may still arrive.
            self.retransmission.handle_contact();
        }
        if last < self.matched {
            return;
        }
        self.matched = last;
        self.next = self.next.max(last.next());
        match &mut self.flow {
            Flow::Probe { .. } => self.replicate(),
            Flow::Replicate(inflight) => inflight.free_to(last),
            // Not compared with the offered snapshot: the peer may have advanced in another way.
            Flow::Snapshot { .. } if last >= start => self.replicate(),
            Flow::Snapshot { .. } => {}
        }
    }

    /// Handles a rejection of `prev`; the peer may match at `probe` or before. Returns whether it
    /// is news.
    pub(crate) fn handle_rejected(&mut self, prev: Index, probe: Index) -> bool {
        if prev <= self.matched {
            return false;
        }
        match &self.flow {
            Flow::Probe { .. } if prev.next() == self.next => {
                // Strictly downwards, whatever the hint, so that probing terminates.
                self.probe_from(probe.next().min(prev));
                true
            }
            Flow::Replicate(_) if prev < self.next => {
                self.probe_from(self.matched.next());
                true
            }
            _ => false,
        }
    }

    /// Handles an echo of the heartbeat of `round`. `matched` is how far the peer matches in
    /// memory, `last` the end of our log. Returns whether something must be sent again.
    ///
    /// An echo does not show that what was sent before the heartbeat is lost, because heartbeats
    /// overtake appends that queue for a slow link. It shows that the peer still waits; after
    /// enough echoes without progress the backoff ends and the append is sent again. Only the end
    /// of a stream needs this: a gap inside it is rejected when later entries arrive, but the loss
    /// of the last append of a burst would go unnoticed. Also, a peer that restarted would not
    /// learn in this term how far its log matches, nor therefore what is committed.
    pub(crate) fn handle_echo(&mut self, round: u64, matched: Index, last: Index) -> bool {
        if round < self.round {
            return false;
        }
        self.round = round;
        let moved = matched > self.echoed;
        self.echoed = matched;
        if moved {
            self.retransmission.handle_progress();
        }
        let (missing, bytes) = match &self.flow {
            Flow::Probe { sent: Some(sent) } if sent.last <= self.matched.min(matched) => {
                // The probe asks about nothing new to us, so the peer would not repeat a lost
                // acknowledgement of it.
                self.replicate();
                return true;
            }
            // An acknowledgement implies a match in memory, so the peer forgot.
            Flow::Replicate(_) if matched < self.matched => {
                self.probe_from(self.matched.next());
                return true;
            }
            Flow::Probe { sent: Some(sent) } => (sent.is_missing(round, matched), sent.bytes),
            Flow::Replicate(inflight) => (inflight.is_missing(round, matched), inflight.bytes()),
            Flow::Probe { sent: None } | Flow::Snapshot { .. } => (false, 0),
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
        self.probe_from(match &self.flow {
            Flow::Probe { .. } => self.next,
            _ => matched.min(last).next(),
        });
        true
    }

    /// Whether the next entry may be sent now, given that our log ends at `last`. A probe is sent
    /// even without entries.
    #[inline]
    pub(crate) fn wants_append(&self, config: &Config, last: Index) -> bool {
        let open = match &self.flow {
            Flow::Probe { sent } => sent.is_none(),
            Flow::Replicate(inflight) => {
                let (messages_max, bytes_max) =
                    (config.inflight_messages_max, config.inflight_bytes_max);
                self.next <= last && !inflight.is_full(messages_max, bytes_max)
            }
            Flow::Snapshot { .. } => false,
        };
        open && !self.fetching && !self.backoff && !self.forgot
    }

    fn replicate(&mut self) {
        self.flow = Flow::Replicate(Inflight::default());
        self.next = self.matched.next();
    }

    fn probe_from(&mut self, next: Index) {
        self.flow = Flow::Probe { sent: None };
        self.next = next.max(self.matched.next());
    }

    #[cfg(debug_assertions)]
    pub(crate) fn check(&self, config: &Config, last: Index) {
        assert!(self.matched < self.next, "what matched is not sent again");
        assert!(
            self.matched <= last && self.next <= last.next(),
            "a peer has no more than its leader"
        );
        assert!(
            self.is_lacking || !self.wants_append(config, last),
            "a peer that may be sent something is not forgotten"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(last: u64) -> Sent {
        Sent {
            last: Index(last),
            bytes: 10,
            round: 1,
        }
    }

    fn replicating(matched: u64, lasts: &[u64]) -> Progress {
        let mut progress = Progress::new(NodeId(2), Index(1), Instant::ZERO);
        progress.handle_appended(Index(matched), Index(0));
        for last in lasts {
            let Flow::Replicate(inflight) = &mut progress.flow else {
                panic!()
            };
            inflight.push(sent(*last));
            progress.next = Index(last + 1);
        }
        progress
    }

    #[test]
    fn a_stale_acknowledgement_changes_nothing() {
        let mut progress = replicating(5, &[7, 9]);
        let before = progress.clone();
        progress.handle_appended(Index(3), Index(0));
        assert_eq!(progress, before);
    }

    #[test]
    fn an_acknowledgement_frees_what_it_covers() {
        let mut progress = replicating(5, &[7, 9, 11]);
        progress.handle_appended(Index(9), Index(0));
        let Flow::Replicate(inflight) = &progress.flow else {
            panic!()
        };
        assert_eq!((inflight.bytes(), inflight.appends.len()), (10, 1));
        assert_eq!(progress.next, Index(12));
    }

    #[test]
    fn a_stale_refusal_does_not_rewind() {
        let mut progress = replicating(5, &[7]);
        assert!(!progress.handle_rejected(Index(5), Index(2)));
        assert_eq!(progress.next, Index(8));
        assert!(progress.handle_rejected(Index(7), Index(2)));
        assert_eq!(progress.next, Index(6));
        // The same rejection again: meanwhile the probe has moved.
        assert!(!progress.handle_rejected(Index(7), Index(2)));
    }

    #[test]
    fn probing_goes_down_strictly() {
        let mut progress = Progress::new(NodeId(2), Index(10), Instant::ZERO);
        assert!(progress.handle_rejected(Index(9), Index(u64::MAX)));
        assert_eq!(progress.next, Index(9));
    }

    #[test]
    fn a_peer_beyond_the_offer_leaves_the_snapshot_state() {
        let mut progress = Progress::new(NodeId(2), Index(1), Instant::ZERO);
        progress.flow = Flow::Snapshot {
            offered: LogId::ZERO,
        };
        progress.handle_appended(Index(4), Index(5));
        assert!(matches!(progress.flow, Flow::Snapshot { .. }));
        progress.handle_appended(Index(8), Index(5));
        assert!(matches!(progress.flow, Flow::Replicate(_)));
        assert_eq!(progress.next, Index(9));
    }

    /// The first of these heartbeat rounds whose echo causes a resend.
    fn resent(progress: &mut Progress, rounds: std::ops::Range<u64>, matched: u64) -> Option<u64> {
        let lost = |round: &u64| {
            progress.retransmission.begin_heartbeat(*round);
            progress.handle_echo(*round, Index(matched), Index(9))
        };
        rounds.into_iter().find(lost)
    }

    #[test]
    fn echoes_bring_a_lost_append_to_light() {
        let mut progress = replicating(5, &[7]);
        assert_eq!(
            resent(&mut progress.clone(), 1..100, 7),
            None,
            "arrived, its write is slow"
        );
        // The heartbeat of round 1 was sent before the append.
        assert_eq!(resent(&mut progress, 1..100, 5), Some(4));
        assert_eq!(
            (progress.next, &progress.flow),
            (Index(6), &Flow::Probe { sent: None })
        );
    }

    #[test]
    fn an_append_behind_one_that_moves_is_not_lost() {
        let mut progress = replicating(1, &[3, 5, 7, 9]);
        for (at, matched) in [1, 3, 5, 7].into_iter().enumerate() {
            let from = 2 + 2 * at as u64;
            assert_eq!(resent(&mut progress, from..from + 2, matched), None);
        }
    }

    #[test]
    fn a_probe_that_arrived_is_not_sent_again() {
        let mut progress = Progress::new(NodeId(2), Index(1), Instant::ZERO);
        progress.flow = Flow::Probe {
            sent: Some(sent(7)),
        };
        assert_eq!(resent(&mut progress.clone(), 1..100, 7), None);
        progress.handle_echo(1, Index(6), Index(9));
        assert_eq!(resent(&mut progress, 2..100, 6), Some(4));
        assert_eq!(progress.flow, Flow::Probe { sent: None });
    }

    #[test]
    fn a_probe_for_what_is_acknowledged_needs_no_answer() {
        let mut progress = replicating(5, &[]);
        progress.flow = Flow::Probe {
            sent: Some(sent(5)),
        };
        assert!(progress.handle_echo(2, Index(5), Index(5)));
        assert!(matches!(progress.flow, Flow::Replicate(_)));
    }

    #[test]
    fn an_echo_tells_that_the_peer_forgot_what_it_matches() {
        let mut progress = replicating(5, &[]);
        assert!(progress.handle_echo(2, Index(0), Index(5)));
        assert_eq!(progress.next, Index(6));
    }
}
