//! How a client reaches servers: in plain or by TLS, and what it says before anything else.

use std::{
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use redis_protocol::resp2::types::BytesFrame;
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        crypto::ring::default_provider,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
        version::TLS13,
    },
};

use crate::{
    channel::Channel,
    client::{Client, ClientError},
    password::Password,
};

/// How the servers are reached.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ReachOptions {
    /// Speak TLS with servers whose certificates this CA has signed, PEM (`kv serve --resp-tls`)
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// Say the password that is the first line of this file (`kv serve --requirepass-file`)
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// What was read of that.
#[derive(Clone)]
pub(crate) struct Reach {
    tls: Option<TlsConnector>,
    password: Option<Password>,
}

impl Reach {
    /// Reads the files.
    ///
    /// # Errors
    /// With the name of the file that is of no use.
    pub(crate) fn read(options: &ReachOptions) -> io::Result<Self> {
        let tls = options.tls_ca.as_deref().map(believing).transpose()?;
        let password = options.password_file.as_deref().map(|path| {
            let password = Password::first_line(&std::fs::read(path).map_err(of(path))?);
            password.map_err(of(path))
        });
        Ok(Self {
            tls,
            password: password.transpose()?,
        })
    }

    /// A connection on which requests are served.
    ///
    /// # Errors
    /// Those of the socket; that the server is not believed, or that it does not take the password.
    pub(crate) async fn connect(&self, address: &str) -> io::Result<Client> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let channel = match &self.tls {
            None => Channel::Plain(stream),
            Some(connector) => {
                let shaken = connector.connect(name(address)?, stream).await?;
                Channel::Tls(Box::new(shaken.into()))
            }
        };
        let mut client = Client::over(channel);
        if let Some(password) = &self.password {
            match client.call(&[b"AUTH", password.bytes()]).await {
                Ok(BytesFrame::Error(text)) => return Err(io::Error::other(text.to_string())),
                Ok(_) => {}
                Err(ClientError::Io(error)) => return Err(error),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
        Ok(client)
    }
}

fn believing(path: &Path) -> io::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(path).map_err(of(path))? {
        let authority = authority.map_err(of(path))?;
        roots.add(authority).map_err(of(path))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13])
        .map_err(of(path))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config).into())
}

/// What the certificate must name: the host of `HOST:PORT`.
fn name(address: &str) -> io::Result<ServerName<'static>> {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = match bare.parse::<IpAddr>() {
        Ok(address) => ServerName::from(address),
        Err(_) => ServerName::try_from(host.to_owned()).map_err(io::Error::other)?,
    };
    Ok(name)
}

fn of<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> io::Error {
    move |error| io::Error::other(format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_what_its_address_names() {
        let named = |address: &str| format!("{:?}", name(address).unwrap());
        assert!(named("node.example:6379").contains("node.example"));
        assert!(named("127.0.0.1:6379").contains("V4"));
        assert!(named("[::1]:6379").contains("V6"));
        assert!(name("no name:1").is_err());
    }
}
