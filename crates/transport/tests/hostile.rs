//! Malicious and faulty peers: unknown, lying, dead, and not reading. Bytes are written by hand
//! here, as a second implementation of the format.

mod net;

#[cfg(target_os = "linux")]
use net::hand::UNKNOWN_NODE;
use net::hand::{
    HELLO_BYTES, Home, VERSION, accept, closed, dial, framed, hello, listener, verdict,
};
use net::{Cluster, TIMEOUT, in_time, message, next, send, until};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
#[cfg(target_os = "linux")]
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use synod_transport::{ClusterId, DiskId, Hello, Lane, NodeId, Refused, Tcp, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
#[cfg(target_os = "linux")]
use tokio::net::TcpSocket;
use tokio::net::TcpStream;

/// Two nodes of three that must keep working whatever the third does.
async fn others_work(one: &mut Tcp, two: &mut Tcp) {
    send(one, 2, Lane::Control, message(1, 100));
    assert_eq!(next(two).await, (NodeId(1), message(1, 100)));
    send(two, 1, Lane::Control, message(2, 100));
    assert_eq!(next(one).await, (NodeId(2), message(2, 100)));
}

#[tokio::test]
async fn refusals_name_their_reason() {
    let cluster = Cluster::new(3);
    let mut config = cluster.config(1, 1);
    let pinned = Cluster::hello(3, 1).disk;
    config.admit = Arc::new(move |hello| match hello.node {
        NodeId(3) if hello.disk != pinned => Err(Refused::Disk),
        _ => Ok(()),
    });
    let mut one = Tcp::bind(config).await.expect("binds");
    let mut two = cluster.start(2).await;
    let _home = Home::of(&cluster, 3, |_| true);
    let three = Cluster::hello(3, 5);
    let (other, stranger) = (ClusterId(0xc2), NodeId(4));
    let cases = [
        (1, three, 1, VERSION + 1),
        (
            2,
            Hello {
                cluster: other,
                ..three
            },
            1,
            VERSION,
        ),
        (
            3,
            Hello {
                node: NodeId(1),
                ..three
            },
            1,
            VERSION,
        ),
        (
            4,
            Hello {
                node: stranger,
                ..three
            },
            1,
            VERSION,
        ),
        (5, three, 2, VERSION),
        (
            6,
            Hello {
                disk: DiskId(0),
                ..three
            },
            1,
            VERSION,
        ),
    ];
    for (code, from, to, version) in cases {
        let (mut stream, verdict) = dial(&one, &hello(&from, to, version, 0)).await;
        assert_eq!(
            (verdict, one.status().hellos_refused),
            (Some(code), u64::from(code))
        );
        stream.shutdown().await.expect("says goodbye");
        closed(&mut stream).await;
    }
    assert!(!one.status().peers[&NodeId(3)].accepted);
    others_work(&mut one, &mut two).await;
    let (_stream, verdict) = dial(&one, &hello(&three, 1, VERSION, 0)).await;
    assert_eq!(verdict, Some(0), "and the true third is welcome");
}

/// No timeout helps here, as it is longer than the test's: a connection that sends its hello gets a
/// place.
#[tokio::test]
async fn a_crowd_of_half_hellos_keeps_no_node_out() {
    let cluster = Cluster::new(2);
    let mut config = cluster.config(1, 1);
    config.handshake_timeout = 10 * TIMEOUT;
    let home = Home::of(&cluster, 2, |_| true);
    let places = config.handshakes_address_max;
    let mut one = Tcp::bind(config).await.expect("binds");
    let whole = hello(&Cluster::hello(2, 1), 1, VERSION, 0);
    let (half, rest) = whole.split_at(40);
    let mut crowd = Vec::new();
    for _ in 0..90 {
        let mut stream = TcpStream::connect(one.local_addr()).await.expect("listens");
        let _displaced = stream.write_all(half).await;
        crowd.push(stream);
    }
    let dropped = (crowd.len() - places) as u64;
    until("a full house", || {
        one.status().handshakes_dropped == dropped
    })
    .await;
    // A peer that pauses within its hello, as happens on any network.
    let mut honest = TcpStream::connect(one.local_addr()).await.expect("listens");
    honest.write_all(half).await.expect("taken");
    until("it has come in", || {
        one.status().handshakes_dropped == dropped + 1
    })
    .await;
    let _closed = honest.write_all(rest).await;
    let verdict = verdict(&mut honest).await;
    assert_eq!(verdict, Some(0), "who speaks keeps its place");
    drop((honest, home));
    let mut two = cluster.start(2).await;
    others_work(&mut one, &mut two).await;
}

/// From addresses that are not peers', and more of them than there are places. The peer has a different
/// address, and pauses within its hello. All of 127.0.0.0/8 is loopback on Linux.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_crowd_of_strangers_takes_no_place_of_a_peers() {
    let cluster = Cluster::new(2);
    let mut config = cluster.config(1, 1);
    config.handshake_timeout = 10 * TIMEOUT;
    let home = Home::of(&cluster, 2, |_| true);
    let places = config.handshakes_max;
    let mut one = Tcp::bind(config).await.expect("binds");
    let whole = hello(&Cluster::hello(2, 1), 1, VERSION, 0);
    let (half, rest) = whole.split_at(40);
    let crowd_max = 3 * places;
    let mut crowd = Vec::new();
    for at in 0..crowd_max {
        let socket = TcpSocket::new_v4().expect("a socket");
        let last = u8::try_from(10 + at % 40).expect("small");
        let from = SocketAddr::from(([127, 0, 0, last], 0));
        socket.bind(from).expect("loopback");
        let mut stream = socket.connect(one.local_addr()).await.expect("listens");
        let _displaced = stream.write_all(half).await;
        crowd.push(stream);
    }
    let dropped = (crowd_max - places) as u64;
    until("a full house", || {
        one.status().handshakes_dropped == dropped
    })
    .await;
    let mut honest = TcpStream::connect(one.local_addr()).await.expect("listens");
    honest.write_all(half).await.expect("taken");
    // A connection that completes its hello was accepted after it.
    let (_stranger, refused) = dial(&one, &hello(&Cluster::hello(9, 1), 1, VERSION, 0)).await;
    assert_eq!(refused, Some(UNKNOWN_NODE));
    assert_eq!(one.status().handshakes_dropped, dropped, "nobody had to go");
    honest.write_all(rest).await.expect("taken");
    assert_eq!(verdict(&mut honest).await, Some(0));
    drop((honest, home));
    let mut two = cluster.start(2).await;
    others_work(&mut one, &mut two).await;
}

