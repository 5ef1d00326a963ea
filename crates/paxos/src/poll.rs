use crate::role::Duty;
use crate::{Instant, Output, Paxos};

/// What a node wants done, in the order in which it matters to others.
impl Paxos {
    /// The next thing to do, or nothing until the next input. Outputs that are not drained stay
    /// queued.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.poll_urgent()
            .or_else(|| self.poll_machine())
            .or_else(|| self.poll_rest())
    }

    /// As [`poll_output`](Self::poll_output), but for what the machine would be given: for a driver
    /// whose machine has enough to do, and whose peers must not wait for it. What is held back stays
    /// in the log.
    pub fn poll_besides_machine(&mut self) -> Option<Output> {
        self.poll_urgent().or_else(|| self.poll_rest())
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due. A follower has its election deadline
    /// and nothing else; a candidate also the moment at which it asks again; a leader its next
    /// heartbeat and the moment by which it must have heard a quorum. None for a node that has
    /// stopped.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.common.stop.is_some() {
            return None;
        }
        let election = self.common.election_deadline;
        Some(match &self.duty {
            Duty::Leader(leader) => leader.deadline(),
            Duty::Candidate(candidate) => candidate.retry_deadline.min(election),
            Duty::Follower(_) | Duty::Asking(_) => election,
        })
    }

    fn poll_urgent(&mut self) -> Option<Output> {
        let common = &mut self.common;
        if common.stop.is_some() {
            return common.poll_stop();
        }
        if let Duty::Leader(leader) = &mut self.duty {
            leader.begin_read_round(common);
        }
        common
            .poll_send()
            .or_else(|| common.poll_write().map(Output::Persist))
    }

    fn poll_machine(&mut self) -> Option<Output> {
        if self.common.stop.is_some() {
            return None;
        }
        self.common.poll_machine()
    }

    fn poll_rest(&mut self) -> Option<Output> {
        let common = &mut self.common;
        if common.stop.is_some() {
            return None;
        }
        if let Some(fetch) = common.fetches.pop_front() {
            return Some(Output::Fetch(fetch));
        }
        match &mut self.duty {
            Duty::Leader(leader) => leader
                .poll_pull()
                .or_else(|| common.poll_answer())
                .or_else(|| leader.poll_read(common))
                .or_else(|| leader.poll_chosen_notice(common)),
            Duty::Follower(follower) => follower.poll_pull().or_else(|| common.poll_answer()),
            Duty::Asking(_) | Duty::Candidate(_) => common.poll_answer(),
        }
    }
}
