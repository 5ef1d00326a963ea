//! How connections are protected, and which addresses are allowed without protection.

#[cfg(feature = "tls")]
use crate::tls::TlsConfig;
use std::net::IpAddr;

/// How connections between nodes are protected. There is no default: without a choice a transport speaks
/// plain TCP on loopback only. It neither listens on nor dials an address that is reachable from other
/// machines, whatever its form and however it was resolved.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Security {
    /// Mutual TLS 1.3: each end presents a certificate that names its node.
    #[cfg(feature = "tls")]
    Tls(TlsConfig),
    /// No protection, for any address. Anyone with access to the network can impersonate any node, and read
    /// and change everything.
    Insecure,
}

impl Security {
    /// The advice in errors about an address that is not allowed.
    pub(crate) const WAYS_OUT: &str = "set TcpConfig::security to Security::Tls, or to \
        Security::Insecure where nobody else reaches the network";
}

/// Whether this is a loopback address.
pub(crate) fn is_here(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_loopback_and_nothing_else() {
        let is_here = |text: &str| is_here(text.parse().expect("an address"));
        for here in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in ["0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1", "fe80::1"] {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }
}
