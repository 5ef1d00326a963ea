//! A node that is told to stop while its disk is busy with something else.

use std::{fs, path::PathBuf, time::Duration};

use synod_kv::{Cluster, ExitStatus, Protocol};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use super::{POLL_EVERY, TIMEOUT, ask, closed::status_of_itself, signal, start_by};

/// The snapshot of a large map takes long on a slow disk. It is given up, and no incarnation that follows takes
/// it for one.
pub(crate) async fn gives_its_snapshot_up(protocol: Protocol) {
    let (mut cluster, directory) = start_by(protocol, 1, &[]).await;
    let value = "v".repeat(VALUE_BYTES);
    for key in 0..VALUES {
        put(&cluster, key, &value).await;
    }
    terminate(&mut cluster).await;

    let interval = ((VALUES + 2) * VALUE_BYTES).to_string();
    let slowly = ["--snapshot-log-bytes", &interval, "--slow-sync-ms", "700"];
    cluster.set_arguments(1, &slowly);
    cluster.restart(1).unwrap();
    cluster.ready(OPENING_TIMEOUT).await.unwrap();
    let mut values = VALUES;
    while !is_left(&directory, "new") {
        assert!(values < 2 * VALUES, "{values} values and no snapshot");
        put(&cluster, values, &value).await;
        values += 1;
    }
    terminate(&mut cluster).await;
    let log = fs::read_to_string(cluster.log(1)).unwrap();
    assert!(!log.contains("it is left to it"), "not given up:\n{log}");
    let left = files(&directory);
    assert!(!is_left(&directory, "snap"), "written to its end: {left:?}");

    cluster.set_arguments(1, &[]);
    cluster.restart(1).unwrap();
    cluster.ready(TIMEOUT).await.unwrap();
    assert_eq!(ask(&cluster, 1, &["DBSIZE"]).await, values.to_string());
    for key in 0..values {
        let len = ask(&cluster, 1, &["STRLEN", &format!("key {key}")]).await;
        assert_eq!(len, VALUE_BYTES.to_string(), "key {key}");
    }
    let left = files(&directory);
    assert!(!is_left(&directory, "new"), "left behind: {left:?}");
}

/// What it opens lies on a disk that takes minutes for it.
#[tokio::test]
async fn a_node_that_is_told_to_stop_while_it_opens_its_disk_does_so() {
    let (mut cluster, directory) = start_by(Protocol::default(), 1, &[]).await;
    assert_eq!(ask(&cluster, 1, &["SET", "k", "v"]).await, "OK");
    terminate(&mut cluster).await;
    // Of the same length in each incarnation, and with another content only once the next has begun.
    let prepared = || fs::read(data(&directory).join("identity.part")).unwrap_or_default();
    let before = prepared();
    cluster.set_arguments(1, &["--slow-sync-ms", "60000"]);
    cluster.restart(1).unwrap();
    until("the disk is being opened", || prepared() != before).await;
    terminate(&mut cluster).await;

    cluster.set_arguments(1, &[]);
    cluster.restart(1).unwrap();
    cluster.ready(TIMEOUT).await.unwrap();
    assert_eq!(ask(&cluster, 1, &["GET", "k"]).await, "v");
}

async fn put(cluster: &Cluster, key: usize, value: &str) {
    let answer = ask(cluster, 1, &["SET", &format!("key {key}"), value]).await;
    assert_eq!(answer, "OK");
}

async fn terminate(cluster: &mut Cluster) {
    signal("TERM", &[cluster.process_id(1).unwrap()]).await;
    assert_eq!(status_of_itself(cluster, 1).await, ExitStatus::Stopped);
}

async fn until(what: &str, mut shows: impl FnMut() -> bool) {
    let deadline = Instant::now() + OPENING_TIMEOUT;
    while !shows() {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(POLL_EVERY).await;
    }
}

fn files(directory: &TempDir) -> Vec<PathBuf> {
    let entries = fs::read_dir(data(directory)).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn data(directory: &TempDir) -> PathBuf {
    directory.path().join("node-1")
}

fn is_left(directory: &TempDir, suffix: &str) -> bool {
    let of_a_snapshot = |file: &PathBuf| file.extension().is_some_and(|found| found == suffix);
    files(directory).iter().any(of_a_snapshot)
}

const VALUES: usize = 48;
const VALUE_BYTES: usize = 700_000;
/// A slow disk is opened with a dozen syncs.
const OPENING_TIMEOUT: Duration = Duration::from_secs(60);
