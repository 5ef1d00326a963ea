use core::time::Duration;

use super::{HybridClock, Layout, NowError, PhysicalClock, Timestamp};

impl<C: PhysicalClock, L: Layout> HybridClock<C, L> {
    /// As [`now_within`](Self::now_within), and the thread sleeps until there is such a timestamp: until
    /// a physical clock that was set back has caught up, or one that leads for a restart's sake. Other
    /// threads may go on meanwhile with [`now`](Self::now).
    ///
    /// # Errors
    /// [`NowError`]; of it [`Ahead`](NowError::Ahead), with what is left to wait, if it takes more than
    /// `wait_max` of sleep altogether.
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
            // At least so much, so that a clock that stands does not keep the thread busy for ever.
            let wait = wait.max(WAIT_MIN).min(left);
            left -= wait;
            #[expect(
                clippy::disallowed_methods,
                reason = "who calls this asks for the thread to sleep"
            )]
            std::thread::sleep(wait);
        }
    }
}

const WAIT_MIN: Duration = Duration::from_micros(50);
