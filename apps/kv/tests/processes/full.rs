//! Full disks: each node has a small file system of its own, in memory, and something else fills it.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use synod_kv::{Client, Cluster, ClusterOptions, Listener, Protocol};
use tempfile::TempDir;
use tokio::{
    process::Command,
    time::{Instant, sleep, timeout},
};

use super::{
    POLL_EVERY, PROGRAM, TIMEOUT, ask, connect, other_than, ready, show, skipped,
    write_until_acknowledged,
};

/// The leader's disk is full: another node leads and takes writes, and the log says once why.
pub(crate) async fn leader(protocol: Protocol) {
    let Some(mut rig) = Rig::start(protocol).await else {
        return;
    };
    let leader = rig.cluster.leader(TIMEOUT).await.unwrap();
    let follower = other_than(&rig.cluster, leader);
    rig.fill(leader);
    let deadline = Instant::now() + 2 * TIMEOUT;
    while rig.cluster.leader(TIMEOUT).await.unwrap() == leader {
        let answer = rig.write(follower).await;
        assert!(
            Instant::now() < deadline,
            "node {leader} leads on: {answer}"
        );
    }
    write_until_acknowledged(&rig.cluster, follower, "after").await;
    // It votes on. What it has no space for it cannot show, and says why.
    let answer = ask(&rig.cluster, leader, &["GET", "after"]).await;
    assert!(
        answer == "1" || answer.starts_with("-REJECTED no space"),
        "{answer}"
    );
    assert_eq!(rig.told_full(leader), 1);

    // A node with a full disk can be started again, and takes its part when there is space.
    rig.cluster.kill(&[leader]).await.unwrap();
    rig.cluster.restart(leader).unwrap();
    rig.up(leader).await;
    rig.free(leader);
    rig.ready().await;
    write_until_acknowledged(&rig.cluster, leader, "again").await;
    assert_eq!(ask(&rig.cluster, leader, &["GET", "again"]).await, "1");
}

/// A follower's disk is full. What the leader keeps for it is bounded, and writes go on.
pub(crate) async fn follower(protocol: Protocol) {
    let Some(mut rig) = Rig::start(protocol).await else {
        return;
    };
    let leader = rig.cluster.leader(TIMEOUT).await.unwrap();
    let full = other_than(&rig.cluster, leader);
    rig.fill(full);
    // Several times what a disk holds.
    let mut client = connect(&rig.cluster, leader).await;
    let value = vec![b'x'; 500_000];
    for round in 0..3 * DISK_MIB * 2 {
        let key = format!("key {}", round % 8);
        let request: [&[u8]; 3] = [b"SET", key.as_bytes(), &value];
        let answer = timeout(TIMEOUT, client.call(&request)).await;
        let answer = show(&answer.expect("an answer").unwrap());
        assert_eq!(answer, "OK", "write {round}");
    }
    assert_eq!(rig.cluster.leader(TIMEOUT).await.unwrap(), leader);
    rig.free(full);
    rig.ready().await;
    write_until_acknowledged(&rig.cluster, leader, "after").await;
    // Its own map has caught up.
    assert_eq!(ask(&rig.cluster, full, &["GET", "after"]).await, "1");
}

/// All disks are full: writes are refused for that reason by whoever is asked, and reads go on.
pub(crate) async fn everywhere(protocol: Protocol) {
    let Some(mut rig) = Rig::start(protocol).await else {
        return;
    };
    write_until_acknowledged(&rig.cluster, 1, "before").await;
    let ids = rig.cluster.ids();
    ids.iter().for_each(|id| rig.fill(*id));
    for id in &ids {
        let deadline = Instant::now() + ELECTED_WITHOUT_SPACE;
        loop {
            let answer = rig.write(*id).await;
            if answer.starts_with("-REJECTED no space") {
                break;
            }
            assert!(Instant::now() < deadline, "node {id}: {answer}");
        }
    }
    // Whose disk is full first gives way to another, which is full then as well.
    let leader = rig.cluster.leader(ELECTED_WITHOUT_SPACE).await.unwrap();
    for id in &ids {
        let answer = ask(&rig.cluster, *id, &["GET", "before"]).await;
        // Another may have no space for the last of what was committed: it cannot show that, and says so.
        let says_why = *id != leader && answer.starts_with("-REJECTED no space");
        assert!(answer == "1" || says_why, "node {id}: {answer}");
    }
    rig.cluster.kill(&ids[..1]).await.unwrap();
    rig.cluster.restart(ids[0]).unwrap();
    rig.ready().await;
    ids.iter().for_each(|id| rig.free(*id));
    for id in &ids {
        write_until_acknowledged(&rig.cluster, *id, &format!("after {id}")).await;
    }
    assert_eq!(
        ask(&rig.cluster, ids[0], &["MGET", "before", "after 3"]).await,
        "[1, 1]"
    );
}

