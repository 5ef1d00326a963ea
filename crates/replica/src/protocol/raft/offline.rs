//! What is done with a log while no core runs on it.

use synod_raft::{self as raft, Raft};
use synod_wal::{Slot, Snapshot};

use super::committed;
use super::tags::{entry, tag};
use crate::log::{LogError, Recovered};
use crate::protocol::{Committed, Protocol, RecoverError, Seed};
use crate::time::Instant;

/// As if the first entry, of term 1, had been compacted.
pub(super) fn seed(config: raft::Config) -> Result<Seed, RecoverError> {
    let core = <Raft as Protocol>::recover(config, Recovered::nothing(), Instant::default())?;
    let tag = tag([1, 0, 0]);
    let snapshot = Snapshot {
        index: 1,
        tag,
        meta: core.membership().encode(),
    };
    Ok(Seed {
        state: tag,
        snapshot,
    })
}

pub(super) fn held(slot: Slot) -> Result<Committed, LogError> {
    entry(slot).map(|entry| committed(&entry))
}
