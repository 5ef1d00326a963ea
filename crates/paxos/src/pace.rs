use core::time::Duration;

use crate::random::{Random, width};
use crate::{Config, DiskHealth, Instant};

/// How long a node waits before it campaigns: a random time, and longer where disks are slow. A
/// candidacy takes a write, and so does each promise. Where a write takes longer than an election
/// timeout, candidates would otherwise give up one after the other before they were answered.
///
/// Only the wait before a campaign is extended. A node in contact with a leader refuses other
/// candidates for as long as before, and a leader without contact with a quorum steps down as early
/// as before. Reports of peers about their disks extend the wait to at most [`STRETCH_MAX`] times
/// the random time, and their effect halves in each [`HALF_LIFE`] of election timeouts.
///
/// A node that has given up leadership for a cause waits longer as well, at most as long.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pace {
    random: Random,
    /// The width of the range of random times, in nanoseconds. Stored because a follower draws with
    /// each message from its leader.
    width_ns: u64,
    /// The longest write time that a peer reported, and when.
    told: Duration,
    told_at: Instant,
    /// The longest write time known when the present wait was drawn.
    drawn_for: Duration,
    /// How often in a row this node gave up leadership for a cause, and when it last did.
    given_up: u32,
    given_up_at: Instant,
}

impl Pace {
    /// Nodes may share a seed; their ids make them differ.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            random: Random::new(config.seed, config.id.0),
            width_ns: width(config.election_timeout_min, config.election_timeout_max),
            told: Duration::ZERO,
            told_at: Instant::ZERO,
            drawn_for: Duration::ZERO,
            given_up: 0,
            given_up_at: Instant::ZERO,
        }
    }

    /// Handles a peer's report on its disk.
    pub(crate) fn hear(&mut self, now: Instant, sync_time: Duration, config: &Config) {
        let sync_time = sync_time.min(config.election_timeout_max * STRETCH_MAX);
        if !sync_time.is_zero() && sync_time >= self.told(now, config) {
            self.told = sync_time;
            self.told_at = now;
        }
    }

    /// This node gives up leadership because it cannot do a leader's duty. For a time it is not the first
    /// to campaign: others get longer to be elected, and each time in a row twice as long. A node that
    /// gives up whenever it leads is not forgiven each time as if it were the first: the times in a row
    /// are counted for twice as long as it stands back.
    pub(crate) fn give_up(&mut self, now: Instant, config: &Config) {
        let in_a_row = match now.since(self.given_up_at) < self.stands_back_for(config) * 2 {
            true => self.given_up,
            false => 0,
        };
        self.given_up = u32::min(in_a_row + 1, GIVEN_UP_MAX);
        self.given_up_at = now;
    }

    /// Whether this node gave up leadership for a cause, and that is not forgiven.
    pub(crate) fn is_to_stand_back(&self, now: Instant, config: &Config) -> bool {
        self.given_up > 0 && now.since(self.given_up_at) < self.stands_back_for(config)
    }

    /// How long this node prefers others after it gave up. Long enough that a second node whose disk
    /// stalls is found out meanwhile: otherwise two of them would lead by turns.
    fn stands_back_for(&self, config: &Config) -> Duration {
        let elections = config.election_timeout_max * FORGIVEN_AFTER;
        let stalls = config.write_stall_max.saturating_mul(STALLS);
        elections.max(stalls).saturating_mul(1 << self.given_up)
    }

    /// How many drawn timeouts this node waits at least.
    fn timeouts(&self, now: Instant, config: &Config) -> u32 {
        match self.is_to_stand_back(now, config) {
            true => 1 << self.given_up,
            false => 1,
        }
    }

    /// Draws a new wait, given the state of this node's disk.
    #[inline]
    pub(crate) fn draw(&mut self, now: Instant, disk: DiskHealth, config: &Config) -> Duration {
        let drawn = self
            .random
            .within(config.election_timeout_min, self.width_ns);
        let write = self.slowest_write(now, disk, config);
        self.drawn_for = write;
        let timeouts = self.timeouts(now, config);
        if write.is_zero() && disk.has_room && timeouts == 1 {
            return drawn;
        }
        Self::stretch(drawn, write, disk, config).max(drawn * timeouts)
    }

    #[cold]
    fn stretch(drawn: Duration, write: Duration, disk: DiskHealth, config: &Config) -> Duration {
        // A multiple of the drawn time, so that the spread between candidates grows with the
        // duration of a campaign.
        let min = config.election_timeout_min;
        let mut wait = drawn;
        if !write.is_zero() {
            let writes = write.saturating_mul(WRITES_AN_ELECTION).as_nanos();
            let more = drawn.as_nanos().saturating_mul(writes) / min.as_nanos().max(1);
            let more = Duration::from_nanos(u64::try_from(more).unwrap_or(u64::MAX));
            wait = drawn.saturating_add(more).min(drawn * STRETCH_MAX);
        }
        let full = if disk.has_room { 0 } else { FULL_TIMEOUTS };
        wait.saturating_add(drawn * full)
    }

    /// Whether an election by a node of this disk may end within its time: a candidate that was invited
    /// has [`Config::election_timeout_max`].
    pub(crate) fn is_fast(sync_time: Duration, config: &Config) -> bool {
        sync_time.saturating_mul(WRITES_AN_ELECTION) < config.election_timeout_max
    }

    /// Whether writes take more than twice as long as when the present wait was drawn.
    pub(crate) fn is_outrun(&self, now: Instant, disk: DiskHealth, config: &Config) -> bool {
        self.slowest_write(now, disk, config) > self.drawn_for * 2
    }

    /// Resets what checkers that fire timers at will do not compare.
    pub(crate) fn forget_time(&mut self) {
        self.random.forget();
        self.told_at = Instant::ZERO;
        (self.given_up, self.given_up_at) = (0, Instant::ZERO);
    }

    #[inline]
    fn slowest_write(&self, now: Instant, disk: DiskHealth, config: &Config) -> Duration {
        disk.sync_time.max(self.told(now, config))
    }

    #[inline]
    fn told(&self, now: Instant, config: &Config) -> Duration {
        if self.told.is_zero() {
            return Duration::ZERO;
        }
        self.told_by(now, config)
    }

    /// What is left at `now` of the reported time.
    #[cold]
    fn told_by(&self, now: Instant, config: &Config) -> Duration {
        let half_life = config.election_timeout_max * HALF_LIFE;
        let halved = now.since(self.told_at).as_nanos() / half_life.as_nanos().max(1);
        let times = u32::try_from(halved).unwrap_or(u32::MAX);
        1u32.checked_shl(times)
            .map_or(Duration::ZERO, |by| self.told / by)
    }
}

