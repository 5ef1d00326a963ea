use core::time::Duration;

use crate::invariants::Mark;
use crate::role::Duty;
use crate::{Config, Instant, Raft};

/// How a node's disk does, as its driver measures it: goes in by
/// [`Raft::handle_disk`](crate::Raft::handle_disk), and to the others in echoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct DiskHealth {
    /// There is space for entries. Without it a driver drops what its leader sends. A driver says
    /// `true` again only when there is space for a while.
    pub has_room: bool,
    /// How long a write takes at present until it is durable; zero when that is not known.
    pub sync_time: Duration,
}

impl Default for DiskHealth {
    /// Space, and nothing known of its pace.
    fn default() -> Self {
        Self {
            has_room: true,
            sync_time: Duration::ZERO,
        }
    }
}

/// How long elections take, as far as disks have a part in it: a candidacy is a write, and so is each
/// vote. Where a write takes longer than an election timeout, one candidate after the other would give
/// up before it was answered.
///
/// So a node waits longer before it campaigns, and for nothing else: whoever hears a leader refuses
/// others for as long as ever, and a leader that hears no quorum resigns as early as ever. What
/// others say of their disks is believed only so far as to wait [`STRETCH_MAX`] of the drawn timeouts,
/// and forgotten by half in each [`HALF_LIFE`] of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Pace {
    /// The slowest write that another told of, and when.
    told: Duration,
    told_at: Instant,
    /// The slowest write when the present wait was drawn.
    drawn_for: Duration,
}

impl Pace {
    pub(crate) fn forget_time(&mut self) {
        self.told_at = Instant::ZERO;
    }

    fn hear(&mut self, now: Instant, sync_time: Duration, config: &Config) {
        let sync_time = sync_time.min(config.election_timeout_max * STRETCH_MAX);
        if !sync_time.is_zero() && sync_time >= self.told(now, config) {
            self.told = sync_time;
            self.told_at = now;
        }
    }

    fn told(&self, now: Instant, config: &Config) -> Duration {
        let half_life = config.election_timeout_max * HALF_LIFE;
        let halved = now.since(self.told_at).as_nanos() / half_life.as_nanos().max(1);
        let times = u32::try_from(halved).unwrap_or(u32::MAX);
        1u32.checked_shl(times)
            .map_or(Duration::ZERO, |by| self.told / by)
    }
}

impl Raft {
    /// How this node's disk does now. To be told whenever it changes; a driver that never calls
    /// this has a disk with room and no time to wait for.
    ///
    /// A leader without room gives way to a follower that has some, see [`DiskHealth::has_room`]; if
    /// nobody has, it leads on for reads. A node without room campaigns, but only after several
    /// timeouts, so that one with room is first.
    pub fn handle_disk(&mut self, now: Instant, disk: DiskHealth) {
        if self.stop.is_some() {
            return;
        }
        let mark = Mark::of(self);
        let old = core::mem::replace(&mut self.disk, disk);
        let (deadline, drawn_for) = (self.election_deadline, self.pace.drawn_for);
        if let Duty::Leader(leader) = &mut self.duty {
            // Often one cause fills all disks: what was heard before is old.
            if old.has_room && !disk.has_room {
                leader.ask_for_room();
            }
        } else if old.has_room && !disk.has_room || self.slowest_write(now) > drawn_for * 2 {
            self.reset_election(now);
            self.election_deadline = self.election_deadline.max(deadline);
        } else if !old.has_room && disk.has_room {
            self.reset_election(now);
            self.election_deadline = self.election_deadline.min(deadline);
        }
        mark.check(self);
    }

    /// What another says of its disk.
    pub(crate) fn hear_disk(&mut self, now: Instant, disk: DiskHealth) {
        self.pace.hear(now, disk.sync_time, &self.config);
    }

    fn slowest_write(&self, now: Instant) -> Duration {
        self.disk.sync_time.max(self.pace.told(now, &self.config))
    }

    /// A new wait before this node campaigns.
    pub(crate) fn reset_election(&mut self, now: Instant) {
        let (min, max) = (
            self.config.election_timeout_min,
            self.config.election_timeout_max,
        );
        let drawn = self.random.between(min, max);
        let write = self.slowest_write(now);
        self.pace.drawn_for = write;
        // Of the drawn one a multiple, so that what spreads the candidates grows with what they take.
        let writes = write.saturating_mul(WRITES_AN_ELECTION).as_nanos();
        let more = drawn.as_nanos().saturating_mul(writes) / min.as_nanos().max(1);
        let more = Duration::from_nanos(u64::try_from(more).unwrap_or(u64::MAX));
        let wait = drawn.saturating_add(more).min(drawn * STRETCH_MAX);
        let full = if self.disk.has_room { 0 } else { FULL_TIMEOUTS };
        self.election_deadline = now.plus(wait.saturating_add(drawn * full));
    }
}

