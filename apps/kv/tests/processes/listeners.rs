//! Who listens to a node makes no difference to it.

use std::io::Write;

use redis_protocol::resp2::types::BytesFrame;
use synod_kv::{ClusterOptions, Listener, Protocol};
use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::Command,
    time::{Instant, timeout},
};

use super::{PROGRAM, TIMEOUT, connect, number, ready, show, signal, write_until_acknowledged};

/// One node that tells everything it can, to pipes that nobody reads: it serves, also when more lines
/// have come together than the pipe and the queue before it take.
pub(crate) async fn serves_unheard(protocol: Protocol) {
    let directory = TempDir::new().unwrap();
    let cluster = ready(ClusterOptions {
        program: PROGRAM.into(),
        nodes: 1,
        directory: directory.path().to_owned(),
        arguments: ["--protocol", protocol.name(), "--log", "trace"]
            .map(Into::into)
            .into(),
        listener: Listener::Deaf,
    })
    .await;
    let mut client = connect(&cluster, 1).await;
    let deadline = Instant::now() + 3 * TIMEOUT;
    let mut rounds = 0_u32;
    while number(&cluster, 1, "log_lines_dropped").await == 0 {
        for _ in 0..100 {
            // A connection that is reset is a line in the log.
            let stream = TcpStream::connect(cluster.address(1)).await.unwrap();
            stream.set_zero_linger().unwrap();
        }
        let answer = timeout(TIMEOUT, client.call(&[b"APPEND", b"rounds", b"."]));
        let answer = answer.await.expect("the node does not wait for a reader");
        rounds += 1;
        assert_eq!(show(&answer.unwrap()), rounds.to_string());
        assert!(
            Instant::now() < deadline,
            "no line was dropped in {rounds} rounds"
        );
    }
}

/// Standard output and standard error are closed before the node says a word.
#[tokio::test]
async fn closed_streams_do_not_end_a_node() {
    let directory = TempDir::new().unwrap();
    let mut cluster = ready(ClusterOptions {
        program: PROGRAM.into(),
        nodes: 1,
        directory: directory.path().to_owned(),
        arguments: ["--log", "trace"].map(Into::into).into(),
        listener: Listener::Gone,
    })
    .await;
    write_until_acknowledged(&cluster, 1, "k").await;
    signal("TERM", &[cluster.process_id(1).unwrap()]).await;
    let status = timeout(TIMEOUT, cluster.ended(1))
        .await
        .expect("it stops")
        .unwrap();
    assert_eq!(status.unwrap().code(), Some(0));
}

/// A node that cannot start ends with its status, whether or not its last words are heard.
#[tokio::test]
async fn a_node_that_cannot_start_ends_unheard() {
    let directory = TempDir::new().unwrap();
    let data = directory.path().join("data");
    for listener in [Listener::Deaf, Listener::Gone] {
        let (ours, theirs) = std::io::pipe().unwrap();
        let deaf = (listener == Listener::Deaf).then_some(ours);
        // As much as the pipe takes, until its reader is gone: the node finds no room in it.
        let mut full = theirs.try_clone().unwrap();
        let filler = std::thread::spawn(move || while full.write_all(&[b'x'; 1_024]).is_ok() {});
        // A file where the directory should be.
        std::fs::write(&data, b"").unwrap();
        let mut node = Command::new(PROGRAM)
            .args([
                "serve",
                "--id",
                "1",
                "--cluster",
                "1=127.0.0.1:0",
                "--resp",
                "127.0.0.1:0",
            ])
            .arg("--data")
            .arg(&data)
            .stdout(theirs.try_clone().unwrap())
            .stderr(theirs)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let status = timeout(TIMEOUT, node.wait())
            .await
            .expect("it ends")
            .unwrap();
        assert_eq!(status.code(), Some(1), "{listener:?}");
        drop(deaf);
        filler.join().unwrap();
    }
}

/// `kv load | head`: whoever has read enough ends nothing but the printing.
#[tokio::test]
async fn a_report_that_nobody_reads_is_no_panic() {
    let (cluster, _directory) = super::start(1, &[]).await;
    let (ours, theirs) = std::io::pipe().unwrap();
    drop(ours);
    let mut load = Command::new(PROGRAM)
        .args([
            "load",
            "--seconds",
            "1",
            "--clients",
            "1",
            "--json",
            "--resp",
        ])
        .arg(cluster.address(1).to_string())
        .stdout(theirs)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let status = timeout(TIMEOUT, load.wait())
        .await
        .expect("it ends")
        .unwrap();
    assert_eq!(status.code(), Some(0));
    let count = connect(&cluster, 1).await.call(&[b"DBSIZE"]).await.unwrap();
    assert!(
        matches!(count, BytesFrame::Integer(count) if count > 0),
        "{count:?}"
    );
}
