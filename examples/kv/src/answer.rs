//! What a request answers, and how it goes onto the wire.
//!
//! The codec takes a bulk string in one piece. A value has many and may be 16 MiB long, so it is
//! written piece by piece, straight from the map's memory, and never put together.

use std::fmt::Write;

use bytes::{Bytes, BytesMut};
use redis_protocol::resp2::{
    encode::extend_encode,
    types::{BytesFrame, Resp2Frame},
};

use crate::{
    capacity::MapLimits,
    request::{MAXKEYS, MAXMEMORY},
    response::Response,
    store::Failure,
    value::Value,
};

/// An answer; values in it are shared with the map.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Anything that is short.
    Frame(BytesFrame),
    /// A bulk string, or nothing.
    Value(Option<Value>),
    /// An array of those.
    Values(Vec<Option<Value>>),
}

/// A part of an answer, in the order in which they stand on the wire.
pub(crate) enum Part<'a> {
    /// The codec writes it.
    Frame(&'a BytesFrame),
    /// Kind and length of what follows; no length stands for nothing.
    Header(u8, Option<usize>),
    /// Bytes as they are, to be written from where they lie when they are many.
    Bytes(&'a [u8]),
}

impl Part<'_> {
    pub(crate) fn put(&self, to: &mut BytesMut) {
        match self {
            Self::Frame(frame) => {
                extend_encode(to, frame, false)
                    .expect("a frame of this server is one that the codec takes");
            }
            Self::Header(kind, len) => {
                let kind = char::from(*kind);
                // Writing to a buffer that grows cannot fail.
                let _ = match len {
                    Some(len) => write!(to, "{kind}{len}\r\n"),
                    None => write!(to, "{kind}-1\r\n"),
                };
            }
            Self::Bytes(bytes) => to.extend_from_slice(bytes),
        }
    }
}

impl Answer {
    pub(crate) fn simple(text: &'static str) -> Self {
        Self::Frame(BytesFrame::SimpleString(Bytes::from_static(
            text.as_bytes(),
        )))
    }

    pub(crate) fn error(text: String) -> Self {
        Self::Frame(BytesFrame::Error(text.into()))
    }

    /// Length on the wire, at most.
    pub(crate) fn bytes_max(&self) -> usize {
        let bulk = |value: &Option<Value>| HEADER_BYTES_MAX + value.as_ref().map_or(0, Value::len);
        match self {
            Self::Frame(frame) => frame.encode_len(false),
            Self::Value(value) => bulk(value),
            Self::Values(values) => HEADER_BYTES_MAX + values.iter().map(bulk).sum::<usize>(),
        }
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        let (head, values) = match self {
            Self::Frame(frame) => (Some(Part::Frame(frame)), &[][..]),
            Self::Value(value) => (None, std::slice::from_ref(value)),
            Self::Values(values) => (Some(Part::Header(b'*', Some(values.len()))), &values[..]),
        };
        let values = values.iter().flat_map(|value| {
            let end = value.as_ref().map(|_| Part::Bytes(b"\r\n"));
            [Part::Header(b'$', value.as_ref().map(Value::len))]
                .into_iter()
                .chain(value.iter().flat_map(Value::pieces).map(Part::Bytes))
                .chain(end)
        });
        head.into_iter().chain(values)
    }
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        match response {
            Response::Done => Self::simple("OK"),
            Response::Absent => Self::Value(None),
            Response::Integer(number) => Self::Frame(BytesFrame::Integer(number)),
            Response::Value(value) => Self::Value(Some(value)),
            Response::Refused(refusal) => Self::error(format!("{} {refusal}", refusal.code())),
        }
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        Self::error(failure.to_string())
    }
}

/// What `CONFIG GET` tells: what redis-benchmark asks for before it starts, as this server has no
/// such settings and says what theirs would be, and the limits of the map where it is looked at.
pub(crate) fn settings(names: &[Bytes], limits: Option<MapLimits>) -> BytesFrame {
    let mut known = vec![("save", String::new()), ("appendonly", "yes".into())];
    if let Some(limits) = limits {
        known.push((MAXMEMORY, limits.bytes_max.to_string()));
        known.push((MAXKEYS, limits.keys_max.to_string()));
    }
    let asked = |name: &str| {
        names
            .iter()
            .any(|asked| &asked[..] == b"*" || asked.eq_ignore_ascii_case(name.as_bytes()))
    };
    let found = known.into_iter().filter(|(name, _)| asked(name));
    BytesFrame::Array(
        found
            .flat_map(|(name, value)| [name.to_owned(), value])
            .map(|text| BytesFrame::BulkString(text.into()))
            .collect(),
    )
}

/// A kind, a length of twenty digits, and two ends of lines.
const HEADER_BYTES_MAX: usize = 25;

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(answer: &Answer) -> BytesMut {
        let mut wire = BytesMut::new();
        answer.parts().for_each(|part| part.put(&mut wire));
        wire
    }

    /// The codec is the definition of the wire format; it takes a value in one piece.
    #[test]
    fn values_go_onto_the_wire_as_the_codec_would_write_them() {
        let mut long = Value::new(&[b'a'; 20_000]);
        long.append(&[b'b'; 20_000]);
        long.append(b"c");
        let values = vec![Some(long), None, Some(Value::new(b""))];
        let frame = |value: &Option<Value>| match value {
            Some(value) => BytesFrame::BulkString(value.to_bytes()),
            None => BytesFrame::Null,
        };
        let mut pairs: Vec<_> = values
            .iter()
            .map(|value| (Answer::Value(value.clone()), frame(value)))
            .collect();
        let all = BytesFrame::Array(values.iter().map(frame).collect());
        pairs.push((Answer::Values(values), all));
        for (answer, frame) in pairs {
            let mut expected = BytesMut::new();
            extend_encode(&mut expected, &frame, false).unwrap();
            assert!(wire(&answer) == expected, "{answer:?}");
            assert!(answer.bytes_max() >= expected.len());
            assert!(wire(&Answer::Frame(frame)) == expected);
        }
    }
}
