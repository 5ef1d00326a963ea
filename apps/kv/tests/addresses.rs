//! Where a node is and where it listens: what cannot be is refused in words, before anything is served.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use redis_protocol::resp2::types::BytesFrame;
use synod_kv::Client;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};

/// A node that reaches nobody: its clients' port is any.
fn serve(data: &Path, cluster: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kv"));
    command
        .args(["serve", "--resp", "127.0.0.1:0"])
        .args(["--cluster", cluster, "--data"])
        .arg(data)
        .args(more)
        .stdin(Stdio::null());
    if !more.contains(&"--id") {
        command.args(["--id", "1"]);
    }
    command
}

/// What a node says that does not start.
fn refused(cluster: &str, more: &[&str]) -> String {
    let data = tempfile::tempdir().unwrap();
    let output = serve(data.path(), cluster, more).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// Also when it is written in two ways.
#[test]
fn an_address_for_two_nodes_is_refused() {
    let said = refused("1=[::1]:7001,2=[0:0::1]:7001", &[]);
    assert!(
        said.contains("the address [0:0::1]:7001 for two nodes, 1 and 2"),
        "{said}"
    );
    let said = refused("1=127.0.0.1:7001,2=127.0.0.1:7002,3=127.0.0.1:7001", &[]);
    assert!(
        said.contains("the address 127.0.0.1:7001 for two nodes, 1 and 3"),
        "{said}"
    );
}

/// An address that is kept for documentation is of no machine, and a name with an empty part is none.
#[test]
fn an_address_that_is_not_of_this_machine_is_refused_and_says_what_helps() {
    for address in ["192.0.2.1:7001", "a..b:7001"] {
        for (cluster, more) in [
            (format!("1={address}"), vec![]),
            ("1=127.0.0.1:7001".to_owned(), vec!["--listen", address]),
        ] {
            let said = refused(&cluster, &more);
            assert!(
                said.contains(&format!("cannot listen for peers at {address}: ")),
                "{said}"
            );
            assert!(said.contains("--listen says where"), "{said}");
        }
    }
}

/// Before its name resolves. `.invalid` is kept for names that never do.
#[test]
fn a_node_whose_name_does_not_resolve_yet_listens_where_it_is_told() {
    for address in ["192.0.2.1:7001", "node-1.invalid:7001"] {
        let data = tempfile::tempdir().unwrap();
        let cluster = format!("1={address}");
        let node = Served::start(data.path(), &cluster, &["--listen", "127.0.0.1:0"]);
        assert!(node.said.contains("node 1 of 1"), "{}", node.said);
        // Where it listens, and not where it was not told to.
        assert_ne!(node.peers_at().port(), 0);
        assert!(node.peers_at().ip().is_loopback());
    }
}

/// Behind a translation of addresses: each node listens at a port that no other knows, and is reached at another
/// that leads there.
#[tokio::test]
async fn peers_reach_a_node_where_the_cluster_says_and_it_listens_elsewhere() {
    let mut public = Vec::new();
    for _ in 0..2 {
        public.push(TcpListener::bind("127.0.0.1:0").await.unwrap());
    }
    let at = |id: usize| public[id - 1].local_addr().unwrap();
    let cluster = format!("1={},2={}", at(1), at(2));
    let data = tempfile::tempdir().unwrap();
    let mut nodes = Vec::new();
    for id in ["1", "2"] {
        let more = ["--listen", "127.0.0.1:0", "--id", id];
        nodes.push(Served::start(&data.path().join(id), &cluster, &more));
    }
    for (public, node) in public.into_iter().zip(&nodes) {
        tokio::spawn(translate(public, node.peers_at()));
    }
    // Two of two have to agree.
    let deadline = Instant::now() + TIMEOUT;
    for node in &nodes {
        loop {
            let mut client = Client::connect(node.resp()).await.unwrap();
            let answer = timeout(TIMEOUT, client.call(&[b"INCR", b"n"])).await;
            match answer.expect("an answer").unwrap() {
                BytesFrame::Integer(_) => break,
                other => assert!(Instant::now() < deadline, "{other:?}"),
            }
        }
    }
}

/// Hands on, both ways, what comes to one address.
async fn translate(public: TcpListener, to: SocketAddr) {
    loop {
        let (mut from, _) = public.accept().await.unwrap();
        tokio::spawn(async move {
            if let Ok(mut to) = TcpStream::connect(to).await {
                let _either_ended = copy_bidirectional(&mut from, &mut to).await;
            }
        });
    }
}

/// A node that runs; killed when it is dropped.
struct Served {
    process: Child,
    /// Its first line.
    said: String,
}

impl Served {
    fn start(data: &Path, cluster: &str, more: &[&str]) -> Self {
        let mut process = serve(data, cluster, more)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let stdout = process.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut said).unwrap();
        Self { process, said }
    }

    /// Where it says that it listens for its peers.
    fn peers_at(&self) -> SocketAddr {
        self.address(", peers on ")
    }

    fn resp(&self) -> SocketAddr {
        self.address(", RESP on ")
    }

    fn address(&self, behind: &str) -> SocketAddr {
        let (_, rest) = self.said.split_once(behind).unwrap();
        rest.split(',').next().unwrap().trim().parse().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _ended = self.process.wait();
    }
}

const TIMEOUT: Duration = Duration::from_secs(30);
