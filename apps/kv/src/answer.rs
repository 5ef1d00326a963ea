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

/// Which version of the protocol answers are written in. Requests are the same in both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resp {
    /// What a connection begins with.
    #[default]
    Two,
    /// What `HELLO 3` asks for: maps are maps, and there is one way to say that there is nothing.
    Three,
}

/// An answer; values in it are shared with the map.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// Anything that is short and alike in both versions: no null, and nothing that holds pairs.
    Frame(BytesFrame),
    /// Names and what belongs to them.
    Map(Vec<(&'static str, BytesFrame)>),
    /// A bulk string, or nothing.
    Value(Option<Value>),
    /// An array of those.
    Values(Vec<Option<Value>>),
}

/// A part of an answer, in the order in which they stand on the wire.
pub(crate) enum Part<'a> {
    /// The codec writes it.
    Frame(&'a BytesFrame),
    /// Kind and length of what follows.
    Header(char, usize),
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
                // Writing to a buffer that grows cannot fail.
                let _ = write!(to, "{kind}{len}\r\n");
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

    pub(crate) fn simple_text(text: String) -> Self {
        Self::Frame(BytesFrame::SimpleString(text.into()))
    }

    pub(crate) fn error(text: String) -> Self {
        Self::Frame(BytesFrame::Error(text.into()))
    }

    /// Length on the wire, at most.
    pub(crate) fn bytes_max(&self) -> usize {
        let bulk = |value: &Option<Value>| HEADER_BYTES_MAX + value.as_ref().map_or(0, Value::len);
        match self {
            Self::Frame(frame) => frame.encode_len(false),
            Self::Map(pairs) => {
                let pair = |(name, value): &(&str, BytesFrame)| {
                    2 * HEADER_BYTES_MAX + name.len() + value.encode_len(false)
                };
                HEADER_BYTES_MAX + pairs.iter().map(pair).sum::<usize>()
            }
            Self::Value(value) => bulk(value),
            Self::Values(values) => HEADER_BYTES_MAX + values.iter().map(bulk).sum::<usize>(),
        }
    }

    pub(crate) fn parts(&self, resp: Resp) -> impl Iterator<Item = Part<'_>> {
        let (head, pairs, values) = match self {
            Self::Frame(frame) => (Some(Part::Frame(frame)), &[][..], &[][..]),
            Self::Map(pairs) => (Some(resp.map(pairs.len())), &pairs[..], &[][..]),
            Self::Value(value) => (None, &[][..], std::slice::from_ref(value)),
            Self::Values(values) => {
                let head = Part::Header('*', values.len());
                (Some(head), &[][..], &values[..])
            }
        };
        let pairs = pairs.iter().flat_map(|(name, value)| {
            let [head, name, end] = [
                Part::Header('$', name.len()),
                Part::Bytes(name.as_bytes()),
                Part::Bytes(LINE_END),
            ];
            [head, name, end, Part::Frame(value)]
        });
        let values = values.iter().flat_map(move |value| {
            let head = match value {
                Some(value) => Part::Header('$', value.len()),
                None => Part::Bytes(resp.null()),
            };
            let end = value.as_ref().map(|_| Part::Bytes(LINE_END));
            [head]
                .into_iter()
                .chain(value.iter().flat_map(Value::pieces).map(Part::Bytes))
                .chain(end)
        });
        head.into_iter().chain(pairs).chain(values)
    }
}

impl Resp {
    fn null(self) -> &'static [u8] {
        match self {
            Self::Two => b"$-1\r\n",
            Self::Three => b"_\r\n",
        }
    }

    /// The header of so many pairs.
    fn map<'a>(self, pairs: usize) -> Part<'a> {
        match self {
            Self::Two => Part::Header('*', 2 * pairs),
            Self::Three => Part::Header('%', pairs),
        }
    }

    /// As `HELLO` says it.
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Two => 2,
            Self::Three => 3,
        }
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
pub(crate) fn settings(names: &[Bytes], limits: Option<MapLimits>) -> Answer {
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
    Answer::Map(
        found
            .map(|(name, value)| (name, BytesFrame::BulkString(value.into())))
            .collect(),
    )
}

/// What `HELLO` tells of this server, to the connection of this number.
pub(crate) fn greeting(resp: Resp, id: u64) -> Answer {
    let text = |text: &'static str| BytesFrame::BulkString(Bytes::from_static(text.as_bytes()));
    Answer::Map(vec![
        ("server", text("synod-kv")),
        ("version", text(env!("CARGO_PKG_VERSION"))),
        ("proto", BytesFrame::Integer(resp.number())),
        ("id", BytesFrame::Integer(id as i64)),
        // A client need not know of the other nodes, and any of them takes its writes.
        ("mode", text("standalone")),
        ("role", text("master")),
        ("modules", BytesFrame::Array(Vec::new())),
    ])
}

const LINE_END: &[u8] = b"\r\n";
/// A kind, a length of twenty digits, and two ends of lines.
const HEADER_BYTES_MAX: usize = 25;

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(answer: &Answer, resp: Resp) -> BytesMut {
        let mut wire = BytesMut::new();
        answer.parts(resp).for_each(|part| part.put(&mut wire));
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
            assert!(wire(&answer, Resp::Two) == expected, "{answer:?}");
            assert!(answer.bytes_max() >= expected.len());
            assert!(wire(&Answer::Frame(frame), Resp::Two) == expected);
        }
    }

    #[test]
    fn each_version_has_its_own_maps_and_nulls() {
        let map = Answer::Map(vec![("a", BytesFrame::Integer(1))]);
        let values = Answer::Values(vec![None, Some(Value::new(b"v"))]);
        for (answer, two, three) in [
            (&map, "*2\r\n$1\r\na\r\n:1\r\n", "%1\r\n$1\r\na\r\n:1\r\n"),
            (
                &values,
                "*2\r\n$-1\r\n$1\r\nv\r\n",
                "*2\r\n_\r\n$1\r\nv\r\n",
            ),
            (&Answer::Value(None), "$-1\r\n", "_\r\n"),
            (&Answer::simple("OK"), "+OK\r\n", "+OK\r\n"),
        ] {
            assert_eq!(wire(answer, Resp::Two), two);
            assert_eq!(wire(answer, Resp::Three), three);
            assert!(answer.bytes_max() >= two.len().max(three.len()));
        }
    }
}
