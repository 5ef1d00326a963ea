//! Protection of a transport's connections: its own certificates and the verification of its
//! peers'.

use super::security::{Security, is_here};
use super::wire::{Wire, broken};
use crate::tls::{End, Failure, Sealed, Suite, TlsConfig, TlsError};
use crate::{ClusterId, Hello, NodeId, Untrusted};
use bytes::BytesMut;
use rustls::pki_types::CertificateDer;
use std::future::pending;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, watch};
use tokio::task::yield_now;
use tokio::time::sleep;

/// Protects connections as configured.
#[derive(Debug)]
pub(crate) struct Guard {
    is_insecure: bool,
    tls: Option<Credentials>,
}

#[derive(Debug)]
struct Credentials {
    cluster: ClusterId,
    own: NodeId,
    in_use: watch::Sender<InUse>,
    /// Limits the handshakes of inbound connections that are computed in one turn of the runtime, so that the
    /// node's own work gets turns between them.
    strangers: Semaphore,
}

/// The certificates in use, and their number in the sequence of reloads.
#[derive(Clone, Debug)]
struct InUse {
    number: u64,
    suite: Arc<Suite>,
}

impl Guard {
    pub(crate) fn new(security: Option<Security>, hello: &Hello) -> Result<Self, TlsError> {
        let (is_insecure, tls) = match security {
            None => (false, None),
            Some(Security::Insecure) => (true, None),
            Some(Security::Tls(config)) => (false, Some(config)),
        };
        let credentials = |config: TlsConfig| {
            let (cluster, own) = (hello.cluster, hello.node);
            let suite = Arc::new(Suite::new(&config, cluster, own)?);
            Ok(Credentials {
                cluster,
                own,
                in_use: watch::Sender::new(InUse { number: 0, suite }),
                strangers: Semaphore::new(STRANGERS_AT_ONCE),
            })
        };
        let tls = tls.map(credentials).transpose()?;
        Ok(Self { is_insecure, tls })
    }

