//! What a read asks for, and what it is held against.

use super::Engine;
use crate::applier::Job;
use crate::consistency::Consistency;
use crate::machine::Reason;
use crate::protocol::Protocol;
use crate::time::Instant;

impl<P: Protocol, T> Engine<P, T> {
    /// Queues a read of the machine. `now` must have been read from the clock after the request came: a
    /// lease is held against it.
    ///
    /// It does not matter how much later the state is read, nor whether the lease holds by then. When the
    /// clock showed `now` the request had come, and nobody else led, so all that had ended was committed
    /// here. That moment lies between request and answer, and a state that has applied as much, or more,
    /// is one of that moment or of a later one before the answer. (What a machine is given besides is
    /// committed too, so nothing is seen that could be taken back.)
    pub fn read(&mut self, now: Instant, consistency: Consistency, deadline: Instant, ticket: T) {
        if let Some(reason) = self.refuses() {
            self.reject(ticket, reason);
        } else if self.reads.is_fresh(now, consistency) {
            let fresh = self.reads.fresh();
            self.jobs.push_back(Job::Read(ticket, fresh));
        } else if deadline <= now {
            self.reject(ticket, Reason::Expired);
        } else if self.is_busy() {
            self.reject(ticket, Reason::Busy);
        } else if consistency.takes_lease()
            && let Some(index) = self.core.read_by_lease(now)
        {
            self.reads.push_confirmed(now, index, deadline, ticket);
            self.serve();
        } else {
            self.reads.push(deadline, consistency, ticket);
        }
    }

    /// Handles that the clock was not what the configuration says of it: no lease counts, no promise
    /// ends, and nothing is of a known age, by what it showed before.
    pub fn handle_clock_fault(&mut self, now: Instant) {
        if self.closed.is_none() {
            self.core.handle_clock_fault(now);
            self.reads.distrust(now);
        }
    }
}
