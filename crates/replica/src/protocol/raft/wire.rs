//! Raft's messages [on the wire](crate::protocol::wire).
//!
//! | kind | message | fields |
//! |---|---|---|
//! | 0 | `Append` | term, position before, commit, for each entry position, kind and length; bodies |
//! | 1 | `Heartbeat` | term, round, commit, matched, lease |
//! | 2 | `Commit` | term, commit |
//! | 3 | `Snapshot` | term, position of its end, membership |
//! | 4 | `RequestVote` | term, position of the log's end, whether by transfer |
//! | 5 | `Vote` | term, granted |
//! | 6 | `Appended` | term, index |
//! | 7 | `Installed` | term, position |
//! | 8 | the echo of a heartbeat | term, round, matched, disk, lease, priority |
//! | 9 | `Rejected` | term, position, position of the hint |
//! | 10 | `Forgot` | term, acknowledged, holds |
//! | 11 | `Stale` | term |
//! | 12 | `RequestPreVote` | term, position of the log's end, disk |
//! | 13 | `PreVote` | term, granted, disk, priority |
//! | 14 | `TimeoutNow` | term, round, index of the log's end |
//! | 15 | `Removed` | term |
//! | 16 | `Left` | term |
//!
//! A position is a term and an index; a disk is whether it has room, and seconds and nanoseconds of a
//! sync; a priority is 0 for none, or 1 and the byte; a kind of entry is 0 for a no-op, 1 for commands, 2
//! for a membership.

use bytes::Bytes;
use synod_raft::{Binding, Echo, Entry, Index, Kind, LogId, Message, Replicate, Snapshot, Term};

use crate::protocol::wire::{AtMost, before_bodies, put, whole};

const APPEND: u8 = 0;
const HEARTBEAT: u8 = 1;
const COMMIT: u8 = 2;
const SNAPSHOT: u8 = 3;
const REQUEST_VOTE: u8 = 4;
const VOTE: u8 = 5;
const APPENDED: u8 = 6;
const INSTALLED: u8 = 7;
const HEARTBEAT_ECHO: u8 = 8;
const REJECTED: u8 = 9;
const FORGOT: u8 = 10;
const STALE: u8 = 11;
const REQUEST_PRE_VOTE: u8 = 12;
const PRE_VOTE: u8 = 13;
const TIMEOUT_NOW: u8 = 14;
const REMOVED: u8 = 15;
const LEFT: u8 = 16;

/// The fields of an entry, which precede all bodies.
type Head = (LogId, u8, u64);
type Heads = AtMost<Head, { Replicate::ENTRIES_MAX }>;

pub(super) fn encode(message: &Message, head: &mut Vec<u8>, parts: &mut Vec<Bytes>) {
    match message {
        Message::Replicate(message) => encode_replicate(message, head, parts),
        Message::Binding(message) => encode_binding(message, head),
        Message::Echo(message) => encode_echo(message, head),
    }
}

fn encode_replicate(message: &Replicate, head: &mut Vec<u8>, parts: &mut Vec<Bytes>) {
    match message {
        Replicate::Append {
            term,
            prev,
            entries,
            commit,
        } => {
            parts.extend(entries.iter().map(|entry| entry.body.clone()));
            let of = |entry: &Entry| (entry.id, kind_number(entry.kind), entry.body.len() as u64);
            let heads: Vec<Head> = entries.iter().map(of).collect();
            put(head, APPEND, &(term, prev, commit, heads));
        }
        Replicate::Heartbeat {
            term,
            round,
            commit,
            matched,
            lease,
        } => put(head, HEARTBEAT, &(term, round, commit, matched, lease)),
        Replicate::Commit { term, commit } => put(head, COMMIT, &(term, commit)),
        Replicate::Snapshot { term, snapshot } => {
            let Snapshot { last, membership } = &**snapshot;
            put(head, SNAPSHOT, &(term, last, membership));
        }
        Replicate::TimeoutNow { term, round, last } => put(head, TIMEOUT_NOW, &(term, round, last)),
    }
}

fn encode_binding(message: &Binding, head: &mut Vec<u8>) {
    match message {
        Binding::RequestVote {
            term,
            last,
            transfer,
        } => put(head, REQUEST_VOTE, &(term, last, transfer)),
        Binding::Vote { term, granted } => put(head, VOTE, &(term, granted)),
        Binding::Appended { term, last } => put(head, APPENDED, &(term, last)),
        Binding::Installed { term, last } => put(head, INSTALLED, &(term, last)),
    }
}

fn encode_echo(message: &Echo, head: &mut Vec<u8>) {
    match message {
        Echo::Heartbeat {
            term,
            round,
            matched,
            disk,
            lease,
            priority,
        } => {
            let fields = (term, round, matched, disk, lease, priority);
            put(head, HEARTBEAT_ECHO, &fields);
        }
        Echo::Rejected { term, prev, hint } => put(head, REJECTED, &(term, prev, hint)),
        Echo::Forgot {
            term,
            acknowledged,
            holds,
        } => put(head, FORGOT, &(term, acknowledged, holds)),
        Echo::Stale { term } => put(head, STALE, term),
        Echo::Removed { term } => put(head, REMOVED, term),
        Echo::Left { term } => put(head, LEFT, term),
        Echo::RequestPreVote { term, last, disk } => {
            put(head, REQUEST_PRE_VOTE, &(term, last, disk));
        }
        Echo::PreVote {
            term,
            granted,
            disk,
            priority,
        } => put(head, PRE_VOTE, &(term, granted, disk, priority)),
    }
}

