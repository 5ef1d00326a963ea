//! What a transport must get right.

mod cases;
mod post;

use synod_transport::{NodeId, Transport};

use super::suite::{Report, Suite, Unsupported};

/// A network of three nodes, 1 to 3, of which each knows the others.
pub trait Network {
    /// A node's end of it.
    type Transport: Transport;

    /// A node enters. `incarnation` counts its incarnations from 1: the end of the incarnation before was dropped.
    fn join(&mut self, node: NodeId, incarnation: u64) -> impl Future<Output = Self::Transport>;

    /// What it may hold and how long a message may be.
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

/// The limits of a [`Network`] as it is under test. Smaller ones than in production make for a
/// quicker test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct NetworkLimits {
    /// The longest message that arrives, in bytes; one that is a byte longer must not. Nothing, when
    /// there is no such limit. The cases send no longer ones than 1 MiB otherwise.
    pub message_bytes_max: Option<usize>,
    /// The most that waits anywhere between a sender and a receiver that does not listen, in bytes of
    /// messages, with the buffers of the system. Nothing: nobody knows.
    pub waiting_bytes_max: Option<usize>,
    /// Whether its lanes are what [`Lane`](synod_transport::Lane) says: control overtakes bulk that
    /// waits and drops its oldest. A transport may do without, since any message may be lost or
    /// overtaken; a protocol is then the worse for it under load.
    pub has_lanes: bool,
}

/// Tries a [`Transport`], case by case, each on a network of its own that `fresh` makes. Messages may
/// be lost by contract, so what must arrive is sent again and again until it does; what arrives is
/// held against what was sent in every case, byte by byte, with its sender.
///
/// To be called in a `tokio` runtime with a clock, with at least two threads if the transport needs
/// tasks of its own to run.
///
/// - `exchange`: messages of all sizes, both lanes, both ways
/// - `parcels`: heads and parts arrive as one message, whichever group they are of
/// - `empty`: a message without a byte
/// - `everybody`: three nodes, each to each at once: no message under another's name
/// - `flush`: nothing leaves before it
/// - `strangers`: a message to oneself, or to a node that nobody knows, is dropped and harms nobody
/// - `wakes`: whoever waits is woken, and of several tasks the last
/// - `reconnect`: a node that went away is reached in its next incarnation, from both sides
/// - `control_first`: control overtakes bulk that waits (needs [`NetworkLimits::has_lanes`])
/// - `deaf_peer`: a peer that does not listen: nobody waits for it, others are reached, and so is it
///   when it listens again
/// - `newest_control`: then the newest of control is there (needs [`NetworkLimits::has_lanes`])
/// - `bounded`: what waits has a bound (needs [`NetworkLimits::waiting_bytes_max`])
/// - `longest_message`: the limit is kept, and harms nothing behind it (needs
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
/// When cases fail; all of them are tried first, and all that failed are told. A case that fails for
/// a limit, of a lane or of a message, may be one of a transport that is sound: [`Network::limits`]
/// says what it holds.
pub async fn transport<N: Network>(mut fresh: impl FnMut() -> N) -> Report {
    let mut suite = Suite::with_hint("transport", HINT);
    cases::run(&mut suite, &mut fresh).await;
    suite.finish()
}

const HINT: &str = "\nif it is a limit of the network, let `Network::limits` tell of it";
