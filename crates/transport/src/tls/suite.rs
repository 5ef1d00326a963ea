//! A parsed set of certificates, with which connections are made and verified.

use super::config::{Clock, TlsConfig, TlsError};
use super::names::{names, names_a_node, node_name, of_whom};
use crate::{ClusterId, NodeId, Untrusted};
use rustls::client::danger::ServerCertVerifier;
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig,
    ServerConnection,
};
use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The end of a connection that a node is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The node accepted the connection.
    Accepted,
    /// The node dialed.
    Dialed,
}

/// One set of certificates in use.
#[derive(Debug)]
pub(crate) struct Suite {
    cluster: ClusterId,
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
    of_servers: Arc<WebPkiServerVerifier>,
    of_clients: Arc<dyn ClientCertVerifier>,
    time: Time,
    /// This node's own certificate chain.
    chain: Vec<CertificateDer<'static>>,
    /// Whether peers would trust it.
    own: Result<(), Untrusted>,
    /// The number of CAs that have expired and are not trusted.
    pub(crate) expired: u64,
    pub(crate) check_interval: Duration,
}

impl Suite {
    /// Parses the certificates of this node and checks that its peers would trust them.
    pub(crate) fn new(
        config: &TlsConfig,
        cluster: ClusterId,
        own: NodeId,
    ) -> Result<Self, TlsError> {
        let suite = Self::read(config, cluster, own)?;
        // Fail here rather than be refused by every peer.
        suite.own.map_err(TlsError::Own)?;
        Ok(suite)
    }

    /// As [`new`](Self::new), to replace this set. An expired or revoked certificate of this node is accepted
    /// if it is the one already in use, so that new CAs and revocation lists take effect.
    pub(crate) fn next(&self, config: &TlsConfig, own: NodeId) -> Result<Self, TlsError> {
        let next = Self::read(config, self.cluster, own)?;
        match next.own {
            Err(Untrusted::Expired | Untrusted::Revoked) if next.chain == self.chain => {}
            judged => judged.map_err(TlsError::Own)?,
        }
        Ok(next)
    }

    fn read(config: &TlsConfig, cluster: ClusterId, own: NodeId) -> Result<Self, TlsError> {
        if config.check_interval.is_zero() || config.check_interval > CHECK_INTERVAL_MAX {
            return Err(TlsError::CheckInterval);
        }
        let provider = provider().ok_or(TlsError::NoProvider)?;
        let time = Time(config.clock.clone());
        let (roots, expired) = believed(config.authorities()?, &provider, &time)?;
        let revoked = config.revoked()?;
        let of_servers =
            WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone())
                .with_crls(revoked.clone())
                .build()
                .map_err(unusable)?;
        let of_clients = WebPkiClientVerifier::builder_with_provider(roots, provider.clone())
            .with_crls(revoked)
            .build()
            .map_err(unusable)?;
        let (chain, key) = (config.chain()?, config.private_key()?);
        let clock: Arc<dyn TimeProvider> = Arc::new(time.clone());
        let mut client = ClientConfig::builder_with_details(provider.clone(), clock.clone())
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_webpki_verifier(of_servers.clone())
            .with_client_auth_cert(chain.clone(), key.clone_key())
            .map_err(of_own)?;
        client.resumption = Resumption::disabled();
        client.enable_sni = false;
        let mut server = ServerConfig::builder_with_details(provider, clock)
            .with_protocol_versions(&[&TLS13])
            .map_err(unusable)?
            .with_client_cert_verifier(of_clients.clone())
            .with_single_cert(chain.clone(), key)
            .map_err(of_own)?;
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
        let mut suite = Self {
            cluster,
            client: Arc::new(client),
            server: Arc::new(server),
            of_servers,
            of_clients,
            time,
            chain,
            own: Ok(()),
            expired,
            check_interval: config.check_interval,
        };
        let judged = |end| suite.judge(&suite.chain, own, end, suite.now());
        suite.own = judged(End::Accepted).and_then(|()| judged(End::Dialed));
        Ok(suite)
    }

    /// Why peers would not trust this node, if they would not.
    pub(crate) fn own_trouble(&self) -> Option<Untrusted> {
        self.own.err()
    }

    /// The client side of a connection that must authenticate as this node.
    pub(crate) fn dial(&self, node: NodeId) -> Result<Connection, Untrusted> {
        let name = self.server_name(node)?;
        let connection = ClientConnection::new(self.client.clone(), name);
        connection
            .map(Connection::Client)
            .map_err(|error| Self::reason(&error, self.cluster))
    }

    /// The server side of a connection that must present a trusted certificate. Its name is checked
    /// afterwards.
    pub(crate) fn accept(&self) -> Result<Connection, Untrusted> {
        let connection = ServerConnection::new(self.server.clone());
        connection
            .map(Connection::Server)
            .map_err(|error| Self::reason(&error, self.cluster))
    }

    /// Checks that this certificate belongs to any node of this cluster.
    pub(crate) fn is_of_a_node(&self, chain: &[CertificateDer<'_>]) -> Result<(), Untrusted> {
        let own = chain.first().ok_or(Untrusted::NoCertificate)?;
        names_a_node(own, self.cluster)
    }

    /// Checks that this certificate belongs to this node.
    pub(crate) fn is_of(
        &self,
        chain: &[CertificateDer<'_>],
        node: NodeId,
    ) -> Result<(), Untrusted> {
        let own = chain.first().ok_or(Untrusted::NoCertificate)?;
        names(own, self.cluster, node)
    }

    /// Verifies the certificates that this node presented at its end, as of this time.
    pub(crate) fn judge(
        &self,
        chain: &[CertificateDer<'_>],
        node: NodeId,
        end: End,
        at: SystemTime,
    ) -> Result<(), Untrusted> {
        let (own, between) = chain.split_first().ok_or(Untrusted::NoCertificate)?;
        let at = unix_time(at).ok_or(Untrusted::NotYetValid)?;
        let judged = match end {
            End::Accepted => {
                let name = self.server_name(node)?;
                let judged = self
                    .of_servers
                    .verify_server_cert(own, between, &name, &[], at);
                judged.map(|_| ())
            }
            End::Dialed => {
                let judged = self.of_clients.verify_client_cert(own, between, at);
                judged.map(|_| ())
            }
        };
        judged.map_err(|error| Self::reason(&error, self.cluster))?;
        self.is_of_a_node(chain)?;
        self.is_of(chain, node)
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.time.0)()
    }

    /// The reason that a TLS error gives for not trusting the other end.
    pub(crate) fn reason(error: &rustls::Error, cluster: ClusterId) -> Untrusted {
        use rustls::Error as Tls;
        match error {
            Tls::NoCertificatesPresented => Untrusted::NoCertificate,
            Tls::InvalidMessage(_) => Untrusted::NotTls,
            Tls::AlertReceived(_) => Untrusted::ByPeer,
            Tls::InvalidCertificate(error) => match error {
                CertificateError::UnknownIssuer => Untrusted::UnknownIssuer,
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    Untrusted::Expired
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    Untrusted::NotYetValid
                }
                CertificateError::Revoked => Untrusted::Revoked,
                CertificateError::UnknownRevocationStatus => Untrusted::RevocationUnknown,
                CertificateError::NotValidForNameContext { presented, .. } => {
                    of_whom(presented, cluster)
                }
                CertificateError::NotValidForName => Untrusted::OtherNode,
                _ => Untrusted::BadCertificate,
            },
            _ => Untrusted::Handshake,
        }
    }

    fn server_name(&self, node: NodeId) -> Result<ServerName<'static>, Untrusted> {
        let name = ServerName::try_from(node_name(self.cluster, node));
        name.map_err(|_| Untrusted::BadCertificate)
    }
}

