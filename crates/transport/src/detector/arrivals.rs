//! Suspicion by the time since the last arrival: shared by the deadline and accrual detectors.

use super::attention::Watch;
use super::{Attention, Counts, Incarnation, Instant, Output};
use crate::NodeId;
use std::collections::BTreeMap;
use std::time::Duration;

/// The timeout of one incarnation of one peer, and how it adapts.
pub(super) trait Timeout: Clone {
    /// Learns from a gap that ended without a suspicion.
    fn learn(&mut self, gap: Duration);
    /// Adapts to a mistake: the peer was suspected but alive.
    fn mistaken(&mut self);
    /// Resets for a later incarnation.
    fn restart(&mut self);
    /// The silence at which the peer is suspected.
    fn timeout(&self) -> Duration;
}

/// The arrival times of all peers.
///
/// Invariants: a peer is suspected only when it was silent for its timeout while the detector was running; a gap
/// is not learnt when it ended a suspicion, spans two incarnations, or includes a stall of the detector.
#[derive(Clone, Debug)]
pub(super) struct Arrivals<P> {
    peers: BTreeMap<NodeId, Peer<P>>,
    watch: Watch,
    counts: Counts,
}

#[derive(Clone, Debug)]
struct Peer<P> {
    /// `None` until a frame arrives.
    incarnation: Option<Incarnation>,
    /// The last arrival, or when monitoring began.
    last: Instant,
    /// The detector was stalled since then, so the gap must not be learnt.
    disturbed: bool,
    suspected: bool,
    /// Whether the last output reported it as suspected.
    reported: bool,
    timeout: P,
}

impl<P: Timeout> Arrivals<P> {
    pub(super) fn begin(
        now: Instant,
        peers: impl IntoIterator<Item = NodeId>,
        attention: Attention,
        timeout: &P,
    ) -> Self {
        let peer = || Peer {
            incarnation: None,
            last: now,
            disturbed: true,
            suspected: false,
            reported: false,
            timeout: timeout.clone(),
        };
        Self {
            peers: peers.into_iter().map(|id| (id, peer())).collect(),
            watch: Watch::begin(now, attention),
            counts: Counts::default(),
        }
    }

    pub(super) fn handle_frame(&mut self, now: Instant, id: NodeId, incarnation: Incarnation) {
        self.look_up(now);
        let Some(peer) = self.peers.get_mut(&id) else {
            self.counts.strangers += 1;
            return;
        };
        match peer.incarnation {
            Some(known) if incarnation < known => self.counts.stale += 1,
            Some(known) if incarnation > known => peer.begin(now, incarnation),
            _ => {
                peer.incarnation = Some(incarnation);
                self.counts.mistakes += u64::from(peer.arrive(now));
            }
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.look_up(now);
        if now < self.watch.until() {
            return;
        }
        for peer in self.peers.values_mut() {
            if !peer.suspected && peer.due() <= now {
                peer.suspected = true;
                self.counts.suspicions += 1;
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        let trusted = self.peers.values().filter(|peer| !peer.suspected);
        let due = trusted.map(|peer| peer.due().max(self.watch.until()));
        due.fold(self.watch.next(), Ord::min)
    }

    pub(super) fn poll_output(&mut self) -> Option<Output> {
        let mut peers = self.peers.iter_mut();
        let (id, peer) = peers.find(|(_, peer)| peer.reported != peer.suspected)?;
        peer.reported = peer.suspected;
        Some(match peer.reported {
            true => Output::Suspect(*id),
            false => Output::Trust(*id),
        })
    }

    pub(super) fn suspects(&self, id: NodeId) -> bool {
        self.peers.get(&id).is_some_and(|peer| peer.suspected)
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    /// The timeout state of a peer, and its last arrival.
    pub(super) fn timeout(&self, id: NodeId) -> Option<(&P, Instant)> {
        self.peers.get(&id).map(|peer| (&peer.timeout, peer.last))
    }

    /// After a stall the recorded arrivals are out of date: nobody is suspected during the grace period,
    /// and no gap that includes the stall is learnt.
    fn look_up(&mut self, now: Instant) {
        if self.watch.is_held_up(now) {
            self.counts.held_up += 1;
            for peer in self.peers.values_mut() {
                (peer.suspected, peer.disturbed) = (false, true);
            }
        }
    }
}

impl<P: Timeout> Peer<P> {
    fn begin(&mut self, now: Instant, incarnation: Incarnation) {
        self.incarnation = Some(incarnation);
        self.timeout.restart();
        self.last = self.last.max(now);
        (self.suspected, self.disturbed) = (false, false);
    }

    /// Records an arrival. `true` when the peer was suspected by mistake.
    fn arrive(&mut self, now: Instant) -> bool {
        let mistaken = self.suspected;
        if mistaken {
            self.timeout.mistaken();
        } else if !self.disturbed {
            self.timeout.learn(now.since(self.last));
        }
        self.last = self.last.max(now);
        (self.suspected, self.disturbed) = (false, false);
        mistaken
    }

    fn due(&self) -> Instant {
        self.last + self.timeout.timeout()
    }
}
