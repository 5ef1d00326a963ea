//! Two-phase commit (section 4.2.1), the side that prepares.
//!
//! "A non-coordinator-participant leader first acquires write locks. It then chooses a prepare timestamp that must be
//! larger than any timestamps it has assigned to previous transactions (...), and logs a prepare record through
//! Paxos. Each participant then notifies the coordinator of its prepare timestamp."

use synod_truetime::Timestamp;

use crate::command::{Act, Reply};
use crate::leader::Leader;
use crate::lock::Lock;
use crate::message::{Part, Peer, Vote};
use crate::shard::Outcome;
use crate::stage::{Stage, Then};
use crate::txn::{Decision, Now, TxnId};

impl Leader {
    pub(crate) fn prepare(&mut self, now: &Now<'_>, part: Part) {
        let txn = part.txn;
        match self.stage(txn) {
            None | Some(Stage::Active) => {}
            Some(Stage::Locking(Then::Read(_)) | Stage::Seeing { .. }) => {
                // Its client does not wait for what it has asked for here.
                self.vote_no(txn);
                return self.leave(now, txn);
            }
            // It comes again, and is answered when that is done; after that the coordinator is asked.
            Some(_) => return,
        }
        match now.state.outcome(txn) {
            Outcome::Open => {}
            // It comes again after the outcome.
            Outcome::Decided(_) => return,
            Outcome::Forgotten => return self.vote_no(txn),
        }
        if !self.keeps_locks(&part) {
            self.vote_no(txn);
            return self.leave(now, txn);
        }
        let locks = part.writes.iter().map(|(key, _)| Lock::exclusive(key));
        self.lock(now, txn, locks.collect(), Then::Prepare(part));
    }

    /// It has all locks: from here on nobody wounds it.
    pub(crate) fn promise(&mut self, now: &Now<'_>, part: Part) {
        let txn = part.txn;
        if part.writes.is_empty() {
            let until = self.oracle.end();
            self.locks.make_firm(txn);
            self.enter(now, txn, Stage::Pinned { until });
            return self.vote_yes(txn, None, Some(until));
        }
        if now.state.prepared().len() >= self.limits.prepared_max {
            self.vote_no(txn);
            return self.leave(now, txn);
        }
        let Ok(at) = self.oracle.assign(Timestamp::MIN, &now.time) else {
            self.unstamped.insert(txn);
            self.enter(now, txn, Stage::Unstamped(part));
            return self.extend_lease(now);
        };
        self.locks.make_firm(txn);
        self.enter(now, txn, Stage::Preparing);
        let (has_read, writes) = (part.hold.is_some(), part.writes);
        self.propose(
            now,
            Act::Prepare {
                txn,
                at,
                has_read,
                writes,
            },
        );
    }

    /// The record is in the log. The vote says what the table says: a later lease promises nothing about read locks
    /// of this one, and one that began before promises less.
    pub(crate) fn prepared(&mut self, now: &Now<'_>, txn: TxnId, reply: &Reply) {
        if !matches!(self.stage(txn), Some(Stage::Preparing)) {
            return;
        }
        match (reply, now.state.prepared().get(&txn)) {
            (Reply::Done, Some(row)) => {
                let (at, before) = (row.at, row.before);
                self.enter(now, txn, Stage::Prepared { at, before });
                self.vote_yes(txn, Some(at), before);
            }
            // The outcome stands before it: it is prepared no more.
            _ => {
                self.vote_no(txn);
                self.leave(now, txn);
            }
        }
    }

    /// The coordinator has decided, and its commit wait is over.
    pub(crate) fn outcome(&mut self, now: &Now<'_>, txn: TxnId, decision: Decision) {
        match self.stage(txn) {
            Some(Stage::Prepared { .. }) => {
                self.enter(now, txn, Stage::Finishing);
                self.propose(now, Act::Finish { txn, decision });
            }
            // Its record must be applied first. The coordinator says it again.
            Some(Stage::Preparing | Stage::Finishing) => {}
            // It decides here, and needs nobody's word.
            Some(_) if txn.coordinator == self.shard => {}
            Some(_) => self.leave(now, txn),
            // Only what stands in this machine is settled: a leader that is deposed and does not know it has never
            // heard of what its successor prepared. What is forgotten stood there: the coordinator says that it was
            // prepared, and behind the horizon of outcomes nothing so old can be prepared any more.
            None if now.state.outcome(txn) != Outcome::Open => self.settle(txn),
            None => {}
        }
    }

    /// The outcome is in this shard's log: "each participant leader logs the transaction's outcome through Paxos. All
    /// participants apply at the same timestamp and then release locks."
    pub(crate) fn finished(&mut self, now: &Now<'_>, txn: TxnId) {
        if matches!(self.stage(txn), Some(Stage::Finishing)) {
            self.settle(txn);
            self.leave(now, txn);
        }
    }

    fn settle(&mut self, txn: TxnId) {
        let from = self.shard;
        self.send(txn.coordinator, Peer::Settled { txn, from });
    }

    pub(crate) fn vote_again(&mut self) {
        let votes = self
            .txns
            .iter()
            .filter_map(|(txn, local)| match &local.stage {
                Stage::Prepared { at, before } => Some((*txn, Some(*at), *before)),
                Stage::Pinned { until } => Some((*txn, None, Some(*until))),
                _ => None,
            });
        for (txn, at, before) in votes.collect::<Vec<_>>() {
            self.vote_yes(txn, at, before);
        }
    }

    fn vote_yes(&mut self, txn: TxnId, prepared: Option<Timestamp>, before: Option<Timestamp>) {
        let (from, vote) = (self.shard, Vote::Yes { prepared, before });
        self.send(txn.coordinator, Peer::Vote { txn, from, vote });
    }

    pub(crate) fn vote_no(&mut self, txn: TxnId) {
        let (from, vote) = (self.shard, Vote::No);
        self.send(txn.coordinator, Peer::Vote { txn, from, vote });
    }
}
