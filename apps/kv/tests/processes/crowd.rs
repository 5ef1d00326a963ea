//! Clients that would hold their place for ever, and requests that would be obeyed by half.

use std::process::Stdio;

use synod_kv::{Cluster, Protocol};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::Command,
    time::{Instant, timeout},
};

use super::{PROGRAM, TIMEOUT, ask, identity::until_told, number, start_by};

/// All seats are taken by clients that say nothing, send half of something, or do not read; and a new
/// one is served, on leader and follower alike.
pub(super) async fn serves_the_honest(protocol: Protocol) {
    let arguments = ["--clients-max", "12", "--client-stall-ms", "1500"];
    let (cluster, _directory) = start_by(protocol, 3, &arguments).await;
    let value = vec![b'x'; 500_000];
    let value = String::from_utf8(value).unwrap();
    assert_eq!(served(&cluster, 1, &["SET", "large", &value]).await, "OK");
    for id in cluster.ids() {
        let mut bad = Vec::new();
        let unread = b"*2\r\n$3\r\nGET\r\n$5\r\nlarge\r\n".repeat(100);
        let half = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$400000\r\nxxx".to_vec();
        for request in [unread, half, Vec::new()].iter().cycle().take(12) {
            let mut socket = TcpStream::connect(cluster.address(id)).await.unwrap();
            socket.write_all(request).await.unwrap();
            bad.push(socket);
        }
        let answer = served(&cluster, id, &["SET", "k", "v"]).await;
        assert_eq!(answer, "OK", "node {id}");
        let answer = served(&cluster, id, &["GET", "k"]).await;
        assert_eq!(answer, "v", "node {id}");
        // Those that gave no way are cut for what they do: four do not read, four do not go on.
        let deadline = Instant::now() + TIMEOUT;
        while number(&cluster, id, "stalled_clients").await
            + number(&cluster, id, "displaced_clients").await
            < 8
        {
            assert!(Instant::now() < deadline, "node {id} waits for ever");
        }
        // Whoever looks after the node reads which setting it was.
        until_told(&cluster, id, "(--client-stall-ms)").await;
        drop(bad);
    }
}

/// The answer to a request that may be done twice. A machine with much else to do elects another leader now and
/// then, and what is asked meanwhile ends without one; that is no crowd's doing, and nothing else is asked again.
async fn served(cluster: &Cluster, id: u64, request: &[&str]) -> String {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let answer = ask(cluster, id, request).await;
        let is_leaderless = answer.starts_with("-REJECTED") || answer.starts_with("-UNKNOWN");
        if !is_leaderless || Instant::now() > deadline {
            return answer;
        }
    }
}

/// None of it happened, also where it went through a follower.
pub(super) async fn refuses_transactions(protocol: Protocol) {
    let (cluster, _directory) = start_by(protocol, 3, &[]).await;
    for id in cluster.ids() {
        let mut socket = TcpStream::connect(cluster.address(id)).await.unwrap();
        let stream = b"*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n*1\r\n$5\r\nMULTI\r\n\
            *2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*1\r\n$4\r\nEXEC\r\n";
        socket.write_all(stream).await.unwrap();
        let mut read = Vec::new();
        timeout(TIMEOUT, socket.read_to_end(&mut read))
            .await
            .expect("closed")
            .unwrap();
        let read = String::from_utf8(read).unwrap();
        let (greeting, error) = read.split_once("\r\n-").unwrap();
        assert!(
            greeting.starts_with("%7\r\n") && greeting.contains(":3\r\n"),
            "{read}"
        );
        assert!(
            error.starts_with("ERR 'multi' is not supported") && error.lines().count() == 1,
            "{read}"
        );
        assert_eq!(ask(&cluster, id, &["GET", "n"]).await, "(nil)", "node {id}");
    }
}

/// Limits that bound each other are told where they are set, and nothing starts.
#[tokio::test]
async fn limits_that_contradict_each_other_are_a_failed_start() {
    let directory = TempDir::new().unwrap();
    let node = Command::new(PROGRAM)
        .args([
            "serve",
            "--id",
            "1",
            "--cluster",
            "1=127.0.0.1:0",
            "--resp",
            "127.0.0.1:0",
        ])
        .args(["--clients-max", "4000", "--data"])
        .arg(directory.path().join("data"))
        .stdin(Stdio::null())
        .output();
    let output = timeout(TIMEOUT, node).await.expect("it ends").unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("--clients-max 4000 needs --clients-bytes-max 65667072"),
        "{told}"
    );
}