/// The trusted CAs, and how many were left out because they have expired. Verifiers do not check the validity period
/// of trust anchors.
fn believed(
    authorities: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
    time: &Time,
) -> Result<(Arc<RootCertStore>, u64), TlsError> {
    let (mut all, mut believed) = (RootCertStore::empty(), RootCertStore::empty());
    for authority in &authorities {
        all.add(authority.clone()).map_err(unusable)?;
    }
    let all = Arc::new(all);
    let verifier = WebPkiServerVerifier::builder_with_provider(all.clone(), provider.clone());
    let verifier = verifier.build().map_err(unusable)?;
    let (name, now) = (ServerName::from(IpAddr::from([0; 4])), time.current_time());
    let now = now.ok_or(TlsError::Own(Untrusted::NotYetValid))?;
    let mut expired = 0;
    for authority in authorities {
        // A CA is not a server's certificate, so other errors are ignored; the validity period is checked first.
        let judged = verifier.verify_server_cert(&authority, &[], &name, &[], now);
        let judged = judged.map_err(|error| Suite::reason(&error, ClusterId(0)));
        match judged {
            Err(Untrusted::Expired) => expired += 1,
            _ => believed.add(authority).map_err(unusable)?,
        }
    }
    if believed.is_empty() {
        return Err(TlsError::ExpiredAuthorities);
    }
    Ok((Arc::new(believed), expired))
}

/// The process default provider takes precedence over the built-in one.
fn provider() -> Option<Arc<CryptoProvider>> {
    let installed = CryptoProvider::get_default().cloned();
    #[cfg(feature = "ring")]
    let installed = installed.or_else(|| Some(Arc::new(rustls::crypto::ring::default_provider())));
    installed
}

#[derive(Clone)]
struct Time(Clock);

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        unix_time((self.0)())
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}

fn unix_time(time: SystemTime) -> Option<UnixTime> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(UnixTime::since_unix_epoch(since))
}

fn unusable(error: impl Error + Send + Sync + 'static) -> TlsError {
    TlsError::Unusable(error.into())
}

fn of_own(error: rustls::Error) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(_) => TlsError::OtherKey,
        error => unusable(error),
    }
}

/// One day.
const CHECK_INTERVAL_MAX: Duration = Duration::from_secs(24 * 60 * 60);
