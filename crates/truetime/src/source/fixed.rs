use core::time::Duration;

use crate::Clocks;
use crate::source::{Question, Sample, Source, SourceError};
use crate::timestamp::nanos;

/// The wall clock with a bound stated by the caller: for development, and for tests on one machine,
/// where all processes share the wall clock.
///
/// Nothing is measured: on several machines it is only as correct as the stated bound, like
/// CockroachDB's maximum offset.
///
/// ```
/// # #[cfg(all(feature = "std", target_os = "linux"))] {
/// use std::time::Duration;
/// use synod_truetime::source::{FixedEpsilon, Source};
/// # use synod_truetime::SystemClocks;
///
/// let source = FixedEpsilon::new(SystemClocks::new(), Duration::from_millis(4));
/// let sample = source.sample()?;
/// assert!(sample.interval.epsilon() >= Duration::from_millis(4));
/// # }
/// # Ok::<(), synod_truetime::SourceError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FixedEpsilon<C> {
    clocks: C,
    epsilon: Duration,
}

impl<C: Clocks> FixedEpsilon<C> {
    /// The wall clock, with an error of at most `epsilon`.
    pub const fn new(clocks: C, epsilon: Duration) -> Self {
        Self { clocks, epsilon }
    }
}

impl<C: Clocks> Source for FixedEpsilon<C> {
    fn sample(&self) -> Result<Sample, SourceError> {
        let (question, ()) = Question::ask(&self.clocks, || ());
        Ok(question.sample(nanos(self.epsilon)))
    }
}
