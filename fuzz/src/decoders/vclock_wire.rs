//! Every clock that has a compact form, what is done with it after it was read, and the buffer that strangers fill.

use std::collections::BTreeSet;
use std::fmt::Debug;

use synod_vclock::itc::Stamp;
use synod_vclock::{
    BufferLimits, CausalBuffer, CausalContext, CausalOrder, DenseClock, Dot, DvvSet, Envelope,
    Limits, MatrixClock, Pruned, VersionVector, Wire,
};

use crate::memory::bounded;
use crate::script::Script;

/// First byte: of which type the two values are that follow, each with its length in front.
pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    match script.below(10) {
        0 => dots(&mut script),
        1 => vectors(&mut script),
        2 => contexts(&mut script),
        3 => dense(&mut script),
        4 => sets(&mut script),
        5 => matrices(&mut script),
        6 => pruned(&mut script),
        7 => stamps(&mut script),
        8 => buffer(&mut script),
        _ => names(&mut script),
    }
}

/// Reads a value; there is one encoding for each, so that it has to be the bytes again.
fn value<T: Wire + PartialEq + Debug>(script: &mut Script<'_>) -> Option<T> {
    let len = usize::from(script.byte());
    let bytes = script.take(len);
    let value = bounded(bytes.len(), || T::from_bytes(bytes, LIMITS)).ok()?;
    assert_eq!(value.to_bytes(), bytes, "two encodings of {value:?}");
    Some(value)
}

fn pair<T: Wire + PartialEq + Debug>(script: &mut Script<'_>) -> Option<(T, T)> {
    Some((value(script)?, value(script)?))
}

fn dots(script: &mut Script<'_>) {
    let _pair = pair::<Dot<u64>>(script);
    let _name = value::<Dot<String>>(script);
}

fn vectors(script: &mut Script<'_>) {
    let Some((one, other)) = pair::<VersionVector<u64>>(script) else {
        return;
    };
    let mut joined = one.clone();
    joined.join(&other);
    assert!(joined.descends(&one) && joined.descends(&other));
    let order = one.causal_cmp(&other);
    assert_eq!(order == CausalOrder::Equal, one == other);
    assert_eq!(one.descends(&other), joined == one);
    assert_eq!(joined.difference(&one).count() == 0, one == joined);
    let mut met = one.clone();
    met.meet(&other);
    assert!(one.descends(&met) && other.descends(&met));
    reread(&joined);
}

fn contexts(script: &mut Script<'_>) {
    let Some((one, other)) = pair::<CausalContext<u64>>(script) else {
        return;
    };
    let mut joined = one.clone();
    joined.join(&other);
    assert!(joined.descends(&one) && joined.descends(&other));
    assert_eq!(one.descends(&other), joined == one);
    if let Ok(dot) = joined.next_dot(script.number()) {
        assert!(joined.contains(&dot) && !one.contains(&dot));
    }
    reread(&joined);
}

fn dense(script: &mut Script<'_>) {
    let Some((one, other)) = pair::<DenseClock<3>>(script) else {
        return;
    };
    let mut joined = one;
    joined.join(&other);
    assert!(joined.descends(&one) && joined.descends(&other));
    if joined.increment(1).is_ok() {
        assert!(!one.descends(&joined));
    }
    reread(&joined);
}

fn sets(script: &mut Script<'_>) {
    let Some((one, other)) = pair::<DvvSet<u64, Vec<u8>>>(script) else {
        return;
    };
    // What two strangers say may contradict, so that the laws of honest sets need not hold.
    let mut synced = one.clone();
    synced.sync(&other);
    let context = synced.context();
    assert!(context.descends(&one.context()) && context.descends(&other.context()));
    assert_eq!(synced.values().count(), synced.len());
    let updated = synced.update(&context, script.number(), vec![1]);
    assert!(updated.is_err() || synced.len() == 1);
    reread(&synced);
}

fn matrices(script: &mut Script<'_>) {
    let Some((mut one, other)) = pair::<MatrixClock<u64>>(script) else {
        return;
    };
    let stable = one.stable();
    if one.merge(&other).is_ok() {
        assert!(one.stable().descends(&stable), "what was stable is not");
    }
    reread(&one);
}

fn pruned(script: &mut Script<'_>) {
    let Some((mut one, other)) = pair::<Pruned<u64>>(script) else {
        return;
    };
    let _order = (one.lossy_cmp(&other), one.surely_descends(&other));
    one.join(&other);
    reread(&one);
}

