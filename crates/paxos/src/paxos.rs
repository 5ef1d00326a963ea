use bytes::Bytes;

use crate::asking::Asking;
use crate::candidate::Candidate;
use crate::counters::count;
use crate::follower::Follower;
use crate::invariants::Mark;
use crate::leader::Leader;
use crate::node::Common;
use crate::role::RoleState;
use crate::step::Step;
use crate::{
    Ballot, Counters, DiskHealth, Entries, Fetch, FetchError, Instant, NoLease, NodeId, Position,
    ProposeError, ReadError, ReadId, Receipt, Slot, Snapshot, StepDown, TransferError, Wanted,
    election, teach,
};

/// One node of a Multi-Paxos group, which is proposer, acceptor and learner in one: a value that
/// takes events and returns actions.
///
/// Inputs are `handle_*`, [`propose`](Self::propose) and [`read`](Self::read). Outputs are drained
/// with [`poll_output`](Self::poll_output) until it returns `None`, and
/// [`poll_timeout`](Self::poll_timeout) returns when to call again if nothing else happens. The
/// value may be cloned, compared and hashed.
///
/// Invariants, asserted in debug builds after every input:
/// - *P1a*: an acceptor votes in no ballot below the one that it has promised; its promise never
///   decreases, and is in a [`Record`](crate::Record) before any other node learns of it;
/// - *a ballot is used once*: a node promises its own ballots to itself before it campaigns, and
///   each is above everything it has promised;
/// - *one value per ballot and slot*: a leader proposes each slot once in its ballot;
/// - *P2c*: the value that a leader proposes in a slot where a phase-1 quorum has votes is that of
///   the highest ballot among them;
/// - a chosen value is never replaced; `delivered <= settled <= chosen` (settled: chosen and
///   durable here), and values are delivered once and in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Paxos {
    pub(crate) common: Common,
    pub(crate) role: RoleState,
}

