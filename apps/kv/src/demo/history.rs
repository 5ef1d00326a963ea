//! What the clients saw: every operation, with its call, its return and its outcome.

use std::{
    io::{self, Write},
    time::Duration,
};

use bytes::Bytes;
use redis_protocol::resp2::types::BytesFrame;
use serde::Serialize;
use synod_sim::{ClientId, History, KvInput, KvOutput, RecordError};

/// One operation, as it ended.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) client: u64,
    pub(crate) key: Bytes,
    pub(crate) ask: Ask,
    /// Since the start of the run.
    pub(crate) called: Duration,
    /// Of an unknown outcome: when the client gave up.
    pub(crate) returned: Duration,
    pub(crate) end: End,
    /// How often it was asked again, under the same name, because nobody knew its end.
    pub(crate) again: u32,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Get,
    Put(Bytes),
    /// A put to a key that nobody else writes, on the condition that it is absent. The condition
    /// always holds, so in the history it is a put.
    PutOnce(Bytes),
    Append(Bytes),
    Cas {
        expected: Bytes,
        new: Bytes,
    },
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Ok(Answer),
    /// The server said that it did not happen.
    Failed,
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Value(Option<Bytes>),
    Done,
    Length(u64),
    Swapped(bool),
    /// No answer that the operation can have. It is kept, and no order of operations will explain
    /// it.
    Impossible,
}

impl Ask {
    /// The request on the wire.
    pub(crate) fn args<'a>(&'a self, key: &'a [u8]) -> Vec<&'a [u8]> {
        match self {
            Self::Get => vec![b"GET", key],
            Self::Put(value) => vec![b"SET", key, value],
            Self::PutOnce(value) => vec![b"SET", key, value, b"NX"],
            Self::Append(value) => vec![b"APPEND", key, value],
            Self::Cas { expected, new } => vec![b"CAS", key, expected, new],
        }
    }

    pub(crate) fn writes(&self) -> bool {
        *self != Self::Get
    }

    /// What the server's answer says of the outcome.
    pub(crate) fn end(&self, answer: BytesFrame) -> End {
        let answer = match (self, answer) {
            (_, BytesFrame::Error(text)) if text.starts_with("UNKNOWN") => return End::Unknown,
            (_, BytesFrame::Error(_)) => return End::Failed,
            (Self::Get, BytesFrame::BulkString(value)) => {
                Answer::Value(Some(Bytes::copy_from_slice(&value)))
            }
            (Self::Get, BytesFrame::Null) => Answer::Value(None),
            (Self::Put(_) | Self::PutOnce(_), BytesFrame::SimpleString(ok)) if &ok[..] == b"OK" => {
                Answer::Done
            }
            (Self::Append(_), BytesFrame::Integer(length)) => {
                u64::try_from(length).map_or(Answer::Impossible, Answer::Length)
            }
            (Self::Cas { .. }, BytesFrame::Integer(swapped @ (0 | 1))) => {
                Answer::Swapped(swapped == 1)
            }
            _ => Answer::Impossible,
        };
        End::Ok(answer)
    }

    fn input(&self, key: &[u8]) -> KvInput {
        match self {
            Self::Get => KvInput::get(key),
            Self::Put(value) | Self::PutOnce(value) => KvInput::put(key, &value[..]),
            Self::Append(value) => KvInput::append(key, &value[..]),
            Self::Cas { expected, new } => KvInput::cas(key, &expected[..], &new[..]),
        }
    }
}

impl Record {
    fn output(&self, answer: &Answer) -> KvOutput {
        match answer {
            Answer::Value(value) => {
                KvOutput::Value(value.as_ref().map(|value| (&value[..]).into()))
            }
            Answer::Done => KvOutput::Done,
            Answer::Length(length) => KvOutput::Length(*length),
            Answer::Swapped(swapped) => KvOutput::Swapped(*swapped),
            // An output of another kind of request.
            Answer::Impossible if matches!(self.ask, Ask::Cas { .. }) => KvOutput::Done,
            Answer::Impossible => KvOutput::Swapped(false),
        }
    }
}

/// The records as the checker takes them: calls and returns in the order of time. At the same
/// nanosecond calls stand before returns, so that the two operations overlap.
pub(crate) fn history(records: &[Record]) -> Result<History<KvInput, KvOutput>, RecordError> {
    let mut events: Vec<_> = records
        .iter()
        .enumerate()
        .flat_map(|(at, record)| [(record.called, false, at), (record.returned, true, at)])
        .collect();
    events.sort_unstable();
    let mut history = History::new();
    let mut open = vec![None; records.len()];
    for (time, returns, at) in events {
        let record = &records[at];
        let Some(op) = open[at].filter(|_| returns) else {
            open[at] =
                Some(history.call(ClientId(record.client), time, record.ask.input(&record.key))?);
            continue;
        };
        match &record.end {
            End::Ok(answer) => history.returned(op, time, record.output(answer))?,
            End::Failed => history.fail(op)?,
            End::Unknown => history.unknown(op)?,
        }
    }
    Ok(history)
}

