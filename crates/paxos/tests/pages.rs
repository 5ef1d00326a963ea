//! A phase 1 with many pages.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::convert::Infallible;
use std::time::Duration;

use synod_paxos::{
    Ballot, Binding, Config, Instant, Message, NodeId, Paxos, Position, Quorums, Recovered, Slot,
    Vote,
};

/// Found by simulation: a candidate that received one vote per page was preempted, again and again,
/// by the acceptors whose pages it was reading.
#[test]
fn an_acceptor_that_is_asked_for_the_next_page_waits_for_the_candidate() {
    let quorums = Quorums::majority([1, 2, 3].map(NodeId)).unwrap();
    let empty = Recovered {
        state: None,
        start: Position::ZERO,
        snapshot: None,
        votes: std::iter::empty::<Result<Vote, Infallible>>(),
    };
    let config = Config::new(NodeId(2), quorums);
    let shortest = config.election_timeout_min;
    let mut acceptor = Paxos::new(config, empty, Instant::ZERO).unwrap();
    let prepare = |from| {
        let (round, node) = (1, NodeId(1));
        let ballot = Ballot { round, node };
        let from = Slot(from);
        Message::Binding(Binding::Prepare {
            ballot,
            from,
            number: 0,
            invited: None,
        })
    };
    for page in 1..50 {
        let now = Instant::ZERO.plus(Duration::from_millis(100) * page);
        acceptor.handle_message(now, NodeId(1), prepare(u64::from(page)));
        let deadline = acceptor.poll_timeout().unwrap();
        assert!(deadline >= now.plus(shortest), "page {page}");
    }
}
