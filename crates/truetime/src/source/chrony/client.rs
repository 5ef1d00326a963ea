use core::time::Duration;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::{DATAGRAM_BYTES, LocalReference, ReplyError, Tracking, Trust, request};
use crate::source::{Question, Sample, Source, SourceError};
use crate::timestamp::nanos;
use crate::{Clocks, Stratum};

/// A source that queries `chronyd`.
///
/// It must be the `chronyd` that keeps the clock of this machine: the one on the loopback interface,
/// or on the host of this container. The report of another machine's daemon is about another clock.
///
/// Each query uses a new socket, port and random sequence number, so any number of threads may
/// query concurrently, the daemon may be restarted in between, and answers cannot be forged without
/// reading the traffic. A sample blocks for at most the timeout.
///
/// ```no_run
/// # #[cfg(all(feature = "std", target_os = "linux"))] {
/// use synod_truetime::source::{Chrony, Source};
/// # use synod_truetime::SystemClocks;
///
/// let chrony = Chrony::new(SystemClocks::new());
/// println!("{}", chrony.sample()?.interval);
/// # }
/// # Ok::<(), synod_truetime::SourceError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Chrony<C> {
    clocks: C,
    address: SocketAddr,
    timeout: Duration,
    trust: Trust,
}

impl<C: Clocks> Chrony<C> {
    /// The default address of `chronyd`: port 323 of the loopback interface.
    pub const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 323);

    /// Queries [`ADDRESS`](Self::ADDRESS) with a timeout of 100 ms and [`Trust::DEFAULT`].
    pub const fn new(clocks: C) -> Self {
        Self {
            clocks,
            address: Self::ADDRESS,
            timeout: Duration::from_millis(100),
            trust: Trust::DEFAULT,
        }
    }

    /// Sets the address: the `cmdport` and `bindcmdaddress` of the daemon's configuration.
    #[must_use]
    pub const fn at(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Sets the timeout.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the greatest age of the last update; see [`Tracking::sample`].
    #[must_use]
    pub const fn with_age_max(mut self, age_max: Duration) -> Self {
        self.trust.age_max = age_max;
        self
    }

    /// Sets the highest accepted stratum; see [`Trust::stratum_max`].
    #[must_use]
    pub const fn with_stratum_max(mut self, stratum_max: Stratum) -> Self {
        self.trust.stratum_max = stratum_max;
        self
    }

    /// Accepts one local reference, by its name and with the caller's bound.
    #[must_use]
    pub const fn with_local_reference(mut self, local: LocalReference) -> Self {
        self.trust.local = Some(local);
        self
    }

    /// Queries the current tracking report.
    ///
    /// # Errors
    /// [`QueryError`] if no valid answer arrives.
    pub fn tracking(&self) -> Result<Tracking, QueryError> {
        query(&self.connect()?, &self.clocks, self.timeout)
    }

    /// A connected socket receives only from the address that it sends to.
    fn connect(&self) -> io::Result<UdpSocket> {
        let any = match self.address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(self.address)?;
        Ok(socket)
    }
}

impl<C: Clocks> Source for Chrony<C> {
    fn sample(&self) -> Result<Sample, SourceError> {
        let (question, tracking) = Question::ask(&self.clocks, || self.tracking());
        tracking?.sample(&question, &self.trust)
    }
}

/// A socket that is connected to `chronyd`.
pub(super) trait Datagrams {
    fn send(&self, datagram: &[u8]) -> io::Result<usize>;

    fn recv(&self, datagram: &mut [u8]) -> io::Result<usize>;

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()>;
}

impl Datagrams for UdpSocket {
    fn send(&self, datagram: &[u8]) -> io::Result<usize> {
        self.send(datagram)
    }

    fn recv(&self, datagram: &mut [u8]) -> io::Result<usize> {
        self.recv(datagram)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_read_timeout(Some(timeout))
    }
}

/// Sends one request, and waits for its answer.
pub(super) fn query(
    socket: &impl Datagrams,
    clocks: &impl Clocks,
    timeout: Duration,
) -> Result<Tracking, QueryError> {
    let sequence = unguessable();
    socket.send(&request(sequence))?;
    let asked = clocks.local();
    // One byte more than an answer has, so that longer datagrams are detected.
    let mut datagram = [0; DATAGRAM_BYTES + 1];
    let mut stray = None;
    for _ in 0..STRAYS_MAX {
        let waited = clocks.local().nanos_since(asked);
        let left = nanos(timeout).saturating_sub(waited);
        if left == 0 {
            break;
        }
        socket.set_read_timeout(Duration::from_nanos(left))?;
        let bytes = match socket.recv(&mut datagram) {
            Ok(bytes) => bytes,
            Err(error) if is_timeout(&error) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        match Tracking::decode(&datagram[..bytes], sequence) {
            Err(error) if error.is_stray() => stray = Some(error),
            answer => return Ok(answer?),
        }
    }
    Err(stray.map_or(QueryError::TimedOut, QueryError::Reply))
}

/// Why a query failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The socket cannot be used, or nothing listens at the address.
    #[error("chronyd cannot be queried: {0}")]
    Io(#[from] io::Error),
    /// No answer arrived in time.
    #[error("chronyd did not answer in time")]
    TimedOut,
    /// An invalid answer arrived.
    #[error("chronyd did not answer: {0}")]
    Reply(#[from] ReplyError),
}

impl From<QueryError> for SourceError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Self::Denied
            }
            QueryError::Io(_) => Self::Unavailable,
            QueryError::TimedOut => Self::TimedOut,
            QueryError::Reply(ReplyError::Version { version }) => Self::UnknownVersion {
                found: version.into(),
            },
            QueryError::Reply(ReplyError::Refused {
                status: STATUS_UNAUTHORIZED,
            }) => Self::Denied,
            QueryError::Reply(_) => Self::Malformed,
        }
    }
}

/// The kernel reports an expired timeout as either error.
fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// 32 unpredictable bits: a hash with a key from the operating system's randomness.
pub(in crate::source) fn unguessable() -> u32 {
    RandomState::new().build_hasher().finish() as u32
}

/// The most datagrams examined for one query, so that a flood does not prolong it.
const STRAYS_MAX: usize = 64;
const STATUS_UNAUTHORIZED: u16 = 2;
