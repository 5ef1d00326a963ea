//! Messages of the application between the nodes of a cluster, over the connections that the nodes have
//! anyway: same certificates, same admission, same injected faults, no second port.
//!
//! ```text
//!  Channel::send ─▶ queue, for each channel and peer ─▶ window, for each peer ─▶ Transport, lane Bulk
//!                     full: SendError::Full              full: waits in the queue          │
//!  Channel::recv ◀─ queue, for each channel and peer ◀── full: dropped and counted ◀───────┘
//! ```
//!
//! The windows keep the groups' frames prompt: however much the application sends, an entry of a group
//! stands behind one window of messages at most, and heartbeats and votes, in the lane `Control`, behind
//! none.

mod hosted;
mod quota;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use synod_transport::NodeId;
use tokio::sync::{Mutex, Notify, mpsc, watch};

use crate::closed::Closed;
use crate::misfit::Misfit;
use crate::node::Node;
pub(crate) use hosted::{Channels, Ignored};
use quota::{Held, Quota};

/// The number of a channel, the same on all nodes. Channels and groups are numbered independently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelId(pub u64);

impl fmt::Display for ChannelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0)
    }
}

/// The bounds of a node's channels. An empty queue takes any message that is not longer than
/// `message_bytes_max`, whatever its own bounds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChannelBounds {
    /// The longest message in bytes: longer ones are refused here, and dropped on arrival. The transport
    /// must be able to send nine bytes more. Default 1 MiB.
    pub message_bytes_max: usize,
    /// The most bytes of a channel's messages for one peer that the transport has not sent yet. Default
    /// 4 MiB.
    pub send_bytes_max: usize,
    /// The most such messages. Default 1,024.
    pub send_messages_max: usize,
    /// The most bytes of a channel's messages from one peer that nobody has received yet. Default 4 MiB.
    pub receive_bytes_max: usize,
    /// The most such messages. Default 1,024.
    pub receive_messages_max: usize,
    /// The most channels of the node. Default 64.
    pub channels_max: usize,
}

impl Default for ChannelBounds {
    fn default() -> Self {
        Self {
            message_bytes_max: 1 << 20,
            send_bytes_max: 4 << 20,
            send_messages_max: 1024,
            receive_bytes_max: 4 << 20,
            receive_messages_max: 1024,
            channels_max: 64,
        }
    }
}

/// A channel of this node: sends messages to the same channel of peers, and receives theirs. Clones are
/// handles to the same channel; it closes with the last of them, or when the node no longer serves
/// anything.
///
/// A channel promises as little as a [`Transport`](crate::Transport):
///
/// - **Each message is sent once**, never again, and nobody acknowledges it. `Ok` of [`send`](Self::send)
///   means that it is queued. It is lost with a connection that breaks, if the peer has not opened the
///   channel, and if the peer's application takes messages too slowly. It arrives whole or not at all.
/// - **It arrives at most once if the transport delivers at most once**, as `Tcp` and `Memory` do. A
///   transport that repeats messages, as `Faulty` can, repeats these.
/// - **Order:** messages of a channel to one peer leave in the order of the calls, and over one connection
///   of `Tcp` they arrive in it, with gaps where some were dropped. There is no order across connections,
///   across channels, or between a channel and the commands of groups.
/// - **A message may be late.** While a peer is disconnected, messages may wait here and in the transport,
///   and then reach a later incarnation of the peer. What must not be late says so in its own bytes, as
///   what must not be lost is answered by the application.
///
/// The queues are bounded for each channel and peer, in both directions, see [`ChannelBounds`]: neither a
/// slow peer nor a flooding one takes the place of another, and no channel takes that of another. Nothing
/// in a channel delays the groups: what an application does not take is dropped and counted, and the
/// groups' frames are sent first, with at most 256 KiB or one message of all channels before them.
///
/// ```
/// # use synod_replica::{ChannelId, Incarnation, Node, NodeConfig, NodeId, SendError};
/// # use synod_replica::transport::MemoryNetwork;
/// # use synod_replica::wal::{Options, PowerLoss, Directory, Wal};
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// # let home = tempfile::tempdir()?;
/// let network = MemoryNetwork::new();
/// let mut nodes = Vec::new();
/// for id in [1, 2] {
///     let log = Wal::open(Directory::open(home.path().join(id.to_string()))?, Options::default())?;
///     let mut config = NodeConfig::default();
///     // Nodes that share no group are peers by configuration.
///     config.peers = [1, 2].map(|id| (NodeId(id), format!("n{id}:7000"))).into();
///     let transport = network.join(NodeId(id));
///     nodes.push(Node::start(Incarnation::ephemeral(NodeId(id)), config, log, transport));
/// }
/// let one = nodes[0].channel(ChannelId(7)).await?;
/// let two = nodes[1].channel(ChannelId(7)).await?;
///
/// one.send(NodeId(2), "prepare")?;
/// let message = two.recv().await.ok_or("the node has closed")?;
/// assert_eq!((message.from, &message.body[..]), (NodeId(1), &b"prepare"[..]));
/// assert_eq!(one.send(NodeId(9), "prepare"), Err(SendError::UnknownPeer));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Channel(Arc<Handle>);

struct Handle {
    id: ChannelId,
    message_bytes_max: usize,
    /// The nodes that messages can be sent to.
    known: watch::Receiver<BTreeSet<NodeId>>,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    /// What `outgoing` and the queues behind it hold of this channel.
    send_quota: Arc<Quota>,
    incoming: Mutex<mpsc::UnboundedReceiver<Incoming>>,
    wake: Arc<Notify>,
    counters: Arc<Counters>,
}

