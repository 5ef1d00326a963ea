//! Messages of Paxos [on the wire](crate::protocol::wire).
//!
//! | kind | message | fields |
//! |---|---|---|
//! | 0 | `Accept` | ballot, first slot, chosen, for each value kind, origin and length; bodies |
//! | 1 | `Promise` | ballot, first slot, next page, chosen, configurations, for each vote slot, ballot, value; bodies |
//! | 2 | `Learned` | ballot, first slot, for each value kind, origin and length; bodies |
//! | 3 | `Heartbeat` | ballot, round, chosen, through, number of the settled configuration, lease |
//! | 4 | `Chosen` | ballot, chosen |
//! | 5 | `Snapshot` | ballot, its last slot and the origin of that, configurations |
//! | 6 | `Prepare` | ballot, first slot, number of the latest known configuration, ballot of who invited |
//! | 7 | `Accepted` | ballot, first and last slot |
//! | 8 | `Ask` | promised, attempt, disk |
//! | 9 | `Answer` | promised, attempt, no_leader, chosen, disk, priority |
//! | 10 | the echo of a heartbeat | ballot, round, through, chosen, behind, disk, priority, lease |
//! | 11 | `Preempted` | promised |
//! | 12 | `Learn` | ballot, first and last slot |
//! | 13 | `Offer` | ballot, the snapshot's last slot and the origin of that, configurations |
//! | 14 | `Invite` | ballot, round, chosen, last slot |
//! | 15 | `Settle` | ballot, slot |
//! | 16 | `Settled` | ballot, slot |
//! | 17 | `Removed` | promised, number of the settled configuration |
//! | 18 | `HowFar` | promised, life, number |
//! | 19 | `Voted` | promised, life, number, last slot |
//!
//! A promise has configurations only if whoever asks lacks one. A ballot is a round and a node; a disk is
//! whether it has room, and seconds and nanoseconds of a sync; a priority is one byte, or none;
//! a lease is seconds and nanoseconds; a kind of
//! value is 0 for a no-op, 1 for commands, 2 for a configuration.

use bytes::Bytes;
use synod_paxos::{
    Ballot, Binding, Echo, Entries, Kind, Message, Replicate, Slot, Snapshot, Value, Vote,
};

use crate::protocol::wire::{AtMost, Bodies, before_bodies, put, whole};

const ACCEPT: u8 = 0;
const PROMISE: u8 = 1;
const LEARNED: u8 = 2;
const HEARTBEAT: u8 = 3;
const CHOSEN: u8 = 4;
const SNAPSHOT: u8 = 5;
const PREPARE: u8 = 6;
const ACCEPTED: u8 = 7;
const ASK: u8 = 8;
const ANSWER: u8 = 9;
const HEARTBEAT_ECHO: u8 = 10;
const PREEMPTED: u8 = 11;
const LEARN: u8 = 12;
const OFFER: u8 = 13;
const INVITE: u8 = 14;
const SETTLE: u8 = 15;
const SETTLED: u8 = 16;
const REMOVED: u8 = 17;
const HOW_FAR: u8 = 18;
const VOTED: u8 = 19;

/// The fields of a value, which precede all bodies.
type Head = (u8, Ballot, u64);
type Heads = AtMost<Head, { Replicate::VALUES_MAX }>;
type Votes = AtMost<(Slot, Ballot, Head), { Replicate::VALUES_MAX }>;

/// Appends the message to `head`, and its bodies to `parts`.
pub(super) fn encode(message: &Message, head: &mut Vec<u8>, parts: &mut Vec<Bytes>) {
    match message {
        Message::Replicate(message) => encode_replicate(message, head, parts),
        Message::Binding(message) => encode_binding(message, head, parts),
        Message::Echo(message) => encode_echo(message, head, parts),
    }
}

fn encode_replicate(message: &Replicate, head: &mut Vec<u8>, parts: &mut Vec<Bytes>) {
    match message {
        Replicate::Accept {
            ballot,
            first,
            values,
            chosen,
        } => put(head, ACCEPT, &(ballot, first, chosen, heads(values, parts))),
        Replicate::Heartbeat {
            ballot,
            round,
            chosen,
            through,
            settled,
            lease,
        } => {
            let fields = (ballot, round, chosen, through, settled, lease);
            put(head, HEARTBEAT, &fields);
        }
        Replicate::Settle { ballot, slot } => put(head, SETTLE, &(ballot, slot)),
        Replicate::Chosen { ballot, chosen } => put(head, CHOSEN, &(ballot, chosen)),
        Replicate::Snapshot { ballot, snapshot } => {
            let fields = (ballot, &snapshot.last, &snapshot.configurations);
            put(head, SNAPSHOT, &fields);
        }
        Replicate::Invite {
            ballot,
            round,
            chosen,
            last,
        } => put(head, INVITE, &(ballot, round, chosen, last)),
    }
}

