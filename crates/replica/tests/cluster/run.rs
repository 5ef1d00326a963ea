//! One run: a safety phase under faults, a liveness phase with a healed core, and the final state.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use synod_replica::sim::SimNode;
use synod_replica::{NodeId, Role, StepDown};
use synod_sim::page::Recorder;
use synod_sim::{
    self as sim, Checker, ClockChange, Coverage, Crash, Fault, Kv, Operation, Rng,
    Verdict as Linearizable,
};

use super::backup::Backup;
use super::clients::{Clients, Ended};
use super::losses::Losses;
use super::observer::Observer;
use super::operator::Operator;
use super::options::{ms, secs};
use super::{Group, Nodes, Options, Subject, Verdict, Violation, decorators, must};

/// A world, its clients, and the checks.
pub(crate) struct Run<S: Subject> {
    pub(crate) world: Nodes<S>,
    pub(crate) clients: Clients,
    observer: Observer<S>,
    /// The nodes that clients send requests to.
    targets: BTreeSet<u64>,
    timeout: Duration,
    rng: Rng,
    operator: Operator,
    losses: Losses,
    /// Draws when backups are taken.
    backs_up: Rng,
    backups: Vec<Backup>,
    coverage: Coverage,
    recorder: Option<Recorder>,
}

impl<S: Subject> Run<S> {
    pub(crate) fn new(seed: u64, options: Options) -> Self {
        Self::recorded(seed, options, None)
    }

    /// The same, shown to a recorder.
    pub(crate) fn recorded(seed: u64, options: Options, recorder: Option<Recorder>) -> Self {
        let observer = Observer::new(&options);
        let clients = Clients::new(seed, options.load.clone());
        let (nodes, world) = (options.nodes, options.world.clone());
        let timeout = options.load.timeout;
        let operator = Operator::new(seed, &options.load);
        let losses = Losses::new(seed, options.founders, &options.load);
        let group = Group {
            options,
            observer: observer.clone(),
        };
        Self {
            world: match &recorder {
                Some(recorder) => Nodes::recorded(seed, nodes, world, group, recorder),
                None => Nodes::new(seed, nodes, world, group),
            },
            clients,
            observer,
            targets: (1..=nodes).collect(),
            timeout,
            rng: Rng::new(seed ^ RUN),
            operator,
            losses,
            backs_up: Rng::new(seed ^ BACKUP),
            backups: Vec::new(),
            coverage: Coverage::new(),
            recorder,
        }
    }

    /// Runs both phases, checks the final state, and gives the recorder the clients' history and the
    /// first violation.
    pub(crate) fn show(&mut self) {
        let Some(recorder) = self.recorder.clone() else {
            return;
        };
        recorder.watch(|| {
            if let Err(violation) = self.whole() {
                panic!("{violation}");
            }
        });
        let history = self
            .observer
            .with(|reference| self.clients.history(reference));
        recorder.history(
            &history,
            |input| format!("{input:?}"),
            |output| format!("{output:?}"),
        );
    }

    /// Runs both phases and checks the final state.
    pub(crate) fn whole(&mut self) -> Result<Coverage, Violation> {
        let horizon = self.options().load.horizon;
        self.work_for(horizon)?;
        self.settle()?;
        self.restore()?;
        if self.options().decorated {
            let (seed, options) = (self.world.seed(), self.options().clone());
            decorators::run::<S>(seed, options, &mut self.coverage)?;
        }
        Ok(self.coverage())
    }

    fn back_up(&mut self, at: Duration) {
        if !self.backs_up.chance(self.options().load.backups) {
            return;
        }
        let nodes: Vec<u64> = self.targets.iter().copied().collect();
        let node = nodes[self.backs_up.index(nodes.len())];
        let (backup, asked) = self.clients.back_up(at, node);
        self.backups.push(backup);
        self.world
            .inject_at(at, sim::NodeId(asked.node), asked.request);
    }

