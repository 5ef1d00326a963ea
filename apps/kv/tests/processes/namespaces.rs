//! Nodes that are machines to each other: network namespaces with addresses of their own behind a bridge, of versions 4
//! and 6, a file of hosts, a link that is cut one way, and a name whose address changes. Under TLS, real processes.
//!
//! ```text
//!  test ── host ──┐
//!                 ├── bridge ──┬── namespace 1: node 1, by version 6
//!                              ├── namespace 2: node 2
//!                              └── namespace 3: node 3, which moves
//! ```

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use redis_protocol::resp2::types::BytesFrame;
use synod_kv::{Client, Protocol, info_field, value_of};
use synod_sim::{History, Kv, KvInput, KvOutput, check};
use tempfile::TempDir;
use tokio::time::{Duration, Instant, sleep, timeout};

use super::{POLL_EVERY, PROGRAM, TIMEOUT, show, skipped, tls::sign_for};

/// Whatever happens to their links, three nodes lose nothing that they have acknowledged, and what their clients saw is
/// explained by one order.
pub(super) async fn nodes_are_machines_to_each_other(protocol: Protocol) {
    let name = "nodes_are_machines_to_each_other";
    let lan = match Lan::make(u8::from(protocol.name() == "raft")) {
        Ok(lan) => lan,
        Err(why) => {
            return skipped(
                name,
                &format!("network namespaces cannot be made here: {why}"),
            );
        }
    };
    let folder = TempDir::new().unwrap();
    sign_for(folder.path());
    fs::write(folder.path().join("password"), "secret\n").unwrap();
    let _nodes: Vec<Node> = (1..=3)
        .map(|id| lan.start(id, folder.path(), protocol))
        .collect();
    for id in 1..=3 {
        served(&lan, id, "before").await;
    }
    let seen = Arc::new(Seen::default());
    let load: Vec<_> = (1..=3)
        .map(|id| tokio::spawn(ask(lan.reach(id), Arc::clone(&seen))))
        .collect();
    seen.more(20).await;
    cut_one_way(&lan, &seen).await;

    // Node 3 moves. Who dials it looks its name up each time; without that nobody would answer it.
    lan.move_third();
    served(&lan, 3, "moved").await;
    seen.more(20).await;

    let netem = [
        "qdisc", "add", "dev", "eth0", "root", "netem", "loss", "5%", "delay", "3ms", "2ms",
    ];
    match lan.tc(&netem) {
        Ok(()) => seen.more(20).await,
        Err(why) => skipped(
            name,
            &format!("its part with loss: there is no netem here: {why}"),
        ),
    }
    let _none = lan.tc(&["qdisc", "del", "dev", "eth0", "root"]);

    seen.enough.store(true, Ordering::Relaxed);
    for client in load {
        client.await.unwrap();
    }
    nothing_is_lost(&lan, &seen).await;
}

/// What node 1 says reaches node 2 no more; what node 2 says still reaches it, on the connection that it has dialed, by
/// version 6.
async fn cut_one_way(lan: &Lan, seen: &Seen) {
    let to_the_second = format!("{}/32", lan.address(2));
    let route = |verb| {
        let name = lan.name(1);
        lan.ip(&["-n", &name, "route", verb, "blackhole", &to_the_second])
    };
    let failed = async || {
        let info = known(lan.reach(1)).await?.info().await.ok()?;
        info_field(&info, "connects_failed")?.parse::<u64>().ok()
    };
    let before = failed().await.unwrap();
    route("add").unwrap();
    let deadline = Instant::now() + TIMEOUT;
    while failed().await.is_none_or(|now| now == before) {
        assert!(Instant::now() < deadline, "node 1 reaches node 2 still");
        sleep(POLL_EVERY).await;
    }
    seen.more(20).await;
    route("del").unwrap();
}

async fn nothing_is_lost(lan: &Lan, seen: &Seen) {
    let acknowledged = seen.acknowledged.lock().unwrap().clone();
    for id in 1..=3 {
        served(lan, id, "after").await;
        let mut client = known(lan.reach(id)).await.unwrap();
        for key in &acknowledged {
            let value = client.call(&[b"GET", key.as_bytes()]).await.unwrap();
            assert_eq!(show(&value), "1", "node {id} has lost {key}");
        }
    }
    let history = seen.history.lock().unwrap();
    let verdict = check(Kv, &history);
    assert!(verdict.is_ok(), "{verdict:?}");
    assert!(history.counts().returned >= acknowledged.len() as u64);
}

