//! The options of a world.

use std::fmt;
use std::time::Duration;

use crate::world::fault::FaultKind;
use crate::world::script::{Script, Seconds};

/// The behaviour of the network, and the rates of faults.
///
/// By default there are no faults: delays and syncs take time, so messages overtake one another,
/// but nothing is lost and no process crashes. A field ending in `_every` is the mean of the
/// exponentially distributed time between two faults of its kind; `None`: never. Each kind has its
/// own generator, so that switching one off does not change the draws of the others. A field ending
/// in `_lasts` is a mean too.
///
/// ```
/// use std::time::Duration;
/// use synod_sim::WorldOptions;
///
/// let mut options = WorldOptions::default();
/// options.loss = 0.05;
/// options.crash_every = Some(Duration::from_secs(2));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct WorldOptions {
    /// The least time a message takes.
    pub delay_min: Duration,
    /// Mean of the time, exponentially distributed, that it takes beyond that.
    pub delay_mean: Duration,
    /// Probability that a message is lost.
    pub loss: f64,
    /// Probability that a message comes twice, each copy with a delay of its own.
    pub duplication: f64,
    /// Probability that a copy of a message, lost or not, is kept by the network for long.
    pub old_copies: f64,
    /// Mean of the time after which such a copy comes, exponentially distributed.
    pub old_copies_after: Duration,
    /// The capacity of a link in messages; when it is full, a random one is dropped for the next.
    pub link_messages_max: usize,
    /// The least time a sync takes.
    pub sync_min: Duration,
    /// Mean of the time, exponentially distributed, that it takes beyond that.
    pub sync_mean: Duration,
    /// Crashes of a node that is up: at once, in its next step, or in one of its next operations on
    /// the disk.
    pub crash_every: Option<Duration>,
    /// Probability that such a crash is a power loss rather than a kill.
    pub power_loss_share: f64,
    /// The nemesis does not crash a node while this many are down or doomed.
    pub down_max: usize,
    /// Mean time after which a node that crashed, by the nemesis or by its own error, starts again;
    /// `None`: it stays down.
    pub restart_after: Option<Duration>,
    /// Power losses of all nodes at once.
    pub power_all_every: Option<Duration>,
    /// Pauses of a node.
    pub pause_every: Option<Duration>,
    /// How long a pause lasts.
    pub pause_lasts: Duration,
    /// Partitions, one at a time: two sides of any sizes, one node (the one that leads, see
    /// [`Process::leads`](crate::Process::leads), or any) apart from the rest, or two sides that
    /// only one node connects.
    pub partition_every: Option<Duration>,
    /// How long a partition lasts.
    pub partition_lasts: Duration,
    /// Probability that a partition cuts only one direction.
    pub one_way_share: f64,
    /// Clogs: of one link, or of all links of some nodes, one node after the other, which come free
    /// in another order.
    pub clog_every: Option<Duration>,
    /// How long a clog lasts.
    pub clog_lasts: Duration,
    /// Changes of a node's drift.
    pub drift_every: Option<Duration>,
    /// Drifts are drawn between minus this and this, in parts per million; each node begins with
    /// one.
    pub drift_ppm_max: u32,
    /// Clocks that stand still.
    pub freeze_every: Option<Duration>,
    /// How long a clock stands still.
    pub freeze_lasts: Duration,
    /// Clocks that leap forward.
    pub jump_every: Option<Duration>,
    /// How far a clock leaps, on average.
    pub jump_by: Duration,
    /// Wall clocks that are set, forward or back.
    pub step_every: Option<Duration>,
    /// How far a wall clock is set, on average.
    pub step_by: Duration,
    /// Each wall clock begins at most this far off, forward or back.
    pub wall_offset_max: Duration,
    /// Each monotonic clock begins at most this far ahead of the world's time.
    pub uptime_max: Duration,
    /// Stalls of a disk.
    pub disk_stall_every: Option<Duration>,
    /// How long a stall lasts.
    pub disk_stall_lasts: Duration,
    /// Syncs that fail.
    pub sync_error_every: Option<Duration>,
    /// Disks that are full.
    pub disk_full_every: Option<Duration>,
    /// How long a disk is full.
    pub disk_full_lasts: Duration,
    /// Rot of a disk, where [`Process::rot`](crate::Process::rot) lets it.
    pub rot_every: Option<Duration>,
    /// How many disks may rot; which, is drawn when the world begins. `None`: the largest minority.
    pub rot_nodes_max: Option<usize>,
    /// Injects these faults instead of ones drawn by the nemesis. Loss, duplication, old copies and
    /// full links still apply, and so do the initial drifts and offsets of clocks.
    pub script: Option<Script>,
    /// How many of the last events are kept.
    pub events_kept_max: usize,
}

