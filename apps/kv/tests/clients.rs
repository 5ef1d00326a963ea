//! Clients that would hold their place for ever, and what they cost the others: those that do not
//! read, send half of something, say nothing, are many, or write for long before they read.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(target_os = "linux")]
use std::collections::VecDeque;
use std::{
    future::{Future, pending},
    net::SocketAddr,
    time::Duration,
};

use redis_protocol::resp2::types::BytesFrame;
use synod_kv::{
    Access, Client, Consensus, Entry, Failure, Kv, Local, RequestLimits, Response, Server,
    ServerLimits, Store, info_field,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::yield_now,
    time::{Instant, sleep, timeout},
};

#[tokio::test]
async fn who_does_not_take_its_answers_is_cut() {
    let (address, _stop) = serve(Local::default(), stalls()).await;
    let mut steady = connect(address).await;
    let value = vec![b'x'; 400_000];
    assert_eq!(call(&mut steady, &[b"SET", b"k", &value]).await, "OK");
    let mut deaf = TcpStream::connect(address).await.unwrap();
    // More than any socket takes.
    deaf.write_all(&b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".repeat(200))
        .await
        .unwrap();
    until(&mut steady, |info| {
        (info("stalled_clients"), info("connected_clients")) == (1, 1)
    })
    .await;
    assert_eq!(call(&mut steady, &[b"STRLEN", b"k"]).await, "400000");
}

#[tokio::test]
async fn half_a_request_is_cut_and_told_so() {
    let (address, _stop) = serve(Local::default(), stalls()).await;
    for half in [
        "*",
        "*2\r\n$4\r\nECHO\r\n",
        "*2\r\n$4\r\nECHO\r\n$100000\r\nxxx",
    ] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let whole = b"*1\r\n$4\r\nPING\r\n";
        socket
            .write_all(&[whole, half.as_bytes()].concat())
            .await
            .unwrap();
        let expected =
            "+PONG\r\n-ERR the rest of the request did not come in time (--client-stall-ms)\r\n";
        assert_eq!(read_to_end(&mut socket).await, expected, "{half:?}");
    }
    // Whoever has asked for nothing stalls nothing.
    let mut silent = connect(address).await;
    until(&mut silent, |info| info("stalled_clients") == 3).await;
}

#[tokio::test]
async fn who_says_nothing_for_too_long_is_cut_where_that_is_asked_for() {
    let limits = ServerLimits {
        idle_max: Some(SHORT),
        ..ServerLimits::default()
    };
    let (address, _stop) = serve(Local::default(), limits).await;
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(b"*1\r\n$4\r\nPING\r\n").await.unwrap();
    assert_eq!(read_to_end(&mut socket).await, "+PONG\r\n");
    let mut client = connect(address).await;
    until(&mut client, |info| info("idle_clients") == 1).await;
}

/// A client that writes before it reads needs somebody who reads before he has written. With the usual limits.
#[tokio::test]
async fn a_pipeline_is_taken_in_before_any_answer_is_read() {
    let (address, _stop) = serve(Local::default(), ServerLimits::default()).await;
    let (mut setter, request, answer) = pair(address, 40, 100).await;
    let mut socket = narrow(address).await;
    timeout(TIMEOUT, socket.write_all(&request.repeat(PIPELINE)))
        .await
        .expect("all of it is taken")
        .unwrap();
    let mut read = vec![0; answer.len() * 1_000];
    for _ in 0..PIPELINE / 1_000 {
        timeout(TIMEOUT, socket.read_exact(&mut read))
            .await
            .expect("answers")
            .unwrap();
        assert!(read == answer.repeat(1_000));
    }
    // Its memory is given back with the answers.
    until(&mut setter, |info| info("client_bytes") < 64 << 10).await;
}

