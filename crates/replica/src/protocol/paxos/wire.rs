//! Messages of Paxos on the wire: the bodies of values follow a head, so that they are copied
//! nowhere.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use synod_paxos::{self as paxos, Binding, Echo, Message, Replicate};

use crate::protocol::OTHER_BYTES_MAX;
use crate::protocol::bounded::at_most;

const VALUES_MAX: usize = Replicate::VALUES_MAX;
/// The first variant of [`Wire`] that carries no bodies.
const OTHER: u8 = 3;

/// Whether bytes may be those of a message: what has no bodies is short. The variant stands first.
pub(super) fn may_be(bytes: &[u8]) -> bool {
    bytes.len() <= OTHER_BYTES_MAX || bytes.first().is_some_and(|variant| *variant < OTHER)
}

/// The head of a message.
#[derive(Serialize, Deserialize)]
pub(super) enum Wire<'a> {
    Accept {
        ballot: paxos::Ballot,
        first: paxos::Slot,
        chosen: paxos::Slot,
        #[serde(deserialize_with = "at_most::<_, _, VALUES_MAX>")]
        heads: Vec<ValueHead>,
    },
    Promise {
        ballot: paxos::Ballot,
        from: paxos::Slot,
        next: Option<paxos::Slot>,
        chosen: paxos::Slot,
        #[serde(deserialize_with = "at_most::<_, _, VALUES_MAX>")]
        votes: Vec<(paxos::Slot, paxos::Ballot, ValueHead)>,
    },
    Learned {
        ballot: paxos::Ballot,
        first: paxos::Slot,
        #[serde(deserialize_with = "at_most::<_, _, VALUES_MAX>")]
        heads: Vec<ValueHead>,
    },
    Other(Cow<'a, Message>),
}

#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct ValueHead {
    kind: paxos::Kind,
    origin: paxos::Ballot,
    len: u64,
}

/// The head, whose bodies go to `parts`.
pub(super) fn wire<'a>(message: &'a Message, parts: &mut Vec<Bytes>) -> Wire<'a> {
    let mut head = |value: &paxos::Value| {
        parts.push(value.body.clone());
        ValueHead {
            kind: value.kind,
            origin: value.origin,
            len: value.body.len() as u64,
        }
    };
    match message {
        Message::Replicate(Replicate::Accept {
            ballot,
            first,
            values,
            chosen,
        }) => Wire::Accept {
            ballot: *ballot,
            first: *first,
            chosen: *chosen,
            heads: values.iter().map(head).collect(),
        },
        Message::Binding(Binding::Promise {
            ballot,
            from,
            votes,
            next,
            chosen,
        }) => Wire::Promise {
            ballot: *ballot,
            from: *from,
            next: *next,
            chosen: *chosen,
            votes: votes
                .iter()
                .map(|vote| (vote.slot, vote.ballot, head(&vote.value)))
                .collect(),
        },
        Message::Echo(Echo::Learned {
            ballot,
            first,
            values,
        }) => Wire::Learned {
            ballot: *ballot,
            first: *first,
            heads: values.iter().map(head).collect(),
        },
        other => Wire::Other(Cow::Borrowed(other)),
    }
}

fn bodiless(message: Message) -> Option<Message> {
    let has_bodies = matches!(
        message,
        Message::Replicate(Replicate::Accept { .. })
            | Message::Binding(Binding::Promise { .. })
            | Message::Echo(Echo::Learned { .. })
    );
    (!has_bodies).then_some(message)
}

/// The message of a head and the bodies behind it, if they are as long as the head says.
pub(super) fn unwire(wire: Wire<'_>, bodies: Bytes) -> Option<Message> {
    let mut rest = bodies;
    let mut value = |head: ValueHead| {
        let len = usize::try_from(head.len).ok()?;
        let body = (len <= rest.len()).then(|| rest.split_to(len))?;
        Some(paxos::Value {
            kind: head.kind,
            origin: head.origin,
            body,
        })
    };
    let message = match wire {
        // What has bodies has its own form alone.
        Wire::Other(message) => bodiless(message.into_owned())?,
        Wire::Accept {
            ballot,
            first,
            chosen,
            heads,
        } => Message::Replicate(Replicate::Accept {
            ballot,
            first,
            values: heads.into_iter().map(value).collect::<Option<_>>()?,
            chosen,
        }),
        Wire::Promise {
            ballot,
            from,
            next,
            chosen,
            votes,
        } => {
            let vote = |(slot, ballot, head)| {
                let value = value(head)?;
                Some(paxos::Vote {
                    slot,
                    ballot,
                    value,
                })
            };
            Message::Binding(Binding::Promise {
                ballot,
                from,
                votes: votes.into_iter().map(vote).collect::<Option<_>>()?,
                next,
                chosen,
            })
        }
        Wire::Learned {
            ballot,
            first,
            heads,
        } => Message::Echo(Echo::Learned {
            ballot,
            first,
            values: heads.into_iter().map(value).collect::<Option<_>>()?,
        }),
    };
    rest.is_empty().then_some(message)
}
