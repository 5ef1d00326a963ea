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
    Ballot, Configuration, Counters, DiskHealth, Entries, Fetch, FetchError, Instant, NodeId,
    Position, ProposeError, ReadError, ReadId, Receipt, Snapshot, StepDown, TransferError, Wanted,
    election, teach,
};

/// One node of a Multi-Paxos group: proposer, acceptor and learner in one, and a value that takes
/// what happened and tells what to do.
///
/// Inputs are `handle_*`, [`propose`](Self::propose) and [`read`](Self::read); outputs are drained
/// with [`poll_output`](Self::poll_output) until it has no more, and
/// [`poll_timeout`](Self::poll_timeout) says when to come back if nothing happens. It may be
/// cloned, compared and hashed.
///
/// Invariants, asserted in debug builds after every input:
/// - *P1a*: an acceptor votes in no ballot below what it has promised; what it has promised never
///   falls, and is in a [`Record`](crate::Record) before anybody hears of it;
/// - *a ballot is used once*: a node promises its own ballots to itself before it campaigns, and
///   each is above everything it has promised;
/// - *one value a ballot and slot*: a leader proposes each slot once in its ballot;
/// - *P2c*: what a leader proposes at a slot where a phase-1 quorum has votes is the value of the
///   highest ballot among them;
/// - what is chosen is never replaced; `delivered <= settled <= chosen` (settled: chosen and durable
///   here), values are delivered in order, once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Paxos {
    pub(crate) common: Common,
    pub(crate) role: RoleState,
}

/// What goes in, but for messages: each is delivered to the role that it is for. And the one place
/// where roles change.
impl Paxos {
    /// The deadline of [`poll_timeout`](Self::poll_timeout) has passed. Harmless at any other time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.common.stop.is_some() {
            return;
        }
        let mark = Mark::of(&self.common, &self.role);
        let common = &mut self.common;
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

    /// A write is durable. Only here do this node's own promise and its own votes count. A receipt
    /// for anything but the write in flight is ignored and counted, be it of another group, or of this
    /// one before it was opened again.
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

    /// A [`Fetch`] is answered: the values from `fetch.from()` on, at least one and without a gap, or why
    /// not.
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

    /// A snapshot is durable here: taken by this node, or pulled. Which of the two does not matter:
    /// - up to what was delivered, the log now begins behind it (a driver that wants to keep a
    ///   margin of values for slow peers tells of the snapshot only once it has applied that much
    ///   more);
    /// - beyond that, it is installed: the log begins behind it, keeps the votes that follow, and
    ///   [`Output::Restore`](crate::Output::Restore) follows.
    ///
    /// One that covers nothing new is ignored and counted. One that contradicts what is chosen stops
    /// this node, see [`Stop::Diverged`](crate::Stop::Diverged).
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

    /// The snapshot that [`Output::PullSnapshot`](crate::Output::PullSnapshot) named could not be
    /// pulled. The next offer is taken up again, be it the same one.
    pub fn handle_pull_failed(&mut self, _now: Instant, snapshot: &Snapshot) {
        self.role.end_pull_if(|pulling| pulling == snapshot);
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

    /// Proposes a command for the next slot. That it has a position says nothing about its fate: it
    /// is chosen when `Apply` brings a value of this origin at this slot, and lost when it brings
    /// another. If this node stops leading first, a later leader may yet come upon it: see the table
    /// of the [crate](crate#where-the-twins-differ). It is sent and written when this node is polled, with
    /// all that was proposed by then.
    ///
    /// # Errors
    /// See [`ProposeError`]; then nothing was proposed.
    pub fn propose(&mut self, _now: Instant, body: Bytes) -> Result<Position, ProposeError> {
        let mark = Mark::of(&self.common, &self.role);
        let position = match &mut self.role {
            RoleState::Leader(leader) => leader.propose(&mut self.common, body),
            _ => Err(ProposeError::NotLeader(self.leader())),
        }?;
        mark.check(&self.common, &self.role);
        Ok(position)
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

    /// Who leads in [`ballot`](Self::ballot), as far as this node knows.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.role.leader(self.common.config.id)
    }

    /// The highest ballot that this node has promised: that of the leader it follows, or its own.
    #[must_use]
    pub fn ballot(&self) -> Ballot {
        self.common.promised
    }

    /// Who takes part, and who of them decides.
    #[must_use]
    pub fn configuration(&self) -> &Configuration {
        &self.common.configuration
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
            RoleState::Candidate(candidate) => candidate.retry_deadline = Instant::ZERO,
            RoleState::Leader(leader) => leader.forget_time(),
            RoleState::Asking(_) => {}
        }
        state
    }

    /// A snapshot that is durable here, beyond what was delivered: the machine jumps to it.
    fn install(&mut self, now: Instant, snapshot: Snapshot) {
        let last = snapshot.last.slot;
        // Somebody has chosen more than this leader has proposed: it is not the last one.
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

    /// The one place where a role changes. What the old one knew is gone, but for what is named
    /// here; what was promised to others is no role's. A new role may have to change at once: alone
    /// in its group, a node needs nobody's answer.
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
                    // Carried over from one attempt to the next: others were let go first.
                    let waited = match &self.role {
                        RoleState::Asking(asking) => asking.has_waited(),
                        _ => false,
                    };
                    let (asking, step) = Asking::begin(common, now, waited);
                    self.role = RoleState::Asking(asking);
                    step
                }
                Step::BecomeCandidate { ballot } => {
                    self.role = RoleState::Candidate(Candidate::begin(common, now, ballot));
                    return;
                }
                Step::BecomeLeader(promises) => {
                    self.role = RoleState::Leader(Leader::begin(common, now, *promises));
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

    /// Carried over: of a leader its reads, which end, and why it leads no more.
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
        if ballot > common.promised {
            common.promise(ballot);
        }
    }
}

#[cfg(test)]
mod tests;
