//! Priorities: how a leader makes way for a node that is preferred
//! ([`Config::priority`](crate::Config::priority)), without going to and fro.

use super::Leader;
use super::transfer::Why;
use crate::node::Common;
use crate::{DiskHealth, Instant};

/// When a leader may next hand over to a node of a higher priority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Preferring {
    not_before: Instant,
    /// How often it has tried.
    tries: u32,
}

impl Preferring {
    pub(super) fn begin(common: &Common, now: Instant) -> Self {
        Self {
            not_before: now.plus(common.config.election_timeout_max * PREFERRED_AFTER),
            tries: 0,
        }
    }

    /// While the attempt that begins now goes on this node cannot propose, and if it fails it has no
    /// lease any more. So each waits twice as long for the next.
    fn try_once(&mut self, common: &Common, now: Instant) {
        let timeouts = u32::min(PREFERRED_AFTER << self.tries, INVITED_HOLDS);
        self.not_before = now.plus(common.config.election_timeout_max * timeouts);
        self.tries = u32::min(self.tries + 1, TRIES_MAX);
    }
}

impl Leader {
    /// This leader was invited to lead: by whom somebody had asked for that, or by one that gave up. For
    /// a time nobody is preferred.
    pub(crate) fn hold(&mut self, common: &Common, now: Instant) {
        let holds = common.config.election_timeout_max * INVITED_HOLDS;
        self.preferring.not_before = now.plus(holds);
    }

    /// Records what a peer reported of its disk and its priority, unless that is older than what is
    /// known.
    pub(crate) fn note_fitness(
        &mut self,
        place: usize,
        round: u64,
        disk: DiskHealth,
        priority: Option<u8>,
    ) {
        let peer = self.roster.peer_mut(place);
        if round < peer.round {
            return;
        }
        (peer.sync_time, peer.priority) = (disk.sync_time, priority);
        if round > self.room_round {
            let (is, is_not) = match disk.has_room {
                true => (&mut self.roomy, &mut self.full),
                false => (&mut self.full, &mut self.roomy),
            };
            is.insert(place);
            is_not.remove(place);
        }
    }

    /// Hands over to a node of a higher priority, if that is due and one is fit. Not while the members
    /// change: the leader that began it ends it.
    pub(super) fn make_way_for_preferred(&mut self, common: &mut Common, now: Instant) {
        let own = Some(common.config.priority);
        let mut others = self.roster.others.iter();
        let is_outranked = others.any(|place| self.roster.peer(place).priority > own);
        if !is_outranked || now < self.preferring.not_before || self.is_changing(common) {
            return;
        }
        let suits = |place: &usize| {
            let is_higher = self.roster.peer(*place).priority > own;
            is_higher && self.may_take_over(common, now, *place)
        };
        if let Some(place) = self.best_of(suits) {
            self.preferring.try_once(common, now);
            self.begin_transfer(common, now, place, Why::Preferred);
        }
    }

    /// Whether a change of members or of the leader is under way, or what was chosen before is not yet
    /// known.
    fn is_changing(&self, common: &Common) -> bool {
        let latest = &self.offices[self.offices.len() - 1].configuration;
        self.transfer.is_some()
            || self.change.is_some()
            || self.offices.len() > 1
            || latest.number > common.settled
            || !self.knows_its_predecessors(common)
    }
}

/// The longest election timeouts after which a leader that was elected makes way for a node of a higher
/// priority, and after the first attempt to do so.
const PREFERRED_AFTER: u32 = 8;
/// As many for one that was invited to lead, and between attempts at most.
const INVITED_HOLDS: u32 = 64;
/// After so many attempts the time between them grows no more.
const TRIES_MAX: u32 = 3;
