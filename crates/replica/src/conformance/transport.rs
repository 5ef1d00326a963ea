//! The conformance suite for transports.

mod cases;
mod post;

use synod_transport::{NodeId, Transport};

use super::suite::{Report, Suite, Unsupported};

/// A network of three nodes, 1 to 3, each of which knows the others.
pub trait Network {
    /// One node's end of the network.
    type Transport: Transport;

    /// A node joins. `incarnation` counts from 1; the transport of the previous incarnation was
    /// dropped.
    fn join(&mut self, node: NodeId, incarnation: u64) -> impl Future<Output = Self::Transport>;

    /// How much it may hold, and how long a message may be.
    fn limits(&self) -> NetworkLimits {
        NetworkLimits::default()
    }

    /// From now on nothing gets from `from` to `to`, or everything does again.
    ///
    /// # Errors
    /// [`Unsupported`], by default.
    fn cut(&mut self, _from: NodeId, _to: NodeId, _cut: bool) -> Result<(), Unsupported> {
        Err(Unsupported("cut"))
    }
}

/// The limits of the tested [`Network`]. Smaller ones than in production make the tests faster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetworkLimits {
    /// The longest message that arrives, in bytes; a message that is one byte longer must not.
    /// `None` if there is no limit; the cases then send at most 1 MiB.
    pub message_bytes_max: Option<usize>,
    /// The most bytes of messages that may wait between a sender and a receiver that does not read,
    /// including the system's buffers. `None` if unknown.
    pub waiting_bytes_max: Option<usize>,
    /// Whether its lanes behave as [`Lane`](synod_transport::Lane) says: control overtakes waiting
    /// bulk and drops its oldest. A transport may do without, since any message may be lost or
    /// reordered, but a protocol then performs worse under load.
    pub has_lanes: bool,
}

/// Tests a [`Transport`], case by case, each on a network of its own that `fresh` makes. Messages
/// may be lost by contract, so what must arrive is sent repeatedly until it does. Whatever arrives
/// is compared with what was sent, in every case, byte by byte and with its sender.
///
/// Must be called in a `tokio` runtime with a clock, with at least two threads if the transport
/// needs to run tasks of its own.
///
/// - `exchange`: messages of all sizes, on both lanes, in both directions
/// - `parcels`: heads and parts arrive as one message, for any group
/// - `empty`: a message without a byte
/// - `everybody`: three nodes, each to each at once: no message arrives under another node's name
/// - `flush`: nothing leaves before it
/// - `strangers`: a message to the node itself, or to an unknown node, is dropped and harms nothing
/// - `wakes`: a waiting task is woken, and of several tasks the last
/// - `reconnect`: a node that went away is reached in its next incarnation, from both sides
/// - `control_first`: control overtakes waiting bulk (needs [`NetworkLimits::has_lanes`])
/// - `deaf_peer`: a peer that does not read blocks nobody; others are reached, and so is the peer
///   when it reads again
/// - `newest_control`: then the newest control message is there (needs
///   [`NetworkLimits::has_lanes`])
/// - `bounded`: what waits has a bound (needs [`NetworkLimits::waiting_bytes_max`])
/// - `longest_message`: the limit is enforced, and later messages are not harmed (needs
///   [`NetworkLimits::message_bytes_max`])
/// - `partition`: a cut link loses, and a healed one carries (needs [`Network::cut`])
///
/// ```
/// use synod_replica::{NodeId, conformance};
/// use synod_transport::{Memory, MemoryNetwork};
///
/// struct InMemory(MemoryNetwork);
///
/// impl conformance::Network for InMemory {
///     type Transport = Memory;
///     async fn join(&mut self, node: NodeId, _life: u64) -> Memory {
///         self.0.join(node)
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build()?.block_on(async {
/// conformance::transport(|| InMemory(MemoryNetwork::new())).await;
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Panics
/// If cases fail; all of them are run first, and all failures are reported. If a case fails on a
/// limit of a lane or of a message, the transport may still be correct: declare the limit in
/// [`Network::limits`].
pub async fn transport<N: Network>(mut fresh: impl FnMut() -> N) -> Report {
    let mut suite = Suite::with_hint("transport", HINT);
    cases::run(&mut suite, &mut fresh).await;
    suite.finish()
}

const HINT: &str = "\nif it is a limit of the network, declare it in `Network::limits`";
