//! Disks that take long for each sync, on all nodes.

use std::time::Duration;

use synod_kv::Protocol;
use tokio::time::timeout;

use super::{TIMEOUT, ask, number, start_by};

/// A sync takes longer than the longest election timeout. Nodes that wait for their disks are not
/// taken for dead, so the leader of the start leads on, and writes are served.
pub(crate) async fn serves_on_slow_disks(protocol: Protocol) {
    let arguments = ["--slow-sync-ms", "300", "--timeout-ms", "15000"];
    let (cluster, _directory) = start_by(protocol, 3, &arguments).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    let before = number(&cluster, leader, "term").await;
    for round in 0..WRITES {
        let id = cluster.ids()[round % 3];
        let answer = timeout(NODE_TIMEOUT + TIMEOUT, ask_for(&cluster, id, round));
        let answer = answer.await.expect("an answer");
        assert_eq!(answer, "OK", "write {round} to node {id}");
    }
    let after = number(&cluster, leader, "term").await;
    assert!(
        after <= before + ELECTIONS_MAX,
        "{} elections in {WRITES} writes",
        after - before
    );
}

async fn ask_for(cluster: &synod_kv::Cluster, id: u64, round: usize) -> String {
    ask(cluster, id, &["SET", &format!("key {round}"), "v"]).await
}

const WRITES: usize = 12;
/// Without the adaptation there are some thirteen in eight seconds, and no write.
const ELECTIONS_MAX: u64 = 3;
const NODE_TIMEOUT: Duration = Duration::from_secs(15);
