//! A change of membership, until its configuration is chosen. What follows is done by every leader, see
//! `succession` and `settle`.

use alloc::vec::Vec;

use super::Leader;
use crate::node::Common;
use crate::{
    ChangeEnd, ChangeError, ChangePhase, ChangeStatus, Configuration, Instant, Kind, Membership,
    NodeId, Slot, Value,
};

/// A change that this leader was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Change {
    pub(super) target: Membership,
    newcomers: Vec<Newcomer>,
    /// By then all of them have caught up, or the change ends.
    deadline: Instant,
    /// Where its configuration is proposed.
    proposed: Option<Slot>,
    /// It is chosen.
    decided: bool,
}

/// A new acceptor, which catches up in passes (as in the Raft thesis, §4.2.1): each brings it to where
/// the log ended when the pass began. It is ready after one that was short.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Newcomer {
    node: NodeId,
    /// Where this pass ends.
    goal: Slot,
    since: Instant,
    is_ready: bool,
}

impl Leader {
    pub(crate) fn change_membership(
        &mut self,
        common: &mut Common,
        now: Instant,
        target: Membership,
    ) -> Result<(), ChangeError> {
        target.validate()?;
        if let Some(change) = &self.change {
            return match change.target == target {
                true => Ok(()),
                false => Err(ChangeError::UnderWay),
            };
        }
        let latest = self.offices[self.offices.len() - 1].configuration.clone();
        if latest.membership == target {
            return Ok(());
        }
        if self.offices.len() > 1 || latest.number > common.settled {
            return Err(ChangeError::UnderWay);
        }
        // It is about to hand over.
        if !latest.membership.quorums.contains(common.config.id) {
            return Err(ChangeError::NotReady);
        }
        if let Some(to) = self.transfers_to() {
            return Err(ChangeError::Transferring { to });
        }
        latest.admits(&latest.next(target.clone()))?;
        if !self.knows_its_predecessors(common) || common.configurations.number() > latest.number {
            return Err(ChangeError::NotReady);
        }
        if !self.has_room(common) {
            return Err(ChangeError::Full);
        }
        self.begin_change(common, now, target, &latest)
    }

    fn begin_change(
        &mut self,
        common: &mut Common,
        now: Instant,
        target: Membership,
        latest: &Configuration,
    ) -> Result<(), ChangeError> {
        self.drop_the_dismissed(common);
        for node in target.nodes() {
            if !self.roster.add(node, now) {
                return Err(ChangeError::TooManyNodes);
            }
        }
        let goal = self.end().prev();
        let acceptors = target.quorums.acceptors();
        let is_new = |id: &NodeId| !latest.membership.quorums.contains(*id);
        let newcomer = |node| Newcomer {
            node,
            goal,
            since: now,
            is_ready: false,
        };
        self.change = Some(Change {
            newcomers: acceptors.filter(is_new).map(newcomer).collect(),
            target,
            deadline: now.plus(common.config.catch_up_max),
            proposed: None,
            decided: false,
        });
        // Nothing is known of new nodes before they have echoed.
        self.begin_round(common);
        self.catch_up(common, now);
        Ok(())
    }

    pub(crate) fn abort_change(&mut self, common: &mut Common) -> Result<(), ChangeError> {
        match &self.change {
            Some(change) if change.proposed.is_none() => {
                self.end_change(common, ChangeEnd::Aborted);
                Ok(())
            }
            Some(_) => Err(ChangeError::Proposed),
            None if self.offices[0].configuration.number > common.settled => {
                Err(ChangeError::Proposed)
            }
            None if self.offices.len() > 1 => Err(ChangeError::Proposed),
            None => Err(ChangeError::Nothing),
        }
    }

    fn end_change(&mut self, common: &mut Common, end: ChangeEnd) {
        self.change = None;
        common.change_end = Some(end);
        for place in self.roster.others.iter() {
            let node = self.roster.node(place);
            let is_member = |office: &super::Office| office.configuration.membership.contains(node);
            if !self.offices.iter().any(is_member) && !common.is_dismissed(node) {
                self.forget(place);
            }
        }
    }

