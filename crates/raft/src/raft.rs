//! The node as a value. Inputs are passed to the current role from here, except messages, which
//! `deliver` handles. Roles change only here.

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
    ChangeError, Counters, DiskHealth, Entries, Fetch, FetchError, Index, Instant, LogId,
    Membership, NoLease, NodeId, ProposeError, ReadError, ReadId, Receipt, Snapshot, StepDown,
    Term, TransferError, Wanted,
};

/// One node of a Raft group: a value that takes events and returns actions.
///
/// Inputs are `handle_*`, [`propose`](Self::propose) and [`read`](Self::read). Outputs are drained
/// with [`poll_output`](Self::poll_output) until it returns `None`, and
/// [`poll_timeout`](Self::poll_timeout) returns when to call again if nothing else happens. The
/// value may be cloned, compared and hashed.
/// Invariants (Figure 3), asserted in debug builds after every input:
/// - *Election Safety*: a node grants one vote per term. Each vote, including the one for itself,
///   is in a [`Record`](crate::Record) before it is sent, and votes are counted in a set;
/// - *Leader Append-Only*: within its term a leader's log only grows;
/// - *Log Matching*: entries are appended only after a position that matches;
/// - *Leader Completeness*: a committed entry is never truncated, and only entries of the leader's
///   own term are committed by counting;
/// - *State Machine Safety*: `delivered <= min(committed, persisted)`, and entries are delivered
///   once and in order; term and commit index never decrease.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Raft {
    pub(crate) common: Common,
    pub(crate) role: RoleState,
}

