//! The feature `serde`: every message, with all that it carries, survives a round trip through
//! every format.

#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use synod_raft::{
    Binding, Change, DiskHealth, Echo, Entry, Envelope, Index, Kind, LogId, Membership, Message,
    NodeId, Replicate, Snapshot, Term,
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

const TERM: Term = Term(7);

fn id(index: u64) -> LogId {
    let index = Index(index);
    LogId { term: TERM, index }
}

#[test]
fn what_a_leader_sends_comes_back() {
    let nodes = |range: std::ops::Range<u64>| range.map(NodeId).collect::<BTreeSet<_>>();
    let membership = Membership {
        learners: nodes(7..8),
        change: Some(Box::new(Change {
            is_joint: true,
            voters: nodes(2..6),
            learners: nodes(8..9),
        })),
        contexts: BTreeMap::from([(NodeId(3), Bytes::from_static(b"\x00\xffaddress"))]),
        highest: NodeId(u64::MAX),
        ..Membership::of_voters(nodes(1..4))
    };
    let entry = |index, kind, body: &'static [u8]| Entry {
        id: id(index),
        kind,
        body: Bytes::from_static(body),
    };
    let entries = vec![
        entry(4, Kind::Noop, b""),
        entry(5, Kind::Command, b"\x00\xffset"),
    ];
    let (prev, commit, matched) = (id(3), Index(2), Index(u64::MAX));
    let lease = std::time::Duration::from_millis(150);
    for replicate in [
        Replicate::Append {
            term: TERM,
            prev,
            entries: entries.into(),
            commit,
        },
        Replicate::Heartbeat {
            term: TERM,
            round: u64::MAX,
            commit,
            matched,
            lease,
        },
        Replicate::Commit { term: TERM, commit },
        Replicate::Snapshot {
            term: TERM,
            snapshot: Box::new(Snapshot {
                last: prev,
                membership,
            }),
        },
        Replicate::TimeoutNow {
            term: TERM,
            round: 4,
            last: Index(9),
        },
    ] {
        comes_back(&to_two(Message::Replicate(replicate)));
    }
}

#[test]
fn what_is_answered_comes_back() {
    let (term, last) = (TERM, id(9));
    for binding in [
        Binding::RequestVote {
            term,
            last,
            transfer: true,
        },
        Binding::Vote {
            term,
            granted: true,
        },
        Binding::Appended {
            term,
            last: Index(9),
        },
        Binding::Installed { term, last },
    ] {
        comes_back(&to_two(Message::Binding(binding)));
    }
    let (prev, hint, matched) = (id(8), id(3), Index(3));
    let lease = std::time::Duration::from_nanos(1);
    let disk = DiskHealth {
        has_room: false,
        sync_time: std::time::Duration::from_micros(1_500),
    };
    for echo in [
        Echo::Heartbeat {
            term,
            round: 4,
            matched,
            disk,
            lease,
            priority: Some(255),
        },
        Echo::Rejected { term, prev, hint },
        Echo::Stale { term },
        Echo::Forgot {
            term,
            acknowledged: Index(9),
            holds: Index(4),
        },
        Echo::RequestPreVote { term, last, disk },
        Echo::PreVote {
            term,
            granted: false,
            disk,
            priority: None,
        },
    ] {
        comes_back(&to_two(Message::Echo(echo)));
    }
}
