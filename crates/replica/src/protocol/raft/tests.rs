use super::*;

fn append(entries: usize) -> raft::Message {
    let entry = |at: usize| raft::Entry {
        id: raft::LogId {
            term: raft::Term(1),
            index: raft::Index(at as u64),
        },
        kind: raft::Kind::Command,
        body: Bytes::new(),
    };
    raft::Message::Replicate(raft::Replicate::Append {
        term: raft::Term(1),
        prev: raft::LogId::ZERO,
        entries: (1..=entries).map(entry).collect(),
        commit: raft::Index(0),
    })
}

fn encoded(message: &raft::Message) -> Bytes {
    let mut head = Vec::new();
    Raft::encode(message, &mut head, &mut Vec::new());
    head.into()
}

/// Empty entries are small on the wire and large in memory.
#[test]
fn an_append_of_too_many_entries_is_refused() {
    let entries_max = raft::Replicate::ENTRIES_MAX;
    let most = append(entries_max);
    assert_eq!(Raft::decode(encoded(&most)), Some(most));
    assert_eq!(Raft::decode(encoded(&append(entries_max + 1))), None);
}

/// Pinned: the next version must understand the messages of this one. A new kind takes the next
/// number.
#[test]
fn every_message_has_its_bytes() {
    for (at, (message, golden)) in messages().into_iter().enumerate() {
        let mut head = Vec::new();
        let mut parts = Vec::new();
        Raft::encode(&message, &mut head, &mut parts);
        let bytes = [&head[..], &parts.concat()].concat();
        assert_eq!(bytes, golden, "{message:?}");
        assert_eq!(usize::from(bytes[0]), at, "one of each kind");
        assert_eq!(Raft::decode(bytes.clone().into()), Some(message));
        for cut in 0..bytes.len() {
            assert_eq!(Raft::decode(bytes[..cut].to_vec().into()), None, "{cut}");
        }
        assert_eq!(Raft::decode([&bytes[..], &[0]].concat().into()), None);
    }
    assert_eq!(Raft::decode(vec![17; 9].into()), None, "an unknown kind");
}

/// One message of each kind, with its bytes. 300 is encoded as two bytes, 0xac 2.
fn messages() -> Vec<(raft::Message, Vec<u8>)> {
    let replicated =
        replicated().map(|(message, golden)| (raft::Message::Replicate(message), golden));
    let binding = binding().map(|(message, golden)| (raft::Message::Binding(message), golden));
    let echoes = echoes().map(|(message, golden)| (raft::Message::Echo(message), golden));
    let timeout_now = raft::Replicate::TimeoutNow {
        term: TERM,
        round: 7,
        last: raft::Index(300),
    };
    let golden = &[14, 5, 7, 0xac, 2][..];
    let transfer = (raft::Message::Replicate(timeout_now), golden);
    let all = replicated.into_iter().chain(binding).chain(echoes);
    let removed = raft::Message::Echo(raft::Echo::Removed { term: TERM });
    let left = raft::Message::Echo(raft::Echo::Left { term: TERM });
    let all = all.chain([transfer, (removed, &[15, 5]), (left, &[16, 5])]);
    all.map(|(message, golden)| (message, golden.to_vec()))
        .collect()
}

const TERM: raft::Term = raft::Term(5);
const LAST: raft::LogId = raft::LogId {
    term: raft::Term(4),
    index: raft::Index(300),
};
const LEASE: std::time::Duration = std::time::Duration::from_nanos(3);
const DISK: raft::DiskHealth = raft::DiskHealth {
    has_room: true,
    sync_time: std::time::Duration::new(1, 9),
};

fn replicated() -> [(raft::Replicate, &'static [u8]); 4] {
    let (term, commit) = (TERM, raft::Index(300));
    let (round, matched) = (7, raft::Index(2));
    let entry = |index: u64, kind, body: &'static str| raft::Entry {
        id: raft::LogId {
            term,
            index: raft::Index(index),
        },
        kind,
        body: Bytes::from_static(body.as_bytes()),
    };
    let entries = vec![
        entry(301, raft::Kind::Noop, ""),
        entry(302, raft::Kind::Command, "ab"),
        entry(303, raft::Kind::Membership, "c"),
    ];
    let append = raft::Replicate::Append {
        term,
        prev: LAST,
        entries: entries.into(),
        commit,
    };
    let heartbeat = raft::Replicate::Heartbeat {
        term,
        round,
        commit,
        matched,
        lease: LEASE,
    };
    let snapshot = Box::new(raft::Snapshot {
        last: LAST,
        membership: raft::Membership::of_voters([raft::NodeId(9)]),
    });
    [
        (
            append,
            b"\x00\x05\x04\xac\x02\xac\x02\x03\x05\xad\x02\0\0\x05\xae\x02\x01\x02\x05\xaf\x02\x02\x01abc",
        ),
        (heartbeat, &[1, 5, 7, 0xac, 2, 2, 0, 3]),
        (raft::Replicate::Commit { term, commit }, &[2, 5, 0xac, 2]),
        (
            raft::Replicate::Snapshot { term, snapshot },
            b"\x03\x05\x04\xac\x02\x16\x02\x01\x09\0\0\0\0\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0",
        ),
    ]
}

