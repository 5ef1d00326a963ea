use core::time::Duration;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use super::client::{Datagrams, QueryError, query};
use super::{Tracking, Trust};
use crate::Clocks;
use crate::source::named::Named;
use crate::source::{Question, Sample, Source, SourceError};

/// A source that queries `chronyd` over its Unix socket.
///
/// For machines where the command port is closed (`cmdport 0`). The socket is accessible to users with write
/// permission for its directory: root, and the user that `chronyd` runs as. The report is the same as by UDP, which
/// needs no privilege ([`Chrony`](super::Chrony)).
///
/// `chronyd` answers only to a socket with a path, so each query creates one in the same directory and removes it
/// afterwards.
///
/// ```no_run
/// # #[cfg(all(feature = "std", target_os = "linux"))] {
/// use synod_truetime::source::Source;
/// use synod_truetime::source::chrony::{ChronySocket, Trust};
/// use synod_truetime::SystemClocks;
///
/// let chrony = ChronySocket::new(SystemClocks::new()).with_trust(Trust::DEFAULT);
/// println!("{}", chrony.sample()?.interval);
/// # }
/// # Ok::<(), synod_truetime::SourceError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ChronySocket<C> {
    clocks: C,
    path: PathBuf,
    timeout: Duration,
    trust: Trust,
}

impl<C: Clocks> ChronySocket<C> {
    /// The default path of `chronyd`'s socket.
    pub const PATH: &str = "/run/chrony/chronyd.sock";

    /// Queries [`PATH`](Self::PATH) with a timeout of 100 ms and [`Trust::DEFAULT`].
    pub fn new(clocks: C) -> Self {
        Self {
            clocks,
            path: PathBuf::from(Self::PATH),
            timeout: Duration::from_millis(100),
            trust: Trust::DEFAULT,
        }
    }

    /// Sets the path: the `bindcmdaddress` of the daemon's configuration.
    #[must_use]
    pub fn at(mut self, path: impl AsRef<Path>) -> Self {
        self.path = path.as_ref().to_path_buf();
        self
    }

    /// Sets the timeout.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the conditions under which a report is accepted.
    #[must_use]
    pub const fn with_trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// Queries the current tracking report.
    ///
    /// # Errors
    /// [`QueryError`] if no valid answer arrives.
    pub fn tracking(&self) -> Result<Tracking, QueryError> {
        let folder = self.path.parent().unwrap_or_else(|| Path::new("/"));
        let named = Named::within(folder)?;
        named.socket().connect(&self.path)?;
        query(named.socket(), &self.clocks, self.timeout)
    }
}

impl<C: Clocks> Source for ChronySocket<C> {
    fn sample(&self) -> Result<Sample, SourceError> {
        let (question, tracking) = Question::ask(&self.clocks, || self.tracking());
        tracking?.sample(&question, &self.trust)
    }
}

impl Datagrams for UnixDatagram {
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
