//! The node names in certificates.

use crate::{ClusterId, NodeId, Untrusted};
use rustls::pki_types::CertificateDer;
use webpki::EndEntityCert;

/// The DNS name of a node, which its certificate has among its subject alternative names:
/// `n3.c1.synod.internal` is node 3 of cluster 1, both in decimal.
///
/// It is never resolved. It is a DNS name so that the standard certificate checks apply to nodes, and is in
/// the top-level domain `internal`, which ICANN has reserved for private use.
///
/// ```
/// use synod_transport::{ClusterId, NodeId, tls::node_name};
///
/// assert_eq!(node_name(ClusterId(1), NodeId(3)), "n3.c1.synod.internal");
/// ```
#[must_use]
pub fn node_name(cluster: ClusterId, node: NodeId) -> String {
    format!("n{}.c{}.{DOMAIN}", node.0, cluster.0)
}

/// Whether a certificate names a node of this cluster, whichever.
pub(crate) fn names_a_node(
    certificate: &CertificateDer<'_>,
    cluster: ClusterId,
) -> Result<(), Untrusted> {
    let named = nodes_of(certificate)?;
    if named.iter().any(|(of, _)| *of == cluster) {
        Ok(())
    } else if named.is_empty() {
        Err(Untrusted::NoNode)
    } else {
        Err(Untrusted::OtherCluster)
    }
}

/// Whether a certificate names this node literally. The usual server verification accepts wildcards; here they
/// name no node.
pub(crate) fn names(
    certificate: &CertificateDer<'_>,
    cluster: ClusterId,
    node: NodeId,
) -> Result<(), Untrusted> {
    if nodes_of(certificate)?.contains(&(cluster, node)) {
        Ok(())
    } else {
        Err(Untrusted::OtherNode)
    }
}

fn nodes_of(certificate: &CertificateDer<'_>) -> Result<Vec<(ClusterId, NodeId)>, Untrusted> {
    let certificate = EndEntityCert::try_from(certificate);
    let certificate = certificate.map_err(|_| Untrusted::BadCertificate)?;
    Ok(certificate.valid_dns_names().filter_map(parse).collect())
}

/// Classifies a certificate of another node by the names that it presents.
pub(crate) fn of_whom(presented: &[String], cluster: ClusterId) -> Untrusted {
    let domain = format!(".{DOMAIN}");
    let of_cluster = format!(".c{}{domain}", cluster.0);
    if presented.iter().any(|name| name.contains(&of_cluster)) {
        Untrusted::OtherNode
    } else if presented.iter().any(|name| name.contains(&domain)) {
        Untrusted::OtherCluster
    } else {
        Untrusted::NoNode
    }
}

/// Accepts only what [`node_name`] returns, ignoring case, so that each node has one name.
fn parse(name: &str) -> Option<(ClusterId, NodeId)> {
    let name = name.to_ascii_lowercase();
    let labels = name.strip_suffix(DOMAIN)?.strip_suffix('.')?;
    let (node, cluster) = labels.split_once('.')?;
    let node = NodeId(node.strip_prefix('n')?.parse().ok()?);
    let cluster = ClusterId(cluster.strip_prefix('c')?.parse().ok()?);
    (node_name(cluster, node) == name).then_some((cluster, node))
}

const DOMAIN: &str = "synod.internal";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_one_node_and_a_node_has_one_name() {
        let largest = (ClusterId(u128::MAX), NodeId(u64::MAX));
        for (cluster, node) in [(ClusterId(1), NodeId(3)), largest] {
            let name = node_name(cluster, node);
            assert_eq!(parse(&name), Some((cluster, node)));
            assert_eq!(parse(&name.to_uppercase()), Some((cluster, node)));
            assert!(name.split('.').all(|label| label.len() <= 63), "{name}");
        }
        for other in [
            "n03.c1.synod.internal",
            "n+3.c1.synod.internal",
            "n3.c01.synod.internal",
            "n3.1.synod.internal",
            "*.c1.synod.internal",
            "n3.c1.c1.synod.internal",
            "n3.c1synod.internal",
            "n3.c1.synod.internal.example",
            "n18446744073709551616.c1.synod.internal",
            "localhost",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn who_is_not_wanted_is_told_apart() {
        let of = |name: &str| of_whom(&[format!("DnsName(\"{name}\")")], ClusterId(1));
        assert_eq!(of("n2.c1.synod.internal"), Untrusted::OtherNode);
        assert_eq!(of("n2.c11.synod.internal"), Untrusted::OtherCluster);
        assert_eq!(of("client.example"), Untrusted::NoNode);
        assert_eq!(of_whom(&[], ClusterId(1)), Untrusted::NoNode);
    }
}
