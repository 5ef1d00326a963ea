//! Nodes are added, replaced and removed as an operator does it.

use synod_kv::{Client, Cluster, ExitStatus, Protocol};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{TIMEOUT, connect, other_than, show, start_by};

/// Asks whoever leads, as often as another does by then.
pub(crate) async fn managed(cluster: &Cluster, words: &str) -> String {
    let asked = async {
        loop {
            let leader = cluster.leader(TIMEOUT).await.unwrap();
            let mut client = connect(cluster, leader).await;
            let args: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
            let Ok(answer) = client.call(&args).await else {
                continue;
            };
            let answer = show(&answer);
            let again = [
                "this node does not lead",
                "leads no more",
                "does not know yet",
                "was removed from the group",
            ];
            if !again.iter().any(|text| answer.contains(text)) {
                return answer;
            }
        }
    };
    timeout(3 * TIMEOUT, asked).await.expect("an answer")
}

/// Writes one key after the other; each that is acknowledged is told.
pub(crate) async fn write(mut client: Client, prefix: String, count: usize) -> Vec<String> {
    let mut written = Vec::new();
    for number in 0..count {
        let key = format!("{prefix}-{number}");
        let answer = client.call(&[b"SET", key.as_bytes(), b"v"]).await;
        if answer.is_ok_and(|answer| show(&answer) == "OK") {
            written.push(key);
        }
    }
    written
}

pub(crate) async fn holds(cluster: &Cluster, id: u64, keys: &[String]) {
    let mut client = connect(cluster, id).await;
    for key in keys {
        let until = Instant::now() + TIMEOUT;
        loop {
            let answer = show(&client.call(&[b"GET", key.as_bytes()]).await.unwrap());
            if answer == "v" {
                break;
            }
            // A refusal, which is no answer about the key.
            assert!(
                answer.contains("REJECTED") && Instant::now() < until,
                "{key} on {id}: {answer}"
            );
        }
    }
}

/// A machine is gone for good, and another takes its place; afterwards the cluster survives the loss of one
/// again.
pub(crate) async fn replaces_a_dead_node(protocol: Protocol) {
    let (mut cluster, _directory) = start_by(protocol, 3, &["--power-loss"]).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    let dead = other_than(&cluster, leader);
    cluster.kill(&[dead]).await.unwrap();
    let new = cluster.join().unwrap();
    assert_eq!(new, 4);
    let mut load = JoinSet::new();
    for number in 0..4 {
        let client = connect(&cluster, leader).await;
        load.spawn(write(client, format!("w{number}"), 500));
    }
    let at = cluster.peer_address(new);
    let replace = format!("MEMBER REPLACE {dead} {new} {at}");
    assert_eq!(managed(&cluster, &replace).await, "OK");
    // Asked again it is done already.
    assert_eq!(managed(&cluster, &replace).await, "OK");
    let written: Vec<_> = load.join_all().await.concat();
    assert!(written.len() >= 1_000, "{} of 2000 written", written.len());
    holds(&cluster, new, &written).await;
    let list = managed(&cluster, "MEMBER LIST").await;
    assert!(list.contains(&format!("{new} voter {at}")), "{list}");
    assert!(!list.contains(&format!("{dead} voter")), "{list}");

    // The id does not return, and the cluster survives the loss of another.
    let again = managed(&cluster, &format!("MEMBER ADD {dead} {at}")).await;
    assert!(
        again.contains("REFUSED") && again.contains("was removed"),
        "{again}"
    );
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    cluster.kill(&[leader]).await.unwrap();
    super::write_until_acknowledged(&cluster, new, "after").await;
    holds(&cluster, new, &written).await;

    // By its log the new node is a member after a restart.
    cluster.restart(leader).unwrap();
    cluster.kill(&[new]).await.unwrap();
    cluster.restart(new).unwrap();
    cluster.ready(TIMEOUT).await.unwrap();
    super::write_until_acknowledged(&cluster, new, "again").await;
}

/// {1, 2, 3} becomes {4, 5, 6} one by one, and each node that goes ends with a status of its own.
pub(crate) async fn replaces_all(protocol: Protocol) {
    let (mut cluster, _directory) = start_by(protocol, 3, &[]).await;
    let mut written = write(connect(&cluster, 1).await, "before".into(), 100).await;
    assert_eq!(written.len(), 100);
    for old in 1..=3 {
        let new = cluster.join().unwrap();
        let at = cluster.peer_address(new);
        let load = tokio::spawn(write(
            connect(&cluster, if old < 3 { 3 } else { 4 }).await,
            format!("during-{old}"),
            300,
        ));
        let replace = format!("MEMBER REPLACE {old} {new} {at}");
        assert_eq!(managed(&cluster, &replace).await, "OK");
        written.extend(load.await.unwrap());
        let ended = timeout(TIMEOUT, cluster.ended(old)).await;
        let status = ended.expect("it ends").unwrap().unwrap();
        assert_eq!(
            status.code(),
            Some(ExitStatus::Removed as i32),
            "node {old}"
        );
    }
    for id in 4..=6 {
        holds(&cluster, id, &written).await;
    }
    let list = managed(&cluster, "MEMBER LIST").await;
    assert_eq!(
        list.lines().filter(|line| line.contains(" voter ")).count(),
        3,
        "{list}"
    );
}
