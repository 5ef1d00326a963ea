use core::time::Duration;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::{DATAGRAM_BYTES, LocalReference, ReplyError, Tracking, Trust, request};
use crate::source::{Question, Sample, Source, SourceError};
use crate::timestamp::nanos;
use crate::{Clocks, Stratum};

/// Asks `chronyd`.
///
/// It must be the `chronyd` that keeps the clock of this machine: the one on the loopback interface,
/// or on the host of this container. What another machine's says of its clock means nothing here.
///
/// Each question has a socket, a port and a random sequence number of its own, so any number of
/// threads may ask at a time, a daemon may be restarted in between, and who cannot read the traffic
/// cannot answer. A sample blocks for at most the timeout.
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
    /// Where `chronyd` listens unless it is told otherwise: port 323 of the loopback interface.
    pub const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 323);

    /// Asks at [`ADDRESS`](Self::ADDRESS), waits for 100 ms, and believes what [`Trust::DEFAULT`] says.
    pub const fn new(clocks: C) -> Self {
        Self {
            clocks,
            address: Self::ADDRESS,
            timeout: Duration::from_millis(100),
            trust: Trust::DEFAULT,
        }
    }

    /// Asks somewhere else: the `cmdport` and `bindcmdaddress` of the configuration.
    #[must_use]
    pub const fn at(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// For how long an answer is waited for.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How old the last update may be; see [`Tracking::sample`].
    #[must_use]
    pub const fn with_age_max(mut self, age_max: Duration) -> Self {
        self.trust.age_max = age_max;
        self
    }

    /// How many hops it may be away from a reference clock; see [`Trust::stratum_max`].
    #[must_use]
    pub const fn with_stratum_max(mut self, stratum_max: Stratum) -> Self {
        self.trust.stratum_max = stratum_max;
        self
    }

    /// Believes one clock that follows no other, by its name and with the caller's bound.
    #[must_use]
    pub const fn with_local_reference(mut self, local: LocalReference) -> Self {
        self.trust.local = Some(local);
        self
    }

    /// What `chronyd` says now.
    ///
    /// # Errors
    /// [`QueryError`] if nothing comes, or nothing that is an answer.
    pub fn tracking(&self) -> Result<Tracking, QueryError> {
        query(&self.connect()?, &self.clocks, self.timeout)
    }

    /// A connected socket receives from the one address it sends to, and from nobody else.
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

/// Asks once, and waits for the answer to that.
pub(super) fn query(
    socket: &impl Datagrams,
    clocks: &impl Clocks,
    timeout: Duration,
) -> Result<Tracking, QueryError> {
    let sequence = unguessable();
    socket.send(&request(sequence))?;
    let asked = clocks.local();
    // One byte more than an answer has, so that a longer datagram is seen to be longer.
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

/// Why `chronyd` did not tell.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// No socket, or nobody at the other end.
    #[error("chronyd cannot be asked: {0}")]
    Io(#[from] io::Error),
    /// Nothing came in time.
    #[error("chronyd did not answer in time")]
    TimedOut,
    /// Something came in time, and was no answer.
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

/// The kernel calls an expired timeout by either name.
fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// 32 bits of a hash whose key the operating system's randomness made.
pub(in crate::source) fn unguessable() -> u32 {
    RandomState::new().build_hasher().finish() as u32
}

/// Datagrams that are looked at for one question, so that a flood of them does not keep it.
const STRAYS_MAX: usize = 64;
const STATUS_UNAUTHORIZED: u16 = 2;
