//! Engines stepped by hand: a test can hold back any frame and deliver it at any time, even to a
//! later incarnation of its receiver. Each test is named for the wrong answer or the halt that it
//! rules out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

/// The tests of each protocol.
macro_rules! tests {
    ($($name:ident,)*) => {
        #[cfg(feature = "raft")]
        mod raft {
            $(#[test] fn $name() { super::$name::<synod_replica::raft::Config>(); })*
        }
        #[cfg(feature = "paxos")]
        mod paxos {
            $(#[test] fn $name() { super::$name::<synod_replica::paxos::Config>(); })*
        }
    };
}

mod fresh;
mod handover;
mod liar;
mod rig;
mod scarce;
mod stops;

use bytes::Bytes;
use synod_replica::{Log, NodeId};

use fresh::{
    a_bounded_read_counts_from_the_last_question, a_clock_that_was_wrong_ends_a_lease,
    a_clock_that_was_wrong_tells_no_age, a_leader_with_a_lease_asks_nobody,
    a_lease_is_good_for_followers, an_age_counts_from_the_sending,
};
use handover::{
    a_command_that_comes_too_late_goes_to_the_next_leader,
    commands_that_waited_are_done_when_a_transfer_fails, commands_wait_for_the_next_leader,
};
use rig::{FORWARD, INDEX, KIND_AT, MESSAGE, Nodes, REFUSED, Rig, Tuning};

tests! {
    a_refusal_to_an_earlier_life_ends_nothing,
    an_index_for_an_earlier_life_confirms_nothing,
    a_forward_in_the_name_of_another_life_uses_up_no_names,
    a_command_that_a_snapshot_covers_is_not_called_lost,
    a_life_whose_names_are_used_up_is_refused_at_once,
    a_copy_that_uses_the_names_is_not_answered_for,
    a_pull_slower_than_the_snapshots_comes_to_an_end,
    a_state_far_larger_than_the_setting_is_moved_under_load,
    a_follower_without_space_for_a_snapshot_waits_and_fills_no_leader,
    a_full_leader_says_so_through_a_follower,
    a_leader_stops_when_the_snapshot_that_it_gives_away_has_rotted,
    a_follower_without_room_takes_no_entries_and_goes_on_when_it_has_some,
    a_leader_with_a_lease_asks_nobody,
    a_clock_that_was_wrong_ends_a_lease,
    a_lease_is_good_for_followers,
    a_bounded_read_counts_from_the_last_question,
    a_clock_that_was_wrong_tells_no_age,
    an_age_counts_from_the_sending,
    commands_wait_for_the_next_leader,
    a_command_that_comes_too_late_goes_to_the_next_leader,
    commands_that_waited_are_done_when_a_transfer_fails,
    a_burst_that_is_more_than_the_log_has_space_for_is_dropped,
}

fn a_refusal_to_an_earlier_life_ends_nothing<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning::default());
    nodes.run(600);
    // No node has room, so it stays leader; then node 2 has some, but it has yet to learn that.
    (2..=3).for_each(|id| nodes.set_room(id, false));
    nodes.run(100);
    (1..=2).for_each(|id| nodes.set_room(id, id == 2));
    nodes.hold = |from, to, kind| {
        let refusal = (from, to, kind) == (1, 2, REFUSED);
        refusal || (from, to, kind) == (2, 1, MESSAGE)
    };
    nodes.propose(2, "first incarnation");
    nodes.run(20);
    let refusal = |(from, _, _): &(u64, u64, Bytes)| *from == 1;
    let at = nodes.held.iter().position(refusal).unwrap();
    let late = nodes.held.remove(at);
    nodes.hold = |_, _, _| false;
    nodes.restart(2);
    [1, 3].iter().for_each(|id| nodes.set_room(*id, true));
    nodes.run(100);
    nodes.propose(2, "second incarnation");
    nodes.deliver(late);
    nodes.run(100);
    assert_eq!(
        nodes.ends(),
        [
            "first incarnation: dropped",
            "second incarnation: applied 1"
        ]
    );
}

fn an_index_for_an_earlier_life_confirms_nothing<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning::default());
    nodes.run(600);
    nodes.hold = |from, to, kind| (from, to, kind) == (1, 2, INDEX);
    nodes.read(2, "old read");
    nodes.run(20);
    let late = nodes.held.pop().unwrap();
    nodes.restart(2);
    nodes.run(100);
    // From here on only the late frame reaches node 2.
    nodes.hold = |_, to, _| to == 2;
    nodes.propose(1, "write");
    nodes.run(20);
    nodes.read(2, "new read");
    nodes.deliver(late);
    nodes.run(5);
    assert_eq!(nodes.ends(), ["old read: dropped", "write: applied 1"]);
}

