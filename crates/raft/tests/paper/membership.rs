//! Section 6, and chapter 4 of the thesis: cluster membership changes.

use std::time::Duration;

use synod_raft::{
    ChangeEnd, ChangeError, ChangePhase, Index, Membership, Message, NodeId, Replicate, Role, Term,
};

use crate::harness::cluster::{Cluster, between, from, to};
use crate::{append, appended, group_with, id, request_vote, standing, tell, vote};

/// A group of the first nodes, led by node 1, and empty nodes that wait to be added.
fn led(voters: u64, joining: u64) -> Cluster {
    let mut cluster = group_with(voters, joining);
    cluster.elect(1);
    cluster
}

fn of(voters: &[u64]) -> Membership {
    Membership::of_voters(voters.iter().copied().map(NodeId))
}

fn phase(cluster: &Cluster, id: u64) -> Option<ChangePhase> {
    cluster.status(id).change.map(|change| change.phase)
}

/// Node 1 leads, and has just appended the joint membership of {1, 2, 3} and {1, 4, 5}.
fn joint() -> Cluster {
    let mut cluster = led(3, 2);
    cluster.change(1, &[1, 4, 5]).unwrap();
    while phase(&cluster, 1) != Some(ChangePhase::Joint) {
        assert!(cluster.deliver(|_| true) > 0, "the new nodes catch up");
    }
    cluster.take(to(1));
    cluster
}

/// Delivers what this node is sent, and its answers.
fn exchange(cluster: &mut Cluster, leader: u64, id: u64) {
    cluster.deliver(between(leader, id));
    cluster.deliver(between(id, leader));
}

// Section 6, and thesis 4.3: arbitrary changes by joint consensus.

/// "Log entries are replicated to all servers in both configurations."
#[test]
fn s6_entries_go_to_both_sides() {
    let mut cluster = joint();
    cluster.net.clear();
    cluster.propose(1, "x").unwrap();
    let reached: Vec<u64> = cluster.net.iter().map(|packet| packet.to.0).collect();
    assert_eq!(reached, [2, 3, 4, 5]);
}

/// "Any server from either configuration may serve as leader."
#[test]
fn s6_either_side_may_lead() {
    for candidate in [2, 4] {
        let mut cluster = joint();
        cluster.deliver(from(1));
        cluster.net.clear();
        cluster.isolate(1);
        cluster.campaign(candidate);
        cluster.deliver(from(candidate));
        cluster.deliver(to(candidate));
        assert_eq!(standing(&cluster, candidate), (Role::Leader, 2));
    }
}

/// "Agreement (for elections and entry commitment) requires separate majorities from both the old and
/// new configurations."
#[test]
fn s6_agreement_needs_both_majorities() {
    let mut cluster = joint();
    let before = cluster.status(1).commit;
    exchange(&mut cluster, 1, 2);
    exchange(&mut cluster, 1, 3);
    assert_eq!(
        cluster.status(1).commit,
        before,
        "all of the old, one of the new"
    );
    exchange(&mut cluster, 1, 4);
    assert_eq!(cluster.status(1).commit, before.next());

    let mut cluster = joint();
    cluster.deliver(from(1));
    cluster.net.clear();
    cluster.campaign(2);
    cluster.take(between(2, 4));
    cluster.take(between(2, 1));
    cluster.deliver(from(2));
    cluster.deliver(between(3, 2));
    cluster.deliver(between(5, 2));
    assert_eq!(
        standing(&cluster, 2),
        (Role::Candidate, 2),
        "two of the old, one of the new"
    );
}

/// "Once a given server adds the new configuration entry to its log, it uses that configuration for
/// all future decisions (a server always uses the latest configuration in its log, regardless of
/// whether the entry is committed)."
#[test]
fn s6_the_latest_in_the_log_counts() {
    let mut cluster = joint();
    let added = cluster.status(1).last;
    cluster.deliver(between(1, 2));
    assert!(cluster.status(2).commit < added);
    assert_eq!(phase(&cluster, 2), Some(ChangePhase::Joint));
    assert_eq!(phase(&cluster, 3), Some(ChangePhase::CatchingUp));
}

