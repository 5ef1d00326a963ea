//! `kv certs`: a CA for development, and the certificates of nodes.
//!
//! ```text
//!  DIR/ca.pem              whom nodes believe, and clients of --resp-tls
//!  DIR/node-1.pem, .key    of node 1; likewise of each
//!  DIR/authority/ca.key    signs more of them: not for any node's machine
//! ```
//!
//! Called again, it signs new certificates by the CA that is there. A node that runs notices: each file is
//! replaced whole.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use synod_transport::{ClusterId, NodeId, tls::node_name};

/// Make certificates for development: a CA and a certificate for each node
#[derive(Clone, Debug, clap::Args)]
pub struct CertsOptions {
    /// Where to; made if it is not there. What is signed again is signed by the CA that is there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Nodes, numbered from 1
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    pub nodes: u64,
    /// The cluster's number, as `kv serve --cluster-id` has it
    #[arg(long, default_value_t = 1)]
    pub cluster_id: u128,
    /// Further names and addresses by which clients of --resp-tls reach nodes, in the certificate of each; beside
    /// localhost, 127.0.0.1 and ::1
    #[arg(long = "host", value_name = "NAME", value_delimiter = ',')]
    pub hosts: Vec<String>,
    /// How long the nodes' certificates are valid; the CA is for four times as long
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=825))]
    pub days: u16,
}

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertsError {
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// Nothing can be signed: a host's name is none, or the CA's key is damaged.
    #[error("cannot sign: {0}")]
    Sign(#[from] rcgen::Error),
}

/// Makes them, valid from an hour before `now`, and tells what it made.
///
/// # Errors
/// [`CertsError`]
pub fn certs(options: &CertsOptions, now: SystemTime) -> Result<String, CertsError> {
    let private = options.out.join("authority");
    folder(&options.out, 0o755)?;
    folder(&private, 0o700)?;
    let (ca, ca_key) = (options.out.join("ca.pem"), private.join("ca.key"));
    let (valid_from, day) = (now - SKEW, Duration::from_secs(24 * 60 * 60));
    let mut params = CertificateParams::default();
    params.not_before = valid_from.into();
    params.not_after = (now + 4 * u32::from(options.days) * day).into();
    let name = format!("synod development CA of cluster {}", options.cluster_id);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let is_there = ca_key.exists() && ca.exists();
    let key = if is_there {
        let text = fs::read_to_string(&ca_key).map_err(of(&ca_key))?;
        KeyPair::from_pem(&text)?
    } else {
        let key = KeyPair::generate()?;
        put(&ca_key, &key.serialize_pem(), 0o600)?;
        put(&ca, &params.self_signed(&key)?.pem(), 0o644)?;
        key
    };
    let issuer = Issuer::new(params, key);
    for node in 1..=options.nodes {
        let mut names = vec![node_name(ClusterId(options.cluster_id), NodeId(node))];
        names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
        names.extend(options.hosts.iter().cloned());
        let mut params = CertificateParams::new(names)?;
        params.not_before = valid_from.into();
        params.not_after = (now + u32::from(options.days) * day).into();
        let name = format!("synod node {node}");
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        let file = |ending| options.out.join(format!("node-{node}.{ending}"));
        put(&file("key"), &key.serialize_pem(), 0o600)?;
        put(&file("pem"), &certificate.pem(), 0o644)?;
    }
    let made = if is_there {
        "signed again by the CA in"
    } else {
        "made, with a CA, in"
    };
    Ok(format!(
        "certificates of {} nodes, valid for {} days, {made} {}",
        options.nodes,
        options.days,
        options.out.display()
    ))
}

fn folder(path: &Path, mode: u32) -> Result<(), CertsError> {
    let mut builder = fs::DirBuilder::new();
    let made = builder.recursive(true).mode(mode).create(path);
    made.map_err(of(path))
}

/// Whole or not at all, and never readable for others while it is written.
fn put(path: &Path, text: &str, mode: u32) -> Result<(), CertsError> {
    let part = path.with_added_extension("part");
    let write = || {
        // What an earlier attempt has left may have another mode.
        match fs::remove_file(&part) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&part)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().map_err(of(path))
}

fn of(path: &Path) -> impl FnOnce(io::Error) -> CertsError {
    move |error| CertsError::File {
        path: path.to_owned(),
        error,
    }
}

/// Clocks of nodes differ.
const SKEW: Duration = Duration::from_secs(60 * 60);

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, net::SocketAddr, os::unix::fs::PermissionsExt};

    use synod_transport::{DiskId, Hello, Security, Tcp, TcpConfig, TlsConfig};

    use super::*;

    /// In 2026.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000)
    }

    fn options(out: &Path) -> CertsOptions {
        CertsOptions {
            out: out.to_owned(),
            nodes: 2,
            cluster_id: 7,
            hosts: vec!["node.example".into()],
            days: 1,
        }
    }

    /// Whether a node of this cluster starts with them a moment later.
    async fn starts(out: &Path, cluster: u128, node: u64, later: Duration) -> bool {
        let read = |name: String| fs::read(out.join(name)).unwrap();
        let (certificate, key) = (
            read(format!("node-{node}.pem")),
            read(format!("node-{node}.key")),
        );
        let mut tls = TlsConfig::new(certificate, key, read("ca.pem".into()));
        tls.clock = std::sync::Arc::new(move || now() + later);
        let hello = Hello::new(ClusterId(cluster), NodeId(node), DiskId(1), 1);
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut config = TcpConfig::new(hello, listen, BTreeMap::new());
        config.security = Some(Security::Tls(tls));
        Tcp::bind(config).await.is_ok()
    }

    #[tokio::test]
    async fn each_node_has_a_certificate_and_the_key_of_the_authority_is_apart() {
        let directory = tempfile::TempDir::new().unwrap();
        let out = directory.path().join("new");
        certs(&options(&out), now()).unwrap();
        for node in [1, 2] {
            assert!(starts(&out, 7, node, Duration::ZERO).await);
            assert!(
                !starts(&out, 8, node, Duration::ZERO).await,
                "of another cluster"
            );
        }
        assert!(!starts(&out, 7, 1, 25 * HOUR).await, "a day and no longer");
        assert!(starts(&out, 7, 1, 23 * HOUR).await);
        let mode = |name: &str| fs::metadata(out.join(name)).unwrap().permissions().mode() & 0o777;
        for key in ["authority/ca.key", "node-1.key", "node-2.key"] {
            assert_eq!(mode(key), 0o600, "{key}");
        }
        assert_eq!(mode("authority"), 0o700);
        let names = fs::read_dir(&out)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        let expected = [
            "authority",
            "ca.pem",
            "node-1.key",
            "node-1.pem",
            "node-2.key",
            "node-2.pem",
        ];
        assert_eq!(names, expected);
    }

    #[tokio::test]
    async fn what_is_signed_again_is_signed_by_the_authority_that_is_there() {
        let directory = tempfile::TempDir::new().unwrap();
        let out = directory.path();
        certs(&options(out), now()).unwrap();
        let read = |name: &str| fs::read(out.join(name)).unwrap();
        let (ca, before) = (read("ca.pem"), read("node-1.pem"));
        certs(&options(out), now() + 20 * HOUR).unwrap();
        assert_eq!(read("ca.pem"), ca);
        assert_ne!(read("node-1.pem"), before);
        assert!(
            starts(out, 7, 1, 30 * HOUR).await,
            "longer than the first one was"
        );
    }

    const HOUR: Duration = Duration::from_secs(60 * 60);
}
