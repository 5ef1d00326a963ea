//! A gossip detector: indirect probes, rumours, and refutation.

mod errands;
mod message;
mod probe;
mod rumors;
mod settings;

use super::attention::Watch;
use super::{Counts, Detector, Incarnation, Instant, Output, SettingsError};
use crate::NodeId;
use crate::draws::Draws;
use errands::Errands;
use probe::{Probe, Round};
use rumors::{Heard, Rumors};
use std::collections::{BTreeMap, VecDeque};

pub use message::{DecodeError, Kind, Message, RUMORS_MAX, Refutation, Rumor, Seq};
pub use settings::GossipSettings;

/// Round-robin probes with helpers, and gossip about nodes that did not answer (after SWIM: Das, Gupta,
/// Motivala 2002).
///
/// In each round one peer is probed, each once before any is probed again, in an order reshuffled for each
/// pass. If it does not answer, helpers probe it too, so that a single bad link does not cause a suspicion.
/// If they get no answer either, the peer is *doubted*: the doubt is piggybacked on the messages of the next
/// rounds, first of all to the peer itself, which refutes it with a higher [`Refutation`]. If it does not
/// within `refute_max`, and nothing else arrives from it, it is suspected by every node that has received the
/// doubt.
///
/// The load is one probe per round and node, whatever the size of the cluster. A crash is detected by some node
/// within a few rounds, and by every node within as many rounds as there are peers, plus `refute_max`.
///
/// Eventually perfect when its configured bounds hold: see the [module](super). Differences from the paper:
///
/// | | here | why |
/// |---|---|---|
/// | a suspected peer | is still probed, and trusted at its first frame | no peer is declared dead: no *confirm* |
/// | the counter of refutations | is called refutation | an incarnation is one run of a node |
/// | any frame of the target | answers a probe, and ends a doubt | it is stronger evidence than any rumour |
/// | rumours about an unknown incarnation | are dropped | only own frames establish an incarnation |
/// | the detector was stalled | its probe is void, then grace | Lifeguard (Dadgar, Phillips, Currey 2018) |
#[derive(Clone, Debug)]
pub struct Gossip {
    own: NodeId,
    settings: GossipSettings,
    peers: BTreeMap<NodeId, Peer>,
    rumors: Rumors,
    round: Round,
    errands: Errands,
    outbox: VecDeque<(NodeId, Message)>,
    draws: Draws,
    watch: Watch,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    incarnation: Option<Incarnation>,
    standing: Standing,
    /// Whether the last output reported it as suspected.
    reported: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    Trusted,
    /// It is suspected unless it refutes the doubt before this time.
    Doubted(Instant),
    Suspected,
}

impl Gossip {
    /// Monitors `peers` from `now` on, as this incarnation of node `own`.
    ///
    /// # Errors
    /// [`SettingsError`], when the settings contradict themselves.
    pub fn new(
        now: Instant,
        own: NodeId,
        incarnation: Incarnation,
        peers: impl IntoIterator<Item = NodeId>,
        settings: GossipSettings,
    ) -> Result<Self, SettingsError> {
        settings.check()?;
        let peers: BTreeMap<_, _> = peers
            .into_iter()
            .filter(|peer| *peer != own)
            .map(|peer| (peer, Peer::default()))
            .collect();
        let transmissions = settings.transmissions;
        Ok(Self {
            own,
            settings,
            rumors: Rumors::begin(own, incarnation, peers.len() + 1, transmissions),
            round: Round::begin(now),
            errands: Errands::new(settings.errands_max),
            outbox: VecDeque::new(),
            draws: Draws::new(settings.seed),
            watch: Watch::begin(now, settings.attention),
            counts: Counts::default(),
            peers,
        })
    }

    /// How often this node has refuted suspicions in this incarnation.
    #[must_use]
    pub fn refutation(&self) -> Refutation {
        self.rumors
            .of(self.own)
            .map_or(Refutation(0), |rumor| rumor.refutation)
    }

