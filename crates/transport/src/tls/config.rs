//! What a node is told of certificates, as bytes.

use super::suite::Suite;
use crate::{ClusterId, NodeId, Untrusted};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What time it is: certificates are valid from a time until another.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// The certificate of a node and its key, and the CAs that it believes. Each is PEM or DER; where several may
/// stand, DER is one.
#[derive(Clone)]
#[non_exhaustive]
pub struct TlsConfig {
    /// The node's certificate, which names it ([`node_name`](crate::tls::node_name)) and is for servers and
    /// clients; behind it those between it and the CA, if there are any.
    pub certificate: Vec<u8>,
    /// The certificate's private key: PKCS#8, PKCS#1 or SEC1.
    pub key: Vec<u8>,
    /// The CAs whose certificates are believed. Of whatever else they sign, nothing is believed that does not
    /// name a node of the cluster. One that has expired when it is read is not believed.
    pub ca: Vec<u8>,
    /// Lists of what those have revoked; empty when there is none. If there is one, there must be one of each
    /// CA. That a list is older than it says it should be is no reason to refuse anybody.
    pub crls: Vec<u8>,
    /// How often those that are connected are looked at again: whether their certificates are still valid. A
    /// connection ends at most this long after its certificate does. Default 10 s.
    pub check_interval: Duration,
    /// The time. Default: the system's.
    pub clock: Clock,
}

impl TlsConfig {
    /// A node with this certificate and key that believes these CAs.
    #[must_use]
    pub fn new(
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
        ca: impl Into<Vec<u8>>,
    ) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "certificates are valid by the time of the day"
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

    /// Whether this node of this cluster could start with it now, by its clock.
    ///
    /// # Errors
    /// Those of TLS that [`Tcp::bind`](crate::Tcp::bind) would end with.
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

/// All that stand there, at least one.
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

/// What stands before the first line of PEM is for people.
fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(PEM.len()).any(|window| window == PEM)
}

/// Without the key.
impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("check_interval", &self.check_interval)
            .finish_non_exhaustive()
    }
}

/// Why certificates are of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// It is neither PEM nor DER of that, or nothing.
    #[error("the {what} cannot be read: neither PEM nor DER of one, or empty")]
    Unreadable {
        /// What it should have been.
        what: &'static str,
    },
    /// The key is not that of the certificate.
    #[error("the key is not that of the certificate")]
    OtherKey,
    /// Nobody would believe this node's own certificate, by the CAs and revocation lists that it has itself.
    #[error("this node's own certificate would be refused by its peers: {0}")]
    Own(Untrusted),
    /// None of the CAs is valid any more.
    #[error("the CA has expired, or each of them has if there are more")]
    ExpiredAuthorities,
    /// How often certificates are looked at is never, or without end.
    #[error("check_interval is out of its range")]
    CheckInterval,
    /// Neither the feature `ring` is there nor a default of the process that rustls was told.
    #[error(
        "there is no provider of cryptography: switch on the feature `ring`, or install one in rustls"
    )]
    NoProvider,
    /// The transport was bound without TLS.
    #[error("this node does not speak TLS")]
    NotInUse,
    /// What TLS says is wrong with them.
    #[error("they cannot be used")]
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
