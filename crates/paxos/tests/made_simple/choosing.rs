//! §2.2, Choosing a Value: P1, P2 and what makes them true.

use crate::*;

/// P1: an acceptor must accept the first proposal that it receives.
#[test]
fn p1_the_first_proposal_is_accepted() {
    let mut acceptors = Acceptors::new();
    let accepted = acceptors.accept(1, &request(ballot(5, 9), "x"));
    assert_eq!(accepted.unwrap().proposal(), &proposal(ballot(5, 9), "x"));
    assert_eq!(
        acceptors.at(1).accepted(),
        Some(&proposal(ballot(5, 9), "x"))
    );
}

/// Because of P1 each acceptor may have accepted a different value, so an acceptor must be allowed
/// to accept more than one proposal.
#[test]
fn p1_alone_may_choose_nothing_so_acceptors_accept_again() {
    let mut acceptors = Acceptors::new();
    for (id, value) in [(1, "x"), (2, "y"), (3, "z")] {
        acceptors.accept(id, &request(ballot(1, id), value));
    }
    let chosen = acceptors.decide(ballot(2, 1), "w", &[1, 2], &[1, 2]);
    assert_eq!(chosen, Some("y"), "1.2 is the highest that 1 and 2 report");
}

/// P1a: an acceptor can accept a proposal numbered n if and only if it has not responded to a prepare
/// request with a number greater than n. (That it accepts after no promise at all is P1.)
#[test]
fn p1a_accepts_what_is_not_below_its_promise() {
    for (promised, asked, accepts) in [
        (ballot(2, 1), ballot(1, 9), false),
        (ballot(2, 2), ballot(2, 1), false),
        (ballot(2, 1), ballot(2, 1), true),
        (ballot(2, 1), ballot(2, 2), true),
        (ballot(2, 1), ballot(3, 0), true),
    ] {
        let mut acceptor = Acceptor::recover(promised, None).unwrap();
        let answer = acceptor.accept(request(asked, "x"));
        assert_eq!(answer.is_ok(), accepts, "{promised} and {asked}");
        if let Err(preempted) = answer {
            assert_eq!(preempted.promised, promised);
            assert_eq!(acceptor.accepted(), None);
        }
    }
}

/// Accepting n means refusing everything below n from then on, even if n was never prepared here.
#[test]
fn p1a_what_is_accepted_is_promised() {
    let mut acceptors = Acceptors::new();
    acceptors.accept(1, &request(ballot(3, 1), "x")).unwrap();
    assert_eq!(acceptors.at(1).promised(), ballot(3, 1));
    assert!(acceptors.accept(1, &request(ballot(2, 1), "y")).is_none());
    assert!(acceptors.at(1).prepare(ballot(2, 1)).is_err());
}

/// A prepare request that is not above an answered one may be ignored. Here it is refused, with the
/// promised number; only a repetition of the same request is answered again.
#[test]
fn a_prepare_below_the_promise_is_refused_and_a_repeated_one_is_not() {
    let mut acceptor = Acceptor::recover(ballot(3, 1), Some(proposal(ballot(2, 2), "x"))).unwrap();
    let preempted = acceptor.prepare(ballot(2, 9)).unwrap_err();
    assert_eq!(preempted.promised, ballot(3, 1));
    let Ok(promise) = acceptor.prepare(ballot(3, 1)).unwrap().persist(stored);
    assert_eq!(promise.accepted(), Some(&proposal(ballot(2, 2), "x")));
}

/// The response to a prepare request holds the proposal with the highest number less than n that the
/// acceptor has accepted, if any.
#[test]
fn a_promise_tells_the_last_accepted_proposal() {
    let mut acceptors = Acceptors::new();
    let Ok(promise) = acceptors
        .at(1)
        .prepare(ballot(1, 1))
        .unwrap()
        .persist(stored);
    assert_eq!(promise.accepted(), None);
    acceptors.accept(1, &request(ballot(1, 1), "x")).unwrap();
    acceptors.accept(1, &request(ballot(2, 1), "y")).unwrap();
    let Ok(promise) = acceptors
        .at(1)
        .prepare(ballot(3, 1))
        .unwrap()
        .persist(stored);
    assert_eq!(promise.ballot(), ballot(3, 1));
    assert_eq!(promise.accepted(), Some(&proposal(ballot(2, 1), "y")));
}

/// A proposer proposes once a majority has responded, not before.
#[test]
fn a_proposer_waits_for_a_majority() {
    let mut acceptors = Acceptors::new();
    let mut proposer = proposer_before(ballot(1, 1), of_three());
    assert_eq!(acceptors.phase1(&mut proposer, "x", &[2]), None);
    let mut proposer = proposer_before(ballot(2, 1), of_three());
    let accept = acceptors.phase1(&mut proposer, "x", &[3, 2]);
    assert_eq!(accept.unwrap().proposal(), &proposal(ballot(2, 1), "x"));
}