    /// Each backup is whole, and one of them begins a fresh group.
    fn restore(&mut self) -> Verdict {
        for backup in &self.backups {
            self.observer.with(|reference| backup.check(reference))?;
        }
        let mut taken = self.backups.iter().filter(|backup| backup.is_taken());
        self.coverage
            .add("backups taken", taken.clone().count() as u64);
        match taken.next_back() {
            Some(backup) => backup.restore::<S>(self.world.seed(), &mut self.coverage),
            None => Ok(()),
        }
    }

    /// Waits for a leader, without client requests.
    pub(crate) fn wait_for_leader(&mut self) {
        let leads = |world: &Nodes<S>| {
            let mut nodes = world
                .node_ids()
                .into_iter()
                .filter_map(|id| world.process(id));
            nodes.any(|node| node.status().core.role == Role::Leader)
        };
        let limit = self.world.now() + secs(5);
        let found = self.world.run_while(limit, |world| !leads(world));
        assert!(found, "nobody leads");
        self.clients.put_off(self.world.now());
    }

    /// Clients work, and everything is checked, for this long.
    pub(crate) fn work_for(&mut self, time: Duration) -> Verdict {
        self.work_until(self.world.now() + time)
    }

    /// Clients work, and everything is checked, until then.
    fn work_until(&mut self, until: Duration) -> Verdict {
        self.work(until, |_| false).map(drop)
    }

    /// Works as long as `done` is false for what has ended; returns whether it became true.
    fn work(
        &mut self,
        until: Duration,
        mut done: impl FnMut(&[Ended]) -> bool,
    ) -> Result<bool, Violation> {
        loop {
            let event = self.world.next_at().filter(|at| *at <= until);
            let asks = self.clients.next_at().filter(|at| *at <= until);
            if asks.is_some_and(|asks| event.is_none_or(|event| asks < event)) {
                self.ask();
                continue;
            }
            if event.is_none() {
                self.world.run_until(until);
                return Ok(false);
            }
            let rots = self.world.stats().rots;
            self.world.step();
            if self.world.stats().rots > rots {
                self.tell_rot();
            }
            let ended = self.check()?;
            if done(&ended) {
                return Ok(true);
            }
        }
    }

    fn tell_rot(&mut self) {
        for id in self.world.node_ids() {
            if self.world.has_rotted(id) {
                self.observer.rotted(NodeId(id.0));
            }
        }
    }

    fn ask(&mut self) {
        let Some(asked) = self.clients.ask(&self.targets) else {
            return;
        };
        let at = asked.at.max(self.world.now());
        self.world
            .inject_at(at, sim::NodeId(asked.node), asked.request);
        self.operator
            .ask::<S>(&mut self.world, at, &mut self.coverage);
        self.losses.ask(&mut self.world, at, &self.observer);
        self.back_up(at);
    }

    fn check(&mut self) -> Result<Vec<Ended>, Violation> {
        self.observer.verdict()?;
        let now = self.world.now();
        let clients = &mut self.clients;
        let ended = self
            .observer
            .with_clocks(|reference, clocks| clients.take_ends(now, reference, clocks))?;
        for ended in &ended {
            self.check_deadline(ended)?;
        }
        Ok(ended)
    }

    /// A request ends by its deadline on the node's own clock, except while the node is paused.
    fn check_deadline(&self, ended: &Ended) -> Verdict {
        let (open, now) = (&ended.open, self.world.now());
        let took = now - open.called;
        // Nodes outside of a healed core may be paused for ever.
        if took <= open.timeout || !self.targets.contains(&open.node) {
            return Ok(());
        }
        let node = sim::NodeId(open.node);
        let stands_still = |(at, fault): &(Duration, Fault)| match fault {
            Fault::Pause {
                node: at_node,
                lasts,
            } if *at_node == node => Some((*at, *lasts)),
            Fault::Clock {
                node: at_node,
                change: ClockChange::Freeze { lasts },
            } if *at_node == node => Some((*at, *lasts)),
            _ => None,
        };
        let still = self.world.faults().iter().filter_map(stands_still);
        let still: Duration = still
            .filter(|(at, lasts)| *at <= now && *at + *lasts >= open.called)
            .map(|(_, lasts)| lasts)
            .sum();
        let ppm = u32::min(self.world.options().drift_ppm_max, 999_999);
        let slow = open
            .timeout
            .mul_f64(f64::from(ppm) / f64::from(1_000_000 - ppm));
        must(
            took <= open.timeout + slow + still + ms(1),
            "deadline",
            || format!("{open:?} took {took:?}, of which its node stood still for {still:?}"),
        )
    }

