//! What follows a decision: the wait, then the word to everybody, until all have it.
//!
//! A coordinator that dies before its record is in the log has decided nothing, and its successor aborts what
//! participants ask for; one that dies after it is succeeded by one that finds the record, waits, and tells. A
//! decision is in the log before anybody hears of it, and a commit's timestamp has passed.
//!
//! "Before allowing any coordinator replica to apply the commit record, the coordinator leader waits until
//! TT.after(s), so as to obey the commit-wait rule ... After commit wait, the coordinator sends the commit timestamp to
//! the client and all other participant leaders" (section 4.2.1).

use std::collections::BTreeSet;

use synod_truetime::{CommitWait, Timestamp};

use crate::command::{Act, Reply};
use crate::leader::Leader;
use crate::message::{Answer, Peer, Refused};
use crate::shard::Outcome;
use crate::stage::{Stage, Told};
use crate::txn::{Decision, Now, ShardId, TxnId};

/// Told, and told again until all have it.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Settling {
    at: Timestamp,
    missing: BTreeSet<ShardId>,
}

/// An abort is on its way into the log; then these hear of it, and the client hears why.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Aborting {
    pub(crate) participants: BTreeSet<ShardId>,
    pub(crate) why: Option<Refused>,
}

impl Leader {
    /// Locks go after the wait, and so does the word to clients and participants (section 4.1.2).
    pub(crate) fn end_waits(&mut self, now: &Now<'_>) {
        while let Some((at, txn)) = self.waits.first().copied() {
            if !Self::has_passed(now, Decision::Committed(at)) {
                return;
            }
            self.waits.pop_first();
            let Some(Stage::Waiting { told, .. }) = self.stage(txn) else {
                self.seen(now, txn);
                continue;
            };
            let told = told.clone();
            self.answer(txn, Answer::Decided(Decision::Committed(at), None));
            self.tell_all(txn, at, told);
            self.leave(now, txn);
        }
    }

    fn tell_all(&mut self, txn: TxnId, at: Timestamp, told: Told) {
        let decision = Decision::Committed(at);
        for to in told.readers {
            self.send(to, Peer::Outcome { txn, decision });
        }
        let missing = told.prepared;
        if !missing.is_empty() {
            self.settling.insert(txn, Settling { at, missing });
            self.tell(txn);
        }
    }

    fn tell(&mut self, txn: TxnId) {
        let Some(settling) = self.settling.get(&txn) else {
            return;
        };
        let decision = Decision::Committed(settling.at);
        for to in settling.missing.clone() {
            self.send(to, Peer::Outcome { txn, decision });
        }
    }

    pub(crate) fn tell_again(&mut self) {
        let txns: Vec<TxnId> = self.settling.keys().copied().collect();
        txns.into_iter().for_each(|txn| self.tell(txn));
    }

    pub(crate) fn settled(&mut self, now: &Now<'_>, txn: TxnId, from: ShardId) {
        let Some(settling) = self.settling.get_mut(&txn) else {
            return;
        };
        settling.missing.remove(&from);
        if settling.missing.is_empty() {
            self.settling.remove(&txn);
            self.propose(now, Act::Settled { txn });
        }
    }

    /// The log has an abort, or had another decision before it.
    pub(crate) fn aborted(&mut self, now: &Now<'_>, txn: TxnId, reply: &Reply) {
        let Aborting { participants, why } = self.aborting.remove(&txn).unwrap_or_default();
        match reply {
            Reply::Decided(Decision::Aborted) => {
                self.answer(txn, Answer::Decided(Decision::Aborted, why));
            }
            Reply::Decided(decision) if !self.txns.contains_key(&txn) => {
                self.say(now, txn, *decision);
            }
            Reply::Forgotten => self.refuse(txn, Refused::Forgotten),
            _ => {}
        }
        for to in participants {
            self.asked(now, txn, to);
        }
    }

    /// A decision that may be another leader's, whose wait nobody has finished.
    pub(crate) fn say(&mut self, now: &Now<'_>, txn: TxnId, decision: Decision) {
        match decision {
            Decision::Committed(at) if !Self::has_passed(now, decision) => {
                let (told, wait) = (Told::default(), CommitWait::until(at, &now.time));
                self.enter(now, txn, Stage::Waiting { told, wait });
            }
            _ => self.answer(txn, Answer::Decided(decision, None)),
        }
    }

    /// A client asks. Whatever is decided stands in the log before it is said, an abort too: else a commit that is
    /// still on its way to this leader could come after the answer. What is forgotten is called that, and never
    /// aborted.
    pub(crate) fn ask(&mut self, now: &Now<'_>, txn: TxnId) {
        let outcome = now.state.outcome(txn);
        if self.txns.contains_key(&txn) || self.aborting.contains_key(&txn) {
            return;
        }
        match outcome {
            Outcome::Forgotten => self.refuse(txn, Refused::Forgotten),
            Outcome::Decided(decision) => self.say(now, txn, decision),
            Outcome::Open if self.may_not_abort(now) => self.refuse(txn, Refused::Busy),
            Outcome::Open => self.abort(now, txn, BTreeSet::new(), None),
        }
    }

    /// A participant asks, and this leader, perhaps a new one, has nothing under way: aborted, once the log says so.
    /// The participant asks again.
    ///
    /// A commit of the last leader's is told when its wait is over and not before: the participant would let its
    /// locks go, and a writer with an earlier timestamp in between. Of what is forgotten a participant that still
    /// waits hears that it was aborted: a commit were kept until this very participant has it.
    pub(crate) fn asked(&mut self, now: &Now<'_>, txn: TxnId, from: ShardId) {
        if txn.coordinator != self.shard || self.txns.contains_key(&txn) {
            return;
        }
        if let Some(aborting) = self.aborting.get_mut(&txn) {
            aborting.participants.insert(from);
            return;
        }
        let decision = match now.state.outcome(txn) {
            Outcome::Decided(decision) if !Self::has_passed(now, decision) => return,
            Outcome::Decided(decision) => decision,
            Outcome::Forgotten => Decision::Aborted,
            Outcome::Open if self.may_not_abort(now) => return,
            Outcome::Open => return self.abort(now, txn, BTreeSet::from([from]), None),
        };
        self.send(from, Peer::Outcome { txn, decision });
    }

    /// So many outcomes are kept, or so many aborts under way, that none is added for whoever asks about nothing.
    fn may_not_abort(&self, now: &Now<'_>) -> bool {
        let outcomes = now.state.outcomes() + self.aborting.len();
        self.is_leaving || outcomes >= self.limits.outcomes_max
    }
}