#[tokio::test]
async fn garbage_at_the_port_leaves_the_others_working() {
    let cluster = Cluster::new(3);
    let (mut one, mut two) = (cluster.start(1).await, cluster.start(2).await);
    let _home = Home::of(&cluster, 3, |_| true);
    let three = hello(&Cluster::hello(3, 1), 1, VERSION, 0);
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut throw = Vec::new();
    for bytes in [0, 1, 7, 8, HELLO_BYTES - 1, HELLO_BYTES, 100, 100_000] {
        let mut garbage = vec![0; bytes];
        rng.fill_bytes(&mut garbage);
        throw.push(garbage);
    }
    for half in [4, 8, 40, HELLO_BYTES - 1] {
        throw.push(three[..half].to_vec());
    }
    for bit in 0..three.len() * 8 {
        let mut flipped = three.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        throw.push(flipped);
    }
    for bytes in throw {
        let mut stream = TcpStream::connect(one.local_addr()).await.expect("listens");
        let _reset = stream.write_all(&bytes).await;
        let _reset = stream.shutdown().await;
        closed(&mut stream).await;
    }
    assert!(
        !one.status().peers[&NodeId(3)].accepted,
        "no flipped bit made a hello"
    );
    others_work(&mut one, &mut two).await;
    assert_eq!(
        dial(&one, &three).await.1,
        Some(0),
        "nor did they do harm to the third"
    );
}