/// It comes to its end, and finds behind the answers to what was taken in why there are no more.
#[tokio::test]
async fn a_pipeline_that_is_too_long_ends_with_an_error() {
    let limits = ServerLimits::default();
    let (address, _stop) = serve(Local::default(), limits).await;
    let (mut setter, request, answer) = pair(address, 100, 300).await;
    let mut socket = narrow(address).await;
    timeout(TIMEOUT, socket.write_all(&request.repeat(PIPELINE)))
        .await
        .expect("it comes to its end")
        .unwrap();
    let mut read = Vec::new();
    timeout(TIMEOUT, socket.read_to_end(&mut read))
        .await
        .expect("closed")
        .unwrap();
    let answers = read.chunks_exact(answer.len());
    let answered = answers.take_while(|one| *one == answer).count();
    let ahead_max = limits.clients_bytes_max / 4;
    assert!(
        (ahead_max / request.len()..PIPELINE).contains(&answered),
        "{answered}"
    );
    let told = String::from_utf8_lossy(&read[answered * answer.len()..]);
    assert_eq!(
        told,
        format!(
            "-ERR more than {ahead_max} bytes came before the answers were read (a quarter of --clients-bytes-max): \
             this request and all behind it were not done\r\n"
        )
    );
    until(&mut setter, |info| {
        (info("ahead_clients"), info("stalled_clients")) == (1, 0)
    })
    .await;
}

/// Whoever never reads is cut all the same, and counted as what it is.
#[tokio::test]
async fn who_sends_ahead_for_ever_is_cut() {
    let limits = ServerLimits {
        clients_max: 8,
        clients_bytes_max: 4 << 20,
        ..stalls()
    };
    let (address, _stop) = serve(Local::default(), limits).await;
    let (mut setter, request, _) = pair(address, 40, 100).await;
    let mut socket = narrow(address).await;
    let sends = async {
        let many = request.repeat(1_000);
        while socket.write_all(&many).await.is_ok() {}
    };
    timeout(TIMEOUT, sends).await.expect("cut");
    until(&mut setter, |info| info("ahead_clients") == 1).await;
}

/// Whoever sends keeps its pace, also while it does not read: on a slow network a long pipeline takes a while.
#[tokio::test]
async fn who_sends_slowly_before_it_reads_is_not_cut() {
    let limits = ServerLimits {
        stall_max: LONG,
        ..ServerLimits::default()
    };
    let (address, _stop) = serve(Local::default(), limits).await;
    let (mut setter, request, answer) = pair(address, 100, 2_000).await;
    let mut socket = narrow(address).await;
    let (mut sent, begun) = (0, Instant::now());
    let piece = request.repeat(1_000);
    while begun.elapsed() < LONG + LONG / 2 {
        socket.write_all(&piece).await.unwrap();
        sent += 1_000;
        sleep(LONG / 20).await;
    }
    let text = setter.info().await.unwrap();
    assert_eq!(info_field(&text, "stalled_clients"), Some("0"));
    let mut read = vec![0; answer.len()];
    for _ in 0..sent {
        let answered = timeout(TIMEOUT, socket.read_exact(&mut read)).await;
        answered.expect("answers").unwrap();
        assert!(read == answer);
    }
}

/// A pair is set: by whom, what asks for it, and what is the answer.
async fn pair(address: SocketAddr, key: usize, value: usize) -> (Client, Vec<u8>, Vec<u8>) {
    let (key, value) = (vec![b'k'; key], vec![b'v'; value]);
    let mut setter = connect(address).await;
    assert_eq!(call(&mut setter, &[b"SET", &key, &value]).await, "OK");
    let bulk = |bytes: &[u8]| [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let request = [b"*2\r\n$3\r\nGET\r\n", &*bulk(&key)].concat();
    (setter, request, bulk(&value))
}

/// Small buffers, so that what is under way lies with the server.
async fn narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(16 << 10).unwrap();
    socket.set_recv_buffer_size(16 << 10).unwrap();
    socket.connect(address).await.unwrap()
}

/// The newest is served, and whoever has been idle longest gives way; but only to one that asks for
/// data.
#[tokio::test]
async fn when_seats_run_out_the_idle_give_way_and_not_the_newest() {
    let limits = ServerLimits {
        clients_max: 3,
        ..ServerLimits::default()
    };
    let (address, _stop) = serve(Local::default(), limits).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        let mut client = connect(address).await;
        assert_eq!(call(&mut client, &[b"PING"]).await, "PONG");
        idle.push(client);
    }
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    // An operator looks, and nobody has lost a seat yet.
    let mut operator = connect(address).await;
    assert_eq!(call(&mut operator, &[b"PING"]).await, "PONG");
    until(&mut operator, |info| info("rejected_connections") >= 40).await;
    let text = operator.info().await.unwrap();
    assert_eq!(info_field(&text, "displaced_clients"), Some("0"));

    let mut newest = connect(address).await;
    assert_eq!(call(&mut newest, &[b"SET", b"k", b"v"]).await, "OK");
    let text = newest.info().await.unwrap();
    assert_eq!(info_field(&text, "displaced_clients"), Some("1"));
    assert!(idle[0].call(&[b"PING"]).await.is_err(), "idle longest");
    for client in &mut idle[1..] {
        assert_eq!(call(client, &[b"GET", b"k"]).await, "v");
    }
    // Those that stood, and were too many, were told.
    assert_eq!(
        read_to_end(&mut silent[0]).await,
        "-ERR max number of clients reached\r\n"
    );
}

