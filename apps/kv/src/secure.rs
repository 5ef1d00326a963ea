//! How a node protects its connections: what it is told, what it refuses, and certificates that change under it.

use std::{
    collections::BTreeMap,
    error::Error,
    fs, io,
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use synod_transport::{NodeId, Reload, Security, TlsConfig};
use tokio::{
    net::lookup_host,
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_rustls::rustls::{
    ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::NoServerSessionStorage,
    version::TLS13,
};
use tracing::{error, info, warn};

use crate::{access::Access, password::Password};

/// How connections are protected.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SecurityOptions {
    /// Speak plain TCP also where others than this machine reach it: whoever reaches the ports can read and
    /// change everything
    #[arg(long)]
    pub insecure: bool,
    /// This node's certificate, PEM: between nodes TLS is spoken. `kv certs` makes some. It is read again when
    /// it changes, and at SIGHUP, as its key, the CAs and the lists are
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "tls_ca"])]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// The CAs that sign the nodes' certificates, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_ca: Option<PathBuf>,
    /// What those have revoked, PEM: a list of each CA
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_crl: Option<PathBuf>,
    /// Speak TLS with clients, too, by the same certificate
    #[arg(long, requires = "tls_cert")]
    pub resp_tls: bool,
    /// Serve those clients who know the password (`AUTH`) that is the first line of this file. It is read once, at
    /// the start
    #[arg(long, value_name = "FILE")]
    pub requirepass_file: Option<PathBuf>,
}

/// Why connections cannot be protected as was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SecurityError {
    /// A file cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// Clients cannot be shown the certificate.
    #[error("--resp-tls: {0}")]
    Resp(Box<dyn Error + Send + Sync>),
    /// There is no password in the file for it.
    #[error("--requirepass-file: {0}")]
    Password(#[from] crate::password::PasswordError),
}

/// What an address that others reach is refused for, and what can be done about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unprotected {
    /// Where nodes meet.
    #[error(
        "connections between nodes at {0} leave this machine, and nothing protects them. Either give --tls-cert, \
         --tls-key and --tls-ca (kv certs makes some), or say --insecure where nobody else reaches the network"
    )]
    Peers(SocketAddr),
    /// Where clients come.
    #[error(
        "clients at {0} come from other machines, and nothing protects them. Either give --resp-tls or \
         --requirepass-file, or say --insecure where nobody else reaches the network"
    )]
    Clients(SocketAddr),
}

/// The bytes of all files of TLS.
#[derive(Clone, PartialEq, Eq)]
struct Files {
    certificate: Vec<u8>,
    key: Vec<u8>,
    ca: Vec<u8>,
    crls: Vec<u8>,
}

/// What was asked for, as it was read.
pub(crate) struct Secured {
    options: SecurityOptions,
    files: Option<Files>,
    resp: Option<watch::Sender<Arc<ServerConfig>>>,
    password: Option<Password>,
    hangup: Option<Signal>,
}

impl Secured {
    /// Reads the files.
    pub(crate) fn read(options: &SecurityOptions) -> Result<Self, SecurityError> {
        let files = Files::read(options)?;
        for path in options.tls_key.iter().chain(&options.requirepass_file) {
            if let Some(mode) = shared_mode(path) {
                warn!(
                    "{} has mode {mode:o}: others than its owner may read or change it, until it is given mode 600",
                    path.display()
                );
            }
        }
        let resp = files.as_ref().filter(|_| options.resp_tls);
        let resp = resp.map(Files::server_config).transpose()?;
        let password = match &options.requirepass_file {
            Some(path) => Some(Password::first_line(&read(path)?)?),
            None => None,
        };
        // Noted from now on: without certificates a hangup ends the process, as it always did.
        let hangup = files
            .as_ref()
            .and_then(|_| signal(SignalKind::hangup()).ok());
        Ok(Self {
            options: options.clone(),
            files,
            resp: resp.map(watch::Sender::new),
            password,
            hangup,
        })
    }

