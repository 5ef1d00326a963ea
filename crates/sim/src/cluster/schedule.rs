//! Random schedules: everything that may happen, in any order, from a seed. Then the faults stop,
//! and the group must get on.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::Duration;

use super::core::{PacketOf, Protocol, Watch};
use super::group::Cluster;
use crate::Rng;
use crate::page::{self, Recorder};

/// What may happen to a cluster whose nodes are numbered from 1, drawn step by step.
pub struct Schedule<P: Protocol> {
    /// To which it happens.
    pub cluster: Cluster<P>,
    /// What has happened, counted; a schedule that met nothing proves nothing.
    pub met: BTreeMap<&'static str, u64>,
    rng: Rng,
    size: u64,
    loss: u64,
    crash_rate: u64,
    /// Milliseconds that pass at once, at most: how close timeouts are to delays.
    pace: u64,
    read: u64,
    /// Nodes that have looked at their clock to read by lease and stand still: what it showed, and how
    /// much anybody could have been told by then.
    paused: BTreeMap<P::Id, (P::Instant, u64)>,
}

impl<P: Protocol> fmt::Debug for Schedule<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schedule = &mut f.debug_struct("Schedule");
        let schedule = schedule.field("cluster", &self.cluster);
        schedule.field("met", &self.met).finish_non_exhaustive()
    }
}

impl<P: Protocol> Schedule<P> {
    /// What happens to this cluster is drawn from this generator. Its disks and pulls end when that is
    /// drawn.
    pub fn new(mut cluster: Cluster<P>, mut rng: Rng) -> Self {
        cluster.slow_disks = cluster.nodes.keys().copied().collect();
        cluster.slow_pulls = true;
        Self {
            size: cluster.nodes.len() as u64,
            cluster,
            met: BTreeMap::new(),
            loss: rng.pick(&[3, 10, 1000]),
            crash_rate: rng.pick(&[10, 40, 10_000]),
            pace: rng.pick(&[5, 20, 60]),
            read: 0,
            paused: BTreeMap::new(),
            rng,
        }
    }

    fn meet(&mut self, what: &'static str) {
        *self.met.entry(what).or_default() += 1;
    }

    /// Something happens, to anybody.
    pub fn step(&mut self) {
        let id = 1 + self.rng.below(self.size);
        if !self.cluster.node(id).is_up() {
            if self.rng.one_in(8) {
                self.cluster.restart(id);
            }
            return;
        }
        if self.paused.contains_key(&P::id(id)) {
            if self.rng.one_in(8) {
                self.resume(id);
            }
            return;
        }
        match self.rng.below(100) {
            0..45 => self.deliver(),
            45..65 => self.finish(id),
            65..80 => self.pass_time(),
            80..88 => drop(self.propose(id)),
            88..92 => self.read(id),
            92..94 => self.cluster.take_snapshot(id),
            94..96 => self.partition(id),
            96 => self.transfer(id),
            97 if P::CHANGES => self.change(id),
            98 if P::LEASES => self.read_by_lease(id),
            _ if self.rng.one_in(self.crash_rate) => self.crash(id),
            _ => self.finish(id),
        }
        self.count_reads();
    }

    fn deliver(&mut self) {
        if self.cluster.net.is_empty() {
            return;
        }
        // Mostly in order, sometimes anything that was ever sent.
        let end = self.cluster.net.len();
        let end = if self.rng.one_in(4) { end } else { end.min(4) };
        let at = self.rng.index(end);
        if self.paused.contains_key(&self.cluster.net[at].to) {
            return;
        }
        let packet: PacketOf<P> = self.cluster.net.remove(at);
        if self.rng.one_in(20) {
            self.cluster.net.push(packet.clone());
        }
        if self.rng.one_in(self.loss) {
            self.cluster.lose(&packet);
        } else {
            self.meet(P::message_name(&packet.message));
            self.cluster.receive(packet);
        }
        while self.cluster.net.len() > PACKETS_MAX {
            let at = self.rng.index(self.cluster.net.len());
            let packet = self.cluster.net.swap_remove(at);
            self.cluster.lose(&packet);
        }
    }

