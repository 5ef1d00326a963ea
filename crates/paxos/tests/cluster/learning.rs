//! A leader that voted for one value and learns that another is chosen, and one that lacks many
//! values.

use bytes::Bytes;
use synod_paxos::{
    Ballot, Binding, DiskHealth, Echo, Kind, Message, NodeId, ProposeError, Role, Slot, Value, Vote,
};

use crate::harness::cluster::{Cluster, Packet};

/// Node 1 has a vote for a value that no other node received. Another one is chosen in its slot,
/// and node 1 leads again without node 2, which would report the vote of the higher ballot.
#[test]
fn what_is_learned_takes_the_place_of_an_old_vote() {
    let mut cluster = Cluster::new(3, |_| {});
    cluster.elect(1);
    cluster.isolate(1);
    cluster.propose(1, "old").unwrap();
    let voted = cluster.nodes[&NodeId(1)].disk.log[&1].clone();
    assert_eq!(&voted.value.body[..], b"old");
    cluster.elect(2);
    cluster.propose(2, "new").unwrap();
    cluster.settle();
    cluster.heartbeat(2);
    cluster.settle();
    assert_eq!(cluster.status(3).chosen, Slot(1));
    cluster.heal();
    cluster.isolate(2);
    // It loses contact with all others and steps down; then it asks.
    cluster.campaign(1);
    cluster.settle();
    cluster.elect(1);
    assert_eq!(cluster.status(1).chosen, Slot(1));
    let applied: Vec<_> = cluster.commands(1);
    assert_eq!(applied, ["new"]);
}

/// Node 1 was away for 70,000 slots and leads. It votes for what it found only when that is within
/// reach of what it has learned, and then continues like any leader.
#[test]
fn a_leader_far_behind_votes_when_it_has_learned_enough() {
    const CHOSEN: u64 = 70_000;
    let mut cluster = Cluster::new(3, |_| {});
    cluster.watch.made_up = true;
    cluster.campaign(1);
    let (theirs, own) = (ballot(1, 2), ballot(2, 1));
    let value = Value {
        kind: Kind::Command,
        origin: theirs,
        body: Bytes::from_static(b"x"),
    };
    let answer = Echo::Answer {
        promised: theirs,
        attempt: 1,
        no_leader: true,
        chosen: Slot(0),
        disk: DiskHealth::default(),
        priority: None,
    };
    tell(&mut cluster, Message::Echo(answer));
    let promise = Binding::Promise {
        ballot: own,
        from: Slot(1),
        votes: vec![Vote {
            slot: Slot(CHOSEN + 1),
            ballot: theirs,
            value: value.clone(),
        }],
        next: None,
        chosen: Slot(CHOSEN),
        configurations: None,
    };
    tell(&mut cluster, Message::Binding(promise));
    assert_eq!(cluster.status(1).role, Role::Leader);
    for from in (1..=CHOSEN).step_by(1000) {
        let reach = from - 1 + Slot::AHEAD_MAX > CHOSEN;
        let last = if reach { CHOSEN + 1 } else { from - 1 };
        assert_eq!(cluster.status(1).last, Slot(last));
        if from + Slot::AHEAD_MAX / 2 <= CHOSEN {
            assert_eq!(cluster.propose(1, "y"), Err(ProposeError::Busy));
        }
        let learned = Echo::Learned {
            ballot: own,
            first: Slot(from),
            values: vec![value.clone(); 1000].into(),
        };
        tell(&mut cluster, Message::Echo(learned));
    }
    assert_eq!(cluster.status(1).chosen, Slot(CHOSEN));
    let last = CHOSEN + 1;
    let accepted = Binding::Accepted {
        ballot: own,
        first: Slot(last),
        last: Slot(last),
    };
    tell(&mut cluster, Message::Binding(accepted));
    assert_eq!(cluster.status(1).chosen, Slot(last));
    assert!(cluster.propose(1, "y").is_ok());
}

fn ballot(round: u64, node: u64) -> Ballot {
    let node = NodeId(node);
    Ballot { round, node }
}

/// Delivers a message from node 2 to node 1.
fn tell(cluster: &mut Cluster, message: Message) {
    let (from, to) = (NodeId(2), NodeId(1));
    cluster.receive(Packet { from, to, message });
}