fn binding() -> [(raft::Binding, &'static [u8]); 4] {
    let (term, last) = (TERM, LAST);
    let granted = true;
    let index = raft::Index(300);
    [
        (
            raft::Binding::RequestVote {
                term,
                last,
                transfer: true,
            },
            &[4, 5, 4, 0xac, 2, 1],
        ),
        (raft::Binding::Vote { term, granted }, &[5, 5, 1]),
        (
            raft::Binding::Appended { term, last: index },
            &[6, 5, 0xac, 2],
        ),
        (raft::Binding::Installed { term, last }, &[7, 5, 4, 0xac, 2]),
    ]
}

fn echoes() -> [(raft::Echo, &'static [u8]); 6] {
    let (term, last, disk) = (TERM, LAST, DISK);
    let heartbeat = raft::Echo::Heartbeat {
        term,
        round: 7,
        matched: raft::Index(300),
        disk,
        lease: LEASE,
        priority: Some(200),
    };
    let rejected = raft::Echo::Rejected {
        term,
        prev: LAST,
        hint: raft::LogId {
            term: raft::Term(3),
            index: raft::Index(8),
        },
    };
    let forgot = raft::Echo::Forgot {
        term,
        acknowledged: raft::Index(300),
        holds: raft::Index(8),
    };
    let request = raft::Echo::RequestPreVote { term, last, disk };
    let answer = raft::Echo::PreVote {
        term,
        granted: false,
        disk,
        priority: None,
    };
    [
        (heartbeat, &[8, 5, 7, 0xac, 2, 1, 1, 9, 0, 3, 1, 200]),
        (rejected, &[9, 5, 4, 0xac, 2, 3, 8]),
        (forgot, &[10, 5, 0xac, 2, 8]),
        (raft::Echo::Stale { term }, &[11, 5]),
        (request, &[12, 5, 4, 0xac, 2, 1, 1, 9]),
        (answer, &[13, 5, 0, 1, 1, 9, 0]),
    ]
}

/// Pinned: it is in the log and in snapshots.
#[test]
fn a_membership_is_as_its_docs_say() {
    let id = raft::NodeId;
    let change = raft::Change {
        is_joint: true,
        voters: [id(2), id(3), id(6)].into(),
        learners: [id(4)].into(),
    };
    let membership = raft::Membership {
        learners: [id(5)].into(),
        witnesses: [id(3)].into(),
        change: Some(Box::new(change)),
        contexts: [(id(3), Bytes::from_static(b"ab"))].into(),
        highest: id(7),
        ..raft::Membership::of_voters([id(1), id(2)])
    };
    let ids = |ids: &[u64]| {
        let mut bytes = vec![ids.len() as u8];
        ids.iter().for_each(|id| bytes.extend(id.to_le_bytes()));
        bytes
    };
    let context = [&[1][..], &3u64.to_le_bytes(), &[2, 0], b"ab"].concat();
    let golden = [
        vec![2],
        ids(&[1, 2]),
        ids(&[5]),
        ids(&[3]),
        vec![2],
        ids(&[2, 3, 6]),
        ids(&[4]),
        context,
        7u64.to_le_bytes().to_vec(),
    ];
    assert_eq!(membership.encode(), golden.concat());
    assert_eq!(raft::Membership::decode(&golden.concat()), Ok(membership));
}

/// Pinned: a directory written by this version must be readable by the next, or refused by its
/// version.
#[test]
fn tags_are_as_the_table_says() {
    let kinds = [
        (raft::Kind::Noop, 0),
        (raft::Kind::Command, 1),
        (raft::Kind::Membership, 2),
    ];
    for (kind, number) in kinds {
        let written = raft::Entry {
            id: LAST,
            kind,
            body: Bytes::from_static(b"ab"),
        };
        let run = vec![written.clone()].into();
        let put = ops(raft::Op::Append(&run)).next();
        let Some(Op::Put { index, tag, body }) = put else {
            panic!("{put:?}")
        };
        let golden = [4, 0, 0, 0, 0, 0, 0, 0, number, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(
            (index, &tag.0[..16], &tag.0[16..]),
            (300, &golden[..], &[0; 16][..])
        );
        let body = Bytes::copy_from_slice(body);
        assert_eq!(entry(Slot { index, tag, body }).unwrap(), written);
    }
    let states: [_; 2] = [(Some(raft::NodeId(8)), [7, 8, 1, 0]), (None, [7, 0, 0, 0])];
    for (vote, words) in states {
        let op = ops(raft::Op::Vote(raft::Term(7), vote)).next();
        let Some(Op::State(tag)) = op else {
            panic!("{op:?}")
        };
        let golden = words.map(u64::to_le_bytes).concat();
        assert_eq!(tag.0[..], golden);
    }
}

/// A later version may have written it, and this one must not mistake it for something else.
#[test]
fn an_entry_of_an_unknown_kind_is_refused() {
    let slot = Slot {
        index: 3,
        tag: tag([1, 3, 0]),
        body: Bytes::new(),
    };
    let refused = entry(slot).unwrap_err();
    let source = std::error::Error::source(&refused).unwrap().to_string();
    assert_eq!(
        source,
        "the entry at index 3 has kind 3, which this version does not know"
    );
}

#[test]
fn no_node_of_this_crate_is_a_witness_or_has_one() {
    let three = || raft::Config::new(raft::NodeId(1), [1, 2, 3].map(raft::NodeId));
    let mut with_one = three();
    with_one.witnesses = [raft::NodeId(3)].into();
    let mut is_one = raft::Config::new(raft::NodeId(4), []);
    is_one.joins_as_witness = true;
    for config in [with_one, is_one] {
        let refused = <Raft as Protocol>::recover(config, Recovered::nothing(), Instant::default());
        assert!(matches!(refused, Err(RecoverError::Config(_))));
    }
    assert!(<Raft as Protocol>::recover(three(), Recovered::nothing(), Instant::default()).is_ok());
}