impl Default for WorldOptions {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self {
            delay_min: Duration::from_micros(200),
            delay_mean: Duration::from_micros(800),
            loss: 0.0,
            duplication: 0.0,
            old_copies: 0.0,
            old_copies_after: ms(3000),
            link_messages_max: usize::MAX,
            sync_min: Duration::from_micros(150),
            sync_mean: Duration::from_micros(100),
            crash_every: None,
            power_loss_share: 0.5,
            down_max: usize::MAX,
            restart_after: Some(ms(200)),
            power_all_every: None,
            pause_every: None,
            pause_lasts: ms(500),
            partition_every: None,
            partition_lasts: ms(500),
            one_way_share: 0.3,
            clog_every: None,
            clog_lasts: ms(300),
            drift_every: None,
            drift_ppm_max: 0,
            freeze_every: None,
            freeze_lasts: ms(300),
            jump_every: None,
            jump_by: ms(300),
            step_every: None,
            step_by: ms(1000),
            wall_offset_max: Duration::ZERO,
            uptime_max: Duration::ZERO,
            disk_stall_every: None,
            disk_stall_lasts: ms(300),
            sync_error_every: None,
            disk_full_every: None,
            disk_full_lasts: ms(500),
            rot_every: None,
            rot_nodes_max: None,
            script: None,
            events_kept_max: 100,
        }
    }
}

impl WorldOptions {
    /// Whether faults of this kind can occur.
    #[must_use]
    pub fn has(&self, kind: FaultKind) -> bool {
        let strikes = match &self.script {
            Some(script) => script.0.iter().any(|(_, fault)| fault.kind() == kind),
            None => self.every(kind).is_some(),
        };
        strikes
            || match kind {
                FaultKind::Loss => self.loss > 0.0,
                FaultKind::Duplication => self.duplication > 0.0,
                FaultKind::OldCopy => self.old_copies > 0.0,
                FaultKind::FullLink => self.link_messages_max < usize::MAX,
                FaultKind::Drift => self.drift_ppm_max > 0,
                FaultKind::Step => self.wall_offset_max > Duration::ZERO,
                _ => false,
            }
    }

    /// Removes faults of this kind, both drawn and in the script.
    pub fn switch_off(&mut self, kind: FaultKind) {
        if let Some(every) = self.every_mut(kind) {
            *every = None;
        }
        if let Some(script) = &mut self.script {
            script.0.retain(|(_, fault)| fault.kind() != kind);
        }
        match kind {
            FaultKind::Loss => self.loss = 0.0,
            FaultKind::Duplication => self.duplication = 0.0,
            FaultKind::OldCopy => self.old_copies = 0.0,
            FaultKind::FullLink => self.link_messages_max = usize::MAX,
            FaultKind::Drift => self.drift_ppm_max = 0,
            FaultKind::Step => self.wall_offset_max = Duration::ZERO,
            _ => {}
        }
    }

    /// The mean time between two strikes of a kind that the nemesis draws.
    #[must_use]
    pub fn every(&self, kind: FaultKind) -> Option<Duration> {
        match kind {
            FaultKind::Crash => self.crash_every,
            FaultKind::PowerAll => self.power_all_every,
            FaultKind::Pause => self.pause_every,
            FaultKind::Partition => self.partition_every,
            FaultKind::Clog => self.clog_every,
            FaultKind::Drift => self.drift_every,
            FaultKind::Freeze => self.freeze_every,
            FaultKind::Jump => self.jump_every,
            FaultKind::Step => self.step_every,
            FaultKind::DiskStall => self.disk_stall_every,
            FaultKind::SyncError => self.sync_error_every,
            FaultKind::DiskFull => self.disk_full_every,
            FaultKind::Rot => self.rot_every,
            FaultKind::Loss | FaultKind::Duplication | FaultKind::OldCopy | FaultKind::FullLink => {
                None
            }
        }
    }

    /// How many of so many disks may rot.
    pub(crate) fn rotting_max(&self, nodes: usize) -> usize {
        let minority = nodes.saturating_sub(1) / 2;
        self.rot_nodes_max.unwrap_or(minority)
    }

