use alloc::boxed::Box;

use super::Leader;
use crate::counters::count;
use crate::due::Task;
use crate::log::Slice;
use crate::node::Common;
use crate::progress::{Flow, Sent};
use crate::{Entries, Envelope, Fetch, FetchError, Message, NodeId, Replicate, Slot, Wanted};

/// Sends values to acceptors: new ones, and chosen ones that they lack. Both are phase 2 in the
/// leader's ballot; in a chosen slot no other value can be proposed (P2b).
impl Leader {
    pub(super) fn replicate_to_all(&mut self, common: &mut Common) {
        self.lacking = self.roster.others;
        common.due.set(Task::Accept);
    }

    /// Marks a peer that may lack something, which is sent when this node is polled.
    pub(super) fn replicate_to(&mut self, common: &mut Common, place: usize) {
        self.lacking.insert(place);
        common.due.set(Task::Accept);
    }

    /// The next values that a peer lacks, if its limits allow some. They pass from the log to the
    /// driver without a queue.
    #[inline]
    pub(crate) fn poll_accept(&mut self, common: &mut Common) -> Option<Envelope> {
        while let Some(place) = self.lacking.first() {
            let message = self.next_accept(common, place);
            if message.is_none() || self.roster.peer(place).next >= self.next() {
                self.lacking.remove(place);
            }
            let Some(message) = message else { continue };
            if self.lacking.is_empty() {
                common.due.clear(Task::Accept);
            }
            let (to, message) = (self.roster.node(place), Message::Replicate(message));
            return Some(Envelope { to, message });
        }
        None
    }

    #[inline]
    fn next_accept(&mut self, common: &mut Common, place: usize) -> Option<Replicate> {
        let (next, to) = self.wants_values(common, place)?;
        if next <= common.log.start().slot {
            self.offer_snapshot(common, place);
            return None;
        }
        let to = common.within_a_message(next, to);
        match common.log.slice(next, to, common.config.accept_bytes_max) {
            Slice::Cached(values) => self.accept(common, place, next, values),
            Slice::Evicted(evicted_to) => {
                self.fetch_for(common, place, next, evicted_to.min(to));
                None
            }
            Slice::Gap => None,
        }
    }

    /// The next slots to send, if some may be sent now.
    #[inline]
    fn wants_values(&mut self, common: &Common, place: usize) -> Option<(Slot, Slot)> {
        let (first, last) = (self.first, self.next().prev());
        let later = self.offices.get(1).map(|later| later.from);
        let chosen = common.log.chosen();
        let peer = self.roster.peer_mut(place);
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
        // Slots that this leader has yet to learn are skipped, so that its own proposals need not
        // wait.
        if peer.next > chosen && peer.next < first {
            peer.next = first;
            peer.skipped = true;
        }
        let to = if peer.next <= chosen && chosen < first {
            chosen
        } else {
            last
        };
        // A message ends where the configuration changes.
        let to = match later {
            Some(from) if peer.next < from => to.min(from.prev()),
            _ => to,
        };
        (peer.next <= to).then_some((peer.next, to))
    }

    /// Whether a peer may be sent its next value now. Not if the stream skips that slot, or if it
    /// is compacted away.
    #[cfg(debug_assertions)]
    pub(super) fn may_be_sent(&self, common: &Common, place: usize) -> bool {
        let (peer, config, log) = (self.roster.peer(place), &common.config, &common.log);
        let messages_max = config.inflight_messages_max.min(peer.window);
        let is_open = match &peer.flow {
            Flow::Stream(inflight) => !inflight.is_full(messages_max, config.inflight_bytes_max),
            Flow::Silent | Flow::Snapshot { .. } => false,
        };
        let is_held = peer.next > log.start().slot && peer.next < self.next();
        let is_missing = peer.next > log.chosen() && peer.next < self.first;
        is_open && !peer.fetching && !peer.backoff && is_held && !is_missing
    }

    /// A message with these values, which counts as in flight from now on.
    #[inline]
    fn accept(
        &mut self,
        common: &Common,
        place: usize,
        first: Slot,
        values: Entries,
    ) -> Option<Replicate> {
        let (ballot, chosen) = (common.promised, common.log.chosen());
        let peer = self.roster.peer_mut(place);
        let Flow::Stream(inflight) = &mut peer.flow else {
            return None;
        };
        let last = Slot(first.0 + values.len() as u64 - 1);
        inflight.push(Sent {
            last,
            bytes: values.bytes(),
            round: self.round,
        });
        peer.next = last.next();
        peer.told = peer.told.max(chosen.min(last));
        Some(Replicate::Accept {
            ballot,
            first,
            values,
            chosen,
        })
    }

    #[cold]
    fn fetch_for(&mut self, common: &mut Common, place: usize, from: Slot, to: Slot) {
        self.roster.peer_mut(place).fetching = true;
        common.fetch(Fetch {
            from,
            to,
            bytes_max: common.config.accept_bytes_max,
            wanted: Wanted::Peer(self.roster.node(place)),
            ballot: common.promised,
        });
    }

    /// Handles the log's answer for a peer.
    pub(crate) fn handle_fetched(
        &mut self,
        common: &mut Common,
        id: NodeId,
        fetch: &Fetch,
        values: Result<Entries, FetchError>,
    ) {
        let of_this_ballot = fetch.ballot == common.promised;
        let is_range = values
            .as_ref()
            .is_ok_and(|values| common.log.is_range(fetch, values));
        let start = common.log.start().slot;
        if of_this_ballot {
            self.slow_fetch = None;
        }
        let place = self.roster.place(id);
        let waits = |place: &usize| of_this_ballot && self.roster.peer(*place).fetching;
        let Some(place) = place.filter(waits) else {
            count(&mut common.counters.fetches_stale);
            return;
        };
        let peer = self.roster.peer_mut(place);
        peer.fetching = false;
        let superseded = peer.next != fetch.from || fetch.from <= start;
        match values {
            // Meanwhile the stream has moved, or our log begins later.
            _ if superseded => count(&mut common.counters.fetches_stale),
            Ok(values) if is_range => {
                let wanted = self.wants_values(common, place);
                if wanted.is_some_and(|(next, _)| next == fetch.from)
                    && let Some(message) = self.accept(common, place, fetch.from, values)
                {
                    common.send_now(id, message);
                }
            }
            Err(FetchError::Cut { .. }) => return self.offer_snapshot(common, place),
            Ok(_) | Err(FetchError::Unavailable) => peer.backoff = true,
        }
        self.replicate_to(common, place);
    }

    /// Repeats the offer of a snapshot with every heartbeat, with the newest one: the peer pulls
    /// once, and this makes up for lost offers and failed pulls.
    pub(super) fn offer_again(&mut self, common: &mut Common) {
        for place in self.roster.others.iter() {
            if matches!(self.roster.peer(place).flow, Flow::Snapshot { .. }) {
                self.offer_snapshot(common, place);
            }
        }
    }

    #[cold]
    fn offer_snapshot(&mut self, common: &mut Common, place: usize) {
        let peer = self.roster.peer_mut(place);
        let Some(snapshot) = common.snapshot.clone() else {
            // Only reached if the log claims to be compacted and there is no snapshot.
            peer.backoff = true;
            return;
        };
        peer.offer(snapshot.last.slot);
        let (ballot, snapshot) = (common.promised, Box::new(snapshot));
        let to = self.roster.node(place);
        common.send_now(to, Replicate::Snapshot { ballot, snapshot });
    }
}
