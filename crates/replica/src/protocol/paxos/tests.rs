use super::*;
use crate::protocol::OTHER_BYTES_MAX;

/// A follower.
fn follower() -> Paxos {
    let quorums = paxos::Quorums::majority((1..=3).map(paxos::NodeId)).unwrap();
    let config = paxos::Config::new(paxos::NodeId(2), quorums);
    let recovered = Recovered {
        state: None,
        start: Position::default(),
        snapshot: None,
        slots: Box::new(std::iter::empty()),
    };
    <Paxos as Protocol>::recover(config, recovered, Instant::default()).unwrap()
}

/// The records that the next write becomes, each as its operations.
fn persist(core: &mut Paxos, now: Instant, record_bytes_max: usize) -> Vec<Vec<String>> {
    let mut records = Vec::new();
    while let Some(output) = Protocol::poll_output(core) {
        let Output::Persist(write) = output else {
            continue;
        };
        let append = |ops: &mut dyn Iterator<Item = Op<'_>>| {
            records.push(ops.map(shown).collect());
            Ok::<_, LogError>(Lsn(records.len() as u64))
        };
        let staged = Paxos::stage(write, record_bytes_max, append).unwrap();
        let Ok((_, receipt)) = Paxos::release(staged, Lsn(u64::MAX)) else {
            panic!("everything is durable")
        };
        Protocol::handle_persisted(core, now, receipt);
    }
    records
}

fn shown(op: Op<'_>) -> String {
    match op {
        Op::State(tag) => {
            let [round, node, chosen, _] = untag(&tag);
            format!("promised {round}.{node}, chosen {chosen}")
        }
        Op::Put { index, tag, body } => {
            let slot = Slot {
                index,
                tag,
                body: Bytes::copy_from_slice(body),
            };
            let vote = vote(slot);
            format!("{index} in {} of {}", vote.ballot, vote.value.origin)
        }
        other => format!("{other:?}"),
    }
}

/// A crash may leave any prefix of them: what these votes complete is not called chosen before the
/// last of them is there.
#[test]
fn a_write_in_several_records_claims_nothing_that_a_later_one_holds() {
    let accept = |first: u64| {
        let value = paxos::Value {
            kind: paxos::Kind::Command,
            origin: ballot(1, 1),
            body: Bytes::from(vec![0; 300]),
        };
        Message::Replicate(Replicate::Accept {
            ballot: ballot(1, 1),
            first: paxos::Slot(first),
            values: vec![value; 3].into(),
            chosen: paxos::Slot(first + 2),
        })
    };
    let (now, from) = (Instant::default(), NodeId(1));
    let mut core = follower();
    Protocol::handle_message(&mut core, now, from, accept(1));
    let whole = [
        "promised 1.1, chosen 0",
        "1 in 1.1 of 1.1",
        "2 in 1.1 of 1.1",
        "3 in 1.1 of 1.1",
        "promised 1.1, chosen 3",
    ];
    assert_eq!(persist(&mut core, now, 1 << 20), [whole]);
    Protocol::handle_message(&mut core, now, from, accept(4));
    let parts = [
        vec![
            "promised 1.1, chosen 3",
            "4 in 1.1 of 1.1",
            "5 in 1.1 of 1.1",
        ],
        vec!["6 in 1.1 of 1.1", "promised 1.1, chosen 6"],
    ];
    assert_eq!(persist(&mut core, now, 1000), parts);
}

/// Pinned: a directory written by this version is read by the next, or refused by its version.
#[test]
fn tags_are_as_the_table_says() {
    let value = paxos::Value {
        kind: paxos::Kind::Command,
        origin: ballot(3, 4),
        body: Bytes::new(),
    };
    let written = paxos::Vote {
        slot: paxos::Slot(9),
        ballot: ballot(5, 6),
        value,
    };
    let Op::Put { index, tag, body } = put(written.by_ref()) else {
        panic!()
    };
    let golden = *b"\x05\0\0\0\0\0\0\0\x06\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\x40\x04\0\0\0\0\0\0\0";
    assert_eq!((index, tag.0), (9, golden));
    let body = Bytes::copy_from_slice(body);
    assert_eq!(vote(Slot { index, tag, body }), written);

    let promised = paxos::State {
        promised: ballot(7, 8),
        chosen: paxos::Slot(9),
    };
    let Op::State(tag) = state(promised) else {
        panic!()
    };
    let golden = *b"\x07\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    assert_eq!(tag.0, golden);
}

/// They are in one word.
#[test]
fn the_last_round_leaves_room_for_the_kind() {
    let kinds = [
        paxos::Kind::Noop,
        paxos::Kind::Command,
        paxos::Kind::Configuration,
    ];
    for kind in kinds {
        let last = ballot(paxos::Ballot::ROUND_MAX, 4);
        let value = paxos::Value {
            kind,
            origin: last,
            body: Bytes::new(),
        };
        let written = paxos::Vote {
            slot: paxos::Slot(9),
            ballot: last,
            value,
        };
        let Op::Put { index, tag, .. } = put(written.by_ref()) else {
            panic!()
        };
        let body = Bytes::new();
        assert_eq!(vote(Slot { index, tag, body }), written);
    }
}

fn encoded(message: &Message) -> Bytes {
    let mut head = Vec::new();
    Paxos::encode(message, &mut head, &mut Vec::new());
    head.into()
}

/// The three messages that carry values, with so many empty ones.
fn with_values(count: usize) -> [Message; 3] {
    let ballot = ballot(2, 1);
    let value = paxos::Value {
        kind: paxos::Kind::Noop,
        origin: ballot,
        body: Bytes::new(),
    };
    let (first, chosen) = (paxos::Slot(1), paxos::Slot(0));
    let values = vec![value; count];
    let vote = |(at, value): (usize, &paxos::Value)| paxos::Vote {
        slot: paxos::Slot(1 + at as u64),
        ballot,
        value: value.clone(),
    };
    let votes = values.iter().enumerate().map(vote);
    [
        Message::Binding(Binding::Promise {
            ballot,
            from: first,
            votes: votes.collect(),
            next: None,
            chosen,
        }),
        Message::Echo(Echo::Learned {
            ballot,
            first,
            values: values.clone().into(),
        }),
        Message::Replicate(Replicate::Accept {
            ballot,
            first,
            values: values.into(),
            chosen,
        }),
    ]
}

/// Empty values are small on the wire and large in memory.
#[test]
fn a_message_of_too_many_values_is_refused() {
    let most = Replicate::VALUES_MAX;
    for message in with_values(most) {
        assert_eq!(Paxos::decode(encoded(&message)), Some(message));
    }
    for message in with_values(most + 1) {
        assert_eq!(Paxos::decode(encoded(&message)), None);
    }
}

/// The form of messages without bodies has no bound on values, but one on bytes.
#[test]
fn what_has_bodies_has_one_form() {
    for few in with_values(2) {
        let wire = Wire::Other(std::borrow::Cow::Borrowed(&few));
        let other = postcard::to_allocvec(&wire).unwrap();
        assert_eq!(Paxos::decode(other.into()), None);
        assert!(wire::may_be(&encoded(&few)));
    }
    assert!(!wire::may_be(&[3; OTHER_BYTES_MAX + 1]));
    assert!(wire::may_be(&[3; OTHER_BYTES_MAX]));
    assert!(wire::may_be(&[2; OTHER_BYTES_MAX + 1]));
}
