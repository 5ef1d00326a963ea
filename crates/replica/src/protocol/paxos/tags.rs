//! The tags of slots, whose bytes the log stores for its owner and does not interpret.
//!
//! | slot tag | bytes 0..8 | 8..16 | 16..24 | 24..32 |
//! |---|---|---|---|---|
//! | state | promised round | promised node | chosen prefix | |
//! | vote | ballot's round | its node | origin's round, and the kind | origin's node |
//! | start, snapshot, position | origin's round | its node | | |
//!
//! The kind is in the top two bits of its word: 0 no-op, 1 commands, 2 configuration.
//!
//! The ballot in which a node holds a value may differ from node to node; the origin identifies the
//! value on all of them. So votes on disk have both, and the runtime compares only the origin.

use synod_paxos as paxos;
use synod_wal::{Op, Slot, Tag};

use super::wire::{kind_number, kind_of};
use crate::log::LogError;
use crate::protocol::records::unknown_kind;

pub(super) fn state(state: paxos::State) -> Op<'static> {
    let (promised, chosen) = (state.promised, state.chosen.0);
    Op::State(tag([promised.round, promised.node.0, chosen, 0]))
}

pub(super) fn put(vote: paxos::Vote<&paxos::Value>) -> Op<'_> {
    let (ballot, origin) = (vote.ballot, vote.value.origin);
    let kind = u64::from(kind_number(vote.value.kind));
    Op::Put {
        index: vote.slot.0,
        tag: tag([
            ballot.round,
            ballot.node.0,
            origin.round | kind << KIND_SHIFT,
            origin.node.0,
        ]),
        body: &vote.value.body,
    }
}

/// Decodes the vote in a slot.
///
/// # Errors
/// A kind that this version does not know.
pub(super) fn vote(slot: Slot) -> Result<paxos::Vote, LogError> {
    let [round, node, kind_and_origin, origin_node] = untag(&slot.tag);
    let kind = kind_and_origin >> KIND_SHIFT;
    let kind = kind_of(kind).ok_or_else(|| unknown_kind(slot.index, kind))?;
    let origin_round = kind_and_origin & paxos::Ballot::ROUND_MAX;
    Ok(paxos::Vote {
        slot: paxos::Slot(slot.index),
        ballot: ballot(round, node),
        value: paxos::Value {
            kind,
            origin: ballot(origin_round, origin_node),
            body: slot.body,
        },
    })
}

pub(super) fn position(index: u64, tag: &Tag) -> paxos::Position {
    let [round, node, ..] = untag(tag);
    paxos::Position {
        slot: paxos::Slot(index),
        origin: ballot(round, node),
    }
}

pub(super) fn ballot(round: u64, node: u64) -> paxos::Ballot {
    paxos::Ballot {
        round,
        node: paxos::NodeId(node),
    }
}

pub(super) fn ballot_tag(ballot: paxos::Ballot) -> Tag {
    tag([ballot.round, ballot.node.0, 0, 0])
}

pub(super) fn tag(words: [u64; 4]) -> Tag {
    let mut tag = Tag::default();
    for (to, word) in tag.0.chunks_exact_mut(8).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    tag
}

pub(super) fn untag(tag: &Tag) -> [u64; 4] {
    let mut words = tag
        .0
        .chunks_exact(8)
        .map(|word| u64::from_le_bytes(word.try_into().unwrap_or_default()));
    std::array::from_fn(|_| words.next().unwrap_or_default())
}

/// Rounds leave the top two bits to the kind.
const KIND_SHIFT: u32 = paxos::Ballot::ROUND_MAX.trailing_ones();
