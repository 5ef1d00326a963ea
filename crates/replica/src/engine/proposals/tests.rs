use super::*;
use std::time::Duration;
use synod_transport::NodeId;

fn at(ms: u64) -> Instant {
    Instant(Duration::from_millis(ms))
}

fn leadership(round: u64) -> Leadership {
    Leadership {
        node: NodeId(9),
        epoch: Epoch::of_round(round),
    }
}

fn with(commands: &[(&'static str, u64)]) -> Proposals<&'static str> {
    let mut proposals = Proposals::new(1, 2, 0);
    for (command, deadline) in commands {
        let deadline = at(*deadline);
        proposals.push(Proposal {
            command: Bytes::from_static(command.as_bytes()),
            deadline,
            ticket: *command,
        });
    }
    proposals
}

#[test]
fn a_body_is_bounded_and_keeps_the_order() {
    let mut proposals = with(&[("aaaa", 1), ("bbbb", 1), ("cccc", 1)]);
    let (first, body) = proposals
        .seal(at(0), leadership(1), NAME_BYTES + 16)
        .unwrap();
    assert!(body::commands(&body).eq([b"aaaa", b"bbbb"]));
    let (second, body) = proposals
        .seal(at(0), leadership(1), NAME_BYTES + 16)
        .unwrap();
    assert!(body::commands(&body).eq([b"cccc"]));
    assert!(first < second && proposals.seal(at(0), leadership(1), 1000).is_none());
    assert_eq!(proposals.under_way(leadership(1)).0, 2);
    assert_eq!(proposals.count(), 3);
}

#[test]
fn deadlines_part_what_was_sent_from_what_was_not() {
    let mut proposals = with(&[("a", 10), ("b", 20)]);
    proposals
        .seal(at(0), leadership(1), NAME_BYTES + 10)
        .unwrap();
    for command in ["c", "d"] {
        let deadline = at(if command == "c" { 10 } else { 30 });
        proposals.push(Proposal {
            command: command.into(),
            deadline,
            ticket: command,
        });
    }
    assert_eq!(proposals.expire(at(9)), (vec![], vec![]));
    assert_eq!(proposals.expire(at(10)), (vec!["c"], vec!["a"]));
    assert_eq!(proposals.wake(), Some(at(20)));
    assert_eq!(proposals.take(1), vec![None, Some("b")]);
    assert_eq!(proposals.expire(at(30)), (vec!["d"], vec![]));
    assert_eq!(
        (
            proposals.count(),
            proposals.wake(),
            proposals.queued_bytes()
        ),
        (0, None, 0)
    );
}

fn overtaken(lost: &[&'static str], in_doubt: &[&'static str]) -> Overtaken<&'static str> {
    Overtaken {
        lost: lost.into(),
        in_doubt: in_doubt.into(),
    }
}

fn two_sealed() -> (Proposals<&'static str>, Bytes) {
    let mut proposals = with(&[("a", 10)]);
    proposals.seal(at(0), leadership(1), 1000).unwrap();
    proposals.push(Proposal {
        command: "b".into(),
        deadline: at(10),
        ticket: "b",
    });
    let (_, second) = proposals.seal(at(0), leadership(2), 1000).unwrap();
    (proposals, second)
}

#[test]
fn what_is_applied_ends_what_it_overtook() {
    let (mut proposals, second) = two_sealed();
    let earlier_life = Name {
        node: 1,
        incarnation: 1,
        sequence: 9,
    };
    let strangers = body::encode(earlier_life, [].iter());
    assert_eq!(proposals.applied(&strangers), (vec![], overtaken(&[], &[])));
    assert_eq!(
        proposals.applied(&second),
        (vec![Some("b")], overtaken(&["a"], &[]))
    );
    assert_eq!(proposals.applied(&second), (vec![], overtaken(&[], &[])));
    assert_eq!(proposals.count(), 0);
}

/// The first body was applied, but within a snapshot: to say that it was overtaken would be a
/// lie.
#[test]
fn what_a_snapshot_may_cover_is_never_called_lost() {
    let (mut proposals, second) = two_sealed();
    proposals.mark_in_doubt();
    assert_eq!(
        proposals.applied(&second),
        (vec![Some("b")], overtaken(&[], &["a"]))
    );
}

#[test]
fn a_later_epoch_ends_what_older_leaders_had() {
    let mut proposals = with(&[("a", 10)]);
    proposals.seal(at(0), leadership(3), 1000).unwrap();
    assert!(proposals.superseded(Epoch::of_round(3)).is_empty());
    assert_eq!(proposals.superseded(Epoch::of_round(4)), vec!["a"]);
    assert_eq!(proposals.count(), 0);
}

/// Two leaders may share a round: the one of the higher node is the later.
#[test]
fn an_epoch_of_the_same_round_may_be_later() {
    let mut proposals = with(&[("a", 10)]);
    let epoch = |node| Epoch {
        round: 3,
        node: NodeId(node),
    };
    let leadership = Leadership {
        node: NodeId(2),
        epoch: epoch(2),
    };
    proposals.seal(at(0), leadership, 1000).unwrap();
    assert!(proposals.superseded(epoch(1)).is_empty());
    assert!(proposals.superseded(epoch(2)).is_empty());
    assert_eq!(proposals.superseded(epoch(3)), vec!["a"]);
}

/// Four commands in bodies of one each: of the first nothing is known, the second comes back.
fn given_back() -> Proposals<&'static str> {
    let mut proposals = with(&[("a", 10), ("b", 10), ("c", 10), ("d", 10)]);
    for _ in 0..3 {
        proposals
            .seal(at(0), leadership(1), NAME_BYTES + 5)
            .unwrap();
    }
    assert_eq!(proposals.give_back(2), [""; 0]);
    proposals
}

/// A leader that leads no more and has not proposed a body has proposed none that was sealed later
/// either, whether it has received that or not. So nobody is waited for, and nobody changes places.
#[test]
fn what_was_sealed_later_comes_back_too() {
    let mut proposals = given_back();
    assert_eq!((proposals.count(), proposals.queued_bytes()), (4, 3));
    assert!(proposals.seal(at(1), leadership(1), 1000).is_none(), "over");
    // Its own refusal says nothing new.
    assert_eq!(proposals.give_back(3), [""; 0]);
    let (last, body) = proposals.seal(at(1), leadership(2), 1000).unwrap();
    assert!(body::commands(&body).eq([b"b", b"c", b"d"]));
    let (tickets, overtook) = proposals.applied(&body);
    assert_eq!(tickets, [Some("b"), Some("c"), Some("d")]);
    assert_eq!((last, overtook), (4, overtaken(&["a"], &[])));
}

#[test]
fn the_first_may_come_back_last_but_not_behind_the_next_leader() {
    let mut proposals = given_back();
    assert_eq!(proposals.give_back(1), [""; 0]);
    let (_, body) = proposals.seal(at(1), leadership(2), 1000).unwrap();
    assert!(body::commands(&body).eq([b"a", b"b", b"c", b"d"]));
    let mut proposals = given_back();
    proposals.seal(at(1), leadership(2), 1000).unwrap();
    assert_eq!(proposals.give_back(1), ["a"]);
}