impl Raft {
    /// Handles the passing of the deadline of [`poll_timeout`](Self::poll_timeout). Harmless at any
    /// other time.
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
        self.follow_up(now);
        mark.check(&self.common, &self.role);
    }

    /// Handles a completed write. Only now do this node's own vote and its own acknowledgement
    /// count. A receipt for anything but the write in flight, or from another core value, is
    /// ignored and counted.
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
        self.follow_up(now);
        mark.check(&self.common, &self.role);
    }

    /// Handles the answer to a [`Fetch`]: at least one entry starting at `fetch.from()`, or an
    /// error.
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

    /// Handles a snapshot that is durable here, whether taken by this node or pulled:
    /// - If everything it covers was delivered, the log now begins after it. (A driver that wants
    ///   to keep a margin of entries for slow peers reports the snapshot only once it has applied
    ///   that many more.)
    /// - Otherwise it is installed: the log begins after it, keeps later entries if it holds the
    ///   snapshot's last entry (§7), and [`Output::Restore`](crate::Output::Restore) follows.
    ///
    /// A snapshot that covers nothing new is ignored and counted, and so is one of this node with
    /// another membership than that [as of](Self::membership_at) its last entry. One that contradicts a committed
    /// entry stops this node, see [`Stop::Diverged`](crate::Stop::Diverged).
    pub fn handle_snapshot(&mut self, now: Instant, snapshot: Snapshot) {
        if self.common.stop.is_some() {
            return;
        }
        let mark = Mark::of(&self.common, &self.role);
        let last = snapshot.last;
        // It ends a pull of the same or less, even if the snapshot itself is not needed any more.
        if let RoleState::Follower(follower) = &mut self.role {
            follower.end_pull_if(|pulling| pulling.last.index <= last.index);
        }
        let common = &mut self.common;
        let mut step = Step::Stay;
        if last.index <= common.log.start().index {
            count(&mut common.counters.snapshots_stale);
        } else if last.index > Index::MAX
            || last.term > common.term
            || !is_membership_as_of(common, &snapshot)
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
        self.follow_up(now);
        mark.check(&self.common, &self.role);
    }

    fn install(&mut self, now: Instant, snapshot: Box<Snapshot>) -> Step {
        let step = match &self.role {
            RoleState::Leader(_) => return Leader::install(&mut self.common, snapshot),
            RoleState::Follower(_) => Step::Stay,
            // A candidate requested votes with a log that now changes.
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

    /// Handles the failure to pull the snapshot of
    /// [`Output::PullSnapshot`](crate::Output::PullSnapshot). The next offer is accepted again,
    /// even if it is the same snapshot.
    pub fn handle_pull_failed(&mut self, _now: Instant, snapshot: &Snapshot) {
        if let RoleState::Follower(follower) = &mut self.role {
            follower.end_pull_if(|pulling| pulling == snapshot);
        }
    }

    /// Handles a change of this node's disk; call it whenever the state changes. A driver that
    /// never calls it has a disk with space and negligible write times.
    ///
    /// A leader without space makes way for a follower that has some, see [`DiskHealth::has_room`].
    /// If no node has space, it stays leader and serves reads. A node without space campaigns only
    /// after several timeouts, so that nodes with space come first.
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

    /// Appends a command to the leader's log. The returned identity does not mean that the command
    /// is committed: it is committed when `Apply` delivers an entry with this identity, and lost
    /// when `Apply` delivers another entry at its index.
    ///
    /// # Errors
    /// See [`ProposeError`]; nothing was appended.
    pub fn propose(&mut self, _now: Instant, body: Bytes) -> Result<LogId, ProposeError> {
        let mark = Mark::of(&self.common, &self.role);
        let id = match &mut self.role {
            RoleState::Leader(leader) => leader.propose(&mut self.common, body),
            _ => Err(ProposeError::NotLeader(self.leader())),
        }?;
        mark.check(&self.common, &self.role);
        Ok(id)
    }

    /// Requests a linearizable read. Once accepted, it ends in exactly one
    /// [`Output::Read`](crate::Output::Read). The read needs no write on this node.
    ///
    /// # Errors
    /// See [`ReadError`]; no output follows.
    pub fn read(&mut self, _now: Instant, id: ReadId) -> Result<(), ReadError> {
        match &mut self.role {
            RoleState::Leader(leader) => leader.read(&mut self.common, id),
            _ => Err(ReadError::NotLeader(self.leader())),
        }
    }

    /// The index that a state machine must have applied before it may answer a read by lease, without a
    /// message to anybody: the commit index, if this leader's lease holds at `now`. The read is
    /// linearizable if `now` was read from the clock *after* the request was received: at that moment
    /// no other node leads, so nothing is committed that is not committed here, see [`Lease`](crate::Lease).
    /// It stays so however long the answer takes, and if the lease ends meanwhile: the index is that of
    /// a moment between request and answer.
    ///
    /// # Errors
    /// See [`NoLease`]. The read can be confirmed instead, by [`read`](Self::read).
    pub fn read_by_lease(&self, now: Instant) -> Result<Index, NoLease> {
        match &self.role {
            RoleState::Leader(leader) => leader.read_by_lease(&self.common, now),
            _ => Err(NoLease::NotLeader(self.leader())),
        }
    }

    /// Handles that the clock may have run outside the bound of its [`Drift`](crate::Drift) until `now`.
    /// A lease counts only from what is sent from here on, and what was promised is promised anew.
    pub fn handle_clock_fault(&mut self, now: Instant) {
        if let RoleState::Leader(leader) = &mut self.role {
            leader.forget_lease();
        }
        if self.common.vote_persisted() != (Term(0), None) {
            self.common.assume_promise(now);
        }
    }

    /// Hands leadership to `to`, or to the node that this leader holds for the best: one that it hears,
    /// that has space, and of those one that did not give up leadership for a cause not long ago, holds
    /// the whole log, has the highest [priority](crate::Config::priority), and lacks least (thesis §3.10).
    /// Whose it will be is returned.
    ///
    /// Meanwhile nothing new is proposed ([`ProposeError::Transferring`]); reads go on. Once the target
    /// holds the whole log it is asked to campaign, and asked again with each heartbeat, and this node
    /// leads until it hears of a later term: a message that is lost leaves no gap. Within
    /// [`election_timeout_max`](crate::Config::election_timeout_max) the transfer is over, and who
    /// still leads then goes on as before. To ask again for what is under way changes nothing.
    ///
    /// No priority is too low for `to`. It leads for at least 64 of the longest election timeouts before
    /// it hands over to a node of higher priority.
    ///
    /// A leader also hands over of its own accord: for a [priority](crate::Config::priority), and when it
    /// cannot do its duty, see [`StepDown`].
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

    /// Changes the membership to the voters, learners and contexts of `target`, whose other fields do
    /// not matter. From here on the cores drive the change, each leader from what its log says:
    ///
    /// 1. New voters receive the log as if they were learners, until a round of it takes them less
    ///    than an election timeout (thesis §4.2.1). If one does not get there within
    ///    [`catch_up_max`](crate::Config::catch_up_max) or ten rounds, the change ends.
    /// 2. Both memberships decide jointly (§6).
    /// 3. Once that is committed, the new one decides alone. A leader that it drops steps down when
    ///    it is committed, by a transfer if somebody suits.
    ///
    /// Without new voters the first step is left out, and if only learners or contexts change, the
    /// first two. Each step is one entry. [`Status::change`](crate::Status::change) shows the
    /// progress on every node, and [`Status::change_end`](crate::Status::change_end) the end. To ask
    /// again for what is under way, or for what is in force, changes nothing.
    ///
    /// # Errors
    /// See [`ChangeError`]; then nothing was begun.
    pub fn change_membership(
        &mut self,
        now: Instant,
        target: Membership,
    ) -> Result<(), ChangeError> {
        let mark = Mark::of(&self.common, &self.role);
        match &mut self.role {
            RoleState::Leader(leader) => leader.change_membership(&mut self.common, now, &target),
            _ => Err(ChangeError::NotLeader(self.leader())),
        }?;
        self.follow_up(now);
        mark.check(&self.common, &self.role);
        Ok(())
    }

    /// Leads the change of membership under way back to the old side, for example because new nodes
    /// have died. It is possible until the new membership alone is in the log. The old one is in
    /// force from then on, and the ids of nodes that were new are used up.
    ///
    /// It takes effect once this leader has committed an entry of its own term. If the membership is
    /// joint already and this leader did not make it so, that needs a majority of the new voters:
    /// without it nobody can know that no earlier leader has finished the change.
    ///
    /// # Errors
    /// See [`ChangeError`]; then nothing was begun.
    pub fn abort_change(&mut self, now: Instant) -> Result<(), ChangeError> {
        let mark = Mark::of(&self.common, &self.role);
        match &mut self.role {
            RoleState::Leader(leader) => leader.abort_change(&mut self.common, now),
            _ => Err(ChangeError::NotLeader(self.leader())),
        }?;
        self.follow_up(now);
        mark.check(&self.common, &self.role);
        Ok(())
    }

    /// To whom this node is handing its leadership, if it does.
    #[must_use]
    pub fn transfers_to(&self) -> Option<NodeId> {
        match &self.role {
            RoleState::Leader(leader) => leader.transfers_to(),
            _ => None,
        }
    }

    /// The leader of the current term, as far as this node knows.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.role.leader(self.common.id())
    }

    /// The current term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.common.term
    }

    /// The membership in force: the last in the log, committed or not.
    #[must_use]
    pub fn membership(&self) -> &Membership {
        self.common.membership()
    }

    /// The membership as of an entry, which a snapshot up to that entry carries. `None` before the
    /// start of the log.
    #[must_use]
    pub fn membership_at(&self, index: Index) -> Option<&Membership> {
        let is_in_log = index >= self.common.log.start().index;
        let as_of = self.common.configs.at(index);
        as_of.filter(|_| is_in_log)
    }

    /// How many inputs were ignored so far, by reason.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.common.counters
    }

    /// This state without deadlines, random generator, counters and write numbers. For checkers
    /// that fire timers at will: states that differ only in those become equal. Not meant to be run
    /// further.
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

    /// Looks at what the last input has made known about the membership: a step of a change that is
    /// due, or the removal of this node.
    #[inline]
    pub(crate) fn follow_up(&mut self, now: Instant) {
        while self.common.configs.take_news() {
            self.note_membership(now);
        }
    }

    #[cold]
    fn note_membership(&mut self, now: Instant) {
        if self.common.stop.is_some() {
            return;
        }
        let step = match &mut self.role {
            RoleState::Leader(leader) => leader.drive_change(&mut self.common, now),
            _ => self.common.leave_if_removed(),
        };
        self.change_role(now, step);
    }

    /// The only place where the role changes. State of the old role is dropped, except for what is
    /// named here; promises to other nodes belong to no role. A new role may have to change at
    /// once: a node that is alone in its group needs no answers.
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
                Step::BecomeLeader { by_transfer } => {
                    let leader = Leader::begin(common, now, by_transfer);
                    self.role = RoleState::Leader(leader);
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

    /// Carries over from a leader: its reads, which end, and why it stopped leading.
    fn become_follower(&mut self, now: Instant, term: Term, leader: Option<NodeId>, why: StepDown) {
        let common = &mut self.common;
        let follower = Follower::new(leader);
        let old = core::mem::replace(&mut self.role, RoleState::Follower(follower));
        let why = match &old {
            RoleState::Leader(old) => old.why_it_ends(why),
            _ => why,
        };
        if matches!(old, RoleState::Leader(_)) && why.is_for_a_cause() {
            common.pace.give_up(now, &common.config);
        }
        // A follower keeps its deadline: a candidate that cannot win must not delay one that can.
        if !matches!(old, RoleState::Follower(_)) {
            common.reset_election(now);
        }
        if let RoleState::Leader(old) = old {
            common.stepped_down = Some(why);
            old.resign(common, leader);
            common.configs.set_news();
        }
        if term > common.term {
            common.enter_term(term, None);
        }
    }
}

/// Whether the snapshot's membership is valid, and the one that the log has at its last entry.
fn is_membership_as_of(common: &Common, snapshot: &Snapshot) -> bool {
    let Snapshot { last, membership } = snapshot;
    let known = common.configs.at(last.index);
    let known = known.filter(|_| last.index <= common.machine.delivered());
    membership.validate().is_ok()
        && known.is_none_or(|known| known == membership)
        && !common.passes_for_whole(membership)
}

#[cfg(test)]
mod tests;
