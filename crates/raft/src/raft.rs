//! One node as a value. What happens goes from here to the role that it is for, but messages, which
//! `deliver` hands out; and roles change here.

use alloc::boxed::Box;

use bytes::Bytes;
use synod_durable::Refused;

use crate::candidate::{Candidate, PreCandidate};
use crate::counters::count;
use crate::election;
use crate::follower::Follower;
use crate::invariants::Mark;
use crate::leader::Leader;
use crate::node::Common;
use crate::role::RoleState;
use crate::step::Step;
use crate::{
    Counters, DiskHealth, Entries, Fetch, FetchError, Index, Instant, LogId, Membership, NodeId,
    ProposeError, ReadError, ReadId, Receipt, Snapshot, StepDown, Term, TransferError, Wanted,
};

/// One node of a Raft group: a value that takes what happened and tells what to do.
///
/// Inputs are `handle_*`, [`propose`](Self::propose) and [`read`](Self::read); outputs are drained
/// with [`poll_output`](Self::poll_output) until it has no more, and
/// [`poll_timeout`](Self::poll_timeout) says when to come back if nothing happens. It may be
/// cloned, compared and hashed.
///
/// Invariants (Figure 3), asserted in debug builds after every input:
/// - *Election Safety*: a node gives one vote a term. The vote is in a [`Record`](crate::Record)
///   before it leaves, also the one for itself, and votes are counted in a set;
/// - *Leader Append-Only*: within its term a leader's log only grows;
/// - *Log Matching*: entries are appended only behind a position that matches;
/// - *Leader Completeness*: nothing committed is ever truncated, and only entries of the leader's
///   own term are committed by counting;
/// - *State Machine Safety*: `delivered <= min(committed, persisted)` and entries are delivered in
///   order, once; term and commit index never fall.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Raft {
    pub(crate) common: Common,
    pub(crate) role: RoleState,
}

