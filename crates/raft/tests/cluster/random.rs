//! Random schedules: everything that may happen, in any order, from a seed. Then the faults stop,
//! and the group must get on.

use std::time::Duration;

use bytes::Bytes;
use synod_raft::{Config, LogId, NodeId, Role, Term};

use crate::harness::cluster::{Cluster, Packet};

/// SplitMix64, as everybody has one.
pub(crate) struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// What a run met; a run that met nothing proves nothing.
#[derive(Debug, Default)]
struct Coverage {
    elections: u64,
    applied: u64,
    truncations: u64,
    restores: u64,
    crashes: u64,
    reads: u64,
    refused_reads: u64,
    fetches: u64,
}

struct Run {
    cluster: Cluster,
    dice: Dice,
    size: u64,
    loss: u64,
    crash_rate: u64,
    /// Milliseconds that pass at once, at most: how close timeouts are to delays.
    pace: u64,
    read: u64,
    coverage: Coverage,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x5851_F42D_4C95_7F2D));
        let size = dice.pick(&[1, 2, 3, 3, 3, 4, 5, 5]);
        let (pre_vote, check_quorum) = (!dice.one_in(3), !dice.one_in(3));
        let append = dice.pick(&[40, 100, 1 << 20]);
        let cache = dice.pick(&[0, 100, 1 << 20]);
        let inflight = dice.pick(&[1, 3, 64]);
        let uncommitted = dice.pick(&[100, 1 << 20]);
        let mut cluster = Cluster::new(size, |config: &mut Config| {
            config.seed = seed;
            config.write_stall_max = Duration::from_millis(300);
            config.pre_vote = pre_vote;
            config.check_quorum = check_quorum;
            config.append_bytes_max = append;
            config.cache_bytes_max = cache;
            config.inflight_messages_max = inflight;
            config.uncommitted_bytes_max = uncommitted;
        });
        cluster.slow_disks = cluster.nodes.keys().copied().collect();
        cluster.slow_pulls = true;
        let (loss, crash_rate) = (dice.pick(&[3, 10, 1000]), dice.pick(&[100, 400, 100_000]));
        let pace = dice.pick(&[5, 20, 60]);
        Self {
            cluster,
            pace,
            dice,
            size,
            loss,
            crash_rate,
            read: 0,
            coverage: Coverage::default(),
        }
    }

    fn step(&mut self) {
        let id = 1 + self.dice.below(self.size);
        if !self.cluster.node(id).is_up() {
            if self.dice.one_in(8) {
                self.cluster.restart(id);
            }
            return;
        }
        match self.dice.below(100) {
            0..45 => self.deliver(),
            45..65 => self.finish(id),
            65..80 => self.pass_time(),
            80..88 => drop(self.propose(id)),
            88..92 => self.read(id),
            92..94 => self.cluster.take_snapshot(id),
            94..96 => self.partition(id),
            _ if self.dice.one_in(self.crash_rate / 10) => self.crash(id),
            _ => self.finish(id),
        }
        self.count_reads();
    }

    fn deliver(&mut self) {
        if self.cluster.net.is_empty() {
            return;
        }
        // Mostly in order, sometimes anything that was ever sent.
        let end = self.cluster.net.len() as u64;
        let end = if self.dice.one_in(4) { end } else { end.min(4) };
        let at = self.dice.below(end) as usize;
        let packet: Packet = self.cluster.net.remove(at);
        if self.dice.one_in(20) {
            self.cluster.net.push(packet.clone());
        }
        if !self.dice.one_in(self.loss) {
            self.cluster.receive(packet);
        }
        while self.cluster.net.len() > 300 {
            let at = self.dice.below(self.cluster.net.len() as u64) as usize;
            self.cluster.net.swap_remove(at);
        }
    }

    /// Work of the disk, the log's reader or the snapshot transfer ends.
    fn finish(&mut self, id: u64) {
        let node = self.cluster.node(id);
        if !node.fetches.is_empty() && self.dice.one_in(2) {
            self.coverage.fetches += 1;
            return self.cluster.serve_fetch(id);
        } else if !node.pulls.is_empty() && self.dice.one_in(4) {
            self.cluster.serve_pull(NodeId(id));
        } else {
            return self.cluster.persist(id);
        }
        self.cluster.pump(NodeId(id));
    }

    fn pass_time(&mut self) {
        let pace = if self.dice.one_in(30) { 300 } else { self.pace };
        let passed = Duration::from_millis(self.dice.below(pace));
        self.cluster.now = self.cluster.now.plus(passed);
        self.fire_timers();
    }

    fn fire_timers(&mut self) {
        for id in 1..=self.size {
            let now = self.cluster.now;
            let due = |raft: &synod_raft::Raft| raft.poll_timeout().is_some_and(|at| at <= now);
            if self.cluster.node(id).core.as_ref().is_some_and(due) {
                self.cluster.step(id, synod_raft::Raft::handle_timeout);
            }
        }
    }

    fn propose(&mut self, id: u64) -> Option<LogId> {
        let body = vec![b'x'; self.dice.below(60) as usize];
        self.cluster
            .step(id, |raft, now| raft.propose(now, Bytes::from(body)))
            .ok()
    }

    fn read(&mut self, id: u64) {
        self.read += 1;
        let _ = self.cluster.read(id, self.read);
    }

    fn count_reads(&mut self) {
        for (_, _, answer) in self.cluster.answers.drain(..) {
            match answer {
                Ok(_) => self.coverage.reads += 1,
                Err(_) => self.coverage.refused_reads += 1,
            }
        }
    }

    fn partition(&mut self, id: u64) {
        match self.dice.below(4) {
            0 => self.cluster.isolate(id),
            1 => {
                let other = 1 + self.dice.below(self.size);
                self.cluster.cut.insert((NodeId(id), NodeId(other)));
            }
            _ => self.cluster.heal(),
        }
    }

    fn crash(&mut self, id: u64) {
        self.coverage.crashes += 1;
        let now = self.cluster.now;
        let pulled = self.cluster.node(id).pulls.pop();
        let file = pulled.and_then(|(from, _)| self.cluster.nodes[&from].disk.snapshot.clone());
        let (store, stored) = (self.dice.one_in(2), self.dice.one_in(2));
        let node = self.cluster.node(id);
        // The record may have reached the disk although its messages did not get out.
        if store {
            node.store_untold();
        }
        // And so may a pulled file of which the core never heard.
        if let Some(file) = file.filter(|_| stored) {
            node.finish_pull(now, file, false);
        }
        self.cluster.crash(id);
    }

    /// Faults stop. Within a few election timeouts there is a leader, and what is proposed is
    /// applied everywhere.
    fn recover(&mut self) {
        self.cluster.heal();
        for id in 1..=self.size {
            if !self.cluster.node(id).is_up() {
                self.cluster.restart(id);
            }
        }
        let mut wanted: Option<LogId> = None;
        for _ in 0..RECOVERY_MS_MAX {
            self.cluster.now = self.cluster.now.plus(Duration::from_millis(1));
            self.cluster.deliver(|_| true);
            for id in 1..=self.size {
                self.finish_all(id);
            }
            self.fire_timers();
            self.count_reads();
            let applied =
                wanted.is_some_and(|id| self.cluster.watch.applied.iter().any(|(at, _)| *at == id));
            if applied && self.is_even() {
                return;
            }
            let leader = (1..=self.size).find(|id| self.cluster.status(*id).role == Role::Leader);
            // A proposal of an earlier leader may be lost with it.
            let term = leader.map_or(Term(0), |leader| self.cluster.status(leader).term);
            if let Some(leader) =
                leader.filter(|_| wanted.is_none_or(|id| !applied && id.term < term))
            {
                wanted = self.propose(leader);
            }
        }
        let all: Vec<_> = (1..=self.size).map(|id| self.cluster.status(id)).collect();
        panic!(
            "no progress without faults: wanted {wanted:?}, {all:?}, {:?}",
            self.cluster.watch.applied.len()
        );
    }

    fn finish_all(&mut self, id: u64) {
        self.cluster.persist(id);
        while !self.cluster.node(id).fetches.is_empty() {
            self.cluster.serve_fetch(id);
        }
        while !self.cluster.node(id).pulls.is_empty() {
            self.cluster.serve_pull(NodeId(id));
            self.cluster.pump(NodeId(id));
        }
    }

    fn is_even(&self) -> bool {
        let end = self.cluster.watch.applied.len();
        self.cluster
            .nodes
            .values()
            .all(|node| node.machine.len() == end)
    }
}

