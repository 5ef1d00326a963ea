//! Messages that no correct peer sends, with numbers at the ends of their ranges. The core may
//! ignore them or be misled by them, as by any lying peer. It must not panic, and must not do
//! unbounded work.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use synod_raft::{
    Binding, DiskHealth, Echo, Entry, Index, Kind, LogId, Membership, Message, NodeId, Raft,
    Replicate, Snapshot, Term,
};

use crate::harness::cluster::Cluster;

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0u64..8, 1 => u64::MAX - 2..=u64::MAX, 1 => any::<u64>()]
}

fn term() -> impl Strategy<Value = Term> {
    prop_oneof![20 => (0u64..5).prop_map(Term), 1 => number().prop_map(Term)]
}

fn log_id() -> impl Strategy<Value = LogId> {
    (term(), number()).prop_map(|(term, index)| LogId {
        term,
        index: Index(index),
    })
}

fn disk() -> impl Strategy<Value = DiskHealth> {
    (prop::bool::weighted(0.7), number()).prop_map(|(has_room, ms)| DiskHealth {
        has_room,
        sync_time: Duration::from_millis(ms),
    })
}

fn lease() -> impl Strategy<Value = Duration> {
    number().prop_map(Duration::from_millis)
}

fn entries() -> impl Strategy<Value = (LogId, Vec<Entry>)> {
    let kind = prop_oneof![
        Just(Kind::Noop),
        Just(Kind::Command),
        Just(Kind::Membership)
    ];
    let wild = (log_id(), kind).prop_map(|(id, kind)| Entry {
        id,
        kind,
        body: Bytes::from_static(b"wild"),
    });
    let wild = (log_id(), prop::collection::vec(wild, 0..4));
    // Mostly plausible, or nothing gets past the first check.
    let tame = (log_id(), 0u64..5, term()).prop_map(|(prev, count, term)| {
        let id = |at| LogId {
            term,
            index: Index(prev.index.0.wrapping_add(1 + at)),
        };
        let entry = |at| Entry {
            id: id(at),
            kind: Kind::Command,
            body: Bytes::from_static(b"tame"),
        };
        (prev, (0..count).map(entry).collect())
    });
    prop_oneof![1 => wild, 4 => tame]
}

fn message() -> impl Strategy<Value = Message> {
    let learners = prop_oneof![4 => Just(0u64), 1 => 0u64..80];
    let snapshot = (log_id(), learners).prop_map(|(last, learners)| Snapshot {
        last,
        membership: Membership {
            learners: (0..learners).map(NodeId).collect(),
            highest: NodeId(79),
            ..Membership::default()
        },
    });
    let numbers = (number(), number(), number());
    prop_oneof![
        4 => (term(), entries(), number()).prop_map(|(term, (prev, entries), commit)| {
            Message::Replicate(Replicate::Append { term, prev, entries: entries.into(), commit: Index(commit) })
        }),
        1 => (term(), numbers, lease()).prop_map(|(term, (round, commit, matched), lease)| {
            let (commit, matched) = (Index(commit), Index(matched));
            Message::Replicate(Replicate::Heartbeat { term, round, commit, matched, lease })
        }),
        1 => (term(), number()).prop_map(|(term, commit)| {
            Message::Replicate(Replicate::Commit { term, commit: Index(commit) })
        }),
        1 => (term(), snapshot).prop_map(|(term, snapshot)| {
            let snapshot = Box::new(snapshot);
            Message::Replicate(Replicate::Snapshot { term, snapshot })
        }),
        1 => (term(), number(), number()).prop_map(|(term, round, last)| {
            Message::Replicate(Replicate::TimeoutNow { term, round, last: Index(last) })
        }),
        1 => (term(), log_id(), any::<bool>()).prop_map(|(term, last, transfer)| {
            Message::Binding(Binding::RequestVote { term, last, transfer })
        }),
        2 => (term(), any::<bool>()).prop_map(|(term, granted)| Message::Binding(Binding::Vote { term, granted })),
        2 => (term(), number()).prop_map(|(term, last)| {
            Message::Binding(Binding::Appended { term, last: Index(last) })
        }),
        1 => (term(), log_id()).prop_map(|(term, last)| Message::Binding(Binding::Installed { term, last })),
        2 => (term(), (number(), number()), (disk(), lease(), any::<Option<u8>>()))
            .prop_map(|(term, (round, matched), (disk, lease, priority))| {
                let matched = Index(matched);
                Message::Echo(Echo::Heartbeat { term, round, matched, disk, lease, priority })
            }),
        1 => (term(), number(), number()).prop_map(|(term, acknowledged, holds)| {
            let (acknowledged, holds) = (Index(acknowledged), Index(holds));
            Message::Echo(Echo::Forgot { term, acknowledged, holds })
        }),
        2 => (term(), log_id(), log_id())
            .prop_map(|(term, prev, hint)| Message::Echo(Echo::Rejected { term, prev, hint })),
        1 => term().prop_map(|term| Message::Echo(Echo::Stale { term })),
        1 => (term(), log_id(), disk())
            .prop_map(|(term, last, disk)| Message::Echo(Echo::RequestPreVote { term, last, disk })),
        1 => (term(), any::<bool>(), disk(), any::<Option<u8>>())
            .prop_map(|(term, granted, disk, priority)| Message::Echo(Echo::PreVote { term, granted, disk, priority })),
    ]
}

