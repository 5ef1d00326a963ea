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
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use synod_transport::{
    ClusterId, NodeId, TlsConfig,
    tls::{TlsError, node_name},
};

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
    /// Of the CA one file is there, and the other is not: it is somebody else's, or was lost. A new CA in its place
    /// would be one that no node believes.
    #[error(
        "there is {}, and {} is missing: bring it back, or take both away for a new CA",
        there.display(), missing.display()
    )]
    Half {
        /// What is there.
        there: PathBuf,
        /// What is not.
        missing: PathBuf,
    },
    /// The CA ends before the certificates would.
    #[error(
        "{}: the CA ends before the certificates would: ask for fewer days, or take it away for a new one",
        .0.display()
    )]
    Ends(PathBuf),
    /// The CA is not the one that this command made for this cluster, or its key is another.
    #[error("{}: nobody would believe that this CA has signed certificates of this cluster: {error}", ca.display())]
    Other {
        /// The CA.
        ca: PathBuf,
        /// What a node would say.
        error: TlsError,
    },
    /// Nothing can be signed: a host's name is none, or the CA's key is damaged.
    #[error("cannot sign: {0}")]
    Sign(#[from] rcgen::Error),
}

/// Makes them, valid from an hour before `now`, and tells what it made. Nothing is written unless all that is made is
/// good for as long as it says.
///
/// # Errors
/// [`CertsError`]
pub fn certs(options: &CertsOptions, now: SystemTime) -> Result<String, CertsError> {
    let authority = Authority::open(options, now)?;
    let nodes = 1..=options.nodes;
    let signed = nodes.map(|node| {
        authority
            .sign(options, node, now)
            .map(|signed| (node, signed))
    });
    let signed = signed.collect::<Result<Vec<_>, _>>()?;
    folder(&options.out, 0o755)?;
    if !authority.is_old {
        folder(&options.out.join(PRIVATE), 0o700)?;
        put(
            &options.out.join(CA_KEY),
            &authority.issuer.key().serialize_pem(),
            0o600,
        )?;
        put(&options.out.join(CA), &authority.pem, 0o644)?;
    }
    for (node, (certificate, key)) in signed {
        let file = |ending| options.out.join(format!("node-{node}.{ending}"));
        put(&file("key"), &key, 0o600)?;
        put(&file("pem"), &certificate, 0o644)?;
    }
    let made = if authority.is_old {
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

/// Who signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    /// It was there.
    is_old: bool,
}

impl Authority {
    /// The one that is there, or a new one.
    fn open(options: &CertsOptions, now: SystemTime) -> Result<Self, CertsError> {
        let (ca, ca_key) = (options.out.join(CA), options.out.join(CA_KEY));
        let mut params = CertificateParams::default();
        params.not_before = (now - SKEW).into();
        params.not_after = (now + 4 * u32::from(options.days) * DAY).into();
        let name = format!("synod development CA of cluster {}", options.cluster_id);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let (is_old, key, pem) = match (ca.exists(), ca_key.exists()) {
            (true, true) => {
                let read = |path: &Path| fs::read_to_string(path).map_err(of(path));
                (true, KeyPair::from_pem(&read(&ca_key)?)?, read(&ca)?)
            }
            (false, false) => {
                let key = KeyPair::generate()?;
                let pem = params.self_signed(&key)?.pem();
                (false, key, pem)
            }
            (false, true) => {
                return Err(CertsError::Half {
                    there: ca_key,
                    missing: ca,
                });
            }
            (true, false) => {
                return Err(CertsError::Half {
                    there: ca,
                    missing: ca_key,
                });
            }
        };
        let issuer = Issuer::new(params, key);
        Ok(Self {
            issuer,
            pem,
            is_old,
        })
    }

    /// The certificate of a node, and its key.
    fn sign(
        &self,
        options: &CertsOptions,
        node: u64,
        now: SystemTime,
    ) -> Result<(String, String), CertsError> {
        let (cluster, id) = (ClusterId(options.cluster_id), NodeId(node));
        let mut names = vec![node_name(cluster, id)];
        names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
        names.extend(options.hosts.iter().cloned());
        let end = now + u32::from(options.days) * DAY;
        let mut params = CertificateParams::new(names)?;
        params.not_before = (now - SKEW).into();
        params.not_after = end.into();
        let name = format!("synod node {node}");
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        let key = key.serialize_pem();
        // By those who will have to believe it: the CA's file may hold another's name, or another's key.
        let mut tls = TlsConfig::new(&*certificate, &*key, &*self.pem);
        for at in [now, end - Duration::from_secs(1)] {
            tls.clock = Arc::new(move || at);
            tls.check(cluster, id).map_err(|error| match error {
                TlsError::ExpiredAuthorities => CertsError::Ends(options.out.join(CA)),
                error => CertsError::Other {
                    ca: options.out.join(CA),
                    error,
                },
            })?;
        }
        Ok((certificate, key))
    }
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
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const PRIVATE: &str = "authority";
const CA: &str = "ca.pem";
const CA_KEY: &str = "authority/ca.key";

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, net::SocketAddr, os::unix::fs::PermissionsExt};

    use synod_transport::{DiskId, Hello, Security, Tcp, TcpConfig};

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
        tls.clock = Arc::new(move || now() + later);
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

    /// What is there stays as it is, whatever is wrong with the CA.
    #[test]
    fn what_nobody_would_believe_is_not_signed() {
        let directory = tempfile::TempDir::new().unwrap();
        let out = |name: &str| directory.path().join(name);
        let made = |name: &str| certs(&options(&out(name)), now()).unwrap();
        for name in ["one", "two", "three", "four", "five"] {
            made(name);
        }
        fs::remove_file(out("one/ca.pem")).unwrap();
        fs::remove_file(out("two/authority/ca.key")).unwrap();
        fs::copy(out("four/authority/ca.key"), out("three/authority/ca.key")).unwrap();
        let mut of_others = options(&out("four"));
        of_others.cluster_id = 8;
        // The CA is for four days.
        let late = now() + 73 * HOUR;
        let cases = [
            (options(&out("one")), now(), "ca.pem is missing"),
            (options(&out("two")), now(), "ca.key is missing"),
            (options(&out("three")), now(), "nobody would believe"),
            (of_others, now(), "nobody would believe"),
            (options(&out("five")), late, "the CA ends before"),
        ];
        for (options, now, words) in cases {
            let of_one = options.out.join("node-1.pem");
            let before = fs::read(&of_one).unwrap();
            let error = certs(&options, now).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
            assert_eq!(fs::read(&of_one).unwrap(), before, "{words}");
        }
        certs(&options(&out("five")), late - 2 * HOUR).unwrap();
    }

    const HOUR: Duration = Duration::from_secs(60 * 60);
}
