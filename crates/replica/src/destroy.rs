//! The end of a group on one node: its space in the log comes back, and a tombstone stays.
//!
//! A replica that is gone has given promises and acknowledgements that others rely on. If it came back
//! empty under its name it would vote again, so the tombstone is durable before anything else is
//! deleted, and the node never opens the group again. Messages of the group are ignored like those of
//! any group that is not open.

use synod_wal::{GroupId, Op, SnapshotError, Tag};
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::closed::{Cause, Closed};
use crate::host::Host;
use crate::log::{Log, LogError};
use crate::misfit::Misfit;
use crate::node::Node;

/// Why a group was not destroyed, or not wholly. To ask again is safe, and finishes what was begun.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DestroyError {
    /// The parts of the node do not belong together.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// The group is closed, and nothing was deleted: the log has no space for the tombstone, or cannot
    /// be read.
    #[error("the log takes no tombstone")]
    Log(#[source] LogError),
    /// The group is closed, and nothing was deleted: a snapshot of it is still being written.
    #[error("a snapshot of the group is still being written")]
    Busy,
    /// Somebody has opened the group meanwhile.
    #[error("the group was opened meanwhile")]
    Opened,
    /// The group is destroyed, but for files of its snapshots.
    #[error("snapshots of the group could not be deleted")]
    Snapshots(#[source] SnapshotError),
    /// The node has stopped.
    #[error("the node has stopped: {0}")]
    Stopped(Closed),
}

impl Node {
    /// Destroys what this node has of a group, open or not: closes it, and deletes its log and its
    /// snapshots. The other groups of the node are not affected, nor are the group's other members:
    /// remove this node from the group first ([`Group::change_members`](crate::Group::change_members)),
    /// for it counts until then and is a voter that never answers again.
    ///
    /// There is no way back. In its place stays a tombstone of a few bytes, with which the group never
    /// opens again on this directory ([`OpenGroupError::Destroyed`](crate::OpenGroupError::Destroyed)).
    ///
    /// # Errors
    /// See [`DestroyError`]. A group that was open is closed in any case but [`DestroyError::Misfit`].
    pub async fn destroy(&self, id: GroupId) -> Result<(), DestroyError> {
        self.fit?;
        let removed = self.ask(move |host| host.remove(id, &Closed::Destroyed));
        if let Some(mut tasks) = removed.await.map_err(DestroyError::Stopped)? {
            let ends = async { while tasks.join_next().await.is_some() {} };
            let ended = timeout(self.config.shutdown_wait_max, ends).await;
            ended.map_err(|_| DestroyError::Busy)?;
        }
        let buried = self.ask(move |host| bury(host, id));
        let buried = buried.await.map_err(DestroyError::Stopped)??;
        if buried.await.is_err() {
            return Err(DestroyError::Stopped(self.closed().await));
        }
        let snapshots = self.ask(|host| host.log.snapshots());
        let snapshots = snapshots.await.map_err(DestroyError::Stopped)?;
        let deleted = spawn_blocking(move || snapshots.remove_before(id, u64::MAX)).await;
        let deleted = deleted.unwrap_or_else(|error| Err(std::io::Error::other(error).into()));
        deleted.map_err(DestroyError::Snapshots)
    }
}

/// Whether the group was destroyed in this log.
pub(crate) fn is_buried(log: &mut dyn Log, id: GroupId) -> Result<bool, LogError> {
    Ok(log.recover(id)?.state == Some(TOMBSTONE))
}

/// What replaces all that the log holds of a group by a tombstone.
pub(crate) fn tombstone(log: &mut dyn Log, id: GroupId) -> Result<[Op<'static>; 2], LogError> {
    let from = log.recover(id)?.start.index.saturating_add(1);
    Ok([Op::Truncate { from }, Op::State(TOMBSTONE)])
}

/// Replaces all that the log holds of a group by a tombstone; the receiver learns when that is durable.
/// Also where one is: whoever wrote it may not have waited for that.
fn bury(host: &mut Host, id: GroupId) -> Result<oneshot::Receiver<()>, DestroyError> {
    if host.groups.contains_key(&id) {
        return Err(DestroyError::Opened);
    }
    let ops = tombstone(&mut *host.log, id).map_err(DestroyError::Log)?;
    match host.append(id, &ops) {
        Ok(durable) => Ok(durable),
        Err(error @ LogError::Full) => Err(DestroyError::Log(error)),
        Err(error) => {
            let closed = Closed::Log(Cause::new(error));
            host.poison(&closed);
            Err(DestroyError::Stopped(closed))
        }
    }
}

/// In the place of a protocol's state. No core stores it: it would be the term, or the round, at the very
/// end of all.
const TOMBSTONE: Tag = Tag([0xff; 32]);