fn a_forward_in_the_name_of_another_life_uses_up_no_names<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning::default());
    nodes.run(600);
    nodes.hold = |_, _, kind| kind == FORWARD;
    nodes.propose(2, "forged");
    nodes.run(20);
    let (from, to, frame) = nodes.held.pop().unwrap();
    let name = [2u64.to_le_bytes(), 1u64.to_le_bytes()].concat();
    let at = frame
        .windows(name.len())
        .position(|bytes| bytes == name)
        .unwrap();
    let mut forged = frame.to_vec();
    forged[at + 8..at + 16].copy_from_slice(&u64::MAX.to_le_bytes());
    let before = nodes.status(1).frames_ignored;
    nodes.deliver((from, to, forged.into()));
    assert_eq!(nodes.status(1).frames_ignored, before + 1);
    nodes.hold = |_, _, _| false;
    nodes.propose(2, "honest");
    nodes.run(100);
    assert!(nodes.ends().contains(&"honest: applied 1".to_owned()));
}

/// Node 2 begins an incarnation on its own disk with a lower number than the last one: what it
/// proposes can never be applied, and must be rejected at once.
fn a_life_whose_names_are_used_up_is_refused_at_once<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning::default());
    nodes.run(600);
    let disk = nodes.nodes[&2].disk.clone();
    nodes.start(2, disk.clone(), 5);
    nodes.run(100);
    nodes.propose(2, "fifth incarnation");
    nodes.run(100);
    nodes.start(2, disk, 3);
    nodes.propose(2, "waits");
    nodes.run(100);
    nodes.propose(2, "comes");
    nodes.pump(2);
    let used = "another incarnation of this node has used its name";
    let expected = [
        format!("comes: {used}"),
        "fifth incarnation: applied 1".to_owned(),
        format!("waits: {used}"),
    ];
    assert_eq!(nodes.ends(), expected);
}

/// Both copies of a disk propose. The one whose command was not applied must not receive the
/// other's answer.
fn a_copy_that_uses_the_names_is_not_answered_for<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning::default());
    nodes.run(600);
    nodes.hold = |_, _, kind| kind == FORWARD;
    nodes.propose(2, "mine");
    nodes.run(20);
    let mine = nodes.held.pop().unwrap();
    let (from, to, frame) = mine.clone();
    // The copy starts its names at another number.
    let name = [2u64, 1, 1].map(u64::to_le_bytes).concat();
    let mut copys = frame.to_vec();
    let at = copys.windows(name.len()).position(|bytes| bytes == name);
    copys[at.unwrap() + 16..][..8].copy_from_slice(&900u64.to_le_bytes());
    nodes.hold = |_, _, _| false;
    nodes.deliver((from, to, copys.into()));
    nodes.run(100);
    nodes.deliver(mine);
    nodes.propose(2, "next");
    nodes.run(100);
    let used = "another incarnation of this node has used its name";
    assert_eq!(
        nodes.ends(),
        [format!("mine: {used}"), format!("next: {used}")]
    );
    let count = |id| nodes.nodes[&id].applier.machine().count;
    assert_eq!([1, 2, 3].map(count), [1; 3]);
}

/// Its command was applied, but within a snapshot: the follower never sees the entry.
fn a_command_that_a_snapshot_covers_is_not_called_lost<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning {
        snapshot_log_bytes: 1_000,
        ..Tuning::default()
    });
    nodes.run(600);
    nodes.hold = |_, to, _| to == 3;
    nodes.propose(3, "covered");
    for _ in 0..100 {
        nodes.propose(1, "0123456789");
        nodes.step();
    }
    nodes.hold = |_, _, _| false;
    nodes.run(1_000);
    assert!(
        nodes.status(3).snapshots_received > 0,
        "{:?}",
        nodes.status(3)
    );
    nodes.propose(3, "later");
    nodes.run(100);
    let ends = nodes.ends();
    assert_eq!(
        ends[ends.len() - 2..],
        ["covered: unknown", "later: applied 102"]
    );
}

/// The leader takes a snapshot every few entries; the follower needs longer than that for one.
fn a_pull_slower_than_the_snapshots_comes_to_an_end<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning {
        snapshot_log_bytes: 4_000,
        chunk_bytes_max: 16,
        pad: 2_000,
        ..Tuning::default()
    });
    nodes.run(600);
    nodes.hold = |_, to, _| to == 3;
    for _ in 0..400 {
        nodes.propose(1, "0123456789");
        nodes.step();
    }
    nodes.hold = |_, _, _| false;
    nodes.held.clear();
    for _ in 0..4_000 {
        nodes.propose(1, "0123456789");
        nodes.step();
    }
    let (leader, follower) = (nodes.status(1), nodes.status(3));
    assert!(follower.snapshots_received > 0, "{follower:?}");
    assert!(
        follower.applied + 100 > leader.applied,
        "{leader:?} {follower:?}"
    );
}