    /// Heals a random core and leaves everything else as it is: new commands must commit in time,
    /// and the core must reach one state that holds everything acknowledged.
    pub(crate) fn settle(&mut self) -> Verdict {
        let core = self.heal();
        let healed = self.world.now();
        self.targets.clone_from(&core);
        self.clients.retire();
        self.replace_the_lost(&core)?;
        if let Err(violation) = self.probe(&core) {
            if !self.is_kept_by_a_stall(&core, healed) {
                return Err(violation);
            }
            self.coverage.add("cores kept by a stall outside", 1);
            self.world.stop_faults();
            self.probe(&core)?;
        }
        self.end_requests(&core)?;
        // Last of all: a request that still ends may have an entry that not all nodes have applied
        // yet.
        self.converge(&core)?;
        let excused = self.excused(&core);
        for (id, node) in self.core(&core) {
            if !excused.contains(&id) {
                self.clients.check_final(node.machine())?;
            }
        }
        self.linearizable()
    }

    /// Whoever has lost its disk is replaced, so that the group can lose the next one.
    fn replace_the_lost(&mut self, core: &BTreeSet<u64>) -> Verdict {
        let end = self.world.now() + LIVENESS_SLOW;
        loop {
            let now = self.world.now();
            if self.losses.replace(&mut self.world, now, &self.observer) {
                return Ok(());
            }
            must(now < end, "liveness", || {
                format!("a lost node is not replaced: {}", self.standing(core))
            })?;
            self.work_until(now + ms(100))?;
        }
    }

    /// A known limit: a leader outside of the core relies on a follower outside whose disk stalls
    /// for ever. The follower stays in contact, so the leader keeps leading; it acknowledges
    /// nothing, so nothing is committed; and the nodes of the core that are in contact with the
    /// leader elect no other. The group continues only when the stall ends or the leader is gone.
    fn is_kept_by_a_stall(&self, core: &BTreeSet<u64>, healed: Duration) -> bool {
        let Some(leader) = self.leader_outside(core) else {
            return false;
        };
        let stalls = |(at, fault): &(Duration, Fault)| match fault {
            Fault::DiskStall { node, lasts } => {
                let outside = !core.contains(&node.0) && node.0 != leader;
                outside && *at <= healed && *at + *lasts >= healed
            }
            _ => false,
        };
        self.world.faults().iter().any(stalls)
    }

    /// A quorum, or more, of nodes with undamaged disks. All nodes, if one outside could disturb
    /// the others for ever, or if a change of the members may still be under way.
    fn heal(&mut self) -> BTreeSet<u64> {
        let ids = self.world.node_ids();
        let clean = ids.iter().filter(|id| !self.world.has_rotted(**id)).count();
        let all = S::disturbs(self.options()) || self.options().changes_members();
        let least = match all {
            false => S::quorum(self.options()).min(clean),
            true => clean,
        };
        let size = least + self.rng.index(clean - least + 1);
        let mut core = self.world.random_core(size);
        self.observer.ledger(|ledger| {
            core.retain(|id| !ledger.has_lost(NodeId(id.0)));
        });
        self.world.heal_core(&core);
        let full = |id: &&sim::NodeId| {
            !core.contains(id) && self.world.disk(**id).is_some_and(sim::Disk::is_full)
        };
        let full = ids.iter().filter(full).count() as u64;
        self.coverage.add("full disks left outside", full);
        self.coverage
            .add("nodes left outside", (ids.len() - core.len()) as u64);
        core.into_iter().map(|id| id.0).collect()
    }

