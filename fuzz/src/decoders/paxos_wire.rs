//! Multi-Paxos' messages on the wire, and the quorum systems in its snapshots and values.

use bytes::Bytes;
use synod_paxos::{
    Ballot, Binding, Configuration, Configurations, Echo, Kind, Membership, Message, NodeId, Paxos,
    Position, Quorums, Replicate, Slot, Snapshot, Value, Vote,
};
use synod_replica::embed::Protocol;

use crate::memory::bounded;

/// First byte: a quorum system or a message.
pub(crate) fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else {
        return;
    };
    if kind & 1 == 0 {
        let Ok(quorums) = bounded(bytes.len(), || Quorums::decode(bytes)) else {
            return;
        };
        assert_eq!(Quorums::decode(&quorums.encode()), Ok(quorums));
        return;
    }
    let Some(message) = bounded(bytes.len(), || {
        <Paxos as Protocol>::decode(Bytes::copy_from_slice(bytes))
    }) else {
        return;
    };
    let again = encode(&message);
    assert_eq!(
        <Paxos as Protocol>::decode(again.into()),
        Some(message),
        "what is read can be said"
    );
}

pub(crate) fn encode(message: &Message) -> Vec<u8> {
    let (mut head, mut parts) = (Vec::new(), Vec::new());
    <Paxos as Protocol>::encode(message, &mut head, &mut parts);
    parts.iter().for_each(|part| head.extend_from_slice(part));
    head
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let nodes = [1, 2, 3, 4].map(NodeId);
    let systems = [
        Quorums::majority(nodes),
        Quorums::flexible(nodes, 3, 2),
        Quorums::grid([&nodes[..2], &nodes[2..]].map(|row| row.iter().copied())),
        Quorums::weighted([(nodes[0], 2), (nodes[1], 1), (nodes[2], 1)], 3, 2),
    ];
    let systems = systems.iter().flatten();
    let mut seeds: Vec<_> = systems
        .map(|quorums| [&[0][..], &quorums.encode()].concat())
        .collect();
    seeds.extend(messages().iter().map(|message| {
        let mut seed = vec![1];
        seed.extend(encode(message));
        seed
    }));
    seeds
}

fn configurations() -> Configurations {
    let quorums = Quorums::majority([1, 2, 3].map(NodeId)).expect("three nodes");
    Configurations::first(Configuration::first(Membership::of(quorums)))
}

/// One of each sort.
pub(crate) fn messages() -> Vec<Message> {
    let ballot = Ballot {
        round: 3,
        node: NodeId(2),
    };
    let value = |kind, body: &'static [u8]| Value {
        kind,
        origin: ballot,
        body: Bytes::from_static(body),
    };
    let vote = |slot, value| Vote {
        slot: Slot(slot),
        ballot,
        value,
    };
    let snapshot = || Snapshot {
        last: Position {
            slot: Slot(9),
            origin: ballot,
        },
        configurations: configurations(),
    };
    vec![
        Message::Replicate(Replicate::Accept {
            ballot,
            first: Slot(4),
            values: vec![value(Kind::Noop, b""), value(Kind::Command, b"hello")].into(),
            chosen: Slot(3),
        }),
        Message::Replicate(Replicate::Snapshot {
            ballot,
            snapshot: Box::new(snapshot()),
        }),
        Message::Binding(Binding::Promise {
            ballot,
            from: Slot(4),
            votes: vec![
                vote(4, value(Kind::Command, b"a")),
                vote(6, value(Kind::Command, b"bc")),
            ],
            next: Some(Slot(8)),
            chosen: Slot(3),
            configurations: Some(Box::new(configurations())),
        }),
        Message::Replicate(Replicate::Settle {
            ballot,
            slot: Slot(9),
        }),
        Message::Binding(Binding::Settled {
            ballot,
            slot: Slot(9),
        }),
        Message::Echo(Echo::Removed {
            promised: ballot,
            number: 2,
        }),
        Message::Echo(Echo::Learned {
            ballot,
            first: Slot(70_000),
            values: vec![value(Kind::Command, b"x")].into(),
        }),
        Message::Echo(Echo::Offer {
            ballot,
            snapshot: Box::new(snapshot()),
        }),
    ]
}
