//! The TLS configuration of a node, as bytes.

use super::suite::Suite;
use crate::{ClusterId, NodeId, Untrusted};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The clock that validity periods of certificates are checked against.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The certificate of a node, its key, and the CAs that it trusts. Each is PEM or DER; DER holds a single
/// item.
#[derive(Clone)]
#[non_exhaustive]
pub struct TlsConfig {
    /// The node's certificate, which names it ([`node_name`](crate::tls::node_name)) and is valid for
    /// servers and clients, followed by the intermediate certificates up to the CA, if there are any.
    pub certificate: Vec<u8>,
    /// The certificate's private key: PKCS#8, PKCS#1 or SEC1.
    pub key: Vec<u8>,
    /// The trusted CAs. A certificate signed by them is accepted only if it names a node of the cluster. A CA
    /// that has expired when it is read is not trusted.
    pub ca: Vec<u8>,
    /// The revocation lists of these CAs; may be empty. If there is one, there must be one for each CA. A
    /// list past its next update is still used.
    pub crls: Vec<u8>,
    /// How often the certificates of open connections are verified again. A connection is closed at most
    /// this long after its certificate expires. Default 10 s.
    pub check_interval: Duration,
    /// The clock. Default: the system's.
    pub clock: Clock,
}

impl TlsConfig {
    /// A configuration with this certificate and key that trusts these CAs.
    #[must_use]
    pub fn new(
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
        ca: impl Into<Vec<u8>>,
    ) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "certificates are valid by wall-clock time"
        )]
        let clock = Arc::new(SystemTime::now);
        Self {
            certificate: certificate.into(),
            key: key.into(),
            ca: ca.into(),
            crls: Vec::new(),
            check_interval: Duration::from_secs(10),
            clock,
        }
    }

    /// Checks that this node of this cluster could start with it now, by its clock.
    ///
    /// # Errors
    /// The TLS errors that [`Tcp::bind`](crate::Tcp::bind) would return.
    pub fn check(&self, cluster: ClusterId, node: NodeId) -> Result<(), TlsError> {
        Suite::new(self, cluster, node).map(|_| ())
    }

    pub(crate) fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        certificates(&self.certificate, "certificate")
    }

    pub(crate) fn authorities(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        certificates(&self.ca, "CA")
    }

    pub(crate) fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let unreadable = TlsError::Unreadable { what: "key" };
        if is_pem(&self.key) {
            return PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| unreadable);
        }
        PrivateKeyDer::try_from(self.key.clone()).map_err(|_| unreadable)
    }

    pub(crate) fn revoked(&self) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
        if self.crls.is_empty() {
            return Ok(Vec::new());
        }
        several(&self.crls, "revocation list")
    }
}

fn certificates(
    bytes: &[u8],
    what: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    several(bytes, what)
}

/// All items in `bytes`, at least one.
fn several<T: PemObject + From<Vec<u8>>>(
    bytes: &[u8],
    what: &'static str,
) -> Result<Vec<T>, TlsError> {
    if !is_pem(bytes) {
        return match bytes {
            [] => Err(TlsError::Unreadable { what }),
            der => Ok(vec![T::from(der.to_vec())]),
        };
    }
    let read: Result<Vec<T>, _> = T::pem_slice_iter(bytes).collect();
    match read {
        Ok(read) if !read.is_empty() => Ok(read),
        _ => Err(TlsError::Unreadable { what }),
    }
}

/// Text before the first PEM line is ignored.
fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(PEM.len()).any(|window| window == PEM)
}

/// Omits the key.
impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("check_interval", &self.check_interval)
            .finish_non_exhaustive()
    }
}

/// Why certificates are not usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The bytes are empty, or neither PEM nor DER of the expected item.
    #[error("the {what} cannot be read: it is empty, or neither PEM nor DER")]
    Unreadable {
        /// The expected item.
        what: &'static str,
    },
    /// The key does not match the certificate.
    #[error("the key does not match the certificate")]
    OtherKey,
    /// Peers would reject this node's own certificate, judging by its own CAs and revocation lists.
    #[error("this node's own certificate would be refused by its peers: {0}")]
    Own(Untrusted),
    /// All CAs have expired.
    #[error("all CAs have expired")]
    ExpiredAuthorities,
    /// `check_interval` is zero or too long.
    #[error("check_interval is out of its range")]
    CheckInterval,
    /// Neither the feature `ring` nor a process default provider of rustls is available.
    #[error(
        "there is no cryptography provider: enable the feature `ring`, or install a default provider of rustls"
    )]
    NoProvider,
    /// The transport was bound without TLS.
    #[error("this node does not speak TLS")]
    NotInUse,
    /// Another error of rustls.
    #[error("rustls rejects the certificates")]
    Unusable(#[source] Box<dyn Error + Send + Sync>),
}

const PEM: &[u8] = b"-----BEGIN ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_certificate_is_told_as_what_it_should_have_been() {
        let config = TlsConfig::new(*b"-----BEGIN nothing", "", "");
        let of = |error: TlsError| error.to_string();
        assert!(of(config.chain().unwrap_err()).starts_with("the certificate cannot"));
        assert!(of(config.private_key().unwrap_err()).starts_with("the key cannot"));
        assert!(of(config.authorities().unwrap_err()).starts_with("the CA cannot"));
        assert!(config.revoked().unwrap().is_empty());
    }

    #[test]
    fn what_is_shown_of_it_has_no_key() {
        let config = TlsConfig::new("", "secret", "");
        let shown = format!("{config:?} {:?}", crate::Security::Tls(config.clone()));
        assert!(
            !shown.contains("secret") && !shown.contains("115"),
            "{shown}"
        );
    }
}
