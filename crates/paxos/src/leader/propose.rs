use bytes::Bytes;

use super::Leader;
use crate::node::Common;
use crate::{AcceptorSet, Kind, Position, ProposeError, Slot, Value, Vote};

/// What a leader proposes: what phase 1 found, then what it is given. Each slot once.
impl Leader {
    /// Proposes again what phase 1 found, with no-ops in the gaps; or, as long as what is chosen here
    /// ends so far before it that no acceptor would vote, this node neither, waits until more is
    /// learned. Votes that far ahead would be in the way of every later leader, and of this node's
    /// next start.
    ///
    /// Beside what was found these are at most [`Slot::AHEAD_MAX`] no-ops, whatever was promised:
    /// the last vote that was found is of one acceptor, which may leave no more gaps.
    pub(super) fn propose_found(&mut self, common: &mut Common) {
        let (slot, found_to) = (self.tallies.next(), self.found_to);
        if slot > found_to || found_to.0.saturating_sub(common.log.chosen().0) > Slot::AHEAD_MAX {
            return;
        }
        let mut found = core::mem::take(&mut self.found);
        let ballot = common.promised;
        let values = (slot.0..=found_to.0).map(|slot| {
            let found = found.remove(&Slot(slot));
            found.map_or_else(|| Value::noop(ballot), |vote| vote.value)
        });
        self.propose_from(common, slot, values);
    }

    /// Proposes a command at the next slot.
    pub(crate) fn propose(
        &mut self,
        common: &mut Common,
        body: Bytes,
    ) -> Result<Position, ProposeError> {
        let (bytes, bytes_max) = (body.len(), common.config.value_bytes_max);
        if bytes > bytes_max {
            return Err(ProposeError::TooLarge { bytes, bytes_max });
        }
        let slot = self.tallies.next();
        if slot > Slot::MAX {
            return Err(ProposeError::SlotExhausted);
        }
        if !self.has_room(common) {
            return Err(ProposeError::Full);
        }
        // A value alone always fits, else one that is larger than the bound could never be proposed.
        let unchosen = self.tallies.bytes();
        let after = unchosen.saturating_add(bytes + Value::HEAD_BYTES);
        let is_far = slot.0 - common.log.chosen().0 > Slot::AHEAD_MAX / 2;
        let is_full = unchosen > 0 && after > common.config.unchosen_bytes_max;
        if is_full || is_far || slot <= self.found_to {
            return Err(ProposeError::Busy);
        }
        let origin = common.promised;
        let command = Value {
            kind: Kind::Command,
            origin,
            body,
        };
        self.propose_from(common, slot, [command]);
        self.replicate_to_all(common);
        Ok(Position { slot, origin })
    }

    /// `first` is the next slot.
    fn propose_from(
        &mut self,
        common: &mut Common,
        first: Slot,
        values: impl IntoIterator<Item = Value>,
    ) {
        let votes = Vote::all_from(first, common.promised, values);
        let tallies = &mut self.tallies;
        common
            .log
            .accept(votes.inspect(|vote| tallies.push(vote.slot, vote.value.size())));
    }

    /// Whether this node and a phase-2 quorum have space, as far as they have said.
    fn has_room(&self, common: &Common) -> bool {
        let quorums = &common.config.quorums;
        let mut set = AcceptorSet::default();
        quorums.insert(&mut set, common.config.id);
        for (id, peer) in &self.peers {
            if peer.has_room != Some(false) {
                quorums.insert(&mut set, *id);
            }
        }
        common.disk.has_room && quorums.is_phase2(set)
    }
}