/// A crowd of one address holds all seats, is active without a pause, and goes on knocking at the door. Whoever
/// comes from elsewhere looks for as long as it likes, and gets a seat when it asks for data. All of 127.0.0.0/8
/// is loopback on Linux.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_crowd_keeps_nobody_out_who_comes_from_elsewhere() {
    let limits = ServerLimits {
        clients_max: 3,
        ..ServerLimits::default()
    };
    let (address, _stop) = serve(Local::default(), limits).await;
    let mut seated = Vec::new();
    for _ in 0..3 {
        let mut socket = connect_from([127, 0, 0, 2], address).await;
        let _pong = ping(&mut socket).await;
        seated.push(socket);
    }
    let active = tokio::spawn(async move {
        // Whoever gave way is gone, and the others go on.
        while !seated.is_empty() {
            for mut socket in std::mem::take(&mut seated) {
                if ping(&mut socket).await {
                    seated.push(socket);
                }
            }
        }
    });
    let knocks = tokio::spawn(async move {
        let mut crowd = VecDeque::new();
        loop {
            crowd.push_back(connect_from([127, 0, 0, 2], address).await);
            if crowd.len() > 40 {
                crowd.pop_front();
            }
            yield_now().await;
        }
    });
    let mut operator = connect(address).await;
    let mut rejected = 0;
    while rejected < 500 {
        assert_eq!(call(&mut operator, &[b"PING"]).await, "PONG");
        until(&mut operator, |info| {
            let more = info("rejected_connections") > rejected;
            rejected = info("rejected_connections");
            more
        })
        .await;
        let text = operator.info().await.unwrap();
        assert_eq!(info_field(&text, "displaced_clients"), Some("0"));
    }
    assert!(!active.is_finished());
    assert_eq!(call(&mut operator, &[b"SET", b"k", b"v"]).await, "OK");
    let text = operator.info().await.unwrap();
    assert_eq!(info_field(&text, "displaced_clients"), Some("1"));
    assert_eq!(call(&mut operator, &[b"GET", b"k"]).await, "v");
    knocks.abort();
    active.abort();
}

/// Whoever waits for the store is not idle; so the newcomer is told that there is no place.
#[tokio::test]
async fn when_nobody_is_idle_the_newest_is_told_so_and_may_still_look() {
    let limits = ServerLimits {
        clients_max: 1,
        ..ServerLimits::default()
    };
    let (address, _stop) = serve(Endless, limits).await;
    let mut first = connect(address).await;
    first.queue(&[b"SET", b"k", b"v"]);
    first.flush().await.unwrap();
    let mut second = connect(address).await;
    assert_eq!(call(&mut second, &[b"PING"]).await, "PONG");
    let text = second.info().await.unwrap();
    assert_eq!(info_field(&text, "connected_clients"), Some("2"));
    assert_eq!(
        call(&mut second, &[b"GET", b"k"]).await,
        "-ERR max number of clients reached"
    );
    second.receive().await.expect_err("closed");
    // Whom the store keeps waiting has kept its seat.
    until(&mut connect(address).await, |info| {
        info("connected_clients") == 2
    })
    .await;
    drop(first);
}

#[tokio::test]
async fn an_address_has_no_more_connections_than_it_may_have() {
    let limits = ServerLimits {
        address_clients_max: 2,
        ..ServerLimits::default()
    };
    let (address, _stop) = serve(Local::default(), limits).await;
    let mut first = connect(address).await;
    let second = connect(address).await;
    assert_eq!(call(&mut first, &[b"PING"]).await, "PONG");
    let mut third = TcpStream::connect(address).await.unwrap();
    assert_eq!(
        read_to_end(&mut third).await,
        "-ERR this address has as many clients as one may have (--clients-per-address-max)\r\n"
    );
    drop(second);
    until(&mut first, |info| info("connected_clients") == 1).await;
    assert_eq!(call(&mut connect(address).await, &[b"PING"]).await, "PONG");
}