fn run(seed: u64, steps: u64) -> Coverage {
    let mut run = Run::new(seed);
    (0..steps).for_each(|_| run.step());
    run.recover();
    let mut coverage = run.coverage;
    coverage.elections = run.cluster.watch.elections();
    coverage.applied = run.cluster.watch.applied.len() as u64;
    for node in run.cluster.nodes.values() {
        coverage.truncations += node.disk.truncations;
        coverage.restores += node.restores;
    }
    coverage
}

/// `RAFT_SEED=n` replays one seed, and `RAFT_SEEDS=n` runs that many.
#[test]
fn any_schedule_is_safe_and_recovers() {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse::<u64>().ok())
    };
    let seeds = match number("RAFT_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("RAFT_SEEDS").unwrap_or(300),
    };
    let mut total = Coverage::default();
    for seed in seeds.clone() {
        let guard = Report(seed);
        let met = run(seed, 3000);
        std::mem::forget(guard);
        total.elections += met.elections;
        total.applied += met.applied;
        total.truncations += met.truncations;
        total.restores += met.restores;
        total.crashes += met.crashes;
        total.reads += met.reads;
        total.refused_reads += met.refused_reads;
        total.fetches += met.fetches;
    }
    println!("{total:?}");
    let seeds = seeds.end - seeds.start;
    if seeds >= 100 {
        let each = [
            total.elections,
            total.applied,
            total.truncations,
            total.restores,
            total.crashes,
            total.reads,
            total.refused_reads,
            total.fetches,
        ];
        assert!(
            each.iter().all(|met| *met >= seeds / 2),
            "a vacuous run: {total:?}"
        );
    }
}

/// Ten of the longest election timeouts: a few split votes, each followed by a round of messages.
const RECOVERY_MS_MAX: u64 = 3_000;

/// Says how to see a failure again.
struct Report(u64);

impl Drop for Report {
    fn drop(&mut self) {
        eprintln!(
            "seed {0}: RAFT_SEED={0} cargo test -p synod-raft --test cluster any_schedule",
            self.0
        );
    }
}

/// The same seed gives the same run, to the last bit of every core.
#[test]
fn a_seed_is_a_schedule() {
    let end = |seed| {
        let mut run = Run::new(seed);
        (0..1500).for_each(|_| run.step());
        let cores = run.cluster.nodes.values().map(|node| node.core.clone());
        (cores.collect::<Vec<_>>(), run.cluster.watch.applied.clone())
    };
    for seed in 0..5 {
        let (first, second): (_, (_, Vec<(LogId, Term)>)) = (end(seed), end(seed));
        assert!(first == second, "seed {seed}");
    }
}