/// A majority is of acceptors, not of messages: one that answers twice has answered once.
#[test]
fn an_answer_that_comes_twice_counts_once() {
    let mut acceptors = Acceptors::new();
    let mut proposer = proposer_before(ballot(1, 1), of_three());
    let accept = acceptors.phase1(&mut proposer, "x", &[2, 2, 2]);
    assert_eq!(accept, None);
}

/// Strangers do not count, nor do promises of another number.
#[test]
fn only_answers_of_acceptors_to_this_number_count() {
    let mut acceptors = Acceptors::new();
    let mut proposer = proposer_before(ballot(1, 1), of_three());
    let old = prepare(&mut proposer, "x");
    let Ok(late) = acceptors
        .at(3)
        .prepare(old.ballot())
        .unwrap()
        .persist(stored);
    assert_eq!(acceptors.phase1(&mut proposer, "x", &[2]), None);
    assert_eq!(proposer.handle_promise(NodeId(3), late), None);
    let new = proposer.tried();
    let Ok(promise) = acceptors.at(1).prepare(new).unwrap().persist(stored);
    let strange = proposer.handle_promise(NodeId(4), promise.clone());
    assert_eq!(strange, None);
    assert!(proposer.handle_promise(NodeId(1), promise).is_some());
}

/// P2c (a): if no acceptor in S has accepted anything, any value will do.
#[test]
fn p2c_a_the_choice_is_free_where_nothing_is_accepted() {
    let mut acceptors = Acceptors::new();
    acceptors
        .accept(3, &request(ballot(1, 3), "elsewhere"))
        .unwrap();
    let mut proposer = proposer_before(ballot(2, 1), of_three());
    let accept = acceptors.phase1(&mut proposer, "mine", &[1, 2]).unwrap();
    assert_eq!(accept.proposal().value, "mine");
}

/// P2c (b): otherwise it is the value of the highest-numbered proposal that S has accepted: not
/// that of the first answer, of the last, or of most answers.
#[test]
fn p2c_b_the_value_of_the_highest_numbered_wherever_it_stands() {
    let five = || Quorums::majority((1..=5).map(NodeId)).unwrap();
    for order in [
        [1, 2, 3],
        [1, 3, 2],
        [2, 1, 3],
        [2, 3, 1],
        [3, 1, 2],
        [3, 2, 1],
    ] {
        let accepted = [
            (ballot(1, 1), "low"),
            (ballot(2, 1), "high"),
            (ballot(1, 1), "low"),
        ];
        let acceptors = accepted.map(|(number, value)| {
            Acceptor::recover(number, Some(proposal(number, value))).unwrap()
        });
        let mut proposer = proposer_before(ballot(3, 5), five());
        let accept = Acceptors(acceptors).phase1(&mut proposer, "mine", &order);
        assert_eq!(accept.unwrap().proposal().value, "high", "{order:?}");
    }
}

/// Numbers are compared as a whole: round first, then the node.
#[test]
fn p2c_b_within_a_round_the_node_decides() {
    let mut acceptors = Acceptors::new();
    acceptors.accept(1, &request(ballot(1, 2), "of 2")).unwrap();
    acceptors.accept(2, &request(ballot(1, 7), "of 7")).unwrap();
    let mut proposer = proposer_before(ballot(2, 1), of_three());
    let accept = acceptors.phase1(&mut proposer, "mine", &[2, 1]).unwrap();
    assert_eq!(accept.proposal().value, "of 7");
}

/// Answers beyond the majority change nothing: a number has one value.
#[test]
fn p2c_promises_behind_the_majority_do_not_change_the_proposal() {
    let mut acceptors = Acceptors::new();
    acceptors.accept(3, &request(ballot(1, 3), "late")).unwrap();
    let mut proposer = proposer_before(ballot(2, 1), of_three());
    let first = acceptors.phase1(&mut proposer, "mine", &[1, 2]);
    assert_eq!(first.unwrap().proposal().value, "mine");
    let number = proposer.tried();
    let Ok(promise) = acceptors.at(3).prepare(number).unwrap().persist(stored);
    assert_eq!(proposer.handle_promise(NodeId(3), promise), None);
}

/// P2b: if a value is chosen, every higher-numbered proposal issued by any proposer has it,
/// whatever majority answered.
#[test]
fn p2b_a_chosen_value_is_proposed_by_everybody_later() {
    for promise in [[1, 2], [1, 3], [2, 3]] {
        let mut acceptors = Acceptors::new();
        let chosen = acceptors.decide(ballot(1, 1), "x", &[1, 2], &[1, 2]);
        assert_eq!(chosen, Some("x"));
        let mut proposer = proposer_before(ballot(2, 3), of_three());
        let accept = acceptors.phase1(&mut proposer, "y", &promise).unwrap();
        assert_eq!(accept.proposal(), &proposal(ballot(2, 3), "x"));
    }
}

