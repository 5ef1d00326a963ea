use super::Leader;
use crate::node::Common;
use crate::{NodeId, Output, ReadError, ReadId};

/// How a leader serves reads: see [`Reads`](crate::read::Reads).
impl Leader {
    /// A read waits for a round that begins after it.
    pub(crate) fn read(&mut self, common: &Common, id: ReadId) -> Result<(), ReadError> {
        if self.reads.len() + common.answers.len() >= common.config.reads_max {
            return Err(ReadError::Busy);
        }
        if self.reads.contains(id) {
            return Err(ReadError::Duplicate);
        }
        self.reads.push(id);
        Ok(())
    }

    /// Reads do not wait for the next heartbeat, but share a round with those that came meanwhile.
    pub(crate) fn begin_read_round(&mut self, common: &mut Common) {
        if self.reads.wants_round() && common.committed >= self.first {
            self.begin_round(common);
        }
    }

    /// The next read that is confirmed.
    pub(crate) fn poll_read(&mut self, common: &Common) -> Option<Output> {
        let round = self.confirmed_round(common);
        let (id, index) = self.reads.confirmed(round)?;
        let index = Ok(index);
        Some(Output::Read { id, index })
    }

    /// The last round that a quorum echoed; this node hears itself.
    fn confirmed_round(&self, common: &Common) -> u64 {
        let id = common.id();
        let echoed = |peer: NodeId| {
            let progress = self.peers.get(&peer);
            progress.map_or(0, |progress| progress.counted().1)
        };
        common
            .quorum()
            .reached(|peer| if peer == id { self.round } else { echoed(peer) })
    }
}
