//! What kind of world it is.

use std::time::Duration;

/// How the network behaves, and what goes wrong how often.
///
/// The default is a calm world: delays and syncs take time, so messages overtake one another, but
/// nothing is lost and nobody dies.
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
    /// The least time a sync takes.
    pub sync_min: Duration,
    /// Mean of the time, exponentially distributed, that it takes beyond that.
    pub sync_mean: Duration,
    /// Mean time between two crashes drawn by the world; `None` for no such crashes. Each strikes a
    /// node that is up: at once, in its next step, or in one of its next operations on the disk.
    pub crash_every: Option<Duration>,
    /// Probability that such a crash is a power loss rather than a kill.
    pub power_loss_share: f64,
    /// The world does not crash a node while this many are down or doomed.
    pub down_max: usize,
    /// Mean time after which a node that crashed, by the world's draw or by its own error, starts
    /// again; `None`: it stays down.
    pub restart_after: Option<Duration>,
    /// Mean time between two partitions; `None` for no partitions.
    pub partition_every: Option<Duration>,
    /// Mean time that a partition lasts.
    pub partition_lasts: Duration,
    /// Probability that a partition cuts only one direction.
    pub one_way_share: f64,
    /// How many of the last events are kept as text.
    pub events_kept_max: usize,
}

impl Default for WorldOptions {
    fn default() -> Self {
        Self {
            delay_min: Duration::from_micros(200),
            delay_mean: Duration::from_micros(800),
            loss: 0.0,
            duplication: 0.0,
            sync_min: Duration::from_micros(150),
            sync_mean: Duration::from_micros(100),
            crash_every: None,
            power_loss_share: 0.5,
            down_max: usize::MAX,
            restart_after: Some(Duration::from_millis(200)),
            partition_every: None,
            partition_lasts: Duration::from_millis(500),
            one_way_share: 0.3,
            events_kept_max: 100,
        }
    }
}

/// What has happened in a world, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorldStats {
    /// Events taken from the queue.
    pub events: u64,
    /// Messages that processes sent, before loss and duplication.
    pub sent: u64,
    /// Messages lost by [`WorldOptions::loss`].
    pub lost: u64,
    /// Messages that came to be two by [`WorldOptions::duplication`].
    pub duplicated: u64,
    /// Copies of messages dropped because a link was cut.
    pub cut: u64,
    /// Copies of messages that a process received.
    pub delivered: u64,
    /// Copies of messages, and inputs, for a node that was down or does not exist.
    pub undeliverable: u64,
    /// Times a process was started, with success or not.
    pub starts: u64,
    /// Times a process failed to start.
    pub start_failures: u64,
    /// Times a running process ended.
    pub crashes: u64,
    /// Those of them that were power losses.
    pub power_losses: u64,
    /// Crashes in a step that had messages to send, not all of which went out.
    pub crashes_before_send: u64,
    /// Crashes because the disk died or refused, or the process gave up.
    pub crashes_by_error: u64,
    /// Partitions drawn by the world.
    pub partitions: u64,
}
