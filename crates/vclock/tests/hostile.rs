//! Bytes of strangers: refused with a reason or read as what they are the one encoding of, and what
//! was read can be worked with.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Debug;

use proptest::prelude::*;
use synod_vclock::itc::Stamp;
use synod_vclock::{
    BufferLimits, CausalBuffer, CausalContext, DecodeError, DenseClock, Dot, DvvSet, Envelope,
    Limits, MatrixClock, PrunePolicy, Pruned, VersionVector, Wire,
};

/// What is read encodes to the bytes it was read from.
fn read<T: Wire + Debug>(bytes: &[u8]) -> Result<Option<T>, TestCaseError> {
    let Ok(value) = T::from_bytes(bytes, Limits::default()) else {
        return Ok(None);
    };
    prop_assert_eq!(value.to_bytes(), bytes, "{:?}", value);
    Ok(Some(value))
}

fn work_with(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Some(mut vector) = read::<VersionVector<u8>>(bytes)? {
        let actors = vector.iter().map(|dot| dot.actor).collect::<Vec<_>>();
        prop_assert!(actors.is_sorted(), "one order of entries is canonical");
        for actor in actors {
            let _ = vector.increment(actor);
        }
        prop_assert!(vector.iter().all(|dot| vector.contains(dot)));
    }
    if let Some(mut context) = read::<CausalContext<u8>>(bytes)? {
        let _ = context.next_dot(7);
        let copy = context.clone();
        context.join(&copy);
        prop_assert!(context.descends(&copy));
    }
    if let Some(mut set) = read::<DvvSet<u8, u8>>(bytes)? {
        let _ = set.update_vouched(&VersionVector::from_iter([(7, u64::MAX - 1)]), 7, 1);
        let _ = set.update(&set.context(), 7, 2);
        set.sync(&set.clone());
        prop_assert_eq!(set.iter().count(), set.len());
        set.discard_vouched(&VersionVector::from_iter([(7, u64::MAX)]));
        prop_assert_eq!(set.iter().count(), set.len());
    }
    if let Some(mut stamp) = read::<Stamp>(bytes)? {
        let before = stamp.peek();
        if stamp.event().is_ok() {
            prop_assert!(before.causal_cmp(&stamp) == synod_vclock::CausalOrder::Before);
        }
        if let Ok(forked) = stamp.fork() {
            prop_assert!(stamp.join(forked).is_ok());
        }
        let mut seed = Stamp::seed();
        let _ = seed.receive(&stamp);
    }
    if let Some(matrix) = read::<MatrixClock<u8>>(bytes)? {
        prop_assert!(matrix.members().any(|member| member == matrix.me()));
        let _ = matrix.stable();
    }
    read::<Dot<u8>>(bytes)?;
    if let Some(mut pruned) = read::<Pruned<u8>>(bytes)? {
        let copy = pruned.clone();
        pruned.prune(&PrunePolicy::default(), u64::MAX);
        pruned.join(&copy);
        prop_assert!(copy.surely_descends(&copy));
    }
    if let Some(envelope) = read::<Envelope<u8, u8>>(bytes)? {
        let mut buffer = CausalBuffer::new(0, 1..4, BufferLimits::default());
        let held = buffer.handle_message(envelope).is_ok();
        prop_assert_eq!(held, buffer.held() == 1);
        prop_assert_eq!(buffer.poll_delivery().is_some(), held && buffer.held() == 0);
    }
    if let Some(dense) = read::<DenseClock<2>>(bytes)? {
        prop_assert!(dense.descends(&dense));
    }
    Ok(())
}

