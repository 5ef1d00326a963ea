//! §2.2 and §2.5: what must be remembered, and numbers that are never used twice.

use crate::*;

/// Different proposals have different numbers: proposers draw from disjoint sets (§2.5; PTP §2.1,
/// B1).
#[test]
fn b1_two_proposers_never_use_the_same_number() {
    let mut numbers = Vec::new();
    for node in [1, 2, u64::MAX] {
        let mut proposer = Proposer::recover(NodeId(node), of_three(), Ballot::ZERO);
        numbers.extend((0..5).map(|_| prepare(&mut proposer, "x").ballot()));
    }
    numbers.sort_unstable();
    assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]));
}

/// Each proposer remembers in stable storage the highest number it has tried, and begins with a
/// higher one (§2.5), however often it restarts and wherever it stopped.
#[test]
fn b1_a_number_that_was_sent_is_never_used_again() {
    let (mut disk, mut sent) = (Ballot::ZERO, Vec::new());
    for restart in 0..20 {
        let mut proposer = Proposer::recover(NodeId(1), of_three(), disk);
        for attempt in 0..3 {
            let lost = (restart + attempt) % 4 == 0;
            let pending = proposer.prepare("x").unwrap();
            let prepare = pending.persist(|tried| {
                if lost {
                    return Err("the disk is gone");
                }
                disk = *tried;
                Ok(())
            });
            sent.extend(prepare.map(|prepare| prepare.ballot()));
        }
    }
    assert!(sent.len() > 40);
    assert!(sent.windows(2).all(|pair| pair[0] < pair[1]), "{sent:?}");
}

/// A proposer may abandon a proposal and forget all about it, as long as it never issues another with
/// the same number (§2.2).
#[test]
fn a_proposal_may_be_abandoned_at_any_time() {
    let mut acceptors = Acceptors::new();
    let mut proposer = Proposer::recover(NodeId(1), of_three(), Ballot::ZERO);
    assert_eq!(acceptors.phase1(&mut proposer, "first", &[1]), None);
    let accept = acceptors.phase1(&mut proposer, "second", &[2, 3]).unwrap();
    assert_eq!(accept.proposal(), &proposal(ballot(2, 1), "second"));
}

/// An acceptor that refuses because of a higher number should inform the proposer, which then
/// abandons its own (§2.5) and begins above that one.
#[test]
fn a_proposer_that_is_told_begins_above() {
    let mut acceptor = Acceptor::<&str>::recover(ballot(7, 3), None).unwrap();
    let mut proposer = Proposer::recover(NodeId(1), of_three(), Ballot::ZERO);
    let low = prepare(&mut proposer, "x").ballot();
    proposer.handle_preempted(acceptor.prepare(low).unwrap_err());
    assert_eq!(prepare(&mut proposer, "x").ballot(), ballot(8, 1));
}

/// An acceptor has to remember the highest-numbered proposal it accepted and the highest number it
/// promised, also if it fails and restarts (§2.2): before it answers, both are in stable storage
/// (§2.5).
#[test]
fn an_acceptor_remembers_across_restarts() {
    let mut disk = Acceptor::<&str>::default();
    let mut acceptor = disk.clone();
    let write = |acceptor: &Acceptor<&'static str>| {
        disk = acceptor.clone();
        Ok::<(), Infallible>(())
    };
    let Ok(_promise) = acceptor.prepare(ballot(1, 1)).unwrap().persist(write);
    assert_eq!(disk.promised(), ballot(1, 1));
    let restarted = Acceptor::recover(disk.promised(), disk.accepted().cloned());
    assert_eq!(restarted, Ok(acceptor.clone()));
    let write = |acceptor: &Acceptor<&'static str>| {
        disk = acceptor.clone();
        Ok::<(), Infallible>(())
    };
    let accept = request(ballot(2, 1), "x");
    let Ok(_accepted) = acceptor.accept(accept).unwrap().persist(write);

    let mut restarted = Acceptor::recover(disk.promised(), disk.accepted().cloned()).unwrap();
    assert_eq!(restarted, acceptor);
    assert!(restarted.prepare(ballot(1, 9)).is_err());
    let Ok(promise) = restarted.prepare(ballot(3, 1)).unwrap().persist(stored);
    assert_eq!(promise.accepted(), Some(&proposal(ballot(2, 1), "x")));
}

