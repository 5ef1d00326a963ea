//! Whether connections are protected, and where they may go if not.

#[cfg(feature = "tls")]
use crate::tls::TlsConfig;
use std::net::IpAddr;

/// How connections between nodes are protected. Nothing is chosen for anybody: a transport that was told
/// nothing speaks plain TCP and stays on its machine. It neither listens at an address that others reach nor
/// dials one, however that address is written or found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Security {
    /// By mutual TLS 1.3: each end shows a certificate that names its node.
    #[cfg(feature = "tls")]
    Tls(TlsConfig),
    /// Not at all, wherever they go. Whoever reaches the network can take any node's name, and read and change
    /// everything.
    Insecure,
}

impl Security {
    /// What may be done about an address that is not allowed.
    pub(crate) const WAYS_OUT: &str = "set TcpConfig::security to Security::Tls, or to \
        Security::Insecure where nobody else reaches the network";
}

/// Whether nobody but this machine is at this address.
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
