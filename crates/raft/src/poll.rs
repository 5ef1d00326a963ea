use core::mem::take;

use crate::output::WriteSeq;
use crate::raft::{ApplyFetch, InFlight};
use crate::role::Duty;
use crate::{Fetch, Instant, Output, Raft, Wanted, Write};

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

    fn poll_urgent(&mut self) -> Option<Output> {
        if self.stop.is_some() {
            return self.poll_stop();
        }
        self.begin_read_round();
        if let Some(envelope) = self.outbox.poll_now() {
            return Some(Output::Send(envelope));
        }
        self.poll_write().map(Output::Persist)
    }

    fn poll_rest(&mut self) -> Option<Output> {
        if self.stop.is_some() {
            return None;
        }
        let fetch = self.fetches.pop_front();
        fetch
            .map(Output::Fetch)
            .or_else(|| {
                self.pull
                    .take()
                    .map(|(from, snapshot)| Output::PullSnapshot { from, snapshot })
            })
            .or_else(|| self.poll_read())
            .or_else(|| self.poll_commit_notice().map(Output::Send))
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due. A follower has its election deadline
    /// and nothing else; a leader its next heartbeat and the moment by which it must have heard a
    /// quorum. None for a node that has stopped.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.stop.is_some() {
            return None;
        }
        match &self.duty {
            Duty::Leader(leader) if self.config.check_quorum => {
                Some(leader.heartbeat_deadline.min(leader.quorum_deadline))
            }
            Duty::Leader(leader) => Some(leader.heartbeat_deadline),
            _ => Some(self.election_deadline),
        }
    }

    /// The reads that wait for an answer get one, and what is said at the end is said.
    fn poll_stop(&mut self) -> Option<Output> {
        if let Some((id, index)) = self.answers.pop_front() {
            return Some(Output::Read { id, index });
        }
        if let Some(envelope) = self.outbox.poll_now() {
            return Some(Output::Send(envelope));
        }
        let stop = self.stop.filter(|_| !self.stop_told)?;
        self.stop_told = true;
        Some(Output::Stop(stop))
    }

    /// Everything that happened since the last write, in one. A write without a record exists for
    /// the messages in it: an acknowledgement of what is durable already (a repeated append) takes
    /// this way too, so that the rule has no exception and no second argument. It costs no sync,
    /// see [`Record::is_empty`](crate::Record::is_empty), and is rare.
    fn poll_write(&mut self) -> Option<Write> {
        let vote = (self.term, self.vote);
        let due =
            vote != self.vote_written || self.log.has_unwritten() || self.outbox.waits_for_write();
        if self.in_flight.is_some() || !due {
            return None;
        }
        let mut record = self.log.write();
        record.vote = (vote != self.vote_written).then_some(vote);
        self.vote_written = vote;
        self.write_seq += 1;
        let seq = self.write_seq;
        self.in_flight = Some(InFlight { seq, vote });
        Some(Write {
            record,
            messages: self.outbox.take_waiting(),
            receipt: WriteSeq(seq),
        })
    }

    /// `Restore`, or the next `Apply`, or a fetch for it.
    fn poll_machine(&mut self) -> Option<Output> {
        if self.stop.is_some() {
            return None;
        }
        if let Some(snapshot) = &self.restore {
            let durable = snapshot.last.index <= self.log.start_persisted();
            return if durable {
                take(&mut self.restore).map(Output::Restore)
            } else {
                None
            };
        }
        let end = self.committed.min(self.log.persisted());
        if self.handed >= end {
            return None;
        }
        let next = self.handed.next();
        let entry = self
            .fetched
            .pop_front()
            .or_else(|| self.log.cached(next).cloned());
        if let Some(entry) = entry {
            debug_assert_eq!(entry.id.index, next, "entries are applied in order");
            self.handed = next;
            return Some(Output::Apply(entry));
        }
        if self.apply_fetch != ApplyFetch::Idle {
            return None;
        }
        self.apply_fetch = ApplyFetch::Wanted { from: next };
        Some(Output::Fetch(Fetch {
            from: next,
            to: self.log.evicted_to().min(end),
            bytes_max: self.config.append_bytes_max,
            wanted: Wanted::Apply,
            term: self.term,
        }))
    }

    fn poll_read(&mut self) -> Option<Output> {
        if let Some((id, index)) = self.answers.pop_front() {
            return Some(Output::Read { id, index });
        }
        let round = self.confirmed_round();
        let Duty::Leader(leader) = &mut self.duty else {
            return None;
        };
        let (id, index) = leader.reads.confirmed(round)?;
        Some(Output::Read {
            id,
            index: Ok(index),
        })
    }
}
