use alloc::collections::VecDeque;

use super::Leader;
use crate::counters::count;
use crate::due::Task;
use crate::log::Slice;
use crate::node::Common;
use crate::progress::{Flow, Progress, Sent};
use crate::{
    Entries, Entry, Envelope, Fetch, FetchError, Index, LogId, Message, NodeId, Replicate, Wanted,
};

/// Replication to the peers (§5.3, §7).
impl Leader {
    /// Marks all peers: whatever they lack is sent when the node is polled.
    pub(super) fn replicate_to_all(&mut self, common: &mut Common) {
        self.peers
            .iter_mut()
            .for_each(|peer| peer.is_lacking = true);
        common.due.set(Task::Append);
    }

    /// The next append to a peer that lacks something. It passes from the log to the driver without
    /// a queue.
    #[inline]
    pub(crate) fn poll_append(&mut self, common: &mut Common) -> Option<Envelope> {
        for peer in self.peers.iter_mut().filter(|peer| peer.is_lacking) {
            let (round, fetches) = (self.round, &mut self.fetches);
            let mut link = Link {
                peer,
                round,
                fetches,
                common,
            };
            let message = link.next();
            link.peer.is_lacking = message.is_some() && link.wants_append();
            if let Some(message) = message {
                let (to, message) = (peer.id, Message::Replicate(message));
                return Some(Envelope { to, message });
            }
        }
        None
    }

    /// Repeats the offer of a snapshot with every heartbeat, with the newest one: the peer pulls
    /// once, and this makes up for lost offers and failed pulls.
    pub(super) fn offer_again(&mut self, common: &mut Common) {
        for at in 0..self.peers.len() {
            let mut link = self.link(common, at);
            if matches!(link.peer.flow, Flow::Snapshot { .. }) && !link.peer.forgot {
                let offer = link.offer();
                link.send(offer);
            }
        }
    }

    /// Handles the log's answer for a peer, which may have been probed elsewhere meanwhile.
    pub(crate) fn handle_fetched(
        &mut self,
        common: &mut Common,
        id: NodeId,
        fetch: &Fetch,
        entries: Result<Entries, FetchError>,
    ) {
        if fetch.term == common.term {
            self.slow_fetch = None;
            let mut peers = self.peers.iter();
            if let Some(at) = peers.position(|peer| peer.id == id && peer.fetching) {
                return self.link(common, at).handle_fetched(fetch, entries);
            }
        }
        count(&mut common.counters.fetches_stale);
    }

    fn link<'a>(&'a mut self, common: &'a mut Common, at: usize) -> Link<'a> {
        Link {
            peer: &mut self.peers[at],
            round: self.round,
            fetches: &mut self.fetches,
            common,
        }
    }
}

/// The connection to one peer: all state that sending to it may change.
struct Link<'a> {
    peer: &'a mut Progress,
    round: u64,
    fetches: &'a mut VecDeque<Fetch>,
    common: &'a mut Common,
}

impl Link<'_> {
    /// The next message that the peer lacks, if its limits allow one.
    #[inline]
    fn next(&mut self) -> Option<Replicate> {
        if !self.wants_append() {
            return None;
        }
        let next = self.peer.next;
        // The entry before may just have been compacted, and then its term is unknown.
        let index = next.prev();
        let Some(term) = self.common.log.term_at(index) else {
            return self.offer();
        };
        let prev = LogId { term, index };
        if next > self.common.log.last().index {
            return self.append(prev, Entries::default());
        }
        let config = &self.common.config;
        let (bytes_max, entries_max) = (config.append_bytes_max, config.append_entries_max);
        match self.common.log.slice(next, bytes_max, entries_max) {
            Slice::Cached(entries) => self.append(prev, entries),
            Slice::Evicted(to) => {
                self.fetch(next, to);
                None
            }
        }
    }

    #[inline]
    fn wants_append(&self) -> bool {
        let last = self.common.log.last().index;
        self.peer.wants_append(&self.common.config, last)
    }

    #[inline]
    fn append(&mut self, prev: LogId, entries: Entries) -> Option<Replicate> {
        let entries = match self.common.membership().is_witness(self.peer.id) {
            true => entries.iter().map(Entry::withheld).collect(),
            false => entries,
        };
        let (term, commit) = (self.common.term, self.common.committed);
        let last = entries.last().map_or(prev.index, |entry| entry.id.index);
        let append = Sent {
            last,
            bytes: entries.bytes(),
            round: self.round,
        };
        match &mut self.peer.flow {
            Flow::Probe { sent } => *sent = Some(append),
            Flow::Replicate(inflight) => {
                inflight.push(append);
                self.peer.next = last.next();
                self.peer.commit = self.peer.commit.max(commit.min(last));
            }
            Flow::Snapshot { .. } => return None,
        }
        Some(Replicate::Append {
            term,
            prev,
            entries,
            commit,
        })
    }

    fn fetch(&mut self, from: Index, to: Index) {
        let config = &self.common.config;
        let last = from.0.saturating_add(config.append_entries_max as u64 - 1);
        self.peer.fetching = true;
        self.fetches.push_back(Fetch {
            from,
            to: to.min(Index(last)),
            bytes_max: config.append_bytes_max,
            wanted: Wanted::Peer(self.peer.id),
            term: self.common.term,
        });
        self.common.due.set(Task::Fetch);
    }

    fn handle_fetched(&mut self, fetch: &Fetch, entries: Result<Entries, FetchError>) {
        self.peer.fetching = false;
        self.peer.is_lacking = true;
        self.common.due.set(Task::Append);
        let log = &self.common.log;
        let superseded = self.peer.next != fetch.from || fetch.from <= log.start().index;
        match entries {
            // Meanwhile the peer was probed elsewhere, or our log begins later.
            _ if superseded => count(&mut self.common.counters.fetches_stale),
            Ok(entries) if log.is_range(fetch, &entries) => {
                let index = fetch.from.prev();
                if self.wants_append()
                    && let Some(term) = self.common.log.term_at(index)
                {
                    let append = self.append(LogId { term, index }, entries);
                    self.send(append);
                }
            }
            Err(FetchError::Cut { .. }) => {
                let offer = self.offer();
                self.send(offer);
            }
            Ok(_) | Err(FetchError::Unavailable) => self.peer.backoff = true,
        }
    }

    #[cold]
    fn offer(&mut self) -> Option<Replicate> {
        let Some(snapshot) = &self.common.snapshot else {
            // Only reached if the log claims to be compacted and there is no snapshot.
            self.peer.backoff = true;
            return None;
        };
        self.peer.flow = Flow::Snapshot {
            offered: snapshot.last,
        };
        Some(Replicate::Snapshot {
            term: self.common.term,
            snapshot: snapshot.clone(),
        })
    }

    fn send(&mut self, message: Option<Replicate>) {
        if let Some(message) = message {
            self.common.send_now(self.peer.id, message);
        }
    }
}
