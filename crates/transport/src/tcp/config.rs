//! What a TCP transport needs to know, and its limits.

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

/// Whether a peer with this hello is welcome. Asked on every connection, inbound and outbound, after the
/// names were found to fit, and after the incarnation was found at the address that the peer is known by: the place
/// to pin a node's name to its disk. It may wait, on a thread that is for that. If it panics, the peer is
/// refused as [`Refused::Unjudged`], which is told in the log, and may try again.
pub type Admit = Arc<dyn Fn(&Hello) -> Result<(), Refused> + Send + Sync>;

/// Told of an incarnation that was refused as [`Refused::Stale`] or [`Refused::Twin`], when it was found at the
/// address that the peer is known by, on a connection that was begun after the later incarnation, or the other that
/// counts alike, had been met: the peer runs on a disk that was put back, or on a copy. It may wait, and
/// panic, as [`Admit`] may.
pub type Doubt = Arc<dyn Fn(&Hello) + Send + Sync>;

/// Where to listen for peers.
pub enum Listen {
    /// At this address. Port 0 takes a free one.
    Address(SocketAddr),
    /// At a socket that listens already, so that the port can be known before the transport exists.
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

/// Configuration of [`Tcp`](crate::Tcp): made by [`TcpConfig::new`] with defaults that can be
/// changed.
///
/// What the transport may hold in memory is bounded by these, for each peer: outbound
/// `control.bytes_max`, `bulk.bytes_max` and one frame; inbound `inbox_bytes_max`, one frame, and a
/// read buffer of 64 KiB. With TLS each connection takes up to 128 KiB more once both ends have shown who they
/// are, and half of that before.
#[non_exhaustive]
pub struct TcpConfig {
    /// Who this node is.
    pub hello: Hello,
    /// Where it listens.
    pub listen: Listen,
    /// How connections are protected. Default: nothing is chosen, and then this node speaks plain TCP and stays on
    /// its machine.
    pub security: Option<Security>,
    /// The peers and where they listen (`host:port`), each at an address of its own. An entry of the node
    /// itself is not dialed, and need not be where it listens.
    pub peers: BTreeMap<NodeId, String>,
    /// The longest message, sent or received. Larger ones are dropped here and refused there.
    /// Default 16 MiB, at most 4 GiB.
    pub frame_bytes_max: usize,
    /// What may wait in the control lane of one peer.
    pub control: LaneLimits,
    /// What may wait in the bulk lane of one peer.
    pub bulk: LaneLimits,
    /// What may have arrived from one peer and wait for `poll_recv`; each message counts 128 bytes
    /// more than it has, so that this bounds their number too. When it is reached the peer's
    /// connection is not read. Default 32 MiB.
    pub inbox_bytes_max: usize,
    /// How many connections from addresses that are no peers' may be open that have not said who they
    /// are. Default 64. Where there are as many, the newest takes the place of the oldest of the
    /// address that has most.
    pub handshakes_max: usize,
    /// The same for one address, and for each address of a peer beside those. Default 16. A network
    /// of IPv6 that is 64 bits long counts as one address, unless it is a peer's.
    pub handshakes_address_max: usize,
    /// How long connecting and saying hello may take, in both directions. Default 2 s. An incarnation of a peer that
    /// was not met yet waits for up to three quarters of it: for the peer to say at its own address that it
    /// lives it, and for an earlier one that is connected to show that it lives. Of these three quarters seven
    /// eighths must be longer than `pulse_interval`, or two copies of a disk are not told from a restart.
    pub handshake_timeout: Duration,
    /// The first wait after a failed attempt to connect. Default 20 ms.
    pub backoff_min: Duration,
    /// The longest wait between two attempts. Default 1 s.
    pub backoff_max: Duration,
    /// How often an acceptor shows the dialer that it lives. Default 1 s.
    pub pulse_interval: Duration,
    /// How long a dialer hears nothing before it gives the connection up, as after a partition or a
    /// power cut. Default 5 s.
    pub silence_max: Duration,
    /// The send buffer of the kernel, for each connection. It is what control cannot overtake: a
    /// small one keeps control quick under bulk. Default: the system's choice.
    pub send_buffer_bytes: Option<u32>,
    /// The last incarnations that peers were met in, before this transport. Those need no proof, and earlier ones
    /// are refused. Default: none.
    pub known: BTreeMap<NodeId, LastIncarnation>,
    /// Whether a peer is welcome. Default: every one.
    pub admit: Admit,
    /// Told of peers whose disk was put back. Default: nobody.
    pub doubt: Doubt,
}

impl TcpConfig {
    /// The defaults for this node and these peers.
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
            doubt: Arc::new(|_| {}),
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

/// Whether this node may listen here, and dial those of its peers whose addresses are no names: those are looked
/// at when they are looked up.
pub(crate) fn check_reach(
    guard: &Guard,
    listens: SocketAddr,
    own: NodeId,
    peers: &BTreeMap<NodeId, String>,
) -> Result<(), BindError> {
    // An entry of the node itself is where others reach it, and not where it listens.
    let others = peers.iter().filter(|(id, _)| **id != own);
    let literal = others.filter_map(|(_, address)| address.parse::<SocketAddr>().ok());
    let mut all = [listens].into_iter().chain(literal);
    match all.find(|address| !guard.allows(address.ip())) {
        Some(address) => Err(BindError::Unprotected { address }),
        None => Ok(()),
    }
}

/// Two nodes that are said to be at one address, if there are any, as far as the texts tell: an
/// address may be written in several ways, and a name in capitals or not. Whether two names lead to one
/// address shows only when they are dialed.
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
    /// The address cannot be listened at.
    #[error("cannot listen for peers")]
    Listen(#[source] io::Error),
    /// Two peers, or a peer and the node itself, are said to be at one address.
    #[error("{one} and {two} are said to be at one address")]
    SharedAddress {
        /// One of them.
        one: NodeId,
        /// The other.
        two: NodeId,
    },
    /// Others than this machine reach an address, and how connections are protected was not chosen.
    #[error(
        "connections at {address} leave this machine, and nothing protects them: {}",
        Security::WAYS_OUT
    )]
    Unprotected {
        /// Where this node was to listen, or a peer's.
        address: SocketAddr,
    },
    /// The certificates of [`Security::Tls`] are of no use.
    #[cfg(feature = "tls")]
    #[error("cannot use these certificates")]
    Tls(#[from] crate::tls::TlsError),
    /// A limit of the configuration makes no sense.
    #[error("the limit {name} is out of its range")]
    Limit {
        /// The field's name.
        name: &'static str,
    },
}

/// A day: beyond it a wait is a mistake, and adding it to an instant might fail.
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