/// A node waits at most this many of its drawn timeouts because of slow disks.
const STRETCH_MAX: u32 = 8;
/// A peer's report counts half after this many of the longest timeouts.
const HALF_LIFE: u32 = 8;
/// The writes of an election: a promise may wait behind a write in flight, and whatever follows
/// both must not be missed.
const WRITES_AN_ELECTION: u32 = 3;
/// Who gives up leadership so many times in a row waits for [`STRETCH_MAX`] timeouts, and no longer.
const GIVEN_UP_MAX: u32 = 3;
/// Twice as many of the longest timeouts after the first time, it is forgiven; and twice [`STALLS`]
/// times [`Config::write_stall_max`] after it, if that is longer.
const FORGIVEN_AFTER: u32 = 8;
const STALLS: u32 = 2;
/// A node without space waits this many drawn timeouts longer. Nodes with space come first, even
/// with slow disks; if there are none, this node may hold the only complete log.
const FULL_TIMEOUTS: u32 = STRETCH_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        let quorums = crate::Quorums::majority([1, 2, 3].map(crate::NodeId));
        Config::new(crate::NodeId(1), quorums.expect("three make majorities"))
    }

    /// The wait of a node when its own disk and a peer's need this many milliseconds for a write.
    fn wait(own: u64, told: u64, has_room: bool) -> Duration {
        let disk = DiskHealth {
            has_room,
            sync_time: Duration::from_millis(own),
        };
        let config = config();
        let mut pace = Pace::new(&config);
        pace.hear(Instant::ZERO, Duration::from_millis(told), &config);
        pace.draw(Instant::ZERO, disk, &config)
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
        let config = config();
        let mut pace = Pace::new(&config);
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
    fn who_gives_up_in_a_row_waits_twice_as_long_and_is_forgiven() {
        let config = Config {
            write_stall_max: config().election_timeout_max,
            ..config()
        };
        let (mut pace, disk) = (Pace::new(&config), DiskHealth::default());
        let (min, max) = (config.election_timeout_min, config.election_timeout_max);
        let mut now = Instant::ZERO;
        for times in [2, 4, 8, 8] {
            now = now.plus(max * 10);
            pace.give_up(now, &config);
            let wait = pace.draw(now, disk, &config);
            assert!(
                wait >= min * times && wait < max * times,
                "{times}: {wait:?}"
            );
        }
        let almost = now.plus(max * 63);
        assert!(pace.draw(almost, disk, &config) >= min * 8);
        now = now.plus(max * 64);
        assert!(pace.draw(now, disk, &config) < max, "forgiven");
        pace.give_up(now, &config);
        assert!(pace.draw(now, disk, &config) >= min * 8, "not forgotten");
        now = now.plus(max * 128);
        pace.give_up(now, &config);
        assert!(pace.draw(now, disk, &config) < max * 2, "forgotten");
    }

    #[test]
    fn two_nodes_whose_disks_stall_do_not_lead_by_turns() {
        let config = Config {
            write_stall_max: config().election_timeout_max * 100,
            ..config()
        };
        let mut first = Pace::new(&config);
        let start = Instant::ZERO.plus(config.write_stall_max);
        first.give_up(start, &config);
        // The second is elected, and found out no sooner than this.
        let second_gave_up = start.plus(config.write_stall_max + config.election_timeout_max * 8);
        assert!(first.is_to_stand_back(second_gave_up, &config));
    }
}
