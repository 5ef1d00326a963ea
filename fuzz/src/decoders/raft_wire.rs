//! Raft's messages on the wire, and the membership in its snapshots.

use bytes::Bytes;
use synod_raft::{
    Binding, Change, Echo, Entry, Index, Kind, LogId, Membership, Message, NodeId, Raft, Replicate,
    Snapshot, Term,
};
use synod_replica::embed::Protocol;

use crate::memory::bounded;

/// First byte: a membership or a message.
pub(crate) fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    if kind & 1 == 0 {
        let Ok(membership) = bounded(bytes.len(), || Membership::decode(bytes)) else {
            return;
        };
        assert_eq!(Membership::decode(&membership.encode()), Ok(membership));
        return;
    }
    let Some(message) = bounded(bytes.len(), || {
        <Raft as Protocol>::decode(Bytes::copy_from_slice(bytes))
    }) else {
        return;
    };
    let again = encode(&message);
    assert_eq!(
        <Raft as Protocol>::decode(again.into()),
        Some(message),
        "what is read can be said"
    );
}

pub(crate) fn encode(message: &Message) -> Vec<u8> {
    let (mut head, mut parts) = (Vec::new(), Vec::new());
    <Raft as Protocol>::encode(message, &mut head, &mut parts);
    parts.iter().for_each(|part| head.extend_from_slice(part));
    head
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let membership = Membership::of_voters([1, 2, 3].map(NodeId));
    let changing = Membership {
        change: Some(Box::new(Change {
            is_joint: true,
            voters: [2, 4].map(NodeId).into(),
            learners: [5].map(NodeId).into(),
        })),
        contexts: [(NodeId(4), Bytes::from_static(b"address"))].into(),
        highest: NodeId(9),
        ..membership.clone()
    };
    let memberships = [membership, changing];
    let seed = |it: &Membership| [&[0][..], &it.encode()].concat();
    let mut seeds: Vec<_> = memberships.iter().map(seed).collect();
    seeds.extend(messages().iter().map(|message| {
        let mut seed = vec![1];
        seed.extend(encode(message));
        seed
    }));
    seeds
}

/// One of each sort.
pub(crate) fn messages() -> Vec<Message> {
    let id = |term, index| LogId {
        term: Term(term),
        index: Index(index),
    };
    let entry = |index, kind, body: &'static [u8]| Entry {
        id: id(2, index),
        kind,
        body: Bytes::from_static(body),
    };
    let membership = Membership::of_voters([1, 2, 3].map(NodeId));
    vec![
        Message::Replicate(Replicate::Append {
            term: Term(2),
            prev: id(1, 3),
            entries: [entry(4, Kind::Noop, b""), entry(5, Kind::Command, b"hello")]
                .into_iter()
                .collect(),
            commit: Index(3),
        }),
        Message::Replicate(Replicate::Snapshot {
            term: Term(300),
            snapshot: Box::new(Snapshot {
                last: id(2, 9),
                membership,
            }),
        }),
        Message::Binding(Binding::Appended {
            term: Term(2),
            last: Index(70_000),
        }),
        Message::Echo(Echo::Rejected {
            term: Term(2),
            prev: id(2, 5),
            hint: id(1, 3),
        }),
        Message::Echo(Echo::Removed { term: Term(3) }),
        Message::Echo(Echo::Left { term: Term(3) }),
    ]
}
