use core::time::Duration;

/// A point on the driver's monotonic clock: the time since an epoch of the driver's choosing.
///
/// The core never reads a clock; the time is an argument of each input. Clocks of different nodes
/// are never compared. Only reads by lease rest on how fast they run, see [`Drift`](crate::Drift).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub Duration);

impl Instant {
    /// The driver's epoch.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// This point moved by `duration`. Saturates instead of wrapping.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// The time since `earlier`, or zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}