    /// Continues with the passes of new acceptors, and proposes the configuration once all are ready.
    pub(crate) fn catch_up(&mut self, common: &mut Common, now: Instant) {
        let end = self.end().prev();
        let Some(change) = &mut self.change else {
            return;
        };
        if change.proposed.is_some() {
            return;
        }
        let short = common.config.election_timeout_min;
        for newcomer in change.newcomers.iter_mut().filter(|it| !it.is_ready) {
            let place = self.roster.place(newcomer.node);
            let through = place.map(|place| self.roster.peer(place).through);
            let is_known = place.is_some_and(|place| self.roster.peer(place).is_known());
            if is_known && through.is_some_and(|through| through >= newcomer.goal) {
                newcomer.is_ready = now.since(newcomer.since) < short;
                (newcomer.goal, newcomer.since) = (end, now);
                // Nothing was added since.
                newcomer.is_ready |= through >= Some(end);
            }
        }
        let slow = change.newcomers.iter().find(|newcomer| !newcomer.is_ready);
        let slow = slow.map(|newcomer| newcomer.node);
        match slow {
            Some(node) if now >= change.deadline => {
                self.end_change(common, ChangeEnd::TooSlow { node });
            }
            Some(_) => {}
            None => self.propose_change(common),
        }
    }

    /// Proposes the configuration in the next slot, if something can be proposed now. A configuration
    /// is proposed only while the one before is in force, chosen and settled.
    fn propose_change(&mut self, common: &mut Common) {
        let slot = self.next();
        let latest = &self.offices[self.offices.len() - 1];
        let is_free = slot <= self.limit(common)
            && slot >= latest.from
            && slot > self.found_to
            && slot < Slot::MAX
            && self.has_room(common)
            && self.transfers_to().is_none();
        let Some(change) = self.change.as_mut().filter(|_| is_free) else {
            return;
        };
        let configuration = latest.configuration.next(change.target.clone());
        change.proposed = Some(slot);
        let origin = common.promised;
        let value = Value {
            kind: Kind::Configuration,
            origin,
            body: configuration.encode(),
        };
        self.put(common, slot, value);
    }

    /// The configuration of the change is chosen: from now on any leader ends it.
    pub(super) fn note_decided(&mut self, common: &Common) {
        let latest = common.configurations.latest();
        if let Some(change) = &mut self.change
            && let Some(latest) = latest
        {
            change.decided |= latest.configuration.membership == change.target;
        }
    }

    /// How a change ends that its leader leaves undecided.
    pub(super) fn lose_change(&self, common: &mut Common) {
        if self.change.as_ref().is_some_and(|change| !change.decided) {
            common.change_end = Some(ChangeEnd::LeaderLost);
        }
    }

    /// The change that is under way.
    pub(crate) fn change_status(&self, common: &Common) -> Option<ChangeStatus> {
        let latest = &self.offices[self.offices.len() - 1].configuration;
        let decided = match self.offices.len() {
            1 if latest.number <= common.settled => None,
            1 => Some(ChangePhase::Settling),
            _ => Some(ChangePhase::Decided),
        };
        let (target, phase) = match (decided, &self.change) {
            (Some(phase), _) => (latest.membership.clone(), phase),
            (None, Some(change)) => {
                let phase = match change.proposed {
                    Some(_) => ChangePhase::Proposed,
                    None => ChangePhase::CatchUp,
                };
                (change.target.clone(), phase)
            }
            (None, None) => return None,
        };
        let newcomers = self.change.iter().flat_map(|change| &change.newcomers);
        let through = |newcomer: &Newcomer| {
            let place = self.roster.place(newcomer.node);
            place.map_or(Slot(0), |place| self.roster.peer(place).through)
        };
        let newcomers = newcomers.map(|newcomer| (newcomer.node, through(newcomer)));
        Some(ChangeStatus {
            target,
            phase,
            newcomers: newcomers.collect(),
        })
    }

    pub(super) fn forget_time_of_change(&mut self) {
        if let Some(change) = &mut self.change {
            change.deadline = Instant::ZERO;
            let newcomers = change.newcomers.iter_mut();
            newcomers.for_each(|newcomer| newcomer.since = Instant::ZERO);
        }
    }
}
