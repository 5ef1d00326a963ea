//! Records the log's mark in the identity file, so that the next incarnation notices what was lost.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use synod_wal::Mark;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout};

use crate::incarnation::Keep;

/// The mark recorded last, and the attempt in progress.
pub(crate) struct Keeper {
    keep: Option<Keep>,
    noted: Arc<Mutex<Noted>>,
    under_way: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy, Default)]
struct Noted {
    /// The generation of the log's last segment and the number of snapshots, as last recorded
    /// durably.
    what: (u64, u64),
    /// When to try again after a failure.
    again: Option<Instant>,
}

impl Keeper {
    pub(crate) fn new(keep: Option<Keep>) -> Self {
        Self {
            keep,
            noted: Arc::default(),
            under_way: None,
        }
    }

    /// Records the mark if a segment was begun since, or a snapshot has become durable (`snapshots`
    /// counts those of this incarnation). It runs beside the loop, which a slow disk must not
    /// block. A failed attempt is repeated after a while.
    pub(crate) fn look(&mut self, mark: Option<Mark>, snapshots: u64) {
        let (Some(mark), Some(keep)) = (mark, &self.keep) else {
            return;
        };
        let what = (mark.generation, snapshots);
        let under_way = self.under_way.as_ref();
        let noted = *lock(&self.noted);
        if noted.what == what
            || noted.again.is_some_and(|again| Instant::now() < again)
            || !under_way.is_none_or(JoinHandle::is_finished)
        {
            return;
        }
        let (keep, to) = (keep.clone(), self.noted.clone());
        self.under_way = Some(spawn_blocking(move || {
            *lock(&to) = if note(&keep, mark) {
                Noted { what, again: None }
            } else {
                let again = Some(Instant::now() + AGAIN_AFTER);
                Noted { again, ..noted }
            };
        }));
    }

    /// Records the mark at shutdown, when nothing is appended any more.
    pub(crate) async fn finish(self, mark: Option<Mark>, wait_max: Duration) {
        let noted = async {
            if let Some(under_way) = self.under_way {
                let _ended = under_way.await;
            }
            if let (Some(mark), Some(keep)) = (mark, self.keep) {
                let _ended = spawn_blocking(move || note(&keep, mark)).await;
            }
        };
        if timeout(wait_max, noted).await.is_err() {
            tracing::warn!("cannot record the log's mark in time");
        }
    }
}

/// Returns whether the mark is recorded. The previous mark stays in force, so after a failure the
/// next incarnation only detects less.
fn note(keep: &Keep, mark: Mark) -> bool {
    keep(mark)
        .inspect_err(|error| tracing::warn!(%error, "cannot record the log's mark"))
        .is_ok()
}

fn lock(noted: &Mutex<Noted>) -> MutexGuard<'_, Noted> {
    // The value is replaced as a whole, so it is consistent even if a holder panicked.
    noted.lock().unwrap_or_else(PoisonError::into_inner)
}

const AGAIN_AFTER: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use super::*;

    /// A failed attempt does not count as recorded, and is repeated after a while.
    #[tokio::test(start_paused = true)]
    async fn what_could_not_be_noted_is_tried_again() {
        let (fails, tried) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicU64::new(0)));
        let keep: Keep = {
            let (fails, tried) = (fails.clone(), tried.clone());
            Arc::new(move |_| {
                tried.fetch_add(1, Ordering::Relaxed);
                if fails.load(Ordering::Relaxed) {
                    return Err(io::Error::other("planned"));
                }
                Ok(())
            })
        };
        let mark = Mark {
            generation: 1,
            ..Mark::default()
        };
        let mut keeper = Keeper::new(Some(keep));
        let mut look = async |wait| {
            tokio::time::advance(wait).await;
            for _ in 0..3 {
                keeper.look(Some(mark), 0);
                if let Some(under_way) = &mut keeper.under_way {
                    while !under_way.is_finished() {
                        tokio::task::yield_now().await;
                    }
                }
            }
            tried.load(Ordering::Relaxed)
        };
        assert_eq!(look(Duration::ZERO).await, 1);
        assert_eq!(look(AGAIN_AFTER / 2).await, 1, "not in every turn");
        fails.store(false, Ordering::Relaxed);
        assert_eq!(look(AGAIN_AFTER).await, 2);
        assert_eq!(look(AGAIN_AFTER).await, 2, "it is recorded");
    }
}
