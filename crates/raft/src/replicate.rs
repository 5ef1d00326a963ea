use alloc::vec::Vec;

use crate::log::Slice;
use crate::progress::{Flow, Progress, Sent};
use crate::role::Duty;
use crate::status::count;
use crate::{Entry, Fetch, FetchError, Index, LogId, NodeId, Raft, Replicate, Wanted};

/// How a leader brings its log to a peer (§5.3, §7).
impl Raft {
    pub(crate) fn replicate_to_all(&mut self) {
        let peers: Vec<NodeId> = match &self.duty {
            Duty::Leader(leader) => leader.peers.keys().copied().collect(),
            _ => return,
        };
        peers.into_iter().for_each(|peer| self.replicate_to(peer));
    }

    /// Sends what the peer lacks, as far as its limits let it.
    pub(crate) fn replicate_to(&mut self, id: NodeId) {
        while let Some(next) = self.wants_append(id) {
            // The entry before may just have been compacted; its term is then not known any more.
            let prev = next.prev();
            let Some(term) = self.log.term_at(prev) else {
                return self.offer_snapshot(id);
            };
            let prev = LogId { term, index: prev };
            if next > self.log.last().index {
                self.send_append(id, prev, Vec::new());
                continue;
            }
            let (bytes_max, entries_max) =
                (self.config.append_bytes_max, self.config.append_entries_max);
            match self.log.slice(next, bytes_max, entries_max) {
                Slice::Cached(entries) => self.send_append(id, prev, entries),
                Slice::Evicted(to) => return self.fetch_for(id, next, to),
            }
        }
    }

    /// The next entry to send, if one may be sent now. A probe is sent even without entries.
    fn wants_append(&self, id: NodeId) -> Option<Index> {
        let Duty::Leader(leader) = &self.duty else {
            return None;
        };
        let peer = leader.peers.get(&id)?;
        let open = match &peer.flow {
            Flow::Probe { sent } => sent.is_none(),
            Flow::Replicate(inflight) => {
                let (messages_max, bytes_max) = (
                    self.config.inflight_messages_max,
                    self.config.inflight_bytes_max,
                );
                peer.next <= self.log.last().index && !inflight.is_full(messages_max, bytes_max)
            }
            Flow::Snapshot { .. } => false,
        };
        (open && !peer.fetching && !peer.backoff && !peer.forgot).then_some(peer.next)
    }

    fn send_append(&mut self, id: NodeId, prev: LogId, entries: Vec<Entry>) {
        let (term, commit) = (self.term, self.committed);
        let Duty::Leader(leader) = &mut self.duty else {
            return;
        };
        let Some(peer) = leader.peers.get_mut(&id) else {
            return;
        };
        let last = entries.last().map_or(prev.index, |entry| entry.id.index);
        let append = Sent {
            last,
            bytes: entries.iter().map(Entry::size).sum(),
            round: leader.round,
        };
        match &mut peer.flow {
            Flow::Probe { sent } => *sent = Some(append),
            Flow::Replicate(inflight) => {
                inflight.push(append);
                peer.next = last.next();
                peer.commit = peer.commit.max(commit.min(last));
            }
            Flow::Snapshot { .. } => return,
        }
        self.outbox.send_now(
            id,
            Replicate::Append {
                term,
                prev,
                entries,
                commit,
            },
        );
    }

    fn fetch_for(&mut self, id: NodeId, from: Index, to: Index) {
        let last = from
            .0
            .saturating_add(self.config.append_entries_max as u64 - 1);
        if let Some(peer) = self.peer_mut(id) {
            peer.fetching = true;
            self.fetches.push_back(Fetch {
                from,
                to: to.min(Index(last)),
                bytes_max: self.config.append_bytes_max,
                wanted: Wanted::Peer(id),
                term: self.term,
            });
        }
    }

    pub(crate) fn handle_fetched_for_peer(
        &mut self,
        id: NodeId,
        fetch: &Fetch,
        entries: Result<Vec<Entry>, FetchError>,
    ) {
        let of_this_term = fetch.term == self.term;
        let is_range = entries
            .as_ref()
            .is_ok_and(|entries| self.is_range_of_log(fetch, entries));
        let start = self.log.start().index;
        if of_this_term && let Duty::Leader(leader) = &mut self.duty {
            leader.slow_fetch = None;
        }
        let Some(peer) = self
            .peer_mut(id)
            .filter(|peer| of_this_term && peer.fetching)
        else {
            count(&mut self.counters.fetches_stale);
            return;
        };
        peer.fetching = false;
        let superseded = peer.next != fetch.from || fetch.from <= start;
        match entries {
            // The peer was probed elsewhere meanwhile, or our log begins later now.
            _ if superseded => count(&mut self.counters.fetches_stale),
            Ok(entries) if is_range => {
                let index = fetch.from.prev();
                if self.wants_append(id).is_some()
                    && let Some(term) = self.log.term_at(index)
                {
                    self.send_append(id, LogId { term, index }, entries);
                }
            }
            Err(FetchError::Cut { .. }) => return self.offer_snapshot(id),
            Ok(_) | Err(FetchError::Unavailable) => peer.backoff = true,
        }
        self.replicate_to(id);
    }

    /// Every heartbeat repeats the offer, with the newest snapshot: the peer pulls once, and an
    /// offer that was lost, or a pull that failed, is made good.
    pub(crate) fn offer_again(&mut self) {
        let Duty::Leader(leader) = &self.duty else {
            return;
        };
        let waiting = leader
            .peers
            .iter()
            .filter(|(_, peer)| matches!(peer.flow, Flow::Snapshot { .. }) && !peer.forgot);
        let waiting: Vec<NodeId> = waiting.map(|(id, _)| *id).collect();
        waiting.into_iter().for_each(|id| self.offer_snapshot(id));
    }

    fn offer_snapshot(&mut self, id: NodeId) {
        let Some(snapshot) = self.snapshot.clone() else {
            // Only a log that claims to be cut without a snapshot leads here.
            if let Some(peer) = self.peer_mut(id) {
                peer.backoff = true;
            }
            return;
        };
        let term = self.term;
        if let Some(peer) = self.peer_mut(id) {
            peer.offer(snapshot.last);
            self.outbox
                .send_now(id, Replicate::Snapshot { term, snapshot });
        }
    }

    fn peer_mut(&mut self, id: NodeId) -> Option<&mut Progress> {
        match &mut self.duty {
            Duty::Leader(leader) => leader.peers.get_mut(&id),
            _ => None,
        }
    }
}
