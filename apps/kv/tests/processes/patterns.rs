//! What clients build of keys that end and of sessions: a lock, a store of sessions, a rate limiter, a counter that
//! counts each request once.

use std::time::Duration;

use synod_kv::{Client, Cluster, Protocol};
use tokio::time::{Instant, sleep, timeout};

use super::{POLL_EVERY, TIMEOUT, connect, other_than, show, start_by};

pub(super) async fn hold(protocol: Protocol) {
    let (mut cluster, _directory) = start_by(protocol, 3, &["--power-loss"]).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    let follower = other_than(&cluster, leader);
    let mut one = connect(&cluster, leader).await;
    let mut other = connect(&cluster, follower).await;

    lock(&mut one, &mut other).await;
    sessions(&mut one, &mut other).await;
    rate(&mut one, &mut other).await;

    // The answers of before, and the ends of keys, from whoever leads next.
    assert_eq!(asked(&mut one, "SESSION NEW").await, "1");
    assert_eq!(asked(&mut one, "SESSION 1 1 INCR counted").await, "1");
    assert_eq!(asked(&mut other, "SESSION 1 1 INCR counted").await, "1");
    assert_eq!(asked(&mut one, "SET brief v PX 1500").await, "OK");
    assert_eq!(asked(&mut one, "SET long v EX 3600").await, "OK");
    let set = Instant::now();
    cluster.kill(&[leader]).await.unwrap();
    assert_eq!(
        until_answered(&cluster, follower, "SESSION 1 1 INCR counted").await,
        "1"
    );
    gone(&mut other, "brief", set, Duration::from_millis(1_500)).await;
    assert_eq!(
        until_answered(&cluster, follower, "SESSION 1 2 INCR counted").await,
        "2"
    );

    // And from nodes that lost power.
    cluster.restart(leader).unwrap();
    cluster.ready(TIMEOUT).await.unwrap();
    let all = cluster.ids();
    cluster.kill(&all).await.unwrap();
    all.iter().for_each(|id| cluster.restart(*id).unwrap());
    cluster.ready(TIMEOUT).await.unwrap();
    for id in all {
        assert_eq!(
            until_answered(&cluster, id, "SESSION 1 2 INCR counted").await,
            "2"
        );
        assert_eq!(
            until_answered(&cluster, id, "SESSION 1 1 INCR counted").await,
            "1"
        );
        assert_eq!(
            until_answered(&cluster, id, "MGET counted brief long").await,
            "[2, (nil), v]"
        );
        let left: u64 = until_answered(&cluster, id, "PTTL long")
            .await
            .parse()
            .unwrap();
        assert!((1..=3_600_000).contains(&left), "node {id}: {left} ms");
    }
}

/// Whoever takes it names itself in it, and only the one that is named gives it back.
async fn lock(one: &mut Client, other: &mut Client) {
    assert_eq!(asked(one, "SET lock one NX PX 60000").await, "OK");
    assert_eq!(asked(other, "SET lock other NX PX 60000").await, "(nil)");
    assert_eq!(asked(other, "DELEX lock IFEQ other").await, "0");
    assert_eq!(asked(one, "DELEX lock IFEQ one").await, "1");
    let taken = Instant::now();
    assert_eq!(asked(other, "SET lock other NX PX 300").await, "OK");
    // It is not given back; nobody writes meanwhile.
    gone(one, "lock", taken, Duration::from_millis(300)).await;
    assert_eq!(asked(one, "SET lock one NX PX 60000").await, "OK");
    // Too late: it is another's.
    assert_eq!(asked(other, "DELEX lock IFEQ other").await, "0");
}

async fn sessions(one: &mut Client, other: &mut Client) {
    assert_eq!(asked(one, "SETEX user:7 60 basket=").await, "OK");
    assert_eq!(asked(other, "APPEND user:7 shoes").await, "12");
    assert_eq!(asked(one, "SET user:7 basket=hat XX KEEPTTL").await, "OK");
    let left: u64 = asked(other, "PTTL user:7").await.parse().unwrap();
    assert!((1..=60_000).contains(&left), "{left} ms");
    let touched = Instant::now();
    assert_eq!(asked(one, "PEXPIRE user:7 200").await, "1");
    gone(other, "user:7", touched, Duration::from_millis(200)).await;
    assert_eq!(asked(one, "SET user:7 again XX KEEPTTL").await, "(nil)");
}

/// Three in a while.
async fn rate(one: &mut Client, other: &mut Client) {
    assert_eq!(asked(one, "SET rate 0 PX 60000 NX").await, "OK");
    for count in ["1", "2", "3"] {
        assert_eq!(asked(other, "SET rate 0 PX 60000 NX").await, "(nil)");
        assert_eq!(asked(one, "INCR rate").await, count);
    }
    // The while is over soon, so that the test need not wait for it.
    let shortened = Instant::now();
    assert_eq!(asked(one, "PEXPIRE rate 300").await, "1");
    gone(other, "rate", shortened, Duration::from_millis(300)).await;
    assert_eq!(asked(other, "SET rate 0 PX 60000 NX").await, "OK");
    assert_eq!(asked(one, "INCR rate").await, "1");
}

/// Waits until a key is over, which is not before its time, and then stays so.
async fn gone(client: &mut Client, key: &str, set: Instant, lasts: Duration) {
    let deadline = Instant::now() + TIMEOUT;
    let get = format!("GET {key}");
    loop {
        match &*asked(client, &get).await {
            "(nil)" => break,
            _ => assert!(Instant::now() < deadline, "{key} is still there"),
        }
        sleep(POLL_EVERY).await;
    }
    let passed = set.elapsed();
    assert!(passed >= lasts, "{key} was over after {passed:?}");
    assert_eq!(asked(client, &get).await, "(nil)");
}

async fn asked(client: &mut Client, request: &str) -> String {
    let words: Vec<_> = request.split(' ').map(str::as_bytes).collect();
    let answer = timeout(TIMEOUT, client.call(&words)).await;
    show(&answer.expect("an answer").unwrap())
}

/// What is refused or unknown is asked again: each of these is a read, or has a name.
async fn until_answered(cluster: &Cluster, id: u64, request: &str) -> String {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let answer = asked(&mut connect(cluster, id).await, request).await;
        if !answer.starts_with("-REJECTED") && !answer.starts_with("-UNKNOWN") {
            return answer;
        }
        assert!(Instant::now() < deadline, "{request}: {answer}");
        sleep(POLL_EVERY).await;
    }
}