    /// New commands and reads must be answered: each begins at one node of the core and is retried
    /// at the others until it is.
    fn probe(&mut self, core: &BTreeSet<u64>) -> Verdict {
        let (begun, mut open) = (self.world.now(), BTreeMap::new());
        let mut inside = begun;
        for node in &self.members(core) {
            for write in [true, false] {
                self.probe_one(*node, write, &mut open);
            }
        }
        while !open.is_empty() {
            let mut failed = Vec::new();
            self.work(self.world.now() + PROBE_PAUSE, |ended| {
                for ended in ended {
                    if let Some(write) = open.remove(&ended.request)
                        && !ended.answered
                    {
                        failed.push(write);
                    }
                }
                open.is_empty() && failed.is_empty()
            })?;
            let over = open.is_empty() && failed.is_empty();
            let (since, bound) = self.bound(core, begun, &mut inside);
            must(over || self.world.now() < since + bound, "liveness", || {
                format!("no answer within {bound:?}: {}", self.standing(core))
            })?;
            let ids: Vec<u64> = self.members(core).into_iter().collect();
            for write in failed {
                let node = ids[self.rng.index(ids.len())];
                self.probe_one(node, write, &mut open);
            }
        }
        let took = self.world.now() - begun;
        self.coverage
            .add("ms until the core answered", took.as_millis() as u64);
        Ok(())
    }

    fn probe_one(&mut self, node: u64, write: bool, open: &mut BTreeMap<u64, bool>) {
        let (request, asked) = self.clients.probe(self.world.now(), node, write);
        open.insert(request, write);
        self.world.inject(sim::NodeId(asked.node), asked.request);
    }

    /// All nodes of the core must apply everything decided, and reach one state.
    ///
    /// If a node outside leads with the help of others, a node of the core without a link to it can
    /// neither follow nor be elected, since no other node needs a new leader. Such a node is
    /// excused; its requests went to others. So is who is no member.
    fn converge(&mut self, core: &BTreeSet<u64>) -> Verdict {
        let begun = self.world.now();
        let mut inside = begun;
        loop {
            let frontier = self.observer.with(|reference| reference.frontier());
            let excused = self.excused(core);
            let behind = |(id, node): (u64, &SimNode<Group<S>>)| {
                node.applied() < frontier && !excused.contains(&id)
            };
            let is_down = |id: &u64| self.world.process(sim::NodeId(*id)).is_none();
            let down = core.difference(&excused).any(is_down);
            if !down && !self.core(core).any(behind) {
                let excused = excused.len() as u64;
                self.coverage
                    .add("nodes excused for a leader outside", excused);
                return Ok(());
            }
            let (since, bound) = self.bound(core, begun, &mut inside);
            must(self.world.now() < since + bound, "liveness", || {
                format!(
                    "not all came to {frontier} within {bound:?}: {}",
                    self.standing(core)
                )
            })?;
            self.work_until(self.world.now() + PROBE_PAUSE)?;
        }
    }

    /// The nodes of the core that are no members, or without a working link to and from a leader
    /// outside.
    fn excused(&self, core: &BTreeSet<u64>) -> BTreeSet<u64> {
        if self.options().changes_members() {
            return self.strangers(core);
        }
        let Some(leader) = self.leader_outside(core) else {
            return BTreeSet::new();
        };
        let cut_off = |id: &u64| {
            let (one, other) = (sim::NodeId(*id), sim::NodeId(leader));
            !self.world.is_open(one, other) || !self.world.is_open(other, one)
        };
        core.iter().copied().filter(cut_off).collect()
    }

    /// The nodes of the core that are members, as far as can be told.
    fn members(&self, core: &BTreeSet<u64>) -> BTreeSet<u64> {
        match self.options().changes_members() {
            true => core - &self.strangers(core),
            false => core.clone(),
        }
    }

