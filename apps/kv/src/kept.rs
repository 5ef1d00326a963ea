//! Responses as sessions keep them, in memory and in snapshots.
//!
//! ```text
//! 0 done │ 1 absent │ 2 integer (8 bytes, little-endian) │ 3 value (the bytes) │ 4 refused (its number: `REFUSALS`)
//! ```

use synod_replica::SessionMachine;

use crate::{
    machine::Kv,
    response::{Refusal, Response},
    value::Value,
};

impl SessionMachine for Kv {
    fn keep(response: &Response, bytes_max: usize) -> Option<Vec<u8>> {
        let kept = match response {
            Response::Done => vec![0],
            Response::Absent => vec![1],
            Response::Integer(number) => [&[2][..], &number.to_le_bytes()].concat(),
            Response::Value(value) if value.len() >= bytes_max => return None,
            Response::Value(value) => [&[3][..], &value.to_bytes()].concat(),
            Response::Refused(refusal) => {
                let number = REFUSALS.iter().position(|other| other == refusal)?;
                vec![4, number as u8]
            }
        };
        (kept.len() <= bytes_max).then_some(kept)
    }

    fn recall(kept: &[u8]) -> Option<Response> {
        let (kind, rest) = kept.split_first()?;
        match (kind, rest) {
            (0, []) => Some(Response::Done),
            (1, []) => Some(Response::Absent),
            (2, number) => {
                let number = number.try_into().ok()?;
                Some(Response::Integer(i64::from_le_bytes(number)))
            }
            (3, value) => Some(Response::Value(Value::new(value))),
            (4, [number]) => {
                let refusal = REFUSALS.get(usize::from(*number))?;
                Some(Response::Refused(*refusal))
            }
            _ => None,
        }
    }
}

/// Those of the map itself. The place of each is its number: new ones go to the end.
const REFUSALS: [Refusal; 6] = [
    Refusal::NotAnInteger,
    Refusal::Overflow,
    Refusal::KeyTooLong,
    Refusal::ValueTooLong,
    Refusal::MapFull,
    Refusal::Malformed,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        for (response, golden) in [
            (Response::Done, &b"\0"[..]),
            (Response::Absent, b"\x01"),
            (
                Response::Integer(-2),
                b"\x02\xfe\xff\xff\xff\xff\xff\xff\xff",
            ),
            (Response::Value(Value::new(b"ab")), b"\x03ab"),
            (Response::Refused(Refusal::MapFull), b"\x04\x04"),
        ] {
            let kept = Kv::keep(&response, golden.len()).unwrap();
            assert_eq!(kept, golden);
            assert_eq!(Kv::recall(golden), Some(response.clone()));
            assert_eq!(Kv::keep(&response, golden.len() - 1), None);
        }
        for bad in [&b""[..], b"\0x", b"\x02\x01", b"\x04", b"\x04\x09", b"\x05"] {
            assert_eq!(Kv::recall(bad), None, "{bad:?}");
        }
    }
}