    /// Work of the disk, the log's reader or the snapshot transfer ends.
    fn finish(&mut self, id: u64) {
        let node = self.cluster.node(id);
        if !node.fetches.is_empty() && self.rng.one_in(2) {
            self.meet(FETCHES);
            return self.cluster.serve_fetch(id);
        } else if !self.cluster.node(id).pulls.is_empty() && self.rng.one_in(4) {
            self.cluster.serve_pull(P::id(id));
        } else {
            return self.cluster.persist(id);
        }
        self.cluster.pump(P::id(id));
    }

    fn pass_time(&mut self) {
        let pace = if self.rng.one_in(30) { 300 } else { self.pace };
        let passed = Duration::from_millis(self.rng.below(pace));
        self.cluster.now = P::plus(self.cluster.now, passed);
        self.cluster.check_leases();
        for id in 1..=self.size {
            let stands_still = self.paused.contains_key(&P::id(id));
            if !stands_still && self.cluster.is_due(P::id(id)) {
                self.cluster.timeout(id);
            }
        }
    }

    fn propose(&mut self, id: u64) -> Option<P::Mark> {
        let body = vec![b'x'; self.rng.index(60)];
        let propose = |core: &mut P::Core, now| P::propose(core, now, &body);
        self.cluster.step(id, propose).ok()
    }

    fn read(&mut self, id: u64) {
        self.read += 1;
        // Who does not lead refuses, unless acceptors answer.
        let _refused = match P::QUORUM_READS && self.rng.one_in(6) {
            true => self.cluster.read_by_quorum(id, self.read),
            false => self.cluster.read(id, self.read),
        };
    }

    /// The node looks at its clock, and reads at once or stands still first.
    fn read_by_lease(&mut self, id: u64) {
        let clock = self.cluster.clock(P::id(id));
        let applied = self.cluster.watch.applied();
        self.paused.insert(P::id(id), (clock, applied));
        if self.rng.one_in(2) {
            self.resume(id);
        }
    }

    /// What it read on its clock before still counts: nobody else could have been told more by then.
    fn resume(&mut self, id: u64) {
        let Some((clock, applied)) = self.paused.remove(&P::id(id)) else {
            return;
        };
        let read = P::read_by_lease(self.cluster.node(id).core(), clock);
        if let Ok(seen) = read {
            assert!(
                seen >= applied,
                "a stale read by lease: {seen} after {applied}"
            );
            self.meet(LEASE_READS);
            if clock != self.cluster.clock(P::id(id)) {
                self.meet(LATE_LEASE_READS);
            }
        }
    }

    /// To whichever node is best, or to one that may not be.
    fn transfer(&mut self, id: u64) {
        let other = 1 + self.rng.below(self.size);
        let to = self.rng.one_in(2).then(|| P::id(other));
        let transfer = |core: &mut P::Core, now| P::transfer(core, now, to);
        if self.cluster.step(id, transfer).is_ok() {
            self.meet(TRANSFERS);
        }
    }

    /// Some members go, others come, and some of them only listen; or what is under way is undone.
    fn change(&mut self, id: u64) {
        let roster = P::roster(self.cluster.node(id).core());
        let (members, is_changing) = roster.unwrap_or_default();
        if is_changing && self.rng.one_in(4) {
            if self.cluster.step(id, P::abort_change).is_ok() {
                self.meet(ABORTS);
            }
            return;
        }
        let (mut voters, mut learners) = (Vec::new(), Vec::new());
        for other in 1..=self.size {
            let stays = members.contains(&other);
            let is_gone = self.cluster.node(other).stopped.is_some();
            let changes = self.rng.one_in(if stays { 6 } else { 3 });
            if stays == changes || is_gone {
                continue;
            }
            let side = match self.rng.one_in(5) {
                true => &mut learners,
                false => &mut voters,
            };
            side.push(other);
        }
        let change = |core: &mut P::Core, now| P::change(core, now, &voters, &learners);
        if self.cluster.step(id, change).is_ok() {
            self.meet(CHANGES);
        }
    }