fn stamps(script: &mut Script<'_>) {
    let Some((mut one, other)) = pair::<Stamp>(script) else {
        return;
    };
    let (before, peeked) = (one.clone(), other.peek());
    if one.receive(&peeked).is_ok() {
        assert!(one.descends(&before) && one.descends(&peeked));
    }
    if let Ok(mut forked) = one.fork() {
        if forked.event().is_ok() {
            assert!(!one.descends(&forked), "an event that was known before");
        }
        one.join(forked).expect("what was forked fits");
    }
    let _disjoint = one.join(other);
    assert!(one.bit_len() > 0);
    reread(&one);
}

fn buffer(script: &mut Script<'_>) {
    let limits = BufferLimits::default();
    let mut buffer = CausalBuffer::new(1_u64, [1, 2, 3], limits);
    let mut delivered = Vec::new();
    while !script.is_over() {
        let Some(envelope) = value::<Envelope<u64, Vec<u8>>>(script) else {
            continue;
        };
        let _receipt = buffer.handle_message(envelope);
        while let Some(envelope) = buffer.poll_delivery() {
            delivered.push(envelope);
        }
        assert!(buffer.missing().take(100).count() < 100, "gaps without end");
    }
    let mut seen = BTreeSet::new();
    for Envelope { sender, clock, .. } in &delivered {
        assert!(seen.insert((sender, clock.get(sender))), "delivered twice");
    }
}

fn names(script: &mut Script<'_>) {
    let Some((mut one, other)) = pair::<VersionVector<String>>(script) else {
        return;
    };
    one.join(&other);
    reread(&one);
    let _array = value::<[u8; 4]>(script);
}

/// A value of this side is read too, unless it has grown over the limits.
fn reread<T: Wire + PartialEq + Debug>(value: &T) {
    if let Ok(again) = T::from_bytes(&value.to_bytes(), LIMITS) {
        assert_eq!(again, *value);
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let vector = VersionVector::from_iter([(1_u64, 3), (2, 300)]);
    let other = VersionVector::from_iter([(2_u64, 1), (9, 1)]);
    let dots =
        [(1_u64, 1), (1, 2), (1, 5), (2, 7)].map(|(actor, counter)| Dot::new(actor, counter));
    let context: CausalContext<u64> = dots.into_iter().flatten().collect();
    let mut set = DvvSet::default();
    // Each is the first of its actor.
    let _first = set.update(&VersionVector::default(), 1_u64, b"a".to_vec());
    let _second = set.update(&VersionVector::default(), 2, b"bc".to_vec());
    let matrix = MatrixClock::new(1_u64, [1, 2, 3]);
    let mut pruned = Pruned::default();
    dots.into_iter()
        .flatten()
        .for_each(|dot| pruned.include(dot, 7));
    let mut stamp = Stamp::seed();
    let forked = stamp.fork().unwrap_or_else(|_| Stamp::seed());
    let _events = (stamp.event(), stamp.event());
    let dense = DenseClock::<3>::from_counters([1, 0, 200]).unwrap_or_default();
    let names = VersionVector::from_iter([("a".to_owned(), 1), ("bc".to_owned(), 2)]);
    let mut peers = [2, 3].map(|me| CausalBuffer::new(me, [1_u64, 2, 3], BufferLimits::default()));
    let mut told = vec![8];
    for round in 0..4 {
        let Ok(envelope) = peers[round % 2].broadcast(b"x".to_vec()) else {
            break;
        };
        told.extend(framed(&envelope));
        let _receipt = peers[(round + 1) % 2].handle_message(envelope);
    }
    vec![
        [&[1][..], &framed(&vector), &framed(&other)].concat(),
        [&[2][..], &framed(&context), &framed(&context)].concat(),
        [&[3][..], &framed(&dense), &framed(&dense)].concat(),
        [&[4][..], &framed(&set), &framed(&set)].concat(),
        [&[5][..], &framed(&matrix), &framed(&matrix)].concat(),
        [&[6][..], &framed(&pruned), &framed(&pruned)].concat(),
        [&[7][..], &framed(&stamp), &framed(&forked)].concat(),
        told,
        [&[9][..], &framed(&names), &framed(&names)].concat(),
    ]
}

fn framed(value: &impl Wire) -> Vec<u8> {
    let bytes = value.to_bytes();
    [&[bytes.len() as u8][..], &bytes].concat()
}

const LIMITS: Limits = Limits {
    bytes_max: 255,
    entries_max: 30,
    text_bytes_max: 40,
};