/// What clients have asked, and what they know of it.
#[derive(Default)]
struct Seen {
    history: Mutex<History<KvInput, KvOutput>>,
    acknowledged: Mutex<Vec<String>>,
    writes: AtomicU64,
    enough: AtomicBool,
}

impl Seen {
    /// Waits for so many more acknowledged writes.
    async fn more(&self, writes: usize) {
        let count = || self.acknowledged.lock().unwrap().len();
        let (wanted, deadline) = (count() + writes, Instant::now() + 3 * TIMEOUT);
        while count() < wanted {
            assert!(Instant::now() < deadline, "{} of {wanted} writes", count());
            sleep(POLL_EVERY).await;
        }
    }
}

/// Asks one node, in turns: a new key is written, one of a few keys is written and another is read.
async fn ask(reach: Arc<Mutex<SocketAddr>>, seen: Arc<Seen>) {
    #[expect(clippy::disallowed_methods, reason = "a history has one time")]
    let begun = *BEGUN.get_or_init(std::time::Instant::now);
    let mut who = seen.history.lock().unwrap().fresh_client();
    let mut client = None;
    while !seen.enough.load(Ordering::Relaxed) {
        let Some(connected) = &mut client else {
            client = known(Arc::clone(&reach)).await;
            sleep(POLL_EVERY).await;
            continue;
        };
        let number = seen.writes.fetch_add(1, Ordering::Relaxed);
        let (fresh, value) = (format!("new-{number}"), number.to_string());
        let shared = format!("shared-{}", number % 4);
        let (args, input): (Vec<&[u8]>, _) = match number % 3 {
            0 => (
                vec![b"SET", fresh.as_bytes(), b"1"],
                KvInput::put(&fresh, "1"),
            ),
            1 => (
                vec![b"SET", shared.as_bytes(), value.as_bytes()],
                KvInput::put(&shared, value.as_str()),
            ),
            _ => (vec![b"GET", shared.as_bytes()], KvInput::get(&shared)),
        };
        let op = seen
            .history
            .lock()
            .unwrap()
            .call(who, begun.elapsed(), input)
            .unwrap();
        let answer = timeout(CALL_TIMEOUT, connected.call(&args)).await;
        let mut history = seen.history.lock().unwrap();
        let output = match answer {
            Ok(Ok(BytesFrame::Error(text))) if !text.starts_with("UNKNOWN") => {
                history.fail(op).unwrap();
                continue;
            }
            Ok(Ok(BytesFrame::SimpleString(_))) => KvOutput::Done,
            Ok(Ok(BytesFrame::Null)) => KvOutput::Value(None),
            Ok(Ok(value @ BytesFrame::BulkString(_))) => {
                KvOutput::Value(value_of(value).map(|value| (&*value).into()))
            }
            _ => {
                history.unknown(op).unwrap();
                (who, client) = (history.fresh_client(), None);
                continue;
            }
        };
        history.returned(op, begun.elapsed(), output).unwrap();
        if number.is_multiple_of(3) {
            seen.acknowledged.lock().unwrap().push(fresh);
        }
    }
}

static BEGUN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();

/// A client that has said the password; `None` when the node does not answer.
async fn known(reach: Arc<Mutex<SocketAddr>>) -> Option<Client> {
    let address = *reach.lock().unwrap();
    let connected = async {
        let mut client = Client::connect(address).await.ok()?;
        let told = client.call(&[b"AUTH", b"secret"]).await.ok()?;
        (show(&told) == "OK").then_some(client)
    };
    timeout(Duration::from_secs(2), connected).await.ok()?
}

/// Waits until a node acknowledges a write.
async fn served(lan: &Lan, id: u8, key: &str) {
    let deadline = Instant::now() + 3 * TIMEOUT;
    let mut last = "nothing".to_owned();
    while last != "OK" {
        assert!(Instant::now() < deadline, "node {id} says {last}");
        sleep(POLL_EVERY).await;
        let Some(mut client) = known(lan.reach(id)).await else {
            continue;
        };
        if let Ok(Ok(answer)) = timeout(TIMEOUT, client.call(&[b"SET", key.as_bytes(), b"1"])).await
        {
            last = show(&answer);
        }
    }
}

