use core::time::Duration;

use super::{HybridClock, Layout, NowError, PhysicalClock, Timestamp};

impl<C: PhysicalClock, L: Layout> HybridClock<C, L> {
    /// As [`now_within`](Self::now_within), but blocks the thread until there is such a timestamp: until
    /// a physical clock that was set back has caught up, or the lead after a restart is gone. Other
    /// threads may use [`now`](Self::now) meanwhile.
    ///
    /// # Errors
    /// [`NowError`]; [`Ahead`](NowError::Ahead), with the remaining wait, if it takes more than
    /// `wait_max` in total.
    ///
    /// ```
    /// # use core::time::Duration;
    /// # use synod_lamport::hlc::{HybridClock, SystemClock};
    /// let clock = HybridClock::new(SystemClock);
    /// let stamp = clock.now_waiting(Duration::from_millis(500), Duration::from_secs(5))?;
    /// assert!(clock.now()? > stamp);
    /// # Ok::<(), synod_lamport::hlc::NowError>(())
    /// ```
    pub fn now_waiting(
        &self,
        lead_max: Duration,
        wait_max: Duration,
    ) -> Result<Timestamp<L>, NowError> {
        let mut left = wait_max;
        loop {
            let wait = match self.now_within(lead_max) {
                Err(NowError::Ahead { wait }) if wait <= left && !left.is_zero() => wait,
                done => return done,
            };
            // A minimum, so that a stopped clock does not keep the thread busy forever.
            let wait = wait.max(WAIT_MIN).min(left);
            left -= wait;
            #[expect(
                clippy::disallowed_methods,
                reason = "the caller requests a blocking sleep"
            )]
            std::thread::sleep(wait);
        }
    }
}

const WAIT_MIN: Duration = Duration::from_micros(50);
