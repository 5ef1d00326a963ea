use crate::due::Task;
use crate::role::RoleState;
use crate::{Instant, Output, Paxos};

/// The outputs of a node, in the order in which they matter to other nodes.
impl Paxos {
    /// The next action, or `None` until the next input. Outputs that are not drained are kept.
    ///
    /// Pass in all pending inputs before draining. Everything proposed by then goes to each peer in
    /// one message, to the disk in one write and to the state machine in one run. Draining after
    /// each input is just as safe, but costs a message per peer, a write and an acknowledgement for
    /// each value, which is at least twenty times as much.
    #[inline]
    pub fn poll_output(&mut self) -> Option<Output> {
        self.poll_but(None)
    }

    /// Like [`poll_output`](Self::poll_output), but without outputs for the state machine. For a
    /// driver whose machine is busy and whose peers must not wait for it. What is held back stays
    /// in the log.
    pub fn poll_besides_machine(&mut self) -> Option<Output> {
        self.poll_but(Some(Task::Machine))
    }

    #[inline]
    fn poll_but(&mut self, held: Option<Task>) -> Option<Output> {
        let output = self.poll_due(held);
        #[cfg(debug_assertions)]
        if output.is_none() {
            self.check_nothing_is_due(held);
        }
        output
    }

    /// Outputs for values are constructed in place: they are large, and moving one costs more than
    /// most of the work for it.
    #[inline]
    fn poll_due(&mut self, held: Option<Task>) -> Option<Output> {
        if self.common.stop.is_some() {
            return self.common.poll_stop();
        }
        while let Some(task) = self.common.due.first_but(held) {
            let common = &mut self.common;
            match (task, &mut self.role) {
                (Task::Accept, RoleState::Leader(leader)) => {
                    if let Some(envelope) = leader.poll_accept(common) {
                        return Some(Output::Send(envelope));
                    }
                }
                (Task::Write, _) => {
                    if let Some(write) = common.poll_write() {
                        return Some(Output::Persist(write));
                    }
                }
                (Task::Machine, _) => {
                    if let Some(chosen) = common.poll_apply() {
                        return Some(Output::Apply(chosen));
                    }
                    if let Some(output) = common.poll_unless_apply() {
                        return Some(output);
                    }
                }
                (Task::Notice, RoleState::Leader(leader)) => {
                    if let Some(envelope) = leader.poll_notice(common) {
                        return Some(Output::Send(envelope));
                    }
                }
                _ => {
                    if let Some(output) = self.poll_rare(task) {
                        return Some(output);
                    }
                }
            }
            self.common.due.clear(task);
        }
        None
    }

    /// Handles the tasks that rarely come with a value.
    #[inline(never)]
    fn poll_rare(&mut self, task: Task) -> Option<Output> {
        let common = &mut self.common;
        match (task, &mut self.role) {
            (Task::Send, _) => common.poll_send(),
            (Task::Round, role) => {
                common.begin_inquiry();
                if let RoleState::Leader(leader) = role {
                    leader.begin_read_round(common);
                }
                None
            }
            (Task::Fetch, _) => common.poll_fetch(),
            (Task::Pull, RoleState::Leader(leader)) => leader.poll_pull(),
            (Task::Pull, RoleState::Follower(follower)) => follower.poll_pull(),
            (Task::Answer, _) => common.poll_answer(),
            (Task::Read, RoleState::Leader(leader)) => {
                let read = leader.poll_read(common);
                read.or_else(|| common.poll_inquiry())
            }
            (Task::Read, _) => common.poll_inquiry(),
            _ => None,
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due. A follower has its election deadline;
    /// a candidate also the moment at which it asks again; a leader its next heartbeat, the moment by
    /// which it must have heard a quorum, and the end of a transfer. In every role there may be reads
    /// for which acceptors are asked again. None for a node that has stopped.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.common.stop.is_some() {
            return None;
        }
        let election = self.common.election_deadline;
        let deadline = match &self.role {
            RoleState::Leader(leader) => leader.deadline(),
            RoleState::Candidate(candidate) => candidate.retry_deadline.min(election),
            RoleState::Follower(_) | RoleState::Asking(_) => election,
        };
        let inquiry = self.common.inquiries.timeout();
        Some(inquiry.map_or(deadline, |inquiry| inquiry.min(deadline)))
    }

    /// In debug builds, polls every source once more when no bit is set: if one has work, whoever
    /// caused that work forgot to set its bit.
    #[cfg(debug_assertions)]
    fn check_nothing_is_due(&mut self, held: Option<Task>) {
        if self.common.stop.is_some() {
            return;
        }
        for task in Task::ALL.into_iter().filter(|task| Some(*task) != held) {
            self.common.due.set(task);
            assert_eq!(self.poll_due(held), None, "{task:?} was due");
        }
    }
}