/// P2a and P2: so every higher-numbered proposal that is accepted has it, and every one that is
/// chosen, even if an acceptor "wakes up" that did not know of it.
#[test]
fn p2a_an_acceptor_that_wakes_up_accepts_the_chosen_value() {
    let mut acceptors = Acceptors::new();
    acceptors.decide(ballot(1, 1), "x", &[1, 2], &[1, 2]);
    let chosen = acceptors.decide(ballot(2, 3), "y", &[2, 3], &[2, 3]);
    assert_eq!(chosen, Some("x"), "P2");
    let accepted = acceptors.at(3).accepted();
    assert_eq!(accepted, Some(&proposal(ballot(2, 3), "x")), "P2a");
}

/// The future is controlled by promises: a proposal that was issued before may be accepted by
/// acceptors that have not promised, but can no longer be chosen.
#[test]
fn an_older_proposal_cannot_be_chosen_behind_a_majority_of_promises() {
    let mut acceptors = Acceptors::new();
    let mut old = proposer_before(ballot(1, 1), of_three());
    let request = acceptors.phase1(&mut old, "old", &[1, 2]).unwrap();
    let chosen = acceptors.decide(ballot(2, 2), "new", &[2, 3], &[2, 3]);
    assert_eq!(chosen, Some("new"));
    assert!(acceptors.accept(1, &request).is_some());
    assert!(acceptors.accept(2, &request).is_none());
    assert!(acceptors.accept(3, &request).is_none());
    let chosen = acceptors.decide(ballot(3, 1), "old", &[1, 2], &[1, 2]);
    assert_eq!(chosen, Some("new"));
}

/// The accept request need not go to the acceptors that responded to the prepare request.
#[test]
fn phase_2_may_go_to_another_majority() {
    let mut acceptors = Acceptors::new();
    let chosen = acceptors.decide(ballot(1, 1), "x", &[1, 2], &[2, 3]);
    assert_eq!(chosen, Some("x"));
}

/// An acceptor may ignore any request without compromising safety: the others choose without it, or
/// nothing is chosen.
#[test]
fn requests_that_are_ignored_choose_nothing_wrong() {
    let mut acceptors = Acceptors::new();
    assert_eq!(acceptors.decide(ballot(1, 1), "x", &[1, 2], &[1]), None);
    assert_eq!(acceptors.decide(ballot(2, 2), "y", &[2, 3], &[3]), None);
    let chosen = acceptors.decide(ballot(3, 1), "z", &[1, 3], &[1, 3]);
    assert_eq!(chosen, Some("y"));
}

/// PTP §2.1, B3: if any priest of a ballot's quorum voted earlier, its decree is that of the latest
/// such vote. A vote outside the quorum does not bind it (the vote of 3 in 1.3 here).
#[test]
fn b3_only_votes_within_the_quorum_bind() {
    let mut acceptors = Acceptors::new();
    acceptors.accept(1, &request(ballot(1, 1), "of 1")).unwrap();
    acceptors.accept(3, &request(ballot(1, 3), "of 3")).unwrap();
    let chosen = acceptors.decide(ballot(2, 2), "mine", &[1, 2], &[1, 2]);
    assert_eq!(chosen, Some("of 1"));
}

/// PTP §2.1, B2 requires that any two quorums intersect. That is more than needed: those of phase 1
/// need not intersect each other, nor those of phase 2 (Flexible Paxos).
#[test]
fn b2_is_needed_across_the_phases_only() {
    let four = || Quorums::flexible((1..=4).map(NodeId), 3, 2).unwrap();
    let mut first = Learner::new(four());
    let mut second = Learner::new(four());
    let mut acceptors = [(); 4].map(|()| Acceptor::default());
    let mut requests = Vec::new();
    for (number, wish) in [(ballot(1, 1), "x"), (ballot(2, 2), "y")] {
        let mut proposer = proposer_before(number, four());
        let prepare = prepare(&mut proposer, wish);
        let accept = [0, 1, 2].into_iter().find_map(|at: usize| {
            let pending = acceptors[at].prepare(prepare.ballot()).unwrap();
            let Ok(promise) = pending.persist(stored);
            proposer.handle_promise(NodeId(at as u64 + 1), promise)
        });
        requests.push(accept.unwrap());
        // Chosen by 1 and 2, and then by 3 and 4.
        let (learner, voters) = match wish {
            "x" => (&mut first, [0, 1]),
            _ => (&mut second, [2, 3]),
        };
        for at in voters {
            let accept = requests.last().unwrap().clone();
            let Ok(accepted) = acceptors[at].accept(accept).unwrap().persist(stored);
            learner.handle_accepted(NodeId(at as u64 + 1), accepted);
        }
    }
    assert_eq!(first.chosen(), Some(&"x"));
    assert_eq!(second.chosen(), Some(&"x"));
}
