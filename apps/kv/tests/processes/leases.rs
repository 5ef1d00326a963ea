//! Reads by lease, while leaders stand still and go on in the belief that they lead.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use redis_protocol::resp2::types::BytesFrame;
use synod_kv::{Client, Cluster, Protocol, info_field};
use synod_sim::{Checker, ClientId, History, Kv, KvInput, KvOutput, OpId, Verdict};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{TIMEOUT, ask, connect, signal, start_by};

pub(crate) async fn reads_by_lease_are_not_stale(protocol: Protocol) {
    let leases = ["--lease", "150", "--clock-drift", "1000"];
    let arguments: Vec<&str> = leases.into_iter().chain(["--timeout-ms", "500"]).collect();
    let (cluster, _directory) = start_by(protocol, 3, &arguments).await;
    let seen = Arc::new(Seen::default());
    let mut clients = JoinSet::new();
    for id in cluster.ids() {
        let (reader, writer) = (
            Asker::new(&cluster, id, &seen),
            Asker::new(&cluster, id, &seen),
        );
        clients.spawn(reader.await.read());
        clients.spawn(writer.await.write());
    }
    for _ in 0..3 {
        let leader = cluster.leader(TIMEOUT).await.unwrap();
        seen.more_than(20, &seen.reads[leader as usize]).await;
        let process = cluster.process_id(leader).unwrap();
        signal("STOP", &[process]).await;
        // The others have elected one of them. What they acknowledge now the stopped one does not have.
        let others = cluster.ids().into_iter().filter(|id| *id != leader);
        for id in others {
            seen.more_than(10, &seen.writes[id as usize]).await;
        }
        // This waits in its socket when it goes on, behind what it has not heard of either.
        let mut late = Asker::new(&cluster, leader, &seen).await;
        let get = KvInput::get(&b"a"[..]);
        late.client.queue(&[b"CONSISTENCY", b"LEASE"]);
        let asked = late.begin(get, &[b"GET", b"a"]).await;
        signal("CONT", &[process]).await;
        assert_eq!(super::show(&late.client.receive().await.unwrap()), "OK");
        late.end(asked).await;
        seen.more_than(20, &seen.reads[leader as usize]).await;
    }
    seen.is_over.store(true, Ordering::Relaxed);
    while let Some(ended) = clients.join_next().await {
        ended.unwrap();
    }
    let history = seen.history.lock().unwrap();
    match Checker::new(Kv).check(&history) {
        Verdict::Ok { .. } => {}
        other => panic!("{other:?}"),
    }
}

/// What a connection may ask of its reads, and what they tell.
pub(crate) async fn a_connection_says_how_fresh_its_reads_are(protocol: Protocol) {
    let mut arguments = vec!["--lease", "150", "--clock-drift", "1000"];
    arguments.extend(["--priority", "7"]);
    let (cluster, _directory) = start_by(protocol, 3, &arguments).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    let follower = super::other_than(&cluster, leader);
    until_lease_is_told(&cluster, leader).await;
    assert_eq!(ask(&cluster, leader, &["SET", "k", "v"]).await, "OK");
    for id in [leader, follower] {
        let mut client = connect(&cluster, id).await;
        assert_eq!(say(&mut client, "CONSISTENCY").await, "linearizable");
        assert_eq!(say(&mut client, "CONSISTENCY AGE").await, "(nil)");
        for level in ["lease", "bounded 60000", "stale", "linearizable"] {
            assert_eq!(
                say(&mut client, &format!("CONSISTENCY {level}")).await,
                "OK"
            );
            assert_eq!(say(&mut client, "CONSISTENCY").await, level);
            assert_eq!(say(&mut client, "GET k").await, "v", "{level} at node {id}");
            let age = say(&mut client, "CONSISTENCY AGE").await;
            assert!(age.parse::<u64>().is_ok(), "{level} at node {id}: {age}");
        }
        // A pipeline: each read is as fresh as what stands before it.
        client.queue(&[b"CONSISTENCY", b"STALE"]);
        client.queue(&[b"GET", b"k"]);
        client.queue(&[b"CONSISTENCY", b"AGE"]);
        client.queue(&[b"RESET"]);
        client.queue(&[b"CONSISTENCY"]);
        client.flush().await.unwrap();
        let mut answers = Vec::new();
        for _ in 0..5 {
            answers.push(super::show(&client.receive().await.unwrap()));
        }
        answers.remove(2).parse::<u64>().unwrap();
        assert_eq!(answers, ["OK", "v", "RESET", "linearizable"]);
    }
}

