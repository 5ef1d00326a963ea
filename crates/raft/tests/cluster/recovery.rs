//! The storage contents and configurations with which a node may be started.

use std::time::Duration;

use synod_raft::{
    Config, ConfigError, Entry, Index, Instant, Kind, LogId, NodeId, Output, Raft, RecoverError,
    Recovered, Role, Snapshot, Term,
};

fn recover(
    vote: Option<(Term, Option<NodeId>)>,
    start: LogId,
    snapshot: Option<Snapshot>,
    terms: &[u64],
) -> Result<Raft, RecoverError<()>> {
    let entry = |(at, term): (usize, &u64)| {
        let id = LogId {
            term: Term(*term),
            index: Index(start.index.0 + 1 + at as u64),
        };
        Ok(Entry {
            id,
            kind: Kind::Noop,
            body: bytes::Bytes::new(),
        })
    };
    let entries = terms
        .iter()
        .enumerate()
        .map(entry)
        .collect::<Vec<_>>()
        .into_iter();
    let recovered = Recovered {
        vote,
        start,
        snapshot,
        entries,
    };
    Raft::new(
        Config::new(NodeId(1), [1, 2, 3].map(NodeId)),
        recovered,
        Instant::ZERO,
    )
}

fn snapshot(term: u64, index: u64) -> Snapshot {
    let last = LogId {
        term: Term(term),
        index: Index(index),
    };
    let membership = synod_raft::Membership::of_voters([1, 2, 3].map(NodeId));
    Snapshot { last, membership }
}

/// B3 (sofa-jraft): a log without a term and vote must not start as term 0. Nor must any other
/// inconsistent storage.
#[test]
fn b3_a_log_without_its_vote_does_not_start() {
    let vote = Some((Term(2), None));
    let at = |term, index| LogId {
        term: Term(term),
        index: Index(index),
    };
    assert_eq!(
        recover(None, LogId::ZERO, None, &[1]).unwrap_err(),
        RecoverError::VoteMissing
    );
    assert_eq!(
        recover(None, LogId::ZERO, Some(snapshot(1, 1)), &[1]).unwrap_err(),
        RecoverError::VoteMissing
    );
    assert_eq!(
        recover(None, at(1, 4), Some(snapshot(1, 4)), &[]).unwrap_err(),
        RecoverError::VoteMissing
    );
    assert_eq!(
        recover(vote, LogId::ZERO, None, &[1, 3]).unwrap_err(),
        RecoverError::TermOutOfRange
    );
    let missing = RecoverError::SnapshotMissing { start: Index(4) };
    assert_eq!(recover(vote, at(1, 4), None, &[]).unwrap_err(), missing);
    assert_eq!(
        recover(vote, at(1, 4), Some(snapshot(1, 3)), &[]).unwrap_err(),
        missing
    );
    let conflict = RecoverError::SnapshotConflict { index: Index(4) };
    assert_eq!(
        recover(vote, at(1, 4), Some(snapshot(2, 4)), &[]).unwrap_err(),
        conflict
    );
    let hole = RecoverError::NotContiguous { index: Index(2) };
    assert_eq!(recover(vote, LogId::ZERO, None, &[2, 1]).unwrap_err(), hole);
    let beyond = Some((Term(u64::MAX), None));
    assert_eq!(
        recover(beyond, LogId::ZERO, None, &[]).unwrap_err(),
        RecoverError::TermOutOfRange
    );
    assert!(recover(vote, at(1, 4), Some(snapshot(1, 4)), &[1, 2]).is_ok());
    assert!(recover(None, LogId::ZERO, None, &[]).is_ok());
    let mut config = Config::new(NodeId(9), [NodeId(1)]);
    assert_eq!(config.validate(), Ok(()), "a node that joins");
    config.catch_up_max = config.election_timeout_min;
    assert_eq!(config.validate(), Err(ConfigError::CatchUp));
}

/// N4: a pulled snapshot was offered in a term that could be entered.
#[test]
fn n4_a_stored_snapshot_does_not_leap() {
    let vote = Some((Term(2), None));
    let start = |term| recover(vote, LogId::ZERO, Some(snapshot(term, 4)), &[]);
    let reach = 2 + Term::LEAP_MAX;
    assert!(start(reach).is_ok());
    let error = start(reach + 1).unwrap_err();
    assert_eq!(error, RecoverError::TermOutOfRange);
}

/// N4: using up all terms takes this many writes, one after the other.
#[test]
fn n4_to_climb_to_the_end_takes_2_32_writes() {
    let steps = Term::MAX.0.div_ceil(Term::LEAP_MAX);
    assert!(steps >= 1 << 32, "{steps}");
}

/// C7: a write is checked once per election timeout, so a shorter bound would not be kept.
#[test]
fn c7_a_stall_is_not_shorter_than_an_election_timeout() {
    let mut config = Config::new(NodeId(1), [NodeId(1)]);
    config.write_stall_max = config.election_timeout_max;
    assert_eq!(config.validate(), Ok(()));
    config.write_stall_max -= Duration::from_nanos(1);
    assert_eq!(config.validate(), Err(ConfigError::WriteStall));
}

/// N5: a receipt belongs to the core value that made its write. One of another group, or of this
/// one before it was opened again, is refused and counted.
#[test]
fn n5_a_receipt_is_good_for_one_core_value() {
    let campaigner = |id| {
        let nothing = Recovered {
            vote: None,
            start: LogId::ZERO,
            snapshot: None,
            entries: core::iter::empty::<Result<Entry, ()>>(),
        };
        let config = Config::new(NodeId(id), [NodeId(id)]);
        let mut raft = Raft::new(config, nothing, Instant::ZERO).unwrap();
        raft.handle_timeout(raft.poll_timeout().unwrap());
        let Some(Output::Persist(write)) = raft.poll_output() else {
            panic!("a candidacy is a write");
        };
        let stored = write.persist(|_| Ok::<(), ()>(()));
        (raft, stored.unwrap().1)
    };
    let (mut raft, receipt) = campaigner(1);
    for (at, other) in [1, 2].into_iter().enumerate() {
        let (_, foreign) = campaigner(other);
        raft.handle_persisted(Instant::ZERO, foreign);
        assert_eq!(raft.status().role, Role::Candidate);
        let counters = raft.counters();
        let counted = (counters.receipts_foreign, counters.receipts_unknown);
        assert_eq!(counted, (at as u64 + 1, 0));
    }
    raft.handle_persisted(Instant::ZERO, receipt);
    assert_eq!(raft.status().role, Role::Leader);
}
