//! Defects that published peers have, each reproduced there, and shown not to be here.

use synod_vclock::itc::{DEPTH_MAX, EventError, Stamp, TooDeep};
use synod_vclock::{
    CausalContext, CausalOrder, DecodeError, DenseClock, Dot, Limits, Overflow, VectorClock,
    VersionVector, Wire,
};

/// crdts 7.3.2: `VClock { A: 0 }` and the empty clock are each greater than the other. It comes about
/// by decoding, or through the public field.
#[test]
fn crdts_an_entry_of_zero_breaks_the_order() {
    let zero = VersionVector::from_iter([("a", 0)]);
    let empty = VersionVector::new();
    assert_eq!(zero.causal_cmp(&empty), CausalOrder::Equal);
    assert_eq!((zero.len(), &zero), (0, &empty));
    // One entry, of actor 7, with the counter zero.
    let decoded = VersionVector::<u8>::from_bytes(&[1, 7, 0], Limits::default());
    assert_eq!(decoded, Err(DecodeError::ZeroCounter));
    assert_eq!(Dot::new("a", 0), None);
    let decoded = CausalContext::<u8>::from_bytes(&[0, 1, 7, 0], Limits::default());
    assert_eq!(decoded, Err(DecodeError::ZeroCounter));
}

/// The same through serde, where crdts gets it from.
#[cfg(feature = "serde")]
#[test]
fn crdts_an_entry_of_zero_is_not_deserialized() {
    assert!(serde_json::from_str::<VersionVector<u8>>("[[7,0]]").is_err());
    assert!(serde_json::from_str::<VersionVector<u8>>("[[7,1]]").is_ok());
}

/// rust-crdt#13: `VClock` derived `Ord`, an order that contradicts causality. (That it does not
/// compile here is shown in the crate's documentation.)
#[test]
fn crdts_concurrent_clocks_have_no_order() {
    let (a, b) = (
        VersionVector::from_iter([("a", 1)]),
        VersionVector::from_iter([("b", 1)]),
    );
    assert_eq!(a.partial_cmp(&b), None);
    assert_eq!([a < b, a > b, a == b], [false; 3]);
}

/// rust-crdt#30 asks for a policy; vclock 0.4.4 wraps, so that a later event compares as earlier.
#[test]
fn vclock_counters_wrap() {
    let mut sparse = VersionVector::from_iter([("a", u64::MAX)]);
    let before = sparse.clone();
    assert_eq!(sparse.increment("a"), Err(Overflow));
    assert_eq!(sparse, before);

    let mut clock = VectorClock::restore("a", before);
    assert_eq!(clock.tick(), Err(Overflow));
    assert_eq!(clock.send(), Err(Overflow));
    assert!(
        clock
            .receive(&VersionVector::from_iter([("b", 1)]))
            .is_err()
    );
    assert_eq!(
        clock.now().get(&"b"),
        0,
        "a receipt that failed has told nothing"
    );

    let mut dense = DenseClock::from_counters([DenseClock::<1>::COUNTER_MAX]).unwrap();
    assert_eq!(dense.increment(0), Err(Overflow));
}

/// vclock 0.4.4: the first increment of a key gives zero, and `{ a: 0 }` is greater than `{}`.
#[test]
fn vclock_the_first_event_counts_nothing() {
    let mut vector = VersionVector::new();
    assert_eq!(vector.increment("a"), Ok(Dot::new("a", 1).unwrap()));
    assert_eq!(vector.get(&"a"), 1);
}

/// itc 0.1.3: `event()` of an anonymous stamp is a panic.
#[test]
fn itc_an_event_of_an_anonymous_stamp_panics() {
    let mut peeked = Stamp::seed().peek();
    assert_eq!(peeked.event(), Err(EventError::Anonymous));
    assert_eq!(peeked.send(), Err(EventError::Anonymous));
    assert_eq!(peeked.receive(&Stamp::seed()), Err(EventError::Anonymous));
}

/// itc 0.1.3: counters of 32 bits that nobody checks.
#[test]
fn itc_counters_overflow() {
    // A whole owner at the end of its counter: 1, and 2⁶⁴ − 1 in groups of 2 to 64 bits.
    let mut bits = vec![0, 0, 1, 1];
    bits.extend([1; 62]);
    bits.push(0);
    let rest = u64::MAX - ((1 << 63) - 4) - (1 << 63);
    bits.extend((0..64).rev().map(|place| u8::from(rest >> place & 1 == 1)));
    let mut stamp = Stamp::from_bytes(&packed(&bits), Limits::default()).unwrap();
    assert_eq!(stamp.to_string(), "(1, 18446744073709551615)");
    assert_eq!(stamp.event(), Err(EventError::Overflow(Overflow)));
    // In a tree, where the sum along the path is what is at its end.
    let mut half = stamp.clone();
    let mut other = half.fork().unwrap();
    let before = other.clone();
    assert_eq!(other.event(), Err(EventError::Overflow(Overflow)));
    assert_eq!(other, before);
    assert_eq!(half.receive(&other), Err(EventError::Overflow(Overflow)));
}

/// itc 0.1.3: trees of a stranger are recursed into without bound.
#[test]
fn itc_deep_input_overflows_the_stack() {
    for tag in [[0, 1], [1, 0], [1, 1]] {
        let deep = packed(&tag.repeat(200_000));
        let limits = Limits {
            bytes_max: usize::MAX,
            entries_max: usize::MAX,
            ..Limits::default()
        };
        assert_eq!(Stamp::from_bytes(&deep, limits), Err(DecodeError::TooDeep));
    }
    // 001 is a whole owner, 0 00 goes right.
    let deep = packed(&[&[0, 0, 1][..], &[0, 0, 0].repeat(100_000)].concat());
    assert_eq!(
        Stamp::from_bytes(&deep, Limits::default()),
        Err(DecodeError::TooDeep)
    );
}

/// And trees of one's own, when a fork is forked again and again.
#[test]
fn itc_deep_forks_overflow_the_stack() {
    let mut stamp = Stamp::seed();
    let mut forks = 0;
    let error = loop {
        match stamp.fork() {
            Ok(child) => stamp = child,
            Err(error) => break error,
        }
        forks += 1;
    };
    assert_eq!((error, forks), (TooDeep, DEPTH_MAX));
    stamp.event().unwrap();
    let bytes = stamp.to_bytes();
    assert_eq!(Stamp::from_bytes(&bytes, Limits::default()), Ok(stamp));
}

/// itc 0.1.3 has no encoding but ASCII; with the paper's a fresh stamp is one byte.
#[test]
fn itc_stamps_are_small() {
    assert_eq!(Stamp::seed().to_bytes(), [0b0011_0000]);
    let mut stamp = Stamp::seed();
    for _ in 0..1_000_000 {
        stamp.event().unwrap();
    }
    assert!(stamp.to_bytes().len() <= 6);
}

/// Bits as bytes, the first in the highest place.
fn packed(bits: &[u8]) -> Vec<u8> {
    let byte = |bits: &[u8]| {
        bits.iter()
            .zip((0..8).rev())
            .map(|(bit, place)| bit << place)
            .sum()
    };
    bits.chunks(8).map(byte).collect()
}
