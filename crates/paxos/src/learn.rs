use alloc::vec::Vec;

use crate::log::Slice;
use crate::role::Duty;
use crate::status::count;
use crate::{Echo, Fetch, FetchError, Instant, NodeId, Paxos, Slot, Snapshot, Value, Vote, Wanted};

/// A leader that lacks values which were chosen before its phase 1 ended. It does not propose them:
/// it asks those who hold them, one after the other, and leads meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Learning {
    /// Who was asked last.
    pub(crate) teacher: NodeId,
    /// By then something must have been learned, else it resigns: another node has the values.
    pub(crate) deadline: Instant,
}

/// Both ends of learning.
impl Paxos {
    /// Asks for the first values that are missing.
    pub(crate) fn ask_to_learn(&mut self) {
        let Duty::Leader(leader) = &self.duty else {
            return;
        };
        let (ballot, from, to) = (self.promised, self.log.chosen().next(), leader.first.prev());
        if let Some(learning) = &leader.learning
            && leader.pulling.is_none()
        {
            self.outbox
                .echo(learning.teacher, Echo::Learn { ballot, from, to });
        }
    }

    /// With each heartbeat the next of those who know more is asked, so that a teacher that fell
    /// silent is not waited for.
    pub(crate) fn learn_from_another(&mut self) {
        let chosen = self.log.chosen();
        let Duty::Leader(leader) = &mut self.duty else {
            return;
        };
        let Some(learning) = &mut leader.learning else {
            return;
        };
        let knows = |peer: &crate::progress::Progress| peer.chosen > chosen;
        let teachers = || leader.peers.iter().filter(|(_, peer)| knows(peer));
        let next = teachers().find(|(id, _)| **id > learning.teacher);
        if let Some((id, _)) = next.or_else(|| teachers().next()) {
            learning.teacher = *id;
        }
        self.ask_to_learn();
    }

    /// A leader asks. Any node may answer it: what is chosen is chosen for ever.
    pub(crate) fn handle_learn(
        &mut self,
        from: NodeId,
        ballot: crate::Ballot,
        first: Slot,
        to: Slot,
    ) {
        if ballot.node != from || first == Slot(0) || first > to || to > Slot::MAX {
            count(&mut self.counters.malformed);
            return;
        }
        if self.is_preempted(from, ballot) || first > self.log.chosen() {
            return;
        }
        if first <= self.log.start().slot {
            return self.offer_to_leader(from, ballot);
        }
        let to = self.within_a_message(first, to.min(self.log.chosen()));
        match self.log.slice(first, to, self.config.accept_bytes_max) {
            Slice::Cached(values) => self.teach(from, ballot, first, values),
            Slice::Evicted(evicted_to) => {
                if self.teaching.insert(from) {
                    self.fetches.push_back(Fetch {
                        from: first,
                        to: to.min(evicted_to),
                        bytes_max: self.config.accept_bytes_max,
                        wanted: Wanted::Leader(from),
                        ballot,
                    });
                }
            }
            Slice::Gap => {}
        }
    }

    fn teach(&mut self, leader: NodeId, ballot: crate::Ballot, first: Slot, values: Vec<Value>) {
        self.outbox.echo(
            leader,
            Echo::Learned {
                ballot,
                first,
                values,
            },
        );
    }

    fn offer_to_leader(&mut self, leader: NodeId, ballot: crate::Ballot) {
        if let Some(snapshot) = self.snapshot.clone() {
            self.outbox.echo(leader, Echo::Offer { ballot, snapshot });
        }
    }

    pub(crate) fn handle_fetched_for_leader(
        &mut self,
        leader: NodeId,
        fetch: &Fetch,
        votes: Result<Vec<Vote>, FetchError>,
    ) {
        if !self.teaching.remove(&leader) {
            count(&mut self.counters.fetches_stale);
            return;
        }
        match votes {
            Ok(votes) if self.is_range_of_log(fetch, &votes) => {
                let values = votes.into_iter().map(|vote| vote.value).collect();
                self.teach(leader, fetch.ballot, fetch.from, values);
            }
            Err(FetchError::Cut { .. }) => self.offer_to_leader(leader, fetch.ballot),
            Err(FetchError::Unavailable) => {}
            Ok(_) => count(&mut self.counters.fetches_stale),
        }
    }

    pub(crate) fn handle_learned(
        &mut self,
        now: Instant,
        from: NodeId,
        first: Slot,
        values: Vec<Value>,
    ) {
        let Some(last) = self.last_of(first, &values) else {
            count(&mut self.counters.malformed);
            return;
        };
        if self.hear(now, from).is_none() {
            return;
        }
        let Duty::Leader(leader) = &self.duty else {
            return;
        };
        let (chosen, to) = (self.log.chosen(), leader.first.prev());
        if leader.learning.is_none() || first > chosen.next() || last <= chosen || last > to {
            count(&mut self.counters.out_of_role);
            return;
        }
        let ballot = self.promised;
        // A vote for the same value in another ballot needs no new one.
        let is_news = |vote: &Vote| {
            let held = self.log.vote(vote.slot);
            held.is_none_or(|held| held.value != vote.value)
        };
        let votes = Vote::all_from(first, ballot, values).filter(is_news);
        let votes: Vec<Vote> = votes.collect();
        self.log.accept(votes);
        self.log.choose_to(last);
        self.learned(now);
    }

    /// The chosen prefix grew by learning, or by a snapshot. Peers whose stream went over what was
    /// missing are sent it now.
    pub(crate) fn learned(&mut self, now: Instant) {
        self.propose_found();
        let timeout = self.config.election_timeout_max;
        let chosen = self.log.chosen();
        let Duty::Leader(leader) = &mut self.duty else {
            return;
        };
        if chosen.next() < leader.first {
            if let Some(learning) = &mut leader.learning {
                learning.deadline = now.plus(timeout);
            }
            return self.ask_to_learn();
        }
        leader.learning = None;
        leader.pulling = None;
        for peer in leader.peers.values_mut().filter(|peer| peer.skipped) {
            peer.skipped = false;
            peer.rewind_to(peer.through);
        }
        self.advance_chosen();
        self.replicate_to_all();
    }

    pub(crate) fn handle_offer_to_leader(
        &mut self,
        now: Instant,
        from: NodeId,
        snapshot: Snapshot,
    ) {
        if !self.is_position(snapshot.last) {
            count(&mut self.counters.malformed);
            return;
        }
        if self.hear(now, from).is_none() {
            return;
        }
        if self.stops_over(now, snapshot.last) {
            return;
        }
        let chosen = self.log.chosen();
        let Duty::Leader(leader) = &mut self.duty else {
            return;
        };
        let is_wanted = leader.learning.is_some() && leader.pulling.is_none();
        if is_wanted && snapshot.last.slot > chosen {
            leader.pulling = Some(snapshot.clone());
            self.pull = Some((from, snapshot));
        } else {
            count(&mut self.counters.out_of_role);
        }
    }

    /// Whether these are the votes of the chosen prefix from `fetch.from` on, and not past what was
    /// asked for.
    pub(crate) fn is_range_of_log(&self, fetch: &Fetch, votes: &[Vote]) -> bool {
        let mut expected = fetch.from;
        let fits = votes.iter().all(|vote| {
            let fits = vote.slot == expected && expected <= fetch.to;
            expected = expected.next();
            fits
        });
        fits && !votes.is_empty() && fetch.to <= self.log.chosen()
    }
}
