//! Why whoever is at the other end is not believed.

/// Why a connection has ended that TLS was to protect: of whoever is at its other end it is not known that it
/// is the node that it should be.
///
/// How often each came about stands in [`Status::untrusted`](crate::Status::untrusted).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Untrusted {
    /// It showed no certificate.
    #[error("it shows no certificate")]
    NoCertificate,
    /// None of the CAs has signed its certificate: another has, or it has signed it itself.
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
    /// There are revocation lists, and none of them is of the CA that has signed its certificate.
    #[error("no revocation list is of the CA that has signed its certificate")]
    RevocationUnknown,
    /// Its certificate names no node: it is a client's, or something else's.
    #[error("its certificate names no node")]
    NoNode,
    /// Its certificate names a node of another cluster.
    #[error("its certificate is of another cluster")]
    OtherCluster,
    /// Its certificate names another node than it says that it is, or than is wanted.
    #[error("its certificate is of another node")]
    OtherNode,
    /// Its certificate is no certificate, or not for this.
    #[error("its certificate is damaged, or not for this purpose")]
    BadCertificate,
    /// What it sends is no TLS: it speaks plain TCP, or something else.
    #[error("what it sends is not TLS")]
    NotTls,
    /// It speaks TLS, and this node does not.
    #[error("it speaks TLS, and this node does not")]
    OnlyTls,
    /// It broke the rules of TLS, or has no version or cipher in common with this node.
    #[error("it breaks the rules of TLS, or has nothing in common with this node")]
    Handshake,
    /// It ended the connection before it had shown who it is, as does who speaks no TLS.
    #[error("it hung up before it had shown who it is")]
    HungUp,
    /// It does not believe this node, and said so.
    #[error("it does not trust this node's certificate")]
    ByPeer,
}

impl Untrusted {
    /// Each of them once.
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

    /// The name of its counter: `untrusted_` and a few words of lower case.
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

    /// A counter is found by its place.
    #[test]
    fn each_reason_has_a_place_and_a_name_of_its_own() {
        for (place, reason) in Untrusted::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, place, "{reason:?}");
            let same = |other: &&Untrusted| other.name() == reason.name();
            assert_eq!(Untrusted::ALL.iter().filter(same).count(), 1, "{reason:?}");
        }
    }
}
