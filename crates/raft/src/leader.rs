use alloc::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use crate::progress::Progress;
use crate::raft::ApplyFetch;
use crate::read::Reads;
use crate::role::Duty;
use crate::status::count;
use crate::{
    DiskHealth, Entry, Envelope, Index, Instant, Kind, LogId, Message, NodeId, ProposeError, Raft,
    Replicate,
};

/// What a leader knows; gone with its term.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Leader {
    pub(crate) peers: BTreeMap<NodeId, Progress>,
    /// Its first entry. Once that is committed, it knows what its predecessors committed (§8).
    pub(crate) first: Index,
    pub(crate) heartbeat_deadline: Instant,
    /// By then a quorum must have been heard, else it steps down.
    pub(crate) quorum_deadline: Instant,
    /// A write in flight, and when it was first seen to be.
    pub(crate) slow_write: Option<(u64, Instant)>,
    /// Entries for a peer are being fetched, none came since, and when that was first seen.
    pub(crate) slow_fetch: Option<Instant>,
    /// Since when no quorum that it hears has space, while there are nodes that it does not hear.
    pub(crate) short_of_room: Option<Instant>,
    pub(crate) round: u64,
    /// Echoes of later rounds tell who has space.
    pub(crate) room_round: u64,
    pub(crate) reads: Reads,
    /// Sizes of the entries from `first` on that are not yet both committed and durable here.
    uncommitted: VecDeque<usize>,
    uncommitted_from: Index,
    uncommitted_bytes: usize,
}

impl Leader {
    /// Who has space is forgotten, and told by the echoes of the rounds to come.
    pub(crate) fn ask_for_room(&mut self) {
        self.room_round = self.round;
        self.peers
            .values_mut()
            .for_each(|peer| peer.has_room = None);
    }

    pub(crate) fn forget_time(&mut self) {
        self.heartbeat_deadline = Instant::ZERO;
        self.quorum_deadline = Instant::ZERO;
        self.slow_write = None;
        self.slow_fetch = None;
        self.short_of_room = None;
        self.peers
            .values_mut()
            .for_each(|peer| peer.contact = Instant::ZERO);
    }

    fn hold(&mut self, bytes: usize) {
        self.uncommitted.push_back(bytes);
        self.uncommitted_bytes = self.uncommitted_bytes.saturating_add(bytes);
    }

    fn release_to(&mut self, index: Index) {
        while self.uncommitted_from <= index {
            let Some(bytes) = self.uncommitted.pop_front() else {
                return;
            };
            self.uncommitted_bytes -= bytes;
            self.uncommitted_from = self.uncommitted_from.next();
        }
    }
}

impl Raft {
    /// Won the election (§5.2). The first entry of the term makes what is before it committable
    /// (§5.4.2).
    pub(crate) fn lead(&mut self, now: Instant) {
        let first = self.log.last().index.next();
        let peers = self.membership.nodes().filter(|id| *id != self.config.id);
        self.duty = Duty::Leader(Leader {
            peers: peers.map(|id| (id, Progress::new(first, now))).collect(),
            first,
            heartbeat_deadline: now.plus(self.config.heartbeat_interval),
            quorum_deadline: now.plus(self.config.election_timeout_max),
            slow_write: None,
            slow_fetch: None,
            short_of_room: None,
            round: 0,
            room_round: 0,
            reads: Reads::default(),
            uncommitted: VecDeque::new(),
            uncommitted_from: first,
            uncommitted_bytes: 0,
        });
        self.append(Kind::Noop, Bytes::new());
        self.replicate_to_all();
    }

