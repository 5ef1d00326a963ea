//! Why the other end of a TLS connection is not trusted.

/// Why a TLS connection was closed: its other end has not proved that it is the expected node.
///
/// [`Status::untrusted`](crate::Status::untrusted) counts each reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// It presented no certificate.
    #[error("it presents no certificate")]
    NoCertificate,
    /// None of the CAs has signed its certificate: it is another CA's or self-signed.
    #[error("none of the trusted CAs has signed its certificate")]
    UnknownIssuer,
    /// Its certificate is not valid any more.
    #[error("its certificate has expired")]
    Expired,
    /// Its certificate is not valid yet.
    #[error("its certificate is not valid yet")]
    NotYetValid,
    /// Its certificate was revoked.
    #[error("its certificate was revoked")]
    Revoked,
    /// There are revocation lists, but none from the CA that signed its certificate.
    #[error("there is no revocation list from the CA that signed its certificate")]
    RevocationUnknown,
    /// Its certificate names no node: it is a client's, or something else's.
    #[error("its certificate names no node")]
    NoNode,
    /// Its certificate names a node of another cluster.
    #[error("its certificate is of another cluster")]
    OtherCluster,
    /// Its certificate names another node than its hello, or than the one that was dialed.
    #[error("its certificate is of another node")]
    OtherNode,
    /// Its certificate is malformed, or not valid for this purpose.
    #[error("its certificate is malformed, or not valid for this purpose")]
    BadCertificate,
    /// It does not use TLS, but plain TCP or something else.
    #[error("it does not use TLS")]
    NotTls,
    /// It uses TLS, and this node does not.
    #[error("it uses TLS, and this node does not")]
    OnlyTls,
    /// It violated the TLS protocol, or has no version or cipher suite in common with this node.
    #[error(
        "it violates the TLS protocol, or has no version or cipher suite in common with this node"
    )]
    Handshake,
    /// It closed the connection before it had authenticated, as a peer without TLS does.
    #[error("it closed the connection before it had authenticated")]
    HungUp,
    /// It rejected this node's certificate.
    #[error("it does not trust this node's certificate")]
    ByPeer,
}

impl Untrusted {
    /// All reasons.
    pub const ALL: [Self; 15] = [
        Self::NoCertificate,
        Self::UnknownIssuer,
        Self::Expired,
        Self::NotYetValid,
        Self::Revoked,
        Self::RevocationUnknown,
        Self::NoNode,
        Self::OtherCluster,
        Self::OtherNode,
        Self::BadCertificate,
        Self::NotTls,
        Self::OnlyTls,
        Self::Handshake,
        Self::HungUp,
        Self::ByPeer,
    ];

    /// The name of its counter: `untrusted_` and a suffix in snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NoCertificate => "untrusted_no_certificate",
            Self::UnknownIssuer => "untrusted_unknown_issuer",
            Self::Expired => "untrusted_expired",
            Self::NotYetValid => "untrusted_not_yet_valid",
            Self::Revoked => "untrusted_revoked",
            Self::RevocationUnknown => "untrusted_revocation_unknown",
            Self::NoNode => "untrusted_no_node",
            Self::OtherCluster => "untrusted_other_cluster",
            Self::OtherNode => "untrusted_other_node",
            Self::BadCertificate => "untrusted_bad_certificate",
            Self::NotTls => "untrusted_not_tls",
            Self::OnlyTls => "untrusted_only_tls",
            Self::Handshake => "untrusted_handshake",
            Self::HungUp => "untrusted_hung_up",
            Self::ByPeer => "untrusted_by_peer",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The position of a reason in [`Untrusted::ALL`] is the index of its counter.
    #[test]
    fn each_reason_has_a_place_and_a_name_of_its_own() {
        for (place, reason) in Untrusted::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place, "{reason:?}");
            let same = |other: &&Untrusted| other.name() == reason.name();
            assert_eq!(Untrusted::ALL.iter().filter(same).count(), 1, "{reason:?}");
        }
    }
}