impl Raft {
    /// The deadline of [`poll_timeout`](Self::poll_timeout) has passed. Harmless at any other time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.common.stop.is_some() {
            return;
        }
        let mark = Mark::of(&self.common, &self.role);
        let step = match &mut self.role {
            RoleState::Leader(leader) => leader.handle_timeout(&mut self.common, now),
            _ => election::handle_timeout(&mut self.common, now),
        };
        self.change_role(now, step);
        mark.check(&self.common, &self.role);
    }

    /// A write is durable. Only here do this node's own vote and its own acknowledgement count. A
    /// receipt for anything but the write in flight is ignored and counted, and so is one of another
    /// core value.
    pub fn handle_persisted(&mut self, now: Instant, receipt: Receipt) {
        if self.common.stop.is_some() {
            return;
        }
        let mark = Mark::of(&self.common, &self.role);
        let common = &mut self.common;
        let own = match common.settle(receipt) {
            Ok(own) => own,
            Err(Refused::OtherCore) => return count(&mut common.counters.receipts_foreign),
            Err(_) => return count(&mut common.counters.receipts_unknown),
        };
        let step = match &mut self.role {
            RoleState::Candidate(candidate) => candidate.handle_persisted(common, now, own),
            RoleState::Leader(leader) => {
                leader.advance_commit(common);
                Step::Stay
            }
            RoleState::Follower(_) | RoleState::PreCandidate(_) => Step::Stay,
        };
        self.change_role(now, step);
        mark.check(&self.common, &self.role);
    }

    /// A [`Fetch`] is answered: entries from `fetch.from()` on, at least one, or why not.
    pub fn handle_fetched(
        &mut self,
        _now: Instant,
        fetch: Fetch,
        entries: Result<Entries, FetchError>,
    ) {
        if self.common.stop.is_some() {
            return;
        }
        let mark = Mark::of(&self.common, &self.role);
        let common = &mut self.common;
        match (fetch.wanted, &mut self.role) {
            (Wanted::Peer(peer), RoleState::Leader(leader)) => {
                leader.handle_fetched(common, peer, &fetch, entries);
            }
            (Wanted::Peer(_), _) => count(&mut common.counters.fetches_stale),
            (Wanted::Apply, _) => common.handle_fetched(&fetch, entries),
        }
        mark.check(&self.common, &self.role);
    }

    /// A snapshot is durable here: taken by this node, or pulled. Which of the two does not matter:
    /// - up to what was delivered, the log now begins behind it (a driver that wants to keep a
    ///   margin of entries for slow peers tells of the snapshot only once it has applied that much
    ///   more);
    /// - beyond that, it is installed: the log begins behind it, keeps what follows if it holds the
    ///   snapshot's last entry (§7), and [`Output::Restore`](crate::Output::Restore) follows.
    ///
    /// One that covers nothing new is ignored and counted. One that contradicts what is committed
    /// stops this node, see [`Stop::Diverged`](crate::Stop::Diverged).
    pub fn handle_snapshot(&mut self, now: Instant, snapshot: Snapshot) {
        if self.common.stop.is_some() {
            return;
        }
        let mark = Mark::of(&self.common, &self.role);
        let last = snapshot.last;
        // A pull that it makes needless is over, also if it is of no use any more.
        if let RoleState::Follower(follower) = &mut self.role {
            follower.end_pull_if(|pulling| pulling.last.index <= last.index);
        }
        let common = &mut self.common;
        let mut step = Step::Stay;
        if last.index <= common.log.start().index {
            count(&mut common.counters.snapshots_stale);
        } else if last.index > Index::MAX
            || last.term > common.term
            || snapshot.membership.validate().is_err()
        {
            count(&mut common.counters.malformed);
        } else if last.index <= common.committed && !common.log.matches(last) {
            step = Step::Stop(common.diverged(last));
        } else if last.index <= common.machine.delivered() {
            common.compact(Box::new(snapshot));
        } else {
            step = self.install(now, Box::new(snapshot));
        }
        self.change_role(now, step);
        mark.check(&self.common, &self.role);
    }

    fn install(&mut self, now: Instant, snapshot: Box<Snapshot>) -> Step {
        let step = match &self.role {
            RoleState::Leader(_) => return Leader::install(&mut self.common, snapshot),
            RoleState::Follower(_) => Step::Stay,
            // It asked for votes with a log that it is about to change.
            RoleState::PreCandidate(_) | RoleState::Candidate(_) => {
                Step::follow(self.common.term, None)
            }
        };
        self.change_role(now, step);
        if let RoleState::Follower(follower) = &mut self.role {
            follower.install(&mut self.common, snapshot);
        }
        Step::Stay
    }

    /// The snapshot that [`Output::PullSnapshot`](crate::Output::PullSnapshot) named could not be
    /// pulled. The next offer is taken up again, be it the same one.
    pub fn handle_pull_failed(&mut self, _now: Instant, snapshot: &Snapshot) {
        if let RoleState::Follower(follower) = &mut self.role {
            follower.end_pull_if(|pulling| pulling == snapshot);
        }
    }

    /// How this node's disk does now. To be told whenever it changes; a driver that never calls
    /// this has a disk with room and no time to wait for.
    ///
    /// A leader without room gives way to a follower that has some, see [`DiskHealth::has_room`]; if
    /// nobody has, it leads on for reads. A node without room campaigns, but only after several
    /// timeouts, so that one with room is first.
    pub fn handle_disk(&mut self, now: Instant, disk: DiskHealth) {
        if self.common.stop.is_some() {
            return;
        }
        let mark = Mark::of(&self.common, &self.role);
        let old = core::mem::replace(&mut self.common.disk, disk);
        match &mut self.role {
            RoleState::Leader(leader) => leader.handle_disk(&self.common, old),
            _ => self.common.adjust_election(now, old),
        }
        mark.check(&self.common, &self.role);
    }

    /// Appends a command to the leader's log. That it has an identity says nothing about its fate:
    /// it is committed when `Apply` brings an entry with this identity, and lost when it brings
    /// another at its index.
    ///
    /// # Errors
    /// See [`ProposeError`]; then nothing was appended.
    pub fn propose(&mut self, _now: Instant, body: Bytes) -> Result<LogId, ProposeError> {
        let mark = Mark::of(&self.common, &self.role);
        let id = match &mut self.role {
            RoleState::Leader(leader) => leader.propose(&mut self.common, body),
            _ => Err(ProposeError::NotLeader(self.leader())),
        }?;
        mark.check(&self.common, &self.role);
        Ok(id)
    }

    /// Asks for a linearizable read. Once accepted it ends in exactly one
    /// [`Output::Read`](crate::Output::Read), for which this node needs no write.
    ///
    /// # Errors
    /// See [`ReadError`]; then no answer follows.
    pub fn read(&mut self, _now: Instant, id: ReadId) -> Result<(), ReadError> {
        match &mut self.role {
            RoleState::Leader(leader) => leader.read(&mut self.common, id),
            _ => Err(ReadError::NotLeader(self.leader())),
        }
    }

    /// Hands leadership to `to`, or to the node that this leader holds for the best: one that it hears,
    /// that has space, and of those the one that lacks least (thesis §3.10). Whose it will be is
    /// returned.
    ///
    /// Meanwhile nothing new is proposed ([`ProposeError::Transferring`]); reads go on. Once the target
    /// holds the whole log it is asked to campaign, and asked again with each heartbeat, and this node
    /// leads until it hears of a later term: a message that is lost leaves no gap. Within
    /// [`election_timeout_max`](crate::Config::election_timeout_max) the transfer is over, and who
    /// still leads then goes on as before. To ask again for what is under way changes nothing.
    ///
    /// # Errors
    /// See [`TransferError`]; then nothing was begun.
    pub fn transfer(&mut self, now: Instant, to: Option<NodeId>) -> Result<NodeId, TransferError> {
        let mark = Mark::of(&self.common, &self.role);
        let to = match &mut self.role {
            RoleState::Leader(leader) => leader.transfer(&mut self.common, now, to),
            _ => Err(TransferError::NotLeader(self.leader())),
        }?;
        mark.check(&self.common, &self.role);
        Ok(to)
    }

    /// To whom this node is handing its leadership, if it does.
    #[must_use]
    pub fn transfers_to(&self) -> Option<NodeId> {
        match &self.role {
            RoleState::Leader(leader) => leader.transfers_to(),
            _ => None,
        }
    }

    /// Who leads the current term, as far as this node knows.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.role.leader(self.common.id())
    }

    /// The current term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.common.term
    }

    /// Who takes part.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        &self.common.membership
    }

    /// What was ignored so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.common.counters
    }

    /// This state without deadlines, generator, counters and numbers of writes, for checkers that
    /// fire timers at will: two states that differ only in those become equal. Not meant to run on.
    #[must_use]
    pub fn without_time(&self) -> Self {
        let mut state = self.clone();
        state.common.forget_time();
        match &mut state.role {
            RoleState::Follower(follower) => follower.forget_time(),
            RoleState::Leader(leader) => leader.forget_time(),
            RoleState::PreCandidate(_) | RoleState::Candidate(_) => {}
        }
        state
    }

    /// The one place where a role changes. What the old one knew is gone, but for what is named
    /// here; what was promised to others is no role's. A new role may have to change at once: alone
    /// in its group, a node needs nobody's answer.
    #[inline]
    pub(crate) fn change_role(&mut self, now: Instant, step: Step) {
        if step != Step::Stay {
            self.enter_role(now, step);
        }
    }

    fn enter_role(&mut self, now: Instant, mut step: Step) {
        loop {
            let common = &mut self.common;
            step = match step {
                Step::Stay => return,
                Step::BecomeFollower { term, leader, why } => {
                    return self.become_follower(now, term, leader, why);
                }
                Step::BecomePreCandidate { term } => {
                    let (candidate, step) = PreCandidate::begin(common, term);
                    self.role = RoleState::PreCandidate(candidate);
                    step
                }
                Step::BecomeCandidate { term, transfer } => {
                    let candidate = Candidate::begin(common, now, term, transfer);
                    self.role = RoleState::Candidate(candidate);
                    return;
                }
                Step::BecomeLeader => {
                    self.role = RoleState::Leader(Leader::begin(common, now));
                    return;
                }
                Step::Stop(why) => {
                    let (term, leader) = (common.term, self.leader());
                    self.become_follower(now, term, None, StepDown::Stopped);
                    self.common.stop(why, leader);
                    return;
                }
            }
        }
    }

    /// Carried over: of a leader its reads, which end, and why it leads no more.
    fn become_follower(&mut self, now: Instant, term: Term, leader: Option<NodeId>, why: StepDown) {
        let common = &mut self.common;
        let follower = Follower::new(leader);
        let old = core::mem::replace(&mut self.role, RoleState::Follower(follower));
        // A follower keeps its deadline: a candidate that cannot win must not postpone one that
        // can.
        if !matches!(old, RoleState::Follower(_)) {
            common.reset_election(now);
        }
        if let RoleState::Leader(old) = old {
            common.stepped_down = Some(match why {
                StepDown::Deposed if old.has_invited() => StepDown::Transferred,
                other => other,
            });
            old.resign(common, leader);
        }
        if term > common.term {
            common.enter_term(term, None);
        }
    }
}

#[cfg(test)]
mod tests;
