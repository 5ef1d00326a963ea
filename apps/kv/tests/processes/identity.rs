//! A directory that is not whole, or runs twice.

use std::{
    fs,
    path::{Path, PathBuf},
};

use synod_kv::{Cluster, ExitStatus, Protocol};
use tempfile::TempDir;
use tokio::{
    process::Command,
    time::{Instant, sleep, timeout},
};

use super::{
    POLL_EVERY, PROGRAM, TIMEOUT, ask, closed::status_of_itself, other_than, signal, start_by,
    write_until_acknowledged,
};

/// Files of the log are removed, emptied or cut, and an acknowledged write is gone with them: the node does
/// not start, says so, and does when they are back. The others go on.
pub(crate) async fn a_log_that_is_not_whole(protocol: Protocol) {
    let (mut cluster, directory) = start_by(protocol, 3, &[]).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    let (node, data) = (leader, directory.path().join(format!("node-{leader}")));
    write_until_acknowledged(&cluster, leader, "k").await;
    // An incarnation that ends as it should has noted how far it has come.
    signal("TERM", &[cluster.process_id(node).unwrap()]).await;
    assert_eq!(
        status_of_itself(&mut cluster, node).await,
        ExitStatus::Stopped
    );
    let whole = directory.path().join("whole");
    copy_files(&data, &whole);
    let other = other_than(&cluster, node);
    for harm in [Harm::Removed, Harm::Emptied, Harm::Cut] {
        for log in logs(&data) {
            match harm {
                Harm::Removed => fs::remove_file(&log).unwrap(),
                Harm::Emptied => zero_from(&log, 0),
                Harm::Cut => zero_from(&log, 4096),
            }
        }
        cluster.restart(node).unwrap();
        let status = status_of_itself(&mut cluster, node).await;
        assert_eq!(status, ExitStatus::Failed, "{harm:?}");
        let told = fs::read_to_string(cluster.log(node)).unwrap();
        let last = told.lines().last().unwrap_or_default();
        assert!(
            last.starts_with("kv: log: the log was durable up to lsn "),
            "{harm:?}: {told}"
        );
        write_until_acknowledged(&cluster, other, "meanwhile").await;
        fs::remove_dir_all(&data).unwrap();
        copy_files(&whole, &data);
    }
    cluster.restart(node).unwrap();
    cluster.ready(TIMEOUT).await.unwrap();
    assert_eq!(ask(&cluster, node, &["GET", "k"]).await, "1");
}

#[derive(Clone, Copy, Debug)]
enum Harm {
    Removed,
    Emptied,
    Cut,
}

pub(crate) fn logs(data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let logs: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .collect();
    assert!(!logs.is_empty());
    logs
}

/// Its length stays.
fn zero_from(path: &Path, from: usize) {
    let mut bytes = fs::read(path).unwrap();
    let from = from.min(bytes.len());
    bytes[from..].fill(0);
    fs::write(path, bytes).unwrap();
}

/// A directory is put back to what it was before its last incarnation, and its node is started: each peer refuses it by
/// name. Its next incarnation counts higher than any that was met; but what it acknowledged in between is gone with the
/// incarnation that is missing, so it is refused all the same, by words that say what to do. Once each of the others
/// was stopped and has forgotten it, the node is one of them again.
pub(crate) async fn a_copy_of_a_directory(protocol: Protocol) {
    let (mut cluster, directory) = start_by(protocol, 3, &["--log", "warn"]).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    let node = other_than(&cluster, leader);
    let data = directory.path().join(format!("node-{node}"));
    let copy = directory.path().join("copy");
    cluster.kill(&[node]).await.unwrap();
    copy_files(&data, &copy);
    cluster.restart(node).unwrap();
    cluster.ready(TIMEOUT).await.unwrap();
    cluster.kill(&[node]).await.unwrap();
    fs::remove_dir_all(&data).unwrap();
    copy_files(&copy, &data);
    cluster.restart(node).unwrap();
    for id in cluster.ids() {
        until_told(
            &cluster,
            id,
            "a copy of a disk that another incarnation runs on",
        )
        .await;
    }
    let others = others(&cluster, node);
    for id in &others {
        until_told(&cluster, *id, "a peer runs on its disk as it was before").await;
    }
    write_until_acknowledged(&cluster, leader, "without it").await;
    cluster.kill(&[node]).await.unwrap();
    cluster.restart(node).unwrap();
    until_told(
        &cluster,
        node,
        "a disk that was restored to an earlier state",
    )
    .await;
    for id in &others {
        until_told(&cluster, *id, &what_to_do(&directory, node, *id)).await;
    }
    for id in others {
        forget_at(&mut cluster, &directory, node, id).await;
    }
    cluster.ready(TIMEOUT).await.unwrap();
    assert_eq!(ask(&cluster, node, &["GET", "without it"]).await, "1");
}

