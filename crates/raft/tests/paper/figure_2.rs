//! Figure 2: state, the receivers of the two calls, and the rules for servers.

use std::collections::BTreeSet;

use synod_raft::{
    Config, DiskHealth, Echo, Index, Kind, LogId, Message, NodeId, PeerState, ProposeError, Raft,
    Replicate, Role, Term,
};

use crate::harness::cluster::{Cluster, Packet, from};
use crate::{
    append, appended, follower, group, id, is_append, request_vote, stale, standing, tell, vote,
    vote_of,
};

// Figure 2, State.

/// "Updated on stable storage before responding to RPCs": currentTerm, votedFor, log[].
#[test]
fn state_is_stored_before_it_is_told() {
    let mut cluster = group(3);
    cluster.slow_disks.insert(NodeId(1));
    assert_eq!(tell(&mut cluster, 2, 1, request_vote(1, LogId::ZERO)), []);
    assert_eq!(vote_of(&cluster, 1), None);
    cluster.persist(1);
    assert_eq!(vote_of(&cluster, 1), Some((Term(1), Some(NodeId(2)))));
    assert_eq!(cluster.take(from(1)).len(), 1);
    assert_eq!(tell(&mut cluster, 2, 1, append(1, &[1], 0, 0)), []);
    assert!(cluster.terms(1).is_empty());
    cluster.persist(1);
    assert_eq!(cluster.terms(1), [1]);
    assert_eq!(cluster.take(from(1)).len(), 1);
}

/// currentTerm: "latest term server has seen (initialized to 0 on first boot, increases
/// monotonically)". votedFor: "candidateId that received vote in current term (or null if none)".
/// Both survive a crash; here they are one field, [`Record::vote`](synod_raft::Record).
#[test]
fn state_current_term_and_voted_for_persist() {
    let mut cluster = group(3);
    assert_eq!(standing(&cluster, 1), (Role::Follower, 0));
    tell(&mut cluster, 2, 1, request_vote(3, LogId::ZERO));
    cluster.crash(1);
    cluster.restart(1);
    assert_eq!(standing(&cluster, 1), (Role::Follower, 3));
    assert_eq!(vote_of(&cluster, 1), Some((Term(3), Some(NodeId(2)))));
    tell(&mut cluster, 3, 1, stale(4));
    assert_eq!(vote_of(&cluster, 1), Some((Term(4), None)));
    tell(&mut cluster, 3, 1, append(2, &[2], 0, 0));
    assert_eq!(standing(&cluster, 1), (Role::Follower, 4));
}

/// log[]: "each entry contains command for state machine, and term when entry was received by
/// leader (first index is 1)".
#[test]
fn state_log_begins_at_1() {
    let mut cluster = group(1);
    cluster.elect(1);
    assert_eq!(cluster.propose(1, "x"), Ok(id(1, 2)));
    let disk = &cluster.nodes[&NodeId(1)].disk;
    let kinds: Vec<(u64, u64, Kind)> = disk
        .log
        .values()
        .map(|entry| (entry.id.index.0, entry.id.term.0, entry.kind))
        .collect();
    assert_eq!(kinds, [(1, 1, Kind::Noop), (2, 1, Kind::Command)]);
    assert_eq!(disk.log[&2].body, "x");
}

/// commitIndex and lastApplied: "initialized to 0, increases monotonically"; volatile. What a
/// snapshot covers is an exception (section 7).
#[test]
fn state_commit_index_is_volatile() {
    let mut cluster = follower(&[1, 1], 1, 2);
    assert_eq!(cluster.status(1).commit, Index(2));
    tell(&mut cluster, 2, 1, append(1, &[1, 1], 2, 1));
    assert_eq!(cluster.status(1).commit, Index(2));
    cluster.crash(1);
    cluster.restart(1);
    let status = cluster.status(1);
    assert_eq!(
        (status.commit, status.delivered, status.last),
        (Index(0), Index(0), Index(2))
    );
}

/// nextIndex: "initialized to leader last log index + 1". matchIndex: "initialized to 0, increases
/// monotonically". "Reinitialized after election."
#[test]
fn state_next_and_match_index_begin_with_the_term() {
    let mut cluster = follower(&[1, 1, 1], 1, 3);
    cluster.campaign(1);
    tell(&mut cluster, 2, 1, vote(2, true));
    // Its last index is 3 when it wins; index 4 is the first entry of its term.
    for peer in cluster.status(1).peers {
        assert_eq!(
            (peer.matched, peer.next, peer.state),
            (Index(0), Index(4), PeerState::Probe)
        );
    }
    cluster.settle();
    assert_eq!(cluster.status(1).peers[1].matched, Index(4));
    tell(&mut cluster, 3, 1, appended(2, 2));
    assert_eq!(cluster.status(1).peers[1].matched, Index(4));
}

