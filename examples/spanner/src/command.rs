//! What the log of a shard holds, and what comes of it.
//!
//! Every command names the reign under which it was made and its number in it, and the machine drops it at any other
//! place. That is the fence, and it asks nothing of the protocol below: see [`State`](crate::State).

mod encoding;

use synod_truetime::{Floor, Timestamp};

use crate::span::Writes;
use crate::txn::{Decision, Reign, ShardId, TxnId};

pub use encoding::COMMAND_BYTES_MAX;

/// How many shards may take part in one transaction beside its coordinator's.
pub const PARTICIPANTS_MAX: usize = 1 << 10;

/// One command of one leader.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Command {
    /// Whose.
    pub reign: Reign,
    /// 0 for a take-over; then 1, 2, 3. A reign's commands take effect in this order, and none behind a gap.
    pub number: u64,
    /// What the proposer's node knows to be past: whoever applies it holds its own clock against it.
    pub floor: Floor,
    /// What it does.
    pub act: Act,
}

/// What a command does.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// A leader's first: [`Command::reign`] is one more than the reign that it ends.
    TakeOver {
        /// Its timestamps lie below.
        lease_end: Timestamp,
    },
    /// The lease goes on.
    Lease {
        /// The new end; an earlier one changes nothing.
        end: Timestamp,
        /// No timestamp at or below will be assigned from here on.
        closed: Timestamp,
    },
    /// The lease ends early and the reign with it: a successor need not assign above more than this.
    Release {
        /// At or above all that was assigned, closed by word, or promised to read locks.
        closed: Timestamp,
    },
    /// What is old may go.
    Collect {
        /// Of versions at or below only the newest of each key is kept, and nothing below may be read.
        versions: Timestamp,
        /// Of attempts that began before, only what others still need is known.
        outcomes: Timestamp,
    },
    /// A participant's: locks and writes outlive the leader from here on.
    Prepare {
        /// Its coordinator is in its name.
        txn: TxnId,
        /// The commit timestamp will not be below.
        at: Timestamp,
        /// Whether it has read here too, so that the commit must be below the end of this lease.
        has_read: bool,
        /// What it will have written.
        writes: Writes,
    },
    /// The coordinator's decision and its own writes in one. The coordinator writes no prepare record
    /// (section 4.2.1); a transaction of one shard has no participants.
    Commit {
        /// Which.
        txn: TxnId,
        /// Its timestamp, on all shards.
        at: Timestamp,
        /// Those that have prepared, and must have the outcome in their logs before it may be forgotten.
        participants: Vec<ShardId>,
        /// On the coordinator's shard.
        writes: Writes,
    },
    /// The coordinator's other decision; also of a transaction that it never heard of.
    Abort {
        /// Which.
        txn: TxnId,
    },
    /// A participant's, of what the coordinator decided. The writes stand in the prepare record.
    Finish {
        /// Which.
        txn: TxnId,
        /// The coordinator's.
        decision: Decision,
    },
    /// The coordinator's: all participants have it in their logs.
    Settled {
        /// Which.
        txn: TxnId,
    },
}

/// What came of a command. The first decision in the log stands, whoever asks for another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    /// It is so now.
    Done,
    /// To a take-over.
    TookOver(Box<Standing>),
    /// By this command, or by one before it.
    Decided(Decision),
    /// The attempt began so long ago that its outcome is no longer known: it can never run.
    Forgotten,
    /// Another leader reigns, or this one has released its lease: nothing of this reign takes effect any more.
    Deposed(Reign),
    /// A command before it is missing, so that nothing of this reign takes effect any more.
    OutOfOrder,
    /// No command, or one that breaks a rule: a timestamp that does not rise or lies outside of the lease,
    /// an outcome of what is not prepared. A bug of whoever proposed it, and harmless.
    Refused,
}

/// A reply, and where its command stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Applied {
    /// The index in the log.
    pub index: u64,
    /// What the proposer knew to be past; `None` of bytes that are no command.
    pub floor: Option<Floor>,
    /// What came of it.
    pub reply: Reply,
}

/// What a new leader inherits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Standing {
    /// Its own.
    pub reign: Reign,
    /// Its timestamps are above this and below `lease_end`.
    pub floor: Timestamp,
    /// See `floor`.
    pub lease_end: Timestamp,
    /// Undecided here: their locks are to be restored.
    pub prepared: Vec<(TxnId, Prepared)>,
    /// Committed here, and not yet known to be in all participants' logs.
    pub unsettled: Vec<(TxnId, Timestamp, Vec<ShardId>)>,
}

/// A row of the prepared table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Prepared {
    /// The commit timestamp will not be below.
    pub at: Timestamp,
    /// What it read is locked up to this, the end of the lease it was prepared in, whoever leads, and no farther: a
    /// later leader's lease says nothing about it. `None` if it has read nothing here.
    pub before: Option<Timestamp>,
    /// What it will have written.
    pub writes: Writes,
}
