use super::{CommitWait, Wait};
use crate::{TimeError, TrueTime};

impl CommitWait {
    /// Waits until the timestamp has certainly passed. Tokio's timer has a resolution of one
    /// millisecond, so it may take up to one more.
    ///
    /// Cancel-safe: it may be dropped at any point and called again.
    ///
    /// # Errors
    /// Errors of the clock: the timestamp may not have passed, so nothing may be released. Call it
    /// again when the clock is synchronised.
    pub async fn wait_tokio(&mut self, time: &(impl TrueTime + ?Sized)) -> Result<(), TimeError> {
        loop {
            match self.poll(time)? {
                Wait::Done => return Ok(()),
                Wait::Sleep(duration) => ::tokio::time::sleep(duration).await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use ::tokio::time::Instant;

    use super::*;
    use crate::{Interval, Reading, Timestamp};

    /// Tokio's clock with a fixed uncertainty.
    struct Paused {
        start: Instant,
        epsilon: Duration,
    }

    impl TrueTime for Paused {
        fn read(&self) -> Result<Reading, TimeError> {
            let now = Timestamp::UNIX_EPOCH + self.start.elapsed();
            Ok(Reading::synchronized(Interval::around(now, self.epsilon)))
        }
    }

    fn paused(epsilon_ms: u64) -> Paused {
        Paused {
            start: Instant::now(),
            epsilon: Duration::from_millis(epsilon_ms),
        }
    }

    #[::tokio::test(start_paused = true)]
    async fn waits_for_twice_the_bound() {
        let time = paused(4);
        let mut wait = CommitWait::start(&time.now().unwrap());
        wait.wait_tokio(&time).await.unwrap();
        assert!(time.after(wait.timestamp()).unwrap());
        let taken = time.start.elapsed();
        assert!(taken > Duration::from_millis(8) && taken <= Duration::from_millis(10));
        assert_eq!(wait.overlap().hidden, Duration::ZERO);
    }

    #[::tokio::test(start_paused = true)]
    async fn replication_hides_it() {
        let time = paused(4);
        let mut wait = CommitWait::start(&time.now().unwrap());
        ::tokio::time::sleep(Duration::from_millis(20)).await; // replicates
        let before = Instant::now();
        wait.wait_tokio(&time).await.unwrap();
        assert_eq!(before.elapsed(), Duration::ZERO);
        assert_eq!(wait.overlap().exposed, Duration::ZERO);
        assert_eq!(wait.overlap().hidden, wait.overlap().needed);
    }

    #[::tokio::test(start_paused = true)]
    async fn a_wait_that_was_dropped_goes_on() {
        let time = paused(10);
        let mut wait = CommitWait::start(&time.now().unwrap());
        let cut = Duration::from_millis(7);
        assert!(
            ::tokio::time::timeout(cut, wait.wait_tokio(&time))
                .await
                .is_err()
        );
        wait.wait_tokio(&time).await.unwrap();
        assert!(time.after(wait.timestamp()).unwrap());
    }
}
