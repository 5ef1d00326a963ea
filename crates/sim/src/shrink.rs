//! Reduction of a failing run.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::campaign::{Failure, Trial, watch};
use crate::world::{Fault, FaultKind, NodeId, Script};

/// Reduces a failing trial until every remaining part is needed for the failure, or the tries are
/// used up.
///
/// It records the faults as a [`Script`] and retries without each kind of fault, with fewer nodes and
/// clients, with a shorter horizon, and without parts of the script (delta debugging: Zeller and
/// Hildebrandt, Simplifying and isolating failure-inducing input, 2002). A smaller trial counts if it
/// [fails in the same way](Failure::is_like). In the end no single fault of the script can be left
/// out.
///
/// ```
/// use std::time::Duration;
/// use synod_sim::{Shrink, Trial, WorldOptions};
/// # use std::io;
/// # use synod_sim::{Context, Event, NodeId, Process, Start, World};
/// # struct Idle;
/// # impl Process for Idle {
/// #     type Message = ();
/// #     type Input = ();
/// #     type Shared = ();
/// #     fn start(_: Start, _: &(), _: &mut Context<()>) -> io::Result<Self> { Ok(Self) }
/// #     fn handle(&mut self, _: Event<(), ()>, _: &mut Context<()>) -> io::Result<()> { Ok(()) }
/// # }
/// let mut options = WorldOptions::default();
/// options.crash_every = Some(Duration::from_millis(50));
/// options.partition_every = Some(Duration::from_millis(50));
/// let horizon = Duration::from_secs(1);
/// let trial = Trial { seed: 1, nodes: 3, clients: 0, horizon, options };
/// let shrunk = Shrink::new().run(&trial, |trial| {
///     let mut world = World::<Idle>::new(trial.seed, trial.nodes, trial.options.clone(), ());
///     while world.step().is_some_and(|at| at < trial.horizon) {
///         assert!(world.stats().crashes < 2, "two crashes: that is too much");
///     }
/// });
/// let shrunk = shrunk.expect("it fails");
/// let script = shrunk.trial.options.script.expect("what struck is recorded");
/// assert_eq!(script.0.len(), 2);
/// ```
#[derive(Clone, Debug)]
pub struct Shrink {
    tries_max: u64,
    nodes_min: u64,
    clients_min: usize,
}

/// The result of shrinking.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Shrunk {
    /// The small trial.
    pub trial: Trial,
    /// How it fails.
    pub failure: Failure,
    /// How many runs it took.
    pub tries: u64,
}

impl Shrink {
    /// At most a thousand tries, down to one node and no client.
    #[must_use]
    pub fn new() -> Self {
        Self {
            tries_max: 1000,
            nodes_min: 1,
            clients_min: 0,
        }
    }

    /// Ends after so many runs, however large the trial is then.
    #[must_use]
    pub fn tries_max(mut self, tries: u64) -> Self {
        self.tries_max = tries;
        self
    }

    /// Never tries fewer nodes than this.
    #[must_use]
    pub fn nodes_min(mut self, nodes: u64) -> Self {
        self.nodes_min = nodes;
        self
    }

    /// Never tries fewer clients than this.
    #[must_use]
    pub fn clients_min(mut self, clients: usize) -> Self {
        self.clients_min = clients;
        self
    }

    /// Shrinks `trial`, which `run` runs and fails by panicking; `None` if it does not fail.
    pub fn run<T>(&self, trial: &Trial, run: impl Fn(&Trial) -> T) -> Option<Shrunk> {
        let failure = attempt(trial, &run)?;
        let mut search = Search {
            run,
            tries_left: self.tries_max.saturating_sub(1),
            trial: trial.clone(),
            failure,
        };
        search.record();
        loop {
            let before = search.trial.clone();
            search.switch_off();
            search.shorten();
            search.thin_out(self.nodes_min, self.clients_min);
            search.minimize_script();
            if search.trial == before || search.tries_left == 0 {
                break;
            }
        }
        Some(Shrunk {
            trial: search.trial,
            failure: search.failure,
            tries: self.tries_max - search.tries_left,
        })
    }
}

impl Default for Shrink {
    fn default() -> Self {
        Self::new()
    }
}

/// The small trial, its script among it, and its failure.
impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "shrunk in {} tries to:", self.tries)?;
        write!(f, "{}", self.failure)
    }
}

struct Search<R> {
    run: R,
    tries_left: u64,
    /// The smallest trial that has failed in this way.
    trial: Trial,
    failure: Failure,
}

impl<T, R: Fn(&Trial) -> T> Search<R> {
    /// Accepts a smaller trial if it fails in the same way.
    fn accept(&mut self, smaller: Trial) -> bool {
        if self.tries_left == 0 || smaller == self.trial {
            return false;
        }
        self.tries_left -= 1;
        match attempt(&smaller, &self.run) {
            Some(failure) if failure.is_like(&self.failure) => {
                (self.trial, self.failure) = (smaller, failure);
                true
            }
            _ => false,
        }
    }

