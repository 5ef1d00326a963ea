//! Disks that stall or are full for a while, while the load runs: the leader's first, then one of another node.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::{
    client::Client,
    cluster::{Cluster, ClusterError},
    demo::{
        nemesis::{Blow, How, TIMEOUT},
        progress::Progress,
        rolling::READY_TIMEOUT,
        workload::Workload,
    },
    faults::DiskCommand,
    info::info_field,
};

/// What happens to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ailment {
    /// It stalls: the leader's until another node leads.
    Stalls,
    /// It is full: the leader's until that has given way to another, a follower's until its log has no space.
    IsFull,
}

/// Lets the leader's disk ail for as long as its [`Ailment`] says and a tenth of the load longer; then that of a node
/// that does not lead.
pub(crate) async fn ail(
    ailment: Ailment,
    cluster: &mut Cluster,
    workload: &Workload,
    progress: &Progress,
    load: Duration,
) -> Result<Vec<Blow>, ClusterError> {
    let mut blows = Vec::new();
    let (command, said) = match ailment {
        Ailment::Stalls => (DiskCommand::Stall, "its disk stalls"),
        Ailment::IsFull => (DiskCommand::Fill, "its disk is full"),
    };
    for (of_leader, turn) in [(true, 1), (false, 3)] {
        sleep((load * turn / 5).saturating_sub(workload.now())).await;
        let (id, what) = choose(cluster, of_leader).await?;
        let at = workload.now();
        workload.watch_pause();
        let before = cluster.command_disk(id, command).await?;
        progress.say(&format!("{what}: {said}"));
        let recovered = match (ailment, of_leader) {
            (Ailment::Stalls, true) => timeout(STALL_TIMEOUT, another_leads(cluster, id))
                .await
                .is_ok(),
            (Ailment::Stalls, false) => true,
            (Ailment::IsFull, _) => timeout(FULL_TIMEOUT, gives_way(cluster, id)).await.is_ok(),
        };
        sleep(load / 10).await;
        let met = cluster.command_disk(id, DiskCommand::Heal).await? - before;
        cluster.ready(READY_TIMEOUT).await?;
        let leaderless = workload.pause();
        let millis = leaderless.as_millis();
        progress.say(&format!(
            "{what}: its disk is well, {millis} ms without an acknowledged write"
        ));
        blows.push(Blow {
            how: match ailment {
                Ailment::Stalls => How::Stalled { met },
                Ailment::IsFull => How::Filled { met },
            },
            what,
            at,
            leaderless,
            recovered,
        });
    }
    Ok(blows)
}

/// Waits until another node leads than this one. Writes go on meanwhile as long as the others are a quorum.
async fn another_leads(cluster: &Cluster, id: u64) {
    while cluster
        .leader(TIMEOUT)
        .await
        .is_ok_and(|leader| leader == id)
    {
        sleep(POLL_EVERY).await;
    }
}

/// The leader, or a node that does not lead.
async fn choose(cluster: &Cluster, leader: bool) -> Result<(u64, String), ClusterError> {
    let leads = cluster.leader(TIMEOUT).await?;
    let other = cluster.ids().into_iter().find(|id| *id != leads);
    Ok(match (leader, other) {
        (false, Some(other)) => (other, format!("follower, node {other}")),
        _ => (leads, format!("leader, node {leads}")),
    })
}

/// Waits until a node says that its log has no space, and does not lead.
async fn gives_way(cluster: &Cluster, id: u64) {
    loop {
        let info = async {
            Client::connect(cluster.address(id))
                .await
                .ok()?
                .info()
                .await
                .ok()
        };
        if let Ok(Some(info)) = timeout(ASK_TIMEOUT, info).await {
            let full = info_field(&info, "disk_full_seconds").is_some_and(|full| !full.is_empty());
            if full && info_field(&info, "role") != Some("leader") {
                return;
            }
        }
        sleep(POLL_EVERY).await;
    }
}

/// A leader leads on for some seconds while others take what it sends.
const STALL_TIMEOUT: Duration = Duration::from_secs(15);
const FULL_TIMEOUT: Duration = Duration::from_secs(20);
const ASK_TIMEOUT: Duration = Duration::from_secs(1);
const POLL_EVERY: Duration = Duration::from_millis(20);
