//! A directory that is opened as something else, is not whole, or runs twice.

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
    PATIENCE, POLL_EVERY, PROGRAM, ask, closed::status_of_itself, other_than, signal, start_by,
    write_until_acknowledged,
};

/// A forgotten flag: the node says what it found and what it was asked for, changes nothing, and starts
/// again as what it is.
#[cfg(all(feature = "raft", feature = "paxos"))]
#[tokio::test]
async fn a_directory_is_opened_only_as_what_it_was_founded_as() {
    let founded = [
        (Protocol::Raft, "raft, voters 1"),
        (
            Protocol::Paxos,
            "paxos, acceptors 1, phase 1 by 1, phase 2 by 1",
        ),
    ];
    for (protocol, found) in founded {
        let (mut cluster, directory) = start_by(protocol, 1, &[]).await;
        write_until_acknowledged(&cluster, 1, "k").await;
        cluster.kill(&[1]).await.unwrap();
        let [one, two] = ["1=127.0.0.1:1", "1=127.0.0.1:1,2=127.0.0.1:2"];
        let refused = [
            (one, "raft", "raft, voters 1", CLUSTER),
            (two, "raft", "raft, voters 1, 2", CLUSTER),
            (
                one,
                "paxos",
                "paxos, acceptors 1, phase 1 by 1, phase 2 by 1",
                "0",
            ),
            (
                two,
                "paxos",
                "paxos, acceptors 1, 2, phase 1 by 2, phase 2 by 2",
                "0",
            ),
            (one, protocol.name(), "", "7"),
        ];
        for (members, asked, as_what, cluster_id) in refused {
            if as_what == found {
                continue;
            }
            let told = told_at_start(&directory, members, asked, cluster_id).await;
            let words = if as_what.is_empty() {
                "the data directory belongs to another cluster".to_owned()
            } else {
                format!(
                    "the data directory was founded as [group 1: {found}; formats 1], and is to be opened as \
                     [group 1: {as_what}; formats 1]"
                )
            };
            assert!(told.contains(&words), "{told}");
        }
        cluster.restart(1).unwrap();
        cluster.ready(PATIENCE).await.unwrap();
        assert_eq!(ask(&cluster, 1, &["GET", "k"]).await, "1");
    }
}

/// The one that a node is of that is not told otherwise.
const CLUSTER: &str = "1";

/// What node 1 says that does not start.
async fn told_at_start(
    directory: &TempDir,
    members: &str,
    protocol: &str,
    cluster_id: &str,
) -> String {
    let mut command = Command::new(PROGRAM);
    command.args(["serve", "--id", "1", "--resp", "127.0.0.1:0"]);
    command.args(["--cluster", members, "--protocol", protocol]);
    command.args(["--cluster-id", cluster_id, "--data"]);
    command.arg(directory.path().join("node-1"));
    let ended = command.kill_on_drop(true).output();
    let output = timeout(PATIENCE, ended).await.expect("it ends").unwrap();
    assert_eq!(output.status.code(), Some(ExitStatus::Failed as i32));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

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
        until_told(
            &cluster,
            id,
            "a copy of a disk that was met in the same life",
        )
        .await;
    }
    write_until_acknowledged(&cluster, leader, "without it").await;
    cluster.kill(&[node]).await.unwrap();
    cluster.restart(node).unwrap();
    cluster.ready(PATIENCE).await.unwrap();
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
