use super::*;

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

/// The records that the next write becomes, each as a list of its operations.
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
            let vote = vote(slot).unwrap();
            format!("{index} in {} of {}", vote.ballot, vote.value.origin)
        }
        other => format!("{other:?}"),
    }
}

/// A crash may leave any prefix of the records: values completed by these votes are not recorded as
/// chosen before the last record is there.
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

/// Pinned: a directory written by this version must be readable by the next, or refused by its
/// version.
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
    assert_eq!(vote(Slot { index, tag, body }).unwrap(), written);

    let promised = paxos::State {
        promised: ballot(7, 8),
        chosen: paxos::Slot(9),
    };
    let Op::State(tag) = tags::state(promised) else {
        panic!()
    };
    let golden = *b"\x07\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    assert_eq!(tag.0, golden);
}

/// Both are stored in one word.
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
        assert_eq!(vote(Slot { index, tag, body }).unwrap(), written);
    }
}

fn encoded(message: &Message) -> Bytes {
    let mut head = Vec::new();
    Paxos::encode(message, &mut head, &mut Vec::new());
    head.into()
}

/// The three messages that carry values, with this many empty ones.
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
            configurations: None,
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

/// Pinned: the next version must understand the messages of this one. A new kind takes the next
/// number.
#[test]
fn every_message_has_its_bytes() {
    let mut messages = messages();
    messages.sort_by_key(|(_, golden)| golden[0]);
    for (at, (message, golden)) in messages.into_iter().enumerate() {
        let mut head = Vec::new();
        let mut parts = Vec::new();
        Paxos::encode(&message, &mut head, &mut parts);
        let bytes = [&head[..], &parts.concat()].concat();
        assert_eq!(bytes, golden, "{message:?}");
        assert_eq!(usize::from(bytes[0]), at, "one of each kind");
        assert_eq!(Paxos::decode(bytes.clone().into()), Some(message));
        for cut in 0..bytes.len() {
            assert_eq!(Paxos::decode(bytes[..cut].to_vec().into()), None, "{cut}");
        }
        assert_eq!(Paxos::decode([&bytes[..], &[0]].concat().into()), None);
    }
    assert_eq!(Paxos::decode(vec![18; 9].into()), None, "an unknown kind");
}

/// One message of each kind, with its bytes. 300 is encoded as two bytes, 0xac 2.
fn messages() -> Vec<(Message, Vec<u8>)> {
    let replicated = replicated().map(|(message, golden)| (Message::Replicate(message), golden));
    let binding = binding().map(|(message, golden)| (Message::Binding(message), golden));
    let echoes = echoes().into_iter().chain(inquiries());
    let echoes = echoes.map(|(message, golden)| (Message::Echo(message), golden));
    let invite = Replicate::Invite {
        ballot: BALLOT,
        round: 7,
        chosen: CHOSEN,
        last: FIRST,
    };
    let golden = &[14, 5, 6, 7, 2, 0xac, 2][..];
    let transfer = (Message::Replicate(invite), golden);
    let all = replicated.into_iter().chain(binding).chain(echoes);
    let all = all.chain([transfer]);
    all.map(|(message, golden)| (message, golden.to_vec()))
        .collect()
}

const BALLOT: paxos::Ballot = paxos::Ballot {
    round: 5,
    node: paxos::NodeId(6),
};
const ORIGIN: paxos::Ballot = paxos::Ballot {
    round: 4,
    node: paxos::NodeId(3),
};
const FIRST: paxos::Slot = paxos::Slot(300);
const CHOSEN: paxos::Slot = paxos::Slot(2);
const LEASE: std::time::Duration = std::time::Duration::from_nanos(3);
const DISK: paxos::DiskHealth = paxos::DiskHealth {
    has_room: true,
    sync_time: std::time::Duration::new(1, 9),
};

fn value(kind: paxos::Kind, body: &'static str) -> paxos::Value {
    paxos::Value {
        kind,
        origin: ORIGIN,
        body: Bytes::from_static(body.as_bytes()),
    }
}

fn values() -> paxos::Entries {
    let values = vec![
        value(paxos::Kind::Noop, ""),
        value(paxos::Kind::Command, "ab"),
        value(paxos::Kind::Configuration, "c"),
    ];
    values.into()
}

fn configurations(quorums: paxos::Quorums) -> paxos::Configurations {
    let membership = paxos::Membership::of(quorums);
    paxos::Configurations::first(paxos::Configuration::first(membership))
}

fn snapshot() -> Box<paxos::Snapshot> {
    let quorums = paxos::Quorums::majority([paxos::NodeId(9)]).unwrap();
    Box::new(paxos::Snapshot {
        last: paxos::Position {
            slot: FIRST,
            origin: ORIGIN,
        },
        configurations: configurations(quorums),
    })
}

