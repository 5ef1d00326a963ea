//! Clocks, dots, actors and stamps as text.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use synod_vclock::itc::Stamp;
use synod_vclock::{Actor, CausalContext, Dot, VersionVector};

use crate::memory::bounded;
use crate::script::Script;

/// First byte: of which type. Then its text.
pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let kind = script.below(8);
    let Ok(text) = std::str::from_utf8(script.rest()) else {
        return;
    };
    match kind {
        0 => exactly::<Dot<String>>(text),
        1 => exactly::<VersionVector<String>>(text),
        2 => exactly::<CausalContext<String>>(text),
        3 => exactly::<Actor<String>>(text),
        4 => exactly::<Stamp>(text),
        5 => read::<VersionVector<u64>>(text),
        6 => read::<CausalContext<u64>>(text),
        _ => exactly::<VersionVector<Actor<String>>>(text),
    }
}

/// What is read was written so, and not otherwise.
fn exactly<T: FromStr + Display>(text: &str) {
    if let Ok(value) = bounded(text.len(), || text.parse::<T>()) {
        assert_eq!(value.to_string(), text);
    }
}

/// What is read can be written and read again: a number has several texts, and the actors are what others give.
fn read<T: FromStr + Display + PartialEq + Debug>(text: &str) {
    if let Ok(value) = bounded(text.len(), || text.parse::<T>()) {
        assert_eq!(value.to_string().parse().ok(), Some(value));
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    [
        "\x00[::1]:8080:3",
        "\x01{a:2, b:18446744073709551615}",
        "\x02{a:1} + {a:3, b:9}",
        "\x03node#7",
        "\x04((1, 0), (0, 1, (0, 0, 2)))",
        "\x05{1:2, 3:4}",
        "\x06{} + {1:2}",
        "\x07{a#1:2, a#2:1}",
    ]
    .map(|seed| seed.as_bytes().to_vec())
    .to_vec()
}
