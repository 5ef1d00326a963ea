//! Random world options: which kinds of faults occur, and how often.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::rng::Rng;
use crate::world::fault::FaultKind;
use crate::world::options::WorldOptions;

/// Draws [`WorldOptions`] from a seed.
///
/// Each seed selects a subset of the kinds of faults, from few to most, with a random rate for
/// each. Omitting kinds finds more bugs than enabling all of them, because many bugs need one kind
/// often and another one not at all (Groce et al., Swarm testing, ISSTA 2012). Each kind has its
/// own generator: forbidding one does not change the draws of the others.
///
/// ```
/// use std::time::Duration;
/// use synod_sim::{FaultKind, Swarm};
///
/// let swarm = Swarm::new(Duration::from_secs(5)).without(FaultKind::Rot);
/// let options = swarm.draw(7);
/// assert_eq!(options, swarm.draw(7));
/// println!("{options}");           // what was drawn, to stand beside the seed of a failure
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swarm {
    /// How long faults are injected: an enabled kind occurs about one to sixteen times within it.
    horizon: Duration,
    kinds: BTreeSet<FaultKind>,
}

impl Swarm {
    /// A swarm of all kinds, for runs whose faults last as long as `horizon`.
    #[must_use]
    pub fn new(horizon: Duration) -> Self {
        Self {
            horizon,
            kinds: FaultKind::ALL.into(),
        }
    }

    /// Never draws this kind.
    #[must_use]
    pub fn without(mut self, kind: FaultKind) -> Self {
        self.kinds.remove(&kind);
        self
    }

    /// The world of this seed.
    #[must_use]
    pub fn draw(&self, seed: u64) -> WorldOptions {
        let mut rng = Rng::new(seed ^ SWARM_SEED);
        let mut options = WorldOptions::default();
        let micros = Duration::from_micros;
        options.delay_min = micros(50 << rng.below(4));
        options.delay_mean = micros(100 << rng.below(6));
        options.sync_min = micros(50 << rng.below(3));
        options.sync_mean = micros(50 << rng.below(6));
        options.restart_after = Some(self.between(64, 8, &mut rng));
        options.down_max = if rng.chance(0.5) { 1 } else { usize::MAX };
        options.power_loss_share = [0.0, 0.5, 0.5, 1.0][rng.index(4)];
        options.one_way_share = [0.0, 0.3, 0.3, 1.0][rng.index(4)];
        options.uptime_max = Duration::from_secs(3600);
        let share = 0.1 + 0.8 * rng.fraction();
        for kind in FaultKind::ALL {
            let mut rng = rng.fork();
            if rng.chance(share) && self.kinds.contains(&kind) {
                self.draw_kind(kind, &mut options, &mut rng);
            }
        }
        options
    }

    fn draw_kind(&self, kind: FaultKind, options: &mut WorldOptions, rng: &mut Rng) {
        let strikes = 1 << rng.below(5);
        let (lasts, every) = (
            self.between(256, 4, rng),
            self.horizon / strikes + self.between(64, 16, rng),
        );
        if let Some(slot) = options.every_mut(kind) {
            // The whole group without power is rare enough to be drawn rarely.
            *slot = Some(match kind {
                FaultKind::PowerAll => every * 2,
                _ => every,
            });
        }
        match kind {
            FaultKind::Loss => options.loss = 0.3 * rng.fraction() * rng.fraction(),
            FaultKind::Duplication => options.duplication = 0.5 * rng.fraction() * rng.fraction(),
            FaultKind::OldCopy => {
                options.old_copies = 0.02 * rng.fraction();
                options.old_copies_after = self.between(8, 2, rng);
            }
            FaultKind::FullLink => options.link_messages_max = 2 << rng.below(5),
            FaultKind::Pause => options.pause_lasts = lasts,
            FaultKind::Partition => options.partition_lasts = self.between(32, 2, rng),
            FaultKind::Clog => options.clog_lasts = lasts,
            FaultKind::Drift => options.drift_ppm_max = 10_u32.pow(1 + rng.below(5) as u32),
            FaultKind::Freeze => options.freeze_lasts = lasts,
            FaultKind::Jump => options.jump_by = lasts,
            FaultKind::Step => {
                options.step_by = lasts;
                options.wall_offset_max = self.between(256, 1, rng);
            }
            FaultKind::DiskStall => options.disk_stall_lasts = lasts,
            FaultKind::DiskFull => options.disk_full_lasts = self.between(64, 2, rng),
            FaultKind::Crash | FaultKind::PowerAll | FaultKind::SyncError | FaultKind::Rot => {}
        }
    }

    /// A part of the horizon, from one in `least` to one in `most`, small ones as likely as large.
    fn between(&self, least: u32, most: u32, rng: &mut Rng) -> Duration {
        let doublings = (least / most).ilog2();
        let part = self.horizon / (least >> rng.below(u64::from(doublings) + 1));
        part.mul_f64(0.75 + 0.5 * rng.fraction())
    }
}

const SWARM_SEED: u64 = 0x6a09_e667_f3bc_c908;
