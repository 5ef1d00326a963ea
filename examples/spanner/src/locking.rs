//! What a leader does with its lock table: grants, wounds, and ends what nobody speaks for.

use std::collections::BTreeSet;

use synod_truetime::{CommitWait, Timestamp};

use crate::command::Act;
use crate::leader::Leader;
use crate::lock::Lock;
use crate::message::{Answer, Peer, Refused};
use crate::read::newest;
use crate::settling::Aborting;
use crate::shard::Outcome;
use crate::span::Span;
use crate::stage::{Stage, Then};
use crate::txn::{Now, ShardId, TxnId};

impl Leader {
    /// Takes locks, all or none, and then goes on. Wounds on the way.
    pub(crate) fn lock(&mut self, now: &Now<'_>, txn: TxnId, locks: Vec<Lock>, then: Then) {
        match now.state.outcome(txn) {
            Outcome::Open => {}
            Outcome::Decided(_) => return self.refuse(txn, Refused::OutOfTurn),
            Outcome::Forgotten => return self.refuse(txn, Refused::Forgotten),
        }
        if !matches!(self.stage(txn), None | Some(Stage::Active)) {
            return self.refuse(txn, Refused::OutOfTurn);
        }
        match self.locks.acquire(txn, locks) {
            Err(full) => match then {
                Then::Commit(_, participants) => {
                    self.abort(now, txn, participants, Some(full.into()));
                }
                Then::Prepare(_) => {
                    self.vote_no(txn);
                    self.leave(now, txn);
                }
                Then::Read(_) => self.refuse(txn, full.into()),
            },
            Ok(turned) => {
                self.enter(now, txn, Stage::Locking(then));
                for wounded in turned.wounded {
                    self.wound(now, wounded);
                }
                self.granted(now, turned.granted);
            }
        }
    }

    /// They have the locks that they waited for, and go on. What that ends may grant others theirs: they follow one
    /// after the other, and not one within the other, however many wait.
    pub(crate) fn granted(&mut self, now: &Now<'_>, granted: Vec<TxnId>) {
        self.grants.extend(granted);
        if std::mem::replace(&mut self.is_granting, true) {
            return;
        }
        while let Some(txn) = self.grants.pop_front() {
            self.go_on(now, txn);
        }
        self.is_granting = false;
    }

    fn go_on(&mut self, now: &Now<'_>, txn: TxnId) {
        let Some(local) = self.txns.get_mut(&txn) else {
            return;
        };
        match std::mem::replace(&mut local.stage, Stage::Active) {
            Stage::Locking(Then::Read(span)) => self.read(now, txn, span),
            Stage::Locking(Then::Prepare(part)) => self.promise(now, part),
            Stage::Locking(Then::Commit(part, participants)) => {
                self.begin(now, part, participants);
            }
            stage => local.stage = stage,
        }
    }

    /// Under the lock the newest version is the right one. Of this reign its commit wait is over, or the lock were
    /// not free; but the last leader may have died within one, and its locks with it.
    fn read(&mut self, now: &Now<'_>, txn: TxnId, span: Span) {
        let found = now
            .state
            .store()
            .scan(&span, Timestamp::MAX, self.limits.scan);
        match found {
            Ok(scan) => {
                let wait = CommitWait::until(newest(&scan), &now.time);
                self.enter(now, txn, Stage::Seeing { span, scan, wait });
                self.end_waits(now);
            }
            Err(collected) => self.give_up(now, txn, Some(collected.into())),
        }
    }

    /// The wait of a locked read is over.
    pub(crate) fn seen(&mut self, now: &Now<'_>, txn: TxnId) {
        let Some(Stage::Seeing { span, scan, .. }) = self.stage(txn) else {
            return;
        };
        let (span, scan) = (span.clone(), scan.clone());
        self.enter(now, txn, Stage::Active);
        if let Some(hold) = self.hold(txn) {
            self.answer(txn, Answer::Read { span, scan, hold });
        }
    }

    /// The transaction is done with at this shard: its locks go to who waits.
    pub(crate) fn leave(&mut self, now: &Now<'_>, txn: TxnId) {
        self.forget(txn);
        self.unstamped.remove(&txn);
        self.early.remove(&txn);
        let granted = self.locks.release(txn);
        self.granted(now, granted);
    }

    /// What was lost is said again, and what nobody speaks for ends.
    pub(crate) fn repeat(&mut self, now: &Now<'_>) {
        for txn in self.locks.held_up_by() {
            if let Some(Stage::Prepared { .. } | Stage::Pinned { .. }) = self.stage(txn) {
                self.send(txn.coordinator, Peer::Wound { txn });
            }
        }
        let client_lease = self.limits.client_lease;
        let all = self.txns.iter();
        let silent = all.filter(|(_, local)| now.local.since(local.heard) >= client_lease);
        let silent: Vec<TxnId> = silent.map(|(txn, _)| *txn).collect();
        for txn in silent {
            let from = self.shard;
            // What one gives up another may be granted meanwhile.
            match self.stage(txn) {
                Some(Stage::Prepared { .. }) => {
                    self.send(txn.coordinator, Peer::Ask { txn, from });
                }
                // No lock is needed any more: this shard gives no timestamp below.
                Some(Stage::Pinned { until }) if *until < now.time.earliest() => {
                    self.leave(now, txn);
                }
                Some(Stage::Pinned { .. }) => self.send(txn.coordinator, Peer::Ask { txn, from }),
                Some(_) => self.give_up(now, txn, Some(Refused::Silent)),
                None => {}
            }
        }
        self.early
            .retain(|_, (came, _)| now.local.since(*came) < client_lease);
        self.vote_again();
        self.tell_again();
    }

    /// Ends what is not firm. Before the client has asked to commit nothing can come of it any more.
    pub(crate) fn give_up(&mut self, now: &Now<'_>, txn: TxnId, why: Option<Refused>) {
        let participants = match self.stage(txn) {
            Some(Stage::Gathering(gathering)) => Some(gathering.participants.clone()),
            Some(Stage::Locking(Then::Commit(_, participants))) => Some(participants.clone()),
            Some(Stage::Locking(Then::Prepare(_)) | Stage::Unstamped(_)) => {
                self.vote_no(txn);
                None
            }
            Some(Stage::Active | Stage::Seeing { .. } | Stage::Locking(Then::Read(_))) => {
                if let Some(why) = why {
                    self.refuse(txn, why);
                }
                None
            }
            _ => return,
        };
        match participants {
            Some(participants) => self.abort(now, txn, participants, why),
            None => self.leave(now, txn),
        }
    }

    /// The client has asked to commit, and participants may be prepared: nobody hears of the end before it is in the
    /// log. Else the next leader, given the client's word a second time by a slow network, could commit what this one
    /// has said was aborted.
    pub(crate) fn abort(
        &mut self,
        now: &Now<'_>,
        txn: TxnId,
        participants: BTreeSet<ShardId>,
        why: Option<Refused>,
    ) {
        let aborting = Aborting { participants, why };
        self.aborting.insert(txn, aborting);
        self.propose(now, Act::Abort { txn });
        self.leave(now, txn);
    }

    pub(crate) fn wound(&mut self, now: &Now<'_>, txn: TxnId) {
        self.give_up(now, txn, Some(Refused::Wounded));
    }
}