/// "Once C(old,new) has been committed, neither C(old) nor C(new) can make decisions without approval
/// of the other [..] It is now safe for the leader to create a log entry describing C(new) and
/// replicate it to the cluster."
#[test]
fn s6_the_new_side_alone_follows_the_committed_joint_one() {
    let mut cluster = joint();
    exchange(&mut cluster, 1, 2);
    cluster.heartbeat(1);
    assert_eq!(
        phase(&cluster, 1),
        Some(ChangePhase::Joint),
        "not committed"
    );
    exchange(&mut cluster, 1, 4);
    assert_eq!(cluster.status(1).membership.voters, of(&[1, 4, 5]).voters);
    assert_eq!(phase(&cluster, 1), None);
    // "and when the new configuration has been committed under the rules of C(new), the old
    // configuration is irrelevant"
    let added = cluster.status(1).last;
    exchange(&mut cluster, 1, 2);
    assert!(cluster.status(1).commit < added);
    exchange(&mut cluster, 1, 4);
    assert_eq!(cluster.status(1).commit, added);
    assert_eq!(cluster.status(1).change_end, Some(ChangeEnd::Done));
}

/// "new servers join the cluster as non-voting members (the leader replicates log entries to them, but
/// they are not considered for majorities). Once the new servers have caught up with the rest of the
/// cluster, the reconfiguration can proceed as described above."
#[test]
fn s6_new_servers_catch_up_first() {
    let mut cluster = led(1, 2);
    cluster.propose(1, "x").unwrap();
    cluster.change(1, &[1, 2, 3]).unwrap();
    assert_eq!(phase(&cluster, 1), Some(ChangePhase::CatchingUp));
    assert_eq!(cluster.status(1).commit, Index(3), "node 1 alone decides");
    cluster.isolate(3);
    cluster.settle();
    assert_eq!(cluster.status(2).last, Index(3));
    assert_eq!(
        phase(&cluster, 1),
        Some(ChangePhase::CatchingUp),
        "one is not there"
    );
    cluster.heal();
    cluster.exhaust_backoff(1);
    cluster.exhaust_backoff(1);
    assert_eq!(cluster.status(1).membership, of(&[1, 2, 3]));
}

/// "the cluster leader may not be part of the new configuration. In this case, the leader steps down
/// (returns to follower state) once it has committed the C(new) log entry. This means that there will
/// be a period of time (while it is committing C(new)) when the leader is managing a cluster that
/// does not include itself; it replicates log entries but does not count itself in majorities."
///
/// Here it hands over first if it can, and then takes no part any more.
#[test]
fn s6_a_leader_that_is_removed_steps_down() {
    let mut cluster = led(3, 0);
    cluster.change(1, &[2, 3]).unwrap();
    while cluster.status(1).membership != of(&[2, 3]) {
        assert!(cluster.deliver(|_| true) > 0);
    }
    cluster.take(to(1));
    let added = cluster.status(1).last;
    exchange(&mut cluster, 1, 2);
    assert!(cluster.status(1).commit < added, "itself and one of two");
    assert_eq!(cluster.status(1).role, Role::Leader);
    exchange(&mut cluster, 1, 3);
    assert_eq!(cluster.status(1).commit, added);
    assert!(cluster.status(1).transfer.is_some());
    cluster.settle();
    assert_eq!(cluster.status(1).role, Role::Follower);
    assert!(cluster.nodes[&NodeId(1)].stopped.is_some());
}

/// "removed servers (those not in C(new)) can disrupt the cluster [..] To prevent this problem,
/// servers disregard RequestVote RPCs when they believe a current leader exists." Here they also
/// disregard them for ever when they know that the removal is committed.
#[test]
fn s6_removed_servers_disturb_nobody() {
    let mut cluster = led(4, 0);
    cluster.isolate(4);
    cluster.change(1, &[1, 2, 3]).unwrap();
    cluster.settle();
    cluster.heartbeat(1);
    cluster.settle();
    (0..5).for_each(|_| cluster.campaign(4));
    cluster.heal();
    cluster.campaign(4);
    cluster.settle();
    assert_eq!(standing(&cluster, 1), (Role::Leader, 1));
    assert_eq!(cluster.status(2).term, Term(1));
    assert!(cluster.nodes[&NodeId(4)].stopped.is_some());
}

// Thesis 4.1: safety.

/// "a server must be prepared to fall back to the previous configuration in its log" when another
/// leader removes the entry.
#[test]
fn t4_1_a_removed_entry_takes_its_configuration_along() {
    let mut cluster = group_with(3, 0);
    tell(&mut cluster, 2, 1, append(1, &[1], 0, 1));
    let entry = |membership: &Membership| synod_raft::Entry {
        id: id(1, 2),
        kind: synod_raft::Kind::Membership,
        body: membership.encode(),
    };
    let joint = Membership {
        change: Some(Box::new(synod_raft::Change {
            is_joint: true,
            voters: of(&[1, 2]).voters,
            ..Default::default()
        })),
        ..of(&[1, 2, 3])
    };
    let message = Message::Replicate(Replicate::Append {
        term: Term(1),
        prev: id(1, 1),
        entries: vec![entry(&joint)].into(),
        commit: Index(1),
    });
    tell(&mut cluster, 2, 1, message);
    assert_eq!(cluster.status(1).membership, joint);
    tell(&mut cluster, 3, 1, append(2, &[1, 2], 1, 1));
    assert_eq!(cluster.status(1).membership, of(&[1, 2, 3]));
    assert_eq!(cluster.status(1).change_end, Some(ChangeEnd::LeaderLost));
}