/// `INFO` of the leader shows what is left of its lease, and each node's priority.
async fn until_lease_is_told(cluster: &Cluster, leader: u64) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let info = ask(cluster, leader, &["INFO", "consensus"]).await;
        assert_eq!(info_field(&info, "priority"), Some("7"));
        let left = info_field(&info, "lease_ms").unwrap();
        if left.parse::<u64>().is_ok_and(|left| left <= 150) {
            return;
        }
        assert!(Instant::now() < deadline, "no lease is told: {info}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// One without the other would rest on nothing.
pub(crate) async fn a_lease_without_a_bound_is_refused() {
    for arguments in [["--lease", "150"], ["--clock-drift", "100"]] {
        let mut kv = tokio::process::Command::new(super::PROGRAM);
        let node = [
            "serve",
            "--id",
            "1",
            "--cluster",
            "1=127.0.0.1:0",
            "--resp",
            "127.0.0.1:0",
        ];
        kv.args(node)
            .args(["--data", "/nonexistent"])
            .args(arguments);
        let ended = kv.output().await.unwrap();
        let told = String::from_utf8_lossy(&ended.stderr);
        assert!(!ended.status.success(), "{arguments:?}: {told}");
        assert!(told.contains("required arguments"), "{arguments:?}: {told}");
    }
}

async fn say(client: &mut Client, words: &str) -> String {
    let args: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    super::show(&client.call(&args).await.unwrap())
}

/// What all clients have done.
#[derive(Default)]
struct Seen {
    history: Mutex<History<KvInput, KvOutput>>,
    begun: std::sync::OnceLock<Instant>,
    /// By node, from 1: what was answered.
    reads: [AtomicU64; 4],
    writes: [AtomicU64; 4],
    values: AtomicU64,
    is_over: AtomicBool,
}

impl Seen {
    fn now(&self) -> Duration {
        self.begun.get_or_init(Instant::now).elapsed()
    }

    /// Waits until so many more have been answered.
    async fn more_than(&self, more: u64, count: &AtomicU64) {
        let (wanted, begun) = (count.load(Ordering::Relaxed) + more, Instant::now());
        while count.load(Ordering::Relaxed) < wanted {
            assert!(begun.elapsed() < TIMEOUT, "nothing is answered any more");
            sleep(Duration::from_millis(1)).await;
        }
    }
}

/// A client of one node, and of few keys.
struct Asker {
    client: Client,
    id: u64,
    name: ClientId,
    seen: Arc<Seen>,
    asked: u64,
}

impl Asker {
    async fn new(cluster: &Cluster, id: u64, seen: &Arc<Seen>) -> Self {
        let client = connect(cluster, id).await;
        let name = seen.history.lock().unwrap().fresh_client();
        Self {
            client,
            id,
            name,
            seen: seen.clone(),
            asked: 0,
        }
    }

    fn next_key(&mut self) -> [u8; 1] {
        self.asked += 1;
        [b'a' + (self.asked % 3) as u8]
    }

    async fn read(mut self) {
        assert_eq!(say(&mut self.client, "CONSISTENCY LEASE").await, "OK");
        while !self.seen.is_over.load(Ordering::Relaxed) {
            let key = self.next_key();
            let answer = self.ask(KvInput::get(&key[..]), &[b"GET", &key]).await;
            if answer.is_some() {
                self.seen.reads[self.id as usize].fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    async fn write(mut self) {
        while !self.seen.is_over.load(Ordering::Relaxed) {
            let key = self.next_key();
            let value = self.seen.values.fetch_add(1, Ordering::Relaxed).to_string();
            let input = KvInput::put(&key[..], value.as_bytes());
            let answer = self.ask(input, &[b"SET", &key, value.as_bytes()]).await;
            if answer.is_some() {
                self.seen.writes[self.id as usize].fetch_add(1, Ordering::Relaxed);
            }
            // The checker has to order them.
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// The answer, or nothing if it was an error.
    async fn ask(&mut self, input: KvInput, args: &[&[u8]]) -> Option<()> {
        let op = self.begin(input, args).await;
        self.end(op).await
    }

    async fn begin(&mut self, input: KvInput, args: &[&[u8]]) -> OpId {
        let op = {
            let mut history = self.seen.history.lock().unwrap();
            history.call(self.name, self.seen.now(), input).unwrap()
        };
        self.client.queue(args);
        self.client.flush().await.unwrap();
        op
    }

    async fn end(&mut self, op: OpId) -> Option<()> {
        let answer = self.client.receive().await.unwrap();
        let mut history = self.seen.history.lock().unwrap();
        let output = match answer {
            BytesFrame::BulkString(value) => KvOutput::Value(Some((&value[..]).into())),
            BytesFrame::Null => KvOutput::Value(None),
            BytesFrame::SimpleString(_) => KvOutput::Done,
            BytesFrame::Error(text) if text.starts_with("REJECTED") => {
                history.fail(op).unwrap();
                return None;
            }
            _ => {
                history.unknown(op).unwrap();
                self.name = history.fresh_client();
                return None;
            }
        };
        history.returned(op, self.seen.now(), output).unwrap();
        Some(())
    }
}
