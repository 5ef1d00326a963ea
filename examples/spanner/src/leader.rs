//! The leader of one shard: what comes in, what goes out, when to look again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use synod_replica::embed::Instant;
use synod_truetime::{CommitWait, Interval, Timestamp};

use crate::command::{Act, Applied, Command, PARTICIPANTS_MAX, Reply, Standing};
use crate::lock::{Lock, LockTable};
use crate::message::{Answer, Output, Part, Peer, Refused, Request, Vote};
use crate::oracle::Oracle;
use crate::safe_time::Promise;
use crate::settling::{Aborting, Settling};
use crate::shard::Outcome;
use crate::stage::{Limits, Local, Stage, Then, Told};
use crate::txn::{Decision, Hold, Now, Reign, ShardId, TxnId};

/// Reads under locks, votes, decides, settles and closes, for one reign; sans-IO, and volatile.
///
/// It begins when its own take-over is applied on its node, so that everything before is applied too, and ends with the
/// first answer that is not "applied, next in number". Nothing is saved of it: what must outlive it is in the log or
/// below the lease's end. It builds on nothing but what it has seen applied.
///
/// - Getters: [`reign`](Self::reign), [`locks`](Self::locks), [`is_idle`](Self::is_idle).
/// - What comes in: [`handle_request`](Self::handle_request), [`handle_peer`](Self::handle_peer),
///   [`handle_applied`](Self::handle_applied), [`handle_timeout`](Self::handle_timeout).
/// - What goes out: [`poll_output`](Self::poll_output), to be drained after each of those;
///   [`poll_timeout`](Self::poll_timeout) changes with each of those.
///
/// # Invariants
/// - A transaction has locks only if it is in `txns`.
/// - `waits` has those in `txns` that wait for a time, by that time.
/// - `under_way` holds own commands in the order of their numbers.
/// - What is firm in the lock table is firm by its stage.
#[derive(Clone, Debug, Hash)]
pub struct Leader {
    pub(crate) shard: ShardId,
    pub(crate) reign: Reign,
    pub(crate) limits: Limits,
    pub(crate) oracle: Oracle,
    pub(crate) locks: LockTable,
    pub(crate) txns: BTreeMap<TxnId, Local>,
    pub(crate) waits: BTreeSet<(Timestamp, TxnId)>,
    /// They have all but a timestamp, and get it with the next extension of the lease.
    pub(crate) unstamped: BTreeSet<TxnId>,
    pub(crate) settling: BTreeMap<TxnId, Settling>,
    /// Votes that came before the client's word, and when.
    pub(crate) early: BTreeMap<TxnId, (Instant, BTreeMap<ShardId, Vote>)>,
    pub(crate) aborting: BTreeMap<TxnId, Aborting>,
    /// Granted, and not gone on yet.
    pub(crate) grants: VecDeque<TxnId>,
    pub(crate) is_granting: bool,
    pub(crate) ready: VecDeque<Output>,
    pub(crate) is_leaving: bool,
    pub(crate) is_released: bool,
    under_way: VecDeque<(u64, Act)>,
    proposed: u64,
    entered: u64,
    is_extending: bool,
    collected: Timestamp,
    applied: u64,
    again: Instant,
}

/// The reign is over: the leader is to be dropped, and with it all locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// Another reigns, or may, or a command is lost.
    #[error("another reigns, or a command of this reign is lost")]
    Deposed,
    /// As it was asked to: the successor's writers need not wait.
    #[error("handed over")]
    HandedOver,
}

