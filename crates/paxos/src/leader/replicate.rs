use alloc::vec::Vec;

use super::Leader;
use crate::counters::count;
use crate::log::Slice;
use crate::node::Common;
use crate::progress::{Flow, Sent};
use crate::{Fetch, FetchError, NodeId, Replicate, Slot, Value, Vote, Wanted};

/// How a leader brings values to an acceptor: new ones, and chosen ones that it lacks. Both are
/// phase 2 in the leader's ballot; of a chosen value nothing else can be proposed (P2b).
impl Leader {
    pub(super) fn replicate_to_all(&mut self, common: &mut Common) {
        let peers: Vec<NodeId> = self.peers.keys().copied().collect();
        for peer in peers {
            self.replicate_to(common, peer);
        }
    }

    /// Sends what the peer lacks, as far as its limits let it.
    pub(super) fn replicate_to(&mut self, common: &mut Common, id: NodeId) {
        while let Some((next, to)) = self.wants_values(common, id) {
            if next <= common.log.start().slot {
                return self.offer_snapshot(common, id);
            }
            let to = common.within_a_message(next, to);
            match common.log.slice(next, to, common.config.accept_bytes_max) {
                Slice::Cached(values) => self.send_accept(common, id, next, values),
                Slice::Evicted(evicted_to) => {
                    return self.fetch_for(common, id, next, evicted_to.min(to));
                }
                Slice::Gap => return,
            }
        }
    }

    /// The next slots to send, if some may be sent now.
    fn wants_values(&mut self, common: &Common, id: NodeId) -> Option<(Slot, Slot)> {
        let (first, last) = (self.first, self.tallies.next().prev());
        let chosen = common.log.chosen();
        let peer = self.peers.get_mut(&id)?;
        let Flow::Stream(inflight) = &peer.flow else {
            return None;
        };
        let (messages_max, bytes_max) = (
            common.config.inflight_messages_max.min(peer.window),
            common.config.inflight_bytes_max,
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

    fn send_accept(&mut self, common: &mut Common, id: NodeId, first: Slot, values: Vec<Value>) {
        let (ballot, chosen) = (common.promised, common.log.chosen());
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let Flow::Stream(inflight) = &mut peer.flow else {
            return;
        };
        let last = Slot(first.0 + values.len() as u64 - 1);
        inflight.push(Sent {
            last,
            bytes: values.iter().map(Value::size).sum(),
            round: self.round,
        });
        peer.next = last.next();
        peer.told = peer.told.max(chosen.min(last));
        common.send_now(
            id,
            Replicate::Accept {
                ballot,
                first,
                values,
                chosen,
            },
        );
    }

    fn fetch_for(&mut self, common: &mut Common, id: NodeId, from: Slot, to: Slot) {
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.fetching = true;
            common.fetches.push_back(Fetch {
                from,
                to,
                bytes_max: common.config.accept_bytes_max,
                wanted: Wanted::Peer(id),
                ballot: common.promised,
            });
        }
    }

    /// Values that a peer lacks came from the log, or did not.
    pub(crate) fn handle_fetched(
        &mut self,
        common: &mut Common,
        id: NodeId,
        fetch: &Fetch,
        votes: Result<Vec<Vote>, FetchError>,
    ) {
        let of_this_ballot = fetch.ballot == common.promised;
        let is_range = votes
            .as_ref()
            .is_ok_and(|votes| common.log.is_range(fetch, votes));
        let start = common.log.start().slot;
        if of_this_ballot {
            self.slow_fetch = None;
        }
        let peer = self.peers.get_mut(&id);
        let Some(peer) = peer.filter(|peer| of_this_ballot && peer.fetching) else {
            count(&mut common.counters.fetches_stale);
            return;
        };
        peer.fetching = false;
        let superseded = peer.next != fetch.from || fetch.from <= start;
        match votes {
            // The stream went elsewhere meanwhile, or our log begins later now.
            _ if superseded => count(&mut common.counters.fetches_stale),
            Ok(votes) if is_range => {
                if self
                    .wants_values(common, id)
                    .is_some_and(|(next, _)| next == fetch.from)
                {
                    let values = votes.into_iter().map(|vote| vote.value).collect();
                    self.send_accept(common, id, fetch.from, values);
                }
            }
            Err(FetchError::Cut { .. }) => return self.offer_snapshot(common, id),
            Ok(_) | Err(FetchError::Unavailable) => peer.backoff = true,
        }
        self.replicate_to(common, id);
    }

    /// Every heartbeat repeats the offer, with the newest snapshot: the peer pulls once, and an
    /// offer that was lost, or a pull that failed, is made good.
    pub(super) fn offer_again(&mut self, common: &mut Common) {
        let waiting = self
            .peers
            .iter()
            .filter(|(_, peer)| matches!(peer.flow, Flow::Snapshot { .. }));
        let waiting: Vec<NodeId> = waiting.map(|(id, _)| *id).collect();
        for id in waiting {
            self.offer_snapshot(common, id);
        }
    }

    fn offer_snapshot(&mut self, common: &mut Common, id: NodeId) {
        let Some(snapshot) = common.snapshot.clone() else {
            // Only a log that claims to be cut without a snapshot leads here.
            if let Some(peer) = self.peers.get_mut(&id) {
                peer.backoff = true;
            }
            return;
        };
        let ballot = common.promised;
        if let Some(peer) = self.peers.get_mut(&id) {
            peer.offer(snapshot.last.slot);
            common.send_now(id, Replicate::Snapshot { ballot, snapshot });
        }
    }
}
