//! What a cluster holds is carried into another one: by a backup, or from the last disk that is left.

use std::{
    fs,
    path::Path,
    process::Output,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;
use synod_kv::{Client, Cluster, ClusterOptions, ExitStatus, Listener, Protocol};
use tokio::{process::Command, task::JoinSet, time::timeout};

use super::{
    PROGRAM, TIMEOUT, ask, connect, identity::until_told, operator::told, ready, show, start_by,
    write_until_acknowledged,
};

/// Runs `kv` with these words.
async fn kv(words: &[&str]) -> Output {
    let output = Command::new(PROGRAM)
        .args(words)
        .kill_on_drop(true)
        .output();
    timeout(3 * TIMEOUT, output)
        .await
        .expect("it ends")
        .unwrap()
}

/// What it prints as JSON, when it is done.
async fn json(words: &[&str]) -> Value {
    let output = kv(words).await;
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {error}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A cluster of directories that are there.
async fn begin(directory: &Path, nodes: u64, protocol: Protocol, cluster_id: &str) -> Cluster {
    ready(ClusterOptions {
        program: PROGRAM.into(),
        nodes,
        directory: directory.to_owned(),
        arguments: ["--protocol", protocol.name(), "--cluster-id", cluster_id]
            .map(Into::into)
            .into(),
        listener: Listener::File,
    })
    .await
}

/// Writes one key after the other until it is told to stop; how many were acknowledged, without a gap.
async fn write(mut client: Client, prefix: String, stop: Arc<AtomicBool>) -> (String, u64) {
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        let key = format!("{prefix}-{written}");
        let answer = client.call(&[b"SET", key.as_bytes(), b"v"]).await.unwrap();
        assert_eq!(show(&answer), "OK");
        written += 1;
    }
    (prefix, written)
}

async fn holds(cluster: &Cluster, id: u64, (prefix, count): &(String, u64)) {
    let mut client = connect(cluster, id).await;
    for number in 0..*count {
        let key = format!("{prefix}-{number}");
        let answer = show(&client.call(&[b"GET", key.as_bytes()]).await.unwrap());
        assert_eq!(answer, "v", "{key} on node {id}");
    }
}

/// Three nodes are backed up under writes, and become one node of the other protocol and five of this one.
pub(crate) async fn begins_other_clusters(protocol: Protocol) {
    let (cluster, directory) = start_by(protocol, 3, &[]).await;
    let mut client = connect(&cluster, 2).await;
    let session = show(&client.call(&[b"SESSION", b"NEW"]).await.unwrap());
    let named = [&b"SESSION"[..], session.as_bytes(), b"1", b"INCR", b"n"];
    assert_eq!(show(&client.call(&named).await.unwrap()), "1");
    let lasting = [&b"SET"[..], b"ends", b"v", b"EX", b"1000"];
    assert_eq!(show(&client.call(&lasting).await.unwrap()), "OK");
    let large = vec![b'x'; 700_000];
    assert_eq!(
        show(&client.call(&[b"SET", b"large", &large]).await.unwrap()),
        "OK"
    );
    let before = write_some(&cluster).await;

    // Others go on writing while it is made.
    let (stop, mut load) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    for number in 0..4 {
        let client = connect(&cluster, number % 3 + 1).await;
        load.spawn(write(client, format!("during-{number}"), stop.clone()));
    }
    let file = directory.path().join("backup");
    let file = file.to_str().unwrap();
    // Of a node that does not lead, as any.
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    let node = cluster
        .address(super::other_than(&cluster, leader))
        .to_string();
    let made = json(&["backup", &node, file, "--json"]).await;
    stop.store(true, Ordering::Relaxed);
    for (_, written) in load.join_all().await {
        assert!(written > 0, "nothing was written meanwhile");
    }
    assert_eq!(made["protocol"], protocol.name());
    assert!(made["keys"].as_u64().unwrap() >= 203, "{made}");
    let again = kv(&["backup", &node, file]).await;
    let error = String::from_utf8_lossy(&again.stderr);
    assert!(
        !again.status.success() && error.contains("is there already"),
        "{error}"
    );
    drop(cluster);

    let other = Protocol::all().iter().copied().find(|one| *one != protocol);
    for (nodes, by) in [(1, other.unwrap_or(protocol)), (5, protocol)] {
        let into = directory.path().join(format!("of-{nodes}"));
        let count = nodes.to_string();
        let words = [
            "restore",
            file,
            "--dir",
            into.to_str().unwrap(),
            "--nodes",
            &count,
        ];
        let restored = json(&[&words[..], &["--protocol", by.name(), "--json"]].concat()).await;
        let number = restored["cluster_id"].as_str().unwrap();
        let cluster = begin(&into, nodes, by, number).await;
        for id in [1, nodes] {
            holds(&cluster, id, &before).await;
        }
        let mut client = connect(&cluster, nodes).await;
        // It was done in the cluster that was, and is not done again.
        assert_eq!(show(&client.call(&named).await.unwrap()), "1");
        assert_eq!(show(&client.call(&[b"INCR", b"n"]).await.unwrap()), "2");
        let left = show(&client.call(&[b"TTL", b"ends"]).await.unwrap());
        assert!(
            (900..=1000).contains(&left.parse::<u64>().unwrap()),
            "{left}"
        );
        let answer = client.call(&[b"GET", b"large"]).await.unwrap();
        assert_eq!(synod_kv::value_of(answer).unwrap(), large);
        write_until_acknowledged(&cluster, 1, "after").await;
    }
}

async fn write_some(cluster: &Cluster) -> (String, u64) {
    let mut client = connect(cluster, 1).await;
    for number in 0..200 {
        let key = format!("before-{number}");
        let answer = client.call(&[b"SET", key.as_bytes(), b"v"]).await.unwrap();
        assert_eq!(show(&answer), "OK");
    }
    ("before".into(), 200)
}

/// A backup that is not whole makes no directory; and a node of a restored cluster does not begin without its own.
#[tokio::test]
async fn a_damaged_backup_and_an_empty_directory_begin_nothing() {
    let protocol = Protocol::default();
    let (cluster, directory) = start_by(protocol, 1, &[]).await;
    write_some(&cluster).await;
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (file, damaged, into) = (path("backup"), path("damaged"), path("restored"));
    json(&["backup", &cluster.address(1).to_string(), &file, "--json"]).await;
    let mut bytes = fs::read(&file).unwrap();
    let place = bytes.len() / 2;
    bytes[place] ^= 1;
    fs::write(&damaged, &bytes).unwrap();
    for (bytes, words) in [
        (&bytes[..], "damaged at byte"),
        (&bytes[..12], "ends early"),
    ] {
        fs::write(&damaged, bytes).unwrap();
        let refused = kv(&["restore", &damaged, "--dir", &into]).await;
        let error = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(ExitStatus::Failed as i32));
        assert!(
            error.contains(words) && !Path::new(&into).exists(),
            "{error}"
        );
    }
    // Not over another cluster's directories either.
    let refused = kv(&[
        "restore",
        &file,
        "--dir",
        directory.path().to_str().unwrap(),
    ])
    .await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is not empty"));

    let restored = json(&["restore", &file, "--dir", &into, "--nodes", "1", "--json"]).await;
    let number = restored["cluster_id"].as_str().unwrap();
    let serve = [
        "serve",
        "--id",
        "1",
        "--cluster",
        "1=127.0.0.1:1",
        "--resp",
        "127.0.0.1:0",
    ];
    let empty = path("empty");
    let of = ["--cluster-id", number, "--data", &empty];
    let arguments = [&serve[..], &of].concat();
    let output = timeout(TIMEOUT, kv(&arguments)).await.expect("it ends");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(ExitStatus::Failed as i32));
    assert!(error.contains("this cluster began with a state"), "{error}");
}

