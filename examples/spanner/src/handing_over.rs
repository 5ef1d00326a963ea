//! A leader that leaves on purpose, so that its successor's writers need not wait for the end of its lease.
//!
//! "Before abdicating, a leader must wait until TT.after(s_max) is true"
//! (section 4.1.1). Here the wait is for more than that: whoever voted with read locks was promised that nobody writes
//! below the end of the lease, so while such a vote is out the released lease ends no earlier.

use synod_truetime::Timestamp;

use crate::command::Act;
use crate::leader::Leader;
use crate::message::Refused;
use crate::stage::Stage;
use crate::txn::{Decision, Now, TxnId};

impl Leader {
    /// Takes nothing new, gives up what is not firm, and releases the lease when all that it has assigned has passed.
    /// Then [`handle_applied`](Self::handle_applied) ends with [`Ended::HandedOver`](crate::Ended::HandedOver).
    pub fn hand_over(&mut self, now: &Now<'_>) {
        if self.is_leaving {
            return;
        }
        self.is_leaving = true;
        let txns: Vec<TxnId> = self.txns.keys().copied().collect();
        for txn in txns {
            self.give_up(now, txn, Some(Refused::Leaving));
        }
        self.try_release(now);
    }

    pub(crate) fn try_release(&mut self, now: &Now<'_>) {
        let last = Decision::Committed(self.oracle.last());
        if !self.is_leaving || self.is_released || self.has_proposals() {
            return;
        }
        if !Self::has_passed(now, last) {
            return;
        }
        // The table of the machine has those of the prepared; of who only read nothing is in the log.
        let pinned = self.txns.values().filter_map(|local| match &local.stage {
            Stage::Pinned { until } => Some(until.earlier(1)),
            _ => None,
        });
        let pinned = pinned.max().unwrap_or(Timestamp::MIN);
        let closed = self.oracle.last().max(pinned);
        self.propose(now, Act::Release { closed });
        self.is_released = true;
    }
}