fn encode_binding(message: &Binding, head: &mut Vec<u8>, parts: &mut Vec<Bytes>) {
    match message {
        Binding::Prepare {
            ballot,
            from,
            number,
            invited,
        } => put(head, PREPARE, &(ballot, from, number, invited)),
        Binding::Promise {
            ballot,
            from,
            votes,
            next,
            chosen,
            configurations,
        } => {
            let mut vote = |vote: &Vote| (vote.slot, vote.ballot, value_head(&vote.value, parts));
            let votes: Vec<_> = votes.iter().map(&mut vote).collect();
            let fields = (ballot, from, next, chosen, configurations, votes);
            put(head, PROMISE, &fields);
        }
        Binding::Accepted {
            ballot,
            first,
            last,
        } => put(head, ACCEPTED, &(ballot, first, last)),
        Binding::Settled { ballot, slot } => put(head, SETTLED, &(ballot, slot)),
    }
}

fn encode_echo(message: &Echo, head: &mut Vec<u8>, parts: &mut Vec<Bytes>) {
    match message {
        Echo::Ask {
            promised,
            attempt,
            disk,
        } => put(head, ASK, &(promised, attempt, disk)),
        Echo::Answer {
            promised,
            attempt,
            no_leader,
            chosen,
            disk,
            priority,
        } => {
            let fields = (promised, attempt, no_leader, chosen, disk, priority);
            put(head, ANSWER, &fields);
        }
        Echo::Heartbeat {
            ballot,
            round,
            through,
            chosen,
            behind,
            disk,
            priority,
            lease,
        } => {
            let fields = (
                ballot, round, through, chosen, behind, disk, priority, lease,
            );
            put(head, HEARTBEAT_ECHO, &fields);
        }
        Echo::HowFar {
            promised,
            life,
            number,
        } => put(head, HOW_FAR, &(promised, life, number)),
        Echo::Voted {
            promised,
            life,
            number,
            last,
        } => put(head, VOTED, &(promised, life, number, last)),
        Echo::Preempted { promised } => put(head, PREEMPTED, promised),
        Echo::Removed { promised, number } => put(head, REMOVED, &(promised, number)),
        Echo::Learn { ballot, from, to } => put(head, LEARN, &(ballot, from, to)),
        Echo::Learned {
            ballot,
            first,
            values,
        } => put(head, LEARNED, &(ballot, first, heads(values, parts))),
        Echo::Offer { ballot, snapshot } => {
            let fields = (ballot, &snapshot.last, &snapshot.configurations);
            put(head, OFFER, &fields);
        }
    }
}

fn heads(values: &Entries, parts: &mut Vec<Bytes>) -> Vec<Head> {
    values
        .iter()
        .map(|value| value_head(value, parts))
        .collect()
}

fn value_head(value: &Value, parts: &mut Vec<Bytes>) -> Head {
    parts.push(value.body.clone());
    (
        kind_number(value.kind),
        value.origin,
        value.body.len() as u64,
    )
}

/// Decodes a message; `None` for an unknown kind, and unless the bytes are exactly one message.
pub(super) fn decode(bytes: &Bytes) -> Option<Message> {
    let (kind, fields) = bytes.split_first()?;
    match *kind {
        ACCEPT..=LEARNED => decode_with_bodies(*kind, bytes),
        HEARTBEAT..=SNAPSHOT | INVITE | SETTLE => {
            decode_replicate(*kind, fields).map(Message::Replicate)
        }
        PREPARE | ACCEPTED | SETTLED => decode_binding(*kind, fields).map(Message::Binding),
        _ => decode_echo(*kind, fields).map(Message::Echo),
    }
}

fn decode_with_bodies(kind: u8, bytes: &Bytes) -> Option<Message> {
    match kind {
        ACCEPT => {
            let (fields, bodies) = before_bodies(bytes)?;
            let (ballot, first, chosen, heads) = fields;
            let values = values(heads, bodies)?;
            let accept = Replicate::Accept {
                ballot,
                first,
                values,
                chosen,
            };
            Some(Message::Replicate(accept))
        }
        PROMISE => decode_promise(bytes).map(Message::Binding),
        _ => {
            let ((ballot, first, heads), bodies) = before_bodies(bytes)?;
            let values = values(heads, bodies)?;
            let learned = Echo::Learned {
                ballot,
                first,
                values,
            };
            Some(Message::Echo(learned))
        }
    }
}

fn values(AtMost(heads): Heads, mut bodies: Bodies) -> Option<Entries> {
    let values: Option<Vec<Value>> = heads
        .into_iter()
        .map(|head| value(head, &mut bodies))
        .collect();
    bodies.are_at_their_end().then_some(values?.into())
}

