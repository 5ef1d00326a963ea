//! One run: a phase of safety under faults, a phase of liveness with a healed core, the final state.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use synod_replica::Role;
use synod_replica::sim::SimNode;
use synod_sim::{self as sim, Checker, Kv, Verdict as Linearizable};

use super::clients::{Clients, Ended};
use super::observer::Observer;
use super::options::{ms, secs};
use super::{Coverage, Group, Nodes, Options, Subject, Verdict, Violation, must};

/// A world, its clients, and the checks.
pub(crate) struct Run<S: Subject> {
    pub(crate) world: Nodes<S>,
    pub(crate) clients: Clients,
    observer: Observer<S>,
    /// Whom clients ask.
    targets: BTreeSet<u64>,
    timeout: Duration,
    coverage: Coverage,
}

impl<S: Subject> Run<S> {
    pub(crate) fn new(seed: u64, options: Options) -> Self {
        let observer = Observer::new(&options);
        let clients = Clients::new(seed, options.load.clone());
        let (nodes, world) = (options.nodes, options.world.clone());
        let timeout = options.load.timeout;
        let group = Group {
            options,
            observer: observer.clone(),
        };
        Self {
            world: Nodes::new(seed, nodes, world, group),
            clients,
            observer,
            targets: (1..=nodes).collect(),
            timeout,
            coverage: Coverage::default(),
        }
    }

    /// Both phases, and the final state.
    pub(crate) fn whole(&mut self) -> Result<Coverage, Violation> {
        let horizon = self.options().load.horizon;
        self.work_for(horizon)?;
        self.settle()?;
        Ok(self.coverage())
    }

    /// Nobody asks anything until somebody leads.
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

    /// Clients work, and everything is checked.
    fn work_until(&mut self, until: Duration) -> Verdict {
        self.work(until, |_| false).map(drop)
    }

    /// As long as `done` does not hold of what has ended; tells whether it came to hold.
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
            self.world.step();
            let ended = self.check()?;
            if done(&ended) {
                return Ok(true);
            }
        }
    }

    fn ask(&mut self) {
        if let Some(asked) = self.clients.ask(&self.targets) {
            let at = asked.at.max(self.world.now());
            self.world
                .inject_at(at, sim::NodeId(asked.node), asked.request);
        }
    }

    fn check(&mut self) -> Result<Vec<Ended>, Violation> {
        self.observer.verdict()?;
        let now = self.world.now();
        let clients = &mut self.clients;
        let ended = self
            .observer
            .with(|reference| clients.take_ends(now, reference))?;
        for ended in &ended {
            self.check_deadline(ended)?;
        }
        Ok(ended)
    }

    /// A request has one end, by its deadline as the node's own clock sees it.
    fn check_deadline(&self, ended: &Ended) -> Verdict {
        let took = self.world.now() - ended.open.called;
        must(took <= ended.open.timeout, "deadline", || {
            format!("{:?} took {took:?}", ended.open)
        })
    }

    /// A random core is healed, everything else stays as it is: new commands commit in time, and the
    /// core comes to one state that holds what was acknowledged.
    pub(crate) fn settle(&mut self) -> Verdict {
        self.world.stop_faults();
        let core: BTreeSet<u64> = self.world.node_ids().iter().map(|id| id.0).collect();
        self.targets.clone_from(&core);
        self.clients.retire();
        self.probe(&core)?;
        self.converge(&core)?;
        self.end_requests(&core)?;
        for (_, node) in self.core(&core) {
            self.clients.check_final(node.machine())?;
        }
        self.linearizable()
    }

    /// A write and a read at each node of the core are answered.
    fn probe(&mut self, core: &BTreeSet<u64>) -> Verdict {
        let (begun, mut open) = (self.world.now(), BTreeMap::new());
        for node in core {
            for write in [true, false] {
                self.probe_one(*node, write, &mut open);
            }
        }
        let end = begun + LIVENESS;
        while !open.is_empty() {
            let mut failed = Vec::new();
            let mut next = self.world.now() + ms(20);
            next = next.min(end);
            self.work(next, |ended| {
                for ended in ended {
                    if let Some(probe) = open.remove(&ended.request)
                        && !ended.answered
                    {
                        failed.push(probe);
                    }
                }
                open.is_empty() && failed.is_empty()
            })?;
            must(
                open.is_empty() && failed.is_empty() || self.world.now() < end,
                "liveness",
                || {
                    let statuses: Vec<_> = self.core(core).map(|(_, node)| node.status()).collect();
                    format!("no answer within {LIVENESS:?} from {open:?} {failed:?}: {statuses:#?}")
                },
            )?;
            for (node, write) in failed {
                self.probe_one(node, write, &mut open);
            }
        }
        let took = self.world.now() - begun;
        self.coverage
            .add("ms until the core answered", took.as_millis() as u64);
        Ok(())
    }

    fn probe_one(&mut self, node: u64, write: bool, open: &mut BTreeMap<u64, (u64, bool)>) {
        let (request, asked) = self.clients.probe(self.world.now(), node, write);
        open.insert(request, (node, write));
        self.world.inject(sim::NodeId(asked.node), asked.request);
    }

    /// All of the core have applied all that is known to be decided, and are in one state.
    fn converge(&mut self, core: &BTreeSet<u64>) -> Verdict {
        let end = self.world.now() + LIVENESS;
        loop {
            let frontier = self.observer.with(|reference| reference.frontier());
            let behind = |applied: u64| applied < frontier;
            let nodes = self.core(core).count();
            if nodes == core.len() && !self.core(core).any(|(_, node)| behind(node.applied())) {
                return Ok(());
            }
            must(self.world.now() < end, "liveness", || {
                let statuses: Vec<_> = self.core(core).map(|(_, node)| node.status()).collect();
                format!("not all of {core:?} came to {frontier}: {statuses:#?}")
            })?;
            self.work_until(self.world.now() + ms(20))?;
        }
    }

    /// Every request at a node of the core has ended.
    fn end_requests(&mut self, core: &BTreeSet<u64>) -> Verdict {
        let end = self.world.now() + self.timeout + ms(500);
        while self.clients.open().any(|open| core.contains(&open.node)) && self.world.now() < end {
            self.work_until(self.world.now() + ms(20))?;
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
            .filter_map(|id| Some((*id, self.world.process(sim::NodeId(*id))?)))
    }

    pub(crate) fn options(&self) -> &Options {
        &self.world.shared().options
    }

    /// Everybody but who leads; panics unless one leads and all are up.
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

    /// What was seen.
    pub(crate) fn coverage(&self) -> Coverage {
        let mut coverage = self.coverage.clone();
        self.clients.cover(&mut coverage);
        self.observer.cover(&mut coverage);
        let stats = self.world.stats();
        for (name, count) in [
            ("events", stats.events),
            ("messages lost", stats.lost),
            ("messages duplicated", stats.duplicated),
            ("crashes", stats.crashes),
            ("power losses", stats.power_losses),
            ("crashes before a send", stats.crashes_before_send),
            ("crashes by an error", stats.crashes_by_error),
            ("partitions", stats.partitions),
        ] {
            coverage.add(name, count);
        }
        for id in self.world.node_ids() {
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

/// Within this of virtual time a healed core answers, and comes to one state.
const LIVENESS: Duration = secs(10);
/// More than a linearizable history of a run takes.
const STEPS_MAX: u64 = 100_000;
