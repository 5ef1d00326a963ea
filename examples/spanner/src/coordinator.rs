//! Two-phase commit (section 4.2.1), the side that decides.
//!
//! "The coordinator leader also first acquires write locks, but skips the prepare phase. It chooses a timestamp for
//! the entire transaction after hearing from all other participant leaders. The commit timestamp s must be greater or
//! equal to all prepare timestamps (...), greater than TT.now().latest at the time the coordinator received its commit
//! message, and greater than any timestamps the leader has assigned to previous transactions."

use std::collections::{BTreeMap, BTreeSet};

use synod_truetime::{CommitWait, Timestamp};

use crate::command::{Act, Reply};
use crate::leader::Leader;
use crate::lock::Lock;
use crate::message::{Part, Refused, Vote};
use crate::settling::Aborting;
use crate::shard::Outcome;
use crate::stage::{Stage, Then, Told};
use crate::txn::{Decision, Now, ShardId, TxnId};

/// Votes so far.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Gathering {
    part: Part,
    pub(crate) participants: BTreeSet<ShardId>,
    missing: BTreeSet<ShardId>,
    told: Told,
    /// The greatest prepare timestamp.
    least: Timestamp,
    /// The least end of what read locks were promised for.
    before: Timestamp,
}

impl Leader {
    /// The client has asked to commit.
    pub(crate) fn gather(&mut self, now: &Now<'_>, part: Part, participants: BTreeSet<ShardId>) {
        let txn = part.txn;
        match now.state.outcome(txn) {
            Outcome::Open => {}
            Outcome::Forgotten => return self.refuse(txn, Refused::Forgotten),
            Outcome::Decided(decision) => {
                if !self.txns.contains_key(&txn) {
                    self.say(now, txn, decision);
                }
                return;
            }
        }
        if self.aborting.contains_key(&txn) {
            return;
        }
        if !self.keeps_locks(&part) {
            // Whatever else it is doing here, it was asked for before.
            if matches!(self.stage(txn), None | Some(Stage::Active)) {
                self.abort(now, txn, participants, Some(Refused::LocksLost));
            }
            return;
        }
        let locks = part.writes.iter().map(|(key, _)| Lock::exclusive(key));
        self.lock(now, txn, locks.collect(), Then::Commit(part, participants));
    }

    /// It has all locks here.
    pub(crate) fn begin(&mut self, now: &Now<'_>, part: Part, participants: BTreeSet<ShardId>) {
        let txn = part.txn;
        let gathering = Gathering {
            part,
            missing: participants.clone(),
            participants,
            told: Told::default(),
            least: Timestamp::MIN,
            before: Timestamp::MAX,
        };
        self.enter(now, txn, Stage::Gathering(gathering));
        let (_, early) = self.early.remove(&txn).unwrap_or_default();
        for (from, vote) in early {
            self.vote(now, txn, from, vote);
        }
        self.decide(now, txn);
    }

    pub(crate) fn vote(&mut self, now: &Now<'_>, txn: TxnId, from: ShardId, vote: Vote) {
        let local = self.txns.get_mut(&txn).map(|local| &mut local.stage);
        let Some(Stage::Gathering(gathering)) = local else {
            return self.vote_out_of_turn(now, txn, from, vote);
        };
        if !gathering.missing.contains(&from) {
            return;
        }
        let Vote::Yes { prepared, before } = vote else {
            return self.give_up(now, txn, Some(Refused::Wounded));
        };
        gathering.missing.remove(&from);
        match prepared {
            Some(at) => {
                gathering.told.prepared.insert(from);
                gathering.least = gathering.least.max(at);
            }
            None => drop(gathering.told.readers.insert(from)),
        }
        gathering.before = gathering.before.min(before.unwrap_or(Timestamp::MAX));
        self.decide(now, txn);
    }

    /// Too late, or kept for a client whose word comes later.
    fn vote_out_of_turn(&mut self, now: &Now<'_>, txn: TxnId, from: ShardId, vote: Vote) {
        if now.state.outcome(txn) != Outcome::Open {
            self.asked(now, txn, from);
        } else if self.early.contains_key(&txn) || self.early.len() < EARLY_MAX {
            let came = (now.local, BTreeMap::new());
            let (_, votes) = self.early.entry(txn).or_insert(came);
            // The last word counts: a successor may have lost what its predecessor voted for.
            votes.insert(from, vote);
        }
    }

    /// All votes are there: the timestamp, its record on the way, and the commit wait begins with both.
    pub(crate) fn decide(&mut self, now: &Now<'_>, txn: TxnId) {
        let Some(Stage::Gathering(gathering)) = self.stage(txn) else {
            return;
        };
        if !gathering.missing.is_empty() {
            return;
        }
        let (least, before) = (gathering.least, gathering.before);
        let (writes, told) = (gathering.part.writes.clone(), gathering.told.clone());
        // Read locks of a participant are not promised for so long.
        if least.max(now.time.latest()) >= before {
            return self.give_up(now, txn, Some(Refused::LeaseOver));
        }
        let Ok(at) = self.oracle.assign(least, &now.time) else {
            self.unstamped.insert(txn);
            return self.extend_lease(now);
        };
        if at >= before {
            self.oracle.applied(at);
            return self.give_up(now, txn, Some(Refused::LeaseOver));
        }
        let participants = told.prepared.iter().copied().collect();
        self.locks.make_firm(txn);
        let wait = CommitWait::until(at, &now.time);
        self.enter(now, txn, Stage::Committing { told, wait });
        self.propose(
            now,
            Act::Commit {
                txn,
                at,
                participants,
                writes,
            },
        );
    }

    /// The lease goes on: those that waited for it have their timestamps now.
    pub(crate) fn stamp(&mut self, now: &Now<'_>) {
        for txn in std::mem::take(&mut self.unstamped) {
            match self.stage(txn) {
                Some(Stage::Unstamped(part)) => {
                    let part = part.clone();
                    self.promise(now, part);
                }
                Some(Stage::Gathering(_)) => self.decide(now, txn),
                _ => {}
            }
        }
    }

    /// The record is in the log, unless another decision stands before it.
    pub(crate) fn committed(&mut self, now: &Now<'_>, txn: TxnId, reply: &Reply) {
        let Some(Stage::Committing { told, wait }) = self.stage(txn) else {
            return;
        };
        let (told, wait) = (told.clone(), wait.clone());
        match reply {
            Reply::Decided(Decision::Committed(_)) => {
                self.enter(now, txn, Stage::Waiting { told, wait });
                self.end_waits(now);
            }
            _ => {
                let participants = told.prepared;
                let aborting = Aborting {
                    participants,
                    why: None,
                };
                self.aborting.insert(txn, aborting);
                self.leave(now, txn);
                self.aborted(now, txn, reply);
            }
        }
    }
}

/// How many transactions may have votes before their clients' words.
const EARLY_MAX: usize = 1 << 12;