impl Leader {
    /// By the answer to this node's take-over, which stands at `index`.
    #[must_use]
    pub fn new(
        shard: ShardId,
        limits: Limits,
        standing: Standing,
        index: u64,
        now: &Now<'_>,
    ) -> Self {
        let mut leader = Self {
            shard,
            reign: standing.reign,
            limits,
            oracle: Oracle::new(&standing),
            locks: LockTable::new(limits.locks_max),
            txns: BTreeMap::new(),
            waits: BTreeSet::new(),
            unstamped: BTreeSet::new(),
            settling: BTreeMap::new(),
            early: BTreeMap::new(),
            aborting: BTreeMap::new(),
            grants: VecDeque::new(),
            is_granting: false,
            ready: VecDeque::new(),
            is_leaving: false,
            is_released: false,
            under_way: VecDeque::new(),
            proposed: 0,
            entered: 0,
            is_extending: false,
            collected: now.state.store().horizon(),
            applied: index,
            again: now.local,
        };
        leader.inherit(standing, now);
        leader
    }

    fn inherit(&mut self, standing: Standing, now: &Now<'_>) {
        for (txn, prepared) in standing.prepared {
            let locks = prepared.writes.iter();
            self.locks
                .restore(txn, locks.map(|(key, _)| Lock::exclusive(key)));
            // Its read locks died with a reign before, and were promised up to the end of that one's lease.
            let (at, before) = (prepared.at, prepared.before);
            self.enter(now, txn, Stage::Prepared { at, before });
        }
        for (txn, at, prepared) in standing.unsettled {
            // The last leader may have died within its commit wait: this one waits again.
            let told = Told {
                prepared: prepared.into_iter().collect(),
                ..Told::default()
            };
            let wait = CommitWait::until(at, &now.time);
            self.enter(now, txn, Stage::Waiting { told, wait });
        }
    }

    /// A client's word.
    pub fn handle_request(&mut self, now: &Now<'_>, request: Request) {
        let txn = request.txn();
        if self.is_released {
            return;
        }
        if let Err(refused) = self.check(now, &request) {
            return self.refuse(txn, refused);
        }
        if let Some(local) = self.txns.get_mut(&txn)
            && !local.stage.is_firm()
        {
            local.heard = now.local;
        }
        match request {
            Request::Read { txn, span } => {
                let locks = vec![Lock::shared(span.clone())];
                self.lock(now, txn, locks, Then::Read(span));
            }
            Request::Prepare(part) => self.prepare(now, part),
            Request::Commit { part, participants } => self.gather(now, part, participants),
            Request::KeepAlive { .. } => {}
            Request::Rollback { txn } => self.give_up(now, txn, None),
            Request::Ask { txn } => self.ask(now, txn),
        }
    }

    /// What no leader of this shard may do.
    fn check(&self, now: &Now<'_>, request: &Request) -> Result<(), Refused> {
        let txn = request.txn();
        let is_mine = txn.coordinator == self.shard;
        let is_right = match request {
            Request::Read { span, .. } => span.fits(),
            Request::Prepare(_) => !is_mine,
            Request::Commit { participants, .. } => {
                is_mine
                    && participants.len() <= PARTICIPANTS_MAX
                    && !participants.contains(&self.shard)
            }
            Request::Ask { .. } => is_mine,
            Request::KeepAlive { .. } | Request::Rollback { .. } => return Ok(()),
        };
        // What begins later than now would be remembered for longer than it may.
        let ahead = now.time.latest() + self.limits.outcomes_kept;
        if !is_right || ahead < txn.begin {
            return Err(Refused::Malformed);
        }
        let begins = !self.txns.contains_key(&txn) && !matches!(request, Request::Ask { .. });
        if begins && self.is_leaving {
            return Err(Refused::Leaving);
        }
        let full = self.txns.len() >= self.limits.transactions_max
            || now.state.outcomes() >= self.limits.outcomes_max;
        let known = now.state.outcome(txn) != Outcome::Open;
        if begins && full && !known {
            return Err(Refused::Busy);
        }
        Ok(())
    }

