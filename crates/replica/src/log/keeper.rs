//! Notes outside of the log how far it has come, so that the next life can tell what is lost.

use std::time::Duration;

use synod_wal::Mark;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use crate::life::Keep;

/// What was noted last, and what is being noted.
pub(crate) struct Keeper {
    keep: Option<Keep>,
    /// The generation of the log's last segment, and how many snapshots there had been.
    noted: (u64, u64),
    under_way: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(crate) const fn new(keep: Option<Keep>) -> Self {
        Self {
            keep,
            noted: (0, 0),
            under_way: None,
        }
    }

    /// Notes it if a segment was begun since, or a snapshot has become durable, of which there were so
    /// many in this life: beside the loop, which a slow disk must not hold up.
    pub(crate) fn look(&mut self, mark: Option<Mark>, snapshots: u64) {
        let under_way = self.under_way.as_ref();
        if let (Some(mark), Some(keep)) = (mark, &self.keep)
            && (mark.generation, snapshots) != self.noted
            && under_way.is_none_or(JoinHandle::is_finished)
        {
            self.noted = (mark.generation, snapshots);
            let keep = keep.clone();
            self.under_way = Some(spawn_blocking(move || note(&keep, mark)));
        }
    }

    /// Notes it at the end of a life, when nothing is appended any more.
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
            tracing::warn!("how far the log has come cannot be noted in time");
        }
    }
}

/// What was noted before still counts, so a failure costs only what the next life could have known.
fn note(keep: &Keep, mark: Mark) {
    if let Err(error) = keep(mark) {
        tracing::warn!(%error, "how far the log has come cannot be noted");
    }
}
