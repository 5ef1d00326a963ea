//! What came of a campaign.

use std::fmt;
use std::time::Duration;

use crate::campaign::{Coverage, Ended, Failure};

/// What came of a [`Campaign`](crate::Campaign). Display tells all of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// Of the campaign.
    pub name: String,
    /// The first seed.
    pub base: u64,
    /// Runs that came to an end, by failure or without.
    pub runs: u64,
    /// Runs that were asked for.
    pub runs_planned: u64,
    /// What they have seen, together.
    pub coverage: Coverage,
    /// What they have seen too rarely: its name, how often it was seen, and how often it should have
    /// been.
    pub missing: Vec<(&'static str, u64, u64)>,
    /// The failure of the first seed that failed.
    pub failure: Option<Failure>,
    /// The command that repeats it, if the campaign knows one.
    pub replay: Option<String>,
    /// Real time.
    pub elapsed: Duration,
}

impl Report {
    /// Whether there were runs, none failed, and they have seen enough.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.runs > 0 && self.failure.is_none() && self.missing.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}: {} of {} runs from seed {:#x} in {:.1} s",
            self.name,
            self.runs,
            self.runs_planned,
            self.base,
            self.elapsed.as_secs_f64()
        )?;
        writeln!(f, "{}", self.coverage)?;
        if let Some(failure) = &self.failure {
            writeln!(f, "FAILED at seed {:#x}", failure.seed)?;
            write!(f, "{failure}")?;
            if let Some(replay) = &self.replay {
                writeln!(f, "--- replay:\n{replay}")?;
            }
        } else if self.runs == 0 {
            writeln!(f, "VACUOUS: there was no run")?;
        }
        if self.failure.is_none() {
            for (what, seen, needed) in &self.missing {
                writeln!(f, "VACUOUS: {what} {seen}, and {needed} are needed")?;
            }
        }
        Ok(())
    }
}

/// The sum so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) runs: u64,
    pub(super) coverage: Coverage,
    /// The failure of the lowest index.
    pub(super) failure: Option<(u64, Box<Failure>)>,
}

impl Tally {
    pub(super) fn add(&mut self, index: u64, result: Result<Ended, Box<Failure>>) {
        self.runs += 1;
        match result {
            Ok(ended) => self.coverage.merge(&ended.coverage),
            Err(failure) => {
                let first = self
                    .failure
                    .as_ref()
                    .is_none_or(|(other, _)| index < *other);
                if first {
                    self.failure = Some((index, failure));
                }
            }
        }
    }
}