    fn count_reads(&mut self) {
        for (_, (_, answer)) in std::mem::take(&mut self.cluster.answers) {
            self.meet(if answer.is_ok() { READS } else { REFUSED_READS });
        }
    }

    fn partition(&mut self, id: u64) {
        match self.rng.below(4) {
            0 => self.cluster.isolate(id),
            1 => {
                let other = 1 + self.rng.below(self.size);
                self.cluster.cut.insert((P::id(id), P::id(other)));
            }
            _ => self.cluster.heal(),
        }
    }

    fn crash(&mut self, id: u64) {
        self.meet(CRASHES);
        let now = self.cluster.clock(P::id(id));
        let pulled = self.cluster.node(id).pulls.pop();
        let file = pulled.and_then(|(from, snapshot)| self.cluster.file(from, &snapshot));
        let (store, stored) = (self.rng.one_in(2), self.rng.one_in(2));
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

    /// Faults stop. Within a few election timeouts there is a leader, what is proposed is applied by
    /// all who take part, and no change of them is under way.
    ///
    /// # Panics
    /// If not.
    pub fn recover(&mut self) {
        self.cluster.heal();
        self.paused.clear();
        for id in 1..=self.size {
            if !self.cluster.node(id).is_up() {
                self.cluster.restart(id);
            }
        }
        let mut wanted: Option<P::Mark> = None;
        for _ in 0..RECOVERY_MS_MAX {
            self.cluster.now = P::plus(self.cluster.now, Duration::from_millis(1));
            self.cluster.deliver(|_| true);
            (1..=self.size).for_each(|id| self.finish_all(id));
            self.cluster.fire_timers();
            self.count_reads();
            let applied = wanted.is_some_and(|mark| self.cluster.watch.has_applied(mark));
            let leads = |id: &u64| P::standing(self.cluster.node(*id).core()).leads;
            let Some(leader) = (1..=self.size).find(leads) else {
                continue;
            };
            if applied && self.is_even(leader) {
                return;
            }
            // A proposal of an earlier leader may be lost with it.
            let core = self.cluster.node(leader).core();
            if wanted.is_none_or(|mark| !applied && P::is_of_earlier_leader(core, mark)) {
                wanted = self.propose(leader);
            }
        }
        let all = (1..=self.size).map(|id| P::standing(self.cluster.node(id).core()));
        let all: Vec<_> = all.collect();
        let applied = self.cluster.watch.applied();
        panic!("no progress without faults: wanted {wanted:?}, {all:?}, {applied:?}");
    }

    fn finish_all(&mut self, id: u64) {
        self.cluster.persist(id);
        while !self.cluster.node(id).fetches.is_empty() {
            self.cluster.serve_fetch(id);
        }
        while !self.cluster.node(id).pulls.is_empty() {
            self.cluster.serve_pull(P::id(id));
            self.cluster.pump(P::id(id));
        }
    }

    fn is_even(&mut self, leader: u64) -> bool {
        let end = self.cluster.watch.applied();
        let roster = P::roster(self.cluster.node(leader).core());
        let is_changing = roster.as_ref().is_some_and(|(_, is_changing)| *is_changing);
        let takes_part = |id: &P::Id| match &roster {
            Some((members, _)) => members.contains(&P::number(*id)),
            None => true,
        };
        let mut nodes = self.cluster.nodes.iter();
        !is_changing && nodes.all(|(id, node)| !takes_part(id) || node.machine.len() as u64 == end)
    }
}

/// Plays [`STEPS`] of a schedule a seed, and the end of faults: `NAME_SEED=n` plays one, `NAME_SEEDS=n`
/// that many, else 300. A seed that fails leaves a [page](crate::page); `NAME_HTML=FILE` writes one of
/// the last seed that was played. `more` counts what the protocol has to have met besides what every one has; of
/// [`ALWAYS_MET`] and that everything must be met in half of the seeds, or as often as it says.
///
/// # Panics
/// If a rule is broken, the group does not get on, or 100 seeds and more have met too little.
pub fn play_seeds<P: Protocol>(
    name: &str,
    command: &str,
    group: impl Fn(u64, &mut Rng) -> Cluster<P>,
    more: impl Fn(&Schedule<P>) -> Vec<(&'static str, u64)>,
    one_in: &[(&'static str, u64)],
) {
    let number = |name: String| std::env::var(name).ok()?.parse::<u64>().ok();
    let seeds = match number(format!("{name}_SEED")) {
        Some(seed) => seed..seed + 1,
        None => 0..number(format!("{name}_SEEDS")).unwrap_or(300),
    };
    let mut total: BTreeMap<&'static str, u64> = BTreeMap::new();
    for seed in seeds.clone() {
        let again = format!("{name}_SEED={seed} {command}");
        let whole = |recorder: Option<&Recorder>| {
            let mut rng = Rng::new(seed);
            let mut cluster = group(seed, &mut rng);
            if let Some(recorder) = recorder {
                cluster.record(recorder);
            }
            let mut schedule = Schedule::new(cluster, rng);
            (0..STEPS).for_each(|_| schedule.step());
            schedule.recover();
            schedule
        };
        let show = |path: &Path| {
            let recorder = Recorder::new(format!("{name}: the random schedule of seed {seed}"));
            recorder.about("replay", &again);
            recorder.watch(|| drop(whole(Some(&recorder))));
            page::leave(&recorder, path);
        };
        let mut schedule = match catch_unwind(AssertUnwindSafe(|| whole(None))) {
            Ok(schedule) => schedule,
            Err(payload) => {
                eprintln!("seed {seed}: {again}");
                show(&page::beside_tests(&format!("{name}-{seed}.html")));
                resume_unwind(payload);
            }
        };
        if let Some(path) = std::env::var_os(format!("{name}_HTML")) {
            show(Path::new(&path));
        }
        let restores = schedule.cluster.nodes.values().map(|node| node.restores);
        let counts = [
            (APPLIED, schedule.cluster.watch.applied()),
            (RESTORES, restores.sum()),
        ];
        let counts = counts.into_iter().chain(more(&schedule));
        for (what, times) in counts.chain(std::mem::take(&mut schedule.met)) {
            *total.entry(what).or_default() += times;
        }
    }
    println!("{total:?}");
    let count = seeds.end - seeds.start;
    if count >= 100 {
        let always = ALWAYS_MET.iter().map(|what| (*what, 2));
        for (what, one_in) in always.chain(one_in.iter().copied()) {
            let times = total.get(what).copied().unwrap_or_default();
            assert!(times >= count / one_in, "too few {what}: {total:?}");
        }
    }
}

/// How many steps a schedule of [`play_seeds`] has.
pub const STEPS: u64 = 3000;
/// What all protocols must have met.
pub const ALWAYS_MET: &[&str] = &[APPLIED, RESTORES, CRASHES, READS, REFUSED_READS, FETCHES];

const APPLIED: &str = "applied";
const RESTORES: &str = "restores";
const CRASHES: &str = "crashes";
const READS: &str = "reads";
const REFUSED_READS: &str = "refused reads";
const LEASE_READS: &str = "reads by lease";
const LATE_LEASE_READS: &str = "reads by lease after a pause";
const TRANSFERS: &str = "transfers";
const CHANGES: &str = "changes";
const ABORTS: &str = "aborts";
const FETCHES: &str = "fetches";
const PACKETS_MAX: usize = 300;
/// Ten of the longest election timeouts: a few elections without a winner, each followed by a round of
/// messages.
const RECOVERY_MS_MAX: u64 = 3_000;
