//! A follower is away while the log moves on beyond what its peers keep.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use synod_kv::{Client, Protocol};
use tokio::{
    task::JoinSet,
    time::{Instant, interval, timeout},
};

use super::{TIMEOUT, connect, number, other_than, show, start_by};

/// The leader's entries are gone when the follower returns, and so much was written that they are
/// not on their way to it either (8 MiB may be, and wait in the transport for it to come back). So
/// only a snapshot can help it; and the load does not wait for that.
pub(crate) async fn catches_up_by_snapshot(protocol: Protocol) {
    let (mut cluster, _directory) =
        start_by(protocol, 3, &["--snapshot-log-bytes", "2097152"]).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    let away = other_than(&cluster, leader);
    cluster.kill(&[away]).await.unwrap();
    let mut writers = Vec::new();
    for number in 0..WRITERS {
        writers.push(Writer {
            number,
            rounds: 0,
            client: connect(&cluster, leader).await,
        });
    }
    let mut load = JoinSet::new();
    for mut writer in writers {
        load.spawn(async move {
            for _ in 0..ROUNDS_AWAY {
                writer.round().await;
            }
            writer
        });
    }
    let writers = load.join_all().await;
    let snapshots = number(&cluster, leader, "snapshots_taken").await;
    assert!(
        snapshots >= 3,
        "{snapshots} snapshots: the follower would not be past compaction"
    );

    let (stop, mut load) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    for mut writer in writers {
        let stop = Arc::clone(&stop);
        load.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                writer.round().await;
            }
            writer
        });
    }
    let before = number(&cluster, leader, "applied_index").await;
    cluster.restart(away).unwrap();
    cluster.ready(TIMEOUT).await.unwrap();
    // Beyond where the leader was: what is written now arrives as well, for as long as the load
    // lasts.
    let mark = before + ENTRIES_UNDER_LOAD;
    let (deadline, mut tick) = (Instant::now() + TIMEOUT, interval(super::POLL_EVERY));
    loop {
        let leads = number(&cluster, leader, "applied_index").await;
        let follows = number(&cluster, away, "applied_index").await;
        if follows >= mark {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "the leader was at {before} and is at {leads}, the follower at {follows}"
        );
        tick.tick().await;
    }
    let received = number(&cluster, away, "snapshots_received").await;
    assert!(received >= 1, "the follower caught up without a snapshot");

    stop.store(true, Ordering::Relaxed);
    let mut reader = connect(&cluster, away).await;
    for writer in load.join_all().await {
        for slot in 0..KEYS_A_ROUND {
            let key = writer.key(slot);
            let answer = reader.call(&[b"GET", key.as_bytes()]).await.unwrap();
            assert_eq!(show(&answer), writer.value(), "{key}");
        }
    }
}

/// Writes its own keys, all in one pipeline, with the number of the round as the value.
struct Writer {
    number: u64,
    rounds: u64,
    client: Client,
}

impl Writer {
    /// On a machine that does much else a leader may be deposed, and its requests end in an error. What was not
    /// acknowledged is written once more: it is the same value.
    async fn round(&mut self) {
        self.rounds += 1;
        let value = self.value();
        let begun = Instant::now();
        let mut left: Vec<u64> = (0..KEYS_A_ROUND).collect();
        while !left.is_empty() {
            for slot in &left {
                let key = self.key(*slot);
                self.client
                    .queue(&[b"SET", key.as_bytes(), value.as_bytes()]);
            }
            self.client.flush().await.unwrap();
            let mut again = Vec::new();
            for slot in left {
                let answer = timeout(TIMEOUT, self.client.receive())
                    .await
                    .expect("an answer")
                    .unwrap();
                match show(&answer).as_str() {
                    "OK" => {}
                    error => {
                        assert!(begun.elapsed() < 2 * TIMEOUT, "{error}");
                        again.push(slot);
                    }
                }
            }
            left = again;
        }
    }

    fn value(&self) -> String {
        format!("{:0256}", self.rounds)
    }

    fn key(&self, slot: u64) -> String {
        format!("{}:{slot}", self.number)
    }
}

const WRITERS: u64 = 4;
const KEYS_A_ROUND: u64 = 500;
/// What must be applied at the follower after its return.
const ENTRIES_UNDER_LOAD: u64 = 100;
/// 100,000 writes by all writers.
const ROUNDS_AWAY: u64 = 50;
