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
    let most = append(ENTRIES_MAX);
    assert_eq!(Raft::decode(encoded(&most)), Some(most));
    assert_eq!(Raft::decode(encoded(&append(ENTRIES_MAX + 1))), None);
}

/// The form of messages without bodies has no bound on entries, but one on bytes.
#[test]
fn an_append_has_one_form() {
    let few = append(2);
    let wire = Wire::Other(std::borrow::Cow::Borrowed(&few));
    let other = postcard::to_allocvec(&wire).unwrap();
    assert_eq!(Raft::decode(other.into()), None);
    assert_eq!(encoded(&few).first(), Some(&APPEND));
}
