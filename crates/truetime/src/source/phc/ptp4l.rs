use core::time::Duration;
use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process;

use super::HardwareClock;
use super::management::{self, Item};
use crate::Timestamp;
use crate::source::SourceError;
use crate::source::chrony::unguessable;
use crate::source::named::Named;

/// A hardware clock whose error and scale `ptp4l` reports over its Unix socket.
///
/// The error is the offset from the master plus the whole mean path delay, which may all be in one direction. The
/// error of the master itself, and the drift of the clock since the master's last message, must be included in the
/// bound that the caller passes to [`Phc::new`](super::Phc::new). A `ptp4l` without a master, which follows its own
/// clock, is rejected, and so is any while a leap second is announced.
///
/// Tested with answers built from the standard and from linuxptp's headers, never with a real `ptp4l`.
///
/// ```no_run
/// use std::time::Duration;
/// use synod_truetime::source::Source;
/// use synod_truetime::source::phc::{Phc, Ptp4l, PtpDevice};
/// use synod_truetime::SystemClocks;
///
/// let card = Ptp4l::new(PtpDevice::open("/dev/ptp0")?);
/// let source = Phc::new(SystemClocks::new(), card, Duration::from_micros(1));
/// println!("{}", source.sample()?.interval);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Ptp4l<H> {
    clock: H,
    path: PathBuf,
    domain: u8,
    timeout: Duration,
}

impl<H> Ptp4l<H> {
    /// The default path of `ptp4l`'s read-only socket, which is open to all users.
    pub const PATH: &str = "/var/run/ptp4lro";

    /// The clock that the `ptp4l` at [`PATH`](Self::PATH) keeps, in domain 0; with a timeout of 100 ms.
    pub fn new(clock: H) -> Self {
        Self {
            clock,
            path: PathBuf::from(Self::PATH),
            domain: 0,
            timeout: Duration::from_millis(100),
        }
    }

    /// Sets the path: the `uds_ro_address` or `uds_address` of its configuration.
    #[must_use]
    pub fn at(mut self, path: impl AsRef<Path>) -> Self {
        self.path = path.as_ref().to_path_buf();
        self
    }

    /// Sets its `domainNumber`; it does not answer for other domains.
    #[must_use]
    pub const fn with_domain(mut self, domain: u8) -> Self {
        self.domain = domain;
        self
    }

    /// Sets the timeout of each query; a sample takes three.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    fn ask<T>(
        &self,
        item: Item,
        read: impl FnOnce(&[u8]) -> Result<T, SourceError>,
    ) -> Result<T, SourceError> {
        let sequence = unguessable() as u16;
        let named = Named::within(&env::temp_dir()).map_err(failed)?;
        let socket = named.socket();
        socket.connect(&self.path).map_err(failed)?;
        socket
            .set_read_timeout(Some(self.timeout))
            .map_err(failed)?;
        let port = process::id() as u16;
        socket
            .send(&management::request(item, self.domain, sequence, port))
            .map_err(failed)?;
        let mut datagram = [0; DATAGRAM_BYTES_MAX];
        for _ in 0..STRAYS_MAX {
            let bytes = socket.recv(&mut datagram).map_err(failed)?;
            if let Some(answer) = management::answer(&datagram[..bytes], item, sequence) {
                return read(answer?);
            }
        }
        Err(SourceError::TimedOut)
    }
}

impl<H: HardwareClock> HardwareClock for Ptp4l<H> {
    fn time(&self) -> Result<Timestamp, SourceError> {
        self.clock.time()
    }

    fn error_nanos(&self) -> Result<Option<u64>, SourceError> {
        self.ask(Item::TimeStatus, management::check_master)?;
        let told = self.ask(Item::CurrentDataSet, management::error_nanos)?;
        let beside = self.clock.error_nanos()?.unwrap_or(0);
        Ok(Some(told.saturating_add(beside)))
    }

    fn ahead(&self) -> Result<Option<Duration>, SourceError> {
        let seconds = self.ask(Item::TimeProperties, management::ahead_seconds)?;
        let ahead = seconds.map(u64::try_from).transpose();
        Ok(ahead
            .map_err(|_| SourceError::Malformed)?
            .map(Duration::from_secs))
    }
}

fn failed(error: io::Error) -> SourceError {
    match error.kind() {
        io::ErrorKind::PermissionDenied => SourceError::Denied,
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => SourceError::TimedOut,
        _ => SourceError::Unavailable,
    }
}

/// The length of the longest expected answer.
const DATAGRAM_BYTES_MAX: usize = 256;
/// The most datagrams examined for one query.
const STRAYS_MAX: usize = 16;