    /// The nodes that its leader does not name as members.
    fn strangers(&self, core: &BTreeSet<u64>) -> BTreeSet<u64> {
        let leads = |(_, node): &(u64, &SimNode<Group<S>>)| node.status().core.role == Role::Leader;
        let leaders = self.core(core).filter(leads);
        let leader = leaders.max_by_key(|(_, node)| node.status().core.epoch);
        let Some((_, leader)) = leader else {
            return BTreeSet::new();
        };
        let members = leader.members();
        let is_stranger = |id: &u64| !members.contains(NodeId(*id));
        core.iter().copied().filter(is_stranger).collect()
    }

    /// The leader that the core follows, if it is outside of the core.
    fn leader_outside(&self, core: &BTreeSet<u64>) -> Option<u64> {
        let known = self.core(core).filter_map(|(_, node)| {
            let status = node.status();
            Some((status.core.epoch, status.leadership?.node.0))
        });
        let (_, leader) = known.max()?;
        (!core.contains(&leader)).then_some(leader)
    }

    /// How long the core may take, and since when: since `begun` under a leader outside, otherwise
    /// since it was last seen to have one (seed 0x285e88123e192a42: a leader outside resigned
    /// late).
    fn bound(
        &self,
        core: &BTreeSet<u64>,
        begun: Duration,
        inside: &mut Duration,
    ) -> (Duration, Duration) {
        match self.leader_outside(core) {
            Some(_) => {
                *inside = self.world.now();
                (begun, LIVENESS_OUTSIDE)
            }
            None if self.is_slow() => (*inside, LIVENESS_SLOW),
            None => (*inside, LIVENESS),
        }
    }

    fn is_slow(&self) -> bool {
        self.world.options().sync_min >= ms(100)
    }

    /// The state of all nodes, for the report of a failure.
    fn standing(&self, core: &BTreeSet<u64>) -> String {
        let mut standing = format!("the core is {core:?}");
        for id in self.world.node_ids() {
            match self.world.process(id) {
                Some(node) => {
                    let status = node.status();
                    let (core, leader) = (&status.core, status.leadership);
                    standing += &format!(
                        "\n{id}: {} of epoch {}, leader {:?}, commit {}, log {}..={}, applied {}",
                        core.role,
                        core.epoch,
                        leader.map(|leader| leader.node.0),
                        core.commit,
                        core.start,
                        core.last,
                        status.applied
                    );
                }
                None => standing += &format!("\n{id}: down"),
            }
        }
        for (node, error) in self.observer.refused() {
            standing += &format!("\nn{} did not start: {error}", node.0);
        }
        standing
    }

    /// Waits until every request at a node of the core has ended.
    fn end_requests(&mut self, core: &BTreeSet<u64>) -> Verdict {
        let end = self.world.now() + self.timeout + ms(500);
        while self.clients.open().any(|open| core.contains(&open.node)) && self.world.now() < end {
            self.work_until(self.world.now() + PROBE_PAUSE)?;
        }
        let open: Vec<_> = self
            .clients
            .open()
            .filter(|open| core.contains(&open.node))
            .collect();
        must(open.is_empty(), "one outcome", || {
            format!("no end of {open:?}")
        })
    }

    fn linearizable(&mut self) -> Verdict {
        let checker = Checker::new(Kv).steps_max(STEPS_MAX);
        let history = self
            .observer
            .with(|reference| self.clients.history(reference));
        match checker.check(&history) {
            Linearizable::Ok { .. } => Ok(()),
            Linearizable::Violation(violation) => {
                let blamed = history.operations().get(violation.operation.0 as usize);
                let ended = blamed.and_then(Operation::returned_at);
                if let (Some(recorder), Some(at)) = (&self.recorder, ended) {
                    recorder.violation_at(at, &format!("linearizability: {violation}"));
                }
                Err(Violation(format!("linearizability: {violation}")))
            }
            Linearizable::Undecided { .. } => {
                self.coverage.add("histories not decided", 1);
                Ok(())
            }
        }
    }

