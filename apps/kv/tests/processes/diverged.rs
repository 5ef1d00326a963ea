//! A node whose data somebody put back from a copy. By Raft; a Paxos acceptor is asked again for what it
//! has.

use std::fs;

use synod_kv::{Cluster, ExitStatus, Protocol, info_field};
use tokio::time::{Instant, sleep};

use super::{
    POLL_EVERY, TIMEOUT,
    closed::{last_words, status_of_itself},
    connect,
    identity::copy_files,
    number, other_than, signal, start_by, write_until_acknowledged,
};

/// A data directory that was put back from a copy holds less than its node has acknowledged. The node
/// ends as one that a supervisor leaves alone, and says why; the others go on.
#[tokio::test]
async fn a_node_on_an_older_copy_of_its_data_ends_as_diverged() {
    let (mut cluster, directory) = start_by(Protocol::Raft, 3, &["--log", "warn"]).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    let put_back = other_than(&cluster, leader);
    write_until_acknowledged(&cluster, leader, "early").await;
    let data = directory.path().join(format!("node-{put_back}"));
    let copy = directory.path().join("copy");
    // As a disk is copied beneath a machine: in the midst of an incarnation, in which it then acknowledges more.
    let process = cluster.process_id(put_back).unwrap();
    signal("STOP", &[process]).await;
    copy_files(&data, &copy);
    signal("CONT", &[process]).await;
    for round in 0..20 {
        write_until_acknowledged(&cluster, leader, &format!("late {round}")).await;
    }
    let deadline = Instant::now() + TIMEOUT;
    let written = number(&cluster, leader, "commit_index").await;
    while matched(&cluster, leader, put_back).await < written {
        assert!(Instant::now() < deadline, "node {put_back} lags behind");
        sleep(POLL_EVERY).await;
    }
    cluster.kill(&[put_back]).await.unwrap();
    assert_eq!(cluster.leader(TIMEOUT).await.unwrap(), leader);

    fs::remove_dir_all(&data).unwrap();
    copy_files(&copy, &data);
    // Its next incarnation counts higher than any that was met, so it is the protocol that notices.
    cluster.restart(put_back).unwrap();
    assert_eq!(
        status_of_itself(&mut cluster, put_back).await,
        ExitStatus::Diverged
    );
    assert!(!last_words(&cluster, put_back).is_empty());
    write_until_acknowledged(&cluster, leader, "after").await;
}

/// How far the leader knows that a peer holds its log.
async fn matched(cluster: &Cluster, leader: u64, peer: u64) -> u64 {
    let text = connect(cluster, leader).await.info().await.unwrap();
    let line = info_field(&text, &format!("peer{peer}")).unwrap_or_default();
    let fields = line.split(',');
    let matched = fields
        .filter_map(|field| field.strip_prefix("matched="))
        .next();
    matched
        .and_then(|matched| matched.parse().ok())
        .unwrap_or_else(|| panic!("nothing of node {peer} in\n{text}"))
}
