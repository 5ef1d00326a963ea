//! The RESP server without a cluster behind it: what it answers, in which order, and what it does
//! with bytes that are no requests.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod conversation;

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use proptest::prelude::*;
use redis_protocol::resp2::types::BytesFrame;
use synod_kv::{
    Client, Consensus, Entry, Failure, Kv, Local, RequestLimits, Response, Server, ServerLimits,
    Store, info_field,
};
use synod_replica::{Reason, timed::SLACK};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
    time::timeout,
};

#[tokio::test]
async fn every_command_answers_as_a_redis_does() {
    let (address, _stop) = serve(Local::default(), ServerLimits::default()).await;
    let mut client = Client::connect(address).await.unwrap();
    for (request, expected) in conversation::CONVERSATION {
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
async fn keys_and_sessions_end_when_their_time_has_passed() {
    let store = Local::default();
    let (address, _stop) = serve(store.clone(), ServerLimits::default()).await;
    let mut client = Client::connect(address).await.unwrap();
    let hour = Duration::from_secs(3_600);
    for (passes, request, expected) in [
        (Duration::ZERO, "SET k v PX 1000", "+OK"),
        (Duration::ZERO, "SESSION NEW", ":1"),
        (Duration::ZERO, "SESSION 1 1 INCR n", ":1"),
        (Duration::from_millis(400), "PTTL k", ":600"),
        (Duration::ZERO, "SET lasting v", "+OK"),
        (Duration::from_millis(599), "GET k", "v"),
        // It may be there for a moment longer.
        (Duration::from_millis(1) + SLACK, "GET k", "(nil)"),
        (Duration::ZERO, "DBSIZE", ":2"),
        (Duration::ZERO, "SET k v XX", "(nil)"),
        (hour / 2, "SESSION 1 1 INCR n", ":1"),
        (hour - Duration::from_secs(1), "SESSION 1 1 INCR n", ":1"),
        (
            hour + SLACK,
            "SESSION 1 1 INCR n",
            "-NOSESSION the session is unknown or expired: nothing takes effect under it any more",
        ),
        (Duration::ZERO, "MGET n lasting", "[1, v]"),
    ] {
        store.pass(passes);
        let args: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        let answer = client.call(&args).await.unwrap();
        assert_eq!(show(&answer), expected, "{request}");
    }
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
        "sync_time_us",
        "disk_full_seconds",
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

/// What stands behind it would not mean what its sender thinks, so it must not be obeyed: in a
/// transaction that there is not, in a database that there is not, in silence.
#[tokio::test]
async fn what_switches_on_what_is_not_here_ends_the_connection() {
    let (address, _stop) = serve(Local::default(), ServerLimits::default()).await;
    for (switch, error) in [
        (
            "MULTI",
            "'multi' is not supported: this server has no transactions.",
        ),
        (
            "WATCH n",
            "'watch' is not supported: this server has no transactions.",
        ),
        (
            "EXEC",
            "'exec' is not supported: this server has no transactions.",
        ),
        (
            "DISCARD",
            "'discard' is not supported: this server has no transactions.",
        ),
        (
            "SUBSCRIBE c",
            "'subscribe' is not supported: this server has no publish and subscribe.",
        ),
        (
            "MONITOR",
            "'monitor' is not supported: this server has no monitoring.",
        ),
        (
            "CLIENT REPLY OFF",
            "'client reply' is not supported: this server has no silent requests.",
        ),
        ("SELECT 1", "DB index is out of range"),
    ] {
        let mut stream = Vec::new();
        for request in ["SET n 1", switch, "INCR n", "INCR n", "EXEC", "PING"] {
            stream.extend(wire(request));
        }
        // All of it in one piece, and in two that part before what is behind.
        let behind = wire("SET n 1").len() + wire(switch).len();
        for cut in [0, behind] {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(&stream[..cut]).await.unwrap();
            if cut > 0 {
                assert_eq!(read_bytes(&mut socket, b"+OK\r\n".len()).await, b"+OK\r\n");
            }
            // It may be closed before this is sent.
            let _ = socket.write_all(&stream[cut..]).await;
            let mut read = Vec::new();
            let _ = timeout(TIMEOUT, socket.read_to_end(&mut read))
                .await
                .expect("closed in time");
            let read = String::from_utf8_lossy(&read);
            let mut lines = read.lines();
            if cut == 0 {
                assert_eq!(lines.next(), Some("+OK"), "{switch}: {read}");
            }
            let line = lines.next().unwrap_or_default();
            assert!(
                line.starts_with(&format!("-ERR {error}")),
                "{switch}: {read}"
            );
            assert_eq!(lines.next(), None, "{switch}: {read}");
            let mut client = Client::connect(address).await.unwrap();
            let left = client.call(&[b"GET", b"n"]).await.unwrap();
            assert_eq!(show(&left), "1", "what stood behind {switch} was obeyed");
        }
    }
}

/// The very bytes that redis-py 8.1.0 sends when it connects with its defaults (RESP3), sets a key,
/// gets it, and gets one that is not there; then with `protocol=2`; then a `pipeline()`, which is a
/// transaction unless it is told otherwise.
#[tokio::test]
async fn redis_py_connects_sets_and_gets() {
    let (address, _stop) = serve(Local::default(), ServerLimits::default()).await;
    let version = env!("CARGO_PKG_VERSION");
    let hello = format!(
        "%7\r\n$6\r\nserver\r\n$8\r\nsynod-kv\r\n$7\r\nversion\r\n${}\r\n{version}\r\n\
         $5\r\nproto\r\n:3\r\n$2\r\nid\r\n:1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n\
         $4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n",
        version.len()
    );
    let setinfo = [
        (
            "*4\r\n$6\r\nCLIENT\r\n$7\r\nSETINFO\r\n$8\r\nLIB-NAME\r\n$8\r\nredis-py\r\n",
            "+OK\r\n",
        ),
        (
            "*4\r\n$6\r\nCLIENT\r\n$7\r\nSETINFO\r\n$7\r\nLIB-VER\r\n$5\r\n8.1.0\r\n",
            "+OK\r\n",
        ),
    ];
    let set_get = [
        ("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n", "+OK\r\n"),
        ("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "$1\r\nv\r\n"),
    ];
    let absent = "*2\r\n$3\r\nGET\r\n$6\r\nabsent\r\n";
    let defaults = [
        ("*2\r\n$5\r\nHELLO\r\n$1\r\n3\r\n", &*hello),
        // It goes on without them where a server does not know of them.
        (
            "*5\r\n$6\r\nCLIENT\r\n$19\r\nMAINT_NOTIFICATIONS\r\n$2\r\nON\r\n$20\r\nmoving-endpoint-type\r\n\
             $13\r\ninternal-fqdn\r\n",
            "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n",
        ),
    ];
    let three = [&defaults[..], &setinfo, &set_get, &[(absent, "_\r\n")]].concat();
    let two = [&setinfo[..], &set_get, &[(absent, "$-1\r\n")]].concat();
    for conversation in [three, two] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        for (request, expected) in conversation {
            socket.write_all(request.as_bytes()).await.unwrap();
            let answer = read_bytes(&mut socket, expected.len()).await;
            assert_eq!(String::from_utf8_lossy(&answer), expected, "{request}");
        }
        let transaction = "*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nw\r\n\
                           *2\r\n$3\r\nGET\r\n$1\r\nk\r\n*1\r\n$4\r\nEXEC\r\n";
        socket.write_all(transaction.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        socket.read_to_end(&mut read).await.unwrap();
        assert!(read.starts_with(b"-ERR 'multi' is not supported"));
        let mut client = Client::connect(address).await.unwrap();
        assert_eq!(show(&client.call(&[b"GET", b"k"]).await.unwrap()), "v");
    }
}

/// The version of the protocol changes with the answer to `HELLO`, also within a pipeline.
#[tokio::test]
async fn each_answer_is_in_the_version_that_was_agreed_before_it() {
    let (address, _stop) = serve(Local::default(), ServerLimits::default()).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    let requests = [
        "CONFIG GET save",
        "HELLO 3 SETNAME me",
        "CONFIG GET save",
        "MGET a b",
        "HELLO",
        "CLIENT GETNAME",
        "HELLO 2",
        "MGET a b",
        "HELLO 3",
        "RESET",
        "GET a",
        "QUIT",
    ];
    for request in requests {
        socket.write_all(&wire(request)).await.unwrap();
    }
    let mut read = Vec::new();
    socket.read_to_end(&mut read).await.unwrap();
    let read = String::from_utf8_lossy(&read);
    let heads: Vec<_> = read
        .lines()
        .filter(|line| {
            ['*', '%', '_', '+']
                .iter()
                .any(|kind| line.starts_with(*kind))
                || *line == "$-1"
        })
        .collect();
    // A greeting ends with an empty list of modules.
    let expected = [
        "*2", "%7", "*0", "%1", "*2", "_", "_", "%7", "*0", "*14", "*0", "*2", "$-1", "$-1", "%7",
        "*0", "+RESET", "$-1", "+OK",
    ];
    assert_eq!(heads, expected, "{read}");
}

fn wire(request: &str) -> Vec<u8> {
    let args: Vec<_> = request.split(' ').collect();
    let mut wire = format!("*{}\r\n", args.len());
    for arg in args {
        wire += &format!("${}\r\n{arg}\r\n", arg.len());
    }
    wire.into_bytes()
}

async fn read_bytes(socket: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut read = vec![0; len];
    timeout(TIMEOUT, socket.read_exact(&mut read))
        .await
        .expect("an answer in time")
        .unwrap();
    read
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
            let _ = timeout(TIMEOUT, socket.read_to_end(&mut answer)).await.expect("closed in time");
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
        timeout(TIMEOUT, self.0.recv())
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
        entry: Entry,
    ) -> impl Future<Output = Result<Response, Failure>> + Send + 'static {
        let command = entry
            .command()
            .expect("the tests open no sessions")
            .encode();
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

const TIMEOUT: Duration = Duration::from_secs(10);
