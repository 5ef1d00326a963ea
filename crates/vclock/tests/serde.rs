//! The feature `serde`: what goes out comes back, and what comes in is held to the same invariants
//! as bytes are.

#![cfg(feature = "serde")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};
use synod_vclock::itc::Stamp;
use synod_vclock::{
    Actor, BufferLimits, CausalBuffer, CausalContext, CausalOrder, DenseClock, Dot, DvvSet,
    Envelope, Limits, MatrixClock, VectorClock, VersionVector,
};

/// Through every format that people use: of texts and of bytes, with and without a description of
/// what is in them.
fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let json = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), value, "{json}");
    let mut cbor = Vec::new();
    ciborium::into_writer(value, &mut cbor).unwrap();
    assert_eq!(&ciborium::from_reader::<T, _>(&cbor[..]).unwrap(), value);
    let message_pack = rmp_serde::to_vec(value).unwrap();
    assert_eq!(&rmp_serde::from_slice::<T>(&message_pack).unwrap(), value);
    let named = rmp_serde::to_vec_named(value).unwrap();
    assert_eq!(&rmp_serde::from_slice::<T>(&named).unwrap(), value);
    let postcard = postcard::to_stdvec(value).unwrap();
    assert_eq!(&postcard::from_bytes::<T>(&postcard).unwrap(), value);
    let bincode = bincode::serialize(value).unwrap();
    assert_eq!(&bincode::deserialize::<T>(&bincode).unwrap(), value);
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
    let actor = Actor {
        id: "a".to_owned(),
        epoch: u64::MAX,
    };
    comes_back(&actor);
    comes_back(&VersionVector::from_iter([(actor, 3)]));
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

/// One of 20,000 entries is refused in each format, as [`Limits::default`] refuses its bytes.
#[test]
fn limits_hold_for_what_comes_in() {
    fn refused_everywhere<T: DeserializeOwned>(value: &impl Serialize, reason: &str) {
        let json = serde_json::to_string(value).unwrap();
        let error = serde_json::from_str::<T>(&json).err().unwrap();
        assert!(error.to_string().contains(reason), "{error}");
        let mut cbor = Vec::new();
        ciborium::into_writer(value, &mut cbor).unwrap();
        assert!(ciborium::from_reader::<T, _>(&cbor[..]).is_err());
        let message_pack = rmp_serde::to_vec(value).unwrap();
        assert!(rmp_serde::from_slice::<T>(&message_pack).is_err());
        let postcard = postcard::to_stdvec(value).unwrap();
        assert!(postcard::from_bytes::<T>(&postcard).is_err());
        let bincode = bincode::serialize(value).unwrap();
        assert!(bincode::deserialize::<T>(&bincode).is_err());
    }

    let entries_max = Limits::default().entries_max as u64;
    let vector = |len| VersionVector::from_iter((0..len).map(|actor: u64| (actor, 1)));
    comes_back(&vector(entries_max));
    let many = "more than 4096 entries";
    refused_everywhere::<VersionVector<u64>>(&vector(entries_max + 1), many);
    refused_everywhere::<VersionVector<u64>>(&vector(20_000), many);
    let named = (0..20_000).map(|actor| (format!("{actor:05}"), 1));
    refused_everywhere::<VersionVector<String>>(&VersionVector::from_iter(named), many);
    refused_everywhere::<VectorClock<u64>>(&VectorClock::restore(1, vector(20_000)), many);
    let cloud = (0..20_000).map(|actor: u64| Dot::new(actor, 2).unwrap());
    refused_everywhere::<CausalContext<u64>>(&CausalContext::from_iter(cloud), many);
    let matrix = MatrixClock::new(0, 0..20_000_u64);
    refused_everywhere::<MatrixClock<u64>>(&matrix, many);
    let columns = (0..20_000_u64).map(|actor| (actor, 1, vec![]));
    let set = DvvSet::<u64, u64>::try_from(columns.collect::<Vec<_>>()).unwrap();
    refused_everywhere::<DvvSet<u64, u64>>(&set, many);
    let siblings = vec![(1_u64, 20_000, (0..20_000_u64).collect())];
    let set = DvvSet::<u64, u64>::try_from(siblings).unwrap();
    refused_everywhere::<DvvSet<u64, u64>>(&set, many);
    let envelope = Envelope {
        sender: 1,
        clock: vector(20_000),
        payload: (),
    };
    refused_everywhere::<Envelope<u64, ()>>(&envelope, many);
    refused_everywhere::<Stamp>(&vec![0_u8; 70_000], "more than 65536 bytes");
    refused_everywhere::<DenseClock<3>>(&[1_u64; 4], "a counter for each of 3 members");
}

/// What people read has names where the actors have them.
#[test]
fn json_is_a_map_where_actors_are_texts() {
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
    struct Name(String);
    #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize)]
    enum Site {
        Here,
        Port(u16),
    }
    let json = |vector| serde_json::to_string::<VersionVector<String>>(vector).unwrap();
    let names = VersionVector::from_iter([("b".to_owned(), 1), ("a".to_owned(), 2)]);
    assert_eq!(json(&names), r#"{"a":2,"b":1}"#);
    assert_eq!(json(&VersionVector::new()), "{}");
    let wrapped = VersionVector::from_iter([(Name("a".to_owned()), 2)]);
    assert_eq!(serde_json::to_string(&wrapped).unwrap(), r#"{"a":2}"#);
    let numbers = VersionVector::from_iter([(7_u64, 1)]);
    assert_eq!(serde_json::to_string(&numbers).unwrap(), "[[7,1]]");
    let sites = VersionVector::from_iter([(Site::Here, 1), (Site::Port(7), 2)]);
    let mixed = serde_json::to_string(&sites).unwrap();
    assert_eq!(mixed, r#"[["Here",1],[{"Port":7},2]]"#);
    comes_back(&names);
    comes_back(&wrapped);
    comes_back(&sites);
    comes_back(&VersionVector::from_iter([(Site::Here, 1)]));
    comes_back(&VersionVector::<u64>::new());
    // What earlier versions wrote, and people write by hand.
    let pairs: VersionVector<String> = serde_json::from_str(r#"[["a",2],["b",1]]"#).unwrap();
    assert_eq!(pairs, names);
    refused::<VersionVector<String>>(r#"{"b":1,"a":2}"#);
    refused::<VersionVector<String>>(r#"{"a":0}"#);
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
