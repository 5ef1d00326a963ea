//! `docs/operations.md`: its commands are run as they stand there, one after the other, while clients write.

use std::{
    collections::BTreeMap,
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use synod_kv::Client;
use tempfile::TempDir;
use tokio::{
    net::TcpSocket,
    process::Command,
    time::{Instant, sleep, timeout},
};

use super::{PROGRAM, TIMEOUT, show};

/// Everything is in place at the end: what was acknowledged before the majority was lost, and what was afterwards.
#[tokio::test]
async fn what_the_operations_guide_says_is_right() {
    let (text, ports) = with_free_ports(include_str!("../../../../docs/operations.md"));
    let directory = TempDir::new().unwrap();
    let clients: Vec<String> = [1, 2, 4]
        .map(|node| ports[&(6_380 + node)].1.clone())
        .into();
    let stop = Arc::new(AtomicBool::new(false));
    // What is lost with a majority is lost: so clients write until then.
    let script = script(&text);
    let (before, after) = script
        .split_once("kill -9 $(cat d2.pid) $(cat d4.pid)")
        .unwrap();
    let lost = format!("kill -9 $(cat d2.pid) $(cat d4.pid){after}");
    let writer = tokio::spawn(write(clients, stop.clone()));
    // Both halves are one shell: the nodes are its jobs.
    let joined = format!("{before}touch paused; until test -e go; do sleep 0.05; done\n{lost}");
    let mut shell = run(directory.path(), &joined);
    let _leaves_nothing = Group(shell.id().unwrap());
    let paused = directory.path().join("paused");
    let deadline = Instant::now() + 10 * TIMEOUT;
    while !paused.exists() {
        if let Some(status) = shell.try_wait().unwrap() {
            panic!("{status}: {}", told(directory.path()));
        }
        assert!(Instant::now() < deadline, "{}", told(directory.path()));
        sleep(super::POLL_EVERY).await;
    }
    stop.store(true, Ordering::Relaxed);
    let (written, pause) = writer.await.unwrap();
    assert!(written > 0, "nobody wrote");
    // The node that is left has all of it: it answers a read.
    let at = &ports[&6_381].1;
    assert_all(at, written).await;
    std::fs::write(directory.path().join("go"), "").unwrap();
    let ended = timeout(10 * TIMEOUT, shell.wait()).await;
    let status = ended
        .unwrap_or_else(|_| panic!("{}", told(directory.path())))
        .unwrap();
    assert!(status.success(), "{status}: {}", told(directory.path()));
    println!("{written} writes while the guide was followed; the longest pause of them {pause:?}");
}

/// The text with other ports, which nobody else uses for as long as they are held.
fn with_free_ports(text: &str) -> (String, BTreeMap<u16, (TcpSocket, String)>) {
    let mut text = text.to_owned();
    let mut ports = BTreeMap::new();
    for port in (6_381..=6_385).chain([6_391, 7_011]).chain(7_001..=7_005) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap().to_string();
        text = text.replace(&format!("127.0.0.1:{port}"), &address);
        ports.insert(port, (socket, address));
    }
    (text, ports)
}

/// All commands of the text, in one script that leaves nothing running.
fn script(text: &str) -> String {
    let mut script = String::from("set -euo pipefail\n");
    let mut inside = false;
    for line in text.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => {
                script += line;
                script.push('\n');
            }
            _ => {}
        }
    }
    script + "kill $(jobs -p) || true\n"
}

fn run(directory: &Path, script: &str) -> tokio::process::Child {
    std::fs::write(directory.join("script"), script).unwrap();
    let log = std::fs::File::create(directory.join("told")).unwrap();
    let program = Path::new(PROGRAM).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    Command::new("bash")
        .args(["-x", "script"])
        .current_dir(directory)
        .env("PATH", format!("{}:{path}", program.display()))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

/// A shell and the nodes that it has started, which end with this.
struct Group(u32);

impl Drop for Group {
    fn drop(&mut self) {
        let group = format!("-{}", self.0);
        let _ended = std::process::Command::new("kill")
            .args(["-9", "--", &group])
            .stderr(Stdio::null())
            .status();
    }
}

fn told(directory: &Path) -> String {
    let told = std::fs::read_to_string(directory.join("told")).unwrap_or_default();
    let lines: Vec<_> = told.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

/// Sets one key after the other, each until it is acknowledged, at whoever answers; how many, and the longest pause.
async fn write(nodes: Vec<String>, stop: Arc<AtomicBool>) -> (u64, Duration) {
    let (mut written, mut longest, mut last) = (0, Duration::ZERO, None);
    let mut node = 0;
    let mut client: Option<Client> = None;
    while !stop.load(Ordering::Relaxed) {
        let key = format!("key-{written}");
        let set = async {
            if client.is_none() {
                client = Some(Client::connect(&nodes[node]).await.ok()?);
            }
            let answer = client.as_mut()?.call(&[b"SET", key.as_bytes(), b"v"]).await;
            Some(show(&answer.ok()?))
        };
        let answer = timeout(Duration::from_secs(3), set).await.ok().flatten();
        if answer.as_deref() == Some("OK") {
            let now = Instant::now();
            longest = last.map_or(longest, |last| longest.max(now - last));
            (written, last) = (written + 1, Some(now));
        } else {
            // To set it again to the same is safe.
            (client, node) = (None, (node + 1) % nodes.len());
            sleep(super::POLL_EVERY).await;
        }
    }
    (written, longest)
}

async fn assert_all(at: &str, written: u64) {
    let mut client = Client::connect(at).await.unwrap();
    for number in 0..written {
        let key = format!("key-{number}");
        let answer = show(&client.call(&[b"GET", key.as_bytes()]).await.unwrap());
        assert_eq!(answer, "v", "{key}");
    }
}
