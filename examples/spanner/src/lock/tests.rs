use bytes::Bytes;
use synod_sim::Rng;
use synod_truetime::Timestamp;

use super::*;
use crate::txn::ShardId;

fn txn(age: i64) -> TxnId {
    TxnId::first(Timestamp::from_nanos(age), 1, 1, ShardId(1))
}

fn lock(key: &'static str, mode: Mode) -> Vec<Lock> {
    let span = Span::key(key);
    vec![Lock { span, mode }]
}

fn turned(granted: &[i64], wounded: &[i64]) -> Turned {
    let txns = |ages: &[i64]| ages.iter().map(|age| txn(*age)).collect();
    Turned {
        granted: txns(granted),
        wounded: txns(wounded),
    }
}

#[test]
fn the_older_wounds_and_the_younger_waits() {
    let mut table = LockTable::new(10);
    let mut acquire = |age, key, mode| table.acquire(txn(age), lock(key, mode)).unwrap();
    assert_eq!(acquire(5, "a", Mode::Shared), turned(&[5], &[]));
    assert_eq!(acquire(7, "a", Mode::Shared), turned(&[7], &[]));
    assert_eq!(acquire(5, "a", Mode::Exclusive), turned(&[5], &[7]));
    assert_eq!(acquire(9, "a", Mode::Shared), turned(&[], &[]));
    assert_eq!(table.release(txn(5)), vec![txn(9)]);
}

/// Both hold it shared and want it alone: neither can have it while the other has anything.
#[test]
fn of_two_that_upgrade_the_older_goes_first() {
    let mut table = LockTable::new(10);
    for age in [5, 7] {
        table.acquire(txn(age), lock("a", Mode::Shared)).unwrap();
    }
    let younger = table.acquire(txn(7), lock("a", Mode::Exclusive)).unwrap();
    assert_eq!(younger, turned(&[], &[]), "it waits for the older");
    let older = table.acquire(txn(5), lock("a", Mode::Exclusive)).unwrap();
    assert_eq!(
        older,
        turned(&[5], &[7]),
        "which wounds it, for all that it waits"
    );
    assert_eq!(table.len(), 2, "the younger holds and wants nothing");
}

#[test]
fn a_reader_does_not_pass_an_older_writer_that_waits() {
    let mut table = LockTable::new(10);
    let mut acquire = |age, mode| table.acquire(txn(age), lock("a", mode)).unwrap();
    assert_eq!(acquire(1, Mode::Shared), turned(&[1], &[]));
    assert_eq!(acquire(2, Mode::Exclusive), turned(&[], &[]));
    assert_eq!(acquire(3, Mode::Shared), turned(&[], &[]));
    assert_eq!(table.release(txn(1)), vec![txn(2)]);
    assert_eq!(table.release(txn(2)), vec![txn(3)]);
}

#[test]
fn a_firm_one_is_not_wounded_but_told_of() {
    let mut table = LockTable::new(10);
    table.acquire(txn(8), lock("a", Mode::Exclusive)).unwrap();
    table.make_firm(txn(8));
    let older = table.acquire(txn(1), lock("a", Mode::Shared)).unwrap();
    assert_eq!(older, turned(&[], &[]));
    assert_eq!(table.held_up_by(), BTreeSet::from([txn(8)]));
    assert_eq!(table.release(txn(8)), vec![txn(1)]);
    assert!(table.held_up_by().is_empty());
}

#[test]
fn a_scan_keeps_new_keys_out_and_the_bound_holds() {
    let mut table = LockTable::new(3);
    let scan = Lock::shared(Span::between("a", "c"));
    table.acquire(txn(1), vec![scan]).unwrap();
    let inside = table.acquire(txn(2), lock("b", Mode::Exclusive)).unwrap();
    assert_eq!(inside, turned(&[], &[]));
    let outside = table.acquire(txn(3), lock("c", Mode::Exclusive)).unwrap();
    assert_eq!(outside, turned(&[3], &[]));
    let more = table.acquire(txn(4), lock("d", Mode::Shared));
    assert_eq!(more, Err(LocksFull { max: 3 }));
    let again = table.acquire(txn(3), lock("c", Mode::Exclusive));
    assert!(again.is_ok(), "what it has is not counted twice");
}

/// Whatever is asked for and let go: the invariants hold, and when all have let go nothing is left.
#[test]
fn the_table_stays_sound() {
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let mut table = LockTable::new(60);
        for _ in 0..400 {
            let who = txn(rng.below(12).cast_signed());
            match rng.below(8) {
                0 | 1 => drop(table.release(who)),
                2 if table.held.of.contains_key(&who) && !table.waiting.contains_key(&who) => {
                    table.make_firm(who);
                }
                _ if table.firm.contains(&who) => {}
                _ => {
                    let key = |n: u64| Bytes::from(vec![b'a' + u8::try_from(n).unwrap()]);
                    let from = rng.below(8);
                    let span = match rng.below(4) {
                        0 => Span::between(key(from), key(from + rng.below(4))),
                        _ => Span::key(key(from)),
                    };
                    let mode = [Mode::Shared, Mode::Exclusive][rng.index(2)];
                    let _ = table.acquire(who, vec![Lock { span, mode }]);
                }
            }
            assert!(table.is_sound(), "seed {seed}: {table:?}");
        }
        for age in 0..12 {
            table.release(txn(age));
        }
        assert!(
            table.is_empty() && table.held.keys.is_empty(),
            "seed {seed}"
        );
    }
}
