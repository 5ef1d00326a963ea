//! A directory that is not whole, or runs twice.

use std::{
    fs,
    path::{Path, PathBuf},
};

use synod_kv::{Cluster, ExitStatus, Protocol};
use tokio::{
    process::Command,
    time::{Instant, sleep, timeout},
};

use super::{
    PATIENCE, POLL_EVERY, PROGRAM, ask, closed::status_of_itself, other_than, signal, start_by,
    write_until_acknowledged,
};

/// Files of the log are removed, emptied or cut, and an acknowledged write is gone with them: the node does
/// not start, says so, and does when they are back. The others go on.
pub(crate) async fn a_log_that_is_not_whole(protocol: Protocol) {
    let (mut cluster, directory) = start_by(protocol, 3, &[]).await;
    let leader = cluster.leader(PATIENCE).await.unwrap();
    let (node, data) = (leader, directory.path().join(format!("node-{leader}")));
    write_until_acknowledged(&cluster, leader, "k").await;
    // A life that ends as it should has noted how far it has come.
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
    cluster.ready(PATIENCE).await.unwrap();
    assert_eq!(ask(&cluster, node, &["GET", "k"]).await, "1");
}

#[derive(Clone, Copy, Debug)]
enum Harm {
    Removed,
    Emptied,
    Cut,
}

fn logs(data: &Path) -> Vec<PathBuf> {
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

/// A copy of a directory is started in place of the original, which had a life of the same number: each peer
/// refuses it by name. Its next life counts higher, and is taken for the node.
pub(crate) async fn a_copy_of_a_directory(protocol: Protocol) {
    let (mut cluster, directory) = start_by(protocol, 3, &["--log", "warn"]).await;
    let leader = cluster.leader(PATIENCE).await.unwrap();
    let node = other_than(&cluster, leader);
    let data = directory.path().join(format!("node-{node}"));
    let copy = directory.path().join("copy");
    cluster.kill(&[node]).await.unwrap();
    copy_files(&data, &copy);
    cluster.restart(node).unwrap();
    cluster.ready(PATIENCE).await.unwrap();
    cluster.kill(&[node]).await.unwrap();
    fs::remove_dir_all(&data).unwrap();
    copy_files(&copy, &data);
    cluster.restart(node).unwrap();
    for id in cluster.ids() {
        until_told(&cluster, id, "a copy of a disk that another life runs on").await;
    }
    write_until_acknowledged(&cluster, leader, "without it").await;
    cluster.kill(&[node]).await.unwrap();
    cluster.restart(node).unwrap();
    cluster.ready(PATIENCE).await.unwrap();
}

/// A node comes back on an empty directory: the others refuse it, and say what to do if that is meant. Once each
/// of them was stopped and has forgotten the old disk, the node is one of them again, and holds what it did.
pub(crate) async fn a_disk_that_was_replaced(protocol: Protocol) {
    let (mut cluster, directory) = start_by(protocol, 3, &["--log", "warn"]).await;
    let leader = cluster.leader(PATIENCE).await.unwrap();
    let node = other_than(&cluster, leader);
    let data = |id: u64| directory.path().join(format!("node-{id}"));
    cluster.kill(&[node]).await.unwrap();
    fs::remove_dir_all(data(node)).unwrap();
    cluster.restart(node).unwrap();
    let others = cluster.ids().into_iter().filter(|id| *id != node);
    let others: Vec<_> = others.collect();
    for id in &others {
        let command = format!(
            "kv identity forget --node {node} --data {}",
            data(*id).display()
        );
        until_told(&cluster, *id, &command).await;
    }
    let (status, told) = forget(node, &data(leader)).await;
    assert_eq!(status, Some(ExitStatus::Failed as i32));
    assert!(
        told.ends_with("is in use by another process: stop its node first\n"),
        "{told}"
    );
    write_until_acknowledged(&cluster, leader, "k").await;
    for id in others {
        cluster.kill(&[id]).await.unwrap();
        let (status, told) = forget(node, &data(id)).await;
        assert_eq!(status, Some(ExitStatus::Stopped as i32), "{told}");
        let words = format!("node {id} has forgotten node {node}, which it knew by disk ");
        assert!(told.starts_with(&words), "{told}");
        let (status, told) = forget(node, &data(id)).await;
        assert_eq!(status, Some(ExitStatus::Failed as i32));
        let words = format!("node {id} has not met node {node}, only ");
        assert!(told.contains(&words), "{told}");
        cluster.restart(id).unwrap();
    }
    cluster.ready(PATIENCE).await.unwrap();
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
    let output = timeout(PATIENCE, ended).await.expect("it ends").unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(told).unwrap())
}

pub(super) async fn until_told(cluster: &Cluster, id: u64, words: &str) {
    let deadline = Instant::now() + PATIENCE;
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