fn others(cluster: &Cluster, node: u64) -> Vec<u64> {
    let others = cluster.ids().into_iter().filter(|id| *id != node);
    others.collect()
}

/// Part of what another node says of one that it refuses.
fn what_to_do(directory: &TempDir, node: u64, other: u64) -> String {
    let data = directory.path().join(format!("node-{other}"));
    format!("kv identity forget --node {node} --data {}", data.display())
}

/// Another node is stopped, forgets this one, and goes on.
async fn forget_at(cluster: &mut Cluster, directory: &TempDir, node: u64, other: u64) {
    let data = directory.path().join(format!("node-{other}"));
    cluster.kill(&[other]).await.unwrap();
    let (status, told) = forget(node, &data).await;
    assert_eq!(status, Some(ExitStatus::Stopped as i32), "{told}");
    let words = format!("node {other} has forgotten node {node}, which it knew by disk ");
    assert!(told.starts_with(&words), "{told}");
    let (status, told) = forget(node, &data).await;
    assert_eq!(status, Some(ExitStatus::Failed as i32));
    let words = format!("node {other} has not met node {node}, only ");
    assert!(told.contains(&words), "{told}");
    cluster.restart(other).unwrap();
}

/// A node comes back on an empty directory: the others refuse it, and say what to do if that is meant. Once each
/// of them was stopped and has forgotten the old disk, the node is one of them again, and holds what it did.
pub(crate) async fn a_disk_that_was_replaced(protocol: Protocol) {
    let (mut cluster, directory) = start_by(protocol, 3, &["--log", "warn"]).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    let node = other_than(&cluster, leader);
    let data = |id: u64| directory.path().join(format!("node-{id}"));
    cluster.kill(&[node]).await.unwrap();
    fs::remove_dir_all(data(node)).unwrap();
    cluster.restart(node).unwrap();
    let others = others(&cluster, node);
    for id in &others {
        until_told(&cluster, *id, &what_to_do(&directory, node, *id)).await;
    }
    let (status, told) = forget(node, &data(leader)).await;
    assert_eq!(status, Some(ExitStatus::Failed as i32));
    assert!(
        told.ends_with("is in use by another process: stop its node first\n"),
        "{told}"
    );
    write_until_acknowledged(&cluster, leader, "k").await;
    for id in others {
        forget_at(&mut cluster, &directory, node, id).await;
    }
    cluster.ready(TIMEOUT).await.unwrap();
    assert_eq!(ask(&cluster, node, &["GET", "k"]).await, "1");
    let absent = directory.path().join("absent");
    let (status, _) = forget(node, &absent).await;
    assert_eq!(status, Some(ExitStatus::Failed as i32));
    assert!(!absent.exists(), "no directory is made");
}

/// The exit status, and what was told on either stream.
async fn forget(node: u64, data: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(PROGRAM);
    let node = node.to_string();
    command.args(["identity", "forget", "--node", &node, "--data"]);
    let ended = command.arg(data).kill_on_drop(true).output();
    let output = timeout(TIMEOUT, ended).await.expect("it ends").unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(told).unwrap())
}

pub(super) async fn until_told(cluster: &Cluster, id: u64, words: &str) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let told = fs::read_to_string(cluster.log(id)).unwrap_or_default();
        if told.contains(words) {
            return;
        }
        assert!(Instant::now() < deadline, "node {id} has told:\n{told}");
        sleep(POLL_EVERY).await;
    }
}

pub(super) fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
