use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::node::Common;
use crate::{Ballot, Configuration, Configurations, NodeId, Slot, Vote};

/// The reports of acceptors in phase 1, and the values that a leader has to propose again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Promises {
    /// How far each acceptor has reported.
    pub(crate) answers: BTreeMap<NodeId, Answer>,
    /// For each slot the vote of the highest ballot that was reported (P2c).
    pub(crate) found: BTreeMap<Slot, Vote>,
}

/// What one acceptor has reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Answer {
    /// Where its next page begins; `None` after the last.
    pub(crate) next: Option<Slot>,
    /// The last slot for which it has reported a vote, or its chosen prefix.
    told: Slot,
    /// The number of slots between its votes, and before them, for which it reported nothing.
    pub(crate) gaps: u64,
    /// Its chosen prefix.
    pub(crate) chosen: Slot,
}

/// What a candidate or leader asks for, see [`Binding::Prepare`](crate::Binding::Prepare).
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) ballot: Ballot,
    /// The first slot whose votes are wanted.
    pub(crate) from: Slot,
    /// The latest configuration that the sender knows.
    pub(crate) number: u64,
    /// The leader that has invited the sender.
    pub(crate) invited: Option<Ballot>,
}

/// One message of a promise, see [`Binding::Promise`](crate::Binding::Promise).
#[derive(Debug)]
pub(crate) struct Page {
    /// The `from` of the request.
    pub(crate) from: Slot,
    pub(crate) votes: Vec<Vote>,
    pub(crate) next: Option<Slot>,
    pub(crate) chosen: Slot,
    pub(crate) configurations: Option<Box<Configurations>>,
}

impl Promises {
    /// The acceptor's answer including this page. If it reports several chosen prefixes, the first
    /// is used: its pages are consistent as of the promise.
    pub(crate) fn answer_with(&self, from: NodeId, page: &Page) -> Answer {
        let (next, chosen) = (page.next, page.chosen);
        let before = self.answers.get(&from);
        let (mut told, mut gaps) = before.map_or((chosen, 0u64), |a| (a.told.max(chosen), a.gaps));
        for vote in &page.votes {
            let between = vote.slot.0.saturating_sub(told.next().0);
            gaps = gaps.saturating_add(between);
            told = told.max(vote.slot);
        }
        Answer {
            next,
            told,
            gaps,
            chosen,
        }
    }

    /// Whether a phase-1 quorum of a configuration has reported all its votes.
    pub(crate) fn has_quorum(&self, configuration: &Configuration) -> bool {
        let quorums = &configuration.membership.quorums;
        let complete = self
            .answers
            .iter()
            .filter(|(_, answer)| answer.next.is_none());
        quorums.is_phase1(quorums.set_of(complete.map(|(id, _)| *id)))
    }

    /// The longest chosen prefix that was reported, or is known here.
    pub(crate) fn chosen(&self, common: &Common) -> Slot {
        let told = self.answers.values().map(|answer| answer.chosen);
        told.fold(common.log.chosen(), Slot::max)
    }

    /// Adds votes, keeping the one of the highest ballot for each slot (P2c).
    pub(crate) fn add(&mut self, from: NodeId, votes: Vec<Vote>, answer: Answer) {
        for vote in votes {
            let found = self.found.get(&vote.slot);
            if found.is_none_or(|found| found.ballot < vote.ballot) {
                self.found.insert(vote.slot, vote);
            }
        }
        self.answers.insert(from, answer);
    }
}

impl Page {
    /// Whether the votes ascend, are of ballots below `promised` and not too far ahead, and the
    /// next page begins after them.
    pub(crate) fn is_sound(&self, promised: Ballot) -> bool {
        let (asked, chosen) = (self.from, self.chosen);
        let ahead = Slot(chosen.0.saturating_add(Slot::SPAN_MAX)).min(Slot::MAX);
        let mut least = asked.max(chosen.next());
        let ascend = self.votes.iter().all(|vote| {
            let fits = vote.slot >= least
                && vote.slot <= ahead
                && vote.ballot < promised
                && vote.ballot.round > 0
                && vote.value.origin.round > 0
                && vote.value.origin <= vote.ballot;
            least = vote.slot.next();
            fits
        });
        let is_further = |next: Slot| next >= least && next > asked && next <= ahead;
        ascend && chosen <= Slot::MAX && self.next.is_none_or(is_further)
    }
}
