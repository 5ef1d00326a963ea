use core::convert::Infallible;
use core::time::Duration;

use super::*;
use crate::{Config, Quorums, Recovered, Slot, Vote};

fn config() -> Config {
    let quorums = Quorums::majority([1, 2, 3].map(NodeId));
    Config::new(NodeId(1), quorums.expect("three make majorities"))
}

fn node() -> Paxos {
    let nothing = Recovered {
        state: None,
        start: Position::ZERO,
        snapshot: None,
        votes: core::iter::empty::<Result<Vote, Infallible>>(),
    };
    Paxos::new(config(), nothing, Instant::ZERO).expect("an empty disk")
}

#[test]
fn a_disk_that_turns_slow_lengthens_the_wait_that_runs() {
    let mut node = node();
    let before = node.common.election_deadline;
    let slow = |ms| DiskHealth {
        sync_time: Duration::from_millis(ms),
        ..DiskHealth::default()
    };
    node.handle_disk(Instant::ZERO, slow(100));
    let longer = node.common.election_deadline;
    assert!(longer > before);
    // A slightly slower disk does not delay the election again and again.
    (101..200).for_each(|ms| node.handle_disk(Instant::ZERO, slow(ms)));
    assert_eq!(node.common.election_deadline, longer);
}

#[test]
fn space_shortens_the_wait_that_its_lack_lengthened() {
    let mut node = node();
    let normal = node.common.election_deadline;
    let full = DiskHealth {
        has_room: false,
        ..DiskHealth::default()
    };
    node.handle_disk(Instant::ZERO, full);
    assert!(node.common.election_deadline > normal.plus(config().election_timeout_max));
    node.handle_disk(Instant::ZERO, DiskHealth::default());
    let end = Instant::ZERO.plus(config().election_timeout_max);
    assert!(node.common.election_deadline < end);
}

#[test]
fn slow_disks_leave_the_time_for_which_a_leader_is_heard() {
    let mut node = node();
    let slow = DiskHealth {
        sync_time: Duration::from_secs(1),
        ..DiskHealth::default()
    };
    node.handle_disk(Instant::ZERO, slow);
    node.common.handle_disk_report(Instant::ZERO, slow);
    let mut follower = Follower::new(None, Slot(0));
    follower.hear(&mut node.common, Instant::ZERO, NodeId(2));
    node.role = RoleState::Follower(follower);
    let hears = |now| node.role.has_leader_contact(&node.common, now);
    let end = Instant::ZERO.plus(config().election_timeout_min);
    let before = Instant::ZERO.plus(config().election_timeout_min - Duration::from_nanos(1));
    assert!(
        hears(before),
        "whoever asks is told of it for as long as ever"
    );
    assert!(!hears(end), "and no longer");
}
