use core::time::Duration;

/// A point on the driver's monotonic clock: the time since an epoch of the driver's choosing.
///
/// The core never asks what time it is; each input says so. Two clocks of two nodes are never
/// compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub Duration);

impl Instant {
    /// The driver's epoch.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// This point moved by `duration`, held at the end of time instead of wrapping.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// How long after `earlier` this point is; zero if it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
