//! What happens to a node is told in its log, once, with who and why.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, OnceLock};

use synod_replica::sim::SimDisk;
use synod_replica::{Outcome, Reason};
use tokio::time::timeout;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, Event, Metadata, Subscriber};

use super::rig::{NEVER, alone, rejected, three};

/// Keeps the lines of this library.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    /// Listens in this thread. There is a second listener always, to whom nothing is said: with one alone
    /// a line is silenced for ever when the first thread that comes by it has none.
    pub(crate) fn listen() -> (Self, DefaultGuard) {
        static SECOND: OnceLock<Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| Dispatch::new(Self::default()));
        let heard = Self::default();
        (heard.clone(), tracing::subscriber::set_default(heard))
    }

    /// Lines with the event of this name.
    pub(crate) fn of(&self, name: &str) -> Vec<String> {
        let name = format!("event={name:?} ");
        let lines = self.0.lock().unwrap();
        let of = lines.iter().filter(|line| line.contains(&name));
        of.cloned().collect()
    }
}

impl Subscriber for Heard {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("synod_replica")
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

#[tokio::test]
async fn elections_snapshots_and_the_end_are_told() {
    let (heard, _guard) = Heard::listen();
    let disk = SimDisk::new(1);
    let (node, group) = alone(&disk, |config| config.snapshot_log_bytes = 2_000).await;
    for count in 1..=30 {
        let answer = timeout(NEVER, group.propose(vec![0; 200])).await.unwrap();
        assert_eq!(answer, Outcome::Ok(count));
    }
    let mut status = group.watch();
    let taken = status.wait_for(|status| status.snapshots_taken > 0);
    timeout(NEVER, taken).await.unwrap().unwrap();
    disk.0.fail_syncs(true);
    // A snapshot under way syncs as well: the node may have stopped before it takes the command.
    let answer = group.propose("b").await;
    let stopped = [Outcome::Unknown, rejected(Reason::Poisoned)];
    assert!(stopped.contains(&answer), "{answer:?}");
    timeout(NEVER, node.closed()).await.unwrap();
    assert_eq!(group.propose("c").await, rejected(Reason::Poisoned));

    assert_eq!(heard.of("election_won").len(), 1);
    let taken = heard.of("snapshot_taken");
    assert!(taken[0].contains("took a snapshot up to "), "{taken:?}");
    for name in ["group_stopped", "node_stopped"] {
        let stopped = heard.of(name);
        assert_eq!(stopped.len(), 1, "{stopped:?}");
        assert!(stopped[0].contains("storage failed: "), "{stopped:?}");
    }
}

#[tokio::test]
async fn whom_a_follower_follows_is_told() {
    let (heard, _guard) = Heard::listen();
    let (_nodes, groups) = three(|_| {}).await;
    for group in &groups {
        let leader = timeout(NEVER, group.leader()).await.unwrap().unwrap();
        let mut status = group.watch();
        let peers = status.wait_for(|status| status.id != leader || status.peers.len() == 2);
        timeout(NEVER, peers).await.unwrap().unwrap();
    }
    let begun = heard.of("election_begun").len();
    assert!(begun >= 1 && !heard.of("election_won").is_empty());
    let followed = heard.of("leader_changed");
    assert!(followed.len() >= 2, "{followed:?}");
    assert!(followed.iter().all(|line| line.contains("follows n")));
}

/// A disk that is full is one line, however often it is asked, and one when it has space again.
#[tokio::test]
async fn a_full_disk_is_told_once() {
    let (heard, _guard) = Heard::listen();
    let disk = SimDisk::new(1);
    let (_node, group) = alone(&disk, |_| {}).await;
    assert_eq!(group.propose("a").await, Outcome::Ok(1));
    disk.0.capacity(disk.0.used());
    while group.propose(vec![0; 1 << 19]).await.ok().is_some() {}
    let mut status = group.watch();
    let full = status.wait_for(|status| status.disk_full_since.is_some());
    timeout(NEVER, full).await.unwrap().unwrap();
    for _ in 0..20 {
        assert_eq!(group.propose("b").await.ok(), None);
    }
    disk.0.capacity(u64::MAX);
    let space = status.wait_for(|status| status.disk_full_since.is_none());
    timeout(NEVER, space).await.unwrap().unwrap();
    assert_eq!(heard.of("disk_full").len(), 1);
    assert_eq!(heard.of("disk_space").len(), 1);
}
