use crate::Scale;
use crate::source::{Sample, Source, SourceError};

/// A source with a time scale specified by its user.
///
/// ```
/// use core::time::Duration;
/// use synod_truetime::sim::{Machine, Reference, World};
/// use synod_truetime::source::OnScale;
/// use synod_truetime::{Config, Disciplined, PollError, Scale, SourceError};
///
/// let machine = Machine::new(&World::new(7), 100);
/// let smeared = || OnScale::new(Reference::new(&machine, Duration::from_millis(1)), Scale::SmearedUtc);
/// let utc = Disciplined::new(smeared(), &machine, Config::default());
/// assert!(matches!(utc.poll(), Err(PollError::Source(SourceError::Scale(_)))));
///
/// let config = Config { scale: Scale::SmearedUtc, ..Config::default() };
/// let clock = Disciplined::new(smeared(), &machine, config);
/// assert!(clock.poll().is_ok());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct OnScale<S> {
    source: S,
    scale: Scale,
}

impl<S: Source> OnScale<S> {
    /// Marks the samples of a source with this scale.
    pub const fn new(source: S, scale: Scale) -> Self {
        Self { source, scale }
    }

    /// The source.
    pub const fn inner(&self) -> &S {
        &self.source
    }
}

impl<S: Source> Source for OnScale<S> {
    fn sample(&self) -> Result<Sample, SourceError> {
        Ok(Sample {
            scale: self.scale,
            ..self.source.sample()?
        })
    }
}
