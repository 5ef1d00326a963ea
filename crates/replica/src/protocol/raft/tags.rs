//! What stands in the tag of a slot: bytes that the log keeps for its owner, and does not read.
//!
//! | slot tag | bytes 0..8 | 8..16 | 16..24 |
//! |---|---|---|---|
//! | state | term | node voted for | 1 if a vote was given |
//! | entry | term | kind: 0 no-op, 1 commands, 2 membership | |
//! | start, snapshot, position | term | | |

use synod_raft as raft;
use synod_wal::Tag;

pub(super) fn tag(words: [u64; 3]) -> Tag {
    let mut tag = Tag::default();
    for (to, word) in tag.0.chunks_exact_mut(8).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    tag
}

pub(super) fn untag(tag: &Tag) -> [u64; 3] {
    let mut words = tag
        .0
        .chunks_exact(8)
        .map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
    std::array::from_fn(|_| words.next().unwrap_or_default())
}

pub(super) fn entry_tag(term: raft::Term, kind: raft::Kind) -> Tag {
    let kind = match kind {
        raft::Kind::Noop => 0,
        raft::Kind::Command => 1,
        raft::Kind::Membership => 2,
    };
    tag([term.0, kind, 0])
}

pub(super) fn log_id(index: u64, tag: &Tag) -> raft::LogId {
    raft::LogId {
        term: raft::Term(untag(tag)[0]),
        index: raft::Index(index),
    }
}