/// A message from the handle to the loop, and until the transport has sent it.
struct Outgoing {
    channel: ChannelId,
    to: NodeId,
    body: Bytes,
    held: Held,
}

/// A message from the loop to whoever receives it.
struct Incoming {
    message: ChannelMessage,
    _held: Held,
}

/// A message of a peer's application.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelMessage {
    /// The node that sent it, as the transport admitted it.
    pub from: NodeId,
    /// The incarnation of that node which sent it; `None` if the transport does not know.
    pub incarnation: Option<u64>,
    /// The bytes that were sent.
    pub body: Bytes,
}

impl Channel {
    /// The number that it was opened with.
    #[must_use]
    pub fn id(&self) -> ChannelId {
        self.0.id
    }

    /// Queues a message for the same channel of a peer. It is sent, in the next turn of the node's loop,
    /// behind what the channel has queued for that peer before.
    ///
    /// # Errors
    /// The message was not queued and will not be sent, see [`SendError`].
    pub fn send(&self, to: NodeId, message: impl Into<Bytes>) -> Result<(), SendError> {
        let (handle, body) = (&*self.0, message.into());
        let (bytes, bytes_max) = (body.len(), handle.message_bytes_max);
        if handle.outgoing.is_closed() {
            return Err(SendError::Closed);
        }
        if bytes > bytes_max {
            return Err(SendError::TooLarge { bytes, bytes_max });
        }
        if !handle.known.borrow().contains(&to) {
            return Err(SendError::UnknownPeer);
        }
        let held = handle.send_quota.take(to, bytes).ok_or(SendError::Full)?;
        let outgoing = Outgoing {
            channel: handle.id,
            to,
            body,
            held,
        };
        let sent = handle.outgoing.send(outgoing);
        sent.map_err(|_| SendError::Closed)?;
        handle.wake.notify_one();
        Ok(())
    }

    /// Waits for the next message of any peer. `None`: the node no longer serves anything, for the reason
    /// that [`Node::closed`] gives, and all that had arrived was received.
    ///
    /// Dropping the future loses no message. Several tasks may wait; each message goes to one of them.
    pub async fn recv(&self) -> Option<ChannelMessage> {
        let incoming = self.0.incoming.lock().await.recv().await;
        incoming.map(|incoming| incoming.message)
    }

    /// What became of the channel's messages since it was opened here.
    #[must_use]
    pub fn stats(&self) -> ChannelStats {
        self.0.counters.stats()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("id", &self.0.id)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Counts of a channel's messages on this node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelStats {
    /// Given to the transport.
    pub sent: u64,
    /// Queued for a peer that was removed before they could be sent.
    pub unsent: u64,
    /// Arrived and queued for [`Channel::recv`].
    pub received: u64,
    /// Arrived and dropped: nobody had taken those that arrived before, or they were too long.
    pub dropped: u64,
}

/// Shared by the loop, which counts, and the handles, which read.
#[derive(Default)]
struct Counters {
    sent: AtomicU64,
    unsent: AtomicU64,
    received: AtomicU64,
    dropped: AtomicU64,
}

impl Counters {
    fn stats(&self) -> ChannelStats {
        ChannelStats {
            sent: self.sent.load(Ordering::Relaxed),
            unsent: self.unsent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Why a message was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// As much as may be is queued for this peer already: it is disconnected, or slower than the
    /// application. Other peers and other channels are not affected.
    #[error("the channel's queue for this peer is full")]
    Full,
    /// The message is longer than [`ChannelBounds::message_bytes_max`].
    #[error("a message of {bytes} bytes is longer than the {bytes_max} that are allowed")]
    TooLarge {
        /// The length of the message.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// The node is no peer: neither a member of a group that is open here, nor in
    /// [`NodeConfig::peers`](crate::NodeConfig::peers), nor a peer of which the transport's status tells.
    /// Nor is the node itself, which needs no messages.
    #[error("the node is no peer of this one")]
    UnknownPeer,
    /// The node no longer serves anything; [`Node::closed`] gives the reason.
    #[error("the node has stopped")]
    Closed,
}

/// Why a channel was not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenChannelError {
    /// The channel is open on this node, and its handles are elsewhere.
    #[error("the channel is open already")]
    Open,
    /// [`ChannelBounds::channels_max`] channels are open.
    #[error("{0} channels are open, and no more are allowed")]
    TooMany(usize),
    /// The parts that the node was started with do not belong together.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// The node has stopped.
    #[error("the node has stopped: {0}")]
    Stopped(Closed),
}

impl Node {
    /// Opens a channel: from now on messages that peers send on theirs of the same number arrive here.
    /// Those that came before were ignored and counted.
    ///
    /// # Errors
    /// See [`OpenChannelError`].
    pub async fn channel(&self, id: ChannelId) -> Result<Channel, OpenChannelError> {
        self.fit?;
        let opened = self.ask(move |host| match host.told.reason() {
            Some(closed) => Err(OpenChannelError::Stopped(closed)),
            None => host.channels.open(id),
        });
        opened.await.map_err(OpenChannelError::Stopped)?
    }

    /// How many messages of peers' applications were ignored, because their channel was not open here.
    #[must_use]
    pub fn channel_messages_ignored(&self) -> u64 {
        self.ignored.count()
    }
}
