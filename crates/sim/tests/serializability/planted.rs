//! Anomalies made by hand, each found under its name and by its shortest proof.

use synod_sim::serializability::{Anomaly, Dependency, Verdict, check};

use crate::cases::Op::{Append, List, Read, Write};
use crate::cases::{Fate, Op, Txn, history, txn};
use crate::orders::some_order_explains;

/// All overlap.
fn together(txns: &[&[Op]]) -> Vec<Txn> {
    txns.iter().map(|ops| txn(0, 9, ops)).collect()
}

/// Each is over when the next begins.
fn in_turn(txns: &[&[Op]]) -> Vec<Txn> {
    (0..)
        .zip(txns)
        .map(|(nth, ops)| txn(10 * nth, 10 * nth + 9, ops))
        .collect()
}

fn with(mut txns: Vec<Txn>, which: usize, fate: Fate) -> Vec<Txn> {
    txns[which].fate = fate;
    txns
}

fn found(txns: &[Txn], anomaly: Anomaly) -> String {
    assert!(!some_order_explains(txns), "{anomaly}");
    let verdict = check(&history(txns));
    let Verdict::Violation(violation) = verdict else {
        panic!("{anomaly} is not found: {verdict}");
    };
    assert_eq!(violation.anomaly, anomaly, "{violation}");
    violation.to_string()
}

fn kinds(txns: &[Txn]) -> Vec<Dependency> {
    let verdict = check(&history(txns));
    let steps = verdict.violation().unwrap().steps.iter();
    let mut kinds: Vec<_> = steps.filter_map(|step| step.dependency).collect();
    kinds.sort_unstable();
    kinds
}

#[test]
fn reads_of_nothing_of_the_aborted_and_of_the_unfinished() {
    let garbage = together(&[&[Read(0, Some(7))]]);
    found(&garbage, Anomaly::GarbageRead);
    found(&together(&[&[List(0, vec![7])]]), Anomaly::GarbageRead);
    let aborted = [
        together(&[&[Write(0, 1)], &[Read(0, Some(1))]]),
        together(&[&[Append(0, 1)], &[List(0, vec![1])]]),
        together(&[
            &[Append(0, 1)],
            &[List(0, vec![]), Append(0, 2)],
            &[List(0, vec![1, 2])],
            &[List(0, vec![2])],
        ]),
    ];
    for txns in aborted {
        let text = found(&with(txns, 0, Fate::Aborted), Anomaly::AbortedRead);
        assert!(text.contains("which T0 wrote and aborted"), "{text}");
    }
    let between = together(&[&[Write(0, 1), Write(0, 2)], &[Read(0, Some(1))]]);
    found(&between, Anomaly::IntermediateRead);
    let between = together(&[&[Append(0, 1), Append(0, 2)], &[List(0, vec![1])]]);
    found(&between, Anomaly::IntermediateRead);
}

#[test]
fn contradictions_within_one_transaction() {
    let cases: [&[Op]; 6] = [
        &[Write(0, 1), Read(0, None)],
        &[Read(0, Some(1)), Write(0, 1)],
        &[Write(0, 1), Write(0, 2), Read(0, Some(1))],
        &[Append(0, 1), List(0, vec![])],
        &[List(0, vec![1]), Append(0, 1)],
        &[Append(0, 1), Append(0, 2), List(0, vec![2, 1])],
    ];
    for ops in cases {
        found(&together(&[ops]), Anomaly::Internal);
    }
}

#[test]
fn lists_that_cannot_be() {
    let twice = together(&[&[Append(0, 1)], &[List(0, vec![1, 1])]]);
    found(&twice, Anomaly::DuplicateAppend);
    let parted = together(&[
        &[Append(0, 1)],
        &[Append(0, 2)],
        &[List(0, vec![1, 2])],
        &[List(0, vec![2])],
    ]);
    found(&parted, Anomaly::IncompatibleOrder);
    let turned = together(&[&[Append(0, 1), Append(0, 2)], &[List(0, vec![2, 1])]]);
    found(&turned, Anomaly::IncompatibleOrder);
    let half = together(&[&[Append(0, 1), Append(0, 2)], &[List(0, vec![2])]]);
    found(&half, Anomaly::IncompatibleOrder);
}

