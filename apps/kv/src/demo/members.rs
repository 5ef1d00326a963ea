//! All nodes are replaced, while the load runs: the first after its death, the others while they run, also the leader.

use std::{fs, time::Duration};

use tokio::time::sleep;

use crate::{
    cluster::{Cluster, ClusterError},
    demo::{
        nemesis::{Blow, How},
        progress::Progress,
        rolling::READY_TIMEOUT,
        workload::Workload,
    },
};

/// Replaces each node by a new one, and tells for each the longest pause until the new one serves.
pub(crate) async fn replace_all(
    cluster: &mut Cluster,
    workload: &Workload,
    progress: &Progress,
    load: Duration,
) -> Result<Vec<Blow>, ClusterError> {
    let mut blows = Vec::new();
    let founders = cluster.ids();
    let turns = founders.len() as u32 + 1;
    for (old, turn) in founders.into_iter().zip(1..) {
        sleep((load * turn / turns).saturating_sub(workload.now())).await;
        let leads = cluster.leader(READY_TIMEOUT).await? == old;
        let at = workload.now();
        workload.watch_pause();
        let mut what = if leads {
            format!("leader, node {old}")
        } else {
            format!("node {old}")
        };
        let is_dead = turn == 1;
        if is_dead {
            what += ", dead,";
            cluster.kill(&[old]).await?;
            // Its disk is gone with it.
            let _absent = fs::remove_dir_all(cluster.data(old));
        }
        let new = cluster.join()?;
        what += &format!(" by node {new}");
        progress.say(&format!("{what}: begins"));
        let words = format!("MEMBER REPLACE {old} {new} {}", cluster.peer_address(new));
        cluster.manage(&words, CHANGE_TIMEOUT).await?;
        workload.replace(cluster.address(old), cluster.address(new));
        match is_dead {
            true => cluster.forget(old),
            false => cluster.leaves(old).await?,
        }
        cluster.ready(READY_TIMEOUT).await?;
        let leaderless = workload.pause();
        progress.say(&format!(
            "{what}: done, {} ms without an acknowledged write",
            leaderless.as_millis()
        ));
        blows.push(Blow {
            how: How::Replaced,
            what,
            at,
            leaderless,
            recovered: true,
        });
    }
    Ok(blows)
}

/// A new node receives everything first.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(30);
