//! What only looks: the reads that the server hands to the machine.

use bytes::Bytes;
use redis_protocol::resp2::types::BytesFrame;

use crate::machine::Kv;

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
}

impl Query {
    /// Answers from the map. Values are shared with it, not copied.
    #[must_use]
    pub fn answer(&self, kv: &Kv) -> BytesFrame {
        let get = |key: &Bytes| {
            kv.value(key)
                .cloned()
                .map_or(BytesFrame::Null, BytesFrame::BulkString)
        };
        match self {
            Self::Get(key) => get(key),
            Self::GetMany(keys) => {
                // One key may be named many times, so an answer can be larger than the whole map.
                let bytes: usize = keys
                    .iter()
                    .filter_map(|key| kv.value(key))
                    .map(Bytes::len)
                    .sum();
                if bytes > ANSWER_BYTES_MAX {
                    return BytesFrame::Error(
                        "ERR the values asked for exceed the maximum reply size".into(),
                    );
                }
                BytesFrame::Array(keys.iter().map(get).collect())
            }
            Self::Exists(keys) => {
                BytesFrame::Integer(keys.iter().filter(|key| kv.value(key).is_some()).count() as i64)
            }
            Self::Len(key) => BytesFrame::Integer(kv.value(key).map_or(0, Bytes::len) as i64),
            Self::Count => BytesFrame::Integer(kv.len() as i64),
        }
    }
}

/// Of one answer to `MGET`.
const ANSWER_BYTES_MAX: usize = 32 * 1_024 * 1_024;
