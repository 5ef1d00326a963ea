//! What is on its way.

use synod_spanner::{Answer, Peer, Request, ShardId, TxnId};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Message {
    Request(ShardId, Request),
    Peer(ShardId, Peer),
    /// From the leader of that shard.
    Answer(ShardId, TxnId, Answer),
}