/// "A server accepts AppendEntries requests from a leader that is not part of the server's latest
/// configuration. Otherwise, a new server could never be added to the cluster."
#[test]
fn t4_1_entries_of_a_leader_outside_are_accepted() {
    let mut cluster = group_with(3, 0);
    let answers = tell(&mut cluster, 9, 1, append(1, &[1], 0, 1));
    assert_eq!(answers, [appended(1, 1)]);
    assert_eq!(cluster.status(1).leader, Some(NodeId(9)));
}

/// "A server also grants its vote to a candidate that is not part of the server's latest
/// configuration (if the candidate has a sufficiently up-to-date log and a current term)."
#[test]
fn t4_1_a_candidate_outside_gets_a_vote() {
    let mut cluster = group_with(3, 1);
    let answers = tell(&mut cluster, 9, 1, request_vote(1, id(1, 1)));
    assert_eq!(answers, [vote(1, true)]);
    let answers = tell(&mut cluster, 9, 4, request_vote(1, id(1, 1)));
    assert_eq!(
        answers,
        [vote(1, true)],
        "also from a node that knows no configuration"
    );
}

/// A leader changes the configuration only when an entry of its own term is committed (the correction
/// of July 2015 to the raft-dev list), and one change at a time.
#[test]
fn t4_1_not_before_an_entry_of_the_own_term() {
    let mut cluster = group_with(3, 1);
    cluster.campaign(1);
    cluster.deliver(to(2));
    cluster.deliver(to(1));
    assert_eq!(standing(&cluster, 1), (Role::Leader, 1));
    assert_eq!(cluster.change(1, &[1, 2]), Err(ChangeError::NotReady));
    cluster.settle();
    assert_eq!(cluster.change(1, &[1, 2, 3, 4]), Ok(()));
    assert_eq!(cluster.change(1, &[1, 2]), Err(ChangeError::UnderWay));
}

// Thesis 4.2.1: catching up new servers.

/// "The replication of entries to the new server is split into rounds. Each round replicates all the
/// log entries present in the leader's log at the start of the round [..] If the last round lasts less
/// than an election timeout, then the leader adds the new server to the cluster, under the assumption
/// that there are not enough unreplicated entries to create a significant availability gap."
/// `src/leader/catch_up.rs` counts to ten rounds.
#[test]
fn t4_2_1_the_last_round_is_short() {
    let mut cluster = led(1, 1);
    cluster.change(1, &[1, 2]).unwrap();
    // The first round takes long; meanwhile there is more.
    cluster.propose(1, "x").unwrap();
    pass(&mut cluster, 200);
    cluster.settle();
    let rounds = |cluster: &Cluster| {
        let change = cluster.status(1).change?;
        Some(change.catching_up[0].round)
    };
    assert_eq!(rounds(&cluster), None, "the second one was short");
    assert_eq!(cluster.status(1).membership, of(&[1, 2]));
}

/// Time passes while nothing is delivered.
fn pass(cluster: &mut Cluster, ms: u64) {
    cluster.now = cluster.now.plus(Duration::from_millis(ms));
}

// Thesis 4.2.2: removing the current leader.

/// "a server that is not part of its own latest configuration should still start new elections, as it
/// might still be needed until the C(new) entry is committed".
#[test]
fn t4_2_2_who_is_dropped_campaigns_until_that_is_committed() {
    let mut cluster = led(2, 0);
    cluster.change(1, &[2]).unwrap();
    exchange(&mut cluster, 1, 2);
    assert_eq!(cluster.status(1).membership, of(&[2]));
    cluster.net.clear();
    cluster.crash(1);
    cluster.campaign(2);
    cluster.settle();
    assert_eq!(
        cluster.status(2).role,
        Role::Candidate,
        "its log is too short for node 1"
    );
    cluster.restart(1);
    for _ in 0..2 {
        cluster.campaign(1);
        cluster.settle();
    }
    assert_eq!(cluster.status(2).membership, of(&[2]));
    assert!(cluster.nodes[&NodeId(1)].stopped.is_some());
}
