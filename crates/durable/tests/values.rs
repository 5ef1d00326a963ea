//! An outbox as a value: what equality, `Hash` and `Debug` see of it, which receipts a clone
//! accepts, and what a list of few elements holds.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};

use synod_durable::{Coalesce, Few, Outbox, Receipt, Record, Refused, Write};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Stored(u64);

impl Record for Stored {
    type Own = u64;

    fn own(&self) -> u64 {
        self.0
    }
}

impl Coalesce for Stored {}

type Lanes = Outbox<Stored, u8, Stored>;

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// An outbox after this many writes, with the last one in flight.
fn writing(writes: u64) -> (Lanes, Write<Stored, Stored>) {
    let mut outbox = Lanes::new();
    for number in 1..writes {
        let receipt = outbox.write(|| Stored(number)).map(receipt);
        let own = receipt.map(|receipt| outbox.settle(receipt));
        assert!(own.is_some_and(|own| own.is_ok()));
    }
    last_write(outbox, writes)
}

/// Like [`writing`], but in a new outbox, so that only the number of the write differs.
fn after_restart(writes: u64) -> (Lanes, Write<Stored, Stored>) {
    last_write(Lanes::new(), writes)
}

fn last_write(mut outbox: Lanes, content: u64) -> (Lanes, Write<Stored, Stored>) {
    outbox.send_after_write(Stored(content));
    let write = outbox.write(|| Stored(content));
    (outbox, write.expect("none is in flight"))
}

fn receipt(write: Write<Stored, Stored>) -> Receipt<Stored> {
    let Ok((_, receipt)) = write.persist(|_| Ok::<_, Infallible>(()));
    receipt
}

#[test]
fn the_name_of_a_core_shows_nowhere() {
    let ((left, write), (right, other)) = (writing(2), writing(2));
    assert_eq!(left, right);
    assert_eq!(write, other);
    assert_eq!(hash(&left), hash(&right));
    assert_eq!(hash(&write), hash(&other));
    assert_eq!(
        format!("{left:?} {write:?}"),
        format!("{right:?} {other:?}")
    );
    let (receipt, other) = (receipt(write), receipt(other));
    assert_eq!(receipt, other);
    assert_eq!(hash(&receipt), hash(&other));
    assert_eq!(format!("{receipt:?}"), format!("{other:?}"));
}

#[test]
fn what_it_holds_shows() {
    let (outbox, write) = writing(2);
    let (other, later) = writing(3);
    assert_ne!(outbox, other);
    assert_ne!(write, later);
    let mut waiting = outbox.clone();
    waiting.send_after_write(Stored(9));
    assert_ne!(outbox, waiting);
    let mut settled = outbox.clone();
    settled.settle(receipt(write)).unwrap();
    assert_ne!(outbox, settled);
}

#[test]
fn a_receipt_of_an_equal_core_is_refused() {
    let ((mut left, write), (right, other)) = (writing(1), writing(1));
    assert_eq!(left.settle(receipt(other)), Err(Refused::OtherCore));
    assert_eq!(left, right, "and changes nothing");
    assert_eq!(left.settle(receipt(write)).map(|own| *own), Ok(1));
}

#[test]
fn a_clone_takes_the_receipts_of_the_original() {
    let (mut outbox, write) = writing(3);
    let (mut copy, same) = (outbox.clone(), write.clone());
    assert_eq!(copy.settle(receipt(same)).map(|own| *own), Ok(3));
    assert_eq!(outbox.settle(receipt(write)).map(|own| *own), Ok(3));
    assert_eq!(outbox, copy);
}

#[test]
fn numbers_can_be_forgotten() {
    let ((mut outbox, write), (mut other, _)) = (writing(3), after_restart(3));
    assert_ne!(outbox, other);
    outbox.forget_numbers();
    other.forget_numbers();
    assert_eq!(outbox, other);
    assert_eq!(outbox.in_flight(), Some(0));
    assert_eq!(outbox.settle(receipt(write)), Err(Refused::NotInFlight));
}

#[test]
fn reasons_are_told_in_words() {
    assert!(Refused::OtherCore.to_string().contains("another core"));
    assert!(Refused::NotInFlight.to_string().contains("not in flight"));
}

/// Every order of five calls, compared with a `Vec`.
#[test]
fn few_are_a_list() {
    const CALLS: u32 = 5;
    for mut code in 0..5_u32.pow(CALLS) {
        let (mut few, mut list) = (Few::default(), Vec::new());
        for call in 0..CALLS {
            match code % 5 {
                0..3 => {
                    few.push(call);
                    list.push(call);
                }
                kept => {
                    few.retain(|item| item % 2 == kept - 3);
                    list.retain(|item| item % 2 == kept - 3);
                }
            }
            code /= 5;
        }
        few.iter_mut().for_each(|item| *item *= 10);
        list.iter_mut().for_each(|item| *item *= 10);
        let mut same = Few::default();
        list.iter().for_each(|item| same.push(*item));
        assert_eq!(few, same, "equal by what they hold");
        assert_eq!(hash(&few), hash(&same));
        assert_eq!(few, Few::from(list.clone()));
        assert_eq!(few[..], list[..]);
        assert_eq!(format!("{few:?}"), format!("{list:?}"));
        assert_eq!(few.into_iter().collect::<Vec<_>>(), list);
    }
}

#[test]
fn what_is_moved_is_small() {
    // Returned in two registers.
    assert!(size_of::<Receipt<[u8; 99]>>() <= 16);
    assert!(size_of::<Few<[u64; 2]>>() <= 24);
    assert_eq!(size_of::<Few<u8>>(), size_of::<Vec<u8>>());
}
