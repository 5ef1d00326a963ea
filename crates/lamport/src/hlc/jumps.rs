use core::time::Duration;

/// Compares a physical clock with a monotonic one to detect when the physical clock was set: by how
/// much, in which direction, and how often.
///
/// A hybrid clock keeps its order whatever its physical clock does. A step back shows in its
/// [`lead`](super::HybridClock::lead), but a step forward is invisible, and either may deserve an
/// alarm. The caller reads both clocks in immediate succession, about once a second.
///
/// ```
/// use core::time::Duration;
/// use synod_lamport::hlc::{Jump, JumpDetector};
///
/// const SECOND: u64 = 1_000_000_000;
/// let mut detector = JumpDetector::new(Duration::from_millis(100));
/// assert_eq!(detector.observe(1_000 * SECOND, 5 * SECOND), None);
/// assert_eq!(detector.observe(1_001 * SECOND, 6 * SECOND), None);
/// let hour = Duration::from_secs(3_600);
/// assert_eq!(detector.observe(4_602 * SECOND, 7 * SECOND), Some(Jump::Forward(hour)));
/// assert_eq!(detector.observe(1_003 * SECOND, 8 * SECOND), Some(Jump::Back(hour)));
/// assert_eq!((detector.forward(), detector.back()), (1, 1));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JumpDetector {
    jump_min: Duration,
    /// The last readings of both clocks, in nanoseconds: since 1970, and since an arbitrary start.
    last: Option<(u64, u64)>,
    forward: u64,
    back: u64,
}

/// A physical clock was set, by this difference to the elapsed time.
///
/// ```
/// # use core::time::Duration;
/// # use synod_lamport::hlc::Jump;
/// assert_eq!(Jump::Back(Duration::from_secs(60)).to_string(), "back by 60s");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Jump {
    /// It was set forward.
    Forward(Duration),
    /// It was set back, or advanced less than the elapsed time.
    Back(Duration),
}

impl core::fmt::Display for Jump {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Forward(by) => write!(f, "forward by {by:?}"),
            Self::Back(by) => write!(f, "back by {by:?}"),
        }
    }
}

impl JumpDetector {
    /// A detector of jumps of at least `jump_min`. It should be well above the possible slew between
    /// two calls, and above the possible delay between the two readings of one call.
    ///
    /// ```
    /// # use synod_lamport::hlc::JumpDetector;
    /// let detector = JumpDetector::new(core::time::Duration::from_millis(100));
    /// assert_eq!((detector.forward(), detector.back()), (0, 0));
    /// ```
    #[must_use]
    pub const fn new(jump_min: Duration) -> Self {
        Self {
            jump_min,
            last: None,
            forward: 0,
            back: 0,
        }
    }

    /// Processes readings of both clocks, in nanoseconds: the physical one since 1970, the
    /// monotonic one since an arbitrary start. The first call only records them.
    ///
    /// ```
    /// # use synod_lamport::hlc::JumpDetector;
    /// let mut detector = JumpDetector::new(core::time::Duration::from_millis(100));
    /// assert_eq!(detector.observe(7, 5), None);
    /// ```
    pub fn observe(&mut self, unix_nanos: u64, monotonic_nanos: u64) -> Option<Jump> {
        let (last_unix, last_monotonic) = self.last.replace((unix_nanos, monotonic_nanos))?;
        let expected = i128::from(monotonic_nanos) - i128::from(last_monotonic);
        let jumped = i128::from(unix_nanos) - i128::from(last_unix) - expected;
        let by = Duration::from_nanos(u64::try_from(jumped.unsigned_abs()).unwrap_or(u64::MAX));
        if by < self.jump_min || jumped == 0 {
            return None;
        }
        if jumped > 0 {
            self.forward += 1;
            return Some(Jump::Forward(by));
        }
        self.back += 1;
        Some(Jump::Back(by))
    }

    /// How often the clock was set ahead.
    ///
    /// ```
    /// # use synod_lamport::hlc::JumpDetector;
    /// let mut detector = JumpDetector::new(core::time::Duration::from_nanos(10));
    /// detector.observe(0, 0);
    /// detector.observe(20, 5);
    /// assert_eq!(detector.forward(), 1);
    /// ```
    #[must_use]
    pub const fn forward(&self) -> u64 {
        self.forward
    }

    /// How often the clock was set back.
    ///
    /// ```
    /// # use synod_lamport::hlc::JumpDetector;
    /// let mut detector = JumpDetector::new(core::time::Duration::from_nanos(10));
    /// detector.observe(100, 0);
    /// detector.observe(90, 5);
    /// assert_eq!(detector.back(), 1);
    /// ```
    #[must_use]
    pub const fn back(&self) -> u64 {
        self.back
    }
}
