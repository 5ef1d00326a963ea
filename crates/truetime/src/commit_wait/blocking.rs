use std::thread;

use super::{CommitWait, Wait};
use crate::{TimeError, TrueTime};

impl CommitWait {
    /// Blocks the thread until the timestamp has certainly passed.
    ///
    /// # Errors
    /// Errors of the clock: the timestamp may not have passed, so nothing may be released. Call it
    /// again when the clock is synchronised.
    ///
    /// ```
    /// use core::time::Duration;
    /// use std::time::Instant;
    /// use synod_truetime::{CommitWait, Interval, Reading, TimeError, Timestamp, TrueTime};
    ///
    /// struct Since(Instant);
    ///
    /// impl TrueTime for Since {
    ///     fn read(&self) -> Result<Reading, TimeError> {
    ///         let now = Timestamp::UNIX_EPOCH + self.0.elapsed();
    ///         Ok(Reading::synchronized(Interval::around(now, Duration::from_millis(1))))
    ///     }
    /// }
    ///
    /// let time = Since(Instant::now());
    /// let mut wait = CommitWait::start(&time.now()?);
    /// wait.wait(&time)?;
    /// assert!(time.after(wait.timestamp())?);
    /// # Ok::<(), TimeError>(())
    /// ```
    pub fn wait(&mut self, time: &(impl TrueTime + ?Sized)) -> Result<(), TimeError> {
        loop {
            match self.poll(time)? {
                Wait::Done => return Ok(()),
                Wait::Sleep(duration) => {
                    #[expect(
                        clippy::disallowed_methods,
                        reason = "the event to wait for is the passage of time"
                    )]
                    thread::sleep(duration);
                }
            }
        }
    }
}
