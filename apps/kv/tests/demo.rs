//! The demo as it is run: that it passes on an honest cluster, fails on a lying one, and leaves
//! nothing behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    fs,
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    process::Command,
    time::{Instant, sleep, timeout},
};

#[cfg(feature = "raft")]
#[tokio::test]
async fn an_honest_cluster_loses_nothing_by_raft() {
    let text = loses_nothing(&["--protocol", "raft", "--tls"]).await;
    assert!(text.contains("raft over TLS: 3 nodes"), "{text}");
}

/// Four nodes, of which any two make a write durable.
#[cfg(feature = "paxos")]
#[tokio::test]
async fn an_honest_cluster_loses_nothing_by_paxos() {
    let flexible = [
        "--protocol",
        "paxos",
        "--nodes",
        "4",
        "--phase2",
        "2",
        "--tls",
    ];
    let text = loses_nothing(&flexible).await;
    let shown = "paxos (quorums: 3 of 4 promise, 2 of 4 accept) over TLS: 4 nodes";
    assert!(text.contains(shown), "{text}");
}

/// A node alone has nobody to wait for, and nobody to catch up from.
#[tokio::test]
async fn a_cluster_of_one_loses_nothing() {
    let text = loses_nothing(&["--nodes", "1"]).await;
    assert!(text.contains(": 1 node"), "{text}");
}

#[cfg(feature = "raft")]
#[tokio::test]
async fn a_partition_loses_nothing_by_raft() {
    survives_cuts("raft").await;
}

#[cfg(feature = "paxos")]
#[tokio::test]
async fn a_partition_loses_nothing_by_paxos() {
    survives_cuts("paxos").await;
}

/// Links of real processes are cut and healed, also one way.
async fn survives_cuts(protocol: &str) {
    let arguments = ["--scenario", "partition", "--protocol", protocol];
    let text = runs(&arguments, 4).await;
    for cut in ["alone", "not heard", "hears nobody", "but for a bridge"] {
        let line = text.lines().find(|line| line.contains(cut)).expect(cut);
        assert!(line.contains("messages swallowed"), "{line}");
        assert!(!line.contains(" 0 messages"), "{line}");
        assert!(!line.contains("and more"), "nobody served: {line}");
    }
}

/// Of two nodes neither serves alone.
#[tokio::test]
async fn two_nodes_are_not_parted() {
    let directory = TempDir::new().unwrap();
    let arguments = ["--scenario", "partition", "--nodes", "2"];
    let output = demo(directory.path(), &arguments).await;
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("three nodes"), "{told}");
}

#[tokio::test]
async fn quorums_that_do_not_meet_are_refused() {
    let directory = TempDir::new().unwrap();
    let arguments = ["--nodes", "3", "--phase2", "4"];
    let output = demo(directory.path(), &arguments).await;
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("--phase2"), "{told}");
}

async fn loses_nothing(arguments: &[&str]) -> String {
    runs(arguments, 2).await
}

/// A run of some seconds that passes, with so many blows.
async fn runs(arguments: &[&str], blows: usize) -> String {
    let directory = TempDir::new().unwrap();
    let history = directory.path().join("history.jsonl");
    let output = demo(
        directory.path(),
        &[
            arguments,
            &[
                "--seconds",
                "4",
                "--json",
                "--history",
                history.to_str().unwrap(),
            ],
        ]
        .concat(),
    )
    .await;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let summary: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(summary["lost"], 0);
    assert_eq!(summary["unknown"], 0, "{text}");
    assert_eq!(summary["linearizable"], true);
    assert!(summary["acknowledged"].as_u64().unwrap() > 100, "{summary}");
    assert_eq!(
        summary["leaderless_ms"].as_array().unwrap().len(),
        blows,
        "{summary}"
    );
    assert!(
        summary["syncs_per_1000_ops"].as_f64().unwrap() > 0.0,
        "{summary}"
    );
    assert!(text.contains("\nPASS"), "{text}");

    let (mut acknowledged, mut operations) = (0, std::collections::BTreeSet::new());
    for line in fs::read_to_string(&history).unwrap().lines() {
        let operation: Value = serde_json::from_str(line).unwrap();
        acknowledged += u64::from(operation["status"] == "ok");
        operations.insert(operation["op"].as_str().unwrap().to_owned());
    }
    // The history has the reads at the end too.
    assert!(acknowledged >= summary["acknowledged"].as_u64().unwrap());
    assert_eq!(
        operations.into_iter().collect::<Vec<_>>(),
        ["append", "cas", "get", "put"]
    );
    text
}

#[tokio::test]
async fn a_cluster_that_lies_about_syncing_is_found_out() {
    let directory = TempDir::new().unwrap();
    let output = demo(
        directory.path(),
        &["--seconds", "4", "--json", "--skip-sync"],
    )
    .await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        output.status.code(),
        Some(1),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let summary: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert!(summary["lost"].as_u64().unwrap() > 0, "{summary}");
    assert_eq!(summary["linearizable"], false);
    assert!(text.contains("\nFAIL"), "{text}");
}

#[tokio::test]
async fn nodes_do_not_outlive_a_demo_that_is_killed() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    let mut demo = command(&data, &["--seconds", "60"]).spawn().unwrap();
    let deadline = Instant::now() + TIMEOUT;
    while nodes(&data) < 3 {
        assert!(Instant::now() < deadline, "the nodes were not started");
        sleep(POLL_EVERY).await;
    }
    demo.start_kill().unwrap();
    demo.wait().await.unwrap();
    while nodes(&data) > 0 {
        assert!(Instant::now() < deadline, "nodes are left over");
        sleep(POLL_EVERY).await;
    }
}

#[tokio::test]
async fn an_old_directory_is_not_taken_for_a_new_cluster() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("something"), "").unwrap();
    let output = timeout(TIMEOUT, command(directory.path(), &[]).output())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is not empty"));
}

async fn demo(directory: &Path, arguments: &[&str]) -> Output {
    let data = directory.join("data");
    timeout(TIMEOUT, command(&data, arguments).output())
        .await
        .expect("the demo ends")
        .unwrap()
}

fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kv"));
    command
        .args(["demo", "--clients", "8", "--keys", "100", "--data"])
        .arg(data)
        .args(arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Processes that serve from this directory.
fn nodes(data: &Path) -> usize {
    let data = data.to_str().unwrap();
    let serves = |process: &fs::DirEntry| {
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.contains("serve") && line.contains(data)
    };
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(serves)
        .count()
}

const TIMEOUT: Duration = Duration::from_secs(40);
const POLL_EVERY: Duration = Duration::from_millis(50);
