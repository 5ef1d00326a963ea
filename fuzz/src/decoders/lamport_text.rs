//! Times, stamps and hybrid timestamps as text, and as words.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use synod_lamport::hlc::{Layout, Millis42, Millis48, Nanos64, Timestamp, WideTimestamp};
use synod_lamport::{LamportTime, Stamp};

use crate::memory::bounded;
use crate::script::Script;

/// First byte: of which type. Then its text, or for one of them its word.
pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let kind = script.below(9);
    if kind == 7 {
        let word = script.word();
        shown::<Millis42>(word);
        shown::<Millis48>(word);
        shown::<Nanos64>(word);
        return;
    }
    let Ok(text) = std::str::from_utf8(script.rest()) else {
        return;
    };
    match kind {
        0 => read::<LamportTime>(text),
        1 => read::<Stamp<u64>>(text),
        2 => read::<Stamp<String>>(text),
        3 => exactly::<Timestamp<Millis42>>(text),
        4 => exactly::<Timestamp<Millis48>>(text),
        5 => exactly::<Timestamp<Nanos64>>(text),
        8 => exactly::<WideTimestamp>(text),
        _ => read::<Stamp<u64, Timestamp<Millis48>>>(text),
    }
}

/// What is read can be written and read again.
fn read<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    if let Ok(value) = bounded(text.len(), || text.parse::<T>()) {
        assert_eq!(value.to_string().parse().ok(), Some(value));
    }
}

/// What is read was written so, and not otherwise.
fn exactly<T: FromStr + Display>(text: &str) {
    if let Ok(value) = bounded(text.len(), || text.parse::<T>()) {
        assert_eq!(value.to_string(), text);
    }
}

/// Any word is a timestamp, and has a text that is this timestamp's alone.
fn shown<L: Layout>(word: u64)
where
    Timestamp<L>: From<u64> + PartialEq + Debug,
{
    let timestamp = Timestamp::<L>::from(word);
    let text = timestamp.to_string();
    assert_eq!(text.parse().ok(), Some(timestamp), "{text}");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = [
        "\x0017",
        "\x0117@3",
        "\x0218446744073709551615@a@b",
        "\x032026-11-23T07:00:00.000Z-000002",
        "\x042026-11-23T07:00:00.000Z-0002",
        "\x052026-11-23T07:00:00.000000001Z",
        "\x062026-02-28T23:59:59.999Z-ffff@9",
        "\x087/2026-11-23T07:00:00.000000001Z-0000001f",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .to_vec();
    seeds.push(vec![7, 255, 255, 255, 255, 255, 255, 255, 127]);
    seeds
}