/// A node waits at most so many of its drawn timeouts for the sake of slow disks.
const STRETCH_MAX: u32 = 8;
/// What another has told of its disk counts by half after so many of the longest timeouts.
const HALF_LIFE: u32 = 8;
/// A vote may wait behind a write that is under way, and what is behind both must not be missed.
const WRITES_AN_ELECTION: u32 = 3;
/// A node without room waits so many of its drawn timeouts more: others with room are first, even
/// when their disks are slow, and if there are none it may hold the only whole log.
const FULL_TIMEOUTS: u32 = STRETCH_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::new(crate::NodeId(1), [1, 2, 3].map(crate::NodeId))
    }

    fn node() -> Raft {
        let nothing = crate::Recovered {
            vote: None,
            start: crate::LogId::ZERO,
            snapshot: None,
            entries: core::iter::empty::<Result<crate::Entry, core::convert::Infallible>>(),
        };
        Raft::new(config(), nothing, Instant::ZERO).expect("an empty disk")
    }

    /// How long a node waits whose own disk, and another one, need so many milliseconds.
    fn wait(own: u64, told: u64, has_room: bool) -> Duration {
        let mut node = node();
        node.disk.sync_time = Duration::from_millis(own);
        node.disk.has_room = has_room;
        let disk = DiskHealth {
            sync_time: Duration::from_millis(told),
            ..DiskHealth::default()
        };
        node.hear_disk(Instant::ZERO, disk);
        node.reset_election(Instant::ZERO);
        node.election_deadline.since(Instant::ZERO)
    }

    #[test]
    fn a_wait_grows_with_the_slowest_disk_to_eight_times() {
        let drawn = wait(0, 0, true);
        assert!(drawn >= config().election_timeout_min && drawn < config().election_timeout_max);
        assert_eq!(
            wait(50, 0, true),
            drawn * 2,
            "three writes are the least timeout"
        );
        assert_eq!(wait(0, 50, true), drawn * 2);
        assert_eq!(wait(400, 20, true), drawn * STRETCH_MAX);
        assert_eq!(
            wait(0, u64::MAX, true),
            drawn * STRETCH_MAX,
            "a liar's word"
        );
        assert_eq!(wait(u64::MAX, 0, true), drawn * STRETCH_MAX);
        assert_eq!(wait(0, 0, false), drawn * (1 + FULL_TIMEOUTS));
    }

    #[test]
    fn what_was_told_is_forgotten_by_and_by() {
        let (mut pace, config) = (Pace::default(), config());
        let half_life = config.election_timeout_max * HALF_LIFE;
        let ms = Duration::from_millis;
        pace.hear(Instant::ZERO, ms(80), &config);
        let at = |count: u32| Instant::ZERO.plus(half_life * count);
        assert_eq!(pace.told(at(1), &config), ms(40));
        assert_eq!(pace.told(at(3), &config), ms(10));
        pace.hear(at(3), ms(9), &config);
        assert_eq!(pace.told(at(3), &config), ms(10), "the slowest counts");
        pace.hear(at(3), ms(11), &config);
        assert_eq!(pace.told(at(4), &config), ms(11) / 2);
        assert_eq!(pace.told(at(40), &config), Duration::ZERO);
        assert_eq!(pace.told(at(1000), &config), Duration::ZERO);
    }

    #[test]
    fn a_disk_that_turns_slow_lengthens_the_wait_that_runs() {
        let mut node = node();
        let before = node.election_deadline;
        let slow = |ms| DiskHealth {
            sync_time: Duration::from_millis(ms),
            ..DiskHealth::default()
        };
        node.handle_disk(Instant::ZERO, slow(100));
        let longer = node.election_deadline;
        assert!(longer > before);
        // A little more does not put it off again and again.
        (101..200).for_each(|ms| node.handle_disk(Instant::ZERO, slow(ms)));
        assert_eq!(node.election_deadline, longer);
    }

    #[test]
    fn space_shortens_the_wait_that_its_lack_lengthened() {
        let mut node = node();
        let normal = node.election_deadline;
        let full = DiskHealth {
            has_room: false,
            ..DiskHealth::default()
        };
        node.handle_disk(Instant::ZERO, full);
        assert!(node.election_deadline > normal.plus(config().election_timeout_max));
        node.handle_disk(Instant::ZERO, DiskHealth::default());
        let end = Instant::ZERO.plus(config().election_timeout_max);
        assert!(node.election_deadline < end);
    }
    #[test]
    fn slow_disks_leave_the_time_for_which_a_leader_is_heard() {
        let mut node = node();
        let slow = DiskHealth {
            sync_time: Duration::from_secs(1),
            ..DiskHealth::default()
        };
        node.handle_disk(Instant::ZERO, slow);
        node.hear_disk(Instant::ZERO, slow);
        if let Duty::Follower(follower) = &mut node.duty {
            follower.leader = Some(crate::NodeId(2));
            follower.heard = Some(Instant::ZERO);
        }
        let end = Instant::ZERO.plus(config().election_timeout_min);
        let before = Instant::ZERO.plus(config().election_timeout_min - Duration::from_nanos(1));
        assert!(
            node.hears_a_leader(before),
            "others are refused for as long as ever"
        );
        assert!(!node.hears_a_leader(end), "and no longer");
    }
}
