use alloc::vec::Vec;
use core::mem::take;

use crate::output::WriteSeq;
use crate::paxos::{ApplyFetch, InFlight};
use crate::role::Duty;
use crate::status::count;
use crate::{
    Chosen, Fetch, FetchError, Instant, Output, Paxos, Slot, State, Value, Vote, Wanted, Write,
};

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
            .or_else(|| self.poll_chosen_notice().map(Output::Send))
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due. A follower has its election deadline
    /// and nothing else; a candidate also the moment at which it asks again; a leader its next
    /// heartbeat and the moment by which it must have heard a quorum. None for a node that has
    /// stopped.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.stop.is_some() {
            return None;
        }
        Some(match &self.duty {
            Duty::Leader(leader) => leader.heartbeat_deadline.min(leader.quorum_deadline),
            Duty::Candidate(candidate) => candidate.retry_deadline.min(self.election_deadline),
            Duty::Follower(_) | Duty::Asking(_) => self.election_deadline,
        })
    }

    /// The reads that wait for an answer get one, and what is said at the end is said.
    fn poll_stop(&mut self) -> Option<Output> {
        if let Some((id, slot)) = self.answers.pop_front() {
            return Some(Output::Read { id, slot });
        }
        if let Some(envelope) = self.outbox.poll_now() {
            return Some(Output::Send(envelope));
        }
        let stop = self.stop.filter(|_| !self.stop_told)?;
        self.stop_told = true;
        Some(Output::Stop(stop))
    }

    /// Everything that happened since the last write, in one. A write without a record exists for
    /// the messages in it: an acknowledgement of what is durable already (a repeated value) takes
    /// this way too, so that the rule has no exception and no second argument. It costs no sync,
    /// see [`Record::is_empty`](crate::Record::is_empty), and is rare.
    fn poll_write(&mut self) -> Option<Write> {
        let promise_moved = self.promised != self.written.promised;
        let due = promise_moved || self.log.has_unwritten() || self.outbox.waits_for_write();
        if self.in_flight.is_some() || !due {
            return None;
        }
        let mut record = self.log.write();
        let state = State {
            promised: self.promised,
            chosen: self.log.chosen(),
        };
        // The chosen prefix alone is no reason to write.
        if promise_moved || (!record.is_empty() && state != self.written) {
            record.state = Some(state);
            self.written = state;
        }
        self.write_seq += 1;
        let seq = self.write_seq;
        let promised = self.promised;
        self.in_flight = Some(InFlight { seq, promised });
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
            let durable = snapshot.last.slot <= self.log.start_persisted();
            return if durable {
                take(&mut self.restore).map(Output::Restore)
            } else {
                None
            };
        }
        let end = self.log.settled();
        if self.handed >= end {
            return None;
        }
        let next = self.handed.next();
        if let Some(chosen) = self.fetched.pop_front().or_else(|| self.cached(next)) {
            debug_assert_eq!(chosen.slot, next, "values are applied in order");
            self.handed = next;
            return Some(Output::Apply(chosen));
        }
        if self.apply_fetch != ApplyFetch::Idle {
            return None;
        }
        self.apply_fetch = ApplyFetch::Wanted { from: next };
        Some(Output::Fetch(Fetch {
            from: next,
            to: self.log.evicted_to().min(end),
            bytes_max: self.config.accept_bytes_max,
            wanted: Wanted::Apply,
            ballot: self.promised,
        }))
    }

    fn cached(&self, slot: Slot) -> Option<Chosen> {
        let value: Value = self.log.vote(slot)?.value.clone();
        Some(Chosen { slot, value })
    }

    pub(crate) fn handle_fetched_for_apply(
        &mut self,
        fetch: &Fetch,
        votes: Result<Vec<Vote>, FetchError>,
    ) {
        if self.apply_fetch != (ApplyFetch::Wanted { from: fetch.from }) {
            count(&mut self.counters.fetches_stale);
            return;
        }
        self.apply_fetch = ApplyFetch::Failed;
        let Ok(votes) = votes else { return };
        if self.is_range_of_log(fetch, &votes) {
            self.apply_fetch = ApplyFetch::Idle;
            let chosen = |vote: Vote| Chosen {
                slot: vote.slot,
                value: vote.value,
            };
            self.fetched.extend(votes.into_iter().map(chosen));
        } else {
            count(&mut self.counters.fetches_stale);
        }
    }

    fn poll_read(&mut self) -> Option<Output> {
        if let Some((id, slot)) = self.answers.pop_front() {
            return Some(Output::Read { id, slot });
        }
        let round = self.confirmed_round();
        let Duty::Leader(leader) = &mut self.duty else {
            return None;
        };
        let (id, slot) = leader.reads.confirmed(round)?;
        Some(Output::Read { id, slot: Ok(slot) })
    }
}
