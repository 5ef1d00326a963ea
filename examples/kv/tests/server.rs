//! The RESP server without a cluster behind it: what it answers, in which order, and what it does
//! with bytes that are no requests.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use proptest::prelude::*;
use redis_protocol::resp2::types::BytesFrame;
use synod_kv::{
    Client, Consensus, Failure, Kv, Local, RequestLimits, Response, Server, ServerLimits, Store,
    info_field,
};
use synod_replica::Reason;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
    time::{Instant, timeout},
};

/// Request, answer; the same texts that a Redis gives where it knows the command.
const CONVERSATION: &[(&str, &str)] = &[
    ("PING", "+PONG"),
    ("ping hello", "hello"),
    (
        "PING a b",
        "-ERR wrong number of arguments for 'ping' command",
    ),
    ("ECHO hello", "hello"),
    ("GET k", "(nil)"),
    ("SET k v", "+OK"),
    ("GET k", "v"),
    ("set k w NX", "(nil)"),
    ("SET k w XX", "+OK"),
    ("SET k x GET", "w"),
    ("SET k y nx get", "x"),
    ("SET new y NX GET", "(nil)"),
    ("GET new", "y"),
    ("SET k v NX XX", "-ERR syntax error"),
    ("SET k v EX 10", "-ERR syntax error"),
    ("SET k", "-ERR wrong number of arguments for 'set' command"),
    ("APPEND k z", ":2"),
    ("STRLEN k", ":2"),
    ("STRLEN absent", ":0"),
    ("INCR n", ":1"),
    ("INCRBY n 41", ":42"),
    ("DECR n", ":41"),
    ("DECRBY n 1", ":40"),
    (
        "DECRBY n -9223372036854775808",
        "-ERR decrement would overflow",
    ),
    (
        "INCRBY n 1.5",
        "-ERR value is not an integer or out of range",
    ),
    ("INCR k", "-ERR value is not an integer or out of range"),
    ("SET n 9223372036854775807", "+OK"),
    ("INCR n", "-ERR increment or decrement would overflow"),
    ("CAS k xz won", ":1"),
    ("CAS k xz lost", ":0"),
    ("CAS absent a b", ":0"),
    ("EXISTS absent", ":0"),
    (
        "CAS k won",
        "-ERR wrong number of arguments for 'cas' command",
    ),
    ("MSET a 1 b 2", "+OK"),
    (
        "MSET a 1 b",
        "-ERR wrong number of arguments for 'mset' command",
    ),
    ("MGET a absent b", "[1, (nil), 2]"),
    ("EXISTS a b a absent", ":3"),
    ("DEL a a absent", ":1"),
    ("DBSIZE", ":4"),
    ("FLUSHALL sometimes", "-ERR syntax error"),
    ("FLUSHALL", "+OK"),
    ("DBSIZE", ":0"),
    ("COMMAND", "[]"),
    ("COMMAND DOCS", "[]"),
    ("COMMAND COUNT", ":23"),
    ("CONFIG GET save", "[save, ]"),
    ("CONFIG GET appendonly", "[appendonly, yes]"),
    ("CONFIG GET maxmemory", "[maxmemory, 1073741824]"),
    ("CONFIG SET maxmemory 1000 maxkeys 2", "+OK"),
    (
        "CONFIG GET maxkeys maxmemory save",
        "[save, , maxmemory, 1000, maxkeys, 2]",
    ),
    ("MSET a 1 b 2", "+OK"),
    (
        "SET a 2",
        "-OOM command not allowed when the map has reached 'maxmemory' or 'maxkeys'",
    ),
    ("DEL a", ":1"),
    ("SET a 2", "+OK"),
    ("CONFIG SET maxkeys 9", "+OK"),
    ("FLUSHALL", "+OK"),
    (
        "CONFIG SET maxkeys 0",
        "-ERR value is not an integer or out of range",
    ),
    (
        "CONFIG SET maxkeys",
        "-ERR Unknown option or number of arguments for CONFIG SET - 'maxkeys'",
    ),
    (
        "CONFIG GET",
        "-ERR wrong number of arguments for 'config|get' command",
    ),
    (
        "CONFIG SET save x",
        "-ERR Unknown option or number of arguments for CONFIG SET - 'save'",
    ),
    (
        "CONFIG REWRITE",
        "-ERR unknown subcommand 'REWRITE'. Try CONFIG HELP.",
    ),
    ("CLIENT GETNAME", "(nil)"),
    ("CLIENT SETNAME me", "+OK"),
    ("CLIENT GETNAME", "me"),
    ("CLIENT SETINFO lib-name x", "+OK"),
    (
        "CLIENT KILL x",
        "-ERR unknown subcommand 'KILL'. Try CLIENT HELP.",
    ),
    ("SELECT 0", "+OK"),
    ("SELECT 1", "-ERR DB index is out of range"),
    (
        "LPUSH l 1 2",
        "-ERR unknown command 'LPUSH', with args beginning with: 'l' '1' '2' ",
    ),
    ("QUIT", "+OK"),
];

