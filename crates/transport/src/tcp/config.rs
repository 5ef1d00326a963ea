//! The configuration and limits of the TCP transport.

use super::guard::Guard;
use super::probe::heard_for;
use super::security::Security;
use crate::hello::LastIncarnation;
use crate::{Hello, LaneLimits, NodeId, Refused};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

/// Whether to admit a peer with this hello. Called for every connection, inbound and outbound, after its ids were
/// checked and its incarnation was confirmed at the peer's configured address; this is the place to pin a node's id
/// to its disk. It runs on a blocking thread. If it panics, the peer is refused as [`Refused::Unjudged`], the panic
/// is logged, and the peer may try again.
pub type Admit = Arc<dyn Fn(&Hello) -> Result<(), Refused> + Send + Sync>;

/// Called with an incarnation that was refused as [`Refused::Stale`] or [`Refused::Twin`], when it was confirmed at
/// the peer's configured address on a connection opened after the later incarnation, or the other one with the same
/// boot counter, was recorded: the peer runs on a disk that was restored from an older state, or on a copy. It may
/// block or panic, as [`Admit`] may.
pub type OnRollback = Arc<dyn Fn(&Hello) + Send + Sync>;

/// Where to listen for peers.
pub enum Listen {
    /// On this address. Port 0 takes a free port.
    Address(SocketAddr),
    /// On a socket that already listens, so that the port is known before the transport exists.
    Bound(std::net::TcpListener),
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
    }
}

impl From<std::net::TcpListener> for Listen {
    fn from(listener: std::net::TcpListener) -> Self {
        Self::Bound(listener)
    }
}

impl fmt::Debug for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "Address({address})"),
            Self::Bound(listener) => write!(f, "Bound({:?})", listener.local_addr()),
        }
    }
}

/// Configuration of [`Tcp`](crate::Tcp), with defaults by [`TcpConfig::new`].
///
/// These limits bound the memory of the transport, for each peer: outbound `control.bytes_max`,
/// `bulk.bytes_max` and one frame; inbound `inbox_bytes_max`, one frame, and a read buffer of 64 KiB. With TLS
/// each connection takes up to 128 KiB more once both ends are authenticated, and half of that before.
#[non_exhaustive]
pub struct TcpConfig {
    /// The identity of this node.
    pub hello: Hello,
    /// Where it listens.
    pub listen: Listen,
    /// How connections are protected. Default: `None`, which restricts this node to plain TCP on loopback.
    pub security: Option<Security>,
    /// The peers and their addresses (`host:port`), each different. An entry for the node itself is not
    /// dialed, and may differ from its listening address.
    pub peers: BTreeMap<NodeId, String>,
    /// The longest message in bytes. Longer ones are dropped when sent and close the connection
    /// when received. Default 16 MiB, at most 4 GiB.
    pub frame_bytes_max: usize,
    /// The limits of each peer's control lane.
    pub control: LaneLimits,
    /// The limits of each peer's bulk lane.
    pub bulk: LaneLimits,
    /// The most bytes received from one peer that may wait for `poll_recv`. Each message counts 128
    /// bytes more than its length, so that this bounds their number too. When the limit is reached,
    /// the peer's connection is not read. Default 32 MiB.
    pub inbox_bytes_max: usize,
    /// The most open connections without a complete hello from addresses that are not peers'. Default
    /// 64. At the limit, a new connection replaces the oldest of the address that has the most.
    pub handshakes_max: usize,
    /// The same for a single address; each peer's address has this many besides those. Default 16.
    /// An IPv6 /64 network counts as one address, except for peers' addresses.
    pub handshakes_address_max: usize,
    /// The time limit for connecting and exchanging hellos, in both directions. Default 2 s. A new incarnation of a
    /// peer waits for up to three quarters of it: for the peer to confirm it at its own address, and for a sign of
    /// life from an earlier incarnation that is still connected. Seven eighths of these three quarters must be
    /// longer than `pulse_interval`; otherwise two copies of a disk cannot be distinguished from a restart.
    pub handshake_timeout: Duration,
    /// The first wait after a failed attempt to connect. Default 20 ms.
    pub backoff_min: Duration,
    /// The longest wait between two attempts. Default 1 s.
    pub backoff_max: Duration,
    /// How often an acceptor sends a pulse to the dialer. Default 1 s.
    pub pulse_interval: Duration,
    /// How long a dialer receives nothing before it closes the connection, for instance after a
    /// partition or a power failure. Default 5 s.
    pub silence_max: Duration,
    /// The kernel's send buffer for each connection. Control cannot overtake what is in it, so a
    /// small buffer keeps control prompt under bulk load. Default: the system's choice.
    pub send_buffer_bytes: Option<u32>,
    /// The last incarnations of peers that are known from before. They need no confirmation, and earlier ones are
    /// refused. Default: none.
    pub known: BTreeMap<NodeId, LastIncarnation>,
    /// Whether to admit a peer. Default: admits every peer.
    pub admit: Admit,
    /// Called for peers whose disk was restored from an older state. Default: does nothing.
    pub on_rollback: OnRollback,
}

impl TcpConfig {
    /// A configuration with defaults for this node and these peers.
    #[must_use]
    pub fn new(hello: Hello, listen: impl Into<Listen>, peers: BTreeMap<NodeId, String>) -> Self {
        Self {
            hello,
            listen: listen.into(),
            security: None,
            peers,
            frame_bytes_max: 16 << 20,
            control: LaneLimits::CONTROL,
            bulk: LaneLimits::BULK,
            inbox_bytes_max: 32 << 20,
            handshakes_max: 64,
            handshakes_address_max: 16,
            handshake_timeout: Duration::from_secs(2),
            backoff_min: Duration::from_millis(20),
            backoff_max: Duration::from_secs(1),
            pulse_interval: Duration::from_secs(1),
            silence_max: Duration::from_secs(5),
            send_buffer_bytes: None,
            known: BTreeMap::new(),
            admit: Arc::new(|_| Ok(())),
            on_rollback: Arc::new(|_| {}),
        }
    }

