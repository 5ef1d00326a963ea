//! What is written is read back, and an interval that ends before it begins is not.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Debug;

use serde::{Serialize, de::DeserializeOwned};
use synod_truetime::lease::Promise;
use synod_truetime::{Interval, Timestamp};

/// Through every format that people use: of texts and of bytes, with and without a description of what is in them.
fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let json = serde_json::to_string(value).unwrap();
    assert_eq!(&serde_json::from_str::<T>(&json).unwrap(), value, "{json}");
    let mut cbor = Vec::new();
    ciborium::into_writer(value, &mut cbor).unwrap();
    assert_eq!(&ciborium::from_reader::<T, _>(&cbor[..]).unwrap(), value);
    let message_pack = rmp_serde::to_vec(value).unwrap();
    assert_eq!(&rmp_serde::from_slice::<T>(&message_pack).unwrap(), value);
    let postcard = postcard::to_stdvec(value).unwrap();
    assert_eq!(&postcard::from_bytes::<T>(&postcard).unwrap(), value);
    let bincode = bincode::serialize(value).unwrap();
    assert_eq!(&bincode::deserialize::<T>(&bincode).unwrap(), value);
}

#[test]
fn every_type_comes_back_through_every_format() {
    let (earliest, latest) = (Timestamp::from_nanos(-7), Timestamp::MAX);
    comes_back(&earliest);
    comes_back(&latest);
    comes_back(&Interval::new(earliest, latest).unwrap());
    comes_back(&Interval::ALL);
    comes_back(&Promise {
        to: 3_u64,
        until: latest,
    });
    comes_back(&Promise {
        to: "node".to_owned(),
        until: earliest,
    });
}

#[test]
fn a_reversed_interval_is_refused() {
    let bytes = postcard::to_stdvec(&[Timestamp::MAX, Timestamp::MIN]).unwrap();
    assert!(postcard::from_bytes::<Interval>(&bytes).is_err());
    let mut written = Vec::new();
    ciborium::into_writer(&[Timestamp::MAX, Timestamp::MIN], &mut written).unwrap();
    assert!(ciborium::from_reader::<Interval, _>(&written[..]).is_err());
    let bytes = bincode::serialize(&(Timestamp::MAX, Timestamp::MIN)).unwrap();
    assert!(bincode::deserialize::<Interval>(&bytes).is_err());
}