    /// Whether connections to or on this address are allowed.
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        self.tls.is_some() || self.is_insecure || is_here(address)
    }

    /// Uses these certificates for new connections and to re-verify existing ones. Returns why peers would reject
    /// this node's own certificate, if it is unchanged and they would.
    pub(crate) fn reload(&self, config: &TlsConfig) -> Result<Option<Untrusted>, TlsError> {
        let tls = self.tls.as_ref().ok_or(TlsError::NotInUse)?;
        let before = tls.in_use.borrow().suite.clone();
        let suite = Arc::new(before.next(config, tls.own)?);
        let trouble = suite.own_trouble();
        tls.in_use.send_modify(|in_use| {
            let number = in_use.number + 1;
            *in_use = InUse { number, suite };
        });
        Ok(trouble)
    }

    /// How many of the configured CAs have expired and are not trusted.
    pub(crate) fn expired(&self) -> u64 {
        let in_use = self.tls.as_ref().map(|tls| tls.in_use.borrow());
        in_use.map_or(0, |in_use| in_use.suite.expired)
    }

    /// Authenticates a dialed connection as that of this node.
    pub(crate) async fn dial(&self, socket: TcpStream, node: NodeId) -> io::Result<Wire> {
        let Some(tls) = &self.tls else {
            return Ok(Wire::new(socket, None));
        };
        let InUse { number, suite } = tls.in_use.borrow().clone();
        let mut sealed = Sealed::new(suite.dial(node).map_err(broken)?);
        shake(&socket, &mut sealed, tls.cluster, None)
            .await
            .map_err(|error| match error.kind() {
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset => broken(Untrusted::HungUp),
                _ => error,
            })?;
        sealed.read_by(SIGNS_BYTES);
        let seal = tls.seal(sealed, End::Accepted, number);
        let judged = suite.is_of_a_node(&seal.chain);
        let judged = judged.and_then(|()| suite.is_of(&seal.chain, node));
        judged.map_err(broken)?;
        Ok(Wire::new(socket, Some(seal)))
    }

    /// Authenticates an accepted connection as that of a node of the cluster; otherwise returns the reason and
    /// the connection in its state at that point.
    pub(crate) async fn accept(
        &self,
        socket: TcpStream,
        is_stranger: bool,
    ) -> Result<Wire, (io::Error, Wire)> {
        let Some(tls) = &self.tls else {
            return Ok(Wire::new(socket, None));
        };
        let InUse { number, suite } = tls.in_use.borrow().clone();
        let turns = is_stranger.then_some(&tls.strangers);
        let mut sealed = match suite.accept() {
            Ok(connection) => Sealed::new(connection),
            Err(reason) => return Err((broken(reason), Wire::new(socket, None))),
        };
        if let Err(error) = shake(&socket, &mut sealed, tls.cluster, turns).await {
            return Err((error, Wire::new(socket, None)));
        }
        let seal = tls.seal(sealed, End::Dialed, number);
        let judged = suite.is_of_a_node(&seal.chain);
        let wire = Wire::new(socket, Some(seal));
        match judged {
            Ok(()) => Ok(wire),
            Err(reason) => Err((broken(reason), wire)),
        }
    }

    /// Whether the other end's certificate, if one is required, names this node.
    pub(crate) fn is_of(&self, wire: &Wire, node: NodeId) -> Result<(), Untrusted> {
        let (Some(tls), Some(seal)) = (&self.tls, wire.seal()) else {
            return Ok(());
        };
        let suite = tls.in_use.borrow().suite.clone();
        suite.is_of(&seal.chain, node)
    }

    /// Waits until the other end is no longer trusted to be this node, by the certificates in use and the
    /// current time.
    pub(crate) async fn distrust(&self, wire: &Wire, node: NodeId) -> Untrusted {
        let (Some(tls), Some(seal)) = (&self.tls, wire.seal()) else {
            return pending().await;
        };
        let mut in_use = tls.in_use.subscribe();
        loop {
            let suite = in_use.borrow_and_update().suite.clone();
            if let Err(reason) = suite.judge(&seal.chain, node, seal.end, suite.now()) {
                return reason;
            }
            tokio::select! {
                // An error would mean that the sender is gone, but `self` holds it.
                _held = in_use.changed() => {}
                () = sleep(suite.check_interval) => {}
            }
        }
    }

    /// Why the other end is not trusted now, if it is not.
    pub(crate) fn untrusted(&self, wire: &Wire, node: NodeId) -> Option<Untrusted> {
        let (tls, seal) = (self.tls.as_ref()?, wire.seal()?);
        let suite = tls.in_use.borrow().suite.clone();
        let judged = suite.judge(&seal.chain, node, seal.end, suite.now());
        judged.err()
    }

    /// Waits until a dialed connection is to be renewed: the certificates in use here have changed, or the other
    /// end's expires soon and it may have a newer one.
    pub(crate) async fn renewal(&self, wire: &Wire, node: NodeId) {
        let (Some(tls), Some(seal)) = (&self.tls, wire.seal()) else {
            return pending().await;
        };
        let mut in_use = tls.in_use.subscribe();
        loop {
            let InUse { number, suite } = in_use.borrow_and_update().clone();
            let soon = suite.now() + suite.check_interval * RENEWED_BEFORE;
            let judged = suite.judge(&seal.chain, node, seal.end, soon);
            if number != seal.made_with || judged == Err(Untrusted::Expired) {
                return;
            }
            tokio::select! {
                _held = in_use.changed() => {}
                () = sleep(suite.check_interval) => {}
            }
        }
    }

    /// Whether both connections to a node use the same certificates at both ends.
    pub(crate) fn is_alike(&self, one: &Wire, other: &Wire) -> bool {
        match (one.seal(), other.seal()) {
            (Some(one), Some(other)) => {
                one.made_with == other.made_with && one.chain == other.chain
            }
            _ => true,
        }
    }
}

impl Credentials {
    fn seal(&self, sealed: Sealed, end: End, made_with: u64) -> Seal {
        let chain = sealed.tls().peer_certificates().unwrap_or_default();
        Seal {
            cluster: self.cluster,
            chain: chain.into(),
            end,
            made_with,
            sealed: Mutex::new(sealed),
        }
    }
}