/// What the README tells whoever has three machines, word by word: on these three, and on all interfaces of version 6
/// as well.
pub(super) async fn the_readme_is_right() {
    let name = "the_readme_is_right";
    let lan = match Lan::make(2) {
        Ok(lan) => lan,
        Err(why) => {
            return skipped(
                name,
                &format!("network namespaces cannot be made here: {why}"),
            );
        }
    };
    let readme = include_str!("../../README.md").replace("\\\n", "");
    let (_, block) = readme.split_once("## On several machines").unwrap();
    let (_, block) = block.split_once("```sh\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let folder = TempDir::new().unwrap();
    let sh = |id: u8, line: &str| {
        let programs = Path::new(PROGRAM).parent().unwrap().display();
        let line = line.replace("0.0.0.0", "'[::]'");
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &lan.name(id), "sh", "-c"])
            .arg(format!("PATH={programs}:$PATH; exec {line}"))
            .current_dir(folder.path());
        command
    };
    let lines = |begin: &str| block.lines().find(|line| line.starts_with(begin)).unwrap();
    for begin in ["kv certs", "(umask"] {
        let line = lines(begin).trim_start_matches('(').trim_end_matches(')');
        let made = sh(1, &format!("sh -c '{line}'")).output().unwrap();
        assert!(made.status.success(), "{line}: {made:?}");
    }
    let of_the_first = lines("kv serve");
    let nodes: Vec<Node> = (1..=3)
        .map(|id| {
            let line = of_the_first
                .replace("--id 1", &format!("--id {id}"))
                .replace("node-1", &format!("node-{id}"))
                .replace("d1", &format!("d{id}"));
            let log = fs::File::create(folder.path().join(format!("{id}.log"))).unwrap();
            Node(
                sh(id, &line)
                    .stdout(Stdio::null())
                    .stderr(log)
                    .spawn()
                    .unwrap(),
            )
        })
        .collect();
    // From any machine. While there is no leader yet it is answered with errors.
    let deadline = Instant::now() + 3 * TIMEOUT;
    loop {
        let told = sh(3, lines("kv load")).output().unwrap();
        if told.status.success() {
            break;
        }
        let log = fs::read_to_string(folder.path().join("1.log")).unwrap();
        assert!(Instant::now() < deadline, "{told:?}\n{log}");
        sleep(POLL_EVERY).await;
    }
    drop(nodes);
}

/// Three machines on one wire, which is a bridge in a namespace of its own.
struct Lan {
    /// Of all that is made, in the system.
    tag: String,
    /// The third number of the addresses.
    net: u8,
    reach: [Arc<Mutex<SocketAddr>>; 3],
}

impl Lan {
    /// `number` is below 3, and no other test's.
    fn make(number: u8) -> Result<Self, String> {
        let process = std::process::id();
        // Two processes that make such machines at the same time have other numbers, as a rule.
        let net = (process % 80) as u8 * 3 + number;
        let reach = |id: u8| Arc::new(Mutex::new(SocketAddr::from(([198, 18, net, id], 6379))));
        let lan = Self {
            tag: format!("kv{process}{}", char::from(b'a' + number)),
            net,
            reach: [reach(1), reach(2), reach(3)],
        };
        lan.build()?;
        Ok(lan)
    }

    fn build(&self) -> Result<(), String> {
        let (wire, host) = (self.name(0), format!("{}h", self.tag));
        self.ip(&["netns", "add", &wire])?;
        self.ip(&["-n", &wire, "link", "add", "br0", "type", "bridge"])?;
        self.ip(&["-n", &wire, "link", "set", "br0", "up"])?;
        self.ip(&[
            "link", "add", &host, "type", "veth", "peer", "name", "b0", "netns", &wire,
        ])?;
        self.ip(&[
            "addr",
            "add",
            &format!("{}/24", self.address(254)),
            "dev",
            &host,
        ])?;
        self.ip(&["link", "set", &host, "up"])?;
        self.ip(&["-n", &wire, "link", "set", "b0", "master", "br0", "up"])?;
        for id in 1..=3 {
            let (name, port) = (self.name(id), format!("b{id}"));
            self.ip(&["netns", "add", &name])?;
            self.ip(&[
                "link", "add", "eth0", "netns", &name, "type", "veth", "peer", "name", &port,
                "netns", &wire,
            ])?;
            self.ip(&["-n", &wire, "link", "set", &port, "master", "br0", "up"])?;
            self.ip(&[
                "-n",
                &name,
                "addr",
                "add",
                &format!("{}/24", self.address(id)),
                "dev",
                "eth0",
            ])?;
            self.ip(&[
                "-n",
                &name,
                "addr",
                "add",
                &format!("fd77::{id}/64"),
                "dev",
                "eth0",
                "nodad",
            ])?;
            self.ip(&["-n", &name, "link", "set", "eth0", "up"])?;
            self.ip(&["-n", &name, "link", "set", "lo", "up"])?;
        }
        self.write_hosts(3).map_err(|error| error.to_string())
    }