/// A cluster whose nodes have a file system each.
struct Rig {
    cluster: Cluster,
    mounts: Mounts,
}

impl Rig {
    /// `None`, and a word of it, where nobody lets us mount.
    async fn start(protocol: Protocol) -> Option<Self> {
        let directory = TempDir::new().unwrap();
        let mut mounts = Mounts {
            nodes: Vec::new(),
            directory,
        };
        for id in 1..=3 {
            if let Err(why) = mounts.add(id).await {
                skipped(
                    "full disks",
                    &format!("no file system can be mounted: {why}"),
                );
                return None;
            }
        }
        let arguments = ["--protocol", protocol.name(), "--log", "warn"];
        let sizes = ["--snapshot-log-bytes", "8388608", "--timeout-ms", "2000"];
        let pace = [
            "--election-timeout-ms",
            ELECTION_TIMEOUT_MS,
            "--heartbeat-ms",
            "100",
        ];
        let cluster = ready(ClusterOptions {
            program: PROGRAM.into(),
            nodes: 3,
            directory: mounts.directory.path().to_owned(),
            arguments: arguments
                .iter()
                .chain(&sizes)
                .chain(&pace)
                .map(|text| (*text).to_owned())
                .collect(),
            listener: Listener::File,
        })
        .await;
        Some(Self { cluster, mounts })
    }

    /// Takes all space that is left on a node's disk, and what comes free within a while of writing.
    fn fill(&self, id: u64) {
        let mut ballast = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.ballast(id))
            .unwrap();
        let mut block = vec![0; 1 << 20];
        while !block.is_empty() {
            match ballast.write(&block) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                    block.truncate(block.len() / 2);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn free(&self, id: u64) {
        fs::remove_file(self.ballast(id)).unwrap();
    }

    fn ballast(&self, id: u64) -> PathBuf {
        self.mounts.of(id).join("ballast")
    }

    /// Waits until every node answers a read; where one does not, all say how they are.
    async fn ready(&mut self) {
        let Err(error) = self.cluster.ready(ELECTED_WITHOUT_SPACE).await else {
            return;
        };
        let mut words = error.to_string();
        for id in self.cluster.ids() {
            let info = timeout(TIMEOUT, ask(&self.cluster, id, &["INFO"])).await;
            let log = fs::read_to_string(self.cluster.log(id)).unwrap();
            words += &format!("\n\nnode {id}: {}\n{log}", info.unwrap_or_default());
        }
        panic!("{words}");
    }

    /// Waits until a node that was started answers, whatever it has space for.
    async fn up(&mut self, id: u64) {
        let deadline = Instant::now() + TIMEOUT;
        while Client::connect(self.cluster.address(id)).await.is_err() {
            self.cluster.check_alive(id).unwrap();
            assert!(Instant::now() < deadline, "node {id} does not come up");
            sleep(POLL_EVERY).await;
        }
        assert_eq!(ask(&self.cluster, id, &["PING"]).await, "PONG");
    }

    /// One write that takes space; what is refused is not asked for again at once.
    async fn write(&self, id: u64) -> String {
        let answer = ask(&self.cluster, id, &["SET", "filler", &"x".repeat(200_000)]).await;
        if answer != "OK" {
            sleep(POLL_EVERY).await;
        }
        answer
    }

    /// How often a node's log says that its disk is full.
    fn told_full(&self, id: u64) -> usize {
        let log = fs::read_to_string(self.cluster.log(id)).unwrap();
        log.lines()
            .filter(|line| line.contains("no space left for the log"))
            .count()
    }
}

/// File systems in memory. They go with the value, after the processes that use them.
struct Mounts {
    nodes: Vec<PathBuf>,
    directory: TempDir,
}

impl Mounts {
    fn of(&self, id: u64) -> &Path {
        &self.nodes[id as usize - 1]
    }

    async fn add(&mut self, id: u64) -> Result<(), String> {
        let at = self.directory.path().join(format!("node-{id}"));
        fs::create_dir(&at).map_err(|error| error.to_string())?;
        let size = format!("size={DISK_MIB}m");
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&at)
            .output()
            .await
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        self.nodes.push(at);
        Ok(())
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        for at in &self.nodes {
            // Lazily: a node that was told to die may still have a file open.
            let _ = std::process::Command::new("umount")
                .arg("-l")
                .arg(at)
                .status();
        }
    }
}

/// What is looked for is what a full disk does, not what a busy machine does.
const ELECTION_TIMEOUT_MS: &str = "1000";
/// A node without space waits for up to sixteen times what it draws, which is less than two election timeouts, and
/// its first candidacy may fail.
const ELECTED_WITHOUT_SPACE: Duration = Duration::from_secs(2 * 16 * 2 + 16);
/// The log's segments, the reserve and what is kept for a peer take a good half of it.
const DISK_MIB: usize = 192;
