//! RESP requests: framing, meaning, and the commands they become.

use bytes::{Bytes, BytesMut};
use synod_kv::{Framer, FramingError, Kv, Request, RequestLimits, parse};

use crate::memory::bounded;
use crate::script::Script;

/// First byte: how long the pieces are in which the stream arrives. Then the stream.
pub(crate) fn run(data: &[u8]) {
    let mut script = Script::new(data);
    let piece_bytes = 1 + usize::from(script.byte());
    let stream = script.rest();
    let whole = bounded(stream.len(), || requests(stream, stream.len()));
    let pieces = requests(stream, piece_bytes);
    assert_eq!(whole, pieces, "where the pieces end is seen");
    let mut kv = Kv::default();
    for request in &whole.0 {
        let bytes: usize = request.iter().map(Bytes::len).sum();
        assert!(request.len() <= LIMITS.args_max && bytes <= LIMITS.request_bytes_max);
        match parse(request) {
            Ok(Request::Write(entry) | Request::Swap(entry)) => {
                // None, when it concerns sessions alone.
                if let Some(command) = entry.command() {
                    let _answer = kv.execute(&command.encode());
                }
            }
            Ok(Request::Read(query)) => drop(query.answer(&kv)),
            Ok(Request::Local(_)) => {}
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

type Requests = (Vec<Vec<Bytes>>, Option<FramingError>);

fn requests(stream: &[u8], piece_bytes: usize) -> Requests {
    let (mut framer, mut input) = (Framer::new(LIMITS), BytesMut::new());
    let mut requests = Vec::new();
    for piece in stream.chunks(piece_bytes.max(1)) {
        input.extend_from_slice(piece);
        loop {
            match framer.next(&mut input) {
                Ok(Some(request)) => requests.push(request),
                Ok(None) => break,
                Err(error) => return (requests, Some(error)),
            }
        }
    }
    (requests, None)
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let request = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let mut bytes = format!("*{}\r\n", words.len());
        for word in words {
            bytes += &format!("${}\r\n{word}\r\n", word.len());
        }
        bytes
    };
    let lines = [
        "set k v nx get",
        "set k v xx",
        "set k v px 5 nx get",
        "setex k 5 v",
        "expire k 5 xx lt",
        "persist k",
        "pttl k",
        "delex k ifeq v",
        "session new",
        "session 1 2 incr k",
        "session limit 9 9 9 9 9",
        "get k",
        "cas k v w",
        "append k -1",
        "incrby k 9223372036854775807",
        "decrby k -9223372036854775808",
        "incr k",
        "decr k",
        "del k l",
        "exists k l k",
        "strlen k",
        "mget k l",
        "mset k 1 l 2",
        "dbsize",
        "flushall async",
        "ping hello",
        "echo x",
        "info server",
        "command count",
        "config get save",
        "client setname me",
        "client setinfo lib-name x",
        "client id",
        "select 0",
        "quit",
    ];
    let mut seeds: Vec<_> = lines
        .iter()
        .map(|line| [&[3][..], request(line).as_bytes()].concat())
        .collect();
    let pipeline: String = lines.iter().map(|line| request(line)).collect();
    seeds.push([&[50][..], pipeline.as_bytes()].concat());
    seeds.push(b"\x00*0\r\n*-1\r\n*1\r\n$0\r\n\r\n".to_vec());
    seeds
}

const LIMITS: RequestLimits = RequestLimits {
    bulk_bytes_max: 200,
    args_max: 20,
    request_bytes_max: 500,
};
