//! The check by positions, on cases by hand.

use synod_sim::serializability::{Anomaly, Verdict, check, check_positions};

use crate::cases::Op::{Append, List, Read, Write};
use crate::cases::{Fate, Op, Txn, history, txn};

fn at(position: i128, began: u64, ended: u64, ops: &[Op]) -> Txn {
    let mut txn = txn(began, ended, ops);
    txn.position = position;
    txn
}

fn found(txns: &[Txn], anomaly: Anomaly) -> String {
    let verdict = check_positions(&history(txns));
    let Verdict::Violation(violation) = verdict else {
        panic!("{anomaly} is not found: {verdict}");
    };
    assert_eq!(violation.anomaly, anomaly, "{violation}");
    violation.to_string()
}

fn accepted(txns: &[Txn]) {
    let verdict = check_positions(&history(txns));
    assert!(verdict.is_ok(), "{verdict}");
}

#[test]
fn a_writer_reads_below_its_position_and_a_reader_up_to_it() {
    let blind = [
        at(20, 0, 9, &[Write(0, 2)]),
        at(10, 0, 9, &[Write(0, 1)]),
        at(20, 0, 9, &[Read(0, Some(2))]),
        at(19, 0, 9, &[Read(0, Some(1))]),
        at(9, 0, 9, &[Read(0, None)]),
    ];
    accepted(&blind);
    accepted(&[
        at(1, 0, 9, &[Append(0, 1)]),
        at(2, 0, 9, &[List(0, vec![1]), Append(0, 2)]),
    ]);
    let late = [at(1, 0, 9, &[Write(0, 1)]), at(2, 0, 9, &[Read(0, None)])];
    let text = found(&late, Anomaly::WrongVersion);
    let why = "T1 at position 2 read nothing at 0, where 1 stands, by T0 at position 1";
    assert!(text.contains(why), "{text}");
    let early = [
        at(2, 0, 9, &[Write(0, 1)]),
        at(1, 0, 9, &[Read(0, Some(1))]),
    ];
    found(&early, Anomaly::WrongVersion);
}

/// Clients that read nothing cannot notice it; the positions show it.
#[test]
fn writers_stand_in_the_order_of_real_time() {
    let turned = [at(2, 0, 9, &[Write(0, 1)]), at(1, 10, 19, &[Write(1, 1)])];
    assert!(check(&history(&turned)).is_ok());
    let text = found(&turned, Anomaly::WrongOrder);
    let why = "T0 was acknowledged at 9.000 ms, before T1 began at 10.000 ms";
    assert!(text.contains(why), "{text}");
    assert!(
        text.contains("but T0 at position 2 is not before T1 at position 1"),
        "{text}"
    );
    let equal = [at(1, 0, 9, &[Write(0, 1)]), at(1, 10, 19, &[Write(1, 1)])];
    found(&equal, Anomaly::WrongOrder);
    let mut unanswered = turned;
    unanswered[0].fate = Fate::Unanswered;
    accepted(&unanswered);
}

/// Two clocks may give two reads the wrong timestamps, and nobody can tell if nothing changed.
#[test]
fn readers_may_stand_elsewhere_while_nothing_changes() {
    let mut txns = vec![
        at(5, 0, 9, &[Write(0, 1)]),
        at(20, 10, 19, &[Read(0, Some(1))]),
        at(15, 20, 29, &[Read(0, Some(1)), Read(1, None)]),
        at(30, 30, 39, &[Write(1, 2)]),
    ];
    accepted(&txns);
    // Between the two positions something has changed, and the later one misses it.
    txns[1].ops.push(Read(1, Some(2)));
    txns[3].position = 18;
    txns[3].began = 0;
    let text = found(&txns, Anomaly::WrongOrder);
    let why = "T2 at position 15 read 1 as it was before T3 at position 18";
    assert!(text.contains(why), "{text}");
    // It read in the past, as it was asked to.
    txns[2].is_past = true;
    accepted(&txns);
}

/// What a reader has shown is not before what began after it.
#[test]
fn a_writer_stands_behind_what_readers_have_seen() {
    let txns = [
        at(9, 0, 90, &[Write(0, 1)]),
        at(9, 0, 9, &[Read(0, Some(1))]),
        at(8, 20, 29, &[Write(1, 1)]),
    ];
    found(&txns, Anomaly::WrongOrder);
}

#[test]
fn who_shares_a_position_shares_nothing_else() {
    let apart = [at(1, 0, 9, &[Write(0, 1)]), at(1, 0, 9, &[Write(1, 1)])];
    accepted(&apart);
    let both = [at(1, 0, 9, &[Write(0, 1)]), at(1, 0, 9, &[Write(0, 2)])];
    found(&both, Anomaly::SharedPosition);
    let skew = [
        at(1, 0, 9, &[Read(1, None), Write(0, 1)]),
        at(1, 0, 9, &[Read(0, None), Write(1, 1)]),
    ];
    found(&skew, Anomaly::SharedPosition);
}

#[test]
fn without_positions_nothing_is_decided() {
    let history = {
        let mut history = synod_sim::serializability::TxnHistory::<u8, u8>::new();
        let txn = history.begin(std::time::Duration::ZERO).unwrap();
        history.commit(txn, std::time::Duration::ZERO).unwrap();
        history
    };
    let verdict = check_positions(&history);
    assert!(matches!(verdict, Verdict::Undecided(_)), "{verdict}");
}
