//! Many seeds, on all cores, within a budget, and what came of them.

mod coverage;
mod environment;
mod failure;
mod report;
mod trial;

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use report::Tally;

pub use coverage::Coverage;
pub use environment::EnvironmentError;
pub use failure::Failure;
pub(crate) use failure::{is_watched, keep_last_words, last_words, leave_last_words, watch};
pub use report::Report;
pub use trial::{Ended, Trial};

/// Runs a simulation with many seeds and reports what came of them.
///
/// A run is a function of its [`Trial`], which is drawn from the seed; it fails by panicking. The
/// campaign
/// - spreads the seeds over all cores and hands out no more when one has failed or the budget of
///   real time is spent; of several failures it reports the one of the first seed, whatever the
///   threads did;
/// - runs each hundredth seed, and one that is run alone, twice: runs whose
///   [fingerprints](crate::World::fingerprint) differ are a failure;
/// - sums up what the runs have covered: where that is less than demanded by
///   [`at_least`](Self::at_least), the campaign has shown nothing, and that is a failure too;
/// - reports a failure with its seed, what was drawn for it, the last events of its world, and one
///   command that repeats it.
///
/// ```
/// use std::io;
/// use std::time::Duration;
/// use synod_sim::{Campaign, Context, Ended, Event, NodeId, Process, Start, Swarm, Trial, World};
///
/// struct Echo;
/// impl Process for Echo {
///     type Message = u8;
///     type Input = NodeId;
///     type Shared = ();
///     fn start(_: Start, _: &(), _: &mut Context<u8>) -> io::Result<Self> {
///         Ok(Self)
///     }
///     fn handle(&mut self, event: Event<u8, NodeId>, context: &mut Context<u8>) -> io::Result<()> {
///         match event {
///             Event::Input(to) => context.send(to, 10),
///             Event::Message { from, message } if message > 0 => context.send(from, message - 1),
///             _ => {}
///         }
///         Ok(())
///     }
/// }
///
/// let draw = |seed| {
///     let horizon = Duration::from_millis(200);
///     Trial { seed, nodes: 3, clients: 1, horizon, options: Swarm::new(horizon).draw(seed) }
/// };
/// let run = |trial: &Trial| {
///     let mut world = World::<Echo>::new(trial.seed, trial.nodes, trial.options.clone(), ());
///     world.inject(NodeId(1), NodeId(2));
///     world.run_until(trial.horizon);
///     let stats = world.stats();
///     assert!(stats.delivered <= stats.sent + stats.duplicated + stats.old_copies, "echo: too many");
///     Ended::of(&world)
/// };
/// let report = Campaign::new("echo")
///     .seeds(0, 200)
///     .at_least("crashes", 100)
///     .replay("SIM_SEED={seed} cargo test -p my-crate --test echo")
///     .run(draw, run);
/// assert!(report.is_ok(), "{report}");
/// ```
#[derive(Clone, Debug)]
pub struct Campaign {
    name: String,
    base: u64,
    runs: u64,
    only: bool,
    budget: Option<Duration>,
    threads: Option<NonZero<usize>>,
    canary: Option<u64>,
    minimums: Vec<(&'static str, u64)>,
    replay: String,
}

impl Campaign {
    /// A campaign of a hundred seeds from 0.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            base: 0,
            runs: 100,
            only: false,
            budget: None,
            threads: None,
            canary: None,
            minimums: Vec::new(),
            replay: String::new(),
        }
    }

    /// Runs `runs` seeds: `base` and those that follow it.
    #[must_use]
    pub fn seeds(mut self, base: u64, runs: u64) -> Self {
        (self.base, self.runs, self.only) = (base, runs, false);
        self
    }

    /// Runs this seed alone, keeps all its events, and demands no coverage of it.
    #[must_use]
    pub fn only(mut self, seed: u64) -> Self {
        (self.base, self.runs, self.only) = (seed, 1, true);
        self
    }

    /// Begins no run after so much real time.
    #[must_use]
    pub fn budget(mut self, budget: Duration) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Runs on so many threads, and not on one for each core.
    #[must_use]
    pub fn threads(mut self, threads: NonZero<usize>) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Demands that a thousand runs together cover `what` this often; other numbers of runs in
    /// proportion, rounded down.
    #[must_use]
    pub fn at_least(mut self, what: &'static str, per_thousand_runs: u64) -> Self {
        self.minimums.push((what, per_thousand_runs));
        self
    }

    /// The run of this seed fails at its end, whatever it did: the report must say so, or it would
    /// not say so of a real failure either.
    #[must_use]
    pub fn canary(mut self, seed: u64) -> Self {
        self.canary = Some(seed);
        self
    }

    /// The command that runs one seed; `{seed}` in it stands for the seed.
    #[must_use]
    pub fn replay(mut self, command: impl Into<String>) -> Self {
        self.replay = command.into();
        self
    }

    /// Runs the seeds: `draw` makes a trial of a seed, and `run` runs it and panics if anything is
    /// wrong.
    pub fn run<D, R>(&self, draw: D, run: R) -> Report
    where
        D: Fn(u64) -> Trial + Sync,
        R: Fn(&Trial) -> Ended + Sync,
    {
        let (began, next, over) = (now(), AtomicU64::new(0), AtomicBool::new(false));
        let tally = Mutex::new(Tally::default());
        let work = || {
            while !over.load(Ordering::Relaxed) {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let late = self.budget.is_some_and(|budget| began.elapsed() >= budget);
                if index >= self.runs || late {
                    return;
                }
                let result = self.run_one(index, &draw, &run);
                if result.is_err() {
                    over.store(true, Ordering::Relaxed);
                }
                let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                tally.add(index, result);
            }
        };
        thread::scope(|scope| {
            let cores = || thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
            let threads = self.threads.unwrap_or_else(cores).get() as u64;
            for _ in 0..threads.min(self.runs) {
                scope.spawn(work);
            }
        });
        let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.report(tally, began.elapsed())
    }

    fn run_one<D, R>(&self, index: u64, draw: &D, run: &R) -> Result<Ended, Box<Failure>>
    where
        D: Fn(u64) -> Trial,
        R: Fn(&Trial) -> Ended,
    {
        let seed = self.base.wrapping_add(index);
        let canary = self.canary == Some(seed);
        // A draw that panics is the failure of a seed too.
        let mut trial = watch(seed, None, false, || draw(seed))?;
        if self.only {
            trial.options.events_kept_max = usize::MAX;
        }
        let attempt = |trial: &Trial| watch(seed, Some(trial), canary, || run(trial));
        let ended = attempt(&trial).map_err(|failure| {
            if trial.options.events_kept_max > 0 {
                return failure;
            }
            // Nobody has kept the events, but they come again.
            let mut trial = trial.clone();
            trial.options.events_kept_max = EVENTS_OF_A_FAILURE;
            attempt(&trial).err().unwrap_or(failure)
        })?;
        if index.is_multiple_of(TWICE_EVERY) {
            let again = attempt(&trial)?;
            if again.fingerprint != ended.fingerprint {
                return Err(Box::new(Failure::not_determined(&trial)));
            }
        }
        Ok(ended)
    }

    fn report(&self, tally: Tally, elapsed: Duration) -> Report {
        let needed = |per_thousand: u64| match self.only {
            true => 0,
            false => tally.runs.saturating_mul(per_thousand) / 1000,
        };
        let missing = self
            .minimums
            .iter()
            .map(|&(what, per_thousand)| (what, tally.coverage.get(what), needed(per_thousand)))
            .filter(|(_, seen, needed)| seen < needed)
            .collect();
        let replay = tally.failure.as_ref().map(|(_, failure)| {
            let seed = format!("{:#x}", failure.seed);
            self.replay.replace("{seed}", &seed)
        });
        Report {
            name: self.name.clone(),
            base: self.base,
            runs: tally.runs,
            runs_planned: self.runs,
            coverage: tally.coverage,
            missing,
            failure: tally.failure.map(|(_, failure)| *failure),
            replay: replay.filter(|replay| !replay.is_empty()),
            elapsed,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a campaign has a budget of real time"
)]
fn now() -> Instant {
    Instant::now()
}

/// Each so manieth seed runs twice.
const TWICE_EVERY: u64 = 100;

const EVENTS_OF_A_FAILURE: usize = 100;