    pub(crate) fn check(&self) -> Result<(), BindError> {
        let format_bytes_max = usize::try_from(u32::MAX).unwrap_or(usize::MAX);
        let is_sensible = |time: Duration| !time.is_zero() && time <= DURATION_MAX;
        let limits = [
            (
                "frame_bytes_max",
                self.frame_bytes_max > 0 && self.frame_bytes_max <= format_bytes_max,
            ),
            (
                "inbox_bytes_max",
                self.inbox_bytes_max > 0 && self.inbox_bytes_max <= format_bytes_max,
            ),
            ("handshakes_max", self.handshakes_max > 0),
            ("handshakes_address_max", self.handshakes_address_max > 0),
            (
                "handshake_timeout",
                is_sensible(self.handshake_timeout)
                    && heard_for(self.handshake_timeout * 3 / 4) > self.pulse_interval,
            ),
            ("backoff_min", is_sensible(self.backoff_min)),
            ("backoff_max", is_sensible(self.backoff_max)),
            ("pulse_interval", is_sensible(self.pulse_interval)),
            (
                "silence_max",
                is_sensible(self.silence_max) && self.silence_max > self.pulse_interval,
            ),
        ];
        if let Some((name, _)) = limits.into_iter().find(|(_, holds)| !holds) {
            return Err(BindError::Limit { name });
        }
        match shared_address(&self.peers) {
            Some((one, two)) => Err(BindError::SharedAddress { one, two }),
            None => Ok(()),
        }
    }
}

/// Checks that this node may listen here and dial those peers that are given by IP address. Peers given by name
/// are checked when the name is resolved.
pub(crate) fn check_reach(
    guard: &Guard,
    listens: SocketAddr,
    own: NodeId,
    peers: &BTreeMap<NodeId, String>,
) -> Result<(), BindError> {
    // An entry for the node itself is the address at which others reach it, not where it listens.
    let others = peers.iter().filter(|(id, _)| **id != own);
    let literal = others.filter_map(|(_, address)| address.parse::<SocketAddr>().ok());
    let mut all = [listens].into_iter().chain(literal);
    match all.find(|address| !guard.allows(address.ip())) {
        Some(address) => Err(BindError::Unprotected { address }),
        None => Ok(()),
    }
}

/// Two nodes configured with the same address, if there are any. Different spellings of an address and
/// the case of names are taken into account; two names that resolve to one address are detected only
/// when dialed.
#[must_use]
pub fn shared_address(peers: &BTreeMap<NodeId, String>) -> Option<(NodeId, NodeId)> {
    let mut at = BTreeMap::new();
    let mut twice = peers.iter().filter_map(|(two, address)| {
        let address = match address.parse::<SocketAddr>() {
            Ok(address) => SocketAddr::new(address.ip().to_canonical(), address.port()).to_string(),
            Err(_) => address.to_ascii_lowercase(),
        };
        at.insert(address, *two).map(|one| (one, *two))
    });
    twice.next()
}

impl fmt::Debug for TcpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpConfig")
            .field("hello", &self.hello)
            .field("listen", &self.listen)
            .field("peers", &self.peers)
            .finish_non_exhaustive()
    }
}

/// Why a transport could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Listening on the address failed.
    #[error("cannot listen for peers")]
    Listen(#[source] io::Error),
    /// Two peers, or a peer and the node itself, have the same address.
    #[error("{one} and {two} have the same address")]
    SharedAddress {
        /// The first node.
        one: NodeId,
        /// The second node.
        two: NodeId,
    },
    /// An address is reachable from other machines, and [`TcpConfig::security`] was not set.
    #[error(
        "connections at {address} leave this machine, and nothing protects them: {}",
        Security::WAYS_OUT
    )]
    Unprotected {
        /// The address of a peer, or to listen on.
        address: SocketAddr,
    },
    /// The certificates of [`Security::Tls`] are not usable.
    #[cfg(feature = "tls")]
    #[error("cannot use these certificates")]
    Tls(#[from] crate::tls::TlsError),
    /// A limit of the configuration is invalid.
    #[error("the limit {name} is out of its range")]
    Limit {
        /// The name of the field.
        name: &'static str,
    },
}

/// One day: a longer wait is a mistake, and adding it to an instant might overflow.
const DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_may_be_written_in_several_ways() {
        let shared = |addresses: [&str; 3]| {
            let peers = (1..).map(NodeId).zip(addresses.map(str::to_owned));
            shared_address(&peers.collect())
        };
        let first_and_last = Some((NodeId(1), NodeId(3)));
        for (one, two) in [
            ("10.0.0.1:7000", "10.0.0.1:7000"),
            ("[::1]:7000", "[0:0::1]:7000"),
            ("10.0.0.1:7000", "[::ffff:10.0.0.1]:7000"),
            ("node-1.Example:7000", "NODE-1.example:7000"),
        ] {
            assert_eq!(shared([one, "10.0.0.2:7000", two]), first_and_last, "{one}");
        }
        assert_eq!(
            shared(["10.0.0.1:7000", "10.0.0.1:7001", "10.0.0.10:7000"]),
            None
        );
    }
}
