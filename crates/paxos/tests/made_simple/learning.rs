//! §2.1, what may be learned; §2.3, Learning a Chosen Value; §2.4, Progress.

use crate::*;
use core::time::Duration;
use synod_paxos::Instant;
use synod_paxos::single::{Config, Output, Synod};

/// The acceptances of this proposal by 1, 2 and 3.
fn votes(number: Ballot, value: &'static str) -> [Accepted<&'static str>; 3] {
    [1, 2, 3].map(|id| {
        let accepted = Acceptors::new().accept(id, &request(number, value));
        accepted.unwrap()
    })
}

/// A learner must find out that a proposal has been accepted by a majority of acceptors (§2.3), and
/// reports it once.
#[test]
fn a_value_is_learned_when_a_majority_has_accepted_it() {
    let mut learner = Learner::new(of_three());
    let [one, two, three] = votes(ballot(1, 1), "x");
    assert_eq!(learner.handle_accepted(NodeId(1), one), None);
    assert_eq!(learner.handle_accepted(NodeId(2), two), Some(&"x"));
    assert_eq!(learner.handle_accepted(NodeId(3), three), None);
    assert_eq!(learner.chosen(), Some(&"x"));
}

/// A process never learns that a value has been chosen unless it has been (§2.1): not from one
/// acceptor that reports it repeatedly, nor from strangers.
#[test]
fn an_acceptor_that_says_it_twice_is_one_acceptor() {
    let mut learner = Learner::new(of_three());
    let [vote, ..] = votes(ballot(1, 1), "x");
    for id in [1, 1, 4, 5, 1] {
        assert_eq!(learner.handle_accepted(NodeId(id), vote.clone()), None);
    }
}

/// Nor from a majority that accepted in different ballots, even if the value is the same: a value
/// is chosen when a single proposal is accepted by a majority (§2.2).
#[test]
fn votes_of_different_ballots_do_not_add_up() {
    let mut learner = Learner::new(of_three());
    let [one, ..] = votes(ballot(1, 1), "x");
    let [_, two, three] = votes(ballot(2, 2), "y");
    assert_eq!(learner.handle_accepted(NodeId(1), one.clone()), None);
    assert_eq!(learner.handle_accepted(NodeId(2), two), None);
    // The older vote again, after the newer: it remains one of 1.1.
    assert_eq!(learner.handle_accepted(NodeId(1), one), None);
    assert_eq!(learner.handle_accepted(NodeId(3), three), Some(&"y"));
}

/// The same with the votes of one acceptor: it has cast two, and the newer one counts.
#[test]
fn a_late_vote_does_not_replace_a_newer_one() {
    let mut learner = Learner::new(of_three());
    let [old, ..] = votes(ballot(1, 1), "x");
    let [new, other, _] = votes(ballot(2, 2), "y");
    learner.handle_accepted(NodeId(1), new);
    learner.handle_accepted(NodeId(1), old);
    assert_eq!(learner.handle_accepted(NodeId(2), other), Some(&"y"));
}

/// A value may be chosen with no learner ever finding out, because an acceptor that accepted it has
/// failed. Then a learner that needs to know has a proposer issue a proposal (§2.3).
#[test]
fn a_lost_answer_is_found_again_by_a_new_proposal() {
    let mut acceptors = Acceptors::new();
    let mut proposer = proposer_before(ballot(1, 1), of_three());
    let request = acceptors.phase1(&mut proposer, "x", &[1, 2]).unwrap();
    let mut learner = Learner::new(of_three());
    let heard = acceptors.accept(1, &request).unwrap();
    let _lost = acceptors.accept(2, &request).unwrap();
    assert_eq!(learner.handle_accepted(NodeId(1), heard), None);

    let found = acceptors.decide(ballot(2, 3), "whatever", &[2, 3], &[2, 3]);
    assert_eq!(found, Some("x"));
}

/// Two proposers can each keep issuing proposals with increasing numbers, none of which is ever
/// chosen (§2.4). Here each completes phase 1 just before the other's phase 2.
#[test]
fn two_proposers_may_stop_each_other_for_ever() {
    let mut acceptors = Acceptors::new();
    let mut p = Proposer::recover(NodeId(1), of_three(), Ballot::ZERO);
    let mut q = Proposer::recover(NodeId(2), of_three(), Ballot::ZERO);
    let mut of_p = acceptors.phase1(&mut p, "p", &[1, 2, 3]).unwrap();
    for _ in 0..100 {
        let of_q = acceptors.phase1(&mut q, "q", &[1, 2, 3]).unwrap();
        p.handle_preempted(acceptors.at(1).accept(of_p).unwrap_err());
        of_p = acceptors.phase1(&mut p, "p", &[1, 2, 3]).unwrap();
        q.handle_preempted(acceptors.at(1).accept(of_q).unwrap_err());
    }
    assert_eq!(acceptors.at(2).accepted(), None);
}

/// Nodes end this duel by waiting for different times (in §2.4 they elect a distinguished proposer,
/// which needs time or randomness as well). Here messages take so long that their first ballots
/// overlap.
#[test]
fn nodes_that_wait_for_different_times_get_on() {
    let latency = Duration::from_millis(30);
    for seed in 0..200 {
        let mut nodes: Vec<Synod<u64>> = Vec::new();
        for id in [1, 2, 3].map(NodeId) {
            let mut config = Config::new(id, of_three());
            config.seed = seed;
            nodes.push(Synod::new(config, Acceptor::default()).unwrap());
        }
        for node in &mut nodes {
            let value = node.id().0;
            node.propose(Instant::ZERO, value).unwrap();
        }
        let mut flying = Vec::new();
        let (mut now, mut chosen) = (Instant::ZERO, Vec::new());
        while chosen.len() < nodes.len() {
            for node in &mut nodes {
                let from = node.id();
                while let Some(output) = node.poll_output() {
                    let sent = match output {
                        Output::Persist(write) => write.persist(stored).unwrap(),
                        Output::Send(envelope) => vec![envelope],
                        Output::Chosen(value) => {
                            chosen.push(value);
                            continue;
                        }
                    };
                    let sent = sent.into_iter();
                    flying.extend(sent.map(|envelope| (now.plus(latency), from, envelope)));
                }
            }
            // The next event, a message or a deadline.
            let due = nodes.iter().filter_map(Synod::poll_timeout).min();
            let arrives = flying.iter().map(|(at, ..)| *at).min();
            now = arrives.into_iter().chain(due).min().unwrap_or(now);
            assert!(now < Instant(Duration::from_secs(60)), "seed {seed}");
            for (_, from, envelope) in flying.extract_if(.., |(at, ..)| *at <= now) {
                let node = nodes.iter_mut().find(|node| node.id() == envelope.to);
                node.unwrap().handle_message(now, from, envelope.message);
            }
            nodes.iter_mut().for_each(|node| node.handle_timeout(now));
        }
        assert!(chosen.iter().all(|value| *value == chosen[0]));
    }
}
