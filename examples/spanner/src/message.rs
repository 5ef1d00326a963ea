//! What clients and leaders say to each other. All of it may be lost, repeated and late.

use std::collections::BTreeSet;

use synod_truetime::{Floor, Timestamp};

use crate::command::Command;
use crate::lock::LocksFull;
use crate::span::{Span, Writes};
use crate::store::{Collected, Scan};
use crate::txn::{Decision, Hold, ShardId, TxnId};

/// A message as it travels: with what its sender's node knows to be past. Whoever receives it reads the clock, lets
/// [`NamedFloor::incoming`](synod_truetime::NamedFloor::incoming) judge, and acts by that same reading, or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped<M> {
    /// [`NamedFloor::outgoing`](synod_truetime::NamedFloor::outgoing) at the sender's.
    pub floor: Floor,
    /// What is said.
    pub message: M,
}

/// A client's, to the leader of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Request {
    /// Locks what it reads: the span, with all that is absent in it.
    Read {
        /// For which transaction.
        txn: TxnId,
        /// Which keys.
        span: Span,
    },
    /// To each participant but the coordinator.
    Prepare(Part),
    /// To the coordinator: the client asks to commit.
    Commit {
        /// The coordinator's own.
        part: Part,
        /// All other shards that were read or written.
        participants: BTreeSet<ShardId>,
    },
    /// The client is there.
    KeepAlive {
        /// And so is this transaction of it.
        txn: TxnId,
    },
    /// It gave up before it asked to commit.
    Rollback {
        /// Which.
        txn: TxnId,
    },
    /// What became of it? To the coordinator. The answer is final: what is undecided is aborted.
    Ask {
        /// Which.
        txn: TxnId,
    },
}

impl Request {
    /// Which transaction it is about.
    #[must_use]
    pub fn txn(&self) -> TxnId {
        match self {
            Self::Prepare(part) | Self::Commit { part, .. } => part.txn,
            Self::Read { txn, .. }
            | Self::KeepAlive { txn }
            | Self::Rollback { txn }
            | Self::Ask { txn } => *txn,
        }
    }
}

/// A transaction's part at one shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Part {
    /// Whose.
    pub txn: TxnId,
    /// That of all its reads here; under another one its locks are gone, and what it read may have changed.
    /// `None` if nothing was read here.
    pub hold: Option<Hold>,
    /// What it writes here.
    pub writes: Writes,
}

/// A leader's, to a client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// What stands there; it stays so while the hold lasts.
    Read {
        /// Which keys were asked for.
        span: Span,
        /// What is not in this part is to be asked for by a read of its `rest`.
        scan: Scan,
        /// To be named when the transaction commits.
        hold: Hold,
    },
    /// It stands in the coordinator's log, and its timestamp has passed. The only word that counts for a client that
    /// has asked to commit: a refusal may come from a leader that is deposed, while the next one commits.
    Decided(Decision, Option<Refused>),
    /// Before that: the attempt is over if the client never asks to commit it.
    Refused(Refused),
}

/// Why a leader does not do what a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Try again with the same age.
    #[error("an older transaction took its locks, or a participant could not keep them")]
    Wounded,
    /// Try again with the same age.
    #[error("the locks it read under are gone")]
    LocksLost,
    /// The client was taken for dead.
    #[error("nobody spoke for it in time")]
    Silent,
    /// Try again with the same age.
    #[error("no timestamp is left for which all its read locks hold")]
    LeaseOver,
    /// It is doing one thing and asks for another; the first goes on.
    #[error("it asks for one thing while it waits for another")]
    OutOfTurn,
    /// It committed or not, and nobody knows any more; it can never run.
    #[error("so long ago that its outcome is forgotten")]
    Forgotten,
    /// The client is wrong: another coordinator, a key that is too long, a begin that lies in the future.
    #[error("what is asked for cannot be")]
    Malformed,
    /// A bound is reached; nothing happened.
    #[error("too much is under way")]
    Busy,
    /// The leader hands over; nothing happened.
    #[error("the leader is about to leave")]
    Leaving,
    /// A bound is reached.
    #[error(transparent)]
    Locks(#[from] LocksFull),
    /// The read lies below the horizon.
    #[error(transparent)]
    Collected(#[from] Collected),
}

/// A participant's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vote {
    /// It keeps its locks.
    Yes {
        /// The commit timestamp must not be below; `None` where nothing is written and so nothing logged.
        prepared: Option<Timestamp>,
        /// The commit timestamp must be below: until then the read locks stand, whoever leads; `None` where
        /// nothing was read.
        before: Option<Timestamp>,
    },
    /// It does not.
    No,
}

/// Between leaders of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// To the coordinator.
    Vote {
        /// On what.
        txn: TxnId,
        /// Whose.
        from: ShardId,
        /// Which.
        vote: Vote,
    },
    /// To the coordinator, by a participant that is prepared and has waited too long.
    Ask {
        /// About what.
        txn: TxnId,
        /// Who asks.
        from: ShardId,
    },
    /// The coordinator's, whose log has it.
    Outcome {
        /// Of what.
        txn: TxnId,
        /// Which.
        decision: Decision,
    },
    /// To the coordinator: the participant's log has the outcome.
    Settled {
        /// Of what.
        txn: TxnId,
        /// Whose log.
        from: ShardId,
    },
    /// To the coordinator: an older transaction waits for this one, which only its coordinator may still give up.
    Wound {
        /// Which.
        txn: TxnId,
    },
}

/// What a leader wants done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Output {
    /// Into the shard's log, in the order in which they come out.
    Propose(Command),
    /// To the leader of a shard.
    Peer(ShardId, Peer),
    /// To whoever runs the transaction.
    Client(TxnId, Answer),
}
