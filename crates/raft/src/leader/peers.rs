use alloc::vec::Vec;
use core::cmp::Ordering;
use core::mem::take;

use super::Leader;
use crate::counters::count;
use crate::node::Common;
use crate::progress::Progress;
use crate::{Index, Instant, NodeId};

/// Whom a leader sends its log to: the members in the order of their positions, so that quorums are
/// counted without a search, and behind them nodes that were dropped, which are counted by nobody.
impl Leader {
    /// Meets the members, and who was dropped by a membership that is not known to be committed: its
    /// leader may not have told them.
    pub(super) fn meet_peers(&mut self, common: &Common, next: Index, now: Instant) {
        let mut earlier: Vec<NodeId> = Vec::new();
        for membership in common.configs.since_committed() {
            earlier.extend(membership.nodes());
        }
        earlier.sort_unstable();
        earlier.dedup();
        let others = earlier.into_iter().filter(|id| *id != common.id());
        self.peers = others.map(|id| Progress::new(id, next, now)).collect();
        self.arrange_peers(common, now);
    }

    /// Puts the peers in the order of the membership in force. Who is new starts behind the log's
    /// end, and who is dropped is leaving.
    pub(super) fn arrange_peers(&mut self, common: &Common, now: Instant) {
        let mut before = take(&mut self.peers);
        let next = common.log.last().index.next();
        for id in common.members().ids() {
            if *id == common.id() {
                continue;
            }
            let known = before.iter().position(|peer| peer.id == *id);
            let peer = known.map(|at| before.remove(at));
            let peer = peer.unwrap_or_else(|| Progress::new(*id, next, now));
            self.peers.push(peer);
        }
        let deadline = now.plus(common.config.election_timeout_max * LEAVING_TIMEOUTS);
        for mut peer in before {
            peer.leaving = peer.leaving.or(Some(deadline));
            self.peers.push(peer);
        }
    }

    /// The node has learned that its removal is committed.
    pub(crate) fn handle_left(&mut self, common: &mut Common, from: NodeId) {
        let has_left = |peer: &Progress| peer.id == from && peer.leaving.is_some();
        match self.peers.iter().position(has_left) {
            Some(at) => drop(self.peers.remove(at)),
            None => count(&mut common.counters.out_of_role),
        }
    }

    /// Whoever was dropped and has not answered learns of it from anybody that it asks for a vote.
    pub(super) fn forget_who_left(&mut self, now: Instant) {
        let stays = |peer: &Progress| peer.leaving.is_none_or(|deadline| now < deadline);
        self.peers.retain(stays);
    }

    /// Handles a peer whose disk lost what it acknowledged: in this term neither its copy nor its
    /// messages count any more. What was committed with its copy stays committed, and is stored
    /// here.
    pub(crate) fn handle_forgot(&mut self, common: &mut Common, from: NodeId) {
        match self.peers.iter_mut().find(|peer| peer.id == from) {
            Some(peer) => peer.forgot = true,
            None => count(&mut common.counters.out_of_role),
        }
    }

    /// Records contact with a peer in this term, for any of its messages.
    pub(super) fn hear(
        &mut self,
        common: &mut Common,
        now: Instant,
        from: NodeId,
    ) -> Option<&mut Progress> {
        let mut peers = self.peers.iter_mut();
        match peers.find(|peer| peer.id == from && !peer.forgot) {
            Some(peer) => {
                peer.contact = peer.contact.max(now);
                Some(peer)
            }
            None => {
                count(&mut common.counters.out_of_role);
                None
            }
        }
    }

    /// The progress of the member at this position; `None` for this node.
    #[inline]
    pub(super) fn peer_at(&self, common: &Common, place: usize) -> Option<&Progress> {
        match place.cmp(&common.members().own()) {
            Ordering::Less => self.peers.get(place),
            Ordering::Equal => None,
            Ordering::Greater => self.peers.get(place - 1),
        }
    }
}

/// How many election timeouts a node that was dropped is sent entries and heartbeats.
const LEAVING_TIMEOUTS: u32 = 10;
