//! What only looks: the reads that the server hands to the machine.

use bytes::Bytes;
use redis_protocol::resp2::types::BytesFrame;
use synod_replica::LogTime;

use crate::{
    answer::{Answer, settings},
    machine::{Kv, Left},
    value::Value,
};

/// One read. All reads of a run look at the map at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// `GET key`
    Get(Bytes),
    /// `MGET key [key ...]`
    GetMany(Vec<Bytes>),
    /// `EXISTS key [key ...]`: a key named twice counts twice.
    Exists(Vec<Bytes>),
    /// `STRLEN key`
    Len(Bytes),
    /// `DBSIZE`
    Count,
    /// `TTL key`, `PTTL key`
    Left {
        /// Whose.
        key: Bytes,
        /// In milliseconds, and not in seconds.
        millis: bool,
    },
    /// `CONFIG GET parameter [parameter ...]`, of what the map itself holds.
    Config(Vec<Bytes>),
}

impl Query {
    /// Answers from the map. Values are shared with it, not copied.
    #[must_use]
    pub fn answer(&self, kv: &Kv) -> Answer {
        self.answer_at(kv, kv.now())
    }

    /// The same, and where it matters how late it is, it is `time` or later.
    #[must_use]
    pub fn answer_at(&self, kv: &Kv, time: LogTime) -> Answer {
        let get = |key: &Bytes| kv.value(key).cloned();
        let number = |number: usize| Answer::Frame(BytesFrame::Integer(number as i64));
        match self {
            Self::Get(key) => Answer::Value(get(key)),
            Self::GetMany(keys) => {
                // One key may be named many times, so an answer can be larger than the whole map.
                let bytes: usize = keys
                    .iter()
                    .filter_map(|key| kv.value(key))
                    .map(Value::len)
                    .sum();
                if bytes > ANSWER_BYTES_MAX {
                    return Answer::error(
                        "ERR the values asked for exceed the maximum reply size".into(),
                    );
                }
                Answer::Values(keys.iter().map(get).collect())
            }
            Self::Exists(keys) => number(keys.iter().filter(|key| kv.value(key).is_some()).count()),
            Self::Len(key) => number(kv.value(key).map_or(0, Value::len)),
            Self::Count => number(kv.len()),
            Self::Left { key, millis } => {
                let left = match kv.left(key, time) {
                    Left::Absent => -2,
                    Left::Forever => -1,
                    Left::For(left) if *millis => left.as_millis() as i64,
                    // To the nearest, as in Redis.
                    Left::For(left) => ((left.as_millis() + 500) / 1_000) as i64,
                };
                Answer::Frame(BytesFrame::Integer(left))
            }
            Self::Config(names) => settings(names, Some(kv.limits())),
        }
    }
}

/// Of one answer to `MGET`.
const ANSWER_BYTES_MAX: usize = 32 * 1_024 * 1_024;