    pub(crate) fn append_command(&mut self, body: Bytes) -> Result<LogId, ProposeError> {
        let Duty::Leader(leader) = &self.duty else {
            return Err(ProposeError::NotLeader(self.leader()));
        };
        let (bytes, bytes_max) = (body.len(), self.config.entry_bytes_max);
        if bytes > bytes_max {
            return Err(ProposeError::TooLarge { bytes, bytes_max });
        }
        if self.log.last().index >= Index::MAX {
            return Err(ProposeError::IndexExhausted);
        }
        if !self.has_room(leader) {
            return Err(ProposeError::Full);
        }
        // An entry alone always fits, else one that is larger than the bound could never be
        // proposed.
        let after = leader
            .uncommitted_bytes
            .saturating_add(bytes + Entry::HEAD_BYTES);
        if leader.uncommitted_bytes > 0 && after > self.config.uncommitted_bytes_max {
            return Err(ProposeError::Busy);
        }
        let id = self.append(Kind::Command, body);
        self.replicate_to_all();
        Ok(id)
    }

    /// The caller leads and has an index left.
    fn append(&mut self, kind: Kind, body: Bytes) -> LogId {
        let id = LogId {
            term: self.term,
            index: self.log.last().index.next(),
        };
        let entry = Entry { id, kind, body };
        if let Duty::Leader(leader) = &mut self.duty {
            leader.hold(entry.size());
        }
        self.log.append(entry);
        id
    }

    pub(crate) fn handle_leader_timeout(&mut self, now: Instant) {
        self.check_quorum(now);
        let Duty::Leader(leader) = &mut self.duty else {
            return;
        };
        if now < leader.heartbeat_deadline {
            return;
        }
        leader.heartbeat_deadline = now.plus(self.config.heartbeat_interval);
        leader
            .peers
            .values_mut()
            .for_each(|peer| peer.backoff = false);
        if self.apply_fetch == ApplyFetch::Failed {
            self.apply_fetch = ApplyFetch::Idle;
        }
        self.begin_round();
        self.begin_beat();
        self.offer_again();
        self.replicate_to_all();
    }

    /// A broadcast of heartbeats. Each is a round that confirms the reads that came before it.
    fn begin_round(&mut self) {
        let (term, committed) = (self.term, self.committed);
        let Duty::Leader(leader) = &mut self.duty else {
            return;
        };
        leader.round += 1;
        if committed >= leader.first {
            leader.reads.begin_round(leader.round, committed);
        }
        for (id, peer) in &mut leader.peers {
            let commit = committed.min(peer.matched);
            peer.commit = peer.commit.max(commit);
            let (round, matched) = (leader.round, peer.matched);
            self.outbox.send_now(
                *id,
                Replicate::Heartbeat {
                    term,
                    round,
                    commit,
                    matched,
                },
            );
        }
    }

    fn begin_beat(&mut self) {
        if let Duty::Leader(leader) = &mut self.duty {
            let round = leader.round;
            let peers = leader.peers.values_mut();
            peers.for_each(|peer| peer.patience.begin_beat(round));
        }
    }

    /// Reads do not wait for the next heartbeat, but share a round with those that came meanwhile.
    pub(crate) fn begin_read_round(&mut self) {
        let Duty::Leader(leader) = &self.duty else {
            return;
        };
        if leader.reads.wants_round() && self.committed >= leader.first {
            self.begin_round();
        }
    }

    /// The last round that a quorum echoed; this node hears itself.
    pub(crate) fn confirmed_round(&self) -> u64 {
        let Duty::Leader(leader) = &self.duty else {
            return 0;
        };
        let id = self.config.id;
        let echoed = |peer: NodeId| {
            leader
                .peers
                .get(&peer)
                .map_or(0, |progress| progress.counted().1)
        };
        self.quorum().reached(|peer| {
            if peer == id {
                leader.round
            } else {
                echoed(peer)
            }
        })
    }

    pub(crate) fn handle_appended(&mut self, now: Instant, from: NodeId, last: Index) {
        let end = self.log.last().index;
        let start = self.log.start().index;
        let Some(peer) = self.hear(now, from) else {
            return;
        };
        if last > end {
            count(&mut self.counters.malformed);
            return;
        }
        peer.handle_appended(last, start);
        self.advance_commit();
        self.replicate_to(from);
    }