/// Half requests are held for as long as their other halves may come. When there is no room for more,
/// the one that holds the most goes, the others stay, and so does whoever holds next to nothing.
#[tokio::test]
async fn when_bytes_run_out_the_largest_holder_goes() {
    let limits = ServerLimits {
        clients_max: 8,
        clients_bytes_max: 400_000,
        request: RequestLimits {
            bulk_bytes_max: 95_000,
            request_bytes_max: 100_000,
            ..RequestLimits::default()
        },
        ..ServerLimits::default()
    };
    let (address, _stop) = serve(Local::default(), limits).await;
    let mut steady = connect(address).await;
    let half = |len: usize| {
        [
            format!("*2\r\n$4\r\nECHO\r\n${}\r\n", len + 1).as_bytes(),
            &vec![b'x'; len],
        ]
        .concat()
    };
    let mut largest = TcpStream::connect(address).await.unwrap();
    largest.write_all(&half(90_000)).await.unwrap();
    until(&mut steady, |info| info("client_bytes") > 90_000).await;
    let mut others = Vec::new();
    loop {
        assert!(
            others.len() < 7,
            "twice as much as is allowed, and nobody was cut"
        );
        let mut other = TcpStream::connect(address).await.unwrap();
        other.write_all(&half(40_000)).await.unwrap();
        others.push(other);
        let least = 90_000 + 40_000 * others.len() as u64;
        let mut evicted = 0;
        until(&mut steady, |info| {
            assert!(info("client_bytes") <= 400_000);
            evicted = info("evicted_clients");
            evicted > 0 || info("client_bytes") > least
        })
        .await;
        if evicted > 0 {
            break;
        }
    }
    // Nothing of what it asked was done, and it is told so.
    assert_eq!(
        read_to_end(&mut largest).await,
        "-ERR all clients together would hold more than --clients-bytes-max: nothing of this request was done\r\n"
    );
    let mut buffer = [0; 1];
    for mut other in others {
        other.write_all(b"y\r\n").await.unwrap();
        let read = timeout(TIMEOUT, other.read_exact(&mut buffer)).await;
        read.expect("an answer").unwrap();
    }
    until(&mut steady, |info| {
        (info("connected_clients"), info("evicted_clients")) == (1, 1)
    })
    .await;
}

#[tokio::test]
async fn limits_that_contradict_each_other_start_nothing() {
    let limits = ServerLimits {
        clients_max: 4_000,
        ..ServerLimits::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_stop, stopped) = watch::channel(false);
    let error = Server::run(listener, Local::default(), limits, stopped)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("--clients-max 4000 needs --clients-bytes-max"),
        "{error}"
    );
}

/// Nothing is done, or told, before the password was said; then it is as if there were none.
#[tokio::test]
async fn who_has_not_said_the_password_is_not_served() {
    let (address, _stop) = serve_those_who_know("secret").await;
    let mut client = connect(address).await;
    for request in [
        &[&b"PING"[..]][..],
        &[b"SET", b"k", b"v"],
        &[b"GET", b"k"],
        &[b"INFO"],
        &[b"GET"],
        &[b"UNKNOWN"],
        &[b"CLIENT", b"ID"],
    ] {
        let told = call(&mut client, request).await;
        assert_eq!(told, "-NOAUTH Authentication required.", "{request:?}");
    }
    let told = call(&mut client, &[b"HELLO", b"3"]).await;
    assert!(told.starts_with("-NOAUTH HELLO must be called"), "{told}");
    let told = call(&mut client, &[b"AUTH", b"other", b"secret"]).await;
    assert!(told.starts_with("-WRONGPASS"), "{told}");
    assert_eq!(
        call(&mut client, &[b"AUTH", b"default", b"secret"]).await,
        "OK"
    );
    assert_eq!(call(&mut client, &[b"SET", b"k", b"v"]).await, "OK");
    assert_eq!(call(&mut client, &[b"RESET"]).await, "RESET");
    let told = call(&mut client, &[b"GET", b"k"]).await;
    assert_eq!(told, "-NOAUTH Authentication required.");
    // In one piece with what follows.
    client.queue(&[b"HELLO", b"2", b"AUTH", b"default", b"secret"]);
    client.queue(&[b"GET", b"k"]);
    client.flush().await.unwrap();
    let greeted = timeout(TIMEOUT, client.receive()).await.unwrap().unwrap();
    assert!(matches!(greeted, BytesFrame::Array(_)), "{greeted:?}");
    let value = timeout(TIMEOUT, client.receive()).await.unwrap().unwrap();
    assert_eq!(value, BytesFrame::BulkString("v".into()));
    // Whoever has not said it gets no room for more than that.
    let mut stranger = TcpStream::connect(address).await.unwrap();
    let large = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1025\r\n";
    stranger.write_all(large).await.unwrap();
    let told = read_to_end(&mut stranger).await;
    assert!(told.contains("invalid bulk length"), "{told}");
}

