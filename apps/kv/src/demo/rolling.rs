//! A rolling restart, while the load runs: each node is asked to stop and started again, one after the other.

use std::time::Duration;

use tokio::time::sleep;

use crate::{
    cluster::{Cluster, ClusterError},
    demo::{
        nemesis::{Blow, How},
        progress::Progress,
        workload::Workload,
    },
};

/// Restarts each node in its turn, and tells for each the longest pause until it serves again.
pub(crate) async fn roll(
    cluster: &mut Cluster,
    workload: &Workload,
    progress: &Progress,
    load: Duration,
) -> Result<Vec<Blow>, ClusterError> {
    let mut blows = Vec::new();
    let ids = cluster.ids();
    let turns = ids.len() as u32 + 1;
    for (id, turn) in ids.into_iter().zip(1..) {
        sleep((load * turn / turns).saturating_sub(workload.now())).await;
        let leads = cluster.leader(READY_TIMEOUT).await? == id;
        let what = if leads {
            format!("leader, node {id}")
        } else {
            format!("node {id}")
        };
        let at = workload.now();
        workload.watch_pause();
        progress.say(&format!("{what}: asked to stop"));
        cluster.stop(id).await?;
        cluster.restart(id)?;
        cluster.ready(READY_TIMEOUT).await?;
        let leaderless = workload.pause();
        progress.say(&format!(
            "{what}: serves again, {} ms without an acknowledged write",
            leaderless.as_millis()
        ));
        blows.push(Blow {
            how: How::Restarted,
            what,
            at,
            leaderless,
            recovered: true,
        });
    }
    Ok(blows)
}

/// Until a node that was started has caught up.
pub(crate) const READY_TIMEOUT: Duration = Duration::from_secs(20);
