//! Every detector, with every setting, in every world.

use super::cluster::{Cluster, WATCHED, WATCHER};
use super::measures::Measures;
use super::pair::{HEARTBEAT, Heartbeats, PEER};
use super::traces::{Trace, traces};
use std::time::Duration;
use synod_transport::NodeId;
use synod_transport::detector::{
    Deadline, DeadlineSettings, GossipSettings, Instant, PhiAccrual, PhiSettings, SettingsError,
};

/// A kind of detector, with a curve of its own in the plot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Fixed,
    Growing,
    Phi,
    Accepting,
    Gossip,
}

/// One setting of a detector in one world.
pub(crate) struct Run {
    pub(crate) family: Family,
    pub(crate) setting: String,
    pub(crate) in_table: bool,
    pub(crate) measures: Measures,
}

/// All of it, world by world.
pub(crate) fn all() -> Result<Vec<(Trace, Vec<Run>)>, SettingsError> {
    let mut all = Vec::new();
    for (trace, seed) in traces().into_iter().zip(SEED..) {
        let mut runs = pairs(trace, seed)?;
        runs.extend(clusters(trace, seed)?);
        all.push((trace, runs));
    }
    Ok(all)
}

fn pairs(trace: Trace, seed: u64) -> Result<Vec<Run>, SettingsError> {
    let heartbeats = Heartbeats::new(trace, seed, PAIR_LENGTH);
    let (begin, peers) = (Instant::default(), [PEER]);
    let mut runs = Vec::new();
    for (tenths, in_table) in DEADLINES {
        let timeout = HEARTBEAT * tenths / 10;
        let mut settings = DeadlineSettings::of(HEARTBEAT);
        (settings.timeout_first, settings.growth) = (timeout, Duration::ZERO);
        let measures = heartbeats.measure(Deadline::new(begin, peers, settings)?);
        runs.push(Run {
            family: Family::Fixed,
            setting: format!("{:.1} s", timeout.as_secs_f64()),
            in_table,
            measures,
        });
    }
    let growing = DeadlineSettings {
        timeout_first: HEARTBEAT * 3 / 2,
        growth: HEARTBEAT / 2,
        ..DeadlineSettings::of(HEARTBEAT)
    };
    runs.push(Run {
        family: Family::Growing,
        setting: "1.5 s, 0.5 s more a mistake".into(),
        in_table: true,
        measures: heartbeats.measure(Deadline::new(begin, peers, growing)?),
    });
    for (threshold, accepted, in_table) in PHIS {
        let mut settings = PhiSettings::of(HEARTBEAT);
        (settings.threshold, settings.pause_accepted) = (threshold, HEARTBEAT * accepted);
        let measures = heartbeats.measure(PhiAccrual::new(begin, peers, settings)?);
        let (family, accepts) = match accepted {
            0 => (Family::Phi, String::new()),
            _ => (Family::Accepting, format!(", {accepted} s accepted")),
        };
        runs.push(Run {
            family,
            setting: format!("{threshold}{accepts}"),
            in_table,
            measures,
        });
    }
    Ok(runs)
}

fn clusters(trace: Trace, seed: u64) -> Result<Vec<Run>, SettingsError> {
    let mut runs = Vec::new();
    for (tenths, in_table) in REFUTES {
        let mut settings = GossipSettings::of(HEARTBEAT, 0);
        settings.refute_max = HEARTBEAT * tenths / 10;
        let cluster = Cluster::new(trace, seed, NODES, settings)?;
        runs.push(Run {
            family: Family::Gossip,
            setting: format!("{:.1} s", settings.refute_max.as_secs_f64()),
            in_table,
            measures: measure(trace, cluster),
        });
    }
    Ok(runs)
}

/// Where somebody stands still, of those pairs only that it is about.
fn measure(trace: Trace, mut cluster: Cluster) -> Measures {
    let counts = |watcher, peer| {
        (trace.watcher.is_none() || watcher == WATCHER)
            && (trace.sender.is_none() || peer == WATCHED)
    };
    let mut measures = Measures::default();
    for crash in 1..=CRASHES {
        cluster.run(CLUSTER_LENGTH * crash / (CRASHES + 1));
        let id = match trace.sender {
            Some(_) => WATCHED,
            None => NodeId(2 + u64::from(crash) % (NODES - 1)),
        };
        let detected = cluster.clone().crash(id, CRASH_TIMEOUT).into_iter();
        detected
            .filter(|(watcher, _)| counts(*watcher, id))
            .for_each(|(_, after)| measures.detected(after));
    }
    cluster.run(CLUSTER_LENGTH);
    let end = cluster.now();
    for ((watcher, peer), record) in cluster.into_records() {
        if counts(watcher, peer) {
            measures.add(record, end);
        }
    }
    measures
}

/// In tenths of a heartbeat, and whether the table has it.
const DEADLINES: [(u32, bool); 8] = [
    (12, false),
    (15, true),
    (20, false),
    (25, true),
    (35, false),
    (50, true),
    (70, false),
    (100, false),
];
/// Thresholds, and the pause that is accepted, in heartbeats.
const PHIS: [(f64, u32, bool); 9] = [
    (1.0, 0, false),
    (3.0, 0, true),
    (8.0, 0, true),
    (16.0, 0, false),
    (32.0, 0, false),
    (8.0, 1, true),
    (8.0, 2, false),
    (8.0, 4, true),
    (8.0, 7, false),
];
const REFUTES: [(u32, bool); 5] = [(0, false), (10, true), (20, false), (40, true), (80, false)];
const SEED: u64 = 2002;
pub(crate) const NODES: u64 = 5;
pub(crate) const PAIR_LENGTH: Duration = Duration::from_secs(86_400);
pub(crate) const CLUSTER_LENGTH: Duration = Duration::from_secs(2 * 3_600);
const CRASHES: u32 = 20;
const CRASH_TIMEOUT: Duration = Duration::from_secs(100);
