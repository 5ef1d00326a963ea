//! What is written down of a run, to be checked when it is over.

use synod_spanner::{Decision, ShardId, Span, TxnId, Version};
use synod_truetime::Timestamp;

use super::watch::Watch;
use super::witness::Event;

/// What a read saw.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) shard: ShardId,
    pub(crate) span: Span,
    pub(crate) versions: Vec<Version>,
}

/// An attempt that was asked to commit, as far as its client knows.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) txn: TxnId,
    pub(crate) started: i64,
    /// When the answer came, and which.
    pub(crate) ended: Option<(i64, Decision)>,
    pub(crate) seen: Vec<Seen>,
}

/// A read-only transaction that is over: one timestamp, all keys of some shards.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    pub(crate) at: Timestamp,
    /// At the time it began, or in the past: then nothing of real time is said about it.
    pub(crate) is_strong: bool,
    pub(crate) started: i64,
    pub(crate) ended: i64,
    pub(crate) seen: Vec<Seen>,
}

impl Look {
    pub(crate) fn event(&self) -> Event {
        let Self {
            at, started, ended, ..
        } = *self;
        Event {
            txn: None,
            at,
            started,
            ended,
        }
    }
}

/// All of it. True times are in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) watch: Watch,
    pub(crate) records: Vec<Record>,
    pub(crate) looks: Vec<Look>,
    /// Nothing is under way any more.
    pub(crate) is_over: bool,
}
