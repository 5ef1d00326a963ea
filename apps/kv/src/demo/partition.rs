//! Partitions, while the load runs: links between the processes are cut and healed, in four ways in turn.

use std::time::Duration;

use synod_transport::NodeId;
use tokio::time::sleep;

use crate::{
    cluster::{Cluster, ClusterError},
    demo::{
        nemesis::{Blow, How, TIMEOUT, recover},
        progress::Progress,
        workload::Workload,
    },
    links::Command,
};

/// A way to take a leader from the others.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Nothing gets to it or from it.
    Alone,
    /// It hears the others, and they do not hear it.
    Unheard,
    /// They hear it, and it does not hear them.
    Deaf,
    /// It and one other do not reach each other, and all reach the rest: a bridge.
    Bridge,
}

/// Cuts links of the leader four times, each for a tenth of the load or until somebody serves, and heals them.
pub(crate) async fn part(
    cluster: &mut Cluster,
    workload: &Workload,
    progress: &Progress,
    load: Duration,
) -> Result<Vec<Blow>, ClusterError> {
    let mut blows = Vec::new();
    let mut before = 0;
    for (way, turn) in [Way::Alone, Way::Unheard, Way::Deaf, Way::Bridge]
        .into_iter()
        .zip(1..)
    {
        sleep((load * turn / 5).saturating_sub(workload.now())).await;
        let leader = cluster.leader(TIMEOUT).await?;
        let (what, cuts) = way.cuts(leader, &cluster.ids());
        let at = workload.now();
        for cut in cuts {
            cluster.command(&cut).await?;
        }
        // Only a write that is asked when the links are surely cut shows that somebody serves without them.
        let recovery = workload.next_write();
        progress.say(&format!("{what}: cut"));
        let (leaderless, recovered) = recover(workload, progress, &what, at, recovery).await;
        sleep((at + load / 10).saturating_sub(workload.now())).await;
        let after = cluster.command(&Command::Heal).await?;
        let how = How::Cut {
            swallowed: after - before,
        };
        before = after;
        blows.push(Blow {
            how,
            what,
            at,
            leaderless,
            recovered,
        });
    }
    Ok(blows)
}

impl Way {
    /// What is cut, in words and in commands.
    fn cuts(self, leader: u64, ids: &[u64]) -> (String, Vec<Command>) {
        let one = vec![NodeId(leader)];
        let others: Vec<_> = ids.iter().filter(|id| **id != leader).collect();
        let rest: Vec<_> = others.iter().map(|id| NodeId(**id)).collect();
        let (text, cuts) = match self {
            Self::Alone => ("alone", vec![(one.clone(), rest.clone()), (rest, one)]),
            Self::Unheard => ("not heard", vec![(one, rest)]),
            Self::Deaf => ("hears nobody", vec![(rest, one)]),
            Self::Bridge => {
                let other: Vec<_> = rest.into_iter().take(1).collect();
                let both = vec![(one.clone(), other.clone()), (other, one)];
                ("but for a bridge", both)
            }
        };
        let what = format!("leader, node {leader}, {text}");
        let cuts = cuts.into_iter().map(|(from, to)| Command::Cut(from, to));
        (what, cuts.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_cuts_what_it_says() {
        let cuts = |way: Way| {
            let (_, cuts) = way.cuts(2, &[1, 2, 3]);
            cuts.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(cuts(Way::Alone), ["cut 2>1,3", "cut 1,3>2"]);
        assert_eq!(cuts(Way::Unheard), ["cut 2>1,3"]);
        assert_eq!(cuts(Way::Deaf), ["cut 1,3>2"]);
        assert_eq!(cuts(Way::Bridge), ["cut 2>1", "cut 1>2"]);
    }
}
