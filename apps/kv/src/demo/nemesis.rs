//! What is done to the cluster while the load runs.

use std::time::Duration;

use tokio::{
    sync::oneshot,
    time::{sleep, timeout},
};

use crate::{
    cluster::{Cluster, ClusterError},
    demo::{progress::Progress, workload::Workload},
};

/// One blow, and how long the cluster took to stand up again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Blow {
    pub(crate) how: How,
    /// Whom it struck.
    pub(crate) what: String,
    /// Since the start of the load.
    pub(crate) at: Duration,
    /// From the blow to the first acknowledgement of a write that was asked after it. Of what takes a while: the
    /// longest time in it in which no write was acknowledged.
    pub(crate) leaderless: Duration,
    /// Whether there was one; if not, `leaderless` is how long was waited.
    pub(crate) recovered: bool,
}

/// What kind of blow it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Killed,
    /// Links were cut, and have swallowed so many messages.
    Cut {
        swallowed: u64,
    },
    /// It was asked to stop, and was started again.
    Restarted,
    /// Another node has taken its place.
    Replaced,
    /// Its disk stalled, and kept somebody waiting so often.
    Stalled {
        met: u64,
    },
    /// Its disk was full, and refused so often.
    Filled {
        met: u64,
    },
}

impl How {
    /// Whether it has done anything.
    pub(crate) fn struck(self) -> bool {
        match self {
            Self::Killed | Self::Restarted | Self::Replaced => true,
            Self::Cut { swallowed: count }
            | Self::Stalled { met: count }
            | Self::Filled { met: count } => count > 0,
        }
    }
}

/// Kills the leader a third of the way in and all nodes at two thirds, with SIGKILL, and starts
/// them again.
pub(crate) async fn torment(
    cluster: &mut Cluster,
    workload: &Workload,
    progress: &Progress,
    load: Duration,
) -> Result<Vec<Blow>, ClusterError> {
    sleep((load / 3).saturating_sub(workload.now())).await;
    let leader = cluster.leader(TIMEOUT).await?;
    let first = strike(
        cluster,
        workload,
        progress,
        format!("leader, node {leader}"),
        &[leader],
        After::Recovery,
    )
    .await?;

    sleep((load * 2 / 3).saturating_sub(workload.now())).await;
    let all = cluster.ids();
    let second = strike(
        cluster,
        workload,
        progress,
        format!("all {} nodes", all.len()),
        &all,
        After::Death,
    )
    .await?;
    Ok(vec![first, second])
}

/// When the dead are started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// When the others serve without them, so that the time measured is that of an election.
    Recovery,
    /// At once.
    Death,
}

async fn strike(
    cluster: &mut Cluster,
    workload: &Workload,
    progress: &Progress,
    what: String,
    ids: &[u64],
    restart: After,
) -> Result<Blow, ClusterError> {
    let at = workload.now();
    cluster.kill(ids).await?;
    // Only a write that is asked when they are surely dead shows that somebody else serves.
    let recovery = workload.next_write();
    progress.say(&format!("{what}: killed"));
    if restart == After::Death {
        ids.iter().try_for_each(|id| cluster.restart(*id))?;
    }
    let (leaderless, recovered) = recover(workload, progress, &what, at, recovery).await;
    if restart == After::Recovery {
        ids.iter().try_for_each(|id| cluster.restart(*id))?;
    }
    Ok(Blow {
        how: How::Killed,
        what,
        at,
        leaderless,
        recovered,
    })
}

/// Waits until somebody serves again, for some time: how long that took since `at`, and whether it came to it.
pub(crate) async fn recover(
    workload: &Workload,
    progress: &Progress,
    what: &str,
    at: Duration,
    recovery: oneshot::Receiver<Duration>,
) -> (Duration, bool) {
    let first = timeout(TIMEOUT, recovery).await;
    let recovered = matches!(first, Ok(Ok(_)));
    let leaderless = match first {
        Ok(Ok(first)) => first.saturating_sub(at),
        _ => workload.now().saturating_sub(at),
    };
    progress.say(&format!(
        "{what}: {} ms without a leader",
        leaderless.as_millis()
    ));
    (leaderless, recovered)
}

/// For a leader: elections take well under a second, unless something is wrong.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
