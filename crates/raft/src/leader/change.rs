use alloc::vec::Vec;

use super::Leader;
use super::catch_up::{CatchUp, CaughtUp};
use crate::due::Task;
use crate::node::Common;
use crate::step::Step;
use crate::{
    CatchingUp, ChangeEnd, ChangeError, Index, Instant, Kind, Membership, MembershipError, NodeId,
    StepDown,
};

/// What a leader remembers of a change of membership. All that matters is in the log: without this,
/// the next leader only begins the rounds anew, and is not told again to abort.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Drive {
    catch_up: Option<CatchUp>,
    /// The change is to be aborted, or was, for this reason.
    aborts: Option<ChangeEnd>,
}

/// How a leader changes the membership: see
/// [`Raft::change_membership`](crate::Raft::change_membership).
impl Leader {
    pub(crate) fn change_membership(
        &mut self,
        common: &mut Common,
        now: Instant,
        target: &Membership,
    ) -> Result<(), ChangeError> {
        let current = common.membership();
        check_target(current, target)?;
        let next = current.begin(target);
        if let Some(change) = &current.change {
            let (voters, learners) = (&change.voters, &change.learners);
            let same = (voters, learners) == (&target.voters, &target.learners)
                && target.witnesses.is_subset(&current.witnesses);
            let told = target.contexts.iter();
            let same_contexts = told
                .into_iter()
                .all(|it| current.contexts.get(it.0) == Some(it.1));
            return match same && same_contexts && self.change.aborts.is_none() {
                true => Ok(()),
                false => Err(ChangeError::UnderWay),
            };
        }
        next.validate().map_err(invalid)?;
        if next == *current {
            return Ok(());
        }
        if let Some(to) = self.transfers_to() {
            return Err(ChangeError::Transferring { to });
        }
        // Without an entry of the own term a change of an earlier leader may be committed that this
        // leader does not know of (Ongaro, raft-dev, July 2015).
        if common.committed < self.first || !common.configs.is_committed() {
            return Err(ChangeError::NotReady);
        }
        if common.log.last().index >= INDEX_MAX {
            return Err(ChangeError::IndexExhausted);
        }
        if !self.has_room(common) {
            return Err(ChangeError::Full);
        }
        self.change = Drive::default();
        self.append_membership(common, now, next);
        Ok(())
    }

    pub(crate) fn abort_change(
        &mut self,
        common: &mut Common,
        now: Instant,
    ) -> Result<(), ChangeError> {
        if common.membership().change.is_none() {
            return Err(match common.configs.is_committed() {
                true => ChangeError::Nothing,
                false if self.change.aborts.is_some() => return Ok(()),
                false => ChangeError::TooLate,
            });
        }
        self.change.aborts = Some(ChangeEnd::Aborted);
        self.abort_if_told(common, now);
        Ok(())
    }

    /// Takes the next step of a change, if it is due. Called when a membership is committed, when the
    /// first entry of this leader is, when a new voter acknowledges something, and with each
    /// heartbeat.
    pub(crate) fn drive_change(&mut self, common: &mut Common, now: Instant) -> Step {
        // Not before the own term has committed something, as when a change begins; and a target of a
        // transfer must not be left behind.
        if common.committed < self.first || self.transfers_to().is_some() {
            return Step::Stay;
        }
        if self.abort_if_told(common, now) || !common.configs.is_committed() {
            return Step::Stay;
        }
        let membership = common.membership();
        match &membership.change {
            None => return self.end_change(common, now),
            Some(change) if change.is_joint => {
                let next = membership.finished();
                self.append_membership(common, now, next);
            }
            Some(_) => self.look_at_new_voters(common, now),
        }
        Step::Stay
    }

    /// The entry that leads back to the old side. It need not wait for the entry that it takes back:
    /// every membership since the change began needs a majority of the old voters.
    fn abort_if_told(&mut self, common: &mut Common, now: Instant) -> bool {
        let membership = common.membership();
        let is_ready = common.committed >= self.first && self.transfers_to().is_none();
        if self.change.aborts.is_none() || membership.change.is_none() || !is_ready {
            return false;
        }
        let next = membership.aborted();
        self.append_membership(common, now, next);
        true
    }

    fn look_at_new_voters(&mut self, common: &mut Common, now: Instant) {
        let change = &mut self.change;
        let catch_up = change
            .catch_up
            .get_or_insert_with(|| CatchUp::begin(common, now));
        match catch_up.look(common, now, &self.peers) {
            CaughtUp::NotYet => {}
            CaughtUp::All => {
                let next = common.membership().joined();
                self.append_membership(common, now, next);
            }
            CaughtUp::Never(node) => {
                self.change.aborts = Some(ChangeEnd::TooSlow { node });
                self.abort_if_told(common, now);
            }
        }
    }

    /// The membership is committed and plain. A leader that it drops leads until here, so that it is
    /// committed, and no longer (thesis §4.2.2).
    fn end_change(&mut self, common: &mut Common, now: Instant) -> Step {
        if let Some(why) = self.change.aborts.take() {
            common.configs.ended = Some(why);
        }
        self.change = Drive::default();
        if !common.configs.has_dismissed_own() {
            return Step::Stay;
        }
        match self.transfer(common, now, None) {
            Ok(_) => Step::Stay,
            Err(_) => Step::give_up(common.term, StepDown::Removed),
        }
    }

    fn append_membership(&mut self, common: &mut Common, now: Instant, next: Membership) {
        if common.log.last().index >= INDEX_MAX {
            return;
        }
        let id = self.append(common, Kind::Membership, next.encode());
        self.change.catch_up = None;
        common.configs.push(id.index, next);
        self.arrange_peers(common, now);
        self.replicate_to_all(common);
        // What was not enough for the quorums of before may be for those of now.
        common.due.set(Task::Read);
        self.advance_commit(common);
    }
}

impl Drive {
    /// Whether new voters are catching up.
    pub(super) fn is_catching_up(&self) -> bool {
        self.catch_up.is_some()
    }

    pub(super) fn forget_time(&mut self) {
        if let Some(catch_up) = &mut self.catch_up {
            catch_up.forget_time();
        }
    }
}

impl Leader {
    /// How far the new voters have caught up.
    pub(crate) fn catching_up(&self) -> Vec<CatchingUp> {
        let catch_up = self.change.catch_up.as_ref();
        catch_up.map_or_else(Vec::new, |catch_up| catch_up.status(&self.peers))
    }
}

fn check_target(current: &Membership, target: &Membership) -> Result<(), ChangeError> {
    if target.voters.is_empty() {
        return Err(ChangeError::NoVoters);
    }
    let plain = Membership {
        change: None,
        highest: target.nodes().fold(current.highest, Ord::max),
        ..target.clone()
    };
    plain.validate().map_err(invalid)?;
    let mut nodes = plain.nodes();
    if let Some(node) = nodes.find(|id| current.has_removed(*id)) {
        return Err(ChangeError::Readmitted { node });
    }
    let becomes = |id: &NodeId| current.is_witness(*id) != plain.is_witness(*id);
    let mut stay = plain.nodes().filter(|id| current.contains(*id));
    match stay.find(becomes) {
        Some(node) => Err(ChangeError::OtherKind { node }),
        None => Ok(()),
    }
}

fn invalid(error: MembershipError) -> ChangeError {
    match error {
        MembershipError::TooManyNodes => ChangeError::TooManyNodes,
        other => ChangeError::Invalid(other),
    }
}

/// Each step of a change has an index, and so has the first entry of a leader that continues it.
const INDEX_MAX: Index = Index(Index::MAX.0 - 8);