/// The TLS of one connection.
#[derive(Debug)]
pub(crate) struct Seal {
    cluster: ClusterId,
    /// The certificates of the other end.
    chain: Box<[CertificateDer<'static>]>,
    end: End,
    /// The number of the own certificates that were in use.
    made_with: u64,
    sealed: Mutex<Sealed>,
}

impl Seal {
    /// Switches to large reads.
    pub(crate) fn read_much(&self) {
        self.lock().read_by(READ_BYTES);
    }

    pub(crate) fn try_write(
        &self,
        socket: &TcpStream,
        pieces: &[IoSlice<'_>],
    ) -> io::Result<usize> {
        self.lock().seal(pieces, &mut Io(socket))
    }

    pub(crate) fn try_flush(&self, socket: &TcpStream) -> io::Result<()> {
        self.lock().flush(&mut Io(socket))
    }

    pub(crate) fn try_end(&self, socket: &TcpStream) -> io::Result<()> {
        self.lock().end(&mut Io(socket))
    }

    pub(crate) fn try_read(&self, socket: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
        let mut sealed = self.lock();
        match sealed.fill(&mut Io(socket)) {
            Ok(true) => sealed.take(into),
            Ok(false) => Ok(0),
            Err(failure) => Err(told(failure, self.cluster)),
        }
    }

    /// Reads what has arrived, as far as there is room.
    pub(crate) fn try_read_buf(
        &self,
        socket: &TcpStream,
        into: &mut BytesMut,
    ) -> io::Result<usize> {
        let mut sealed = self.lock();
        let mut read = 0;
        while into.len() < into.capacity() {
            match sealed.fill(&mut Io(socket)) {
                Ok(true) => read += sealed.take_into(into)?,
                // Bytes received before the error are returned first; the error occurs again.
                _ if read > 0 => break,
                Ok(false) => break,
                Err(failure) => return Err(told(failure, self.cluster)),
            }
        }
        Ok(read)
    }

    fn lock(&self) -> MutexGuard<'_, Sealed> {
        // Only a bug in this crate panics under the lock, and that ends the transport.
        self.sealed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the handshake until both ends are authenticated. Computation for inbound connections is
/// limited per turn.
async fn shake(
    socket: &TcpStream,
    sealed: &mut Sealed,
    cluster: ClusterId,
    turns: Option<&Semaphore>,
) -> io::Result<()> {
    loop {
        match sealed.flush(&mut Io(socket)) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                socket.writable().await?;
                continue;
            }
            flushed => flushed?,
        }
        if !sealed.tls().is_handshaking() {
            return Ok(());
        }
        socket.readable().await?;
        let turn = match turns {
            Some(turns) => turns.acquire().await.ok(),
            None => None,
        };
        match sealed.step(&mut Io(socket)) {
            Err(Failure::Io(error)) if error.kind() == ErrorKind::WouldBlock => {}
            stepped => stepped.map_err(|failure| told(failure, cluster))?,
        }
        if turn.is_some() {
            // Keeps its permit until all other tasks have had a turn.
            yield_now().await;
        }
    }
}

fn told(failure: Failure, cluster: ClusterId) -> io::Error {
    match failure {
        Failure::Io(error) => error,
        Failure::Tls(error) => broken(Suite::reason(&error, cluster)),
    }
}

/// Non-blocking I/O on a socket.
struct Io<'a>(&'a TcpStream);

impl Read for Io<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(into)
    }
}

impl Write for Io<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The most inbound handshakes computed in each turn of the runtime; one takes some tenths of a
/// millisecond.
const STRANGERS_AT_ONCE: usize = 2;
/// How long before a certificate's expiry a connection is renewed, in check intervals.
const RENEWED_BEFORE: u32 = 6;
/// The size of one read from an authenticated peer.
const READ_BYTES: usize = 64 * 1024;
/// The size of one read of pulses, which are single bytes.
const SIGNS_BYTES: usize = 1024;