    /// For the transport.
    pub(crate) fn security(&self) -> Option<Security> {
        match &self.files {
            Some(files) => Some(Security::Tls(files.config())),
            None if self.options.insecure => Some(Security::Insecure),
            None => None,
        }
    }

    /// For the clients' port.
    pub(crate) fn access(&self) -> Access {
        Access {
            tls: self.resp.as_ref().map(watch::Sender::subscribe),
            password: self.password.clone(),
        }
    }

    /// Whether peers may be where they are said to be. The transport looks again, each time it dials: a name
    /// that nobody knows now may lead elsewhere later.
    pub(crate) async fn check_peers(
        &self,
        own: NodeId,
        peers: &BTreeMap<NodeId, String>,
    ) -> Result<(), Unprotected> {
        if self.security().is_some() {
            return Ok(());
        }
        // Where this node itself is reached, it need not listen.
        for (_, address) in peers.iter().filter(|(id, _)| **id != own) {
            let Ok(Ok(found)) = timeout(LOOKUP_TIMEOUT, lookup_host(address)).await else {
                continue;
            };
            if let Some(elsewhere) = found.into_iter().find(|found| !is_here(found.ip())) {
                return Err(Unprotected::Peers(elsewhere));
            }
        }
        Ok(())
    }

    /// Whether clients may come here.
    pub(crate) fn check_clients(&self, address: SocketAddr) -> Result<(), Unprotected> {
        let is_protected = self.resp.is_some() || self.password.is_some();
        if is_protected || self.options.insecure || is_here(address.ip()) {
            Ok(())
        } else {
            Err(Unprotected::Clients(address))
        }
    }

    /// Whether between nodes TLS is spoken, and with clients.
    pub(crate) fn encrypts(&self) -> (bool, bool) {
        (self.files.is_some(), self.resp.is_some())
    }

    /// Reads the files again when they have changed, for ever.
    pub(crate) async fn follow(mut self, reload: Reload) {
        let Some(used) = self.files.take() else {
            return;
        };
        let mut watch = Watch { used, seen: None };
        // What was told last is not told again at each look.
        let mut told = String::new();
        let (mut is_asked, mut wait) = (false, LOOK_EVERY);
        loop {
            is_asked |= tokio::select! {
                () = hung_up(&mut self.hangup) => true,
                () = sleep(wait) => false,
            };
            let options = self.options.clone();
            let read = tokio::task::spawn_blocking(move || Files::read(&options)).await;
            wait = LOOK_EVERY;
            let trouble = match read {
                Ok(Ok(Some(found))) => match watch.look(&found) {
                    Look::Changing => {
                        wait = SETTLED_AFTER;
                        continue;
                    }
                    Look::Same => {
                        if is_asked {
                            info!("the certificates have not changed");
                        }
                        String::new()
                    }
                    Look::Changed => self.change(&mut watch.used, found, &reload),
                },
                Ok(Err(error)) => {
                    reload.failed();
                    format!("the certificates stay what they are: {error}")
                }
                Ok(Ok(None)) | Err(_) => continue,
            };
            if !trouble.is_empty() && (is_asked || trouble != told) {
                error!("{trouble}");
            }
            (told, is_asked) = (trouble, false);
        }
    }

    /// Uses what was found, as far as it is of use, and tells what is wrong with the rest. What is wrong with the
    /// certificate of this node keeps nobody in whom the new CAs and lists refuse.
    fn change(&self, used: &mut Files, found: Files, reload: &Reload) -> String {
        let Err(error) = self.apply(&found, reload) else {
            *used = found;
            return String::new();
        };
        let trouble = crate::serve::chain(&*error);
        let of_others = Files {
            certificate: used.certificate.clone(),
            key: used.key.clone(),
            ..found
        };
        if of_others != *used && self.apply(&of_others, reload).is_ok() {
            *used = of_others;
            return format!(
                "this node's certificate stays what it is, and others' are judged anew: {trouble}"
            );
        }
        format!(
            "the certificates stay what they are: those that were read cannot be used: {trouble}"
        )
    }

