use super::*;

fn seen(role: Role, round: u64, leader: u64) -> Seen {
    Seen {
        role,
        epoch: Epoch::of_round(round),
        leader: (leader > 0).then_some(NodeId(leader)),
        stepped_down: None,
    }
}

fn after(why: StepDown, seen: Seen) -> Seen {
    let stepped_down = Some(why);
    Seen {
        stepped_down,
        ..seen
    }
}

/// The names of the events logged along these states.
fn told(incarnation: &[Seen]) -> Vec<&'static str> {
    let mut events = Events::new();
    let mut before = Seen::default();
    let mut told = Vec::new();
    for &now in incarnation {
        let changes = events.changes(before, now);
        told.extend(changes.iter().flatten().map(Event::name));
        before = now;
    }
    told
}

#[test]
fn a_life_is_told() {
    use Role::{Candidate, Follower, Leader};

    let incarnation = [
        seen(Follower, 1, 2),
        seen(Follower, 1, 2),
        seen(Candidate, 2, 0),
        seen(Leader, 2, 1),
        after(StepDown::NoQuorum, seen(Follower, 2, 0)),
        seen(Candidate, 3, 0),
        seen(Follower, 3, 3),
        seen(Follower, 4, 3),
        seen(Candidate, 5, 0),
        seen(Leader, 5, 1),
        after(StepDown::Deposed, seen(Follower, 6, 2)),
        seen(Candidate, 7, 0),
        seen(Leader, 7, 1),
        // Another node was elected between two looks.
        after(StepDown::WriteStalled, seen(Follower, 8, 2)),
    ];
    let expected = [
        "leader_changed",
        "election_begun",
        "election_won",
        "quorum_lost",
        "election_begun",
        "election_lost",
        "leader_changed",
        "election_begun",
        "election_won",
        "deposed",
        "leader_changed",
        "election_begun",
        "election_won",
        "stepped_down",
        "leader_changed",
    ];
    assert_eq!(told(&incarnation), expected);
}

#[test]
fn who_and_why_are_told() {
    let mut events = Events::new();
    events.changes(Seen::default(), seen(Role::Follower, 7, 2));
    let changes = events.changes(seen(Role::Follower, 7, 2), seen(Role::Candidate, 8, 0));
    let texts: Vec<_> = changes.iter().flatten().map(Event::to_string).collect();
    assert_eq!(
        texts,
        ["asks for votes in 8: no contact in time from its leader (n2)"]
    );
    // A Paxos leader learns of a higher ballot and keeps its own: no leadership has begun there
    // yet.
    let ends = [
        (
            StepDown::Deposed,
            "leads no more: another was elected, or is about to be; in 8 it follows nobody",
        ),
        (
            StepDown::NoQuorum,
            "leads no more in 8: it lost contact with a quorum",
        ),
        (
            StepDown::ShortOfRoom,
            "leads no more in 8: no quorum in contact has space, and some nodes are out of contact",
        ),
    ];
    for (why, text) in ends {
        let ended = after(why, seen(Role::Follower, 8, 0));
        let changes = events.changes(seen(Role::Leader, 8, 1), ended);
        let texts: Vec<_> = changes.iter().flatten().map(Event::to_string).collect();
        assert_eq!(texts, [text]);
    }
}

/// The table is what operators read, so it must be complete.
#[test]
fn every_event_is_in_the_table() {
    let epoch = Epoch::default();
    let (index, peer, took) = (1, NodeId(1), SLOW_SYNC);
    let why = Closed::Shutdown;
    let all = [
        Event::ElectionBegun { epoch, left: None },
        Event::ElectionWon { epoch },
        Event::ElectionLost { epoch, to: None },
        Event::LeaderChanged {
            epoch,
            from: None,
            to: peer,
        },
        Event::QuorumLost { epoch },
        Event::SteppedDown {
            epoch,
            why: StepDown::Full,
        },
        Event::Deposed { epoch, by: None },
        Event::SnapshotTaken { index, bytes: 1 },
        Event::SnapshotReceived { index },
        Event::SnapshotRestored { index },
        Event::SnapshotFailed {
            what: "taken",
            why: String::new(),
        },
        Event::SnapshotWaits { index, from: peer },
        Event::PeerWaits { index, peer },
        Event::PeerLeftBehind { peer },
        Event::SnapshotDamaged { index, peer },
        Event::PeerForgot { peer },
        Event::PeerLeapt {
            leap: Leap {
                from: peer,
                epoch,
                stored: epoch,
            },
        },
        Event::NameUsed { incarnation: 1 },
        Event::SlowSync { took },
        Event::FastSync {
            after: took,
            worst: took,
        },
        Event::DiskFull,
        Event::DiskSpace { after: took },
        Event::GroupStopped { why: why.clone() },
        Event::NodeStopped { why },
    ];
    let table = include_str!("../events.rs").lines();
    let table: Vec<_> = table.filter(|line| line.starts_with("//! | `")).collect();
    assert_eq!(table.len(), all.len());
    for event in &all {
        let level = match event.level() {
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        let row = format!("//! | `{}` | {level} |", event.name());
        assert!(table.iter().any(|line| line.starts_with(&row)), "{row}");
    }
}
