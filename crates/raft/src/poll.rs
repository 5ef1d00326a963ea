//! What a node wants done, in the order in which it matters to others.

use crate::role::Duty;
use crate::{Instant, Output, Raft};

impl Raft {
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
    /// and nothing else; a leader its next heartbeat and the moment by which it must have heard a
    /// quorum. None for a node that has stopped.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.common.stop.is_some() {
            return None;
        }
        Some(match &self.duty {
            Duty::Leader(leader) if self.common.config.check_quorum => {
                leader.heartbeat_deadline.min(leader.quorum_deadline)
            }
            Duty::Leader(leader) => leader.heartbeat_deadline,
            _ => self.common.election_deadline,
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
        match &mut self.duty {
            Duty::Leader(leader) => leader
                .poll_fetch()
                .or_else(|| common.poll_answer())
                .or_else(|| leader.poll_read(common))
                .or_else(|| leader.poll_commit_notice(common)),
            Duty::Follower(follower) => follower.poll_pull().or_else(|| common.poll_answer()),
            Duty::PreCandidate(_) | Duty::Candidate(_) => common.poll_answer(),
        }
    }
}