/// Encodings of real values, to be damaged.
fn valid() -> impl Strategy<Value = Vec<u8>> {
    let entries = proptest::collection::vec((0_u8..20, 1_u64..300), 0..12);
    prop_oneof![
        entries
            .clone()
            .prop_map(|entries| VersionVector::from_iter(entries).to_bytes()),
        entries.clone().prop_map(|entries| {
            let dots = entries
                .iter()
                .filter_map(|(actor, counter)| Dot::new(*actor, *counter));
            dots.collect::<CausalContext<_>>().to_bytes()
        }),
        entries.clone().prop_map(|entries| {
            let mut set = DvvSet::new();
            for (server, known) in entries {
                let context = VersionVector::from_iter([(server, known / 100)]);
                set.update_vouched(&context, server, server).unwrap();
            }
            set.to_bytes()
        }),
        entries.clone().prop_map(|entries| {
            let mut stamps = vec![Stamp::seed()];
            for (at, _) in entries {
                let at = usize::from(at) % stamps.len();
                let forked = stamps[at].fork().unwrap();
                stamps[at].event().unwrap();
                stamps.push(forked);
            }
            let mut last = stamps.pop().unwrap();
            stamps
                .iter()
                .for_each(|stamp| last.join(stamp.peek()).unwrap());
            last.to_bytes()
        }),
        entries.prop_map(|entries| {
            let mut matrix = MatrixClock::new(0, 0..20_u8);
            for (member, counter) in entries {
                let vector = VersionVector::from_iter([(member, counter)]);
                matrix.observe(&member, &vector).unwrap();
            }
            matrix.to_bytes()
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_bytes_are_refused_or_canonical(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        work_with(&bytes)?;
    }

    #[test]
    fn small_bytes_are_refused_or_canonical(bytes in proptest::collection::vec(0_u8..4, 0..16)) {
        work_with(&bytes)?;
    }

    #[test]
    fn damaged_bytes_are_refused_or_canonical(
        bytes in valid(),
        damage in proptest::collection::vec((any::<usize>(), 0_u8..8), 0..4),
        cut in any::<usize>(),
    ) {
        work_with(&bytes)?;
        let mut damaged = bytes.clone();
        for (at, bit) in damage {
            let at = at % damaged.len();
            damaged[at] ^= 1 << bit;
        }
        work_with(&damaged)?;
        damaged.truncate(cut % (bytes.len() + 1));
        work_with(&damaged)?;
    }
}

/// The messages of a causal broadcast have bytes of their own, payload included.
#[test]
fn envelopes_are_read_as_they_were_written() {
    let mut buffer = CausalBuffer::new(1_u64, [2, 3], BufferLimits::default());
    let envelope = buffer.broadcast("hello".to_owned()).unwrap();
    let bytes = envelope.to_bytes();
    assert_eq!(bytes, [&[1, 1, 1, 1, 5][..], b"hello"].concat());
    assert_eq!(
        Envelope::from_bytes(&bytes, Limits::default()),
        Ok(envelope)
    );
    let unnumbered = Envelope::<u64, String>::from_bytes(&[1, 1, 1, 0, 0], Limits::default());
    assert_eq!(unnumbered, Err(DecodeError::ZeroCounter));
}

/// A pruned vector comes back with what it has forgotten, or its orders would be false.
#[test]
fn pruned_vectors_are_read_as_they_were_written() {
    let mut pruned = Pruned::new();
    for actor in 1..4_u8 {
        pruned.include(Dot::new(actor, 5).unwrap(), u64::from(actor));
    }
    let policy = PrunePolicy {
        entries_min: 0,
        entries_max: 2,
        age_min: 0,
        age_max: u64::MAX,
    };
    assert_eq!(pruned.prune(&policy, 9), 1);
    let bytes = pruned.to_bytes();
    assert_eq!(bytes[..8], [2, 2, 5, 2, 3, 5, 3, 1]);
    assert_eq!(Pruned::from_bytes(&bytes, Limits::default()), Ok(pruned));
    let read = |bytes: &[u8]| Pruned::<u8>::from_bytes(bytes, Limits::default());
    assert_eq!(
        read(&[2, 7, 1, 0, 7, 1, 0, 0]),
        Err(DecodeError::NotAscending)
    );
    let twice = [&[0, 2][..], &[1; 32]].concat();
    assert_eq!(read(&twice), Err(DecodeError::NotAscending));
    let many = [&[0, 9][..], &[1; 9 * 16]].concat();
    assert_eq!(read(&many), Err(DecodeError::Inconsistent));
}

/// A count is not believed before as many bytes are there.
#[test]
fn nothing_is_allocated_for_what_is_not_there() {
    let limits = Limits {
        entries_max: usize::MAX,
        ..Limits::default()
    };
    let count = u64::MAX.to_bytes();
    assert_eq!(
        VersionVector::<u64>::from_bytes(&count, limits),
        Err(DecodeError::Truncated)
    );
    assert_eq!(
        DvvSet::<u64, u64>::from_bytes(&count, limits),
        Err(DecodeError::Truncated)
    );
    let text = [&[1][..], &u64::MAX.to_bytes()].concat();
    assert_eq!(
        VersionVector::<String>::from_bytes(&text, limits),
        Err(DecodeError::TextTooLong { bytes_max: 1_024 })
    );
}

#[test]
fn limits_hold_for_trees_too() {
    let mut stamp = Stamp::seed();
    for _ in 0..20 {
        stamp = stamp.fork().unwrap();
    }
    let limits = Limits {
        entries_max: 20,
        ..Limits::default()
    };
    assert_eq!(
        Stamp::from_bytes(&stamp.to_bytes(), limits),
        Err(DecodeError::TooManyEntries { entries_max: 20 })
    );
}
