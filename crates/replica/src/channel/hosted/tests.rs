//! Channels without a loop, over a transport that keeps what it is given until it is told to let go.

use std::task::{Context, Poll};

use synod_transport::Parcel;

use super::*;
use crate::channel::{ChannelStats, SendError};
use crate::frame;

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);

/// A transport to peers that do not read.
#[derive(Default)]
struct Full(Vec<(NodeId, Lane, Parcel)>);

impl Transport for Full {
    fn send(&mut self, to: NodeId, lane: Lane, parcel: Parcel) {
        self.0.push((to, lane, parcel));
    }

    fn flush(&mut self) {}

    fn poll_recv(&mut self, _: &mut Context<'_>) -> Poll<Option<(NodeId, Bytes)>> {
        Poll::Pending
    }
}

impl Full {
    /// The channel and the first byte of each message for this peer, in order.
    fn sent(&self, peer: NodeId) -> Vec<(u64, u8)> {
        let sent = self.0.iter().filter(|(to, ..)| *to == peer);
        let read = |(_, lane, parcel): &(NodeId, Lane, Parcel)| {
            assert_eq!(*lane, Lane::Bulk, "votes and heartbeats go first");
            let (id, rest) = frame::group(parcel.to_bytes()).unwrap();
            (id.0, frame::channel_message(&rest).unwrap()[0])
        };
        sent.map(read).collect()
    }
}

fn channels(tune: impl FnOnce(&mut ChannelBounds)) -> Channels {
    let mut bounds = ChannelBounds::default();
    tune(&mut bounds);
    let channels = Channels::new(bounds, Arc::new(Notify::new()));
    channels.add_known([ONE, TWO]);
    channels
}

/// Sends until the channel's queue is full; returns how many messages that took.
fn flood(channel: &Channel, to: NodeId, bytes: usize) -> usize {
    let sent = (0..).map_while(|_| channel.send(to, vec![0; bytes]).ok());
    let sent = sent.count();
    assert_eq!(channel.send(to, vec![0; bytes]), Err(SendError::Full));
    sent
}

#[test]
fn the_transport_holds_no_more_than_a_window_for_each_peer() {
    let mut channels = channels(|_| {});
    let [one, two] = [1, 2].map(|id| channels.open(ChannelId(id)).unwrap());
    let mut transport = Full::default();
    assert_eq!(flood(&one, ONE, 1), 1024);
    assert_eq!(flood(&two, ONE, 1), 1024);
    assert_eq!(flood(&two, TWO, 2000), 1024);
    for _ in 0..3 {
        channels.send(&mut transport);
    }
    assert_eq!(transport.sent(ONE).len(), WINDOW_MESSAGES_MAX);
    assert_eq!(transport.sent(TWO).len(), WINDOW_BYTES_MAX / 2000);
    // What the transport holds is still queued: it is the peer that is slow.
    assert_eq!(one.send(ONE, "a"), Err(SendError::Full));
    // What it has sent makes room, and wakes the loop.
    let mut woken = Box::pin(channels.wake.clone().notified_owned());
    woken.as_mut().enable();
    let sent = transport.0.drain(..10).count();
    assert!(woken.as_mut().enable(), "nobody was woken");
    channels.send(&mut transport);
    assert_eq!(transport.sent(ONE).len(), WINDOW_MESSAGES_MAX);
    let more = |channel: &Channel| (0..).map_while(|_| channel.send(ONE, "a").ok()).count();
    assert_eq!(more(&one) + more(&two), sent);
}

#[test]
fn a_message_larger_than_the_window_goes_alone() {
    let mut channels = channels(|_| {});
    let channel = channels.open(ChannelId(1)).unwrap();
    let mut transport = Full::default();
    for _ in 0..2 {
        channel.send(ONE, vec![0; WINDOW_BYTES_MAX + 1]).unwrap();
    }
    for _ in 0..2 {
        channels.send(&mut transport);
        assert_eq!(transport.sent(ONE), [(1, 0)]);
        transport.0.clear();
    }
}

#[test]
fn channels_take_turns_and_each_keeps_its_order() {
    let mut channels = channels(|_| {});
    let [busy, other] = [1, 2].map(|id| channels.open(ChannelId(id)).unwrap());
    let message = |number: u8| [vec![number], vec![0; WINDOW_BYTES_MAX / 2 - 1]].concat();
    for number in 0..4 {
        busy.send(ONE, message(number)).unwrap();
    }
    other.send(ONE, message(9)).unwrap();
    let mut transport = Full::default();
    let mut sent = Vec::new();
    for _ in 0..3 {
        channels.send(&mut transport);
        sent.extend(transport.sent(ONE));
        transport.0.clear();
    }
    assert_eq!(sent, [(1, 0), (2, 9), (1, 1), (1, 2), (1, 3)]);
    assert!(channels.waiting.is_empty());
}