#[tokio::test]
async fn corrupt_and_oversize_frames_close_only_their_connection() {
    let cluster = Cluster::new(3);
    let (mut one, mut two) = (cluster.start(1).await, cluster.start(2).await);
    let _home = Home::of(&cluster, 3, |_| true);
    let good = framed(&message(7, 60));
    let mut oversize = vec![0; 12];
    oversize[..4].copy_from_slice(&u32::MAX.to_le_bytes());
    let check = crc32c::crc32c(&oversize[..8]);
    oversize[8..].copy_from_slice(&check.to_le_bytes());
    let mut streams = vec![oversize];
    for byte in 0..good.len() {
        let mut bad = good.clone();
        bad[byte] ^= 0x10;
        streams.push(bad);
    }
    for (corrupt_before, bad) in streams.iter().enumerate() {
        let (mut stream, verdict) = dial(&one, &hello(&Cluster::hello(3, 1), 1, VERSION, 0)).await;
        assert_eq!(verdict, Some(0));
        stream
            .write_all(&[&good[..], bad].concat())
            .await
            .expect("taken");
        assert_eq!(
            next(&mut one).await,
            (NodeId(3), message(7, 60)),
            "what came before the fault counts"
        );
        closed(&mut stream).await;
        assert_eq!(one.status().frames_corrupt, corrupt_before as u64 + 1);
    }
    others_work(&mut one, &mut two).await;
}

#[tokio::test]
async fn the_silent_are_shown_out_and_make_no_crowd() {
    let cluster = Cluster::new(2);
    let mut config = cluster.config(1, 1);
    config.handshakes_address_max = 3;
    config.handshake_timeout = Duration::from_millis(300);
    config.pulse_interval = Duration::from_millis(100);
    // All are connected before the first of them is read, so that a pause of this machine does not thin them out.
    let mut silent = Vec::new();
    for _ in 0..10 {
        let address = &cluster.peers[&NodeId(1)];
        silent.push(TcpStream::connect(address).await.expect("listens"));
    }
    let mut one = Tcp::bind(config).await.expect("binds");
    for stream in &mut silent {
        closed(stream).await;
    }
    let status = one.status();
    assert_eq!(
        status.handshakes_dropped + status.hellos_unreadable,
        10,
        "{status:?}"
    );
    assert!(
        status.handshakes_dropped > 0 && status.hellos_unreadable >= 3,
        "{status:?}"
    );
    let mut two = cluster.start(2).await;
    others_work(&mut one, &mut two).await;
}

#[tokio::test]
async fn a_dialer_checks_who_answers() {
    let cluster = Cluster::new(3);
    let two = listener(&cluster, 2);
    let mut config = cluster.config(1, 1);
    config.admit = Arc::new(|hello| {
        if hello.boot == 13 {
            Err(Refused::Disk)
        } else {
            Ok(())
        }
    });
    let mut one = Tcp::bind(config).await.expect("binds");
    send(&mut one, 2, Lane::Bulk, message(1, 10));
    let own = Cluster::hello(2, 5);
    let answers = [
        hello(
            &Hello {
                cluster: ClusterId(0xc2),
                ..own
            },
            1,
            VERSION,
            0,
        ),
        hello(
            &Hello {
                node: NodeId(3),
                ..own
            },
            1,
            VERSION,
            0,
        ),
        hello(
            &Hello {
                node: NodeId(1),
                ..own
            },
            1,
            VERSION,
            0,
        ),
        hello(&own, 3, VERSION, 0),
        hello(&Hello { boot: 13, ..own }, 1, VERSION, 0),
        hello(&own, 1, VERSION + 1, 0),
        hello(&own, 1, VERSION, 2),
        [0; HELLO_BYTES],
    ];
    for answer in answers {
        let mut stream = accept(&two, &answer).await;
        let mut told = Vec::new();
        let _end_or_reset = in_time(stream.read_to_end(&mut told)).await;
        assert!(told.is_empty(), "nothing is told to the wrong one");
    }
    let mut stream = accept(&two, &hello(&own, 1, VERSION, 0)).await;
    let mut frame = vec![0; 22];
    in_time(stream.read_exact(&mut frame))
        .await
        .expect("the message waited for the right one");
    assert_eq!(frame, framed(&message(1, 10)));
    let status = one.status();
    assert_eq!(
        (
            status.hellos_refused,
            status.refused_by_peers,
            status.hellos_unreadable
        ),
        (5, 2, 1)
    );
}

