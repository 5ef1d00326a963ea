//! How far a transaction is at a shard, and the bounds of a leader.

use std::collections::BTreeSet;
use std::time::Duration;

use synod_replica::embed::Instant;
use synod_truetime::{CommitWait, Timestamp};

use crate::coordinator::Gathering;
use crate::message::Part;
use crate::span::Span;
use crate::store::{Scan, ScanLimit};
use crate::txn::ShardId;

/// Bounds of a leader, and the times that it goes by.
#[derive(Clone, Copy, Debug, Hash)]
pub struct Limits {
    /// Locks that are held or waited for.
    pub locks_max: usize,
    /// Transactions under way at this shard.
    pub transactions_max: usize,
    /// Of those, prepared.
    pub prepared_max: usize,
    /// Outcomes that the machine keeps.
    pub outcomes_max: usize,
    /// How much of a scan comes in one answer.
    pub scan: ScanLimit,
    /// A client that was silent for so long has lost its locks; a participant asks its coordinator as often.
    pub client_lease: Duration,
    /// How far ahead timestamps may be assigned.
    pub leader_lease: Duration,
    /// For how long versions are kept that newer ones have replaced.
    pub versions_kept: Duration,
    /// For how long an outcome is kept after its attempt began.
    pub outcomes_kept: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            locks_max: 1 << 20,
            transactions_max: 1 << 16,
            prepared_max: 1 << 12,
            outcomes_max: 1 << 22,
            scan: ScanLimit {
                versions_max: 1 << 12,
                bytes_max: 1 << 20,
            },
            client_lease: Duration::from_secs(5),
            // Spanner's (section 4.1.1).
            leader_lease: Duration::from_secs(10),
            versions_kept: Duration::from_secs(3600),
            outcomes_kept: Duration::from_secs(3600),
        }
    }
}

/// ```text
///                      ┌─ Locking ─▶ Seeing ─▶ Active ─┐ read
///  ── first word ──────┤                ▲              │ read again
///                      │                └── Locking ◀──┘
///                      │                                       ┌▶ Pinned ───────────────────────────▶ gone
///  participant:        ├─ Locking ─▶ Unstamped ─▶ Preparing ───┴▶ Prepared ─▶ Finishing ────────────▶ gone
///  coordinator:        └─ Locking ─▶ Gathering ─▶ Committing ─▶ Waiting ────────────────────────────▶ gone
///                        └──────── may be wounded ───────┘ firm from here on
/// ```
#[derive(Clone, Debug, Hash)]
pub(crate) enum Stage {
    /// Has its locks.
    Active,
    /// Waits for locks, for this end.
    Locking(Then),
    /// Has read what a leader before this one committed, whose wait may not be over.
    Seeing {
        span: Span,
        scan: Scan,
        wait: CommitWait,
    },
    /// A participant with all locks, and no timestamp before the end of the lease.
    Unstamped(Part),
    /// Its prepare record is on its way.
    Preparing,
    /// The record is in the log. `before` as in [`Vote`](crate::message::Vote).
    Prepared {
        at: Timestamp,
        before: Option<Timestamp>,
    },
    /// The outcome is on its way into the log.
    Finishing,
    /// A participant that only read: no record; its locks stay until this has certainly passed.
    Pinned { until: Timestamp },
    /// The coordinator waits for votes, or for a longer lease.
    Gathering(Gathering),
    /// The coordinator's record is on its way, and the commit wait runs already.
    Committing { told: Told, wait: CommitWait },
    /// In the log. Nobody hears of it before the wait is over.
    Waiting { told: Told, wait: CommitWait },
}

/// Who hears of a commit when its wait is over.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Told {
    /// Those with a record, until they have the outcome in their logs.
    pub(crate) prepared: BTreeSet<ShardId>,
    /// Those that only read: once, so that their locks go early.
    pub(crate) readers: BTreeSet<ShardId>,
}

#[derive(Clone, Debug, Hash)]
pub(crate) enum Then {
    Read(Span),
    Prepare(Part),
    Commit(Part, BTreeSet<ShardId>),
}

/// What a leader knows of a transaction.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Local {
    /// See [`Hold`](crate::Hold).
    pub(crate) number: u64,
    /// When somebody last spoke for it.
    pub(crate) heard: Instant,
    pub(crate) stage: Stage,
}

impl Stage {
    /// What must have passed before it goes on.
    pub(crate) fn waits_for(&self) -> Option<Timestamp> {
        match self {
            Self::Seeing { wait, .. } | Self::Waiting { wait, .. } => Some(wait.timestamp()),
            _ => None,
        }
    }

    /// Whether it can be given up here.
    pub(crate) fn is_firm(&self) -> bool {
        match self {
            Self::Active
            | Self::Locking(_)
            | Self::Seeing { .. }
            | Self::Unstamped(_)
            | Self::Gathering(_) => false,
            Self::Preparing
            | Self::Prepared { .. }
            | Self::Finishing
            | Self::Pinned { .. }
            | Self::Committing { .. }
            | Self::Waiting { .. } => true,
        }
    }
}