#[test]
fn cycles_of_writes_and_reads() {
    let writes = together(&[
        &[Append(0, 1), Append(1, 1)],
        &[Append(0, 2), Append(1, 2)],
        &[List(0, vec![1, 2])],
        &[List(1, vec![2, 1])],
    ]);
    let text = found(&writes, Anomaly::G0);
    assert!(
        text.contains("T0 appended 1 to 0, behind which T1 appended 2"),
        "{text}"
    );
    let torn = together(&[
        &[Append(0, 1), Append(0, 3)],
        &[Append(0, 2)],
        &[List(0, vec![1, 2, 3])],
    ]);
    found(&torn, Anomaly::G0);
    let flow = together(&[
        &[Append(0, 1), List(1, vec![2])],
        &[Append(1, 2), List(0, vec![1])],
    ]);
    found(&flow, Anomaly::G1c);
    let flow = together(&[
        &[Write(0, 1), Read(1, Some(2))],
        &[Write(1, 2), Read(0, Some(1))],
    ]);
    found(&flow, Anomaly::G1c);
    // Three of them, none two of which contradict each other.
    let round = together(&[
        &[Write(0, 1), Read(2, Some(1))],
        &[Write(1, 1), Read(0, Some(1))],
        &[Write(2, 1), Read(1, Some(1))],
    ]);
    found(&round, Anomaly::G1c);
    assert_eq!(kinds(&round).len(), 3);
}

#[test]
fn skews_and_lost_updates() {
    let skew = together(&[
        &[Read(0, None), Read(1, Some(1))],
        &[Read(0, None), Write(0, 1), Read(1, None), Write(1, 1)],
    ]);
    let text = found(&skew, Anomaly::GSingle);
    assert_eq!(kinds(&skew), [Dependency::WriteRead, Dependency::ReadWrite]);
    assert!(
        text.contains("T0 read nothing at 0, which T1 replaced by 1"),
        "{text}"
    );
    assert!(text.contains("T1 wrote 1 to 1, which T0 read"), "{text}");
    // Longer ones are not shown while there is a shorter one.
    let several = together(&[
        &[List(0, vec![]), List(2, vec![1])],
        &[Append(0, 1), Append(1, 1)],
        &[List(1, vec![1]), Append(2, 1)],
        &[List(3, vec![]), List(4, vec![1])],
        &[Append(3, 1), Append(4, 1)],
    ]);
    found(&several, Anomaly::GSingle);
    assert_eq!(kinds(&several).len(), 2);
    // One key read twice, with an update between.
    let fuzzy = together(&[&[List(0, vec![]), List(0, vec![1])], &[Append(0, 1)]]);
    found(&fuzzy, Anomaly::GSingle);
    let writes = together(&[
        &[Read(0, None), Read(1, None), Write(0, 1)],
        &[Read(0, None), Read(1, None), Write(1, 1)],
    ]);
    found(&writes, Anomaly::G2Item);
    assert_eq!(kinds(&writes), [Dependency::ReadWrite; 2]);
    let lost = together(&[
        &[Read(0, None), Write(0, 1)],
        &[Read(0, None), Write(0, 2)],
        &[Read(0, None), Write(0, 3)],
    ]);
    found(&lost, Anomaly::LostUpdate);
    for seen in [vec![], vec![1], vec![1, 2]] {
        let lost = together(&[
            &[List(0, vec![]), Append(0, 1)],
            &[List(0, vec![]), Append(0, 2)],
            &[List(0, seen)],
        ]);
        found(&lost, Anomaly::LostUpdate);
    }
}

#[test]
fn orders_that_real_time_contradicts() {
    let writes = in_turn(&[&[Append(0, 1)], &[Append(0, 2)], &[List(0, vec![2, 1])]]);
    found(&writes, Anomaly::G0RealTime);
    let future = in_turn(&[&[Read(0, Some(1))], &[Write(0, 1)]]);
    let text = found(&future, Anomaly::G1cRealTime);
    let why = "T0 was acknowledged at 9.000 ms, before T1 began at 10.000 ms";
    assert!(text.contains(why), "{text}");
    let stale = in_turn(&[&[Append(0, 1)], &[List(0, vec![])]]);
    found(&stale, Anomaly::GSingleRealTime);
    assert_eq!(kinds(&stale), [Dependency::ReadWrite, Dependency::RealTime]);
    // Nobody ever read what was lost, so it stands behind what was read.
    let lost = in_turn(&[&[Append(0, 1)], &[Append(0, 2)], &[List(0, vec![2])]]);
    found(&lost, Anomaly::G0RealTime);
    // Blind writes that real time separates, and a read of the first behind both.
    let stale = in_turn(&[&[Write(0, 1)], &[Write(0, 2)], &[Read(0, Some(1))]]);
    found(&stale, Anomaly::GSingleRealTime);
    // Two readers see two writes in two orders: a long fork.
    let mut fork = together(&[
        &[Append(0, 1)],
        &[Append(1, 1)],
        &[List(0, vec![1]), List(1, vec![])],
        &[List(0, vec![]), List(1, vec![1])],
    ]);
    found(&fork, Anomaly::G2Item);
    // Time alone joins the two.
    fork = vec![
        txn(0, 30, &[Append(0, 1)]),
        txn(0, 30, &[Append(1, 1)]),
        txn(20, 30, &[List(1, vec![]), Append(2, 1)]),
        txn(0, 10, &[List(0, vec![]), List(1, vec![1])]),
    ];
    found(&fork, Anomaly::GSingleRealTime);
    let twice = vec![
        txn(10, 20, &[List(0, vec![])]),
        txn(0, 90, &[Append(0, 1), List(1, vec![])]),
        txn(0, 5, &[Append(1, 1)]),
    ];
    found(&twice, Anomaly::G2ItemRealTime);
}