/// Two of three disks are gone. The third begins a new cluster, which grows to three; a node that was given up is
/// no part of it when it comes back.
pub(crate) async fn comes_back_from_a_lost_majority(protocol: Protocol) {
    let (mut cluster, directory) = start_by(protocol, 3, &["--snapshot-log-bytes", "65536"]).await;
    let before = write_some(&cluster).await;
    // More than fits between two snapshots.
    let mut client = connect(&cluster, 3).await;
    let value = vec![b'x'; 10_000];
    for number in 0..30 {
        let key = format!("large-{number}");
        let set = [&b"SET"[..], key.as_bytes(), &value];
        assert_eq!(show(&client.call(&set).await.unwrap()), "OK");
    }
    // The node that is left knows of it all.
    assert_eq!(ask(&cluster, 1, &["GET", "before-199"]).await, "v");
    cluster.kill(&[2, 3]).await.unwrap();
    fs::remove_dir_all(cluster.data(3)).unwrap();
    let into = directory.path().join("recovered");
    let number = recover(&mut cluster, &into).await;

    let mut recovered = begin(&into, 1, protocol, &number).await;
    holds(&recovered, 1, &before).await;
    for _ in 0..2 {
        let new = recovered.join().unwrap();
        let add = format!("member add {new} {}", recovered.peer_address(new));
        for words in [add, format!("member promote {new}")] {
            told(&recovered, 1, &words, ExitStatus::Stopped).await;
        }
    }
    recovered.ready(TIMEOUT).await.unwrap();
    holds(&recovered, 3, &before).await;
    given_up_stays_out(&cluster, &recovered, (protocol.name(), &number)).await;
    // Three again: one may be lost.
    recovered.kill(&[1]).await.unwrap();
    write_until_acknowledged(&recovered, 2, "after").await;
    holds(&recovered, 2, &before).await;
}

