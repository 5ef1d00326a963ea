//! Time as an argument.

use std::ops::Add;
use std::time::Duration;

/// A moment on its owner's monotonic clock: the time since an epoch of the owner's choosing.
///
/// A detector reads no clock; its owner passes the time. Moments of different owners cannot be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub Duration);

impl Instant {
    /// The time since `earlier`, or zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    /// Saturates: a deadline beyond the range is never reached.
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }
}
