//! How much sessions may take.

use std::time::Duration;

/// Bounds of all sessions of a group: replicated, in each snapshot, and changed by a command alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Open sessions. With one more, that which was unused for longest is given up. 1 to 2^16.
    pub sessions_max: u64,
    /// Names of a session that may be out at once. A name that is so far behind the highest is refused. 1 to 2^10.
    pub window: u64,
    /// The longest reply that is kept. At most 2^20.
    pub reply_bytes_max: u64,
    /// Of all replies together; when it is exceeded the oldest are given up. At most 2^30.
    pub replies_bytes_max: u64,
    /// After so long without use a session expires, in whole microseconds; for machines with logged time.
    pub idle: Duration,
}

impl SessionLimits {
    /// The nearest limits within what is allowed, so that any bytes of a log mean some.
    #[must_use]
    pub fn within_bounds(self) -> Self {
        Self {
            sessions_max: self.sessions_max.clamp(1, 1 << 16),
            window: self.window.clamp(1, 1 << 10),
            reply_bytes_max: self.reply_bytes_max.min(1 << 20),
            replies_bytes_max: self.replies_bytes_max.min(1 << 30),
            idle: self.idle,
        }
    }

    pub(super) fn reply_bytes_max(self) -> usize {
        usize::try_from(self.reply_bytes_max).unwrap_or(usize::MAX)
    }

    pub(super) fn numbers(self) -> [u64; 5] {
        [
            self.sessions_max,
            self.window,
            self.reply_bytes_max,
            self.replies_bytes_max,
            crate::timed::micros(self.idle),
        ]
    }

    pub(super) fn of_numbers(numbers: [u64; 5]) -> Self {
        let [
            sessions_max,
            window,
            reply_bytes_max,
            replies_bytes_max,
            idle,
        ] = numbers;
        let idle = Duration::from_micros(idle);
        Self {
            sessions_max,
            window,
            reply_bytes_max,
            replies_bytes_max,
            idle,
        }
        .within_bounds()
    }
}

impl Default for SessionLimits {
    /// Those of a group that was never told otherwise.
    fn default() -> Self {
        Self {
            sessions_max: 10_000,
            window: 64,
            reply_bytes_max: 4_096,
            replies_bytes_max: 16 << 20,
            idle: Duration::from_secs(3_600),
        }
    }
}
