//! The replicated machine of a shard: the store, the prepared table, decisions, the lease.

mod outcomes;
mod snapshot;

use std::collections::BTreeMap;
use std::io;

use bytes::Bytes;
use synod_replica::{Applying, StateMachine};
use synod_truetime::Timestamp;

use crate::command::{Act, Applied, Command, Prepared, Reply, Standing};
use crate::span::Writes;
use crate::store::Store;
use crate::txn::{Decision, Reign, ShardId, TxnId};
use outcomes::Outcomes;

/// What each replica of a shard holds.
///
/// # The fence
///
/// [`Act::TakeOver`] begins the next reign if it names exactly that; any other command takes effect in the reign that
/// it names, at its number in it, or never. So along the log reigns rise, and within one its commands stand as they
/// were proposed, whatever the protocol does with the commands of a leader that is gone: Paxos may choose one behind
/// what a later leader has written, or lose one and keep the next. Which node the protocol believes to lead is a hint
/// where to put the reign, and no more.
///
/// # The lease
///
/// A reign assigns timestamps between two ends: above the end of all leases before, and below `lease_end`, which is
/// in the log. So timestamps rise from reign to reign (section 4.1.1, by votes there), and what a leader has promised
/// by word alone (closed timestamps, read locks of a transaction that commits elsewhere) stays true when it is gone,
/// up to the end of its lease.
///
/// # Invariants
/// - Every prepare and every commit stands above `floor()` when it is applied, and below `lease_end`. An outcome stands
///   later, at the coordinator's timestamp, behind greater ones.
/// - Of a prepared transaction nothing is decided here.
/// - `horizon() <= safe()`: nobody may still write below what is collected.
#[derive(Clone, Debug, Default, Hash)]
pub struct State {
    pub(crate) store: Store,
    pub(crate) reign: Reign,
    /// The number that the next command of the reign has.
    pub(crate) next: u64,
    pub(crate) is_released: bool,
    pub(crate) lease_end: Timestamp,
    /// The greatest timestamp of a prepare or a commit.
    pub(crate) assigned: Timestamp,
    /// The greatest that the log has promised not to assign.
    pub(crate) closed: Timestamp,
    pub(crate) prepared: BTreeMap<TxnId, Prepared>,
    /// Also of what was only prepared here, so that a prepare that comes again finds it.
    pub(crate) outcomes: Outcomes,
    pub(crate) applied: u64,
}

/// What a shard knows of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the log.
    Decided(Decision),
    /// Nothing is decided here.
    Open,
    /// It began too long ago. Whatever it was, it can never run any more.
    Forgotten,
}

impl State {
    /// The versions.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Who leads, by the log so far.
    #[must_use]
    pub fn reign(&self) -> Reign {
        self.reign
    }

    /// Timestamps of this reign lie below.
    pub fn lease_end(&self) -> Timestamp {
        self.lease_end
    }

    /// The last index with a command.
    #[must_use]
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// What is prepared and not decided.
    #[must_use]
    pub fn prepared(&self) -> &BTreeMap<TxnId, Prepared> {
        &self.prepared
    }

    /// How many outcomes are kept.
    #[must_use]
    pub fn outcomes(&self) -> usize {
        self.outcomes.len()
    }

    /// No timestamp at or below will be assigned. An outcome may come below; its prepare record holds reads back.
    pub fn floor(&self) -> Timestamp {
        self.assigned.max(self.closed)
    }

    /// What is known of an attempt here.
    #[must_use]
    pub fn outcome(&self, txn: TxnId) -> Outcome {
        match self.outcomes.get(txn) {
            Some(decision) => Outcome::Decided(decision),
            None if self.prepared.contains_key(&txn) => Outcome::Open,
            None if self.outcomes.is_old(txn) => Outcome::Forgotten,
            None => Outcome::Open,
        }
    }

    fn apply(&mut self, command: Command) -> Reply {
        // A bit with each command, the same on all replicas.
        self.store.sweep();
        self.outcomes.sweep();
        let Command {
            reign, number, act, ..
        } = command;
        if let Act::TakeOver { lease_end } = act {
            return self.take_over(reign, lease_end);
        }
        if reign != self.reign || self.is_released {
            return Reply::Deposed(self.reign);
        }
        if number != self.next {
            return Reply::OutOfOrder;
        }
        self.next += 1;
        self.act(act)
    }

    fn act(&mut self, act: Act) -> Reply {
        match act {
            Act::TakeOver { .. } => Reply::Refused,
            Act::Lease { end, closed } => {
                self.lease_end = self.lease_end.max(end);
                self.closed = self.closed.max(closed.min(self.lease_end.earlier(1)));
                Reply::Done
            }
            Act::Release { closed } => {
                self.release(closed);
                Reply::Done
            }
            Act::Collect { versions, outcomes } => {
                self.store.collect(versions.min(self.safe()));
                self.outcomes.forget(outcomes);
                Reply::Done
            }
            Act::Prepare {
                txn,
                at,
                has_read,
                writes,
            } => self.prepare(txn, at, has_read, writes),
            Act::Commit {
                txn,
                at,
                participants,
                writes,
            } => self.commit(txn, at, participants, writes),
            Act::Abort { txn } => match self.outcome(txn) {
                Outcome::Open => self.decide(txn, Decision::Aborted),
                known => known.into(),
            },
            Act::Finish { txn, decision } => self.finish(txn, decision),
            Act::Settled { txn } => {
                self.outcomes.settle(txn);
                Reply::Done
            }
        }
    }

