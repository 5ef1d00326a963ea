//! A node that cannot go on ends, with a status of its own, and the others go on.

use std::fs;

use synod_kv::{Cluster, ExitStatus, Protocol};
use synod_replica::Log;
use synod_wal::{Directory, GroupId, Options, Wal};
use tokio::time::{Instant, sleep, timeout};

use super::{
    POLL_EVERY, TIMEOUT, connect, number, other_than, show, start_by, write_until_acknowledged,
};

/// A disk whose syncs fail after a while. What the node holds is uncertain from then on, so it says
/// nothing more and ends; and starts again when somebody has seen to the disk.
pub(crate) async fn ends_when_its_disk_fails(protocol: Protocol) {
    let (mut cluster, _directory) = start_by(protocol, 3, &["--log", "error"]).await;
    let broken = cluster.leader(TIMEOUT).await.unwrap();
    let other = other_than(&cluster, broken);
    cluster.kill(&[broken]).await.unwrap();
    // More than it needs to start and to take its part.
    cluster.set_arguments(broken, &["--good-syncs", GOOD_SYNCS]);
    cluster.restart(broken).unwrap();
    let mut rounds = 0;
    while cluster.check_alive(broken).is_ok() {
        rounds += 1;
        write_until_acknowledged(&cluster, other, &format!("key {rounds}")).await;
        assert!(
            rounds < WRITES_MAX,
            "{rounds} writes, and node {broken} goes on"
        );
    }
    assert_eq!(status(&mut cluster, broken).await, ExitStatus::Storage);
    let why = last_words(&cluster, broken);
    assert!(
        why.starts_with("storage failed") && why.ends_with("a sync that was to fail"),
        "{why}"
    );
    write_until_acknowledged(&cluster, other, "after").await;
    cluster.set_arguments(broken, &[]);
    cluster.restart(broken).unwrap();
    cluster.ready(TIMEOUT).await.unwrap();
}

/// A snapshot that is whole and that this program does not understand, as another program's would be. No other
/// incarnation can do better, so a supervisor leaves the node alone.
pub(crate) async fn ends_when_its_snapshot_makes_no_sense(protocol: Protocol) {
    let arguments = ["--log", "error", "--snapshot-log-bytes", "65536"];
    let (mut cluster, directory) = start_by(protocol, 3, &arguments).await;
    let broken = cluster.leader(TIMEOUT).await.unwrap();
    let other = other_than(&cluster, broken);
    let mut client = connect(&cluster, broken).await;
    let value = [b'v'; 10_000];
    let deadline = Instant::now() + TIMEOUT;
    while number(&cluster, broken, "snapshots_taken").await == 0 {
        assert!(Instant::now() < deadline, "no snapshot is taken");
        let answer = client.call(&[b"SET", b"key", &value]).await.unwrap();
        assert_eq!(show(&answer), "OK");
    }
    cluster.kill(&[broken]).await.unwrap();
    let data = directory.path().join(format!("node-{broken}"));
    let mut wal = Wal::open(Directory::open(&data).unwrap(), Options::default()).unwrap();
    let recovered = Log::recover(&mut wal, GroupId(1)).unwrap();
    let snapshot = recovered.snapshot.unwrap();
    drop(recovered.slots);
    let forged = wal.snapshots().create(GroupId(1), &snapshot, &mut |to| {
        to.write_all(b"a map of another program")
    });
    forged.unwrap();
    drop(wal);
    cluster.restart(broken).unwrap();
    assert_eq!(
        status_of_itself(&mut cluster, broken).await,
        ExitStatus::Machine
    );
    let why = last_words(&cluster, broken);
    assert!(why.starts_with("the machine cannot go on: "), "{why}");
    write_until_acknowledged(&cluster, other, "after").await;
}

/// As [`status`], of a node whose standard input stays open meanwhile: nothing but what was done before
/// makes it end.
pub(crate) async fn status_of_itself(cluster: &mut Cluster, id: u64) -> ExitStatus {
    let deadline = Instant::now() + TIMEOUT;
    while cluster.check_alive(id).is_ok() {
        assert!(Instant::now() < deadline, "node {id} goes on");
        sleep(POLL_EVERY).await;
    }
    status(cluster, id).await
}

/// Why a node says that it ended, in the last line of its log.
pub(crate) fn last_words(cluster: &Cluster, id: u64) -> String {
    let log = fs::read_to_string(cluster.log(id)).unwrap();
    let last = log.lines().last();
    let why = last.and_then(|last| last.strip_prefix("kv: this node serves nothing any more: "));
    why.unwrap_or_else(|| panic!("{log}")).to_owned()
}

/// What a supervisor sees.
pub(crate) async fn status(cluster: &mut Cluster, id: u64) -> ExitStatus {
    let ended = timeout(TIMEOUT, cluster.ended(id)).await.expect("it ends");
    let code = ended.unwrap().expect("it ran").code();
    let all = [
        ExitStatus::Stopped,
        ExitStatus::Failed,
        ExitStatus::Usage,
        ExitStatus::Storage,
        ExitStatus::Machine,
        ExitStatus::Diverged,
        ExitStatus::Broken,
    ];
    all.into_iter()
        .find(|status| code == Some(*status as i32))
        .unwrap_or_else(|| panic!("node {id} ended as {code:?}"))
}

const GOOD_SYNCS: &str = "300";
/// A follower that cannot keep up syncs several writes at once.
const WRITES_MAX: usize = 5_000;
