//! The most common client library, as it comes: nothing is set but the port.

use std::process::Stdio;

use synod_kv::Protocol;
use tokio::{process::Command, time::timeout};

use super::{TIMEOUT, ask, other_than, skipped, start_by};

/// Through the leader and through another node.
pub(super) async fn sets_and_gets(protocol: Protocol) {
    let Some(python) = python_with_redis().await else {
        skipped(
            "redis_py_sets_and_gets_with_its_defaults",
            "redis-py is not installed (Debian: python3-redis)",
        );
        return;
    };
    let (cluster, _directory) = start_by(protocol, 3, &[]).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    for id in [leader, other_than(&cluster, leader)] {
        let port = cluster.address(id).port().to_string();
        let script = Command::new(python)
            .args(["-c", SCRIPT, &port])
            .kill_on_drop(true)
            .output();
        let output = timeout(TIMEOUT, script).await.expect("it ends").unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "node {id}: {told}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "done\n");
        assert_eq!(ask(&cluster, id, &["GET", "k"]).await, "v");
    }
}

/// The first of those that are installed, or the system's own, that can import it.
async fn python_with_redis() -> Option<&'static str> {
    for python in ["python3", "/usr/bin/python3"] {
        let imports = Command::new(python)
            .args(["-c", "import redis"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if imports.await.is_ok_and(|status| status.success()) {
            return Some(python);
        }
    }
    None
}

const SCRIPT: &str = r#"
import sys
import redis

client = redis.Redis(port=int(sys.argv[1]))
client.flushall()
assert client.ping() is True
assert client.set("k", "v") is True
assert client.get("k") == b"v"
assert client.get("absent") is None
assert client.set("k", "w", nx=True) is None
assert client.incr("n", 2) == 2
assert client.mget("k", "absent", "n") == [b"v", None, b"2"]
with client.pipeline(transaction=False) as pipeline:
    for number in range(20):
        pipeline.set(f"key-{number}", number)
        pipeline.get(f"key-{number}")
    answers = pipeline.execute()
assert answers == [answer for number in range(20) for answer in (True, str(number).encode())]

# A lock, released by its holder alone.
assert client.set("lock", "me", nx=True, px=60000) is True
assert client.set("lock", "you", nx=True, px=60000) is None
assert client.execute_command("DELEX", "lock", "IFEQ", "you") == 0
assert client.execute_command("DELEX", "lock", "IFEQ", "me") == 1
assert client.set("lock", "you", nx=True, ex=60) is True

# A store of sessions.
assert client.setex("session", 60, "basket") is True
assert 0 < client.ttl("session") <= 60
assert client.set("session", "hat", keepttl=True) is True
assert 0 < client.pttl("session") <= 60000
assert client.persist("session") and client.ttl("session") == -1
assert client.expire("session", 60) and client.psetex("session", 60000, "shoes")

# A rate limiter.
def is_allowed():
    with client.pipeline(transaction=False) as pipeline:
        pipeline.set("rate", 0, ex=60, nx=True)
        pipeline.incr("rate")
        return pipeline.execute()[1] <= 3

assert [is_allowed() for _ in range(5)] == [True, True, True, False, False]
assert client.expire("rate", 0) and client.ttl("rate") == -2
assert is_allowed()

# A write that is asked twice, and takes effect once.
number = client.execute_command("SESSION", "NEW")
for _ in range(2):
    assert client.execute_command("SESSION", number, 1, "INCR", "once") == 1

# A transaction is what there is not: it is an error, and nothing of it happens.
with client.pipeline() as transaction:
    transaction.incr("counted")
    transaction.incr("counted")
    try:
        transaction.execute()
    except redis.RedisError:
        pass
    else:
        sys.exit("a transaction was obeyed")
assert client.get("counted") is None
print("done")
"#;