/// The first three answers wait for 0.1, 0.2 and 0.4 s, on however many connections they come.
#[tokio::test]
async fn who_fails_to_say_the_password_waits() {
    let (address, _stop) = serve_those_who_know("secret").await;
    let begun = Instant::now();
    for password in [&b"one"[..], b"two", b"three"] {
        let told = call(&mut connect(address).await, &[b"AUTH", password]).await;
        assert!(told.starts_with("-WRONGPASS"), "{told}");
    }
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(700), "{waited:?}");
    let mut client = connect(address).await;
    assert_eq!(call(&mut client, &[b"AUTH", b"secret"]).await, "OK");
    until(&mut client, |info| info("auth_failures") == 3).await;
}

/// A stranger at the same address guesses on many connections, whose answers wait for seconds. Who knows the password
/// is served before any of them is answered.
#[tokio::test]
async fn who_knows_the_password_is_not_locked_out_by_who_guesses() {
    let (address, _stop) = serve_those_who_know("secret").await;
    let mut guesses = Vec::new();
    for _ in 0..20 {
        let mut guess = TcpStream::connect(address).await.unwrap();
        guess
            .write_all(b"*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n")
            .await
            .unwrap();
        guesses.push(guess);
    }
    let mut client = connect(address).await;
    assert_eq!(call(&mut client, &[b"AUTH", b"secret"]).await, "OK");
    until(&mut client, |info| info("auth_failures") == 20).await;
    let mut again = connect(address).await;
    assert_eq!(call(&mut again, &[b"AUTH", b"secret"]).await, "OK");
    // The last ones wait for ten seconds.
    let last = guesses.last_mut().unwrap();
    let answered = last.try_read(&mut [0; 64]).map_err(|error| error.kind());
    assert_eq!(answered, Err(std::io::ErrorKind::WouldBlock));
}

/// Strangers have every seat, and ask and ask. Who says the password is served, and they are cut when they have not
/// said it in time.
#[tokio::test]
async fn who_knows_the_password_finds_a_seat_among_strangers() {
    let limits = ServerLimits {
        clients_max: 4,
        stall_max: LONG,
        ..ServerLimits::default()
    };
    let (address, _stop) = serve_those_who_know_by("secret", limits).await;
    let mut crowd = Vec::new();
    for _ in 0..30 {
        let mut stranger = TcpStream::connect(address).await.unwrap();
        let _displaced = stranger.write_all(b"*1\r\n$4\r\nPING\r\n").await;
        crowd.push(stranger);
    }
    let mut client = connect(address).await;
    assert_eq!(call(&mut client, &[b"AUTH", b"secret"]).await, "OK");
    assert_eq!(call(&mut client, &[b"SET", b"k", b"v"]).await, "OK");
    let asks = |mut stranger: TcpStream| async move {
        // Until it is cut: an answer is a sign that it was not, and no reason to stay.
        while stranger.write_all(b"*1\r\n$4\r\nPING\r\n").await.is_ok() {
            let mut answer = [0; 64];
            match timeout(TIMEOUT, stranger.read(&mut answer)).await {
                Ok(Ok(0) | Err(_)) => return true,
                Ok(Ok(_)) => sleep(SHORT / 10).await,
                Err(_) => return false,
            }
        }
        true
    };
    for stranger in crowd {
        let cut = timeout(TIMEOUT, asks(stranger)).await;
        assert_eq!(cut, Ok(true), "it stays for as long as it asks");
    }
    until(&mut client, |info| info("stalled_clients") > 0).await;
    assert_eq!(call(&mut client, &[b"GET", b"k"]).await, "v");
}