#[tokio::test]
async fn every_command_answers_as_a_redis_does() {
    let (address, _stop) = serve(Local::default(), ServerLimits::default()).await;
    let mut client = Client::connect(address).await.unwrap();
    for (request, expected) in CONVERSATION {
        let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        let answer = client.call(&args).await.unwrap();
        assert_eq!(show(&answer), *expected, "{request}");
    }
    client
        .call(&[b"PING"])
        .await
        .expect_err("closed after QUIT");
}

#[tokio::test]
async fn info_has_its_sections() {
    let (address, _stop) = serve(Local::default(), ServerLimits::default()).await;
    let mut client = Client::connect(address).await.unwrap();
    let text = client.info().await.unwrap();
    for line in [
        "# Server",
        "# Clients",
        "connected_clients:1",
        "evicted_clients:0",
        "# Memory",
        "limit_bytes:50331648",
        "limit_clients_bytes:50331648",
        "# Consensus",
        "protocol:none",
        "role:leader",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no line {line} in\n{text}"
        );
    }
    for field in [
        "id",
        "leader_id",
        "term",
        "commit_index",
        "applied_index",
        "log_bytes",
        "log_syncs",
        "snapshots_taken",
        "snapshots_received",
        "snapshots_failed",
        "closed",
        "log_lines_dropped",
        "used_memory_rss",
    ] {
        assert!(
            info_field(&text, field).is_some(),
            "no field {field} in\n{text}"
        );
    }
}

#[tokio::test]
async fn a_mistake_does_not_end_the_connection_and_a_broken_stream_does() {
    let (address, _stop) = serve(Local::default(), ServerLimits::default()).await;
    for (stream, answer) in [
        (
            "*1\r\n$4\r\nPING\r\n*1000000000\r\n",
            "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n",
        ),
        (
            "*2\r\n$4\r\nPING\r\n$1000000000\r\n",
            "-ERR Protocol error: invalid bulk length\r\n",
        ),
        (
            "*1\r\n*1\r\n*1\r\n*1\r\n",
            "-ERR Protocol error: expected '$', got '*'\r\n",
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "-ERR Protocol error: expected '*', got 'G'\r\n",
        ),
    ] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(stream.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        socket.read_to_end(&mut read).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&read), answer);
    }
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let limits = ServerLimits {
        clients_max: 1,
        ..ServerLimits::default()
    };
    let (address, _stop) = serve(Local::default(), limits).await;
    let mut first = Client::connect(address).await.unwrap();
    first.call(&[b"PING"]).await.unwrap();
    let mut second = Client::connect(address).await.unwrap();
    assert_eq!(
        show(&second.receive().await.unwrap()),
        "-ERR max number of clients reached"
    );
    second.receive().await.expect_err("closed");
    drop(first);
    // The first leaves at the server's pace; then there is room again.
    timeout(PATIENCE, async {
        loop {
            let mut third = Client::connect(address).await.unwrap();
            third.queue(&[b"PING"]);
            if third.flush().await.is_ok()
                && third
                    .receive()
                    .await
                    .is_ok_and(|answer| show(&answer) == "+PONG")
            {
                return;
            }
        }
    })
    .await
    .expect("room again");
}