    pub(super) fn every_mut(&mut self, kind: FaultKind) -> Option<&mut Option<Duration>> {
        Some(match kind {
            FaultKind::Crash => &mut self.crash_every,
            FaultKind::PowerAll => &mut self.power_all_every,
            FaultKind::Pause => &mut self.pause_every,
            FaultKind::Partition => &mut self.partition_every,
            FaultKind::Clog => &mut self.clog_every,
            FaultKind::Drift => &mut self.drift_every,
            FaultKind::Freeze => &mut self.freeze_every,
            FaultKind::Jump => &mut self.jump_every,
            FaultKind::Step => &mut self.step_every,
            FaultKind::DiskStall => &mut self.disk_stall_every,
            FaultKind::SyncError => &mut self.sync_error_every,
            FaultKind::DiskFull => &mut self.disk_full_every,
            FaultKind::Rot => &mut self.rot_every,
            FaultKind::Loss | FaultKind::Duplication | FaultKind::OldCopy | FaultKind::FullLink => {
                return None;
            }
        })
    }
}

/// What is on, in one line, and the script below it.
impl fmt::Display for WorldOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |time: Duration| Seconds(time).to_string();
        write!(
            f,
            "delay {}+{}, sync {}+{}",
            time(self.delay_min),
            time(self.delay_mean),
            time(self.sync_min),
            time(self.sync_mean)
        )?;
        match self.restart_after {
            Some(after) => write!(f, ", restart after {}", time(after))?,
            None => write!(f, ", no restart")?,
        }
        if self.down_max < usize::MAX {
            write!(f, ", at most {} down", self.down_max)?;
        }
        if self.uptime_max > Duration::ZERO {
            write!(f, ", uptime up to {}", time(self.uptime_max))?;
        }
        for kind in FaultKind::ALL {
            if !self.has(kind) {
                continue;
            }
            match self.every(kind).filter(|_| self.script.is_none()) {
                Some(every) => write!(f, ", {kind} every {}", time(every))?,
                None => write!(f, ", {kind}")?,
            }
            let detail = self.detail(kind);
            if !detail.is_empty() {
                write!(f, " ({detail})")?;
            }
        }
        match &self.script {
            Some(script) => write!(f, "\n{script}"),
            None => Ok(()),
        }
    }
}

impl WorldOptions {
    /// How strong a kind is.
    fn detail(&self, kind: FaultKind) -> String {
        let (percent, time) = (
            |share: f64| format!("{:.1} %", share * 100.0),
            |time: Duration| Seconds(time).to_string(),
        );
        match kind {
            FaultKind::Loss => percent(self.loss),
            FaultKind::Duplication => percent(self.duplication),
            FaultKind::OldCopy => format!(
                "{} after {}",
                percent(self.old_copies),
                time(self.old_copies_after)
            ),
            FaultKind::FullLink => format!("{} messages", self.link_messages_max),
            FaultKind::Drift => format!("{} ppm", self.drift_ppm_max),
            FaultKind::Step => format!(
                "by {}, first {}",
                time(self.step_by),
                time(self.wall_offset_max)
            ),
            FaultKind::Rot => match self.rot_nodes_max {
                Some(max) => format!("on {max} nodes"),
                None => "on a minority".to_owned(),
            },
            _ if self.script.is_some() => String::new(),
            FaultKind::Crash => format!("power {}", percent(self.power_loss_share)),
            FaultKind::Pause => time(self.pause_lasts),
            FaultKind::Partition => format!(
                "{}, one way {}",
                time(self.partition_lasts),
                percent(self.one_way_share)
            ),
            FaultKind::Clog => time(self.clog_lasts),
            FaultKind::Freeze => time(self.freeze_lasts),
            FaultKind::Jump => time(self.jump_by),
            FaultKind::DiskStall => time(self.disk_stall_lasts),
            FaultKind::DiskFull => time(self.disk_full_lasts),
            FaultKind::PowerAll | FaultKind::SyncError => String::new(),
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loss => "loss",
            Self::Duplication => "duplication",
            Self::OldCopy => "old-copy",
            Self::FullLink => "full-link",
            Self::Crash => "crash",
            Self::PowerAll => "power-all",
            Self::Pause => "pause",
            Self::Partition => "partition",
            Self::Clog => "clog",
            Self::Drift => "drift",
            Self::Freeze => "freeze",
            Self::Jump => "jump",
            Self::Step => "step",
            Self::DiskStall => "disk-stall",
            Self::SyncError => "sync-error",
            Self::DiskFull => "disk-full",
            Self::Rot => "rot",
        })
    }
}