fn value((kind, origin, len): Head, bodies: &mut Bodies) -> Option<Value> {
    let (kind, body) = (kind_of(kind.into())?, bodies.take(len)?);
    Some(Value { kind, origin, body })
}

fn decode_promise(bytes: &Bytes) -> Option<Binding> {
    let (fields, mut bodies) = before_bodies(bytes)?;
    let (ballot, from, next, chosen, configurations, AtMost(votes)): (_, _, _, _, _, Votes) =
        fields;
    let vote = |(slot, ballot, head)| {
        let value = value(head, &mut bodies)?;
        Some(Vote {
            slot,
            ballot,
            value,
        })
    };
    let votes: Option<Vec<Vote>> = votes.into_iter().map(vote).collect();
    let promise = Binding::Promise {
        ballot,
        from,
        votes: votes?,
        next,
        chosen,
        configurations,
    };
    bodies.are_at_their_end().then_some(promise)
}

fn decode_replicate(kind: u8, fields: &[u8]) -> Option<Replicate> {
    Some(match kind {
        HEARTBEAT => {
            let (ballot, round, chosen, through, settled, lease) = whole(fields)?;
            Replicate::Heartbeat {
                ballot,
                round,
                chosen,
                through,
                settled,
                lease,
            }
        }
        CHOSEN => {
            let (ballot, chosen) = whole(fields)?;
            Replicate::Chosen { ballot, chosen }
        }
        SNAPSHOT => {
            let (ballot, snapshot) = decode_snapshot(fields)?;
            Replicate::Snapshot { ballot, snapshot }
        }
        SETTLE => {
            let (ballot, slot) = whole(fields)?;
            Replicate::Settle { ballot, slot }
        }
        INVITE => {
            let (ballot, round, chosen, last) = whole(fields)?;
            Replicate::Invite {
                ballot,
                round,
                chosen,
                last,
            }
        }
        _ => return None,
    })
}

fn decode_snapshot(fields: &[u8]) -> Option<(Ballot, Box<Snapshot>)> {
    let (ballot, last, configurations) = whole(fields)?;
    let snapshot = Snapshot {
        last,
        configurations,
    };
    Some((ballot, Box::new(snapshot)))
}

fn decode_binding(kind: u8, fields: &[u8]) -> Option<Binding> {
    Some(match kind {
        PREPARE => {
            let (ballot, from, number, invited) = whole(fields)?;
            Binding::Prepare {
                ballot,
                from,
                number,
                invited,
            }
        }
        SETTLED => {
            let (ballot, slot) = whole(fields)?;
            Binding::Settled { ballot, slot }
        }
        ACCEPTED => {
            let (ballot, first, last) = whole(fields)?;
            Binding::Accepted {
                ballot,
                first,
                last,
            }
        }
        _ => return None,
    })
}

fn decode_echo(kind: u8, fields: &[u8]) -> Option<Echo> {
    Some(match kind {
        ASK => {
            let (promised, attempt, disk) = whole(fields)?;
            Echo::Ask {
                promised,
                attempt,
                disk,
            }
        }
        ANSWER => {
            let (promised, attempt, no_leader, chosen, disk, priority) = whole(fields)?;
            Echo::Answer {
                promised,
                attempt,
                no_leader,
                chosen,
                disk,
                priority,
            }
        }
        HEARTBEAT_ECHO => {
            let (ballot, round, through, chosen, behind, disk, priority, lease) = whole(fields)?;
            Echo::Heartbeat {
                ballot,
                round,
                through,
                chosen,
                behind,
                disk,
                priority,
                lease,
            }
        }
        HOW_FAR => {
            let (promised, life, number) = whole(fields)?;
            Echo::HowFar {
                promised,
                life,
                number,
            }
        }
        VOTED => {
            let (promised, life, number, last) = whole(fields)?;
            Echo::Voted {
                promised,
                life,
                number,
                last,
            }
        }
        PREEMPTED => Echo::Preempted {
            promised: whole(fields)?,
        },
        REMOVED => {
            let (promised, number) = whole(fields)?;
            Echo::Removed { promised, number }
        }
        LEARN => {
            let (ballot, from, to) = whole(fields)?;
            Echo::Learn { ballot, from, to }
        }
        OFFER => {
            let (ballot, snapshot) = decode_snapshot(fields)?;
            Echo::Offer { ballot, snapshot }
        }
        _ => return None,
    })
}

/// The same numbers as in the tag of a slot.
pub(super) fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::Noop => 0,
        Kind::Command => 1,
        Kind::Configuration => 2,
    }
}

pub(super) fn kind_of(number: u64) -> Option<Kind> {
    let kinds = [Kind::Noop, Kind::Command, Kind::Configuration];
    kinds
        .into_iter()
        .find(|kind| u64::from(kind_number(*kind)) == number)
}
