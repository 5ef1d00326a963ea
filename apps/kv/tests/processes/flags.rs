//! A directory that is opened as something else, because somebody forgot a flag.

use std::{fs, os::unix::fs::PermissionsExt};

use synod_kv::{ExitStatus, Protocol};
use tempfile::TempDir;
use tokio::{process::Command, time::timeout};

use super::{PROGRAM, TIMEOUT, ask, identity::until_told, start_by, write_until_acknowledged};

/// A forgotten flag: the node says what it found and what it was asked for, changes nothing, and starts
/// again as what it is.
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
        let one = "1=127.0.0.1:1";
        let refused = [
            (one, "raft", "raft, voters 1", CLUSTER),
            (
                one,
                "paxos",
                "paxos, acceptors 1, phase 1 by 1, phase 2 by 1",
                CLUSTER,
            ),
            (one, protocol.name(), "", "7"),
        ];
        for (members, asked, as_what, cluster_id) in refused {
            if as_what == found {
                continue;
            }
            let told = told_at_start(&directory, members, asked, cluster_id).await;
            let words = if as_what.is_empty() {
                "the data directory belongs to cluster 00000000000000000000000000000001, and this is a node of \
                 cluster 00000000000000000000000000000007. What to do: start it with the --id, "
                    .to_owned()
            } else {
                format!(
                    "the data directory was founded as [group 1: {found}; formats 2], and is to be opened as \
                     [group 1: {as_what}; formats 2]"
                )
            };
            assert!(told.contains(&words), "{told}");
        }
        let data = directory.path().join("node-1");
        let mode = |mode| fs::Permissions::from_mode(mode);
        fs::set_permissions(&data, mode(0o755)).unwrap();
        cluster.restart(1).unwrap();
        cluster.ready(TIMEOUT).await.unwrap();
        assert_eq!(ask(&cluster, 1, &["GET", "k"]).await, "1");
        // It is not changed: whoever gave it that mode may have meant it.
        until_told(
            &cluster,
            1,
            "has mode 755: others than its owner may look into it",
        )
        .await;
        let kept = fs::metadata(&data).unwrap().permissions().mode() & 0o7777;
        assert_eq!(kept, 0o755);
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
    let output = timeout(TIMEOUT, ended).await.expect("it ends").unwrap();
    assert_eq!(output.status.code(), Some(ExitStatus::Failed as i32));
    String::from_utf8_lossy(&output.stderr).into_owned()
}
