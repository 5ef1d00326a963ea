use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::Leader;
use crate::counters::count;
use crate::log::Slice;
use crate::node::Common;
use crate::progress::{Flow, Progress, Sent};
use crate::{Entry, Fetch, FetchError, Index, LogId, NodeId, Replicate, Wanted};

/// How a leader brings its log to its peers (§5.3, §7).
impl Leader {
    pub(super) fn replicate_to_all(&mut self, common: &mut Common) {
        self.for_each_link(common, |link| link.replicate());
    }

    pub(super) fn replicate_to(&mut self, common: &mut Common, id: NodeId) {
        if let Some(mut link) = self.link(common, id) {
            link.replicate();
        }
    }

    /// Every heartbeat repeats the offer, with the newest snapshot: the peer pulls once, and an
    /// offer that was lost, or a pull that failed, is made good.
    pub(super) fn offer_again(&mut self, common: &mut Common) {
        self.for_each_link(common, |link| {
            if matches!(link.peer.flow, Flow::Snapshot { .. }) && !link.peer.forgot {
                link.offer_snapshot();
            }
        });
    }

    /// The log has answered for a peer, which may have been probed elsewhere meanwhile.
    pub(crate) fn handle_fetched(
        &mut self,
        common: &mut Common,
        id: NodeId,
        fetch: &Fetch,
        entries: Result<Vec<Entry>, FetchError>,
    ) {
        if fetch.term == common.term {
            self.slow_fetch = None;
            if let Some(mut link) = self.link(common, id).filter(|link| link.peer.fetching) {
                return link.handle_fetched(fetch, entries);
            }
        }
        count(&mut common.counters.fetches_stale);
    }

    fn link<'a>(&'a mut self, common: &'a mut Common, id: NodeId) -> Option<Link<'a>> {
        let peer = self.peers.get_mut(&id)?;
        Some(Link {
            id,
            peer,
            round: self.round,
            fetches: &mut self.fetches,
            common,
        })
    }

    fn for_each_link(&mut self, common: &mut Common, act: impl Fn(&mut Link<'_>)) {
        for (id, peer) in &mut self.peers {
            act(&mut Link {
                id: *id,
                peer,
                round: self.round,
                fetches: &mut self.fetches,
                common,
            });
        }
    }
}

/// The way to one peer, with all that sending to it may touch.
struct Link<'a> {
    id: NodeId,
    peer: &'a mut Progress,
    round: u64,
    fetches: &'a mut VecDeque<Fetch>,
    common: &'a mut Common,
}

impl Link<'_> {
    /// Sends what the peer lacks, as far as its limits let it.
    fn replicate(&mut self) {
        while self.wants_append() {
            let next = self.peer.next;
            // The entry before may just have been compacted; its term is then not known any more.
            let prev = next.prev();
            let Some(term) = self.common.log.term_at(prev) else {
                return self.offer_snapshot();
            };
            let prev = LogId { term, index: prev };
            if next > self.common.log.last().index {
                self.send_append(prev, Vec::new());
                continue;
            }
            let config = &self.common.config;
            let (bytes_max, entries_max) = (config.append_bytes_max, config.append_entries_max);
            match self.common.log.slice(next, bytes_max, entries_max) {
                Slice::Cached(entries) => self.send_append(prev, entries),
                Slice::Evicted(to) => return self.fetch(next, to),
            }
        }
    }

    /// Whether the next entry may be sent now. A probe is sent even without entries.
    fn wants_append(&self) -> bool {
        let (peer, config) = (&self.peer, &self.common.config);
        let open = match &peer.flow {
            Flow::Probe { sent } => sent.is_none(),
            Flow::Replicate(inflight) => {
                let (messages_max, bytes_max) =
                    (config.inflight_messages_max, config.inflight_bytes_max);
                peer.next <= self.common.log.last().index
                    && !inflight.is_full(messages_max, bytes_max)
            }
            Flow::Snapshot { .. } => false,
        };
        open && !peer.fetching && !peer.backoff && !peer.forgot
    }

    fn send_append(&mut self, prev: LogId, entries: Vec<Entry>) {
        let (term, commit) = (self.common.term, self.common.committed);
        let last = entries.last().map_or(prev.index, |entry| entry.id.index);
        let append = Sent {
            last,
            bytes: entries.iter().map(Entry::size).sum(),
            round: self.round,
        };
        match &mut self.peer.flow {
            Flow::Probe { sent } => *sent = Some(append),
            Flow::Replicate(inflight) => {
                inflight.push(append);
                self.peer.next = last.next();
                self.peer.commit = self.peer.commit.max(commit.min(last));
            }
            Flow::Snapshot { .. } => return,
        }
        self.common.send_now(
            self.id,
            Replicate::Append {
                term,
                prev,
                entries,
                commit,
            },
        );
    }

    fn fetch(&mut self, from: Index, to: Index) {
        let config = &self.common.config;
        let last = from.0.saturating_add(config.append_entries_max as u64 - 1);
        self.peer.fetching = true;
        self.fetches.push_back(Fetch {
            from,
            to: to.min(Index(last)),
            bytes_max: config.append_bytes_max,
            wanted: Wanted::Peer(self.id),
            term: self.common.term,
        });
    }

    fn handle_fetched(&mut self, fetch: &Fetch, entries: Result<Vec<Entry>, FetchError>) {
        self.peer.fetching = false;
        let log = &self.common.log;
        let superseded = self.peer.next != fetch.from || fetch.from <= log.start().index;
        match entries {
            // The peer was probed elsewhere meanwhile, or our log begins later now.
            _ if superseded => count(&mut self.common.counters.fetches_stale),
            Ok(entries) if log.is_range(fetch, &entries) => {
                let index = fetch.from.prev();
                if self.wants_append()
                    && let Some(term) = self.common.log.term_at(index)
                {
                    self.send_append(LogId { term, index }, entries);
                }
            }
            Err(FetchError::Cut { .. }) => return self.offer_snapshot(),
            Ok(_) | Err(FetchError::Unavailable) => self.peer.backoff = true,
        }
        self.replicate();
    }

    fn offer_snapshot(&mut self) {
        let Some(snapshot) = self.common.snapshot.clone() else {
            // Only a log that claims to be cut without a snapshot leads here.
            self.peer.backoff = true;
            return;
        };
        let term = self.common.term;
        self.peer.offer(snapshot.last);
        self.common
            .send_now(self.id, Replicate::Snapshot { term, snapshot });
    }
}
