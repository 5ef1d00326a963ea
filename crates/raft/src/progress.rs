use alloc::collections::VecDeque;

use crate::{Index, Instant, LogId};

/// What a leader knows about one peer.
///
/// Invariants: `matched < next`; `matched` never falls within a term; an acknowledgement frees what
/// is in flight, nothing else does.
///
/// ```text
///            Appended                       compacted away
///   Probe ─────────────▶ Replicate    any ─────────────────▶ Snapshot
///     ▲   Rejected, lost     │         ▲   matched >= start      │
///     └──────────────────────┘         └─────────────────────────┘
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Progress {
    /// The peer's log equals ours up to here, durably.
    pub(crate) matched: Index,
    /// The next entry to send.
    pub(crate) next: Index,
    pub(crate) flow: Flow,
    /// When the peer was last heard in this term.
    pub(crate) contact: Instant,
    /// The highest round it echoed.
    pub(crate) round: u64,
    /// The highest commit index it was told.
    pub(crate) commit: Index,
    /// Entries for it are being read from the log.
    pub(crate) fetching: bool,
    /// Reading failed: nothing is sent before the next heartbeat.
    pub(crate) backoff: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Flow {
    /// One append at a time until one matches. `sent`: the round at which it went.
    Probe { sent: Option<u64> },
    /// Optimistic: `next` moves when an append is sent.
    Replicate(Inflight),
    /// The entries are gone; a snapshot is on offer.
    Snapshot { offered: LogId },
}

/// Appends sent and not acknowledged, bounded in bytes and in number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Inflight {
    appends: VecDeque<Sent>,
    bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Sent {
    last: Index,
    bytes: usize,
    round: u64,
}

impl Inflight {
    pub(crate) fn push(&mut self, last: Index, bytes: usize, round: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        self.appends.push_back(Sent { last, bytes, round });
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// One append goes out even if it alone passes the bound of bytes.
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
    pub(crate) fn new(next: Index, now: Instant) -> Self {
        Self {
            matched: Index(0),
            next,
            flow: Flow::Probe { sent: None },
            contact: now,
            round: 0,
            commit: Index(0),
            fetching: false,
            backoff: false,
        }
    }

    /// An acknowledgement up to `last`; stale ones change nothing. `start` is where our log begins.
    pub(crate) fn handle_appended(&mut self, last: Index, start: Index) {
        if last < self.matched {
            return;
        }
        self.matched = last;
        self.next = self.next.max(last.next());
        match &mut self.flow {
            Flow::Probe { .. } => self.replicate(),
            Flow::Replicate(inflight) => inflight.free_to(last),
            // Not equality with what was offered: the peer may have got further by another way.
            Flow::Snapshot { .. } if last >= start => self.replicate(),
            Flow::Snapshot { .. } => {}
        }
    }

    /// A refusal of `prev`; the peer may match at `probe` or before. Whether it is news.
    pub(crate) fn handle_rejected(&mut self, prev: Index, probe: Index) -> bool {
        if prev <= self.matched {
            return false;
        }
        match &self.flow {
            Flow::Probe { .. } if prev.next() == self.next => {
                // Strictly down, whatever the hint says, so that probing ends.
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

    /// An echo of a heartbeat of `round`: what was sent before that heartbeat has arrived by now,
    /// or is lost or overtaken. `matched` is how far the peer matches in memory. Whether something
    /// must be sent again.
    ///
    /// Without this, the loss of the last append of a burst would stay unnoticed, and a peer that
    /// restarted would not know in this term how far its log matches.
    pub(crate) fn handle_echo(&mut self, round: u64, matched: Index, last: Index) -> bool {
        if round < self.round {
            return false;
        }
        self.round = round;
        let lost = match &self.flow {
            Flow::Probe { sent } => sent.is_some_and(|sent| sent < round),
            Flow::Replicate(inflight) => inflight
                .appends
                .iter()
                .take_while(|sent| sent.round < round)
                .any(|sent| sent.last > matched),
            Flow::Snapshot { .. } => return false,
        };
        match &mut self.flow {
            Flow::Probe { sent } if lost => *sent = None,
            _ if lost || matched < self.matched => self.probe_from(matched.min(last).next()),
            _ => return false,
        }
        true
    }

    pub(crate) fn offer(&mut self, offered: LogId) {
        self.flow = Flow::Snapshot { offered };
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
    pub(crate) fn check(&self, last: Index) {
        assert!(self.matched < self.next, "what matched is not sent again");
        assert!(
            self.matched <= last && self.next <= last.next(),
            "a peer has no more than its leader"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicating(matched: u64, sent: &[u64]) -> Progress {
        let mut progress = Progress::new(Index(1), Instant::ZERO);
        progress.handle_appended(Index(matched), Index(0));
        for last in sent {
            let Flow::Replicate(inflight) = &mut progress.flow else {
                panic!()
            };
            inflight.push(Index(*last), 10, 1);
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
        // The same refusal again: the probe went elsewhere meanwhile.
        assert!(!progress.handle_rejected(Index(7), Index(2)));
    }

    #[test]
    fn probing_goes_down_strictly() {
        let mut progress = Progress::new(Index(10), Instant::ZERO);
        assert!(progress.handle_rejected(Index(9), Index(u64::MAX)));
        assert_eq!(progress.next, Index(9));
    }

    #[test]
    fn a_peer_beyond_the_offer_leaves_the_snapshot_state() {
        let mut progress = Progress::new(Index(1), Instant::ZERO);
        progress.offer(LogId::ZERO);
        progress.handle_appended(Index(4), Index(5));
        assert!(matches!(progress.flow, Flow::Snapshot { .. }));
        progress.handle_appended(Index(8), Index(5));
        assert!(matches!(progress.flow, Flow::Replicate(_)));
        assert_eq!(progress.next, Index(9));
    }

    #[test]
    fn an_echo_brings_a_lost_append_to_light() {
        let mut progress = replicating(5, &[7]);
        assert!(
            !progress.handle_echo(1, Index(5), Index(7)),
            "sent with the round, perhaps on its way"
        );
        assert!(
            !progress.clone().handle_echo(2, Index(7), Index(7)),
            "arrived, its write is slow"
        );
        assert!(progress.handle_echo(2, Index(5), Index(7)));
        assert_eq!(
            (progress.next, &progress.flow),
            (Index(6), &Flow::Probe { sent: None })
        );
    }

    #[test]
    fn an_echo_tells_that_the_peer_forgot_what_it_matches() {
        let mut progress = replicating(5, &[]);
        assert!(progress.handle_echo(2, Index(0), Index(5)));
        assert_eq!(progress.next, Index(6));
    }
}