// Figure 2, AppendEntries RPC, receiver implementation.

/// Rule 1: "Reply false if term < currentTerm (§5.1)". The reply of a node in a later term is
/// [`Echo::Stale`].
#[test]
fn append_entries_1_refuses_an_earlier_term() {
    let mut cluster = follower(&[1], 3, 0);
    assert_eq!(
        tell(&mut cluster, 3, 1, append(2, &[1, 2], 1, 2)),
        [stale(3)]
    );
    assert_eq!(
        (cluster.terms(1), cluster.status(1).commit),
        (vec![1], Index(0))
    );
    assert_eq!(cluster.status(1).leader, Some(NodeId(2)));
}

/// Rule 2: "Reply false if log doesn't contain an entry at prevLogIndex whose term matches prevLogTerm
/// (§5.3)".
#[test]
fn append_entries_2_refuses_what_does_not_follow() {
    let mut cluster = follower(&[1, 1], 3, 0);
    for (terms, prev) in [(&[1, 2, 3][..], 2), (&[1, 1, 1, 3], 3)] {
        let answers = tell(&mut cluster, 2, 1, append(3, terms, prev, 0));
        let [Message::Echo(Echo::Rejected { prev: refused, .. })] = &answers[..] else {
            panic!("{answers:?}");
        };
        assert_eq!(refused.index, Index(prev));
        assert_eq!(cluster.terms(1), [1, 1]);
    }
}

/// Rule 3: "If an existing entry conflicts with a new one (same index but different terms), delete the
/// existing entry and all that follow it (§5.3)".
#[test]
fn append_entries_3_deletes_what_conflicts() {
    let mut cluster = follower(&[1, 1, 1, 1, 1], 1, 0);
    assert_eq!(
        tell(&mut cluster, 3, 1, append(2, &[1, 1, 2], 1, 0)),
        [appended(2, 3)]
    );
    assert_eq!(cluster.terms(1), [1, 1, 2]);
}

/// Rule 3, the other half: entries that do not conflict stay, whatever append is received and when.
#[test]
fn append_entries_3_keeps_what_does_not_conflict() {
    let mut cluster = follower(&[1, 1, 1, 1, 1], 1, 0);
    assert_eq!(
        tell(&mut cluster, 2, 1, append(1, &[1, 1], 0, 0)),
        [appended(1, 2)]
    );
    assert_eq!(
        tell(&mut cluster, 3, 1, append(2, &[1, 1, 1], 3, 0)),
        [appended(2, 3)]
    );
    assert_eq!(cluster.terms(1), [1; 5]);
}

/// Rule 4: "Append any new entries not already in the log".
#[test]
fn append_entries_4_appends_what_is_new() {
    let mut cluster = follower(&[1, 1], 1, 0);
    assert_eq!(
        tell(&mut cluster, 2, 1, append(1, &[1, 1, 1, 1], 1, 0)),
        [appended(1, 4)]
    );
    assert_eq!(cluster.terms(1), [1; 4]);
    let disk = &cluster.nodes[&NodeId(1)].disk;
    assert_eq!(disk.log[&4].body, "1.4");
}

/// Rule 5: "If leaderCommit > commitIndex, set commitIndex = min(leaderCommit, index of last new
/// entry)". The last new entry is the last of this message, and `prev` if it has none.
#[test]
fn append_entries_5_learns_the_commit_index() {
    let mut cluster = follower(&[1; 5], 1, 1);
    for (message, commit) in [
        (append(2, &[1, 1, 1], 1, 2), 2),
        (append(2, &[1, 1, 1], 3, 9), 3),
        (append(2, &[1, 1, 1, 2], 3, 1), 3),
        (append(2, &[1, 1, 1, 2], 4, 9), 4),
    ] {
        tell(&mut cluster, 3, 1, message);
        assert_eq!(cluster.status(1).commit, Index(commit));
    }
}

/// Arguments: "leaderId, so follower can redirect clients". The sender of a message is known.
#[test]
fn append_entries_names_the_leader() {
    let mut cluster = follower(&[1], 1, 0);
    let redirect = ProposeError::NotLeader(Some(NodeId(2)));
    assert_eq!(cluster.propose(1, "x"), Err(redirect));
}

// Figure 2, RequestVote RPC, receiver implementation.

