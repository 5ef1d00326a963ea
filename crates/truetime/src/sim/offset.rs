use core::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use core::time::Duration;

use super::World;
use crate::timestamp::nanos;
use crate::{Interval, Reading, TimeError, Timestamp, TrueTime};

/// A clock with a fixed offset and a claimed bound; its claim is correct if the offset is not greater
/// than the bound.
#[derive(Debug)]
pub struct Offset {
    world: World,
    offset_nanos: AtomicI64,
    epsilon_nanos: AtomicU64,
}

impl Offset {
    /// Shows the true time plus `offset_nanos`, and claims to be right to within `epsilon`.
    #[must_use]
    pub fn new(world: &World, offset_nanos: i64, epsilon: Duration) -> Self {
        Self {
            world: world.clone(),
            offset_nanos: offset_nanos.into(),
            epsilon_nanos: nanos(epsilon).into(),
        }
    }

    /// Changes the offset.
    pub fn set_offset(&self, nanos: i64) {
        self.offset_nanos.store(nanos, Ordering::Release);
    }

    /// Changes the claimed bound.
    pub fn claim(&self, epsilon: Duration) {
        self.epsilon_nanos.store(nanos(epsilon), Ordering::Release);
    }
}

impl TrueTime for Offset {
    fn read(&self) -> Result<Reading, TimeError> {
        let offset = self.offset_nanos.load(Ordering::Acquire);
        let shown = self.world.now().as_nanos().saturating_add(offset);
        let epsilon = Duration::from_nanos(self.epsilon_nanos.load(Ordering::Acquire));
        let interval = Interval::around(Timestamp::from_nanos(shown), epsilon);
        Ok(Reading::synchronized(interval))
    }
}
