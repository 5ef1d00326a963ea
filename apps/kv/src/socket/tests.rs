use rustix::net::sockopt::{
    socket_keepalive, tcp_keepcnt, tcp_keepidle, tcp_keepintvl, tcp_nodelay,
};
use tokio::net::{TcpListener, TcpSocket};

use super::*;
use crate::roster::{Roster, RosterLimits};

/// To watch a host vanish takes a network of one's own and two minutes; so it is looked at whether
/// the system was asked to.
#[tokio::test]
async fn a_host_that_vanished_is_noticed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _client = TcpStream::connect(address).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    prepare(&stream).unwrap();
    assert!(tcp_nodelay(&stream).unwrap() && socket_keepalive(&stream).unwrap());
    let first = tcp_keepidle(&stream).unwrap();
    let more = tcp_keepintvl(&stream).unwrap() * tcp_keepcnt(&stream).unwrap();
    assert_eq!(first + more, Duration::from_secs(120));
    #[cfg(target_os = "linux")]
    assert_eq!(
        rustix::net::sockopt::tcp_user_timeout(&stream).unwrap(),
        120_000
    );
}

/// Whoever has read its answers is idle, and gives its seat as others do, also if the server had to wait
/// until there was room for them.
#[tokio::test]
async fn who_was_waited_for_is_idle_afterwards() {
    let small = |socket: &TcpSocket| {
        socket.set_send_buffer_size(4_096).unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
    };
    let (server, client) = (TcpSocket::new_v4().unwrap(), TcpSocket::new_v4().unwrap());
    small(&server);
    small(&client);
    server.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = server.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = client.connect(address).await.unwrap();
    let (stream, from) = listener.accept().await.unwrap();
    let roster = Roster::new(RosterLimits {
        seats_max: 1,
        bytes_max: 1 << 20,
        address_max: 1,
    });
    let (place, _leave) = roster.enter(from.ip(), true, Instant::now()).unwrap();
    let limits = crate::server::ServerLimits::default().socket();
    let mut socket = Socket::new(Channel::Plain(stream), place, limits);
    socket.begin();
    let answer = Answer::error("x".repeat(60_000));
    socket.put(&answer, Resp::default()).await.unwrap();
    assert!(socket.place.is_busy());
    let mut read = vec![0; 60_003];
    let (flushed, _) = tokio::join!(socket.flush(), client.read_exact(&mut read));
    flushed.unwrap();
    assert!(!socket.place.is_busy(), "it is idle");
}

/// What says under TLS that nothing more comes must leave, and a client that reads nothing leaves no room for it.
#[tokio::test]
async fn who_reads_nothing_is_closed_under_tls_too() {
    let (server, client) = (TcpSocket::new_v4().unwrap(), TcpSocket::new_v4().unwrap());
    server.set_send_buffer_size(4_096).unwrap();
    client.set_recv_buffer_size(4_096).unwrap();
    server.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = server.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let client = client.connect(address).await.unwrap();
    let (stream, from) = listener.accept().await.unwrap();
    let (mut channel, _client) = crate::channel::tests::shaken(stream, client).await;
    for _ in 0..100 {
        channel.try_write(&[b'x'; 16_000]);
    }
    let full = timeout(Duration::from_millis(50), channel.flush()).await;
    assert!(full.is_err(), "there is room");
    let roster = Roster::new(RosterLimits {
        seats_max: 1,
        bytes_max: 1 << 20,
        address_max: 1,
    });
    let (place, _leave) = roster.enter(from.ip(), true, Instant::now()).unwrap();
    let limits = crate::server::ServerLimits::default().socket();
    let mut socket = Socket::new(channel, place, limits);
    let closed = timeout(30 * DRAIN_TIMEOUT, socket.close()).await;
    closed.expect("it waits for ever").unwrap();
}

#[test]
fn a_pace_is_kept_by_much_and_not_by_a_byte_now_and_then() {
    let start = Instant::now();
    let mut pace = Pace::new(start);
    for second in 1..1_000 {
        pace.took(1, start + Duration::from_secs(second));
    }
    assert_eq!(pace.since, start);
    let later = start + Duration::from_secs(2_000);
    pace.took(PACE_BYTES, later);
    assert_eq!(pace.since, later);
}