/// Rule 1: "Reply false if term < currentTerm (§5.1)".
#[test]
fn request_vote_1_refuses_an_earlier_term() {
    let mut cluster = group(3);
    tell(&mut cluster, 2, 1, stale(3));
    assert_eq!(
        tell(&mut cluster, 2, 1, request_vote(2, id(2, 9))),
        [stale(3)]
    );
    assert_eq!(vote_of(&cluster, 1), Some((Term(3), None)));
}

/// Rule 2: "If votedFor is null or candidateId, and candidate's log is at least as up-to-date as
/// receiver's log, grant vote (§5.2, §5.4)".
#[test]
fn request_vote_2_grants_one_vote() {
    let mut cluster = follower(&[1, 1], 1, 0);
    assert_eq!(
        tell(&mut cluster, 3, 1, request_vote(2, id(1, 1))),
        [vote(2, false)]
    );
    assert_eq!(
        tell(&mut cluster, 2, 1, request_vote(2, id(1, 2))),
        [vote(2, true)]
    );
    assert_eq!(
        tell(&mut cluster, 2, 1, request_vote(2, id(1, 2))),
        [vote(2, true)],
        "again"
    );
    assert_eq!(
        tell(&mut cluster, 3, 1, request_vote(2, id(1, 2))),
        [vote(2, false)],
        "another"
    );
    assert_eq!(
        tell(&mut cluster, 3, 1, request_vote(3, id(1, 2))),
        [vote(3, true)],
        "later"
    );
}

// Figure 2, Rules for Servers: all servers.

/// "If commitIndex > lastApplied: increment lastApplied, apply log[lastApplied] to state machine
/// (§5.3)". Here only once the entry is durable at this node, too.
#[test]
fn all_servers_apply_what_is_committed() {
    let mut cluster = follower(&[1, 1, 1], 1, 0);
    assert!(cluster.nodes[&NodeId(1)].machine.is_empty());
    tell(&mut cluster, 2, 1, append(1, &[1, 1, 1], 3, 2));
    assert_eq!(cluster.nodes[&NodeId(1)].machine, [id(1, 1), id(1, 2)]);
    cluster.slow_disks.insert(NodeId(1));
    tell(&mut cluster, 2, 1, append(1, &[1, 1, 1, 1], 3, 4));
    assert_eq!(cluster.nodes[&NodeId(1)].machine.len(), 3);
    cluster.persist(1);
    assert_eq!(cluster.nodes[&NodeId(1)].machine.len(), 4);
}

/// "If RPC request or response contains term T > currentTerm: set currentTerm = T, convert to
/// follower (§5.1)": in each role, by each kind of message.
#[test]
fn all_servers_follow_a_later_term() {
    let messages = || {
        let echo = Echo::Heartbeat {
            term: Term(7),
            round: 1,
            matched: Index(0),
            disk: DiskHealth::default(),
            lease: std::time::Duration::ZERO,
            priority: Some(Config::PRIORITY),
        };
        [
            append(7, &[], 0, 0),
            request_vote(7, LogId::ZERO),
            vote(7, false),
            vote(7, true),
            appended(7, 1),
            Message::Echo(echo),
            stale(7),
        ]
    };
    for at in 0..messages().len() {
        for role in [Role::Follower, Role::Candidate, Role::Leader] {
            let mut cluster = group(3);
            if role != Role::Follower {
                cluster.campaign(1);
            }
            if role == Role::Leader {
                tell(&mut cluster, 2, 1, vote(1, true));
            }
            assert_eq!(cluster.status(1).role, role);
            tell(&mut cluster, 3, 1, messages()[at].clone());
            assert_eq!(
                standing(&cluster, 1),
                (Role::Follower, 7),
                "{role:?}, message {at}"
            );
        }
    }
}

// Followers (§5.2).

/// "Respond to RPCs from candidates and leaders". "Followers are passive: they issue no requests on
/// their own" (§5.1).
#[test]
fn followers_respond_and_ask_nothing() {
    let mut cluster = group(3);
    let heartbeat = Replicate::Heartbeat {
        term: Term(1),
        round: 4,
        commit: Index(0),
        matched: Index(0),
        lease: std::time::Duration::ZERO,
    };
    let echo = Echo::Heartbeat {
        term: Term(1),
        round: 4,
        matched: Index(0),
        disk: DiskHealth::default(),
        lease: std::time::Duration::ZERO,
        priority: Some(Config::PRIORITY),
    };
    assert_eq!(
        tell(&mut cluster, 3, 1, request_vote(1, LogId::ZERO)).len(),
        1
    );
    assert_eq!(tell(&mut cluster, 2, 1, append(1, &[1], 0, 0)).len(), 1);
    assert_eq!(
        tell(&mut cluster, 3, 2, Message::Replicate(heartbeat)),
        [Message::Echo(echo)]
    );
    assert!(cluster.net.is_empty(), "{:?}", cluster.net);
}