/// The state is fifty times the configured snapshot interval. If snapshots were taken that often,
/// every transfer would be overtaken before its end.
fn a_state_far_larger_than_the_setting_is_moved_under_load<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning {
        snapshot_log_bytes: 400,
        chunk_bytes_max: 64,
        pad: 20_000,
        kept_log_bytes_max: 0,
        ..Tuning::default()
    });
    nodes.run(600);
    nodes.hold = |_, to, _| to == 3;
    nodes.write(400, 4);
    nodes.hold = |_, _, _| false;
    nodes.held.clear();
    nodes.write(4_000, 4);
    let (leader, follower) = (nodes.status(1), nodes.status(3));
    assert!(follower.snapshots_received > 0, "{follower:?}");
    assert!(
        follower.applied + 100 > leader.applied,
        "{leader:?} {follower:?}"
    );
}

fn a_follower_without_space_for_a_snapshot_waits_and_fills_no_leader<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning {
        snapshot_log_bytes: 4_000,
        chunk_bytes_max: 500,
        pad: 2_000,
        kept_log_bytes_max: 10_000,
        ..Tuning::default()
    });
    nodes.run(600);
    nodes.hold = |_, to, _| to == 3;
    nodes.write(400, 1);
    let disk = nodes.nodes[&3].disk.clone();
    disk.0.capacity(disk.0.used());
    nodes.hold = |_, _, _| false;
    nodes.held.clear();
    nodes.run(3_000);
    let follower = nodes.status(3);
    let ends = (follower.snapshots_received, follower.snapshots_failed);
    assert_eq!(ends, (0, 0), "it waits");
    // A peer that would need too much log has to start over.
    nodes.write(6_000, 3);
    let leader = nodes.status(1);
    let kept = leader.core.last - leader.core.start;
    assert!(
        kept < 400,
        "{kept} entries are kept for a peer that is full"
    );
    disk.0.capacity(u64::MAX);
    nodes.write(3_000, 3);
    let (leader, follower) = (nodes.status(1), nodes.status(3));
    assert!(follower.snapshots_received > 0, "{follower:?}");
    assert!(
        follower.applied + 100 > leader.applied,
        "{leader:?} {follower:?}"
    );
}

fn a_full_leader_says_so_through_a_follower<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning::default());
    nodes.run(600);
    // No node has room, so it stays leader; then node 2 has some, but it has yet to learn that.
    (2..=3).for_each(|id| nodes.set_room(id, false));
    nodes.run(100);
    (1..=2).for_each(|id| nodes.set_room(id, id == 2));
    nodes.hold = |from, to, kind| (from, to, kind) == (2, 1, MESSAGE);
    nodes.propose(2, "at a follower");
    nodes.run(20);
    assert_eq!(nodes.ends(), ["at a follower: no space"]);
}

/// Found by simulation: the snapshot of a leader was damaged, the follower that needed it discarded
/// it again and again, and the group waited for ever, because the leader was in contact with a
/// quorum.
fn a_leader_stops_when_the_snapshot_that_it_gives_away_has_rotted<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning {
        snapshot_log_bytes: 4_000,
        ..Tuning::default()
    });
    nodes.run(600);
    nodes.hold = |_, to, _| to == 3;
    for _ in 0..400 {
        nodes.propose(1, "0123456789");
        nodes.step();
    }
    nodes.hold = |_, _, _| false;
    nodes.held.clear();
    let disk = nodes.nodes[&1].disk.0.clone();
    let snapshots = disk.names().unwrap();
    for name in snapshots.iter().filter(|name| name.ends_with(".snap")) {
        disk.flip(name, disk.len(name).unwrap() - 20, 1).unwrap();
    }
    (0..100).for_each(|_| nodes.step());
    nodes.propose(1, "at the rotten leader");
    let ends = nodes.ends();
    assert_eq!(ends.last().unwrap(), "at the rotten leader: poisoned");
}

/// Torture list G6: a full disk must neither stop a node for good nor make it give wrong answers.
fn a_follower_without_room_takes_no_entries_and_goes_on_when_it_has_some<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning::default());
    nodes.run(600);
    nodes.set_room(3, false);
    nodes.propose(1, "while full");
    nodes.propose(3, "at the full node");
    nodes.run(1_000);
    assert_eq!(nodes.status(3).core.last, nodes.status(1).core.last - 1);
    nodes.set_room(3, true);
    nodes.run(1_000);
    assert_eq!(nodes.status(3).core.last, nodes.status(1).core.last);
    assert_eq!(
        nodes.ends(),
        ["at the full node: no space", "while full: applied 1"]
    );
}

