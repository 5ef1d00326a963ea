//! What a transport does with TLS as it does without.

use crate::authority::Authority;
use crate::net::{Cluster, TIMEOUT, message, next, number, send, until};
use crate::{config, start};
use synod_transport::{Lane, LaneLimits, NodeId, Tcp, Transport};

#[tokio::test]
async fn messages_of_every_length_arrive_as_they_were_sent() {
    let (ca, cluster) = (Authority::new("ours"), Cluster::new(2));
    let (mut one, mut two) = (start(&cluster, &ca, 1).await, start(&cluster, &ca, 2).await);
    let records = (16 << 10) - 12;
    for bytes in [8, 100, records - 1, records, records + 1, 1 << 20, 16 << 20] {
        send(&mut one, 2, Lane::Bulk, message(1, bytes));
        assert_eq!(next(&mut two).await, (NodeId(1), message(1, bytes)));
        send(&mut two, 1, Lane::Control, message(2, bytes.min(1 << 19)));
        let back = (NodeId(2), message(2, bytes.min(1 << 19)));
        assert_eq!(next(&mut one).await, back);
    }
    let status = two.status();
    assert_eq!((status.frames_in, status.frames_corrupt), (7, 0));
}

#[tokio::test]
async fn flush_writes_from_the_callers_thread() {
    let (ca, cluster) = (Authority::new("ours"), Cluster::new(2));
    let (mut one, _two) = (start(&cluster, &ca, 1).await, start(&cluster, &ca, 2).await);
    until("connected", || one.status().peers[&NodeId(2)].connected).await;
    send(&mut one, 2, Lane::Bulk, message(1, 1000));
    // No task has run since: this runtime has one thread, and it is here.
    let status = one.status();
    let left = (status.frames_out, status.peers[&NodeId(2)].queued_bytes);
    assert_eq!(left, (1, 0));
}

/// The transfer has filled everything between the two when the heartbeat is sent, and most of it is still here.
#[tokio::test]
async fn a_heartbeat_overtakes_a_transfer_of_16_mebibytes() {
    const PIECES: u64 = 256;
    let (ca, cluster) = (Authority::new("ours"), Cluster::new(2));
    let mut sender = config(&cluster, &ca, 1);
    sender.send_buffer_bytes = Some(64 << 10);
    sender.silence_max = 20 * TIMEOUT;
    let mut one = Tcp::bind(sender).await.expect("binds");
    let small = cluster.with_small_buffer(2);
    let mut receiver = cluster.config_at(2, 1, small);
    receiver.security = config_of(&ca);
    // It reads no further until something is taken.
    receiver.inbox_bytes_max = 1 << 20;
    let mut two = Tcp::bind(receiver).await.expect("binds");
    until("connected", || one.status().peers[&NodeId(2)].connected).await;
    for piece in 0..PIECES {
        one.send(NodeId(2), Lane::Bulk, message(piece, 64 << 10).into());
    }
    one.flush();
    until("the receiver reads no more", || {
        two.status().bytes_in >= 1 << 20
    })
    .await;
    let waits = one.status().peers[&NodeId(2)].queued_bytes;
    assert!(waits > 8 << 20, "{waits} bytes are all that is left of it");
    send(&mut one, 2, Lane::Control, message(PIECES, 10));
    let mut order = Vec::new();
    while order.len() as u64 <= PIECES {
        let (_, received) = next(&mut two).await;
        order.push(number(&received));
    }
    let place = order.iter().position(|number| *number == PIECES);
    let place = place.expect("it arrived") as u64;
    assert!(place < PIECES / 2, "behind {place} of {PIECES} pieces");
    order.retain(|number| *number != PIECES);
    assert!(order.iter().copied().eq(0..PIECES), "bulk kept its order");
}

fn config_of(ca: &Authority) -> Option<synod_transport::Security> {
    let tls = crate::believing(&ca.node(2), ca, &crate::time());
    Some(synod_transport::Security::Tls(tls))
}

/// A node of the cluster, with a certificate of its own, sends as fast as it can to one that takes nothing. It gets the
/// room of one peer and no more, and another is heard behind no more than that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_floods_is_bounded_and_drowns_nobody_out() {
    const ROOM: usize = 1 << 20;
    const PIECE: usize = 64 << 10;
    let (ca, cluster) = (Authority::new("ours"), Cluster::new(3));
    let mut receiver = config(&cluster, &ca, 1);
    receiver.inbox_bytes_max = ROOM;
    let mut one = Tcp::bind(receiver).await.expect("binds");
    let mut flood = start(&cluster, &ca, 2).await;
    let mut three = start(&cluster, &ca, 3).await;
    let mut sent = 0;
    let mut send_many = || {
        for _ in 0..64 {
            flood.send(NodeId(1), Lane::Bulk, message(sent, PIECE).into());
            sent += 1;
        }
        flood.flush();
    };
    until("there is no room", || {
        send_many();
        one.status().bytes_in >= (ROOM - PIECE) as u64
    })
    .await;
    until("the other is connected", || {
        three.status().peers[&NodeId(1)].connected
    })
    .await;
    send(&mut three, 1, Lane::Control, message(7, 10));
    // What waits for the owner, and one that waits for room.
    let most = (ROOM + 2 * PIECE) as u64;
    until("the other is heard", || {
        send_many();
        one.status().frames_in > one.status().bytes_in / PIECE as u64
    })
    .await;
    assert!(
        one.status().bytes_in <= most,
        "{} of {most}",
        one.status().bytes_in
    );
    let mut before = 0;
    while next(&mut one).await != (NodeId(3), message(7, 10)) {
        before += PIECE;
        assert!(before as u64 <= most, "behind {before} bytes");
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_bounded_and_blocks_nobody() {
    let (ca, cluster) = (Authority::new("ours"), Cluster::new(3));
    let mut sender = config(&cluster, &ca, 1);
    let lane = LaneLimits {
        messages_max: 100,
        bytes_max: 1 << 20,
    };
    (sender.bulk, sender.control) = (lane, lane);
    let mut one = Tcp::bind(sender).await.expect("binds");
    let mut deaf = config(&cluster, &ca, 2);
    deaf.inbox_bytes_max = 1 << 20;
    let mut deaf = Tcp::bind(deaf).await.expect("binds");
    let mut three = start(&cluster, &ca, 3).await;
    for round in 0..100 {
        send(&mut one, 2, Lane::Bulk, message(round, 256 << 10));
        send(&mut one, 2, Lane::Control, message(round, 256 << 10));
        send(&mut one, 3, Lane::Control, message(round, 10));
        assert_eq!(next(&mut three).await, (NodeId(1), message(round, 10)));
        assert!(one.status().peers[&NodeId(2)].queued_bytes <= (2 << 20) + (257 << 10));
    }
    let received = deaf.status().bytes_in;
    assert!(received <= (2 << 20), "it stopped reading: {received}");
    let mut last_control = 0;
    while last_control != 99 {
        last_control = number(&next(&mut deaf).await.1);
    }
}