    /// Records a frame of the peer; `false` when it is unknown or the incarnation is an earlier
    /// one.
    fn meet(&mut self, id: NodeId, incarnation: Incarnation) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else {
            self.counts.strangers += 1;
            return false;
        };
        match peer.incarnation {
            Some(known) if incarnation < known => {
                self.counts.stale += 1;
                return false;
            }
            Some(known) if incarnation == known => {
                self.counts.mistakes += u64::from(peer.standing == Standing::Suspected);
            }
            // The first incarnation, or a later one: the suspected one has really ended.
            _ => {
                peer.incarnation = Some(incarnation);
                self.rumors.meet(id, incarnation);
            }
        }
        peer.standing = Standing::Trusted;
        self.rumors.drop_doubt(id);
        self.round.answer(id);
        for errand in self.errands.heard(id) {
            let kind = Kind::AnswerOf {
                seq: errand.seq,
                target: id,
            };
            self.send(errand.whose, kind);
        }
        true
    }

    fn hear(&mut self, now: Instant, rumor: Rumor) {
        let heard = if rumor.node == self.own {
            match rumor.suspected {
                true => self.rumors.refute(self.own, &rumor),
                false => Heard::Old,
            }
        } else if self.peers.contains_key(&rumor.node) {
            self.rumors.hear(rumor)
        } else {
            self.counts.strangers += 1;
            return;
        };
        match heard {
            Heard::News if rumor.node == self.own => {}
            Heard::News if rumor.suspected => self.doubt(now, rumor.node),
            // A refutation that other nodes relayed.
            Heard::News => self.trust(rumor.node),
            Heard::Old => {}
            Heard::Unmet => self.counts.stale += 1,
            Heard::Nonsense => self.counts.nonsense += 1,
        }
    }

    fn doubt(&mut self, now: Instant, id: NodeId) {
        let until = now.max(self.watch.until()) + self.settings.refute_max;
        if let Some(peer) = self.peers.get_mut(&id)
            && peer.standing == Standing::Trusted
        {
            peer.standing = Standing::Doubted(until);
        }
    }

    /// Records indirect evidence that the peer is alive.
    fn trust(&mut self, id: NodeId) {
        if let Some(peer) = self.peers.get_mut(&id) {
            self.counts.mistakes += u64::from(peer.standing == Standing::Suspected);
            peer.standing = Standing::Trusted;
        }
    }

    fn step(&mut self, now: Instant, from: NodeId, kind: Kind) {
        match kind {
            Kind::Probe(seq) => self.send(from, Kind::Answer(seq)),
            // The frame itself is the evidence.
            Kind::Answer(_) => {}
            Kind::ProbeFor { seq, target } => {
                if !self.peers.contains_key(&target) {
                    self.counts.strangers += 1;
                } else if self.errands.take(now, self.settings, from, seq, target) {
                    let seq = self.round.number();
                    self.send(target, Kind::Probe(seq));
                }
            }
            Kind::AnswerOf { seq, target } => {
                if self.round.answer_of(from, seq, target) {
                    self.rumors.drop_doubt(target);
                    self.trust(target);
                }
            }
        }
    }

    fn send(&mut self, to: NodeId, kind: Kind) {
        if self.outbox.len() == OUTBOX_MAX {
            // The newest message describes the current state.
            self.outbox.pop_front();
            self.counts.unsent += 1;
        }
        let rumors = self.rumors.pass_on(to, self.settings.rumors_max);
        self.outbox.push_back((to, Message { kind, rumors }));
    }

    fn look_up(&mut self, now: Instant) {
        if self.watch.is_held_up(now) {
            self.counts.held_up += 1;
            self.round.void();
            for peer in self.peers.values_mut() {
                peer.standing = Standing::Trusted;
            }
        }
    }

    /// Continues this round's probe, and starts the next round when it is due.
    fn probe(&mut self, now: Instant) {
        if let Some((seq, target)) = self.round.needs_help(now, self.settings.answer_max) {
            let helpers = self.helpers(target);
            self.round.ask(helpers.clone());
            for helper in helpers {
                self.send(helper, Kind::ProbeFor { seq, target });
            }
        }
        if !self.round.is_over(now) {
            return;
        }
        if let Some(unheard) = self.round.unanswered() {
            self.rumors.doubt(unheard);
            self.doubt(now, unheard);
        }
        let ids = self.peers.keys().copied();
        let next = self.round.next(ids, &mut self.draws);
        let probe = next.map(|target| Probe::begin(self.round.number(), now, target));
        self.round
            .start(now + self.settings.probe_every, probe.clone());
        if let Some(probe) = probe {
            self.send(probe.target, Kind::Probe(probe.seq));
        }
    }

    /// A random choice of peers that are not suspected.
    fn helpers(&mut self, target: NodeId) -> Vec<NodeId> {
        let peers = self.peers.iter();
        let mut able: Vec<_> = peers
            .filter(|(id, peer)| **id != target && peer.standing != Standing::Suspected)
            .map(|(id, _)| *id)
            .collect();
        let mut helpers = Vec::new();
        while helpers.len() < self.settings.helpers && !able.is_empty() {
            let at = self.draws.below(able.len() as u64) as usize;
            helpers.push(able.swap_remove(at));
        }
        helpers
    }
}

impl Detector for Gossip {
    fn handle_frame(&mut self, now: Instant, peer: NodeId, incarnation: Incarnation) {
        self.look_up(now);
        self.meet(peer, incarnation);
    }

    fn handle_message(
        &mut self,
        now: Instant,
        from: NodeId,
        incarnation: Incarnation,
        message: &Message,
    ) {
        self.look_up(now);
        if !self.meet(from, incarnation) {
            return;
        }
        for rumor in message.rumors.iter().take(RUMORS_MAX) {
            self.hear(now, *rumor);
        }
        self.step(now, from, message.kind);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.look_up(now);
        self.errands.expire(now);
        self.probe(now);
        for peer in self.peers.values_mut() {
            if let Standing::Doubted(until) = peer.standing
                && until.max(self.watch.until()) <= now
            {
                peer.standing = Standing::Suspected;
                self.counts.suspicions += 1;
            }
        }
    }

    fn poll_timeout(&self) -> Instant {
        let doubts = self.peers.values().filter_map(|peer| match peer.standing {
            Standing::Doubted(until) => Some(until.max(self.watch.until())),
            _ => None,
        });
        let round = self.round.poll_timeout(self.settings.answer_max);
        doubts.fold(round.min(self.watch.next()), Ord::min)
    }

    fn poll_output(&mut self) -> Option<Output> {
        for (id, peer) in &mut self.peers {
            let suspected = peer.standing == Standing::Suspected;
            if peer.reported != suspected {
                peer.reported = suspected;
                return Some(match suspected {
                    true => Output::Suspect(*id),
                    false => Output::Trust(*id),
                });
            }
        }
        let (to, message) = self.outbox.pop_front()?;
        Some(Output::Send(to, message))
    }

    fn suspects(&self, peer: NodeId) -> bool {
        let peer = self.peers.get(&peer);
        peer.is_some_and(|peer| peer.standing == Standing::Suspected)
    }

    fn counts(&self) -> Counts {
        self.counts
    }
}

/// The most messages queued for an owner that does not poll.
const OUTBOX_MAX: usize = 256;
