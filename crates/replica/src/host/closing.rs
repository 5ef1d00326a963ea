//! What the loop does for a group that ends on this node while the others go on.

use std::time::Duration;

use synod_transport::Transport;
use synod_wal::{GroupId, Lsn, Op};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::Host;
use crate::budget::{Budget, Share};
use crate::closed::Closed;
use crate::drive::Drive;
use crate::log::{Log, LogError};
use crate::time::Instant;

impl Host {
    /// Appends to the log of a group that is not open here; the receiver learns when it is durable.
    ///
    /// # Errors
    /// [`LogError::Full`] leaves the log as it was; by any other error the node is poisoned.
    pub(crate) fn append(
        &mut self,
        group: GroupId,
        ops: &[Op<'_>],
    ) -> Result<oneshot::Receiver<()>, LogError> {
        let lsn = self.log.append(group, &mut ops.iter().copied())?;
        self.unsynced = true;
        let (to, durable) = oneshot::channel();
        self.awaited.push((lsn, to));
        Ok(durable)
    }

    /// Ends a group for good; its requests are rejected, and its storage tasks are still to be awaited.
    pub(crate) fn remove(&mut self, id: GroupId, closed: &Closed) -> Option<JoinSet<()>> {
        let mut group = self.groups.remove(&id)?;
        let now = self.clock.now();
        let (log, transport) = (&mut *self.log, &mut *self.transport);
        close(now, id, group.as_mut(), closed, log, transport);
        let around = self.look();
        group.publish(&around);
        Some(group.take_tasks())
    }

    /// Answers those who wait for what has become durable.
    pub(super) fn tell_awaiting(&mut self, durable: Lsn) {
        for (_, awaits) in self.awaited.extract_if(.., |(lsn, _)| *lsn <= durable) {
            // Whoever waits may have given up.
            let _gone = awaits.send(());
        }
    }
}

/// Closes a group and delivers its answers; a closed group neither writes nor sends.
pub(super) fn close(
    now: Instant,
    id: GroupId,
    group: &mut dyn Drive,
    closed: &Closed,
    log: &mut dyn Log,
    transport: &mut dyn Transport,
) {
    group.close(closed);
    // Answers are cheap, and all of them must be delivered.
    let mut budget = Budget::new(now, UNBOUNDED);
    if let Err(stopped) = group.turn(now, &mut budget, log, transport) {
        let error = &stopped as &dyn std::error::Error;
        tracing::error!(group = id.0, error, "while a group was closed");
    }
}

const UNBOUNDED: Share = Share {
    commands_max: usize::MAX,
    bytes_max: usize::MAX,
    time_max: Duration::MAX,
};
