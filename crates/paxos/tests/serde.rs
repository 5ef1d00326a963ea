//! The feature `serde`: every message, with all that it carries, survives a round trip through
//! every format.

#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Debug;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use synod_paxos::{
    Ballot, Binding, Configuration, Configurations, DiskHealth, Echo, Envelope, Kind, Membership,
    Message, NodeId, Position, Quorums, Replicate, Slot, Snapshot, Value, Vote,
};

/// Checks a round trip through the common kinds of formats: text and binary, self-describing or
/// not.
fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let json = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), value, "{json}");
    let mut cbor = Vec::new();
    ciborium::into_writer(value, &mut cbor).unwrap();
    assert_eq!(&ciborium::from_reader::<T, _>(&cbor[..]).unwrap(), value);
    let message_pack = rmp_serde::to_vec(value).unwrap();
    assert_eq!(&rmp_serde::from_slice::<T>(&message_pack).unwrap(), value);
    let postcard = postcard::to_stdvec(value).unwrap();
    assert_eq!(&postcard::from_bytes::<T>(&postcard).unwrap(), value);
    let bincode = bincode::serialize(value).unwrap();
    assert_eq!(&bincode::deserialize::<T>(&bincode).unwrap(), value);
}

fn to_two(message: Message) -> Envelope {
    let to = NodeId(2);
    Envelope { to, message }
}

const BALLOT: Ballot = Ballot {
    round: 7,
    node: NodeId(3),
};

fn value(body: &'static [u8]) -> Value {
    Value {
        kind: Kind::Command,
        origin: BALLOT,
        body: Bytes::from_static(body),
    }
}

fn snapshot() -> Snapshot {
    Snapshot {
        last: Position {
            slot: Slot(9),
            origin: BALLOT,
        },
        configurations: Configurations::first(Configuration::first(Membership::of(
            Quorums::majority((1..4).map(NodeId)).unwrap(),
        ))),
    }
}

#[test]
fn what_a_leader_sends_comes_back() {
    let (ballot, chosen, through) = (BALLOT, Slot(2), Slot(u64::MAX));
    for replicate in [
        Replicate::Accept {
            ballot,
            first: Slot(3),
            values: vec![value(b""), value(b"\x00\xffset")].into(),
            chosen,
        },
        Replicate::Heartbeat {
            ballot,
            round: u64::MAX,
            chosen,
            through,
            settled: 0,
            lease: std::time::Duration::from_millis(7),
        },
        Replicate::Chosen { ballot, chosen },
        Replicate::Invite {
            ballot,
            round: 4,
            chosen,
            last: Slot(9),
        },
        Replicate::Snapshot {
            ballot,
            snapshot: Box::new(snapshot()),
        },
    ] {
        comes_back(&to_two(Message::Replicate(replicate)));
    }
}

#[test]
fn what_is_promised_comes_back() {
    let (ballot, from, chosen) = (BALLOT, Slot(4), Slot(2));
    let vote = Vote {
        slot: from,
        ballot,
        value: value(b"x"),
    };
    for binding in [
        Binding::Prepare {
            ballot,
            from,
            number: 0,
            invited: Some(ballot),
        },
        Binding::Promise {
            ballot,
            from,
            votes: vec![vote],
            next: Some(Slot(9)),
            chosen,
            configurations: Some(Box::new(snapshot().configurations)),
        },
        Binding::Settled { ballot, slot: from },
        Binding::Accepted {
            ballot,
            first: from,
            last: Slot(5),
        },
    ] {
        comes_back(&to_two(Message::Binding(binding)));
    }
}

#[test]
fn what_is_asked_and_answered_comes_back() {
    let (ballot, from, chosen) = (BALLOT, Slot(4), Slot(2));
    let (promised, attempt) = (BALLOT, 5);
    let disk = DiskHealth {
        has_room: false,
        sync_time: std::time::Duration::from_micros(1_500),
    };
    for echo in [
        Echo::Ask {
            promised,
            attempt,
            disk,
        },
        Echo::Answer {
            promised,
            attempt,
            no_leader: true,
            chosen,
            disk,
            priority: None,
        },
        Echo::Heartbeat {
            ballot,
            round: 1,
            through: from,
            chosen,
            behind: false,
            disk,
            priority: Some(100),
            lease: std::time::Duration::ZERO,
        },
        Echo::Preempted { promised },
        Echo::Removed {
            promised,
            number: 3,
        },
        Echo::Learn {
            ballot,
            from,
            to: Slot(6),
        },
        Echo::Learned {
            ballot,
            first: from,
            values: vec![value(b"y")].into(),
        },
        Echo::Offer {
            ballot,
            snapshot: Box::new(snapshot()),
        },
    ] {
        comes_back(&to_two(Message::Echo(echo)));
    }
}
