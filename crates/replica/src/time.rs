//! Time as an argument.

use core::ops::Add;
use core::time::Duration;

/// A moment on the driver's monotonic clock: the time since an epoch of the driver's choosing.
///
/// Nothing in [`Engine`](crate::embed::Engine) reads a clock: its driver passes the time. Moments
/// of different drivers cannot be compared.
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
    /// Saturates: a deadline that cannot be represented never comes.
    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by))
    }
}