    pub(crate) fn handle_rejected(&mut self, now: Instant, from: NodeId, prev: LogId, hint: LogId) {
        // Our own last position at or before the hint that can match it. Before our start nothing
        // is known but that a snapshot is needed.
        let start = self.log.start().index;
        let probe = if hint.index < start {
            hint.index
        } else {
            self.log.hint(hint).index
        };
        let Some(peer) = self.hear(now, from) else {
            return;
        };
        if peer.handle_rejected(prev.index, probe) {
            self.replicate_to(from);
        }
    }

    pub(crate) fn handle_heartbeat_echo(
        &mut self,
        now: Instant,
        from: NodeId,
        round: u64,
        matched: Index,
        disk: DiskHealth,
    ) {
        let last = self.log.last().index;
        let Duty::Leader(leader) = &self.duty else {
            count(&mut self.counters.out_of_role);
            return;
        };
        if round > leader.round {
            count(&mut self.counters.malformed);
            return;
        }
        let tells_room = round > leader.room_round;
        let Some(peer) = self.hear(now, from) else {
            return;
        };
        if tells_room && round >= peer.round {
            peer.has_room = Some(disk.has_room);
        }
        if peer.handle_echo(round, matched, last) {
            self.replicate_to(from);
        }
    }

    /// Its disk lost what it acknowledged: in this term neither its copy nor its word counts any
    /// more. What was committed with its copy stays committed, and is here.
    pub(crate) fn handle_forgot(&mut self, from: NodeId) {
        if let Duty::Leader(leader) = &mut self.duty
            && let Some(peer) = leader.peers.get_mut(&from)
        {
            peer.forgot = true;
        } else {
            count(&mut self.counters.out_of_role);
        }
    }

    /// Whether this node and a quorum have space, as far as they have said.
    fn has_room(&self, leader: &Leader) -> bool {
        let peer_has = |id: NodeId| {
            let peer = leader.peers.get(&id);
            peer.is_none_or(|peer| peer.has_room != Some(false))
        };
        self.disk.has_room && self.quorum().agrees(peer_has)
    }

    /// A word of this term from a peer: contact, whatever it says.
    fn hear(&mut self, now: Instant, from: NodeId) -> Option<&mut Progress> {
        if let Duty::Leader(leader) = &mut self.duty
            && let Some(peer) = leader.peers.get_mut(&from)
            && !peer.forgot
        {
            peer.contact = peer.contact.max(now);
            return Some(peer);
        }
        count(&mut self.counters.out_of_role);
        None
    }

    /// Figure 2, last rule for leaders: an index that a quorum holds is committed if its entry is
    /// of this term; earlier ones only with it (§5.4.2, Figure 8). We ourselves hold what is
    /// durable here.
    pub(crate) fn advance_commit(&mut self) {
        let Duty::Leader(leader) = &self.duty else {
            return;
        };
        let (id, persisted) = (self.config.id, self.log.persisted());
        let matched = |peer: NodeId| {
            leader
                .peers
                .get(&peer)
                .map_or(Index(0), |progress| progress.counted().0)
        };
        let held = self
            .quorum()
            .reached(|peer| if peer == id { persisted } else { matched(peer) });
        if held > self.committed && self.log.term_at(held) == Some(self.term) {
            self.committed = held;
        }
        let settled = self.committed.min(persisted);
        if let Duty::Leader(leader) = &mut self.duty {
            leader.release_to(settled);
        }
    }

    /// Tells a peer that the commit index moved, if no append or heartbeat did. Asked for last,
    /// when everything that could carry it has gone.
    pub(crate) fn poll_commit_notice(&mut self) -> Option<Envelope> {
        let (term, committed) = (self.term, self.committed);
        let Duty::Leader(leader) = &mut self.duty else {
            return None;
        };
        let news = |peer: &Progress| peer.commit < committed.min(peer.matched);
        let (to, peer) = leader.peers.iter_mut().find(|(_, peer)| news(peer))?;
        let commit = committed.min(peer.matched);
        peer.commit = commit;
        let message = Message::Replicate(Replicate::Commit { term, commit });
        Some(Envelope { to: *to, message })
    }
}