#[test]
fn what_cannot_be_sent_is_refused_with_the_reason() {
    let mut channels = channels(|bounds| {
        (bounds.message_bytes_max, bounds.channels_max) = (10, 1);
        (bounds.send_bytes_max, bounds.send_messages_max) = (15, 3);
    });
    let channel = channels.open(ChannelId(1)).unwrap();
    let twice = channels.open(ChannelId(1)).map(|_| ());
    assert_eq!(twice, Err(OpenChannelError::Open));
    let second = channels.open(ChannelId(2)).map(|_| ());
    assert_eq!(second, Err(OpenChannelError::TooMany(1)));
    let (bytes, bytes_max) = (11, 10);
    let too_large = Err(SendError::TooLarge { bytes, bytes_max });
    assert_eq!(channel.send(ONE, vec![0; 11]), too_large);
    assert_eq!(channel.send(NodeId(3), "a"), Err(SendError::UnknownPeer));
    assert_eq!(channel.send(ONE, vec![0; 10]), Ok(()));
    assert_eq!(channel.send(ONE, vec![0; 6]), Err(SendError::Full));
    assert_eq!(channel.send(ONE, vec![0; 5]), Ok(()));
    assert_eq!(channel.send(TWO, vec![0; 10]), Ok(()), "another peer");
    let clone = channel.clone();
    drop(channel);
    assert!(channels.open(ChannelId(2)).is_err(), "a handle is left");
    channels.close();
    assert_eq!(clone.send(ONE, "a"), Err(SendError::Closed));
    assert_eq!(clone.stats(), ChannelStats::default());
}

#[test]
fn what_waits_for_a_peer_that_was_removed_is_lost_and_counted() {
    let mut channels = channels(|_| {});
    let channel = channels.open(ChannelId(1)).unwrap();
    let mut transport = Full::default();
    for to in [ONE, ONE, ONE, TWO] {
        channel.send(to, vec![0; 200 << 10]).unwrap();
    }
    channels.send(&mut transport);
    channel.send(ONE, "not taken by the loop yet").unwrap();
    channels.set_known([TWO].into());
    channels.send(&mut transport);
    let stats = channel.stats();
    assert_eq!((stats.sent, stats.unsent), (2, 3));
    assert_eq!(channel.send(ONE, "a"), Err(SendError::UnknownPeer));
    transport.0.clear();
    channels.set_known([ONE, TWO].into());
    assert_eq!(flood(&channel, ONE, 1), 1024, "all of the queue is free");
}

#[tokio::test]
async fn what_nobody_takes_is_dropped_and_counted_by_peer() {
    let mut channels = channels(|bounds| {
        bounds.message_bytes_max = 10;
        (bounds.receive_bytes_max, bounds.receive_messages_max) = (15, 3);
    });
    let channel = channels.open(ChannelId(1)).unwrap();
    let mut arrives = |from, bytes: &'static [u8]| {
        let body = Bytes::from_static(bytes);
        channels.handle_message(ChannelId(1), from, Some(7), &body);
        channel.stats()
    };
    arrives(ONE, b"ten bytes!");
    assert_eq!(arrives(ONE, b"sixsix").dropped, 1, "too many bytes");
    arrives(ONE, b"");
    arrives(ONE, b"");
    assert_eq!(arrives(ONE, b"").dropped, 2, "too many messages");
    let stats = arrives(TWO, b"ten bytes?");
    assert_eq!((stats.received, stats.dropped), (4, 2), "of another peer");
    assert_eq!(arrives(NodeId(3), b"eleven bytes").dropped, 3, "too long");
    let first = channel.recv().await.unwrap();
    assert_eq!((first.from, first.incarnation), (ONE, Some(7)));
    assert_eq!(first.body, "ten bytes!");
    // What was received makes room.
    let body = Bytes::from_static(b"sixsix");
    channels.handle_message(ChannelId(1), ONE, None, &body);
    assert_eq!(channel.stats().received, 5);
    channels.handle_message(ChannelId(2), ONE, None, &body);
    assert_eq!(channels.ignored().count(), 1, "no such channel");
    channels.close();
    for from in [ONE, ONE, TWO, ONE] {
        assert_eq!(channel.recv().await.map(|message| message.from), Some(from));
    }
    assert_eq!(channel.recv().await, None);
}

#[test]
fn a_channel_that_was_dropped_can_be_opened_again() {
    let mut channels = channels(|bounds| bounds.channels_max = 1);
    let body = Bytes::from_static(b"a");
    drop(channels.open(ChannelId(1)).unwrap());
    channels.handle_message(ChannelId(1), ONE, None, &body);
    assert_eq!(channels.ignored().count(), 1);
    let again = channels.open(ChannelId(1)).unwrap();
    channels.handle_message(ChannelId(1), ONE, None, &body);
    assert_eq!(again.stats().received, 1);
}