/// Writes the records as JSON lines, in the order of their calls.
pub(crate) fn write_lines(records: &[Record], to: &mut dyn Write) -> io::Result<()> {
    let mut order: Vec<_> = records.iter().collect();
    order.sort_by_key(|record| record.called);
    for record in order {
        serde_json::to_writer(&mut *to, &Line::from(record))?;
        to.write_all(b"\n")?;
    }
    to.flush()
}

#[derive(Serialize)]
struct Line {
    client: u64,
    op: &'static str,
    key: String,
    value: Option<String>,
    expect: Option<String>,
    ret: Ret,
    call_ns: u64,
    /// Nobody knows when an unknown outcome came about.
    return_ns: Option<u64>,
    status: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Ret {
    None,
    Text(String),
    Number(u64),
    Truth(bool),
}

impl From<&Record> for Line {
    fn from(record: &Record) -> Self {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        let (op, value, expect) = match &record.ask {
            Ask::Get => ("get", None, None),
            Ask::Put(value) | Ask::PutOnce(value) => ("put", Some(text(value)), None),
            Ask::Append(value) => ("append", Some(text(value)), None),
            Ask::Cas { expected, new } => ("cas", Some(text(new)), Some(text(expected))),
        };
        let (status, ret) = match &record.end {
            End::Ok(Answer::Value(Some(value))) => ("ok", Ret::Text(text(value))),
            End::Ok(Answer::Value(None) | Answer::Impossible) => ("ok", Ret::None),
            End::Ok(Answer::Done) => ("ok", Ret::Text("OK".into())),
            End::Ok(Answer::Length(length)) => ("ok", Ret::Number(*length)),
            End::Ok(Answer::Swapped(swapped)) => ("ok", Ret::Truth(*swapped)),
            End::Failed => ("fail", Ret::None),
            End::Unknown => ("unknown", Ret::None),
        };
        let ns = |time: Duration| time.as_nanos() as u64;
        let return_ns = (record.end != End::Unknown).then(|| ns(record.returned));
        let (client, key, call_ns) = (record.client, text(&record.key), ns(record.called));
        Self {
            client,
            op,
            key,
            value,
            expect,
            ret,
            call_ns,
            return_ns,
            status,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(client: u64, ask: Ask, called: u64, returned: u64, end: End) -> Record {
        let [called, returned] = [called, returned].map(Duration::from_nanos);
        Record {
            client,
            key: Bytes::from_static(b"k"),
            ask,
            called,
            returned,
            end,
            again: 0,
        }
    }

    fn sample(seen: &'static str) -> Vec<Record> {
        let put = |value: &'static str| Ask::Put(value.into());
        vec![
            record(1, put("a"), 0, 5, End::Ok(Answer::Done)),
            record(2, put("b"), 6, 9, End::Unknown),
            record(3, put("c"), 6, 9, End::Failed),
            record(
                1,
                Ask::Get,
                10,
                11,
                End::Ok(Answer::Value(Some(seen.into()))),
            ),
            record(
                4,
                Ask::Cas {
                    expected: "a".into(),
                    new: "d".into(),
                },
                12,
                13,
                End::Ok(Answer::Swapped(seen == "a")),
            ),
        ]
    }

    fn linearizable(records: &[Record]) -> bool {
        synod_sim::check(synod_sim::Kv, &history(records).unwrap()).is_ok()
    }

    #[test]
    fn unknown_may_have_happened_and_failed_may_not() {
        assert!(linearizable(&sample("a")));
        assert!(linearizable(&sample("b")));
        assert!(!linearizable(&sample("c")));
    }

    #[test]
    fn an_impossible_answer_is_explained_by_no_order() {
        for ask in [
            Ask::Get,
            Ask::PutOnce("a".into()),
            Ask::Append("a".into()),
            Ask::Cas {
                expected: "".into(),
                new: "".into(),
            },
        ] {
            assert!(
                !linearizable(&[record(1, ask.clone(), 0, 1, End::Ok(Answer::Impossible))]),
                "{ask:?}"
            );
        }
    }

    #[test]
    fn a_line_has_every_field() {
        let mut lines = Vec::new();
        write_lines(&sample("a"), &mut lines).unwrap();
        let lines = String::from_utf8(lines).unwrap();
        let expected = [
            r#"{"client":1,"op":"put","key":"k","value":"a","expect":null,"ret":"OK","call_ns":0,"return_ns":5,"status":"ok"}"#,
            r#"{"client":2,"op":"put","key":"k","value":"b","expect":null,"ret":null,"call_ns":6,"return_ns":null,"status":"unknown"}"#,
            r#"{"client":3,"op":"put","key":"k","value":"c","expect":null,"ret":null,"call_ns":6,"return_ns":9,"status":"fail"}"#,
            r#"{"client":1,"op":"get","key":"k","value":null,"expect":null,"ret":"a","call_ns":10,"return_ns":11,"status":"ok"}"#,
            r#"{"client":4,"op":"cas","key":"k","value":"d","expect":"a","ret":true,"call_ns":12,"return_ns":13,"status":"ok"}"#,
        ];
        assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
    }
}
