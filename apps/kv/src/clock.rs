//! This node's clock, as far as logged time is concerned.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use synod_replica::{
    Group, LogTime, Role, StatusWatch, Timekeeper,
    timed::{Stamp, Standing, tick},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::entry::Machine;

/// Stamps what counts time. A clone is the same clock.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    epoch: Instant,
    keeper: Arc<Mutex<Timekeeper>>,
}

impl Clock {
    /// A clock that follows the machine of `group`, and raises its time where the group's leader is when something
    /// is due.
    pub(crate) fn start(group: Group<Machine>, mut applied: watch::Receiver<Standing>) -> Self {
        let clock = Self {
            epoch: Instant::now(),
            keeper: Arc::default(),
        };
        clock.observe(&mut applied);
        tokio::spawn(clock.clone().keep(group, applied));
        clock
    }

    pub(crate) fn stamp(&self) -> Stamp {
        self.keeper().stamp(self.epoch.elapsed())
    }

    /// How late it is, as far as this node can tell: to be shown, and never to be decided by.
    pub(crate) fn time(&self) -> LogTime {
        self.keeper().estimate(self.epoch.elapsed())
    }

    /// Until the group is closed.
    async fn keep(self, group: Group<Machine>, mut applied: watch::Receiver<Standing>) {
        let mut status = group.watch();
        loop {
            let next = self.keeper().next_tick().map(|next| self.at(next));
            tokio::select! {
                changed = applied.changed() => match changed {
                    Ok(()) => self.observe(&mut applied),
                    Err(_) => return,
                },
                leads = due(next, &mut status), if next.is_some() => {
                    if !leads {
                        return;
                    }
                    let now = self.epoch.elapsed();
                    let stamp = {
                        let mut keeper = self.keeper();
                        keeper.ticked(now);
                        keeper.stamp(now)
                    };
                    // One that is lost is proposed again.
                    group.propose_with(tick(stamp), |_| {});
                }
            }
        }
    }

    fn observe(&self, applied: &mut watch::Receiver<Standing>) {
        self.keeper()
            .observe(&applied.borrow_and_update(), self.epoch.elapsed());
    }

    fn at(&self, moment: Duration) -> Instant {
        self.epoch + moment
    }

    fn keeper(&self) -> MutexGuard<'_, Timekeeper> {
        // A panic while it is locked leaves it as it was or as it should be.
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until `next`, and then until this node leads; false if the group is closed.
async fn due(next: Option<Instant>, status: &mut StatusWatch) -> bool {
    let Some(next) = next else { return true };
    sleep_until(next).await;
    let leads = status
        .wait_for(|status| status.role == Role::Leader || status.closed.is_some())
        .await;
    leads.is_some_and(|status| status.closed.is_none())
}
