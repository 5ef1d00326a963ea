//! The feature `serde`: what goes out comes back, and what comes in is held to the same invariants
//! as bytes are.

#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};
use synod_vclock::itc::Stamp;
use synod_vclock::{
    BufferLimits, CausalBuffer, CausalContext, CausalOrder, DenseClock, Dot, DvvSet, MatrixClock,
    VectorClock, VersionVector,
};

fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let text = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&text).unwrap(), value, "{text}");
}

fn refused<T: DeserializeOwned + Debug>(text: &str) {
    let read = serde_json::from_str::<T>(text);
    assert!(read.is_err(), "{text}: {read:?}");
}

#[test]
fn what_goes_out_comes_back() {
    let vector = VersionVector::from_iter((0..12_u64).map(|actor| (actor, actor)));
    comes_back(&vector);
    comes_back(&VersionVector::from_iter([("a".to_owned(), 1)]));
    comes_back(&VectorClock::restore(3, vector.clone()));
    comes_back(&Dot::new(1, 2).unwrap());
    comes_back(&CausalOrder::Concurrent);
    comes_back(&DenseClock::from_counters([1, 2, 3]).unwrap());
    comes_back(&CausalContext::from_iter([
        Dot::new(1, 2).unwrap(),
        Dot::new(2, 1).unwrap(),
    ]));
    let mut set = DvvSet::new();
    set.update(&VersionVector::new(), 1, "x".to_owned())
        .unwrap();
    set.update(&VersionVector::new(), 1, "y".to_owned())
        .unwrap();
    comes_back(&set);
    let mut matrix = MatrixClock::new(1, [2_u64]);
    matrix.observe(&2, &vector).unwrap();
    comes_back(&matrix);
    let mut stamp = Stamp::seed();
    comes_back(&stamp.fork().unwrap());
    let mut buffer = CausalBuffer::new(1, [2], BufferLimits::default());
    comes_back(&buffer.broadcast("hello".to_owned()).unwrap());
}

#[test]
fn invariants_hold_for_what_comes_in() {
    refused::<VersionVector<u8>>("[[1,0]]");
    refused::<VersionVector<u8>>("[[2,1],[1,1]]");
    refused::<VersionVector<u8>>("[[1,1],[1,2]]");
    refused::<VectorClock<u8>>(r#"{"me":1,"now":[[1,0]]}"#);
    refused::<Dot<u8>>(r#"{"actor":1,"counter":0}"#);
    refused::<DenseClock<2>>("[1]");
    refused::<DenseClock<2>>("[1,2,3]");
    refused::<DenseClock<1>>("[18446744073709551615]");
    refused::<DvvSet<u8, u8>>("[[1,1,[5,6]]]");
    refused::<DvvSet<u8, u8>>("[[1,0,[]]]");
    refused::<MatrixClock<u8>>("[1,[[2,[]]]]");
    refused::<Stamp>("[64]"); // (0, ?)
    refused::<Stamp>("[255,255,255,255]");
}

/// A context in another form is the set of its events all the same, and takes its own form.
#[test]
fn a_context_is_compacted_as_it_comes_in() {
    let loose = r#"[[[1,1]],[{"actor":1,"counter":1},{"actor":1,"counter":2}]]"#;
    let context: CausalContext<u8> = serde_json::from_str(loose).unwrap();
    assert_eq!(
        context,
        CausalContext::from(VersionVector::from_iter([(1, 2)]))
    );
}