/// Half requests are held for as long as their other halves may come. What all connections hold is
/// bounded, whoever exceeds it is cut, and the others go on.
#[tokio::test]
async fn what_all_connections_hold_together_is_bounded() {
    let limits = ServerLimits {
        clients_bytes_max: 300_000,
        ..ServerLimits::default()
    };
    let (address, _stop) = serve(Local::default(), limits).await;
    let mut steady = Client::connect(address).await.unwrap();
    assert_eq!(show(&steady.call(&[b"PING"]).await.unwrap()), "+PONG");
    let half = [b"*2\r\n$4\r\nECHO\r\n$100000\r\n", &[b'x'; 90_000][..]].concat();
    let mut held = Vec::new();
    let evicted = loop {
        assert!(
            held.len() < 4,
            "four times as much as is allowed, and nobody was cut"
        );
        let mut socket = TcpStream::connect(address).await.unwrap();
        // Whoever is cut may be cut while it sends.
        let _ = socket.write_all(&half).await;
        held.push(socket);
        let deadline = Instant::now() + PATIENCE;
        let evicted = loop {
            let text = steady.info().await.unwrap();
            let field = |name| -> u64 { info_field(&text, name).unwrap().parse().unwrap() };
            let (bytes, evicted) = (field("client_bytes"), field("evicted_clients"));
            assert!(bytes <= 300_000, "{bytes} bytes held");
            if evicted > 0 || bytes > 90_000 * held.len() as u64 {
                break evicted;
            }
            assert!(Instant::now() < deadline, "neither held nor cut:\n{text}");
        };
        if evicted > 0 {
            break evicted;
        }
    };
    assert_eq!((evicted, held.len() > 1), (1, true));
    let mut buffer = [0];
    let cut = held.last_mut().unwrap().read(&mut buffer);
    assert!(!matches!(
        timeout(PATIENCE, cut).await.expect("closed"),
        Ok(1)
    ));
    // The others still have their place, and what they held is free when they are gone.
    let mut first = held.swap_remove(0);
    first.write_all(&[b'x'; 10_000]).await.unwrap();
    first.write_all(b"\r\n").await.unwrap();
    assert!(matches!(
        timeout(PATIENCE, first.read(&mut buffer)).await.unwrap(),
        Ok(1)
    ));
    drop((first, held));
    let deadline = Instant::now() + PATIENCE;
    while info_field(&steady.info().await.unwrap(), "connected_clients") != Some("1") {
        assert!(
            Instant::now() < deadline,
            "connections that are gone are still counted"
        );
    }
    let text = steady.info().await.unwrap();
    let left: u64 = info_field(&text, "client_bytes").unwrap().parse().unwrap();
    assert!(left < 90_000, "{left} bytes are still held");
}

#[tokio::test]
async fn errors_of_the_store_name_the_outcome() {
    let (store, mut calls) = Watched::new();
    let (address, _stop) = serve(store, ServerLimits::default()).await;
    let mut client = Client::connect(address).await.unwrap();
    let expected = [
        (
            Failure::Unknown,
            "-UNKNOWN the request was accepted and its outcome was not learned in time",
        ),
        (
            Failure::Rejected {
                reason: Reason::Busy,
                leader: None,
            },
            "-REJECTED busy",
        ),
        (
            Failure::Rejected {
                reason: Reason::NotLeader,
                leader: Some(3),
            },
            "-REJECTED not leader [leader 3]",
        ),
    ];
    for (failure, text) in expected {
        client.queue(&[b"SET", b"k", b"v"]);
        client.flush().await.unwrap();
        calls.recv().await.unwrap().finish(Err(failure));
        assert_eq!(show(&client.receive().await.unwrap()), text);
    }
}