    fn core<'a>(
        &'a self,
        core: &'a BTreeSet<u64>,
    ) -> impl Iterator<Item = (u64, &'a SimNode<Group<S>>)> {
        core.iter()
            .filter_map(|id| Some((*id, &**self.world.process(sim::NodeId(*id))?)))
    }

    pub(crate) fn options(&self) -> &Options {
        &self.world.shared().options
    }

    /// Damages something on a node's disk.
    pub(crate) fn rot(&mut self, node: sim::NodeId, seed: u64) {
        self.world.strike(&Fault::Rot { node, seed });
        self.tell_rot();
    }

    /// Kills a node and starts it again; returns whether that failed because of damage.
    pub(crate) fn refuses_to_start(&mut self, node: sim::NodeId) -> bool {
        self.world.crash(node, Crash::Kill);
        !self.world.restart(node) && self.observer.refused().contains_key(&NodeId(node.0))
    }

    /// Fills a disk, or frees it.
    pub(crate) fn fill(&self, node: sim::NodeId, full: bool) {
        self.world.disk(node).expect("a node").fill(full);
    }

    /// The leader of the latest epoch; panics if there is none.
    pub(crate) fn leader(&self) -> sim::NodeId {
        self.leadership().0
    }

    /// The number of the latest epoch.
    pub(crate) fn epoch(&self) -> u64 {
        self.leadership().1
    }

    fn leadership(&self) -> (sim::NodeId, u64) {
        let ids = self.world.node_ids().into_iter();
        let leads = ids.filter_map(|id| {
            let core = self.world.process(id)?.status().core;
            (core.role == Role::Leader).then_some((core.epoch, id))
        });
        let leads = leads.max();
        let (epoch, id) = leads.unwrap_or_else(|| {
            let all = self.world.node_ids().iter().map(|id| id.0).collect();
            panic!("nobody leads: {}", self.standing(&all))
        });
        (id, epoch.round)
    }

    /// All nodes but the leader; panics unless there is one and all are up.
    pub(crate) fn all_but_the_leader(&self) -> Vec<sim::NodeId> {
        let leads = |id: &sim::NodeId| {
            let node = self.world.process(*id).expect("all are up");
            node.status().core.role == Role::Leader
        };
        let (leaders, others): (Vec<_>, Vec<_>) =
            self.world.node_ids().into_iter().partition(leads);
        assert_eq!(leaders.len(), 1, "one leads");
        others
    }

    /// What the run has covered.
    pub(crate) fn coverage(&self) -> Coverage {
        let mut coverage = Coverage::of(&self.world.stats());
        coverage.merge(&self.coverage);
        coverage.add("runs on slow disks", u64::from(self.is_slow()));
        self.clients.cover(&mut coverage);
        self.observer.cover(&mut coverage);
        for id in self.world.node_ids() {
            let node = self.world.process(id);
            let why = node.and_then(|node| node.status().core.stepped_down);
            let handed = why == Some(StepDown::Transferred);
            coverage.add("leaderships handed over at last", u64::from(handed));
            if let Some(disk) = self.world.disk(id) {
                let stats = disk.stats();
                coverage.add("writes lost with the power", stats.lost_writes);
                coverage.add("writes torn by a power loss", stats.torn_writes);
                coverage.add("names lost with the power", stats.lost_names);
            }
        }
        coverage
    }
}

/// Virtual time within which a healed core must answer and reach one state.
const LIVENESS: Duration = secs(10);
/// The same where each sync and each read of the log takes as long as an election timeout.
const LIVENESS_SLOW: Duration = secs(30);
/// The same for a core that follows a leader outside, whose links still lose: what is lost is sent
/// again after some heartbeats, and with a window of one message each slot waits for the previous
/// one.
const LIVENESS_OUTSIDE: Duration = secs(60);
/// How often a core is checked.
const PROBE_PAUSE: Duration = ms(20);
/// More steps than checking the history of a run takes.
const STEPS_MAX: u64 = 100_000;
const BACKUP: u64 = 0x6261_636b_7570_2121;
const RUN: u64 = 0x7275_6e21;
