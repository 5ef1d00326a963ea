//! Commands that cost much where a value is copied, or a map is freed, by the thread that answers
//! heartbeats. `tests/cost.rs` counts what they cost; here they go through a cluster.

use synod_kv::{Cluster, Protocol};
use tokio::time::timeout;

use super::{TIMEOUT, ask, connect, number, other_than, show, start_by};

/// With timeouts that forgive a busy machine, but not a second without a heartbeat.
const TIMEOUTS: [&str; 4] = ["--election-timeout-ms", "1000", "--heartbeat-ms", "100"];

pub(crate) async fn appends_and_flushes(protocol: Protocol) {
    let (cluster, _directory) = start_by(protocol, 3, &TIMEOUTS).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    let term = number(&cluster, leader, "term").await;
    let mut client = connect(&cluster, leader).await;
    let piece = vec![b'x'; 700 << 10];
    for round in 1..=22 {
        let answer = client.call(&[b"APPEND", b"long", &piece]).await.unwrap();
        assert_eq!(show(&answer), (round * piece.len()).to_string());
    }
    for _ in 0..64 {
        client.queue(&[b"APPEND", b"long", b"y"]);
    }
    client.flush().await.unwrap();
    for round in 1..=64 {
        let answer = timeout(TIMEOUT, client.receive()).await.expect("an answer");
        assert_eq!(
            show(&answer.unwrap()),
            (22 * piece.len() + round).to_string()
        );
    }
    // What was put together comes back whole, from another node's map.
    let follower = other_than(&cluster, leader);
    let answer = connect(&cluster, follower)
        .await
        .call(&[b"GET", b"long"])
        .await;
    let long = synod_kv::value_of(answer.unwrap()).unwrap();
    assert_eq!(long.len(), 22 * piece.len() + 64);
    assert!(long[..22 * piece.len()].ends_with(b"x") && long.ends_with(&[b'y'; 64]));

    let numbers: Vec<_> = (0..200_000).map(|number| format!("{number}")).collect();
    for keys in numbers.chunks(8_000) {
        let mut args: Vec<&[u8]> = vec![b"MSET"];
        keys.iter()
            .for_each(|key| args.extend([key.as_bytes(), b"v"]));
        assert_eq!(show(&client.call(&args).await.unwrap()), "OK");
    }
    assert_eq!(ask(&cluster, follower, &["DBSIZE"]).await, "200001");
    assert_eq!(ask(&cluster, leader, &["FLUSHALL"]).await, "OK");
    assert_eq!(ask(&cluster, follower, &["DBSIZE"]).await, "0");
    assert_eq!(
        number(&cluster, leader, "term").await,
        term,
        "there was an election"
    );
}

/// Limits that decide what a command does stand in the log. Nodes whose command lines differ in
/// everything that may differ hold the same map, and refuse alike.
pub(crate) async fn settings_do_not_matter(protocol: Protocol) {
    let (mut cluster, _directory) = start_by(protocol, 3, &TIMEOUTS).await;
    let settings = [
        "--request-bytes-max 2097152 --timeout-ms 9000 --snapshot-log-bytes 65536",
        "--request-bytes-max 1024 --clients-max 32 --clients-bytes-max 1000000 --inflight-max 3",
    ];
    let settings = settings.map(|each| each.split(' ').collect::<Vec<_>>());
    let ids = cluster.ids();
    for (id, arguments) in ids.iter().zip(settings) {
        cluster.kill(&[*id]).await.unwrap();
        cluster.set_arguments(*id, &arguments);
        cluster.restart(*id).unwrap();
        cluster.ready(TIMEOUT).await.unwrap();
    }
    let mut client = connect(&cluster, ids[0]).await;
    let large = vec![b'v'; 600_000];
    assert_eq!(
        show(&client.call(&[b"SET", b"large", &large]).await.unwrap()),
        "OK"
    );
    assert_eq!(
        ask(
            &cluster,
            ids[1],
            &["CONFIG", "SET", "maxkeys", "3", "maxmemory", "99999999"]
        )
        .await,
        "OK"
    );
    for (at, expected) in ["1", "1", "-OOM", "-OOM"].into_iter().enumerate() {
        let id = ids[at % ids.len()];
        let answer = ask(&cluster, id, &["INCR", &format!("key {at}")]).await;
        assert_eq!(
            answer.split(' ').next(),
            Some(expected),
            "{answer} from node {id}"
        );
    }
    // Also a node that is given the map by a snapshot, or reads its log anew, goes on alike.
    cluster.kill(&ids).await.unwrap();
    ids.iter().for_each(|id| cluster.restart(*id).unwrap());
    cluster.ready(TIMEOUT).await.unwrap();
    for id in &ids {
        assert_eq!(ask(&cluster, *id, &["DBSIZE"]).await, "3", "node {id}");
        assert_eq!(
            ask(&cluster, *id, &["STRLEN", "large"]).await,
            large.len().to_string()
        );
        let limits = ask(&cluster, *id, &["CONFIG", "GET", "maxkeys", "maxmemory"]).await;
        assert_eq!(limits, "[maxmemory, 99999999, maxkeys, 3]", "node {id}");
        let refused = ask(&cluster, *id, &["SET", "one", "more"]).await;
        assert!(refused.starts_with("-OOM "), "{refused} from node {id}");
    }
    assert_eq!(ask(&cluster, ids[2], &["DEL", "large"]).await, "1");
    assert_eq!(ask(&cluster, ids[1], &["SET", "one", "more"]).await, "OK");
    makes_room_and_uses_it(&cluster, &ids).await;
}

/// Each node of a full map is asked in one breath to remove a key and to write it anew.
async fn makes_room_and_uses_it(cluster: &Cluster, ids: &[u64]) {
    for id in ids {
        let mut client = connect(cluster, *id).await;
        client.queue(&[b"DEL", b"one"]);
        client.queue(&[b"SET", b"one", b"more"]);
        client.flush().await.unwrap();
        for expected in ["1", "OK"] {
            let answer = timeout(TIMEOUT, client.receive()).await.unwrap();
            assert_eq!(show(&answer.unwrap()), expected, "node {id}");
        }
    }
}