/// Decodes a message; `None` for an unknown kind, and unless the bytes are exactly one message.
pub(super) fn decode(bytes: &Bytes) -> Option<Message> {
    let (kind, fields) = bytes.split_first()?;
    match *kind {
        APPEND => decode_append(bytes).map(Message::Replicate),
        HEARTBEAT..=SNAPSHOT | TIMEOUT_NOW => {
            decode_replicate(*kind, fields).map(Message::Replicate)
        }
        REQUEST_VOTE..=INSTALLED => decode_binding(*kind, fields).map(Message::Binding),
        _ => decode_echo(*kind, fields).map(Message::Echo),
    }
}

fn decode_append(bytes: &Bytes) -> Option<Replicate> {
    let (fields, mut bodies) = before_bodies(bytes)?;
    let (term, prev, commit, AtMost(heads)): (Term, LogId, Index, Heads) = fields;
    let entry = |(id, kind, len): Head| {
        let (kind, body) = (kind_of(kind.into())?, bodies.take(len)?);
        Some(Entry { id, kind, body })
    };
    let entries: Option<Vec<Entry>> = heads.into_iter().map(entry).collect();
    let append = Replicate::Append {
        term,
        prev,
        entries: entries?.into(),
        commit,
    };
    bodies.are_at_their_end().then_some(append)
}

fn decode_replicate(kind: u8, fields: &[u8]) -> Option<Replicate> {
    Some(match kind {
        HEARTBEAT => {
            let (term, round, commit, matched, lease) = whole(fields)?;
            Replicate::Heartbeat {
                term,
                round,
                commit,
                matched,
                lease,
            }
        }
        COMMIT => {
            let (term, commit) = whole(fields)?;
            Replicate::Commit { term, commit }
        }
        SNAPSHOT => {
            let (term, last, membership) = whole(fields)?;
            let snapshot = Box::new(Snapshot { last, membership });
            Replicate::Snapshot { term, snapshot }
        }
        TIMEOUT_NOW => {
            let (term, round, last) = whole(fields)?;
            Replicate::TimeoutNow { term, round, last }
        }
        _ => return None,
    })
}

fn decode_binding(kind: u8, fields: &[u8]) -> Option<Binding> {
    Some(match kind {
        REQUEST_VOTE => {
            let (term, last, transfer) = whole(fields)?;
            Binding::RequestVote {
                term,
                last,
                transfer,
            }
        }
        VOTE => {
            let (term, granted) = whole(fields)?;
            Binding::Vote { term, granted }
        }
        APPENDED => {
            let (term, last) = whole(fields)?;
            Binding::Appended { term, last }
        }
        INSTALLED => {
            let (term, last) = whole(fields)?;
            Binding::Installed { term, last }
        }
        _ => return None,
    })
}

fn decode_echo(kind: u8, fields: &[u8]) -> Option<Echo> {
    Some(match kind {
        HEARTBEAT_ECHO => {
            let (term, round, matched, disk, lease, priority) = whole(fields)?;
            Echo::Heartbeat {
                term,
                round,
                matched,
                disk,
                lease,
                priority,
            }
        }
        REJECTED => {
            let (term, prev, hint) = whole(fields)?;
            Echo::Rejected { term, prev, hint }
        }
        FORGOT => {
            let (term, acknowledged, holds) = whole(fields)?;
            Echo::Forgot {
                term,
                acknowledged,
                holds,
            }
        }
        STALE => Echo::Stale {
            term: whole(fields)?,
        },
        REMOVED => Echo::Removed {
            term: whole(fields)?,
        },
        LEFT => Echo::Left {
            term: whole(fields)?,
        },
        REQUEST_PRE_VOTE => {
            let (term, last, disk) = whole(fields)?;
            Echo::RequestPreVote { term, last, disk }
        }
        PRE_VOTE => {
            let (term, granted, disk, priority) = whole(fields)?;
            Echo::PreVote {
                term,
                granted,
                disk,
                priority,
            }
        }
        _ => return None,
    })
}

/// The same numbers as in the tag of an entry.
pub(super) fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::Noop => 0,
        Kind::Command => 1,
        Kind::Membership => 2,
        Kind::Withheld => 3,
    }
}

///
/// A withheld command is refused: nothing here stores a log without its commands, so the runtime has no
/// witnesses.
pub(super) fn kind_of(number: u64) -> Option<Kind> {
    let kinds = [Kind::Noop, Kind::Command, Kind::Membership];
    kinds
        .into_iter()
        .find(|kind| u64::from(kind_number(*kind)) == number)
}