    fn take_over(&mut self, reign: Reign, lease_end: Timestamp) -> Reply {
        if reign.0 != self.reign.0 + 1 {
            return Reply::Deposed(self.reign);
        }
        (self.reign, self.next, self.is_released) = (reign, 1, false);
        // Whatever the last leader may have promised is closed with its lease.
        self.closed = self.closed.max(self.lease_end);
        self.lease_end = lease_end.max(self.floor());
        let prepared = self.prepared.iter();
        let prepared = prepared.map(|(txn, prepared)| (*txn, prepared.clone()));
        let unsettled = self.outcomes.unsettled();
        let unsettled = unsettled.filter_map(|(txn, told)| match self.outcomes.get(*txn) {
            Some(Decision::Committed(at)) => Some((*txn, at, told.clone())),
            _ => None,
        });
        Reply::TookOver(Box::new(Standing {
            reign,
            floor: self.floor(),
            lease_end: self.lease_end,
            prepared: prepared.collect(),
            unsettled: unsettled.collect(),
        }))
    }

    /// The lease ends behind all that was promised in it: to readers, and to the read locks of who is prepared.
    fn release(&mut self, closed: Timestamp) {
        let locked = self
            .prepared
            .values()
            .filter_map(|prepared| prepared.before);
        let locked = locked.max().unwrap_or(Timestamp::MIN);
        self.closed = self.closed.max(closed.min(self.lease_end));
        self.lease_end = self.floor().later(1).max(locked);
        self.is_released = true;
    }

    fn prepare(&mut self, txn: TxnId, at: Timestamp, has_read: bool, writes: Writes) -> Reply {
        match self.outcome(txn) {
            Outcome::Open if self.prepared.contains_key(&txn) => return Reply::Refused,
            Outcome::Open => {}
            known => return known.into(),
        }
        if !self.assign(at) {
            return Reply::Refused;
        }
        let before = has_read.then_some(self.lease_end);
        let prepared = Prepared { at, before, writes };
        self.prepared.insert(txn, prepared);
        Reply::Done
    }

    fn commit(
        &mut self,
        txn: TxnId,
        at: Timestamp,
        participants: Vec<ShardId>,
        writes: Writes,
    ) -> Reply {
        match self.outcome(txn) {
            Outcome::Open if self.prepared.contains_key(&txn) => return Reply::Refused,
            Outcome::Open => {}
            known => return known.into(),
        }
        if !self.assign(at) {
            return Reply::Refused;
        }
        self.store.put(at, writes);
        if !participants.is_empty() {
            self.outcomes.insert_unsettled(txn, participants);
        }
        self.decide(txn, Decision::Committed(at))
    }

    fn finish(&mut self, txn: TxnId, decision: Decision) -> Reply {
        let Some(prepared) = self.prepared.get(&txn) else {
            return match self.outcome(txn) {
                Outcome::Open => Reply::Refused,
                known => known.into(),
            };
        };
        if let Decision::Committed(at) = decision {
            if at < prepared.at {
                return Reply::Refused;
            }
            let writes = prepared.writes.clone();
            self.store.put(at, writes);
        }
        self.prepared.remove(&txn);
        self.decide(txn, decision)
    }

    fn assign(&mut self, at: Timestamp) -> bool {
        let rises = self.floor() < at && at < self.lease_end;
        if rises {
            self.assigned = at;
        }
        rises
    }

    /// The first decision stands.
    fn decide(&mut self, txn: TxnId, decision: Decision) -> Reply {
        let first = self.outcomes.get(txn).unwrap_or(decision);
        self.outcomes.insert(txn, first);
        Reply::Decided(first)
    }

    /// Up to here the log alone says that nothing more will come: `min(floor, first prepared - 1)` (section 4.1.3).
    pub fn safe(&self) -> Timestamp {
        self.safe_if_closed(self.floor())
    }

    /// As [`safe`](Self::safe), if nothing at or below `closed` is assigned any more.
    pub(crate) fn safe_if_closed(&self, closed: Timestamp) -> Timestamp {
        let first = self.prepared.values().map(|prepared| prepared.at).min();
        first.map_or(closed, |first| first.earlier(1).min(closed))
    }
}

impl From<Outcome> for Reply {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Decided(decision) => Self::Decided(decision),
            Outcome::Forgotten => Self::Forgotten,
            Outcome::Open => Self::Done,
        }
    }
}

/// What the group replicates.
#[derive(Clone, Debug, Default, Hash)]
pub struct Shard {
    state: State,
}

impl Shard {
    /// As of the last command.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }
}

impl StateMachine for Shard {
    type Response = Applied;
    /// A copy that shares the versions: see [`Store`].
    type Frozen = State;

    fn apply(&mut self, at: Applying, command: Bytes) -> Applied {
        self.state.applied = at.index;
        let command = Command::decode(&command);
        Applied {
            index: at.index,
            floor: command.as_ref().ok().map(|command| command.floor),
            reply: command.map_or(Reply::Refused, |command| self.state.apply(command)),
        }
    }

    fn freeze(&self) -> State {
        self.state.clone()
    }

    fn write(frozen: State, to: &mut dyn io::Write) -> io::Result<()> {
        snapshot::write(&frozen, to)
    }

    fn restore(&mut self, from: &mut dyn io::Read) -> io::Result<()> {
        self.state = snapshot::read(from)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
