//! A small Spanner (Corbett et al., OSDI 2012).

mod client;
mod codec;
mod command;
mod coordinator;
mod handing_over;
mod leader;
mod lock;
mod locking;
mod message;
mod oracle;
mod participant;
mod read;
mod safe_time;
mod settling;
mod shard;
mod shard_map;
mod span;
mod stage;
mod store;
mod txn;

pub use client::{Attempt, Failed, Retry};
pub use codec::Broken;
pub use command::{
    Act, Applied, COMMAND_BYTES_MAX, Command, PARTICIPANTS_MAX, Prepared, Reply, Standing,
};
pub use leader::{Ended, Leader};
pub use lock::{Lock, LockTable, LocksFull, Mode, Turned};
pub use message::{Answer, Output, Part, Peer, Refused, Request, Stamped, Vote};
pub use oracle::{LeaseOver, Oracle};
pub use read::{Plan, TooStale, bounded_staleness, look, plan};
pub use safe_time::{AHEAD_MAX, Promise, SafeTime};
pub use shard::{Outcome, Shard, State};
pub use shard_map::{NoShardMap, ShardMap};
pub use span::{
    KEY_BYTES_MAX, Span, TooLarge, VALUE_BYTES_MAX, WRITES_BYTES_MAX, WRITES_MAX, Writes,
};
pub use stage::Limits;
pub use store::{Collected, Scan, ScanLimit, Store, Version};
pub use txn::{Decision, Hold, Now, Reign, ShardId, TxnId};