/// Inputs except messages, which are passed to the current role. Roles change only here.
impl Paxos {
    /// Handles the passing of the deadline of [`poll_timeout`](Self::poll_timeout). Harmless at any
    /// other time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.common.stop.is_some() {
            return;
        }
        let mark = Mark::of(&self.common, &self.role);
        let common = &mut self.common;
        common.handle_inquiry_timeout(now);
        let step = match &mut self.role {
            RoleState::Leader(leader) => leader.handle_timeout(common, now),
            _ if now >= common.election_deadline => election::handle_timeout(common, now),
            RoleState::Candidate(candidate) => {
                candidate.handle_timeout(common, now);
                Step::Stay
            }
            RoleState::Follower(_) | RoleState::Asking(_) => Step::Stay,
        };
        self.change_role(now, step);
        mark.check(&self.common, &self.role);
    }

    /// Handles a completed write. Only now do this node's own promise and its own votes count. A
    /// receipt for anything but the write in flight, or from another core value, is ignored and
    /// counted.
    pub fn handle_persisted(&mut self, now: Instant, receipt: Receipt) {
        if self.common.stop.is_some() {
            return;
        }
        let mark = Mark::of(&self.common, &self.role);
        let common = &mut self.common;
        let Some(own) = common.settle(receipt) else {
            return;
        };
        let step = match &mut self.role {
            RoleState::Candidate(candidate) => candidate.handle_persisted(common, now, &own),
            RoleState::Leader(leader) => {
                leader.count_own_votes(common, &own);
                Step::Stay
            }
            RoleState::Follower(_) | RoleState::Asking(_) => Step::Stay,
        };
        self.change_role(now, step);
        mark.check(&self.common, &self.role);
    }

    /// Handles the answer to a [`Fetch`]: at least one value starting at `fetch.from()`, without
    /// gaps, or an error.
    pub fn handle_fetched(
        &mut self,
        _now: Instant,
        fetch: Fetch,
        values: Result<Entries, FetchError>,
    ) {
        if self.common.stop.is_some() {
            return;
        }
        let mark = Mark::of(&self.common, &self.role);
        let common = &mut self.common;
        match (fetch.wanted, &mut self.role) {
            (Wanted::Apply, _) => common.handle_fetched(&fetch, values),
            (Wanted::Leader(leader), _) => teach::handle_fetched(common, leader, &fetch, values),
            (Wanted::Peer(peer), RoleState::Leader(leader)) => {
                leader.handle_fetched(common, peer, &fetch, values);
            }
            (Wanted::Peer(_), _) => count(&mut common.counters.fetches_stale),
        }
        mark.check(&self.common, &self.role);
    }

    /// Handles a snapshot that is durable here, whether taken by this node or pulled:
    /// - If everything it covers was delivered, the log now begins after it. (A driver that wants
    ///   to keep a margin of values for slow peers reports the snapshot only once it has applied
    ///   that many more.)
    /// - Otherwise it is installed: the log begins after it and keeps the votes that follow, and
    ///   [`Output::Restore`](crate::Output::Restore) follows.
    ///
    /// A snapshot that covers nothing new is ignored and counted. One that contradicts a chosen
    /// value stops this node, see [`Stop::Diverged`](crate::Stop::Diverged).
    pub fn handle_snapshot(&mut self, now: Instant, snapshot: Snapshot) {
        if self.common.stop.is_some() {
            return;
        }
        let mark = Mark::of(&self.common, &self.role);
        let common = &mut self.common;
        let last = snapshot.last;
        self.role
            .end_pull_if(|pulling| pulling.last.slot <= last.slot);
        if last.slot <= common.log.start().slot {
            count(&mut common.counters.snapshots_stale);
        } else if !common.is_position(last) {
            count(&mut common.counters.malformed);
        } else if let Err(stop) = common.check_position(last) {
            self.change_role(now, Step::Stop(stop));
        } else if last.slot <= common.machine.delivered() {
            common.compact(snapshot);
        } else {
            self.install(now, snapshot);
        }
        mark.check(&self.common, &self.role);
    }

    /// Handles the failure to pull the snapshot of
    /// [`Output::PullSnapshot`](crate::Output::PullSnapshot). The next offer is accepted again,
    /// even if it is the same snapshot.
    pub fn handle_pull_failed(&mut self, _now: Instant, snapshot: &Snapshot) {
        self.role.end_pull_if(|pulling| pulling == snapshot);
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

    /// Proposes a command for the next slot. The returned position does not mean that it is chosen:
    /// it is chosen when `Apply` delivers a value of this origin in this slot, and lost when
    /// `Apply` delivers another. If this node stops leading first, a later leader may still find
    /// it: see the table of the [crate](crate#how-it-differs-from-synod_raft). It is sent and
    /// written when this node is polled, together with everything else proposed by then.
    ///
    /// # Errors
    /// See [`ProposeError`]; nothing was proposed.
    pub fn propose(&mut self, _now: Instant, body: Bytes) -> Result<Position, ProposeError> {
        let mark = Mark::of(&self.common, &self.role);
        let position = match &mut self.role {
            RoleState::Leader(leader) => leader.propose(&mut self.common, body),
            _ => Err(ProposeError::NotLeader(self.leader())),
        }?;
        mark.check(&self.common, &self.role);
        Ok(position)
    }

    /// Requests a linearizable read. Once accepted, it ends in exactly one
    /// [`Output::Read`](crate::Output::Read). The read needs no write on this node.
    ///
    /// # Errors
    /// See [`ReadError`]; no output follows.
    pub fn read(&mut self, _now: Instant, id: ReadId) -> Result<(), ReadError> {
        if self.common.inquiries.contains(id) {
            return Err(ReadError::Duplicate);
        }
        match &mut self.role {
            RoleState::Leader(leader) => leader.read(&mut self.common, id),
            _ => Err(ReadError::NotLeader(self.leader())),
        }
    }

    /// Requests a linearizable read of a node in any role, which acceptors answer without the leader: the node asks
    /// a phase-1 quorum for the highest slot that it has voted in, and waits until everything up to there is
    /// chosen here. Meanwhile somebody has to lead: what was voted for is chosen by nobody else. Once accepted, it
    /// ends in exactly one [`Output::Read`](crate::Output::Read).
    ///
    /// # Errors
    /// See [`ReadError`]; no output follows.
    pub fn read_by_quorum(&mut self, now: Instant, id: ReadId) -> Result<(), ReadError> {
        let is_pending = match &self.role {
            RoleState::Leader(leader) => leader.reads(id),
            _ => false,
        };
        if is_pending {
            return Err(ReadError::Duplicate);
        }
        if self.common.stop.is_some() {
            return Err(ReadError::NotLeader(None));
        }
        self.common.inquire(now, id)
    }

    /// The slot that has to be applied before a read is answered, if this node leads and holds a lease at
    /// `now`. The answer is then linearizable, without a message.
    ///
    /// `now` is read from the clock *after* the caller has taken the read from its queue: a read that arrived
    /// later than `now` may have come after a write that another leader has acknowledged. The clock is one
    /// that goes on while the machine is suspended, and that keeps [`Lease::drift`](crate::Lease::drift). A
    /// machine that stands still with all its clocks breaks that bound, and then a read may be stale.
    ///
    /// # Errors
    /// See [`NoLease`]. The core asks no quorum instead; [`read`](Self::read) does.
    pub fn read_by_lease(&self, now: Instant) -> Result<Slot, NoLease> {
        match &self.role {
            RoleState::Leader(leader) => leader.read_by_lease(&self.common, now),
            _ => Err(NoLease::NotLeader(self.leader())),
        }
    }

    /// Handles that the clock may have run outside the bound of its [`Drift`](crate::Drift) until `now`. A
    /// lease counts only from what is sent from here on, and what was granted is granted anew.
    pub fn handle_clock_fault(&mut self, now: Instant) {
        if let RoleState::Leader(leader) = &mut self.role {
            leader.forget_lease();
        }
        self.common.renew_pledge(now);
    }

    /// Hands leadership to `to`, or to the node that this leader holds for the best: one that it hears,
    /// that has space, and of those the one that lacks least. Whose it will be is returned.
    ///
    /// Meanwhile nothing new is proposed ([`ProposeError::Transferring`]); reads go on. Once the target
    /// has voted for all that was proposed it is invited to a ballot of its own, and invited again with
    /// each heartbeat, and this node leads until it hears of a higher one: a message that is lost leaves
    /// no gap. Within [`election_timeout_max`](crate::Config::election_timeout_max) the transfer is over,
    /// and who still leads then goes on as before. To ask again for what is under way changes nothing.
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

    /// The leader of [`ballot`](Self::ballot), as far as this node knows.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.role.leader(self.common.config.id)
    }

    /// The highest ballot that this node has promised: that of its leader, or its own.
    #[must_use]
    pub fn ballot(&self) -> Ballot {
        self.common.promised
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
            RoleState::Candidate(candidate) => candidate.retry_deadline = Instant::ZERO,
            RoleState::Leader(leader) => leader.forget_time(),
            RoleState::Asking(_) => {}
        }
        state
    }

    /// Installs a durable snapshot beyond what was delivered; the machine jumps to it.
    fn install(&mut self, now: Instant, snapshot: Snapshot) {
        let last = snapshot.last.slot;
        // More was chosen than this leader has proposed, so there is a later leader.
        if let RoleState::Leader(leader) = &self.role
            && last >= leader.end()
        {
            self.change_role(now, Step::give_up(self.common.promised, StepDown::Deposed));
        }
        let common = &mut self.common;
        common.begin_log_at(snapshot);
        match &mut self.role {
            RoleState::Leader(leader) => leader.handle_installed(common, now, last),
            RoleState::Follower(follower) => follower.handle_installed(common, last),
            RoleState::Asking(_) | RoleState::Candidate(_) => {}
        }
    }

    /// The only place where the role changes. State of the old role is dropped, except for what is
    /// named here; promises to other nodes belong to no role. A new role may have to change at
    /// once: a node that is alone in its group needs no answers.
    #[inline]
    pub(crate) fn change_role(&mut self, now: Instant, step: Step) {
        if !matches!(step, Step::Stay) {
            self.take_step(now, step);
        }
    }

    fn take_step(&mut self, now: Instant, mut step: Step) {
        loop {
            let common = &mut self.common;
            step = match step {
                Step::Stay => return,
                Step::BecomeFollower {
                    ballot,
                    leader,
                    why,
                } => return self.become_follower(now, ballot, leader, why),
                Step::BecomeAsking => {
                    // Carried over between attempts: whether other nodes were given precedence
                    // before.
                    let waited = match &self.role {
                        RoleState::Asking(asking) => asking.has_waited(),
                        _ => false,
                    };
                    let (asking, step) = Asking::begin(common, now, waited);
                    self.role = RoleState::Asking(asking);
                    step
                }
                Step::BecomeCandidate { ballot, invited } => {
                    let candidate = Candidate::begin(common, now, ballot, invited);
                    self.role = RoleState::Candidate(candidate);
                    return;
                }
                Step::BecomeLeader(promises) => {
                    let mut leader = Leader::begin(common, now, *promises);
                    // Carried over from a candidate: whoever was invited to lead does so for a while.
                    if matches!(&self.role, RoleState::Candidate(it) if it.is_invited()) {
                        leader.hold(common, now);
                    }
                    self.role = RoleState::Leader(leader);
                    return;
                }
                Step::Stop(why) => {
                    let promised = common.promised;
                    self.become_follower(now, promised, None, StepDown::Stopped);
                    self.common.stop(why);
                    return;
                }
            }
        }
    }

    /// Carries over from a leader: its reads, which end, and why it stopped leading.
    fn become_follower(
        &mut self,
        now: Instant,
        ballot: Ballot,
        leader: Option<NodeId>,
        why: StepDown,
    ) {
        let common = &mut self.common;
        let follower = Follower::new(leader, common.log.chosen());
        let old = core::mem::replace(&mut self.role, RoleState::Follower(follower));
        let stepped_down = match &old {
            RoleState::Leader(old) => Some(old.why_it_steps_down(why)),
            _ => None,
        };
        if stepped_down.is_some_and(StepDown::is_for_a_cause) {
            common.pace.give_up(now, &common.config);
        }
        // A follower keeps its deadline: a candidate that cannot win must not delay one that can.
        if !matches!(old, RoleState::Follower(_)) {
            common.reset_election(now);
        }
        let led = matches!(old, RoleState::Leader(_));
        if let RoleState::Leader(old) = old {
            common.stepped_down = stepped_down;
            old.resign(common, leader);
        }
        if ballot > common.promised {
            common.promise(ballot);
        }
        // Nobody sends to a leader that was removed once another one leads.
        if led
            && why != StepDown::Stopped
            && let Some(stop) = common.dismissal()
        {
            common.stop(stop);
        }
    }
}

#[cfg(test)]
mod tests;
