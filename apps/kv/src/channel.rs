//! A connection between a client and a server, at either end: plain, or encrypted.

use std::{
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::{Notify, Semaphore},
    task::yield_now,
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, TlsStream, rustls::ServerConfig};

#[derive(Debug)]
pub(crate) enum Channel {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Channel {
    /// What a connection becomes whose client shakes hands in time, if there is TLS.
    pub(crate) async fn accept(
        stream: TcpStream,
        tls: Option<Arc<ServerConfig>>,
        turns: &Turns,
        wait_max: Duration,
    ) -> io::Result<Self> {
        let Some(config) = tls else {
            return Ok(Self::Plain(stream));
        };
        let shaken = async {
            // Whoever says nothing takes no turn.
            stream.readable().await?;
            let acceptor = TlsAcceptor::from(config);
            let shaken = acceptor.accept_with(stream, |connection| {
                connection.set_buffer_limit(Some(SEALED_BYTES_MAX));
            });
            turns.take(shaken).await
        };
        match timeout(wait_max, shaken).await {
            Ok(shaken) => Ok(Self::Tls(Box::new(shaken?.into()))),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Writes of this what goes at once.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) {
        // Whoever does not take it does without.
        match self {
            Self::Plain(stream) => {
                let _untaken = stream.try_write(bytes);
            }
            Self::Tls(stream) => {
                let mut context = Context::from_waker(Waker::noop());
                let _untaken = Pin::new(stream).poll_write(&mut context, bytes);
            }
        }
    }

    /// Whether what was written may still wait here, and must be flushed.
    pub(crate) fn holds_back(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl AsyncRead for Channel {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, into),
            // Whoever hangs up without a word has ended all the same: requests tell their own length.
            Self::Tls(stream) => match Pin::new(stream).poll_read(cx, into) {
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    Poll::Ready(Ok(()))
                }
                read => read,
            },
        }
    }
}

impl AsyncWrite for Channel {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// The turns in which the handshakes of a server's clients are computed, beside all that its thread has to do: between
/// one few of them and the next, everybody else who can go on does.
#[derive(Debug)]
pub(crate) struct Turns(Semaphore);

impl Turns {
    pub(crate) fn new() -> Self {
        Self(Semaphore::new(SHAKEN_AT_ONCE))
    }

    /// Drives a handshake to its end, a turn for each step that it can make.
    async fn take<F: Future>(&self, handshake: F) -> F::Output {
        let mut handshake = pin!(handshake);
        let again = Arc::new(Again(Notify::new()));
        let waker = Waker::from(Arc::clone(&again));
        loop {
            // Nobody closes it.
            let turn = self.0.acquire().await.ok();
            let stepped = handshake.as_mut().poll(&mut Context::from_waker(&waker));
            // It keeps its turn until all others have had theirs.
            yield_now().await;
            drop(turn);
            match stepped {
                Poll::Ready(shaken) => return shaken,
                Poll::Pending => again.0.notified().await,
            }
        }
    }
}

/// Remembers that there is something to do: it may come while others have their turns.
struct Again(Notify);

impl Wake for Again {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

/// What of its answers may be sealed and wait for a client: about a record.
const SEALED_BYTES_MAX: usize = 16 * 1_024;
/// What a handshake costs to compute is some tenths of a millisecond: in each turn of the runtime so many.
const SHAKEN_AT_ONCE: usize = 2;

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rcgen::{CertificateParams, KeyPair};
    use tokio::{io::AsyncWriteExt, net::TcpListener, task::JoinSet};
    use tokio_rustls::rustls::{
        ClientConfig, ClientConnection, RootCertStore,
        crypto::ring::{default_provider, sign::any_ecdsa_type},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName},
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
        version::TLS13,
    };

    use super::*;

    /// Asked once for each handshake, before it is computed.
    #[derive(Debug)]
    struct Counting {
        begun: Arc<AtomicUsize>,
        key: Arc<CertifiedKey>,
    }

    impl ResolvesServerCert for Counting {
        fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
            self.begun.fetch_add(1, Ordering::Relaxed);
            Some(Arc::clone(&self.key))
        }
    }

    /// With a certificate that nobody else has signed.
    fn config(begun: &Arc<AtomicUsize>) -> (Arc<ServerConfig>, CertificateDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let key = CertifiedKey::new(vec![certificate.clone()], any_ecdsa_type(&key).unwrap());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Counting {
                begun: Arc::clone(begun),
                key: Arc::new(key),
            }));
        (Arc::new(config), certificate)
    }

    fn client(roots: RootCertStore) -> Arc<ClientConfig> {
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }

    fn hello() -> Vec<u8> {
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = ClientConnection::new(client(RootCertStore::empty()), name).unwrap();
        let mut hello = Vec::new();
        client.write_tls(&mut hello).unwrap();
        hello
    }

    /// A client's connection when hands have been shaken, and the client.
    pub(crate) async fn shaken(
        server: TcpStream,
        far: TcpStream,
    ) -> (Channel, tokio_rustls::client::TlsStream<TcpStream>) {
        let (config, certificate) = config(&Arc::default());
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = tokio_rustls::TlsConnector::from(client(roots));
        let turns = Turns::new();
        let (channel, client) = tokio::join!(
            Channel::accept(server, Some(config), &turns, Duration::from_secs(60)),
            connector.connect(name, far)
        );
        (channel.unwrap(), client.unwrap())
    }

    /// Whole hellos of a crowd are there at once. Whoever else lives on this thread has its turn after a few of them.
    #[tokio::test]
    async fn handshakes_of_a_crowd_leave_everybody_else_their_turns() {
        const CROWD: usize = 48;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (begun, hello) = (Arc::new(AtomicUsize::new(0)), hello());
        let ((config, _), turns) = (config(&begun), Arc::new(Turns::new()));
        let (mut clients, mut shaking) = (Vec::new(), JoinSet::new());
        let mut accepted = Vec::new();
        for _ in 0..CROWD {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(&hello).await.unwrap();
            clients.push(client);
            let (stream, _) = listener.accept().await.unwrap();
            stream.readable().await.unwrap();
            accepted.push(stream);
        }
        for stream in accepted {
            let (config, turns) = (Arc::clone(&config), Arc::clone(&turns));
            shaking.spawn(async move {
                let wait_max = Duration::from_secs(60);
                Channel::accept(stream, Some(config), &turns, wait_max).await
            });
        }
        let (mut before, mut most) = (0, 0);
        while before < CROWD {
            yield_now().await;
            let now = begun.load(Ordering::Relaxed);
            most = most.max(now - before);
            before = now;
        }
        // Those of one turn, and those of the next that came before this task's.
        let allowed = 2 * SHAKEN_AT_ONCE;
        assert!(most <= allowed, "{most} handshakes between two turns");
    }
}
