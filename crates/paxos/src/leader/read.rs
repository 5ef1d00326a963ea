use super::Leader;
use crate::due::Task;
use crate::node::Common;
use crate::{Output, ReadError, ReadId};

/// How a leader serves reads: see [`Reads`](crate::read::Reads).
impl Leader {
    /// Adds a read, which waits for a round that begins after it.
    pub(crate) fn read(&mut self, common: &mut Common, id: ReadId) -> Result<(), ReadError> {
        if self.reads.len() + common.refused() >= common.config.reads_max {
            return Err(ReadError::Busy);
        }
        if self.reads.contains(id) {
            return Err(ReadError::Duplicate);
        }
        self.reads.push(id);
        common.due.set(Task::Round);
        Ok(())
    }

    /// Whether a read of this id is pending.
    pub(crate) fn reads(&self, id: ReadId) -> bool {
        self.reads.contains(id)
    }

    /// Begins a round for waiting reads without waiting for the next heartbeat. Reads that arrived
    /// meanwhile share it.
    pub(crate) fn begin_read_round(&mut self, common: &mut Common) {
        if self.reads.wants_round() && self.knows_its_predecessors(common) {
            self.begin_round(common);
        }
    }

    /// The next confirmed read, and the slot that must be applied before it is served.
    pub(crate) fn poll_read(&mut self, common: &mut Common) -> Option<Output> {
        let round = self.confirmed_round();
        let (id, slot) = self.reads.confirmed(round)?;
        // Waiting reads may now begin their round.
        common.due.set(Task::Round);
        Some(Output::Read { id, slot: Ok(slot) })
    }

    /// The last round that a phase-2 quorum of each open configuration echoed; this node counts with
    /// the current one.
    fn confirmed_round(&self) -> u64 {
        if self.reads.is_pending() {
            self.reached(0, self.round, |progress| progress.round)
        } else {
            0
        }
    }
}