/// The same histories, but for what made them wrong.
#[test]
fn what_only_looks_wrong_is_accepted() {
    let cases = [
        // What overlaps comes in either order.
        together(&[&[Append(0, 1)], &[List(0, vec![])]]),
        together(&[&[Read(0, Some(1))], &[Write(0, 1)]]),
        // An unknown outcome that was read, and one that was not.
        with(
            in_turn(&[&[Append(0, 1)], &[List(0, vec![1])]]),
            0,
            Fate::Unknown,
        ),
        with(
            in_turn(&[&[Append(0, 1)], &[List(0, vec![])]]),
            0,
            Fate::Unknown,
        ),
        // It happens later than one that began later.
        with(
            in_turn(&[&[Append(0, 1)], &[List(0, vec![])], &[List(0, vec![1])]]),
            0,
            Fate::Unknown,
        ),
        // What an aborted one read is nobody's business.
        with(
            in_turn(&[&[Append(0, 1)], &[List(0, vec![])]]),
            1,
            Fate::Aborted,
        ),
        // Its own writes, once in the middle.
        together(&[&[
            Append(0, 1),
            List(0, vec![1]),
            Append(0, 2),
            List(0, vec![1, 2]),
        ]]),
        together(&[&[Write(0, 1), Read(0, Some(1)), Write(0, 2), Read(0, Some(2))]]),
        // Several that nobody read, after one who read all.
        together(&[
            &[List(0, vec![]), Append(0, 1)],
            &[Append(0, 2)],
            &[Append(0, 3)],
        ]),
        together(&[
            &[Append(0, 1), List(0, vec![1]), Append(0, 4)],
            &[Append(0, 2)],
            &[Append(0, 3)],
        ]),
    ];
    for txns in cases {
        assert!(some_order_explains(&txns), "{txns:?}");
        let verdict = check(&history(&txns));
        assert!(verdict.is_ok(), "{txns:?}: {verdict}");
    }
}

#[test]
fn a_read_in_the_past_may_be_old_and_must_be_one_state() {
    let mut txns = in_turn(&[
        &[Append(0, 1), Append(1, 1)],
        &[Append(0, 2), Append(1, 2)],
        &[List(0, vec![1]), List(1, vec![1])],
    ]);
    found(&txns, Anomaly::GSingleRealTime);
    txns[2].is_past = true;
    assert!(check(&history(&txns)).is_ok());
    txns[2].ops[1] = List(1, vec![1, 2]);
    found(&txns, Anomaly::GSingle);
}

/// An unknown outcome that was read counts, with all that it read itself.
#[test]
fn what_is_read_counts_and_what_it_has_read() {
    let mut txns = together(&[
        &[Append(0, 1)],
        &[List(0, vec![1]), Append(1, 1)],
        &[List(1, vec![1])],
        &[List(0, vec![]), List(1, vec![1])],
    ]);
    txns[0].fate = Fate::Unknown;
    txns[1].fate = Fate::Unknown;
    found(&txns, Anomaly::GSingle);
    txns.pop();
    assert!(check(&history(&txns)).is_ok());
    txns[0].fate = Fate::Aborted;
    found(&txns, Anomaly::AbortedRead);
}

/// Blind writes whose order only the other dependencies show.
#[test]
fn the_order_of_blind_writes_is_derived() {
    let blind = together(&[
        &[Write(0, 1), Write(1, 1)],
        &[Write(0, 2), Write(1, 2)],
        &[Read(0, Some(1)), Read(1, Some(2))],
    ]);
    found(&blind, Anomaly::G0);
    let sound = together(&[
        &[Write(0, 1), Write(1, 1)],
        &[Write(0, 2), Write(2, 2)],
        &[Read(0, Some(1)), Read(2, Some(2))],
        &[Read(2, None), Read(1, None)],
        &[Write(2, 3), Read(0, Some(1))],
    ]);
    assert!(some_order_explains(&sound));
    assert!(check(&history(&sound)).is_ok());
}

/// Which is no verdict.
#[test]
fn what_cannot_be_decided_is_undecided() {
    let repeated = together(&[
        &[Write(0, 1), Write(1, 1)],
        &[Write(0, 1), Write(1, 2)],
        &[Read(0, Some(1)), Read(1, None)],
    ]);
    assert!(!some_order_explains(&repeated));
    let verdict = check(&history(&repeated));
    assert!(matches!(verdict, Verdict::Undecided(_)), "{verdict}");
    assert!(!verdict.is_ok() && verdict.violation().is_none());
}
