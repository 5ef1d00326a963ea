//! A hand-written TLS peer that presents any certificate and trusts the tests' CA.

use crate::authority::{Authority, NOW, Shown};
use crate::net::{CLUSTER, in_time};
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, Stream,
};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use synod_transport::NodeId;
use synod_transport::tls::node_name;

#[derive(Debug)]
struct Fixed;

impl TimeProvider for Fixed {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(NOW)))
    }
}

/// What somebody who dials node 1 by hand is answered before the other side closes.
pub(crate) async fn dial(
    address: SocketAddr,
    shown: Option<&Shown>,
    ca: &Authority,
    says: Vec<u8>,
) -> Vec<u8> {
    let builder = ClientConfig::builder_with_details(Arc::new(default_provider()), Arc::new(Fixed))
        .with_protocol_versions(&[&TLS13])
        .expect("there is 1.3")
        .with_webpki_verifier(
            WebPkiServerVerifier::builder_with_provider(roots(ca), Arc::new(default_provider()))
                .build()
                .expect("a CA"),
        );
    let config = match shown {
        None => builder.with_no_client_auth(),
        Some(shown) => builder
            .with_client_auth_cert(chain(shown), key(shown))
            .expect("its own key"),
    };
    let name = ServerName::try_from(node_name(CLUSTER, NodeId(1))).expect("a name");
    let dialed = tokio::task::spawn_blocking(move || {
        let mut tls = ClientConnection::new(Arc::new(config), name).expect("a connection");
        let mut socket = TcpStream::connect(address).expect("listens");
        let mut answer = Vec::new();
        let mut stream = Stream::new(&mut tls, &mut socket);
        // Of this end the handshake is over before the other has judged it.
        let _refused = stream.write_all(&says).and_then(|()| stream.flush());
        let _end = stream.read_to_end(&mut answer);
        answer
    });
    in_time(dialed).await.expect("no panic")
}

/// Accepts one connection at an address and presents this certificate. Returns what the other end sent until
/// it closed.
pub(crate) async fn answer(listener: TcpListener, shown: &Shown, ca: &Authority) -> Vec<u8> {
    answer_after(listener, shown, ca, (0, || (), Vec::new())).await
}

/// As [`answer`]; after reading this much it calls a function and then sends a reply.
pub(crate) async fn answer_after(
    listener: TcpListener,
    shown: &Shown,
    ca: &Authority,
    (hears, meanwhile, says): (usize, impl FnOnce() + Send + 'static, Vec<u8>),
) -> Vec<u8> {
    let of_clients =
        WebPkiClientVerifier::builder_with_provider(roots(ca), Arc::new(default_provider()))
            .build()
            .expect("a CA");
    let config = ServerConfig::builder_with_details(Arc::new(default_provider()), Arc::new(Fixed))
        .with_protocol_versions(&[&TLS13])
        .expect("there is 1.3")
        .with_client_cert_verifier(of_clients)
        .with_single_cert(chain(shown), key(shown))
        .expect("its own key");
    let answered = tokio::task::spawn_blocking(move || {
        let (mut socket, _) = listener.accept().expect("somebody comes");
        let mut tls = ServerConnection::new(Arc::new(config)).expect("a connection");
        let mut heard = vec![0; hears];
        let mut stream = Stream::new(&mut tls, &mut socket);
        if hears > 0 {
            stream.read_exact(&mut heard).expect("it says that much");
            meanwhile();
            stream.write_all(&says).expect("it takes the answer");
        }
        let _end = stream.read_to_end(&mut heard);
        heard
    });
    in_time(answered).await.expect("no panic")
}

fn roots(ca: &Authority) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(ca.pem().as_bytes()) {
        roots.add(authority.expect("a certificate")).expect("a CA");
    }
    Arc::new(roots)
}

fn chain(shown: &Shown) -> Vec<CertificateDer<'static>> {
    let chain = CertificateDer::pem_slice_iter(shown.certificate.as_bytes());
    chain.collect::<Result<_, _>>().expect("certificates")
}

fn key(shown: &Shown) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).expect("a key")
}

/// The first bytes of a TLS connection.
pub(crate) fn first_words(ca: &Authority) -> Vec<u8> {
    let config = ClientConfig::builder_with_details(Arc::new(default_provider()), Arc::new(Fixed))
        .with_protocol_versions(&[&TLS13])
        .expect("there is 1.3")
        .with_root_certificates(roots(ca))
        .with_no_client_auth();
    let name = ServerName::try_from(node_name(CLUSTER, NodeId(1))).expect("a name");
    let mut tls = ClientConnection::new(Arc::new(config), name).expect("a connection");
    let mut words = Vec::new();
    tls.write_tls(&mut words).expect("memory takes all");
    words
}
