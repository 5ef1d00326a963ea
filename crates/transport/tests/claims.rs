//! Claims to be a node, by its incarnations, by copies of its disk, and by eavesdroppers. A claim has a lasting
//! effect only when the node itself confirms it.

mod net;

use net::hand::{
    CLUSTER, HELLO_BYTES, Home, LEAP, NOBODY, QUESTION, STALE, TWIN, UNCONFIRMED, VERSION, accept,
    closed, dial, framed, hello, last_life, listener, verdict,
};
use net::{Cluster, TIMEOUT, in_time, message, next, until};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use synod_transport::{ClusterId, DiskId, Hello, Lane, NodeId, Tcp, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn an_earlier_life_is_refused_and_a_later_one_takes_over() {
    let cluster = Cluster::new(2);
    let _home = Home::of(&cluster, 2, |_| true);
    let mut one = cluster.start(1).await;
    let incarnation = |boot| hello(&Cluster::hello(2, boot), 1, VERSION, 0);
    let (mut fifth, verdict) = dial(&one, &incarnation(5)).await;
    assert_eq!(verdict, Some(0));
    fifth
        .write_all(&framed(&message(5, 50)))
        .await
        .expect("taken");
    assert_eq!(next(&mut one).await, (NodeId(2), message(5, 50)));

    assert_eq!(dial(&one, &incarnation(4)).await.1, Some(STALE));
    fifth
        .write_all(&framed(&message(55, 50)))
        .await
        .expect("taken");
    assert_eq!(
        next(&mut one).await,
        (NodeId(2), message(55, 50)),
        "a ghost does no harm to the living"
    );

    let (mut sixth, verdict) = dial(&one, &incarnation(6)).await;
    assert_eq!(verdict, Some(0));
    closed(&mut fifth).await;
    assert_eq!(dial(&one, &incarnation(5)).await.1, Some(STALE));
    sixth
        .write_all(&framed(&message(6, 50)))
        .await
        .expect("taken");
    assert_eq!(next(&mut one).await, (NodeId(2), message(6, 50)));
}

/// N4: an incarnation that no node can have reached has no lasting effect.
#[tokio::test]
async fn a_life_that_leaps_locks_nobody_out() {
    let cluster = Cluster::new(2);
    let asked = Arc::new(AtomicU64::new(0));
    let home = Home::of(&cluster, 2, |_| true);
    let mut config = cluster.config(1, 1);
    config.admit = {
        let asked = asked.clone();
        Arc::new(move |_| {
            asked.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
    };
    let mut one = Tcp::bind(config).await.expect("binds");
    let incarnation = |boot| hello(&Cluster::hello(2, boot), 1, VERSION, 0);
    assert_eq!(dial(&one, &incarnation(u64::MAX)).await.1, Some(LEAP));
    assert_eq!(asked.load(Ordering::Relaxed), 0, "nobody is asked about it");
    assert_eq!(home.asked(), 0, "nor is the node");
    let (mut stream, verdict) = dial(&one, &incarnation(5)).await;
    assert_eq!(verdict, Some(0));
    assert_eq!(dial(&one, &incarnation(u64::MAX)).await.1, Some(LEAP));
    stream
        .write_all(&framed(&message(5, 50)))
        .await
        .expect("taken");
    assert_eq!(next(&mut one).await, (NodeId(2), message(5, 50)));
}

/// N4: a hello alone has no lasting effect, not even in memory: neither a first one, nor one of a later incarnation
/// of a node that is down. The node at its address denies it, or there is none.
#[tokio::test]
async fn a_hello_that_its_node_does_not_confirm_locks_nobody_out() {
    let cluster = Cluster::new(3);
    let met = Arc::new(Mutex::new(Vec::new()));
    let mut config = cluster.config(1, 1);
    config.known = BTreeMap::from([(NodeId(3), last_life(&Cluster::hello(3, 5)))]);
    config.admit = {
        let met = met.clone();
        Arc::new(move |hello: &Hello| {
            met.lock().expect("no panic").push((hello.node, hello.boot));
            Ok(())
        })
    };
    let nobody_listens = cluster.listeners.lock_out(3);
    let one = Tcp::bind(config).await.expect("binds");
    let home = Home::of(&cluster, 2, |boot| boot == 7);
    drop(nobody_listens);
    let forged = [
        Hello {
            disk: DiskId(666),
            ..Cluster::hello(2, 1)
        },
        Cluster::hello(2, (1 << 32) - 1),
        Cluster::hello(3, (1 << 32) - 1),
        Hello {
            disk: DiskId(666),
            ..Cluster::hello(3, 1)
        },
    ];
    for forged in forged {
        let (_stream, verdict) = dial(&one, &hello(&forged, 1, VERSION, 0)).await;
        assert_eq!(verdict, Some(UNCONFIRMED), "{forged:?}");
    }
    assert_eq!(home.asked(), 2, "each of its claims");
    assert_eq!(
        *met.lock().expect("no panic"),
        [],
        "nobody is asked about it"
    );
    for true_one in [Cluster::hello(2, 7), Cluster::hello(3, 5)] {
        let (_stream, verdict) = dial(&one, &hello(&true_one, 1, VERSION, 0)).await;
        assert_eq!(verdict, Some(0), "{true_one:?}");
    }
    assert_eq!(home.asked(), 3, "who was met before needs no proof");
    let expected = [(NodeId(2), 7), (NodeId(3), 5)];
    assert_eq!(*met.lock().expect("no panic"), expected);
}

/// The owner is notified of an earlier incarnation, or a copy of one, at the node's own address. The same claim from
/// elsewhere is refused without a notification.
#[tokio::test]
async fn a_disk_that_was_put_back_is_told_where_its_node_confirms_it() {
    for (boot, nonce, refused) in [(5, 0, STALE), (6, 1, TWIN)] {
        for is_there in [false, true] {
            let cluster = Cluster::new(2);
            let home = Home::of(&cluster, 2, move |_| is_there);
            let rolled_back = Arc::new(AtomicU64::new(0));
            let mut config = cluster.config(1, 1);
            config.known = BTreeMap::from([(NodeId(2), last_life(&Cluster::hello(2, 6)))]);
            config.on_rollback = {
                let rolled_back = rolled_back.clone();
                Arc::new(move |hello: &Hello| {
                    rolled_back.fetch_add(hello.boot, Ordering::Relaxed);
                })
            };
            let one = Tcp::bind(config).await.expect("binds");
            let put_back = Hello {
                nonce,
                ..Cluster::hello(2, boot)
            };
            let (_stream, verdict) = dial(&one, &hello(&put_back, 1, VERSION, 0)).await;
            assert_eq!((verdict, home.asked()), (Some(refused), 1));
            let told = if is_there { boot } else { 0 };
            assert_eq!(
                rolled_back.load(Ordering::Relaxed),
                told,
                "incarnation {boot}"
            );
        }
    }
}

/// An answer that was in flight when the node's next incarnation connected does not prove that the earlier one is
/// back.
#[tokio::test]
async fn an_answer_of_an_earlier_life_alone_is_no_sign_of_a_disk_that_was_put_back() {
    let cluster = Cluster::new(2);
    let two = listener(&cluster, 2);
    let rolled_back = Arc::new(AtomicU64::new(0));
    let mut config = cluster.config(1, 1);
    config.known = BTreeMap::from([(NodeId(2), last_life(&Cluster::hello(2, 6)))]);
    config.on_rollback = {
        let rolled_back = rolled_back.clone();
        Arc::new(move |_: &Hello| {
            rolled_back.fetch_add(1, Ordering::Relaxed);
        })
    };
    let one = Tcp::bind(config).await.expect("binds");
    let _dialed = accept(&two, &hello(&Cluster::hello(2, 5), 1, VERSION, 0)).await;
    let _asked = accept(&two, &hello(&NOBODY, 0, VERSION, UNCONFIRMED)).await;
    until("refused", || one.status().hellos_refused == 1).await;
    assert_eq!(rolled_back.load(Ordering::Relaxed), 0);
    let _dialed = accept(&two, &hello(&Cluster::hello(2, 5), 1, VERSION, 0)).await;
    let _asked = accept(&two, &hello(&NOBODY, 0, VERSION, 0)).await;
    until("told", || rolled_back.load(Ordering::Relaxed) == 1).await;
}

/// A query from anyone is answered by yes or no and nothing else; it makes nobody a peer.
#[tokio::test]
async fn a_question_is_answered_by_yes_or_no_alone() {
    let cluster = Cluster::new(2);
    let one = cluster.start(1).await;
    let own = Cluster::hello(1, 1);
    let asked = [
        (own, 1, 0),
        (Hello { nonce: 1, ..own }, 1, UNCONFIRMED),
        (Hello { boot: 2, ..own }, 1, UNCONFIRMED),
        (
            Hello {
                disk: DiskId(0),
                ..own
            },
            1,
            UNCONFIRMED,
        ),
        (own, 2, UNCONFIRMED),
        (Cluster::hello(2, 1), 1, UNCONFIRMED),
    ];
    for (about, to, expected) in asked {
        let mut stream = TcpStream::connect(one.local_addr()).await.expect("listens");
        let question = hello(&about, to, VERSION, QUESTION);
        stream.write_all(&question).await.expect("taken");
        stream.shutdown().await.expect("says goodbye");
        let mut answer = Vec::new();
        in_time(stream.read_to_end(&mut answer))
            .await
            .expect("an answer");
        assert_eq!(answer, hello(&NOBODY, 0, VERSION, expected), "{about:?}");
    }
    assert!(!one.status().peers[&NodeId(2)].accepted);
}

#[tokio::test]
async fn a_refusal_says_nothing_of_who_refuses() {
    let cluster = Cluster::new(2);
    let one = cluster.start(1).await;
    let stranger = Hello {
        cluster: ClusterId(0xc2),
        ..Cluster::hello(2, 1)
    };
    let mut stream = TcpStream::connect(one.local_addr()).await.expect("listens");
    stream
        .write_all(&hello(&stranger, 1, VERSION, 0))
        .await
        .expect("taken");
    stream.shutdown().await.expect("says goodbye");
    let mut answer = Vec::new();
    in_time(stream.read_to_end(&mut answer))
        .await
        .expect("an answer");
    assert_eq!(answer, hello(&NOBODY, 2, VERSION, CLUSTER));
}

/// A connection with a complete hello no longer needs a place; querying its node may take as long as necessary.
#[tokio::test]
async fn who_has_said_who_it_is_loses_no_place() {
    let cluster = Cluster::new(2);
    let two = listener(&cluster, 2);
    let mut config = cluster.config(1, 1);
    config.handshake_timeout = 10 * TIMEOUT;
    let places = config.handshakes_address_max;
    let one = Tcp::bind(config).await.expect("binds");
    let whole = hello(&Cluster::hello(2, 1), 1, VERSION, 0);
    let mut honest = TcpStream::connect(one.local_addr()).await.expect("listens");
    honest.write_all(&whole).await.expect("taken");
    let mut asked = loop {
        let (mut stream, _) = in_time(two.accept()).await.expect("accepts");
        let mut said = [0; HELLO_BYTES];
        let read = in_time(stream.read_exact(&mut said)).await;
        read.expect("a hello or a question");
        if said[6..8] == [255, 255] {
            break stream;
        }
    };
    let mut crowd = Vec::new();
    for _ in 0..2 * places {
        let mut stream = TcpStream::connect(one.local_addr()).await.expect("listens");
        let _displaced = stream.write_all(&whole[..40]).await;
        crowd.push(stream);
    }
    let dropped = places as u64;
    until("a full house", || {
        one.status().handshakes_dropped >= dropped
    })
    .await;
    let yes = hello(&NOBODY, 0, VERSION, 0);
    asked.write_all(&yes).await.expect("taken");
    assert_eq!(verdict(&mut honest).await, Some(0));
    assert_eq!(one.status().handshakes_dropped, dropped);
}

#[tokio::test]
async fn a_later_life_makes_the_stream_to_the_earlier_one_close() {
    let cluster = Cluster::new(2);
    let two = listener(&cluster, 2);
    let mut config = cluster.config(1, 1);
    config.silence_max = 10 * TIMEOUT;
    let mut one = Tcp::bind(config).await.expect("binds");
    let mut earlier = accept(&two, &hello(&Cluster::hello(2, 1), 1, VERSION, 0)).await;
    until("connected", || one.status().peers[&NodeId(2)].connected).await;
    // The machine lost power: its old stream was never closed, and now it is back.
    let yes = hello(&NOBODY, 0, VERSION, 0);
    let later = hello(&Cluster::hello(2, 2), 1, VERSION, 0);
    let ((_inbound, verdict), _asked) = tokio::join!(dial(&one, &later), accept(&two, &yes));
    assert_eq!(verdict, Some(0));
    closed(&mut earlier).await;
    let mut later = accept(&two, &hello(&Cluster::hello(2, 2), 1, VERSION, 0)).await;
    one.send(NodeId(2), Lane::Control, message(1, 10).into());
    one.flush();
    let mut frame = vec![0; 22];
    in_time(later.read_exact(&mut frame))
        .await
        .expect("it goes to the living");
}
