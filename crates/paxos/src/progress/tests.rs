use super::*;

fn sent(last: u64) -> Sent {
    Sent {
        last: Slot(last),
        bytes: 10,
        round: 1,
    }
}

fn streaming(through: u64, lasts: &[u64]) -> Progress {
    let mut progress = Progress::new(Instant::ZERO);
    progress.handle_chosen(Slot(through));
    for last in lasts {
        let Flow::Stream(inflight) = &mut progress.flow else {
            panic!()
        };
        inflight.push(sent(*last));
        progress.next = Slot(last + 1);
    }
    progress
}

fn in_flight(progress: &Progress) -> usize {
    match &progress.flow {
        Flow::Stream(inflight) => inflight.messages.len(),
        Flow::Silent | Flow::Snapshot { .. } => 0,
    }
}

#[test]
fn an_acknowledgement_frees_what_it_covers() {
    let mut progress = streaming(5, &[7, 9, 11]);
    progress.handle_accepted(Slot(6), Slot(9), Slot(0));
    assert_eq!((in_flight(&progress), progress.next), (1, Slot(12)));
    let before = progress.clone();
    progress.handle_accepted(Slot(6), Slot(7), Slot(0));
    assert_eq!(progress, before, "a stale one changes nothing");
}

#[test]
fn behind_a_gap_nothing_is_freed() {
    let mut progress = streaming(5, &[7, 9]);
    progress.handle_accepted(Slot(8), Slot(9), Slot(0));
    assert_eq!((in_flight(&progress), progress.through), (2, Slot(5)));
    progress.handle_accepted(Slot(6), Slot(9), Slot(0));
    assert_eq!((in_flight(&progress), progress.through), (0, Slot(9)));
}

#[test]
fn a_silent_peer_streams_from_what_it_says() {
    let mut progress = Progress::new(Instant::ZERO);
    assert!(progress.handle_echo(1, Slot(4), Slot(4), false));
    assert_eq!((progress.through, progress.next), (Slot(4), Slot(5)));
}

#[test]
fn a_peer_beyond_the_offer_leaves_the_snapshot_state() {
    let mut progress = streaming(0, &[]);
    progress.offer(Slot(3));
    progress.handle_accepted(Slot(1), Slot(4), Slot(5));
    assert!(matches!(progress.flow, Flow::Snapshot { .. }));
    progress.handle_accepted(Slot(1), Slot(8), Slot(5));
    assert!(matches!(progress.flow, Flow::Stream(_)));
    assert_eq!(progress.next, Slot(9));
}

/// The first of these heartbeat rounds whose echo causes a resend.
fn resent(progress: &mut Progress, rounds: core::ops::Range<u64>, through: u64) -> Option<u64> {
    let lost = |round: &u64| {
        progress.retransmission.begin_heartbeat(*round);
        progress.handle_echo(*round, Slot(through), Slot(0), false)
    };
    rounds.into_iter().find(lost)
}

#[test]
fn echoes_bring_a_lost_message_to_light() {
    let mut progress = streaming(5, &[7]);
    let arrived = resent(&mut progress.clone(), 1..100, 7);
    assert_eq!(arrived, None, "arrived, its write is slow");
    // The heartbeat of round 1 was sent before the values.
    assert_eq!(resent(&mut progress, 1..100, 5), Some(4));
    assert_eq!((progress.next, in_flight(&progress)), (Slot(6), 0));
}

#[test]
fn a_message_behind_one_that_moves_is_not_lost() {
    let mut progress = streaming(1, &[3, 5, 7, 9]);
    for (at, through) in [1, 3, 5, 7].into_iter().enumerate() {
        let from = 2 + 2 * at as u64;
        assert_eq!(resent(&mut progress, from..from + 2, through), None);
    }
}

#[test]
fn an_echo_tells_that_the_peer_forgot() {
    let mut progress = streaming(5, &[7]);
    progress.handle_accepted(Slot(6), Slot(7), Slot(0));
    assert!(!progress.handle_echo(2, Slot(3), Slot(2), false), "late");
    assert!(progress.handle_echo(3, Slot(3), Slot(2), true));
    assert_eq!((progress.through, progress.next), (Slot(2), Slot(3)));
    let before = progress.clone();
    assert!(!progress.handle_echo(2, Slot(9), Slot(2), false));
    assert_eq!(progress, before, "of an earlier round");
}

/// Found by simulation: a link with room for eight messages was sent fifty at each resend, and lost
/// the first of them each time.
#[test]
fn a_burst_that_was_lost_is_not_sent_again_as_one() {
    let mut progress = streaming(5, &[6, 7, 8, 9]);
    assert_eq!(progress.window, usize::MAX);
    assert!(resent(&mut progress, 1..100, 5).is_some());
    assert_eq!(progress.window, 1);
    progress.handle_accepted(Slot(8), Slot(8), Slot(0));
    assert_eq!(progress.window, 1, "the gap is there still");
    progress.handle_accepted(Slot(6), Slot(6), Slot(0));
    progress.handle_accepted(Slot(7), Slot(9), Slot(0));
    assert_eq!(progress.window, 4);
}
