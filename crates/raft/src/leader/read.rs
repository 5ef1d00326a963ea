use super::Leader;
use crate::due::Task;
use crate::node::Common;
use crate::{Output, ReadError, ReadId};

/// How a leader serves reads: see [`Reads`](crate::read::Reads).
impl Leader {
    /// Adds a read, which waits for a round that begins after it.
    pub(crate) fn read(&mut self, common: &mut Common, id: ReadId) -> Result<(), ReadError> {
        if self.reads.len() + common.answers.len() >= common.config.reads_max {
            return Err(ReadError::Busy);
        }
        if self.reads.contains(id) {
            return Err(ReadError::Duplicate);
        }
        self.reads.push(id);
        common.due.set(Task::Round);
        Ok(())
    }

    /// Begins a round for waiting reads without waiting for the next heartbeat. Reads that arrived
    /// meanwhile share it.
    pub(crate) fn begin_read_round(&mut self, common: &mut Common) {
        if self.reads.wants_round() && common.committed >= self.first {
            self.begin_round(common);
        }
    }

    /// The next confirmed read. Without waiting reads no quorum is counted.
    pub(crate) fn poll_read(&mut self, common: &mut Common) -> Option<Output> {
        let round = self.reads.awaited()?;
        if self.confirmed_round(common) < round {
            return None;
        }
        let (id, index) = self.reads.pop()?;
        common.due.set(Task::Round);
        let index = Ok(index);
        Some(Output::Read { id, index })
    }

    /// The last round that a quorum echoed; this node counts with the current one.
    fn confirmed_round(&self, common: &Common) -> u64 {
        let echoed = |place| {
            let peer = self.peer_at(common, place);
            peer.map_or(self.round, |peer| peer.counted().1)
        };
        common.members().quorum().reached(0, echoed)
    }
}