/// Found by real processes: one turn brought more than the log had space for when it was asked, and
/// the node ended with a failed log.
fn a_burst_that_is_more_than_the_log_has_space_for_is_dropped<C: Rig>() {
    let mut nodes = Nodes::<C>::new(Tuning {
        segment_bytes: 4 << 20,
        ..Tuning::default()
    });
    nodes.run(600);
    let disk = nodes.nodes[&3].disk.clone();
    disk.0.capacity(disk.0.used());
    nodes.hold = |_, to, _| to == 3;
    let long: &str = Box::leak("0123456789".repeat(50_000).into_boxed_str());
    for _ in 0..12 {
        nodes.propose(1, long);
        nodes.run(5);
    }
    nodes.hold = |_, _, _| false;
    let now = nodes.now;
    for (from, _, frame) in std::mem::take(&mut nodes.held) {
        let engine = nodes.engine(3);
        engine.handle_frame(now, NodeId(from), frame.slice(KIND_AT..));
    }
    nodes.pump(3);
    nodes.set_room(3, false);
    nodes.run(1_000);
    let (leader, full) = (nodes.status(1).core.last, nodes.status(3).core.last);
    assert!((leader - 11..leader).contains(&full), "{full} of {leader}");
    disk.0.capacity(u64::MAX);
    let has_room = Log::has_room(&mut nodes.nodes.get_mut(&3).unwrap().log);
    nodes.set_room(3, has_room);
    nodes.run(1_000);
    assert_eq!(nodes.status(3).core.last, leader);
}

#[cfg(feature = "raft")]
#[test]
fn a_membership_over_its_bound_is_ignored() {
    use synod_replica::embed::Protocol;
    use synod_replica::raft;

    let offer = |voters: u64| {
        let membership = raft::Membership::of_voters((0..voters).map(raft::NodeId));
        let last = raft::LogId {
            term: raft::Term(49),
            index: raft::Index(1000),
        };
        let snapshot = raft::Snapshot { last, membership };
        raft::Message::Replicate(raft::Replicate::Snapshot {
            term: raft::Term(50),
            snapshot: Box::new(snapshot),
        })
    };
    let encode = |voters: u64| {
        let (mut head, mut parts) = (Vec::new(), Vec::new());
        <raft::Raft as Protocol>::encode(&offer(voters), &mut head, &mut parts);
        head
    };
    // One voter more, by hand: the sizes of the bytes and of the set, one id after the last, and the
    // highest id. After the voters there are four bytes for what is empty, and the highest id.
    let grown = |voters: u8| {
        let mut head = encode(u64::from(voters));
        let size = head.iter().rposition(|byte| *byte == voters).unwrap();
        head[size] += 1;
        head[size - 3] += 8;
        let highest = head.len() - 8;
        head[highest] = voters;
        head.splice(highest - 4..highest - 4, u64::from(voters).to_le_bytes());
        head
    };
    assert_eq!(grown(63), encode(64));
    assert!(<raft::Raft as Protocol>::decode(grown(63).into()).is_some());
    assert!(<raft::Raft as Protocol>::decode(grown(64).into()).is_none());
}

/// A follower that is cut off from its leader reads what the other acceptor has voted for. What is proposed meanwhile
/// is not seen before it is chosen.
#[cfg(feature = "paxos")]
#[test]
fn l8_a_follower_reads_without_its_leader() {
    let mut nodes = Nodes::<synod_replica::paxos::Config>::new(Tuning {
        quorum_reads: true,
        ..Tuning::default()
    });
    nodes.run(600);
    nodes.propose(1, "first");
    nodes.run(100);
    nodes.hold = |from, to, _| (from, to) == (1, 2) || (from, to) == (2, 1);
    nodes.read(2, "while nothing is open");
    nodes.run(100);
    let ends = nodes.ends();
    assert_eq!(ends, ["first: applied 1", "while nothing is open: read 1"]);
    nodes.propose(1, "second");
    nodes.run(50);
    nodes.read(2, "behind the second");
    nodes.run(100);
    assert_eq!(
        nodes.ends().len(),
        3,
        "3 has voted for it, and 2 does not have it"
    );
    nodes.hold = |_, _, _| false;
    nodes.run(400);
    assert!(
        nodes
            .ends()
            .contains(&"behind the second: read 2".to_owned())
    );
}