fn replicated() -> [(Replicate, &'static [u8]); 5] {
    let (ballot, first, chosen) = (BALLOT, FIRST, CHOSEN);
    let accept = Replicate::Accept {
        ballot,
        first,
        values: values(),
        chosen,
    };
    let heartbeat = Replicate::Heartbeat {
        ballot,
        round: 7,
        chosen,
        through: FIRST,
        settled: 8,
        lease: LEASE,
    };
    let slot = FIRST;
    let snapshot = snapshot();
    [
        (
            accept,
            b"\0\x05\x06\xac\x02\x02\x03\0\x04\x03\0\x01\x04\x03\x02\x02\x04\x03\x01abc",
        ),
        (heartbeat, &[3, 5, 6, 7, 2, 0xac, 2, 8, 0, 3]),
        (Replicate::Settle { ballot, slot }, &[15, 5, 6, 0xac, 2]),
        (Replicate::Chosen { ballot, chosen }, &[4, 5, 6, 2]),
        (
            Replicate::Snapshot { ballot, snapshot },
            b"\x05\x05\x06\xac\x02\x04\x03\x54\x01\0\0\0\0\0\0\0\0\x01\x01\0\0\0\0\0\0\0\x40\0\
              \x01\0\0\0\0\0\0\0\0\0\x20\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x23\0\0\0\x01\x09\0\0\0\
              \0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0",
        ),
    ]
}

fn binding() -> [(Binding, &'static [u8]); 4] {
    let (ballot, from, chosen) = (BALLOT, FIRST, CHOSEN);
    let vote = paxos::Vote {
        slot: paxos::Slot(301),
        ballot: ORIGIN,
        value: value(paxos::Kind::Command, "ab"),
    };
    let promise = Binding::Promise {
        ballot,
        from,
        votes: vec![vote],
        next: Some(paxos::Slot(302)),
        chosen,
        configurations: Some(snapshot().configurations.into()),
    };
    let (number, slot) = (8, FIRST);
    let prepare = Binding::Prepare {
        ballot,
        from,
        number,
        invited: Some(ORIGIN),
    };
    let accepted = Binding::Accepted {
        ballot,
        first: CHOSEN,
        last: FIRST,
    };
    [
        (
            promise,
            b"\x01\x05\x06\xac\x02\x01\xae\x02\x02\x01\x54\x01\0\0\0\0\0\0\0\0\x01\x01\0\0\0\0\
              \0\0\0\x40\0\x01\0\0\0\0\0\0\0\0\0\x20\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x23\0\0\0\
              \x01\x09\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\
              \x01\xad\x02\x04\x03\x01\x04\x03\x02ab",
        ),
        (prepare, &[6, 5, 6, 0xac, 2, 8, 1, 4, 3]),
        (Binding::Settled { ballot, slot }, &[16, 5, 6, 0xac, 2]),
        (accepted, &[7, 5, 6, 2, 0xac, 2]),
    ]
}

fn inquiries() -> [(Echo, &'static [u8]); 2] {
    let (promised, life, number) = (BALLOT, 300, 8);
    let how_far = Echo::HowFar {
        promised,
        life,
        number,
    };
    let voted = Echo::Voted {
        promised,
        life,
        number,
        last: CHOSEN,
    };
    [
        (how_far, &[18, 5, 6, 0xac, 2, 8]),
        (voted, &[19, 5, 6, 0xac, 2, 8, 2]),
    ]
}

fn echoes() -> [(Echo, &'static [u8]); 8] {
    let (ballot, promised, disk) = (BALLOT, BALLOT, DISK);
    let learned = Echo::Learned {
        ballot,
        first: FIRST,
        values: values(),
    };
    let ask = Echo::Ask {
        promised,
        attempt: 7,
        disk,
    };
    let answer = Echo::Answer {
        promised,
        attempt: 7,
        no_leader: true,
        chosen: CHOSEN,
        disk,
        priority: Some(200),
    };
    let heartbeat = Echo::Heartbeat {
        ballot,
        round: 7,
        through: FIRST,
        chosen: CHOSEN,
        behind: false,
        disk,
        priority: None,
        lease: LEASE,
    };
    let learn = Echo::Learn {
        ballot,
        from: CHOSEN,
        to: FIRST,
    };
    let snapshot = snapshot();
    [
        (
            learned,
            b"\x02\x05\x06\xac\x02\x03\0\x04\x03\0\x01\x04\x03\x02\x02\x04\x03\x01abc",
        ),
        (ask, &[8, 5, 6, 7, 1, 1, 9]),
        (answer, &[9, 5, 6, 7, 1, 2, 1, 1, 9, 1, 200]),
        (heartbeat, &[10, 5, 6, 7, 0xac, 2, 2, 0, 1, 1, 9, 0, 0, 3]),
        (Echo::Preempted { promised }, &[11, 5, 6]),
        (
            Echo::Removed {
                promised,
                number: 8,
            },
            &[17, 5, 6, 8],
        ),
        (learn, &[12, 5, 6, 2, 0xac, 2]),
        (
            Echo::Offer { ballot, snapshot },
            b"\x0d\x05\x06\xac\x02\x04\x03\x54\x01\0\0\0\0\0\0\0\0\x01\x01\0\0\0\0\0\0\0\x40\0\
              \x01\0\0\0\0\0\0\0\0\0\x20\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x23\0\0\0\x01\x09\0\0\0\
              \0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0",
        ),
    ]
}

/// A later version may have written it, and this one must not mistake it for something else.
#[test]
fn a_vote_of_an_unknown_kind_is_refused() {
    let slot = Slot {
        index: 3,
        tag: tags::tag([1, 1, 3 << 62, 1]),
        body: Bytes::new(),
    };
    let refused = vote(slot).unwrap_err();
    let source = std::error::Error::source(&refused).unwrap().to_string();
    assert_eq!(
        source,
        "the entry at index 3 has kind 3, which this version does not know"
    );
}