/// Whoever pings wants to know whether to send more: a load balancer, a supervisor.
#[tokio::test]
async fn a_store_that_serves_nothing_any_more_says_so_to_a_ping() {
    let (store, _calls) = Watched::new();
    let closed = Arc::clone(&store.closed);
    let (address, _stop) = serve(store, ServerLimits::default()).await;
    let mut client = Client::connect(address).await.unwrap();
    assert_eq!(show(&client.call(&[b"PING"]).await.unwrap()), "+PONG");
    *closed.lock().unwrap() = Some("storage failed".into());
    for request in [&[&b"PING"[..]][..], &[b"PING", b"hello"]] {
        assert_eq!(
            show(&client.call(request).await.unwrap()),
            "-CLOSED this node serves nothing any more: storage failed"
        );
    }
}

/// The rule of `connection.rs`: runs of one kind go together, the other kind waits.
#[tokio::test]
async fn a_pipeline_runs_kind_by_kind_and_is_answered_in_order() {
    let (store, mut calls) = Watched::new();
    let (address, _stop) = serve(store, ServerLimits::default()).await;
    let mut client = Client::connect(address).await.unwrap();
    let requests = "SET a 1|PING|APPEND a 2|GET a|STRLEN a|ECHO x|SET a 3|GET a";
    for request in requests.split('|') {
        let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        client.queue(&args);
    }
    client.flush().await.unwrap();

    // Both writes are proposed though neither is done, the reads are not asked.
    let (set, append) = (calls.recv().await.unwrap(), calls.recv().await.unwrap());
    assert_eq!((set.kind, append.kind), ("write", "write"));
    assert!(
        calls.is_quiet().await,
        "a read did not wait for the writes before it"
    );
    // Done in the wrong order; the answers keep the right one.
    append.finish(Ok(()));
    assert!(
        calls.is_quiet().await,
        "a read did not wait for all writes before it"
    );
    set.finish(Ok(()));
    let reads = calls.recv().await.unwrap();
    assert_eq!(reads.kind, "read");
    assert!(
        calls.is_quiet().await,
        "a write did not wait for the reads before it"
    );
    reads.finish(Ok(()));
    for kind in ["write", "read"] {
        let call = calls.recv().await.unwrap();
        assert_eq!(call.kind, kind);
        call.finish(Ok(()));
    }
    for expected in ["+OK", "+PONG", ":2", "12", ":2", "x", "+OK", "3"] {
        assert_eq!(show(&client.receive().await.unwrap()), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_end_in_an_answer_or_a_closed_connection(
        stream in hostile_bytes(),
        cut in any::<prop::sample::Index>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let limits = RequestLimits { bulk_bytes_max: 64, args_max: 8, request_bytes_max: 256 };
            let limits = ServerLimits { request: limits, ..ServerLimits::default() };
            let (address, _stop) = serve(Local::default(), limits).await;
            let mut socket = TcpStream::connect(address).await.unwrap();
            let cut = cut.index(stream.len() + 1);
            // The server may close in the middle: that is an answer too.
            let _ = socket.write_all(&stream[..cut]).await;
            let _ = socket.write_all(&stream[cut..]).await;
            let _ = socket.shutdown().await;
            let mut answer = Vec::new();
            let _ = timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("closed in time");
            // Whatever came, the server lives.
            let mut client = Client::connect(address).await.unwrap();
            assert_eq!(show(&client.call(&[b"PING"]).await.unwrap()), "+PONG");
        });
    }
}