/// Recovers what node 1 holds, which runs until now; the number of the new cluster.
async fn recover(cluster: &mut Cluster, into: &Path) -> String {
    let data = cluster.data(1);
    let [data, to] = [&*data, into].map(|path| path.to_str().unwrap());
    let words = ["recover", "--data", data, "--into", to];
    let error = kv(&words).await.stderr;
    let error = String::from_utf8_lossy(&error);
    assert!(error.contains("stop its node first"), "{error}");
    cluster.kill(&[1]).await.unwrap();

    // Not by accident.
    let output = kv(&words).await;
    let text = String::from_utf8_lossy(&output.stdout);
    let ends = output.status.code();
    assert_eq!(ends, Some(ExitStatus::Failed as i32), "{text}");
    let behind = "whatever the others acknowledged behind entry";
    for words in ["Nothing was done", behind, "230 keys"] {
        assert!(text.contains(words), "{text}");
    }
    assert!(!into.exists());
    let flags = ["--yes-lose-what-is-not-here", "--json"];
    let found = json(&[&words[..], &flags].concat()).await;
    assert_eq!(found["missing"], 0, "{found}");
    assert!(found["last"].as_u64().unwrap() >= 230, "{found}");
    found["made"]["cluster_id"].as_str().unwrap().to_owned()
}

/// Node 2 of the cluster that was comes back with its disk, as what it was and as a node of the new cluster.
async fn given_up_stays_out(old: &Cluster, recovered: &Cluster, (by, number): (&str, &str)) {
    let data = old.data(2);
    let cluster = format!(
        "1={},2={},3=127.0.0.1:1",
        recovered.peer_address(1),
        old.peer_address(2)
    );
    let serve = [
        "serve",
        "--protocol",
        by,
        "--id",
        "2",
        "--cluster",
        &cluster,
        "--resp",
        "127.0.0.1:0",
    ];
    let of = ["--data", data.to_str().unwrap(), "--cluster-id", number];
    let output = kv(&[&serve[..], &of].concat()).await;
    assert_eq!(output.status.code(), Some(ExitStatus::Failed as i32));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("the data directory belongs to cluster"),
        "{error}"
    );

    let mut child = Command::new(PROGRAM)
        .args([&serve[..], &["--data", data.to_str().unwrap()]].concat())
        .stderr(fs::File::create(old.log(2)).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    until_told(old, 2, "another cluster").await;
    child.kill().await.unwrap();
}
