//! Two of three nodes are gone: what the third one answers, and what is true afterwards.

use std::{collections::BTreeSet, time::Duration};

use synod_kv::{Cluster, Protocol};
use tokio::time::Instant;

use super::{TIMEOUT, ask, other_than, signal, start_by, write_until_acknowledged};

/// How nodes go away, and come back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Absence {
    /// SIGKILL: their sockets close, and what they knew is what they wrote.
    Killed,
    /// SIGSTOP: their sockets stay open and take bytes, and they go on later as if nothing had
    /// been, a leader in the belief that it leads.
    Stopped,
}

#[tokio::test]
async fn two_killed_nodes_leave_a_follower_that_admits_it() {
    survive(Protocol::default(), Absence::Killed, false).await;
}

#[tokio::test]
async fn two_stopped_nodes_leave_a_leader_that_admits_it() {
    survive(Protocol::default(), Absence::Stopped, true).await;
}

pub(crate) async fn survive(protocol: Protocol, absence: Absence, leader_survives: bool) {
    let (mut cluster, _directory) = start_by(protocol, 3, &["--timeout-ms", "500"]).await;
    let leader = cluster.leader(TIMEOUT).await.unwrap();
    let survivor = match leader_survives {
        true => leader,
        false => other_than(&cluster, leader),
    };
    let mut others = cluster.ids();
    others.retain(|id| *id != survivor);
    let mut tokens = Tokens::default();
    let begun = Instant::now();
    while tokens.acknowledged.len() < 20 {
        tokens.append(&cluster, survivor).await;
        assert!(begun.elapsed() < TIMEOUT, "{tokens:?}");
    }

    absence.begin(&mut cluster, &others).await;
    for round in 0..2 {
        let asked = Instant::now();
        let answer = tokens.append(&cluster, survivor).await;
        assert!(
            is_error(&answer),
            "append {round} was answered {answer} without a majority"
        );
        for request in [["GET", "list"], ["STRLEN", "list"]] {
            let answer = ask(&cluster, survivor, &request).await;
            assert!(
                is_error(&answer),
                "{request:?} was answered {answer} without a majority"
            );
        }
        // Three requests, each with the deadline that was asked for: on the busiest machine sooner than by the
        // one that holds unless it is asked for.
        assert!(
            asked.elapsed() < 3 * DEFAULT_TIMEOUT,
            "round {round} took {:?}",
            asked.elapsed()
        );
    }

    absence.end(&mut cluster, &others).await;
    cluster.ready(TIMEOUT).await.unwrap();
    write_until_acknowledged(&cluster, survivor, "again").await;
    for id in cluster.ids() {
        tokens.check(&ask(&cluster, id, &["GET", "list"]).await, id);
        assert_eq!(ask(&cluster, id, &["GET", "again"]).await, "1", "node {id}");
    }
}

impl Absence {
    async fn begin(self, cluster: &mut Cluster, ids: &[u64]) {
        match self {
            Self::Killed => cluster.kill(ids).await.unwrap(),
            Self::Stopped => signal("STOP", &processes(cluster, ids)).await,
        }
    }

    async fn end(self, cluster: &mut Cluster, ids: &[u64]) {
        match self {
            Self::Killed => ids.iter().for_each(|id| cluster.restart(*id).unwrap()),
            Self::Stopped => signal("CONT", &processes(cluster, ids)).await,
        }
    }
}

/// Appends, each of something that nothing else appends, and how each ended.
#[derive(Debug, Default)]
struct Tokens {
    next: u64,
    acknowledged: BTreeSet<String>,
    rejected: BTreeSet<String>,
    unknown: BTreeSet<String>,
}

impl Tokens {
    async fn append(&mut self, cluster: &Cluster, id: u64) -> String {
        self.next += 1;
        let token = format!("{};", self.next);
        let answer = ask(cluster, id, &["APPEND", "list", &token]).await;
        let ended = match answer.split(' ').next().unwrap() {
            "-UNKNOWN" => &mut self.unknown,
            "-REJECTED" => &mut self.rejected,
            _ => &mut self.acknowledged,
        };
        ended.insert(token);
        answer
    }

    /// Every answer that was given must be true of the list.
    fn check(&self, list: &str, id: u64) {
        let mut seen = BTreeSet::new();
        for token in list.split_inclusive(';') {
            assert!(
                seen.insert(token.to_owned()),
                "{token} is twice in {list} on node {id}"
            );
        }
        assert!(
            self.acknowledged.is_subset(&seen),
            "{self:?} and not all of it in {list} on node {id}"
        );
        assert!(
            self.rejected.is_disjoint(&seen),
            "{self:?} and some of it in {list} on node {id}"
        );
        let expected: BTreeSet<_> = self.acknowledged.union(&self.unknown).cloned().collect();
        assert!(seen.is_subset(&expected), "{list} on node {id}");
    }
}

fn is_error(answer: &str) -> bool {
    answer.starts_with("-UNKNOWN ") || answer.starts_with("-REJECTED ")
}

fn processes(cluster: &Cluster, ids: &[u64]) -> Vec<u32> {
    ids.iter()
        .map(|id| cluster.process_id(*id).unwrap())
        .collect()
}

/// Ten times what the nodes are told here.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