/// Noise, and requests with noise in them: pure noise rarely passes the first byte.
fn hostile_bytes() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop::sample::select(vec![
        "*1\r\n",
        "*2\r\n",
        "*3\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*9\r\n",
        "$-1\r\n",
        "$0\r\n\r\n",
        "$3\r\nGET\r\n",
        "$3\r\nSET\r\n",
        "$4\r\nPING\r\n",
        "$4\r\nINFO\r\n",
        "$1\r\nk\r\n",
        "$64\r\n",
        "$65\r\n",
        "*99999999999999999999\r\n",
        "\r\n",
        "\n",
        "$1\r\n\r\r\n",
        ":1\r\n",
    ]);
    let piece = prop_oneof![
        3 => pieces.prop_map(|piece| piece.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

async fn serve(store: impl Store, limits: ServerLimits) -> (SocketAddr, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(Server::run(listener, store, limits, stopped));
    (address, stop)
}

fn show(frame: &BytesFrame) -> String {
    match frame {
        BytesFrame::SimpleString(text) => format!("+{}", String::from_utf8_lossy(text)),
        BytesFrame::Error(text) => format!("-{text}"),
        BytesFrame::Integer(number) => format!(":{number}"),
        BytesFrame::BulkString(value) => String::from_utf8_lossy(value).into_owned(),
        BytesFrame::Array(frames) => format!(
            "[{}]",
            frames.iter().map(show).collect::<Vec<_>>().join(", ")
        ),
        BytesFrame::Null => "(nil)".into(),
    }
}

/// A store whose calls the test sees and ends.
#[derive(Clone, Debug)]
struct Watched {
    kv: Arc<Mutex<Kv>>,
    calls: tokio::sync::mpsc::UnboundedSender<Call>,
    closed: Arc<Mutex<Option<String>>>,
}

#[derive(Debug)]
struct Call {
    kind: &'static str,
    end: oneshot::Sender<Result<(), Failure>>,
}

impl Call {
    fn finish(self, outcome: Result<(), Failure>) {
        self.end
            .send(outcome)
            .expect("somebody waits for the outcome");
    }
}

struct Calls(tokio::sync::mpsc::UnboundedReceiver<Call>);

impl Calls {
    async fn recv(&mut self) -> Option<Call> {
        timeout(PATIENCE, self.0.recv())
            .await
            .expect("a call in time")
    }

    /// Lets every other task run until none has anything to do, and sees no call.
    async fn is_quiet(&mut self) -> bool {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        self.0.try_recv().is_err()
    }
}

impl Watched {
    fn new() -> (Self, Calls) {
        let (calls, seen) = tokio::sync::mpsc::unbounded_channel();
        (
            Self {
                kv: Arc::default(),
                calls,
                closed: Arc::default(),
            },
            Calls(seen),
        )
    }

    fn call(
        &self,
        kind: &'static str,
    ) -> impl Future<Output = Result<(), Failure>> + Send + 'static {
        let (end, ended) = oneshot::channel();
        self.calls
            .send(Call { kind, end })
            .expect("the test watches");
        async { ended.await.expect("the test ends each call") }
    }
}

impl Store for Watched {
    fn write(
        &self,
        command: Bytes,
    ) -> impl Future<Output = Result<Response, Failure>> + Send + 'static {
        let response = self.kv.lock().unwrap().execute(&command);
        let ended = self.call("write");
        async move { ended.await.map(|()| response) }
    }

    fn read<R: Send + 'static>(
        &self,
        with: impl FnOnce(&Kv) -> R + Send + 'static,
    ) -> impl Future<Output = Result<R, Failure>> + Send + 'static {
        let (ended, kv) = (self.call("read"), Arc::clone(&self.kv));
        async move { ended.await.map(|()| with(&kv.lock().unwrap())) }
    }

    fn consensus(&self) -> Consensus {
        Consensus::default()
    }

    fn closed(&self) -> Option<String> {
        self.closed.lock().unwrap().clone()
    }
}

const PATIENCE: Duration = Duration::from_secs(10);
