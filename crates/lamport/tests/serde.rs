//! With the feature `serde`: text where people read, words where they do not, and what is not
//! valid is refused.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fmt::Debug;
use std::num::NonZeroU64;

use serde::{Serialize, de::DeserializeOwned};
use synod_lamport::hlc::{Millis42, Millis48, Nanos64, Timestamp, WideTimestamp};
use synod_lamport::{LamportTime, Stamp};

#[test]
fn hybrid_timestamps_are_text_in_json_and_a_word_in_postcard() {
    let stamp = Timestamp::<Millis48>::from_u64(0x01a2_0734_5580_0002);
    let text = serde_json::to_string(&stamp).unwrap();
    assert_eq!(text, r#""2026-11-23T07:00:00.000Z-0002""#);
    assert_eq!(serde_json::from_str::<Timestamp>(&text).unwrap(), stamp);

    let bytes = postcard::to_stdvec(&stamp).unwrap();
    assert_eq!(
        bytes,
        postcard::to_stdvec(&0x01a2_0734_5580_0002_u64).unwrap()
    );
    assert_eq!(postcard::from_bytes::<Timestamp>(&bytes).unwrap(), stamp);

    // A text tells its layout well enough not to be taken for another one's.
    assert!(serde_json::from_str::<Timestamp<Millis42>>(&text).is_err());
    assert!(serde_json::from_str::<Timestamp<Nanos64>>(&text).is_err());
    assert!(serde_json::from_str::<Timestamp>("117").is_err());
}

/// Through every format that people use: of texts and of bytes, with and without a description of
/// what is in them.
fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T) {
    let json = serde_json::to_string(&value).unwrap();
    assert_eq!(serde_json::from_str::<T>(&json).unwrap(), value, "{json}");
    let mut cbor = Vec::new();
    ciborium::into_writer(&value, &mut cbor).unwrap();
    assert_eq!(ciborium::from_reader::<T, _>(&cbor[..]).unwrap(), value);
    let message_pack = rmp_serde::to_vec(&value).unwrap();
    assert_eq!(rmp_serde::from_slice::<T>(&message_pack).unwrap(), value);
    let postcard = postcard::to_stdvec(&value).unwrap();
    assert_eq!(postcard::from_bytes::<T>(&postcard).unwrap(), value);
    let bincode = bincode::serialize(&value).unwrap();
    assert_eq!(bincode::deserialize::<T>(&bincode).unwrap(), value);
}

#[test]
fn every_type_comes_back_through_every_format() {
    for word in [0, 0x01a2_0734_5580_0002, u64::MAX] {
        comes_back(Timestamp::<Millis48>::from_u64(word));
        comes_back(Timestamp::<Millis42>::from_u64(word));
        comes_back(Timestamp::<Nanos64>::from_u64(word));
        comes_back(LamportTime::new(word));
        comes_back(Stamp::new(LamportTime::new(word), "n".to_owned()));
        comes_back(Stamp::new(Timestamp::<Millis48>::from_u64(word), 7_u64));
        comes_back(WideTimestamp::from_parts(3, word, 7));
    }
    comes_back(WideTimestamp::MAX);
    let text = serde_json::to_string(&WideTimestamp::from_parts(1, 0, 2)).unwrap();
    assert_eq!(text, r#""1/1970-01-01T00:00:00.000000000Z-00000002""#);
}

#[test]
fn lamport_times_are_numbers_and_stamps_have_two_fields() {
    let stamp = Stamp::new(LamportTime::new(17), 3_u32);
    let text = serde_json::to_string(&stamp).unwrap();
    assert_eq!(text, r#"{"time":17,"node":3}"#);
    assert_eq!(serde_json::from_str::<Stamp<u32>>(&text).unwrap(), stamp);
}

/// In uhlc 0.9 a node's identity that comes from outside may be the zero that its own constructor
/// refuses. Here the type that names nodes is the caller's, and its rule holds on every way in.
#[test]
fn uhlc_deserialised_id_may_be_zero() {
    type Named = Stamp<NonZeroU64>;
    assert!(serde_json::from_str::<Named>(r#"{"time":1,"node":1}"#).is_ok());
    assert!(serde_json::from_str::<Named>(r#"{"time":1,"node":0}"#).is_err());
    assert!(postcard::from_bytes::<Named>(&[1, 1]).is_ok());
    assert!(postcard::from_bytes::<Named>(&[1, 0]).is_err());
    assert!("1@1".parse::<Named>().is_ok());
    assert!("1@0".parse::<Named>().is_err());
    let mut bytes = [0; 16];
    bytes[7] = 1;
    assert!(Named::from_be_bytes(bytes).is_err());
}
