use bytes::Bytes;

use super::Leader;
use crate::due::Task;
use crate::node::Common;
use crate::{Entries, Kind, Position, ProposeError, Slot, Value};

/// Proposals of a leader: what phase 1 found, then new values. Each slot is proposed once.
impl Leader {
    /// Proposes again what phase 1 found, with no-ops in the gaps. If the chosen prefix of this
    /// node ends so far before that that no acceptor would vote, including this node, it waits
    /// until more is learned. Votes that far ahead would impede every later leader, and this node's
    /// next start.
    ///
    /// At most [`Slot::AHEAD_MAX`] no-ops are added, whatever was promised: the last vote that was
    /// found is from one acceptor, which cannot have more gaps.
    pub(super) fn propose_found(&mut self, common: &mut Common) {
        let (slot, to) = (self.next(), self.found_to.min(self.limit(common)));
        if slot > to || to.0.saturating_sub(common.log.chosen().0) > Slot::AHEAD_MAX {
            return;
        }
        let later = self.promises.found.split_off(&to.next());
        let mut found = core::mem::replace(&mut self.promises.found, later);
        let ballot = common.promised;
        let values = (slot.0..=to.0).map(|slot| {
            let found = found.remove(&Slot(slot));
            found.map_or_else(|| Value::noop(ballot), |vote| vote.value)
        });
        self.propose_all(common, values);
        self.replicate_to_all(common);
    }

    /// Proposes values in the next slots, in runs that fit into messages. A run ends where the
    /// configuration changes.
    pub(super) fn propose_all(&mut self, common: &mut Common, values: impl Iterator<Item = Value>) {
        let (bytes_max, values_max) = (
            common.config.accept_bytes_max,
            common.config.accept_values_max as u64,
        );
        let mut values = values.peekable();
        while values.peek().is_some() {
            let first = self.next();
            let count_max = values_max.min(self.border().0 - first.0 + 1);
            let (mut count, mut bytes) = (0, 0usize);
            let mut fits = |value: &Value| {
                bytes = bytes.saturating_add(value.size());
                count += 1;
                count == 1 || (bytes <= bytes_max && count <= count_max)
            };
            let run: Entries = core::iter::from_fn(|| values.next_if(&mut fits)).collect();
            self.push(Slot(first.0 + run.len() as u64 - 1));
            common.accept(first, run);
        }
    }

    /// Proposes a command in the next slot. It is sent when this node is polled.
    pub(crate) fn propose(
        &mut self,
        common: &mut Common,
        body: Bytes,
    ) -> Result<Position, ProposeError> {
        let (bytes, bytes_max) = (body.len(), common.config.value_bytes_max);
        if bytes > bytes_max {
            return Err(ProposeError::TooLarge { bytes, bytes_max });
        }
        let slot = self.next();
        if slot > Slot::MAX {
            return Err(ProposeError::SlotExhausted);
        }
        if let Some(to) = self.transfers_to() {
            return Err(ProposeError::Transferring { to });
        }
        if !self.has_room(common) {
            return Err(ProposeError::Full);
        }
        // A sole value always fits, or one that is larger than the bound could never be proposed.
        let unchosen = common.log.unsettled_bytes();
        let after = unchosen.saturating_add(bytes + Value::HEAD_BYTES);
        let is_far =
            slot > self.limit(common) || slot.0 - common.log.chosen().0 > Slot::AHEAD_MAX / 2;
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
        self.put(common, slot, command);
        Ok(Position { slot, origin })
    }

    /// Puts a new value into the next slot. It is sent when this node is polled.
    #[inline]
    pub(super) fn put(&mut self, common: &mut Common, slot: Slot, value: Value) {
        if self.begins(slot) {
            common.log.seal();
        }
        common.log.push(slot, value.origin, value);
        common.due.set(Task::Write);
        self.push(slot);
        self.replicate_to_all(common);
    }

    /// Whether this node and a phase-2 quorum of each open configuration have space, as far as they
    /// have reported.
    pub(super) fn has_room(&self, common: &Common) -> bool {
        let may_have = |seat| !self.full.contains(seat);
        common.disk.has_room && (self.full.is_empty() || self.is_phase2(may_have))
    }
}