    /// All of it or nothing.
    fn apply(&self, files: &Files, reload: &Reload) -> Result<(), Box<dyn Error + Send + Sync>> {
        let resp = match self.resp {
            Some(_) => Some(files.server_config()?),
            None => None,
        };
        let trouble = reload.reload(&files.config())?;
        if let (Some(to), Some(config)) = (&self.resp, resp) {
            to.send_replace(config);
        }
        info!("the certificates were changed");
        if let Some(reason) = trouble {
            warn!(%reason, "peers refuse this node: it shows the same certificate as before");
        }
        Ok(())
    }
}

/// What is in use, and what was found last.
///
/// A file may be read while somebody writes it, and half a set of CAs or a list of half of the revoked is as good to
/// read as a whole one. So what has changed is used when it was found twice, one after the other.
struct Watch {
    used: Files,
    seen: Option<Files>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// It is what is in use.
    Same,
    /// It may be changing still.
    Changing,
    /// It has changed. If it is of no use it may be later, and is tried again.
    Changed,
}

impl Watch {
    fn look(&mut self, found: &Files) -> Look {
        if *found == self.used {
            self.seen = None;
            Look::Same
        } else if self.seen.as_ref() == Some(found) {
            Look::Changed
        } else {
            self.seen = Some(found.clone());
            Look::Changing
        }
    }
}

async fn hung_up(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => {
            // None: there will be no more of them.
            if hangup.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        }
        None => std::future::pending().await,
    }
}

impl Files {
    fn read(options: &SecurityOptions) -> Result<Option<Self>, SecurityError> {
        let (Some(certificate), Some(key), Some(ca)) =
            (&options.tls_cert, &options.tls_key, &options.tls_ca)
        else {
            return Ok(None);
        };
        Ok(Some(Self {
            certificate: read(certificate)?,
            key: read(key)?,
            ca: read(ca)?,
            crls: options.tls_crl.as_deref().map_or(Ok(Vec::new()), revoked)?,
        }))
    }

    fn config(&self) -> TlsConfig {
        let mut config = TlsConfig::new(&*self.certificate, &*self.key, &*self.ca);
        config.crls.clone_from(&self.crls);
        config
    }

    /// Clients show no certificate.
    fn server_config(&self) -> Result<Arc<ServerConfig>, SecurityError> {
        let config = || -> Result<ServerConfig, Box<dyn Error + Send + Sync>> {
            let chain = CertificateDer::pem_slice_iter(&self.certificate);
            let key = PrivateKeyDer::from_pem_slice(&self.key)?;
            let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
                .with_protocol_versions(&[&TLS13])?
                .with_no_client_auth()
                .with_single_cert(chain.collect::<Result<_, _>>()?, key)?;
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            Ok(config)
        };
        config().map(Arc::new).map_err(SecurityError::Resp)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, SecurityError> {
    fs::read(path).map_err(|error| SecurityError::File {
        path: path.to_owned(),
        error,
    })
}

/// The mode of a file that its owner is not alone with.
fn shared_mode(path: &Path) -> Option<u32> {
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

/// The revocation lists. A file without one is being written, or was cut off: believed, it would let in whoever
/// is revoked.
fn revoked(path: &Path) -> Result<Vec<u8>, SecurityError> {
    let lists = read(path)?;
    if lists.is_empty() {
        let error = io::Error::new(
            io::ErrorKind::InvalidData,
            "the file of revocation lists is empty",
        );
        let path = path.to_owned();
        return Err(SecurityError::File { path, error });
    }
    Ok(lists)
}

/// Whether nobody but this machine is there.
fn is_here(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Longer than whoever copies a file pauses.
const SETTLED_AFTER: Duration = Duration::from_secs(1);
/// A name that is not found in this time is looked at when it is dialed.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
