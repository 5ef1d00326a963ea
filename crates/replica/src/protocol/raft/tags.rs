//! The tags of slots, whose bytes the log stores for its owner and does not interpret.
//!
//! | slot tag | bytes 0..8 | 8..16 | 16..24 |
//! |---|---|---|---|
//! | state | term | node voted for | 1 if a vote was given |
//! | entry | term | kind: 0 no-op, 1 commands, 2 membership | |
//! | start, snapshot, position | term | | |

use synod_raft as raft;
use synod_wal::{Slot, Tag};

use super::wire::{kind_number, kind_of};
use crate::log::LogError;
use crate::protocol::records::unknown_kind;

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
    tag([term.0, u64::from(kind_number(kind)), 0])
}

pub(super) fn log_id(index: u64, tag: &Tag) -> raft::LogId {
    raft::LogId {
        term: raft::Term(untag(tag)[0]),
        index: raft::Index(index),
    }
}

/// Decodes the entry in a slot.
///
/// # Errors
/// A kind that this version does not know.
pub(super) fn entry(slot: Slot) -> Result<raft::Entry, LogError> {
    let kind = untag(&slot.tag)[1];
    Ok(raft::Entry {
        id: log_id(slot.index, &slot.tag),
        kind: kind_of(kind).ok_or_else(|| unknown_kind(slot.index, kind))?,
        body: slot.body,
    })
}