#[tokio::test]
async fn a_broken_stream_is_not_continued_on_the_next() {
    let cluster = Cluster::new(2);
    let two = listener(&cluster, 2);
    let answer = hello(&Cluster::hello(2, 1), 1, VERSION, 0);
    let mut one = cluster.start(1).await;
    let big = message(1, 14 << 20);
    for number in 0..3 {
        send(&mut one, 2, Lane::Bulk, big.clone());
        send(&mut one, 2, Lane::Bulk, message(10 + number, 30));
        let mut stream = accept(&two, &answer).await;
        let mut decoder = frame::Decoder::new(16 << 20);
        // Enough to know that the big frame has started; the kernel's buffers cannot hold the rest.
        let mut bytes = vec![0; 100_000];
        loop {
            let read = in_time(stream.read(&mut bytes)).await.expect("reads");
            decoder.feed(&bytes[..read]);
            match decoder
                .poll_frame()
                .expect("each stream begins with a whole frame")
            {
                Some(frame) => assert_eq!(
                    net::number(&frame),
                    9 + number,
                    "what waited before the break"
                ),
                None => break,
            }
        }
        drop(stream);
        until("noticed", || !one.status().peers[&NodeId(2)].connected).await;
        assert_eq!(
            one.status().bulk_dropped,
            number + 1,
            "the half-written frame, and only that"
        );
    }
}

#[tokio::test]
async fn a_peer_that_shows_no_life_is_given_up() {
    let cluster = Cluster::new(2);
    let two = listener(&cluster, 2);
    let answer = hello(&Cluster::hello(2, 1), 1, VERSION, 0);
    let mut config = cluster.config(1, 1);
    config.pulse_interval = Duration::from_millis(50);
    config.silence_max = Duration::from_millis(200);
    let one = Tcp::bind(config).await.expect("binds");
    // It answers and then sends nothing, as behind a cut cable: neither FIN nor RST.
    let _dead = accept(&two, &answer).await;
    let _again = accept(&two, &answer).await;
    assert!(one.status().silences > 0);
}

#[tokio::test]
async fn a_quiet_connection_between_the_living_stays() {
    let cluster = Cluster::new(3);
    let _home = Home::of(&cluster, 3, |_| true);
    let mut nodes = Vec::new();
    for id in [1, 2] {
        let mut config = cluster.config(id, 1);
        config.pulse_interval = Duration::from_millis(100);
        // Long enough for a machine that does much else in between.
        config.silence_max = Duration::from_secs(3);
        nodes.push(Tcp::bind(config).await.expect("binds"));
    }
    until("connected", || {
        nodes[1].status().peers[&NodeId(1)].connected
    })
    .await;
    let (mut stream, verdict) = dial(&nodes[0], &hello(&Cluster::hello(3, 1), 1, VERSION, 0)).await;
    assert_eq!(verdict, Some(0));
    in_time(stream.read_exact(&mut [0; 33]))
        .await
        .expect("33 pulses: longer than the silence that is allowed");
    assert_eq!(
        (nodes[1].status().silences, nodes[1].status().connects),
        (0, 1)
    );
}