/// "If election timeout elapses without receiving AppendEntries RPC from current leader or granting
/// vote to candidate: convert to candidate". Either begins it anew; a refused vote does not.
#[test]
fn followers_campaign_when_they_hear_nobody() {
    let deadline = |cluster: &Cluster| {
        let raft = cluster.nodes[&NodeId(1)].core.as_ref();
        raft.and_then(Raft::poll_timeout)
    };
    let heard = [
        (append(1, &[1, 1], 2, 0), true),
        (request_vote(2, id(1, 2)), true),
        (request_vote(2, id(1, 1)), false),
        (append(0, &[], 0, 0), false),
    ];
    for (message, begins_anew) in heard {
        let mut cluster = follower(&[1, 1], 1, 0);
        let first = deadline(&cluster).expect("an election timeout");
        cluster.now = first;
        tell(&mut cluster, 2, 1, message.clone());
        cluster.step(1, Raft::handle_timeout);
        let role = if begins_anew {
            Role::Follower
        } else {
            Role::Candidate
        };
        assert_eq!(cluster.status(1).role, role, "{message:?}");
    }
}

// Candidates (§5.2).

/// "On conversion to candidate, start election: increment currentTerm, vote for self, reset
/// election timer, send RequestVote RPCs to all other servers".
#[test]
fn candidates_start_an_election() {
    let mut cluster = follower(&[1, 1], 4, 0);
    cluster.campaign(1);
    assert_eq!(standing(&cluster, 1), (Role::Candidate, 5));
    assert_eq!(vote_of(&cluster, 1), Some((Term(5), Some(NodeId(1)))));
    let deadline = cluster.node(1).core().poll_timeout();
    assert!(deadline > Some(cluster.now));
    let requests = cluster.take(from(1));
    let asked: Vec<(u64, Message)> = requests
        .into_iter()
        .map(|packet| (packet.to.0, packet.message))
        .collect();
    let request = request_vote(5, id(1, 2));
    assert_eq!(asked, [(2, request.clone()), (3, request)]);
}

/// "If votes received from majority of servers: become leader": of all servers, not of those that
/// answered, and its own vote is one of them.
#[test]
fn candidates_lead_with_a_majority() {
    for (size, needed) in [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (7, 3)] {
        let mut cluster = group(size);
        cluster.campaign(1);
        for voter in 2..2 + needed {
            assert_eq!(
                standing(&cluster, 1),
                (Role::Candidate, 1),
                "{voter} of {size}"
            );
            tell(&mut cluster, voter, 1, vote(1, true));
            tell(&mut cluster, voter, 1, vote(1, true));
        }
        assert_eq!(standing(&cluster, 1), (Role::Leader, 1), "of {size}");
    }
}

/// "If AppendEntries RPC received from new leader: convert to follower": of the same term. "If the
/// term in the RPC is smaller than the candidate's current term, then the candidate rejects the
/// RPC and continues in candidate state" (§5.2).
#[test]
fn candidates_recognise_a_leader_of_their_term() {
    let mut cluster = follower(&[1], 1, 0);
    cluster.campaign(1);
    assert_eq!(
        tell(&mut cluster, 3, 1, append(1, &[1, 1], 1, 0)),
        [stale(2)]
    );
    assert_eq!(standing(&cluster, 1), (Role::Candidate, 2));
    assert_eq!(
        tell(&mut cluster, 3, 1, append(2, &[1, 2], 1, 0)),
        [appended(2, 2)]
    );
    assert_eq!(standing(&cluster, 1), (Role::Follower, 2));
    assert_eq!(cluster.status(1).leader, Some(NodeId(3)));
}

/// "If election timeout elapses: start new election".
#[test]
fn candidates_start_anew_after_a_timeout() {
    let mut cluster = group(3);
    cluster.campaign(1);
    cluster.take(|_| true);
    cluster.now = cluster
        .node(1)
        .core()
        .poll_timeout()
        .expect("an election timeout");
    cluster.step(1, Raft::handle_timeout);
    assert_eq!(standing(&cluster, 1), (Role::Candidate, 2));
    assert_eq!(cluster.take(from(1)).len(), 2);
}

// Leaders.

