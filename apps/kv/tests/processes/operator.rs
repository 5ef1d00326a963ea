//! The program's own commands for operators, as they are run: what they print and how they end.

use std::process::Output;

use serde_json::Value;
use synod_kv::{Cluster, ExitStatus, Protocol};
use tokio::{process::Command, time::timeout};

use super::{PROGRAM, TIMEOUT, identity::until_told, other_than, start_by};

/// Runs `kv` with these words, at a node that may not lead.
pub(super) async fn kv(cluster: &Cluster, at: u64, words: &str) -> Output {
    let mut command = Command::new(PROGRAM);
    command.args(words.split(' '));
    command.args(["--resp", &cluster.address(at).to_string(), "--json"]);
    let output = command.kill_on_drop(true).output();
    timeout(3 * TIMEOUT, output)
        .await
        .expect("it ends")
        .unwrap()
}

/// What it prints, when it ends in this way.
pub(super) async fn told(cluster: &Cluster, at: u64, words: &str, ends: ExitStatus) -> Value {
    let output = kv(cluster, at, words).await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(ends as i32),
        "{words}: {text}{error}"
    );
    serde_json::from_str(text.trim()).unwrap_or_else(|_| panic!("{words}: {text}{error}"))
}

fn ids(listed: &Value, side: &str) -> Vec<u64> {
    let members = listed["members"].as_array().unwrap().iter();
    let members = members.filter(|member| member["side"] == side);
    members
        .map(|member| member["id"].as_u64().unwrap())
        .collect()
}

/// Whoever is asked, the one that leads does it. A cluster grows by one node and shrinks again.
pub(crate) async fn commands_reach_the_leader(protocol: Protocol) {
    let (mut cluster, _directory) = start_by(protocol, 3, &[]).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    let other = other_than(&cluster, leader);
    let moved = told(
        &cluster,
        other,
        &format!("transfer {other}"),
        ExitStatus::Stopped,
    )
    .await;
    assert_eq!(moved["leader"], other);
    // Asked of the one that led until now.
    let new = cluster.join().unwrap();
    let at = cluster.peer_address(new);
    let add = format!("member add {new} {at}");
    assert_eq!(
        told(&cluster, leader, &add, ExitStatus::Stopped).await["done"],
        true
    );
    let listed = told(&cluster, leader, "member list", ExitStatus::Stopped).await;
    assert_eq!(
        (ids(&listed, "voter"), ids(&listed, "learner")),
        (vec![1, 2, 3], vec![new])
    );
    let promote = format!("member promote {new}");
    told(&cluster, leader, &promote, ExitStatus::Stopped).await;
    cluster.ready(TIMEOUT).await.unwrap();

    // All four say where they are, and are well.
    let well = async {
        loop {
            let output = kv(&cluster, new, "status").await;
            if output.status.success() {
                return serde_json::from_slice::<Value>(&output.stdout).unwrap();
            }
        }
    };
    let status = timeout(TIMEOUT, well).await.expect("all are well");
    let nodes = status["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 4);
    for node in nodes {
        assert_eq!(node["protocol"], protocol.name(), "{status}");
        let at = cluster.address(node["id"].as_u64().unwrap());
        assert_eq!(node["clients"], at.to_string(), "{status}");
    }

    let leader = cluster.leader(TIMEOUT).await.unwrap();
    let other = other_than(&cluster, leader);
    let refused = told(&cluster, other, "member remove 9", ExitStatus::Failed).await;
    assert!(
        refused["why"].as_str().unwrap().contains("node 9"),
        "{refused}"
    );
    let refused = told(&cluster, other, "member abort", ExitStatus::Failed).await;
    assert_eq!(refused["done"], false);
    // The one that leads goes, too.
    let removed = format!("member remove {leader}");
    assert_eq!(
        told(&cluster, leader, &removed, ExitStatus::Stopped).await["done"],
        true
    );
    let ended = timeout(TIMEOUT, cluster.ended(leader))
        .await
        .expect("it ends");
    assert_eq!(
        ended.unwrap().unwrap().code(),
        Some(ExitStatus::Removed as i32)
    );
    let listed = told(&cluster, other, "member list", ExitStatus::Stopped).await;
    let voters = ids(&listed, "voter");
    assert!(voters.len() == 3 && !voters.contains(&leader), "{listed}");

    says_that_its_cluster_is_another(&mut cluster, other).await;
}

/// A node whose command line names others than its log starts, and says so in one line.
async fn says_that_its_cluster_is_another(cluster: &mut Cluster, node: u64) {
    let ignored = "--cluster is ignored: the members are";
    let told = std::fs::read_to_string(cluster.log(node)).unwrap();
    assert_eq!(told.matches(ignored).count(), 0, "{told}");
    cluster.kill(&[node]).await.unwrap();
    cluster.restart(node).unwrap();
    until_told(cluster, node, ignored).await;
    cluster.ready(TIMEOUT).await.unwrap();
    let told = std::fs::read_to_string(cluster.log(node)).unwrap();
    assert_eq!(told.matches(ignored).count(), 1, "{told}");
}

/// Nobody is there, or nobody leads: it ends, and not as if it were done.
#[tokio::test]
async fn commands_end_without_a_cluster() {
    let (mut cluster, _directory) = start_by(Protocol::default(), 3, &[]).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    // If it led, it would take the change until it notices that it is alone, and nobody would know.
    let left = other_than(&cluster, leader);
    let others: Vec<u64> = (1..=3).filter(|id| *id != left).collect();
    cluster.kill(&others).await.unwrap();
    let remove = format!("member remove {leader} --wait-seconds 1");
    let output = kv(&cluster, left, &remove).await;
    assert_eq!(output.status.code(), Some(ExitStatus::Failed as i32));
    cluster.kill(&[left]).await.unwrap();
    for words in ["member remove 1", "transfer", "status", "member list"] {
        let output = kv(&cluster, left, &format!("{words} --wait-seconds 1")).await;
        assert_eq!(
            output.status.code(),
            Some(ExitStatus::Failed as i32),
            "{words}"
        );
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("no node answers"), "{words}: {told}");
    }
}
