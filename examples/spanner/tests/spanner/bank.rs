//! A bank on three shards, whatever replicates them: its clients, its clocks, and what must hold of every run.
//!
//! [`watch`] holds I1 to I11 against every step, [`witness`] the whole history against the order of timestamps, and
//! [`history`] gives it to the checks of strict serializability that anybody's histories are given to.

pub(crate) mod book;
pub(crate) mod client;
pub(crate) mod clock;
pub(crate) mod history;
pub(crate) mod watch;
pub(crate) mod witness;

use bytes::Bytes;
use synod_spanner::ShardId;

pub(crate) const SHARDS: [ShardId; 3] = [ShardId(1), ShardId(2), ShardId(3)];
pub(crate) const ACCOUNTS: [&str; 3] = ["x", "y", "z"];
/// What an account has that nobody has written.
pub(crate) const START: i64 = 100;

pub(crate) fn balance(value: Option<&Bytes>) -> i64 {
    value.map_or(START, |value| {
        std::str::from_utf8(value).unwrap().parse().unwrap()
    })
}