/// "Upon election: send initial empty AppendEntries RPCs (heartbeat) to each server; repeat during
/// idle periods to prevent election timeouts (§5.2)". The first message is not empty here: it
/// carries the first entry of the term (§8), and asserts authority just as well.
#[test]
fn leaders_make_themselves_heard() {
    let mut cluster = group(3);
    cluster.watch.made_up = true;
    cluster.campaign(1);
    cluster.take(|_| true);
    cluster.receive(Packet {
        from: NodeId(2),
        to: NodeId(1),
        message: vote(1, true),
    });
    let first: BTreeSet<NodeId> = cluster
        .take(is_append)
        .iter()
        .map(|packet| packet.to)
        .collect();
    assert_eq!(first, [NodeId(2), NodeId(3)].into());
    for _ in 0..10 {
        let due = cluster
            .node(1)
            .core()
            .poll_timeout()
            .expect("a heartbeat is due");
        assert!(due.since(cluster.now) < cluster.nodes[&NodeId(1)].config.election_timeout_min);
        cluster.now = due;
        cluster.step(1, Raft::handle_timeout);
        let heard = cluster.take(|packet| {
            matches!(
                packet.message,
                Message::Replicate(Replicate::Heartbeat { .. })
            )
        });
        assert_eq!(heard.len(), 2);
    }
}

/// "If command received from client: append entry to local log, respond after entry applied to
/// state machine (§5.3)". The driver responds: it learns of the entry when it is applied.
#[test]
fn leaders_append_commands() {
    let mut cluster = group(3);
    cluster.elect(1);
    let entry = cluster.propose(1, "x");
    assert_eq!(entry, Ok(id(1, 2)));
    assert_eq!(cluster.terms(1), [1, 1]);
    assert_eq!(
        cluster.nodes[&NodeId(1)].machine,
        [id(1, 1)],
        "not yet applied"
    );
    cluster.settle();
    assert_eq!(cluster.nodes[&NodeId(1)].machine, [id(1, 1), id(1, 2)]);
}

/// "If last log index >= nextIndex for a follower: send AppendEntries RPC with log entries starting
/// at nextIndex. If successful: update nextIndex and matchIndex for follower (§5.3)". Once the logs
/// match, appends are assumed to be received until there is evidence otherwise.
#[test]
fn leaders_send_what_a_follower_lacks() {
    let mut cluster = group(2);
    cluster.elect(1);
    let place = |cluster: &Cluster| {
        let peer = &cluster.status(1).peers[0];
        (peer.matched.0, peer.next.0)
    };
    assert_eq!(place(&cluster), (1, 2));
    for index in 2..5 {
        assert_eq!(cluster.propose(1, "x"), Ok(id(1, index)));
        assert_eq!(place(&cluster), (1, index + 1));
    }
    let sent: Vec<Message> = cluster
        .net
        .iter()
        .map(|packet| packet.message.clone())
        .collect();
    let [
        ..,
        Message::Replicate(Replicate::Append { prev, entries, .. }),
    ] = &sent[..]
    else {
        panic!("{sent:?}");
    };
    assert_eq!((sent.len(), *prev, entries.len()), (3, id(1, 3), 1));
    cluster.settle();
    assert_eq!(place(&cluster), (4, 5));
}

/// "If AppendEntries fails because of log inconsistency: decrement nextIndex and retry (§5.3)".
#[test]
fn leaders_go_back_where_a_log_differs() {
    let mut cluster = follower(&[1, 1, 1], 1, 0);
    tell(&mut cluster, 3, 2, append(2, &[1, 2], 0, 0));
    cluster.isolate(3);
    cluster.elect(2);
    assert_eq!(cluster.terms(1), [1, 2, 3]);
    assert_eq!(cluster.terms(2), [1, 2, 3]);
}

/// "If there exists an N such that N > commitIndex, a majority of matchIndex[i] >= N, and
/// log[N].term == currentTerm: set commitIndex = N (§5.3, §5.4)". The leader's own copy counts when
/// it is durable.
#[test]
fn leaders_commit_what_a_majority_holds() {
    let mut cluster = group(5);
    cluster.elect(1);
    cluster.isolate(4);
    cluster.isolate(5);
    cluster.slow_disks.insert(NodeId(1));
    let entry = cluster.propose(1, "x");
    assert_eq!(entry, Ok(id(1, 2)));
    cluster.settle();
    assert_eq!(cluster.status(1).commit, Index(1), "durable at 2 and 3");
    cluster.persist(1);
    assert_eq!(cluster.status(1).commit, Index(2), "and at 1");
}
