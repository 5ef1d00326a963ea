//! Detects whether an earlier incarnation of a peer is still alive when a later one connects.
//!
//! The connections of a process that has ended are closed or, if nothing could close them, silent; then the
//! later incarnation is legitimate. Two incarnations that are alive at once run on two copies of one disk, and
//! the connected one is kept.
//!
//! An acceptor writes single bytes to the dialer: [`PULSE`] periodically, and [`TWIN`] when another
//! incarnation of the dialer has connected and was refused.

use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

/// The signs of life on one peer's connections.
#[derive(Debug)]
pub(crate) struct Signs {
    /// The number of signs of life. The end of a connection notifies watchers without increasing
    /// it.
    seen: watch::Sender<u64>,
    twin: Notify,
}

impl Signs {
    pub(crate) fn new() -> Self {
        Self {
            seen: watch::Sender::new(0),
            twin: Notify::new(),
        }
    }

    /// Records a sign of life.
    pub(crate) fn show(&self) {
        self.seen.send_modify(|seen| *seen += 1);
    }

    /// Notifies watchers that a connection has ended.
    pub(crate) fn end(&self) {
        self.seen.send_modify(|_| {});
    }

    /// Makes the task of its connection notify the peer of its twin.
    pub(crate) fn tell_of_twin(&self) {
        self.twin.notify_one();
    }

    /// Waits for [`tell_of_twin`](Self::tell_of_twin).
    pub(crate) async fn twin(&self) {
        self.twin.notified().await;
    }

    /// Whether it has no connection, or gives no sign of life on any for `wait`. Bytes sent before it
    /// ended may still arrive, so a sign counts only if the connection outlasts the wait.
    pub(crate) async fn is_silent(
        &self,
        wait: Duration,
        mut is_connected: impl FnMut() -> bool,
    ) -> bool {
        let mut signs = self.seen.subscribe();
        let mut before = *signs.borrow_and_update();
        let begun = Instant::now();
        // Bytes that were in flight before do not count.
        let settled = begun + (wait - heard_for(wait));
        let mut lives = false;
        while is_connected() {
            tokio::select! {
                biased;
                changed = signs.changed() => {
                    // An error would mean that the sender is gone, but `self` holds it.
                    let _held = changed;
                    let seen = *signs.borrow_and_update();
                    lives |= seen != before && Instant::now() >= settled;
                    before = seen;
                }
                () = sleep_until(begun + wait) => return !lives,
            }
        }
        true
    }
}

/// The part of `wait` during which signs count.
pub(crate) fn heard_for(wait: Duration) -> Duration {
    wait - wait / 8
}

/// A sign that the acceptor is alive.
pub(crate) const PULSE: u8 = 0;
/// Notifies the dialer that another incarnation of it has connected.
pub(crate) const TWIN: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    const WAIT: Duration = Duration::from_secs(8);

    fn asked(signs: &Arc<Signs>) -> (tokio::task::JoinHandle<bool>, Arc<AtomicBool>) {
        let connected = Arc::new(AtomicBool::new(true));
        let (signs, is) = (signs.clone(), connected.clone());
        let task = tokio::spawn(async move {
            let is_connected = || is.load(Ordering::Relaxed);
            signs.is_silent(WAIT, is_connected).await
        });
        (task, connected)
    }

    #[tokio::test(start_paused = true)]
    async fn who_shows_life_is_not_silent() {
        let signs = Arc::new(Signs::new());
        let (answer, _) = asked(&signs);
        tokio::time::sleep(WAIT / 2).await;
        signs.show();
        assert!(!answer.await.expect("no panic"));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_on_its_way_is_no_sign() {
        let signs = Arc::new(Signs::new());
        signs.show();
        let (answer, _) = asked(&signs);
        tokio::time::sleep(WAIT / 16).await;
        signs.show();
        let begun = Instant::now();
        assert!(answer.await.expect("no panic"));
        assert_eq!(begun.elapsed(), WAIT - WAIT / 16);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_words_of_who_has_ended_are_no_sign() {
        let signs = Arc::new(Signs::new());
        let (answer, connected) = asked(&signs);
        tokio::time::sleep(WAIT / 2).await;
        signs.show();
        tokio::time::sleep(WAIT / 4).await;
        connected.store(false, Ordering::Relaxed);
        signs.end();
        assert!(answer.await.expect("no panic"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_no_connection_left_is_silent_at_once() {
        let signs = Arc::new(Signs::new());
        let (answer, connected) = asked(&signs);
        tokio::time::sleep(WAIT / 4).await;
        connected.store(false, Ordering::Relaxed);
        let begun = Instant::now();
        signs.end();
        assert!(answer.await.expect("no panic"));
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