#[derive(Clone, Debug)]
enum Input {
    Message(NodeId, Message),
    Timeout,
    Propose,
    Read(u64),
    Persist,
    Snapshot(LogId),
    Disk(DiskHealth),
}

fn input() -> impl Strategy<Value = Input> {
    let from = (2u64..4).prop_map(NodeId);
    prop_oneof![
        8 => (from, message()).prop_map(|(from, message)| Input::Message(from, message)),
        2 => Just(Input::Timeout),
        2 => Just(Input::Propose),
        1 => (0u64..4).prop_map(Input::Read),
        4 => Just(Input::Persist),
        1 => log_id().prop_map(Input::Snapshot),
        1 => disk().prop_map(Input::Disk),
    ]
}

/// Plays one node among lying peers. It is driven without the checker, which would report the lies.
fn play(inputs: Vec<Input>, check_quorum: bool) {
    let mut cluster = Cluster::new(3, |config| {
        config.check_quorum = check_quorum;
        config.cache_bytes_max = 40;
        config.lease = Some(synod_raft::Lease {
            length: config.election_timeout_min,
            drift: synod_raft::Drift(99_999),
        });
    });
    let mut now = cluster.now;
    let node = cluster.nodes.get_mut(&NodeId(1)).unwrap();
    let raft: &mut Raft = node.core.as_mut().unwrap();
    let mut write = None;
    let mut before = raft.status();
    for input in inputs {
        now = now.plus(Duration::from_millis(50));
        match input {
            Input::Message(from, message) => raft.handle_message(now, from, message),
            Input::Timeout => raft.handle_timeout(raft.poll_timeout().unwrap_or(now)),
            Input::Propose => drop(raft.propose(now, Bytes::from_static(b"x"))),
            Input::Read(id) => {
                let _refused = raft.read(now, synod_raft::ReadId(id));
                let _refused = raft.read_by_lease(now);
            }
            Input::Snapshot(last) => raft.handle_snapshot(
                now,
                Snapshot {
                    last,
                    membership: Membership::default(),
                },
            ),
            Input::Disk(disk) => raft.handle_disk(now, disk),
            Input::Persist => {
                if let Some(write) = write.take() {
                    let write: synod_raft::Write = write;
                    let Ok((_, receipt)) =
                        write.persist(|_| Ok::<(), std::convert::Infallible>(()));
                    raft.handle_persisted(now, receipt);
                }
            }
        }
        let mut outputs = 0;
        while let Some(output) = raft.poll_output() {
            outputs += 1;
            assert!(outputs < 1000, "work without end: {output:?}");
            match output {
                synod_raft::Output::Persist(next) => assert!(write.replace(next).is_none()),
                // Whatever is output can be encoded.
                synod_raft::Output::PullSnapshot { snapshot, .. } => {
                    drop(snapshot.membership.encode());
                }
                _ => {}
            }
        }
        // However misled, it takes back nothing of its own.
        let status = raft.status();
        assert!(status.term >= before.term, "an earlier term");
        assert!(status.commit >= before.commit, "a lower commit");
        assert!(status.commit <= status.last, "more committed than there is");
        before = status;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nonsense_takes_nothing_back(inputs in prop::collection::vec(input(), 1..60), check_quorum in any::<bool>()) {
        play(inputs, check_quorum);
    }
}
