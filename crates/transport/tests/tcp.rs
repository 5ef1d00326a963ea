//! Connected TCP transports on loopback.

mod net;

use bytes::Bytes;
use std::collections::BTreeMap;
use std::task::{Context, Waker};

use net::{Cluster, TIMEOUT, message, next, recv, send, until};
use synod_transport::{BindError, Lane, LaneLimits, Listen, NodeId, Parcel, Tcp, Transport};

#[tokio::test]
async fn two_peers_at_one_address_are_refused() {
    let cluster = Cluster::new(3);
    let mut config = cluster.config(1, 1);
    let shared = config.peers[&NodeId(2)].clone();
    config.peers.insert(NodeId(3), shared);
    let (one, two) = (NodeId(2), NodeId(3));
    let refused = Tcp::bind(config).await.expect_err("one address for two");
    assert!(
        matches!(refused, BindError::SharedAddress { one: first, two: second } if (first, second) == (one, two)),
        "{refused}"
    );
}

#[tokio::test]
async fn two_nodes_exchange_on_one_thread() {
    let cluster = Cluster::new(2);
    let (mut one, mut two) = (cluster.start(1).await, cluster.start(2).await);
    for round in 0..100 {
        send(&mut one, 2, Lane::Control, message(round, 10));
        assert_eq!(next(&mut two).await, (NodeId(1), message(round, 10)));
        send(&mut two, 1, Lane::Bulk, message(round, 10_000));
        assert_eq!(next(&mut one).await, (NodeId(2), message(round, 10_000)));
    }
    assert_eq!(one.status().frames_out, 100);
    assert_eq!(one.status().frames_in, 100);
    assert_eq!(one.status().bytes_in, 1_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_exchange_on_two_threads() {
    let cluster = Cluster::new(3);
    let nodes = [
        cluster.start(1).await,
        cluster.start(2).await,
        cluster.start(3).await,
    ];
    let tasks = (1..=3).zip(nodes).map(|(id, mut node)| {
        tokio::spawn(async move {
            for to in (1..=3).filter(|to| *to != id) {
                for number in 0..200 {
                    node.send(NodeId(to), Lane::Bulk, message(number, 300).into());
                }
            }
            node.flush();
            let mut expected = [0; 4];
            for _ in 0..400 {
                let (from, received) = next(&mut node).await;
                let number = &mut expected[from.0 as usize];
                assert_eq!(received, message(*number, 300), "in order from {from}");
                *number += 1;
            }
            node
        })
    });
    let mut nodes = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        nodes.push(task.await.expect("each node receives everything"));
    }
}

#[tokio::test]
async fn what_was_sent_before_the_peer_exists_arrives() {
    let cluster = Cluster::new(2);
    let mut one = cluster.start(1).await;
    send(&mut one, 2, Lane::Control, message(7, 10));
    let mut two = cluster.start(2).await;
    assert_eq!(next(&mut two).await, (NodeId(1), message(7, 10)));
}

#[tokio::test]
async fn a_parcel_arrives_as_one_message_and_an_empty_one_as_empty() {
    let cluster = Cluster::new(2);
    let (mut one, mut two) = (cluster.start(1).await, cluster.start(2).await);
    let parts = (0..300)
        .map(|number| message(number, 20))
        .collect::<Vec<_>>();
    let parcel = Parcel {
        head: message(999, 20),
        parts,
    };
    let whole = parcel.to_bytes();
    one.send(NodeId(2), Lane::Bulk, parcel);
    one.send(NodeId(2), Lane::Bulk, Parcel::default());
    one.flush();
    assert_eq!(next(&mut two).await.1, whole);
    assert_eq!(next(&mut two).await.1, Bytes::new());
}

#[tokio::test]
async fn nothing_leaves_before_the_flush() {
    let cluster = Cluster::new(2);
    let (mut one, mut two) = (cluster.start(1).await, cluster.start(2).await);
    until("connected", || one.status().peers[&NodeId(2)].connected).await;
    one.send(NodeId(2), Lane::Bulk, message(1, 10).into());
    one.send(NodeId(2), Lane::Control, message(2, 10).into());
    // Also not by a task, however often those have a turn.
    for _ in 0..100 {
        tokio::task::yield_now().await;
        let status = one.status();
        let left = (status.frames_out, status.bytes_out);
        assert_eq!(left, (0, 0), "it left before the flush");
    }
    one.flush();
    assert_eq!(
        next(&mut two).await.1,
        message(2, 10),
        "control was sent later and leaves first"
    );
    assert_eq!(next(&mut two).await.1, message(1, 10));
}

#[tokio::test]
async fn flush_writes_from_the_callers_thread() {
    let cluster = Cluster::new(2);
    let (mut one, _two) = (cluster.start(1).await, cluster.start(2).await);
    until("connected", || one.status().peers[&NodeId(2)].connected).await;
    send(&mut one, 2, Lane::Bulk, message(1, 1000));
    // No task has run since: this runtime has one thread, and it is here.
    assert_eq!(
        (
            one.status().frames_out,
            one.status().peers[&NodeId(2)].queued_bytes
        ),
        (1, 0)
    );
}

#[tokio::test]
async fn a_peer_that_was_dropped_returns_on_the_same_port() {
    let mut cluster = Cluster::new(2);
    let (mut one, mut two) = (cluster.start(1).await, cluster.start(2).await);
    for boot in 1..6 {
        send(&mut one, 2, Lane::Control, message(boot, 10));
        assert_eq!(next(&mut two).await, (NodeId(1), message(boot, 10)));
        send(&mut two, 1, Lane::Control, message(boot, 10));
        assert_eq!(next(&mut one).await, (NodeId(2), message(boot, 10)));
        let address = two.local_addr();
        drop(two);
        cluster.listeners.insert(
            2,
            std::net::TcpListener::bind(address).expect("the port is free at once"),
        );
        until("noticed", || !one.status().peers[&NodeId(2)].connected).await;
        two = cluster.start_as(2, boot + 1).await;
    }
    assert_eq!(one.status().hellos_refused, 0);
    assert!(one.status().connects >= 5);
}

#[tokio::test]
async fn a_peer_that_returns_is_dialed_without_waiting_out_the_backoff() {
    let cluster = Cluster::new(2);
    let mut config = cluster.config(1, 1);
    (config.backoff_min, config.backoff_max) = (10 * TIMEOUT, 10 * TIMEOUT);
    // Nobody answers at the peer's address: the first attempt fails, and the next is far beyond the
    // test's timeout.
    let address = cluster.peers[&NodeId(2)].clone();
    drop(cluster.listeners.lock_out(2));
    let mut one = Tcp::bind(config).await.expect("binds");
    until("the first attempt failed", || {
        one.status().connects_failed == 1
    })
    .await;

    let listener = std::net::TcpListener::bind(address).expect("free");
    let mut two = Tcp::bind(cluster.config_at(2, 1, listener))
        .await
        .expect("binds");
    send(&mut one, 2, Lane::Control, message(1, 10));
    assert_eq!(next(&mut two).await.1, message(1, 10));
}

#[tokio::test]
async fn poll_recv_wakes_the_task_that_waits() {
    let cluster = Cluster::new(2);
    let (mut one, mut two) = (cluster.start(1).await, cluster.start(2).await);
    let waiting = tokio::spawn(async move { next(&mut two).await });
    until("connected", || one.status().peers[&NodeId(2)].connected).await;
    assert!(!waiting.is_finished());
    send(&mut one, 2, Lane::Control, message(1, 10));
    assert_eq!(waiting.await.expect("woken"), (NodeId(1), message(1, 10)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn huge_frames_pass_a_tiny_buffer_and_control_overtakes_them() {
    let cluster = Cluster::new(2);
    let mut config = cluster.config(1, 1);
    config.send_buffer_bytes = Some(64 << 10);
    config.silence_max = 20 * TIMEOUT;
    let mut one = Tcp::bind(config).await.expect("binds");
    // Two frames and the kernel's buffer, and the receiver reads no further until something is
    // taken: the last frames are still with the sender when control comes.
    let mut config = cluster.config_at(2, 1, cluster.with_small_buffer(2));
    config.inbox_bytes_max = 8 << 20;
    // Nothing but the stream itself may move things on.
    config.pulse_interval = 10 * TIMEOUT;
    config.silence_max = 20 * TIMEOUT;
    config.handshake_timeout = 20 * TIMEOUT;
    let mut two = Tcp::bind(config).await.expect("binds");
    let huge = |number| message(number, 8 << 20);
    for number in 0..6 {
        one.send(
            NodeId(2),
            Lane::Bulk,
            Parcel {
                head: Bytes::new(),
                parts: vec![huge(number)],
            },
        );
    }
    one.flush();
    until("the first frame has begun", || one.status().bytes_out > 0).await;
    send(&mut one, 2, Lane::Control, message(99, 10));
    let mut order = Vec::new();
    for _ in 0..7 {
        let (_, received) = next(&mut two).await;
        let number = net::number(&received);
        let expected = if number == 99 {
            message(99, 10)
        } else {
            huge(number)
        };
        assert!(received == expected, "message {number} arrived changed");
        order.push(number);
    }
    assert_eq!(one.status().bulk_dropped, 0);
    let control = order
        .iter()
        .position(|number| *number == 99)
        .expect("it arrived");
    assert!(control < 6, "control overtook bulk: {order:?}");
    order.retain(|number| *number != 99);
    assert_eq!(order, [0, 1, 2, 3, 4, 5], "bulk kept its order");
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_bounded_and_blocks_nobody() {
    let cluster = Cluster::new(3);
    let mut config = cluster.config(1, 1);
    config.bulk = LaneLimits {
        messages_max: 100,
        bytes_max: 1 << 20,
    };
    config.control = LaneLimits {
        messages_max: 100,
        bytes_max: 1 << 20,
    };
    let mut one = Tcp::bind(config).await.expect("binds");
    let mut deaf = cluster.config(2, 1);
    deaf.inbox_bytes_max = 1 << 20;
    let mut deaf = Tcp::bind(deaf).await.expect("binds");
    let mut three = cluster.start(3).await;
    // Far more than the kernel's buffers and all bounds together.
    for number in 0..400 {
        send(&mut one, 2, Lane::Bulk, message(number, 256 << 10));
        send(&mut one, 2, Lane::Control, message(number, 256 << 10));
        send(&mut one, 3, Lane::Control, message(number, 10));
        assert_eq!(next(&mut three).await, (NodeId(1), message(number, 10)));
        assert!(one.status().peers[&NodeId(2)].queued_bytes <= (2 << 20) + (257 << 10));
    }
    assert!(
        one.status().bulk_dropped > 100 && one.status().control_dropped > 100,
        "{:?}",
        one.status()
    );
    let received = deaf.status().bytes_in;
    assert!(received <= (2 << 20), "it stopped reading: {received}");
    // It wakes up, and finds the oldest of bulk and the newest of control.
    let mut last_control = 0;
    while last_control != 399 {
        last_control = net::number(&next(&mut deaf).await.1);
    }
}

#[tokio::test]
async fn what_cannot_be_sent_is_counted() {
    let cluster = Cluster::new(2);
    let mut config = cluster.config(1, 1);
    config.frame_bytes_max = 100;
    let mut one = Tcp::bind(config).await.expect("binds");
    let mut two = cluster.start(2).await;
    send(&mut one, 1, Lane::Control, message(1, 10));
    send(&mut one, 9, Lane::Control, message(2, 10));
    send(&mut one, 2, Lane::Control, message(3, 101));
    send(&mut one, 2, Lane::Control, message(4, 100));
    assert_eq!(next(&mut two).await.1, message(4, 100));
    assert_eq!(one.status().unsendable, 3);
}

#[tokio::test]
async fn a_frame_over_the_receivers_limit_closes_the_connection() {
    let cluster = Cluster::new(2);
    let mut one = cluster.start(1).await;
    let mut config = cluster.config(2, 1);
    config.frame_bytes_max = 100;
    let mut two = Tcp::bind(config).await.expect("binds");
    send(&mut one, 2, Lane::Control, message(1, 101));
    until("noticed", || two.status().frames_corrupt == 1).await;
    until("reconnected", || one.status().connects == 2).await;
    send(&mut one, 2, Lane::Control, message(2, 100));
    assert_eq!(next(&mut two).await.1, message(2, 100));
}

#[tokio::test]
async fn a_transport_that_is_dropped_leaves_nothing_open() {
    let cluster = Cluster::new(2);
    let (one, two) = (cluster.start(1).await, cluster.start(2).await);
    let (monitor, address) = (one.monitor(), one.local_addr());
    until("connected", || monitor.status().peers[&NodeId(2)].connected).await;
    drop(one);
    let _port = std::net::TcpListener::bind(address)
        .expect("the port is free at once, although its monitor lives");
    assert!(!monitor.status().peers[&NodeId(2)].connected);
    until("the peer sees both connections end", || {
        let peer = two.status().peers[&NodeId(1)];
        !peer.connected && !peer.accepted
    })
    .await;
}

#[tokio::test]
async fn limits_without_sense_and_taken_ports_are_errors() {
    let cluster = Cluster::new(2);
    let mut config = cluster.config(1, 1);
    config.frame_bytes_max = 0;
    assert!(matches!(
        Tcp::bind(config).await,
        Err(BindError::Limit {
            name: "frame_bytes_max"
        })
    ));
    // Three quarters of it, and of these seven eighths: then an incarnation would be called silent before its next
    // pulse.
    for (timeout_ms, fits) in [(1_523, false), (1_525, true)] {
        let mut config = Cluster::new(2).config(1, 1);
        config.handshake_timeout = std::time::Duration::from_millis(timeout_ms);
        let bound = Tcp::bind(config).await;
        match bound {
            Ok(_) => assert!(fits, "{timeout_ms}"),
            Err(BindError::Limit { name }) => {
                assert_eq!((name, fits), ("handshake_timeout", false));
            }
            Err(error) => panic!("{error}"),
        }
    }
    let one = Tcp::bind(cluster.config(2, 1)).await.expect("binds");
    let mut config = Cluster::new(2).config(1, 1);
    config.listen = Listen::Address(one.local_addr());
    assert!(matches!(Tcp::bind(config).await, Err(BindError::Listen(_))));
}

/// Nothing will ever arrive, and yet it stays open.
#[tokio::test]
async fn a_node_without_peers_waits_and_has_not_ended() {
    let mut alone = Cluster::new(1).start(1).await;
    let mut context = Context::from_waker(Waker::noop());
    let polled = alone.poll_recv(&mut context);
    assert!(polled.is_pending(), "the transport has ended");
}

#[tokio::test]
async fn a_transport_is_an_object() {
    let cluster = Cluster::new(2);
    let mut nodes: Vec<Box<dyn Transport>> = vec![
        Box::new(cluster.start(1).await),
        Box::new(cluster.start(2).await),
    ];
    nodes[0].send(NodeId(2), Lane::Control, message(1, 10).into());
    nodes[0].flush();
    assert_eq!(recv(&mut nodes[1]).await, Some((NodeId(1), message(1, 10))));
}

/// The peers of a cluster, but for these.
fn without(cluster: &Cluster, left_out: &[u64]) -> BTreeMap<NodeId, String> {
    let mut peers = cluster.peers.clone();
    peers.retain(|id, _| !left_out.contains(&id.0));
    peers
}

#[tokio::test]
async fn a_peer_is_added_while_its_node_runs() {
    let cluster = Cluster::new(3);
    let mut one = cluster.config(1, 1);
    one.peers = without(&cluster, &[3]);
    let mut one = Tcp::bind(one).await.expect("binds");
    let (mut two, mut three) = (cluster.start(2).await, cluster.start(3).await);
    send(&mut one, 3, Lane::Bulk, message(1, 10));
    until("turned away", || one.status().hellos_refused > 0).await;
    assert_eq!(one.status().unsendable, 1, "nobody is known by that name");

    one.set_peers(&cluster.peers);
    send(&mut one, 3, Lane::Bulk, message(2, 10));
    assert_eq!(next(&mut three).await, (NodeId(1), message(2, 10)));
    send(&mut three, 1, Lane::Bulk, message(3, 10));
    assert_eq!(next(&mut one).await, (NodeId(3), message(3, 10)));
    // The others have seen nothing of it.
    send(&mut two, 1, Lane::Bulk, message(4, 10));
    assert_eq!(next(&mut one).await, (NodeId(2), message(4, 10)));
}

#[tokio::test]
async fn a_peer_is_removed_while_its_node_runs() {
    let cluster = Cluster::new(3);
    let mut one = cluster.start(1).await;
    let (mut two, mut three) = (cluster.start(2).await, cluster.start(3).await);
    send(&mut three, 1, Lane::Bulk, message(1, 10));
    assert_eq!(next(&mut one).await, (NodeId(3), message(1, 10)));
    until("both ways", || one.status().peers[&NodeId(3)].connected).await;

    one.set_peers(&without(&cluster, &[3]));
    let forgot = || !one.status().peers.contains_key(&NodeId(3));
    assert!(forgot(), "at once");
    send(&mut one, 3, Lane::Bulk, message(2, 10));
    assert_eq!(one.status().unsendable, 1);
    // Its connections end, and it is refused when it comes again.
    until("parted", || {
        let peer = three.status().peers[&NodeId(1)];
        !peer.accepted && three.status().refused_by_peers > 0
    })
    .await;
    // The transport goes on.
    send(&mut two, 1, Lane::Bulk, message(3, 10));
    assert_eq!(next(&mut one).await, (NodeId(2), message(3, 10)));

    one.set_peers(&cluster.peers);
    send(&mut one, 3, Lane::Bulk, message(4, 10));
    assert_eq!(next(&mut three).await, (NodeId(1), message(4, 10)));
    send(&mut three, 1, Lane::Bulk, message(5, 10));
    assert_eq!(next(&mut one).await, (NodeId(3), message(5, 10)));
}

#[tokio::test]
async fn a_peer_that_has_moved_is_dialed_where_it_is() {
    let cluster = Cluster::new(3);
    let mut one = cluster.start(1).await;
    let two = cluster.start(2).await;
    until("reached", || one.status().peers[&NodeId(2)].connected).await;
    // Node 2 moves to where node 3 would have been.
    drop(two);
    until("lost", || !one.status().peers[&NodeId(2)].connected).await;
    let moved = cluster.config_at(2, 2, cluster.listeners.lock_out(3));
    let mut two = Tcp::bind(moved).await.expect("binds");
    let mut peers = without(&cluster, &[3]);
    peers.insert(NodeId(2), cluster.peers[&NodeId(3)].clone());
    one.set_peers(&peers);
    send(&mut one, 2, Lane::Bulk, message(1, 10));
    assert_eq!(next(&mut two).await, (NodeId(1), message(1, 10)));
    send(&mut two, 1, Lane::Bulk, message(2, 10));
    assert_eq!(next(&mut one).await, (NodeId(2), message(2, 10)));
}
