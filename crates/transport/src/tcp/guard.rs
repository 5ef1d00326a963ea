//! What protects the connections of a transport: certificates, and what is made of those of others.

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

/// Protects connections, as far as that was asked for.
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
    /// Whose handshakes are computed in the same turn: of strangers no more, so that the node has turns between.
    strangers: Semaphore,
}

/// The certificates in use, and how many sets there were before.
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

    /// Whether a connection may lead to this address, or come to it.
    pub(crate) fn allows(&self, address: IpAddr) -> bool {
        self.tls.is_some() || self.is_insecure || is_here(address)
    }

    /// Makes new connections with these, and judges those that there are by them. Tells why peers would not believe
    /// this node's own certificate, if they would not, and it is the one that it had.
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

    /// How many of the CAs that it was told of have expired, and are not believed.
    pub(crate) fn expired(&self) -> u64 {
        let in_use = self.tls.as_ref().map(|tls| tls.in_use.borrow());
        in_use.map_or(0, |in_use| in_use.suite.expired)
    }

    /// The connection to a node that was dialed, when it has shown that it is that node.
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

    /// The connection of whoever has dialed, when it has shown that it is a node of the cluster; otherwise why
    /// not, and the connection as far as it has come.
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

    /// Whether the other end has shown a certificate of this node, where it had to show one.
    pub(crate) fn is_of(&self, wire: &Wire, node: NodeId) -> Result<(), Untrusted> {
        let (Some(tls), Some(seal)) = (&self.tls, wire.seal()) else {
            return Ok(());
        };
        let suite = tls.in_use.borrow().suite.clone();
        suite.is_of(&seal.chain, node)
    }

    /// Waits until the other end, this node, is not believed any more: by the certificates that are in use now,
    /// at the time that it is now.
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

    /// Why the other end is not believed, if it is not, as of now.
    pub(crate) fn untrusted(&self, wire: &Wire, node: NodeId) -> Option<Untrusted> {
        let (tls, seal) = (self.tls.as_ref()?, wire.seal()?);
        let suite = tls.in_use.borrow().suite.clone();
        let judged = suite.judge(&seal.chain, node, seal.end, suite.now());
        judged.err()
    }

    /// Waits until a connection that was dialed is to be made anew: there are other certificates in use here, or
    /// that of the other end, this node, ends soon and it may have another.
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

    /// Whether there is nothing new about a connection to the same node: neither end shows anything else.
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
    /// What the other end has shown.
    chain: Box<[CertificateDer<'static>]>,
    end: End,
    /// The number of the certificates that were in use.
    made_with: u64,
    sealed: Mutex<Sealed>,
}

impl Seal {
    /// Reads much at a time from now on.
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

    /// As much as there is room for and has come.
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
                // What came before it is taken first; it comes again.
                _ if read > 0 => break,
                Ok(false) => break,
                Err(failure) => return Err(told(failure, self.cluster)),
            }
        }
        Ok(read)
    }

    fn lock(&self) -> MutexGuard<'_, Sealed> {
        // Nobody panics under it but by a broken invariant of ours, which ends the transport.
        self.sealed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The handshake, until both ends know each other. What is computed for a stranger waits for its turn.
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
            // It keeps its turn until all others have had theirs.
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

/// A socket that takes and gives what it can now.
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

/// What a handshake costs to compute is some tenths of a millisecond: in each turn of the runtime so many.
const STRANGERS_AT_ONCE: usize = 2;
/// In looks: how long before the end of a certificate a connection is made anew.
const RENEWED_BEFORE: u32 = 6;
/// What is read at once of a peer that has shown who it is.
const READ_BYTES: usize = 64 * 1024;
/// Of one that sends single bytes as signs of life.
const SIGNS_BYTES: usize = 1024;