/// An answer whose write has failed is never sent. Memory ahead of the disk is lost in a crash, and
/// otherwise stored with the next answer.
#[test]
fn an_answer_is_lost_with_its_write() {
    let mut acceptor = Acceptor::<&str>::default();
    let pending = acceptor.prepare(ballot(2, 1)).unwrap();
    assert_eq!(pending.persist(|_| Err("full")), Err("full"));
    assert!(acceptor.prepare(ballot(1, 1)).is_err(), "ahead, and safe");
    let mut disk = None;
    let pending = acceptor.accept(request(ballot(3, 1), "x")).unwrap();
    let Ok(_accepted) = pending.persist(|acceptor| {
        disk = Some(acceptor.clone());
        Ok::<(), Infallible>(())
    });
    assert_eq!(disk, Some(acceptor));
}

/// A record that no acceptor can have stored is refused by `recover`.
#[test]
fn a_record_that_no_acceptor_wrote_is_refused() {
    use synod_paxos::single::RecoverError;
    let x = |number| Some(proposal(number, "x"));
    let (low, high) = (ballot(1, 1), ballot(2, 1));
    let beyond = ballot(Ballot::ROUND_MAX + 1, 1);
    for (promised, accepted, error) in [
        (
            low,
            x(high),
            RecoverError::NotPromised {
                accepted: high,
                promised: low,
            },
        ),
        (beyond, None, RecoverError::NoBallot { ballot: beyond }),
        (
            low,
            x(Ballot::ZERO),
            RecoverError::NoBallot {
                ballot: Ballot::ZERO,
            },
        ),
    ] {
        assert_eq!(Acceptor::recover(promised, accepted), Err(error));
    }
    assert!(Acceptor::<&str>::recover(Ballot::ZERO, None).is_ok());
    assert!(Acceptor::recover(high, x(high)).is_ok());
}

/// N4: a number that leaps is refused and not exceeded; a smaller leap is accepted.
#[test]
fn numbers_do_not_leap() {
    use synod_paxos::single::Preempted;
    let next_after = |promised| {
        let mut proposer = Proposer::recover(NodeId(1), of_three(), ballot(7, 1));
        proposer.handle_preempted(Preempted { promised });
        prepare(&mut proposer, "x").ballot()
    };
    let mut acceptor = Acceptor::<&str>::recover(ballot(7, 1), None).unwrap();
    let before = acceptor.clone();
    let reach = 7 + Ballot::LEAP_MAX;
    for leap in [ballot(reach + 1, 2), ballot(Ballot::ROUND_MAX, 2)] {
        assert!(acceptor.prepare(leap).is_err());
        assert_eq!(acceptor, before);
        assert_eq!(next_after(leap), ballot(8, 1));
    }
    assert!(acceptor.prepare(ballot(reach, 2)).is_ok());
    assert_eq!(next_after(ballot(reach, 2)), ballot(reach + 1, 1));
}

/// Numbers are finite, and no peer can use them up sooner.
#[test]
fn numbers_beyond_the_last_round_are_none() {
    use synod_paxos::single::{BallotsUsedUp, Preempted};
    let mut acceptor = Acceptor::<&str>::default();
    for number in [Ballot::ZERO, ballot(0, 1), ballot(Ballot::ROUND_MAX + 1, 1)] {
        assert!(acceptor.prepare(number).is_err());
        let mut proposer = Proposer::recover(NodeId(1), of_three(), Ballot::ZERO);
        proposer.handle_preempted(Preempted { promised: number });
        assert_eq!(prepare(&mut proposer, "x").ballot(), ballot(1, 1));
    }
    assert_eq!(acceptor, Acceptor::default());
    let last = ballot(Ballot::ROUND_MAX, 1);
    let mut proposer = Proposer::recover(NodeId(1), of_three(), last);
    assert_eq!(proposer.prepare("x").unwrap_err(), BallotsUsedUp);
}
