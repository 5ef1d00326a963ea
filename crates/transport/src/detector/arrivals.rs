//! Suspicion by the silence since the last arrival: what deadlines and accrual have in common.

use super::attention::Watch;
use super::{Attention, Counts, Incarnation, Instant, Output};
use crate::NodeId;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a peer may be silent, and what there is to learn of that. It is of one incarnation of one peer.
pub(super) trait Timeout: Clone {
    /// A silence of a peer that nobody suspected.
    fn learn(&mut self, gap: Duration);
    /// The peer was suspected, and lived.
    fn mistaken(&mut self);
    /// A later incarnation begins.
    fn restart(&mut self);
    /// The silence at which the peer is suspected.
    fn timeout(&self) -> Duration;
}

/// The arrivals of all peers.
///
/// Invariants: a peer is suspected only when it was silent for its timeout, and the detector awake; no silence is
/// learnt that ended a suspicion, that spans two incarnations, or through which the detector was deaf.
#[derive(Clone, Debug)]
pub(super) struct Arrivals<P> {
    peers: BTreeMap<NodeId, Peer<P>>,
    watch: Watch,
    counts: Counts,
}

#[derive(Clone, Debug)]
struct Peer<P> {
    /// None of it came yet.
    incarnation: Option<Incarnation>,
    /// The last arrival, or when the watch over it began.
    last: Instant,
    /// The silence since then tells nothing of the peer alone.
    disturbed: bool,
    suspected: bool,
    /// What was last said of it.
    told: bool,
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
            told: false,
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
        let (id, peer) = peers.find(|(_, peer)| peer.told != peer.suspected)?;
        peer.told = peer.suspected;
        Some(match peer.told {
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

    /// What is known of the silence of a peer, and since when it is silent.
    pub(super) fn timeout(&self, id: NodeId) -> Option<(&P, Instant)> {
        self.peers.get(&id).map(|peer| (&peer.timeout, peer.last))
    }

    /// Was the detector held up, what it knows is as old as that: it suspects nobody, and learns from no
    /// silence that it was deaf through.
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

    /// `true` when the peer was suspected by mistake.
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