    /// Where each name leads, as every namespace sees it.
    fn write_hosts(&self, third: u8) -> io::Result<()> {
        let hosts = format!(
            "127.0.0.1 localhost\nfd77::1 n1.test a.example\n{} n2.test b.example\n{} n3.test c.example\n",
            self.address(2),
            self.address(third)
        );
        for id in 1..=3 {
            fs::create_dir_all(self.etc(id))?;
            // Into the file that is there: it is mounted.
            fs::write(self.etc(id).join("hosts"), &hosts)?;
        }
        Ok(())
    }

    fn move_third(&self) {
        let (old, new) = (
            format!("{}/24", self.address(3)),
            format!("{}/24", self.address(33)),
        );
        self.ip(&["-n", &self.name(3), "addr", "add", &new, "dev", "eth0"])
            .unwrap();
        self.ip(&["-n", &self.name(3), "addr", "del", &old, "dev", "eth0"])
            .unwrap();
        // Where the old one was the primary of its net, the new one went with it.
        let _is_there = self.ip(&["-n", &self.name(3), "addr", "add", &new, "dev", "eth0"]);
        self.write_hosts(33).unwrap();
        *self.reach[2].lock().unwrap() = SocketAddr::from(([198, 18, self.net, 33], 6379));
    }

    fn start(&self, id: u8, folder: &Path, protocol: Protocol) -> Node {
        let at = |name: String| folder.join(name);
        let log = fs::File::create(at(format!("{id}.log"))).unwrap();
        let node = Command::new("ip")
            .args([
                "netns",
                "exec",
                &self.name(id),
                PROGRAM,
                "serve",
                "--exit-with-parent",
                "--log",
                "warn",
            ])
            .args(["--id", &id.to_string(), "--protocol", protocol.name()])
            .args([
                "--cluster",
                "1=n1.test:7001,2=n2.test:7001,3=n3.test:7001",
                "--listen",
                "[::]:7001",
            ])
            .args(["--resp", "0.0.0.0:6379", "--requirepass-file"])
            .arg(at("password".into()))
            .arg("--tls-cert")
            .arg(at(format!("node-{id}.pem")))
            .arg("--tls-key")
            .arg(at(format!("node-{id}.key")))
            .arg("--tls-ca")
            .arg(at("ca.pem".into()))
            .arg("--data")
            .arg(at(format!("data-{id}")))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        Node(node.unwrap())
    }

    fn name(&self, id: u8) -> String {
        format!("{}n{id}", self.tag)
    }

    fn address(&self, id: u8) -> String {
        format!("198.18.{}.{id}", self.net)
    }

    fn reach(&self, id: u8) -> Arc<Mutex<SocketAddr>> {
        Arc::clone(&self.reach[usize::from(id) - 1])
    }

    fn etc(&self, id: u8) -> PathBuf {
        Path::new("/etc/netns").join(self.name(id))
    }

    fn ip(&self, args: &[&str]) -> Result<(), String> {
        run("ip", args)
    }

    /// In the namespace of node 2.
    fn tc(&self, args: &[&str]) -> Result<(), String> {
        run("tc", &[&["-n", &self.name(2)], args].concat())
    }
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let told = Command::new(program)
        .args(args)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    match told.status.success() {
        true => Ok(()),
        false => Err(format!(
            "{program} {}: {}",
            args.join(" "),
            String::from_utf8_lossy(&told.stderr).trim()
        )),
    }
}

/// Links end with the namespaces that they lead into.
impl Drop for Lan {
    fn drop(&mut self) {
        for id in 0..=3 {
            let _gone = self.ip(&["netns", "del", &self.name(id)]);
            let _gone = fs::remove_dir_all(self.etc(id));
        }
        // Only if nobody else has something there.
        let _gone = fs::remove_dir("/etc/netns");
        let _gone = self.ip(&["link", "del", &format!("{}h", self.tag)]);
    }
}

struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// Longer than a cluster needs for another leader. Who has moved does not say so to those that are connected.
const CALL_TIMEOUT: Duration = Duration::from_secs(3);