/// A stranger gets no room for what it sends ahead.
#[tokio::test]
async fn a_stranger_may_send_little_ahead() {
    let (address, _stop) = serve_those_who_know("secret").await;
    let mut stranger = narrow(address).await;
    let pings = b"*1\r\n$4\r\nPING\r\n".repeat(2 * PIPELINE);
    timeout(TIMEOUT, stranger.write_all(&pings))
        .await
        .expect("it comes to its end")
        .unwrap();
    let told = read_to_end(&mut stranger).await;
    let (_, told) = told.split_once("-ERR ").expect("it is told");
    assert_eq!(
        told,
        "more than 8192 bytes came before the answers were read (the password was not said): this request and all \
         behind it were not done\r\n"
    );
}

/// A password that nobody needs is taken for a mistake, as it always was.
#[tokio::test]
async fn a_password_without_need_is_a_mistake() {
    let (address, _stop) = serve(Local::default(), ServerLimits::default()).await;
    let mut client = connect(address).await;
    for request in [
        &[&b"AUTH"[..], b"x"][..],
        &[b"HELLO", b"3", b"AUTH", b"u", b"x"],
    ] {
        let told = call(&mut client, request).await;
        let words = "-ERR AUTH <password> called without any password configured";
        assert!(told.starts_with(words), "{told}");
    }
    assert_eq!(call(&mut client, &[b"PING"]).await, "PONG");
}

/// A store that answers nothing.
#[derive(Clone, Debug)]
struct Endless;

impl Store for Endless {
    fn write(&self, _: Entry) -> impl Future<Output = Result<Response, Failure>> + Send + 'static {
        pending()
    }

    fn read<R: Send + 'static>(
        &self,
        _: impl FnOnce(&Kv) -> R + Send + 'static,
    ) -> impl Future<Output = Result<R, Failure>> + Send + 'static {
        pending()
    }

    fn consensus(&self) -> Consensus {
        Consensus::default()
    }

    fn closed(&self) -> Option<String> {
        None
    }
}

async fn serve(store: impl Store, limits: ServerLimits) -> (SocketAddr, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(Server::run(listener, store, limits, stopped));
    (address, stop)
}

async fn serve_those_who_know(password: &str) -> (SocketAddr, watch::Sender<bool>) {
    serve_those_who_know_by(password, ServerLimits::default()).await
}

async fn serve_those_who_know_by(
    password: &str,
    limits: ServerLimits,
) -> (SocketAddr, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let access = Access::by_password(password.as_bytes()).unwrap();
    let store = Local::default();
    tokio::spawn(Server::run_for(listener, store, limits, access, stopped));
    (address, stop)
}

/// A server that waits for nobody for long.
fn stalls() -> ServerLimits {
    ServerLimits {
        stall_max: SHORT,
        ..ServerLimits::default()
    }
}

#[cfg(target_os = "linux")]
async fn connect_from(from: [u8; 4], address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((from, 0).into()).unwrap();
    socket.connect(address).await.unwrap()
}

/// Whether it is answered.
#[cfg(target_os = "linux")]
async fn ping(socket: &mut TcpStream) -> bool {
    let mut pong = [0; 7];
    let asked = socket.write_all(b"*1\r\n$4\r\nPING\r\n").await;
    asked.is_ok() && socket.read_exact(&mut pong).await.is_ok()
}

async fn connect(address: SocketAddr) -> Client {
    Client::connect(address).await.unwrap()
}

async fn call(client: &mut Client, args: &[&[u8]]) -> String {
    let answer = timeout(TIMEOUT, client.call(args))
        .await
        .expect("an answer");
    match answer.unwrap() {
        BytesFrame::SimpleString(text) | BytesFrame::BulkString(text) => {
            String::from_utf8_lossy(&text).into_owned()
        }
        BytesFrame::Error(text) => format!("-{text}"),
        BytesFrame::Integer(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// Waits until what a server tells of itself is so.
async fn until(client: &mut Client, mut is_so: impl FnMut(&dyn Fn(&str) -> u64) -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let text = client.info().await.unwrap();
        let number = |field: &str| -> u64 { info_field(&text, field).unwrap().parse().unwrap() };
        if is_so(&number) {
            return;
        }
        assert!(Instant::now() < deadline, "never so:\n{text}");
    }
}

async fn read_to_end(socket: &mut TcpStream) -> String {
    let mut read = Vec::new();
    timeout(TIMEOUT, socket.read_to_end(&mut read))
        .await
        .expect("closed in time")
        .unwrap();
    String::from_utf8(read).unwrap()
}

const PIPELINE: usize = 200_000;
const SHORT: Duration = Duration::from_millis(200);
/// Longer than this machine may pause.
const LONG: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(20);