    fn with(&self, change: impl FnOnce(&mut Trial)) -> Trial {
        let mut trial = self.trial.clone();
        change(&mut trial);
        trial
    }

    /// Turns the drawn faults into a script, so that removing one fault does not change the others.
    fn record(&mut self) {
        if self.trial.options.script.is_none() {
            let script = Script::from(self.failure.faults.as_slice());
            let scripted = self.with(|trial| trial.options.script = Some(script));
            self.accept(scripted);
        }
    }

    fn switch_off(&mut self) {
        for kind in FaultKind::ALL {
            if self.trial.options.has(kind) {
                let without = self.with(|trial| trial.options.switch_off(kind));
                self.accept(without);
            }
        }
    }

    /// Shortens the horizon to the time of the failure, or by half.
    fn shorten(&mut self) {
        let at = self.failure.at.saturating_add(Duration::from_nanos(1));
        if at < self.trial.horizon {
            let shorter = self.with(|trial| trial.horizon = at);
            self.accept(shorter);
        }
        while !self.trial.horizon.is_zero() {
            let shorter = self.with(|trial| trial.horizon /= 2);
            if !self.accept(shorter) {
                return;
            }
        }
    }

    /// Finds the fewest nodes and clients that still fail, with the faults kept or moved to the
    /// remaining nodes. Bit rot on a minority must not become bit rot on a majority.
    fn thin_out(&mut self, nodes_min: u64, clients_min: usize) {
        for nodes in nodes_min.max(1)..self.trial.nodes {
            let fewer = self.with(|trial| trial.nodes = nodes);
            let folded = self.with(|trial| {
                trial.nodes = nodes;
                if let Some(script) = &mut trial.options.script {
                    script
                        .0
                        .iter_mut()
                        .for_each(|(_, fault)| fold(fault, nodes));
                }
            });
            let lawful =
                |trial: &Trial| rots_within_budget(trial) || !rots_within_budget(&self.trial);
            let candidates = [fewer, folded].into_iter().filter(lawful);
            let candidates: Vec<Trial> = candidates.collect();
            if candidates.into_iter().any(|trial| self.accept(trial)) {
                break;
            }
        }
        for clients in clients_min..self.trial.clients {
            let fewer = self.with(|trial| trial.clients = clients);
            if self.accept(fewer) {
                break;
            }
        }
    }

    /// Removes parts of the script: halves, quarters, and finally single faults, until none can be
    /// removed.
    fn minimize_script(&mut self) {
        let mut parts = 2;
        loop {
            let faults = self.script();
            if faults.is_empty() || self.tries_left == 0 {
                return;
            }
            let size = faults.len().div_ceil(parts);
            let rest = (0..faults.len()).step_by(size).find(|&from| {
                let to = (from + size).min(faults.len());
                let rest = [&faults[..from], &faults[to..]].concat();
                let less = self.with(|trial| trial.options.script = Some(Script(rest)));
                self.accept(less)
            });
            match rest {
                Some(_) => parts = (parts - 1).max(2),
                None if size == 1 => return,
                None => parts = (parts * 2).min(faults.len()),
            }
        }
    }

    fn script(&self) -> Vec<(Duration, Fault)> {
        let script = self.trial.options.script.as_ref();
        script.map(|script| script.0.clone()).unwrap_or_default()
    }
}

/// Moves a fault to the nodes from 1 to `nodes`.
fn fold(fault: &mut Fault, nodes: u64) {
    let folded = |node: NodeId| NodeId(node.0.saturating_sub(1) % nodes + 1);
    match fault {
        Fault::PowerAll { .. } => {}
        Fault::Partition { cuts, .. } => {
            *cuts = cuts
                .iter()
                .map(|&(from, to)| (folded(from), folded(to)))
                .filter(|(from, to)| from != to)
                .collect();
        }
        Fault::Clog { from, to, .. } => (*from, *to) = (folded(*from), folded(*to)),
        Fault::Crash { node, .. }
        | Fault::Pause { node, .. }
        | Fault::Clock { node, .. }
        | Fault::DiskStall { node, .. }
        | Fault::SyncError { node }
        | Fault::DiskFull { node, .. }
        | Fault::Rot { node, .. } => *node = folded(*node),
    }
}

/// Whether no more disks rot than may: with fewer nodes, fewer may.
fn rots_within_budget(trial: &Trial) -> bool {
    let script = trial.options.script.iter().flat_map(|script| &script.0);
    let rotting: BTreeSet<NodeId> = script
        .filter(|(_, fault)| fault.kind() == FaultKind::Rot)
        .filter_map(|(_, fault)| fault.node())
        .filter(|node| node.0 <= trial.nodes)
        .collect();
    rotting.len() <= trial.options.rotting_max(trial.nodes as usize)
}

fn attempt<T>(trial: &Trial, run: impl Fn(&Trial) -> T) -> Option<Failure> {
    watch(trial.seed, Some(trial), false, || run(trial))
        .err()
        .map(|failure| *failure)
}
