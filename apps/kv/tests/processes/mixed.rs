//! Nodes that were founded on different things, because of a flag: they say so, and are no cluster.

use std::fs;

use synod_kv::{Cluster, ClusterOptions, Listener, Protocol};
use tempfile::TempDir;

use super::{PROGRAM, TIMEOUT, ask, identity::until_told, write_until_acknowledged};

/// One of two nodes counts a third among the voters.
pub(super) async fn of_other_voters(protocol: Protocol) {
    let own = ["--protocol", protocol.name()];
    let other = [&own[..], &["--cluster", "3=127.0.0.1:1"]].concat();
    form_no_group(&own, &other).await;
}

#[cfg(all(feature = "raft", feature = "paxos"))]
#[tokio::test]
async fn nodes_of_other_protocols_are_no_cluster() {
    form_no_group(&["--protocol", "raft"], &["--protocol", "paxos"]).await;
}

#[cfg(feature = "paxos")]
#[tokio::test]
async fn nodes_of_other_quorums_are_no_cluster() {
    let own = ["--protocol", "paxos"];
    form_no_group(&own, &[&own[..], &["--phase2", "1"]].concat()).await;
}

/// Each of two nodes says why it does not hear the other, and takes no write. Nothing of that lasts: when one
/// begins anew as the other has begun, they are a cluster.
async fn form_no_group(first: &[&str], second: &[&str]) {
    let directory = TempDir::new().unwrap();
    let mut cluster = Cluster::start(ClusterOptions {
        program: PROGRAM.into(),
        nodes: 2,
        directory: directory.path().to_owned(),
        arguments: ["--timeout-ms", "1000"].map(Into::into).into(),
        listener: Listener::File,
    })
    .unwrap();
    cluster.kill(&[1, 2]).await.unwrap();
    begin_anew(&mut cluster, &directory, 1, first).await;
    begin_anew(&mut cluster, &directory, 2, second).await;
    for id in [1, 2] {
        for words in [
            "refused a hello",
            "groups that are founded on another protocol, other voters, quorums or formats",
        ] {
            until_told(&cluster, id, words).await;
        }
        let answer = ask(&cluster, id, &["SET", "k", "1"]).await;
        assert!(answer.starts_with('-'), "node {id}: {answer}");
    }
    begin_anew(&mut cluster, &directory, 2, first).await;
    cluster.ready(TIMEOUT).await.unwrap();
    write_until_acknowledged(&cluster, 1, "k").await;
    assert_eq!(ask(&cluster, 2, &["GET", "k"]).await, "1");
}

/// A node on an empty directory, with these arguments.
async fn begin_anew(cluster: &mut Cluster, directory: &TempDir, id: u64, arguments: &[&str]) {
    cluster.kill(&[id]).await.unwrap();
    let data = directory.path().join(format!("node-{id}"));
    // It may have been killed before it made one.
    if data.exists() {
        fs::remove_dir_all(data).unwrap();
    }
    fs::write(cluster.log(id), "").unwrap();
    cluster.set_arguments(id, arguments);
    cluster.restart(id).unwrap();
}

/// Quorums belong to what a directory was founded on: `--phase2` cannot be left out later.
#[cfg(feature = "paxos")]
#[tokio::test]
async fn quorums_that_are_forgotten_are_a_failed_start() {
    let directory = TempDir::new().unwrap();
    let mut cluster = Cluster::start(ClusterOptions {
        program: PROGRAM.into(),
        nodes: 3,
        directory: directory.path().to_owned(),
        arguments: ["--protocol", "paxos"].map(Into::into).into(),
        listener: Listener::File,
    })
    .unwrap();
    let all = cluster.ids();
    cluster.kill(&all).await.unwrap();
    for id in all {
        begin_anew(&mut cluster, &directory, id, &["--phase2", "3"]).await;
    }
    cluster.ready(TIMEOUT).await.unwrap();
    write_until_acknowledged(&cluster, 1, "k").await;
    let all = cluster.ids();
    cluster.kill(&all).await.unwrap();
    for id in &all {
        cluster.set_arguments(*id, &[]);
        cluster.restart(*id).unwrap();
        let status = super::closed::status_of_itself(&mut cluster, *id).await;
        assert_eq!(status, synod_kv::ExitStatus::Failed, "node {id}");
        let words = "the data directory was founded as [group 1: paxos, acceptors 1, 2, 3, phase 1 by 1, phase 2 \
                     by 3; formats 2], and is to be opened as [group 1: paxos, acceptors 1, 2, 3, phase 1 by 2, \
                     phase 2 by 2; formats 2]";
        until_told(&cluster, *id, words).await;
    }
    for id in &all {
        cluster.set_arguments(*id, &["--phase2", "3"]);
        cluster.restart(*id).unwrap();
    }
    cluster.ready(TIMEOUT).await.unwrap();
    for id in all {
        assert_eq!(ask(&cluster, id, &["GET", "k"]).await, "1", "node {id}");
    }
}
