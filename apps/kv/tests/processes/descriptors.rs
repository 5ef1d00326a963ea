//! A process that may have few files open.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use synod_kv::{Client, Cluster, ClusterOptions, Listener, info_field};
use tempfile::TempDir;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

use super::{PROGRAM, TIMEOUT, ask, connect, number, ready, show};

/// Clients take what the node leaves them, the log says so, and a node that is besieged at both of its ports still
/// begins segments and takes snapshots.
#[tokio::test]
async fn clients_take_no_descriptor_that_the_node_needs() {
    let (cluster, _directory) = few_files().await;
    let max = number(&cluster, 1, "maxclients").await;
    assert!((1..FILES_MAX).contains(&max), "{max} clients");
    let log = std::fs::read_to_string(cluster.log(1)).unwrap();
    assert!(log.contains("fewer clients than asked for"), "{log}");

    let mut first = connect(&cluster, 1).await;
    let mut held = Vec::new();
    for _ in 0..2 * FILES_MAX {
        let mut client = connect(&cluster, 1).await;
        // Whoever asks for no data is answered, and goes when others come.
        assert_eq!(show(&client.call(&[b"PING"]).await.unwrap()), "PONG");
        held.push(client);
    }
    assert!(number(&cluster, 1, "connected_clients").await < max + FILES_MAX / 5);
    assert!(number(&cluster, 1, "rejected_connections").await > FILES_MAX);
    let strangers = tokio::spawn(besiege(cluster.peer_address(1)));
    let value = vec![b'x'; 500_000];
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let answer = first.call(&[b"SET", b"k", &value]).await.unwrap();
        assert_eq!(show(&answer), "OK");
        let text = first.info().await.unwrap();
        let field = |name| -> u64 { info_field(&text, name).unwrap().parse().unwrap() };
        // Beyond the first segment of the log, and several snapshots.
        let besieged = field("handshakes_dropped") > FILES_MAX;
        if field("snapshots_taken") >= 3 && field("log_bytes") > 20 << 20 && besieged {
            assert_eq!(field("snapshots_failed"), 0, "{text}");
            assert_eq!(info_field(&text, "disk_full_seconds"), Some(""), "{text}");
            break;
        }
        assert!(Instant::now() < deadline, "{text}");
    }
    let log = std::fs::read_to_string(cluster.log(1)).unwrap();
    assert!(!log.contains("accept"), "out of descriptors: {log}");
    assert!(!strangers.is_finished());
    strangers.abort();
    drop((held, first));
    timeout(TIMEOUT, async {
        while Client::connect(cluster.address(1))
            .await
            .unwrap()
            .info()
            .await
            .is_err()
        {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("places are free again");
    assert_eq!(ask(&cluster, 1, &["STRLEN", "k"]).await, "500000");
}

/// Says half a hello, again and again, and keeps more connections open than the node may have.
async fn besiege(address: SocketAddr) {
    let mut crowd = VecDeque::new();
    for at in 0.. {
        let mut stranger = connect_from(at, address).await;
        let _displaced = stranger.write_all(b"SYND").await;
        crowd.push_back(stranger);
        if crowd.len() as u64 > FILES_MAX + 40 {
            crowd.pop_front();
            sleep(Duration::from_millis(1)).await;
        }
    }
}

/// From one of eight addresses, so that strangers take all that they may: where the loopback has so many, which
/// is so on Linux.
async fn connect_from(at: u64, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    if cfg!(target_os = "linux") {
        let from = [127, 0, 0, 2 + (at % 8) as u8];
        socket.bind((from, 0).into()).unwrap();
    }
    socket.connect(to).await.unwrap()
}

/// One node, as a process that may have [`FILES_MAX`] files open.
async fn few_files() -> (Cluster, TempDir) {
    let directory = TempDir::new().unwrap();
    // A program in between, as a process cannot lower the limit of another that it starts.
    let program = directory.path().join("few-files");
    let script = format!("#!/bin/sh\nulimit -n {FILES_MAX} && exec {PROGRAM} \"$@\"\n");
    std::fs::write(&program, script).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    let options = ClusterOptions {
        program,
        nodes: 1,
        directory: directory.path().join("data"),
        arguments: ["--snapshot-log-bytes", "65536", "--log", "warn"]
            .map(Into::into)
            .into(),
        listener: Listener::File,
    };
    (ready(options).await, directory)
}

const FILES_MAX: u64 = 140;