    /// Another leader's word.
    pub fn handle_peer(&mut self, now: &Now<'_>, peer: Peer) {
        if self.is_released {
            return;
        }
        match peer {
            Peer::Vote { txn, from, vote } => self.vote(now, txn, from, vote),
            Peer::Ask { txn, from } => self.asked(now, txn, from),
            Peer::Outcome { txn, decision } => self.outcome(now, txn, decision),
            Peer::Settled { txn, from } => self.settled(now, txn, from),
            Peer::Wound { txn } => self.wound(now, txn),
        }
    }

    /// An own command was applied on this node; in the order of the log.
    ///
    /// # Errors
    /// [`Ended`].
    pub fn handle_applied(
        &mut self,
        now: &Now<'_>,
        number: u64,
        applied: Applied,
    ) -> Result<(), Ended> {
        let first = self.under_way.pop_front();
        let first = first.filter(|(first, _)| *first == number);
        let (_, act) = first.ok_or(Ended::Deposed)?;
        self.applied = applied.index;
        let reply = applied.reply;
        if matches!(
            reply,
            Reply::Deposed(_) | Reply::OutOfOrder | Reply::Refused | Reply::TookOver(_)
        ) {
            return Err(Ended::Deposed);
        }
        match act {
            Act::Release { .. } => return Err(Ended::HandedOver),
            Act::Lease { end, .. } => {
                self.is_extending = false;
                self.oracle.extended(end);
                self.stamp(now);
            }
            Act::Prepare { txn, at, .. } => {
                self.oracle.applied(at);
                self.prepared(now, txn, &reply);
            }
            Act::Commit { txn, at, .. } => {
                self.oracle.applied(at);
                self.committed(now, txn, &reply);
            }
            Act::Abort { txn } => self.aborted(now, txn, &reply),
            Act::Finish { txn, .. } => self.finished(now, txn),
            Act::Collect { .. } | Act::Settled { .. } | Act::TakeOver { .. } => {}
        }
        Ok(())
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: &Now<'_>) {
        if self.is_released {
            return;
        }
        if now.time.latest() + self.extends_ahead() > self.oracle.end() {
            self.extend_lease(now);
        }
        self.end_waits(now);
        if self.again <= now.local {
            self.again = now.local + self.limits.client_lease / 4;
            self.collect(now);
            self.repeat(now);
        }
        self.try_release(now);
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next, as far as is known now.
    #[must_use]
    pub fn poll_timeout(&self, now: &Now<'_>) -> Instant {
        let left = self.oracle.end() - self.extends_ahead() - now.time.latest();
        let extension = now.local + left.max(MOMENT);
        let extension = if self.is_extending {
            self.again
        } else {
            extension
        };
        let wait = self.waits.first().map(|(at, _)| *at);
        let wait = wait.or_else(|| self.is_leaving.then(|| self.oracle.last()));
        let wait = wait.map(|at| now.local + CommitWait::until(at, &now.time).left(&now.time));
        let first = self.again.min(extension);
        wait.map_or(first, |wait| first.min(wait))
    }

    /// What is to be done.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.ready.pop_front()
    }

    /// For replicas whose readers wait, and for all of them now and then: a message, and no log.
    pub fn close(&mut self, wanted: Timestamp, now: &Interval) -> Promise {
        if self.is_leaving {
            return self.oracle.closed(self.applied);
        }
        self.oracle.close(wanted, self.applied, now)
    }

    /// Which reign it is.
    #[must_use]
    pub fn reign(&self) -> Reign {
        self.reign
    }

    /// The lock table.
    #[must_use]
    pub fn locks(&self) -> &LockTable {
        &self.locks
    }

