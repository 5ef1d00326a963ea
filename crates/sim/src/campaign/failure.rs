//! Runs that panic, and what they leave behind.

use std::cell::RefCell;
use std::fmt::{self, Display};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;
use std::time::Duration;

use crate::campaign::Trial;
use crate::world::Fault;

/// A run that failed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// What the panic said.
    pub message: String,
    /// Where it panicked: file, line and column.
    pub location: String,
    /// What was drawn for it; empty if the draw itself failed.
    pub trial: String,
    /// What its world said of itself, with the last events.
    pub world: String,
    /// What struck in its world.
    pub faults: Vec<(Duration, Fault)>,
    /// Virtual time of its world when it failed; zero if it had no world any more.
    pub at: Duration,
}

impl Failure {
    /// The rule that was broken: what the message says before its first colon, in its first line.
    #[must_use]
    pub fn rule(&self) -> &str {
        let line = self.message.lines().next().unwrap_or_default();
        line.split(':').next().unwrap_or_default()
    }

    /// Whether another run has failed in the same way: the same rule at the same place.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.rule() == other.rule() && self.location == other.location
    }

    pub(super) fn not_determined(trial: &Trial) -> Self {
        Self {
            seed: trial.seed,
            message: "determinism: two runs of one seed have different fingerprints".to_owned(),
            location: String::new(),
            trial: trial.to_string(),
            world: String::new(),
            faults: Vec::new(),
            at: Duration::ZERO,
        }
    }
}

/// The message, what was drawn, and the last events.
impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.message.trim_end())?;
        if !self.location.is_empty() {
            writeln!(f, "at {}", self.location)?;
        }
        if self.world.is_empty() {
            writeln!(f, "--- drawn:\n{}", self.trial.trim_end())?;
        } else {
            // The world repeats what was drawn for it.
            let first = self.trial.lines().next().unwrap_or_default();
            writeln!(f, "--- drawn:\n{first}\n{}", self.world.trim_end())?;
        }
        Ok(())
    }
}

/// Runs `run` and catches its panic, with the last words of its world. The canary panics at the end
/// of its run.
pub(crate) fn watch<T>(
    seed: u64,
    trial: Option<&Trial>,
    canary: bool,
    run: impl FnOnce() -> T,
) -> Result<T, Box<Failure>> {
    keep_last_words();
    let watched = Watched {
        canary,
        ..Watched::default()
    };
    let outer = WATCHED.replace(Some(watched));
    let result = panic::catch_unwind(AssertUnwindSafe(|| {
        let ended = run();
        assert!(!canary, "canary: this seed fails on purpose");
        ended
    }));
    let watched = WATCHED.replace(outer).unwrap_or_default();
    result.map_err(|payload| {
        Box::new(Failure {
            seed,
            message: crate::panic::text(payload.as_ref()),
            location: watched.location,
            trial: trial.map(ToString::to_string).unwrap_or_default(),
            world: watched.world,
            faults: watched.faults,
            at: watched.at,
        })
    })
}

/// Whether a world that ends now should leave its last words.
pub(crate) fn is_watched() -> bool {
    let asks = |watched: &Option<Watched>| {
        let first = |watched: &Watched| watched.world.is_empty();
        let canary = |watched: &Watched| watched.canary || std::thread::panicking();
        watched
            .as_ref()
            .is_some_and(|watched| first(watched) && canary(watched))
    };
    WATCHED
        .try_with(|watched| watched.try_borrow().is_ok_and(|watched| asks(&watched)))
        .unwrap_or(false)
}

/// The last words of a world.
pub(crate) fn leave_last_words(world: String, faults: &[(Duration, Fault)], at: Duration) {
    WATCHED.with_borrow_mut(|watched| {
        if let Some(watched) = watched {
            watched.world = world;
            watched.faults = faults.to_vec();
            watched.at = at;
        }
    });
}

#[derive(Debug, Default)]
struct Watched {
    canary: bool,
    location: String,
    world: String,
    faults: Vec<(Duration, Fault)>,
    at: Duration,
}

thread_local! {
    /// The run on this thread, if somebody waits for its failure.
    static WATCHED: RefCell<Option<Watched>> = const { RefCell::new(None) };
    /// What the last panic of this thread said.
    static LAST_WORDS: RefCell<String> = const { RefCell::new(String::new()) };
}

/// What the last panic of this thread said, if that is [kept](keep_last_words).
pub(crate) fn last_words() -> String {
    LAST_WORDS.with_borrow(String::clone)
}

/// From now on what a panic says is kept. Panics of watched runs go into reports and not to the
/// standard error.
pub(crate) fn keep_last_words() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let others = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            LAST_WORDS.with(|last| {
                if let Ok(mut last) = last.try_borrow_mut() {
                    *last = crate::panic::text(info.payload());
                }
            });
            if !note_location(info) {
                others(info);
            }
        }));
    });
}

/// Whether the panic is that of a watched run.
fn note_location(info: &PanicHookInfo<'_>) -> bool {
    WATCHED.with(|watched| match watched.try_borrow_mut() {
        Ok(mut watched) => match &mut *watched {
            Some(watched) => {
                // The run has caught the panic before, if there was one, and with it its world.
                // A canary's world has ended before its panic.
                if !watched.canary {
                    *watched = Watched::default();
                }
                watched.location = info.location().map(ToString::to_string).unwrap_or_default();
                true
            }
            None => false,
        },
        Err(_) => false,
    })
}
