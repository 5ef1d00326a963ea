//! What the programs on the nodes say to each other.

use std::time::Duration;

use synod_spanner::{Answer, Peer, Promise, Request, Scan, ShardId, Span, Stamped, TxnId};
use synod_truetime::Timestamp;

#[derive(Clone, Debug)]
pub(super) enum Mail {
    /// A client's, to any server; a server sends it on, once, to where it believes the leader to be.
    Request(ShardId, Stamped<Request>),
    /// Between leaders.
    Peer(ShardId, Stamped<Peer>),
    /// A leader's, to a client.
    Answer(ShardId, Stamped<(TxnId, Answer)>),
    /// A replica's, to the leader: a reader waits for this timestamp.
    Close(ShardId, Stamped<Timestamp>),
    /// A leader's, to a replica.
    Promise(ShardId, Stamped<Promise>),
    /// A client's, to any server: the next part of a read without locks.
    Look(Stamped<Part>),
    /// The answer.
    Shown(Stamped<Shown>),
}

/// A part of a read without locks.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The read.
    pub(super) number: u64,
    pub(super) shard: ShardId,
    pub(super) span: Span,
    pub(super) when: When,
}

/// The timestamp of a read.
#[derive(Clone, Debug)]
pub(super) enum When {
    /// `latest` where it begins.
    Now,
    /// So long before `earliest`.
    Ago(Duration),
    /// One for these shards that is at most so old.
    AtMost(Duration, Vec<ShardId>),
    /// As with the parts before.
    At(Timestamp),
}

#[derive(Clone, Debug)]
pub(super) struct Shown {
    pub(super) number: u64,
    pub(super) shard: ShardId,
    pub(super) span: Span,
    pub(super) at: Timestamp,
    /// `None` if it can never be served, or not at that bound.
    pub(super) scan: Option<Scan>,
}