    /// Whether nothing is under way or to be told.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.txns.is_empty() && self.settling.is_empty() && self.under_way.is_empty()
    }

    pub(crate) fn has_proposals(&self) -> bool {
        !self.under_way.is_empty()
    }

    /// So long before its end the lease is extended; as soon as that gains anything if somebody waits for it. So a
    /// successor assigns above a lease that has just been extended by another.
    fn extends_ahead(&self) -> Duration {
        if self.unstamped.is_empty() {
            return self.limits.leader_lease / 2;
        }
        self.limits.leader_lease
    }

    /// An extension counts once it is applied; until then there is one of them.
    pub(crate) fn extend_lease(&mut self, now: &Now<'_>) {
        let end = now.time.earliest() + self.limits.leader_lease;
        if self.is_extending || self.is_leaving || end <= self.oracle.end() {
            return;
        }
        self.is_extending = true;
        let closed = self.oracle.closed(self.applied).closed;
        self.propose(now, Act::Lease { end, closed });
    }

    /// The horizon goes into the log in steps of an eighth of what is kept.
    fn collect(&mut self, now: &Now<'_>) {
        let (kept, earliest) = (self.limits.versions_kept, now.time.earliest());
        let versions = earliest - kept;
        if self.is_leaving || self.collected + kept / 8 > versions {
            return;
        }
        self.collected = versions;
        let outcomes = earliest - self.limits.outcomes_kept;
        self.propose(now, Act::Collect { versions, outcomes });
    }

    pub(crate) fn propose(&mut self, now: &Now<'_>, act: Act) {
        self.proposed += 1;
        self.under_way.push_back((self.proposed, act.clone()));
        self.ready.push_back(Output::Propose(Command {
            reign: self.reign,
            number: self.proposed,
            floor: now.floor,
            act,
        }));
    }

    pub(crate) fn answer(&mut self, txn: TxnId, answer: Answer) {
        self.ready.push_back(Output::Client(txn, answer));
    }

    pub(crate) fn refuse(&mut self, txn: TxnId, why: Refused) {
        self.answer(txn, Answer::Refused(why));
    }

    pub(crate) fn send(&mut self, to: ShardId, peer: Peer) {
        self.ready.push_back(Output::Peer(to, peer));
    }

    /// A transaction is at this stage from now on. Its number stays as long as it is here.
    pub(crate) fn enter(&mut self, now: &Now<'_>, txn: TxnId, stage: Stage) {
        let before = self.forget(txn);
        let number = before.map_or(self.entered + 1, |local| local.number);
        self.entered = self.entered.max(number);
        if let Some(at) = stage.waits_for() {
            self.waits.insert((at, txn));
        }
        let heard = now.local;
        self.txns.insert(
            txn,
            Local {
                number,
                heard,
                stage,
            },
        );
    }

    /// Takes it out; its locks are the caller's matter.
    pub(crate) fn forget(&mut self, txn: TxnId) -> Option<Local> {
        let local = self.txns.remove(&txn)?;
        if let Some(at) = local.stage.waits_for() {
            self.waits.remove(&(at, txn));
        }
        Some(local)
    }

    pub(crate) fn stage(&self, txn: TxnId) -> Option<&Stage> {
        self.txns.get(&txn).map(|local| &local.stage)
    }

    /// Under what it has locks here, if it has any and is not doing something else.
    pub(crate) fn hold(&self, txn: TxnId) -> Option<Hold> {
        let local = self.txns.get(&txn)?;
        matches!(local.stage, Stage::Active).then_some(Hold {
            reign: self.reign,
            number: local.number,
        })
    }

    /// Whether the locks that the transaction read under are still its own.
    pub(crate) fn keeps_locks(&self, part: &Part) -> bool {
        match part.hold {
            Some(hold) => self.hold(part.txn) == Some(hold),
            None => !self.txns.contains_key(&part.txn),
        }
    }

    /// Whether a commit's timestamp has certainly passed, so that it may be told.
    pub(crate) fn has_passed(now: &Now<'_>, decision: Decision) -> bool {
        match decision {
            Decision::Committed(at) => at < now.time.earliest(),
            Decision::Aborted => true,
        }
    }
}

/// Nothing is asked for again sooner.
const MOMENT: Duration = Duration::from_millis(1);
