//! The leader's half of a lease: it asks for it with its heartbeats, and counts what acceptors grant.

use alloc::collections::VecDeque;
use core::time::Duration;

use super::Leader;
use crate::counters::count;
use crate::node::Common;
use crate::progress::{Grant, Progress};
use crate::{Instant, Lease, NoLease, Slot};

/// The rounds of heartbeats that asked for a lease.
///
/// A lease is counted from the sending of the round that an acceptor answers, never from the arrival of the
/// answer, and no expiry is stored: whether it is held follows from the grants and from the configurations
/// of the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    /// The numbers of the rounds, ascending, and when each was sent or somewhat before. At most
    /// [`ASKS_IN_A_LENGTH`] and one.
    rounds: VecDeque<(u64, Instant)>,
    /// Another node was invited to lead. It and those who have heard of it need not respect the lease, so
    /// that it is over for as long as this ballot lasts, also if the transfer fails.
    given_up: bool,
}

impl Asked {
    /// The length to ask for with a round that begins now. Rounds for reads may follow each other closely;
    /// then some of them ask for nothing, so that few have to be remembered.
    fn ask(&mut self, lease: Lease, round: u64, now: Instant) -> Duration {
        let apart = lease.length / ASKS_IN_A_LENGTH;
        let is_soon = |last: &(u64, Instant)| now.since(last.1) < apart;
        if self.given_up || self.rounds.back().is_some_and(is_soon) {
            return Duration::ZERO;
        }
        let is_over = |asked: &(u64, Instant)| now.since(asked.1) >= lease.length;
        while self.rounds.front().is_some_and(is_over) {
            self.rounds.pop_front();
        }
        self.rounds.push_back((round, now));
        lease.length
    }

    /// Another node is invited to lead.
    pub(super) fn give_up(&mut self) {
        self.given_up = true;
    }

    fn sent(&self, round: u64) -> Option<Instant> {
        let found = self.rounds.binary_search_by_key(&round, |asked| asked.0);
        found.ok().map(|at| self.rounds[at].1)
    }
}

impl Leader {
    /// The length of the lease that the round which begins now asks for.
    pub(super) fn ask_for_lease(&mut self, common: &Common) -> Duration {
        let (round, now) = (self.round, self.clock);
        let lease = common.config.lease;
        lease.map_or(Duration::ZERO, |lease| self.asked.ask(lease, round, now))
    }

    /// Handles what an acceptor grants in answer to a round. Only the leases that last longest are kept: a
    /// later promise does not shorten an earlier one.
    pub(crate) fn note_grant(
        &mut self,
        common: &mut Common,
        place: usize,
        round: u64,
        length: Duration,
    ) {
        if length.is_zero() {
            return;
        }
        let Some(lease) = common.config.lease.filter(|own| length <= own.length) else {
            count(&mut common.counters.malformed);
            return;
        };
        let Some(sent) = self.asked.sent(round) else {
            return;
        };
        let grant = Grant { sent, length };
        let peer = self.roster.peer_mut(place);
        let is_longer = |old: Grant| grant.end(lease) > old.end(lease);
        if peer.grant.is_none_or(is_longer) {
            peer.grant = Some(grant);
        }
    }

    /// The slot that has to be applied before a read is answered that arrived before `now`, if a lease is
    /// held then.
    pub(crate) fn read_by_lease(&self, common: &Common, now: Instant) -> Result<Slot, NoLease> {
        let Some(lease) = common.config.lease else {
            return Err(NoLease::NotConfigured);
        };
        if self.asked.given_up {
            return Err(NoLease::Transferred);
        }
        if !self.knows_its_predecessors(common) {
            return Err(NoLease::NotReady);
        }
        if now >= self.lease_end(lease) {
            return Err(NoLease::NotHeld);
        }
        Ok(common.log.chosen())
    }

    /// When its lease ends, which may be in the past; None if it can have none now.
    pub(crate) fn lease_status(&self, common: &Common) -> Option<Instant> {
        let lease = common.config.lease.filter(|_| !self.asked.given_up);
        let lease = lease.filter(|_| self.knows_its_predecessors(common))?;
        Some(self.lease_end(lease))
    }

    /// When the grants of the phase-2 quorums run out: of each configuration that governs an open slot, and
    /// of the one that comes into force next. Any other leader needs the promise of an acceptor in each of
    /// them before it can choose anything there.
    fn lease_end(&self, lease: Lease) -> Instant {
        let end = |peer: &Progress| peer.grant.map_or(Instant::ZERO, |grant| grant.end(lease));
        self.reached(Instant::ZERO, FOR_EVER, end)
    }

    /// Drops what was granted, and no answer to an earlier round counts.
    pub(crate) fn forget_lease(&mut self) {
        self.asked.rounds.clear();
        for peer in self.roster.all_mut() {
            peer.grant = None;
        }
    }
}

impl Grant {
    /// Until when the acceptor keeps its promise at least, on the leader's clock.
    fn end(self, lease: Lease) -> Instant {
        self.sent.plus(lease.usable(self.length))
    }
}

/// This node helps no other leader while it leads.
const FOR_EVER: Instant = Instant(Duration::MAX);
/// In each length of a lease at most this many rounds ask for one.
const ASKS_IN_A_LENGTH: u32 = 32;
