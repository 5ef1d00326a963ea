use alloc::vec::Vec;

use crate::log::Slice;
use crate::progress::{Flow, Progress, Sent};
use crate::role::Duty;
use crate::status::count;
use crate::{Fetch, FetchError, NodeId, Paxos, Replicate, Slot, Value, Vote, Wanted};

/// How a leader brings values to an acceptor: new ones, and chosen ones that it lacks. Both are
/// phase 2 in the leader's ballot; of a chosen value nothing else can be proposed (P2b).
impl Paxos {
    pub(crate) fn replicate_to_all(&mut self) {
        let peers: Vec<NodeId> = match &self.duty {
            Duty::Leader(leader) => leader.peers.keys().copied().collect(),
            _ => return,
        };
        peers.into_iter().for_each(|peer| self.replicate_to(peer));
    }

    /// Sends what the peer lacks, as far as its limits let it.
    pub(crate) fn replicate_to(&mut self, id: NodeId) {
        while let Some((next, to)) = self.wants_values(id) {
            if next <= self.log.start().slot {
                return self.offer_snapshot(id);
            }
            let to = self.within_a_message(next, to);
            match self.log.slice(next, to, self.config.accept_bytes_max) {
                Slice::Cached(values) => self.send_accept(id, next, values),
                Slice::Evicted(evicted_to) => return self.fetch_for(id, next, evicted_to.min(to)),
                Slice::Gap => return,
            }
        }
    }

    /// As many of these slots as one message may have.
    pub(crate) fn within_a_message(&self, from: Slot, to: Slot) -> Slot {
        let last = from
            .0
            .saturating_add(self.config.accept_values_max as u64 - 1);
        to.min(Slot(last))
    }

    /// The next slots to send, if some may be sent now.
    fn wants_values(&mut self, id: NodeId) -> Option<(Slot, Slot)> {
        let Duty::Leader(leader) = &mut self.duty else {
            return None;
        };
        let (first, last) = (leader.first, leader.tallies.next().prev());
        let chosen = self.log.chosen();
        let peer = leader.peers.get_mut(&id)?;
        let Flow::Stream(inflight) = &peer.flow else {
            return None;
        };
        let (messages_max, bytes_max) = (
            self.config.inflight_messages_max.min(peer.window),
            self.config.inflight_bytes_max,
        );
        if peer.fetching || peer.backoff || inflight.is_full(messages_max, bytes_max) {
            return None;
        }
        // What this leader has yet to learn it goes over, so that its own proposals need not wait.
        if peer.next > chosen && peer.next < first {
            peer.next = first;
            peer.skipped = true;
        }
        let to = if peer.next <= chosen && chosen < first {
            chosen
        } else {
            last
        };
        (peer.next <= to).then_some((peer.next, to))
    }

    fn send_accept(&mut self, id: NodeId, first: Slot, values: Vec<Value>) {
        let (ballot, chosen) = (self.promised, self.log.chosen());
        let Duty::Leader(leader) = &mut self.duty else {
            return;
        };
        let Some(peer) = leader.peers.get_mut(&id) else {
            return;
        };
        let Flow::Stream(inflight) = &mut peer.flow else {
            return;
        };
        let last = Slot(first.0 + values.len() as u64 - 1);
        inflight.push(Sent {
            last,
            bytes: values.iter().map(Value::size).sum(),
            round: leader.round,
        });
        peer.next = last.next();
        peer.told = peer.told.max(chosen.min(last));
        self.outbox.send_now(
            id,
            Replicate::Accept {
                ballot,
                first,
                values,
                chosen,
            },
        );
    }

    fn fetch_for(&mut self, id: NodeId, from: Slot, to: Slot) {
        if let Some(peer) = self.peer_mut(id) {
            peer.fetching = true;
            self.fetches.push_back(Fetch {
                from,
                to,
                bytes_max: self.config.accept_bytes_max,
                wanted: Wanted::Peer(id),
                ballot: self.promised,
            });
        }
    }

    pub(crate) fn handle_fetched_for_peer(
        &mut self,
        id: NodeId,
        fetch: &Fetch,
        votes: Result<Vec<Vote>, FetchError>,
    ) {
        let of_this_ballot = fetch.ballot == self.promised;
        let is_range = votes
            .as_ref()
            .is_ok_and(|votes| self.is_range_of_log(fetch, votes));
        let start = self.log.start().slot;
        if of_this_ballot && let Duty::Leader(leader) = &mut self.duty {
            leader.slow_fetch = None;
        }
        let Some(peer) = self
            .peer_mut(id)
            .filter(|peer| of_this_ballot && peer.fetching)
        else {
            count(&mut self.counters.fetches_stale);
            return;
        };
        peer.fetching = false;
        let superseded = peer.next != fetch.from || fetch.from <= start;
        match votes {
            // The stream went elsewhere meanwhile, or our log begins later now.
            _ if superseded => count(&mut self.counters.fetches_stale),
            Ok(votes) if is_range => {
                if self
                    .wants_values(id)
                    .is_some_and(|(next, _)| next == fetch.from)
                {
                    let values = votes.into_iter().map(|vote| vote.value).collect();
                    self.send_accept(id, fetch.from, values);
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
            .filter(|(_, peer)| matches!(peer.flow, Flow::Snapshot { .. }));
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
        let ballot = self.promised;
        if let Some(peer) = self.peer_mut(id) {
            peer.offer(snapshot.last.slot);
            self.outbox
                .send_now(id, Replicate::Snapshot { ballot, snapshot });
        }
    }

    fn peer_mut(&mut self, id: NodeId) -> Option<&mut Progress> {
        match &mut self.duty {
            Duty::Leader(leader) => leader.peers.get_mut(&id),
            _ => None,
        }
    }
}
