//! Nodes with certificates, and peers with invalid ones or none. Each test has its own certificates and
//! clock.

#[path = "../net/mod.rs"]
mod net;

mod authority;
mod bounds;
mod hand;
mod openssl;
mod refusals;
mod reload;
mod security;
mod traffic;

use authority::{Authority, NOW, Shown};
use net::Cluster;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use synod_transport::{Security, Tcp, TcpConfig, TlsConfig};

/// Milliseconds since 1970, shared by all nodes of a test.
type Time = Arc<AtomicU64>;

fn time() -> Time {
    Arc::new((NOW * 1_000).into())
}

/// The TLS configuration of a node with this certificate that trusts this CA.
fn believing(shown: &Shown, ca: &Authority, time: &Time) -> TlsConfig {
    let mut config = TlsConfig::new(&*shown.certificate, &*shown.key, ca.pem());
    let time = time.clone();
    config.clock = Arc::new(move || {
        SystemTime::UNIX_EPOCH + Duration::from_millis(time.load(Ordering::Relaxed))
    });
    config.check_interval = Duration::from_millis(20);
    config
}

/// The configuration of a node with a certificate of its own.
fn config(cluster: &Cluster, ca: &Authority, id: u64) -> TcpConfig {
    let mut config = cluster.config(id, 1);
    let tls = believing(&ca.node(id), ca, &time());
    config.security = Some(Security::Tls(tls));
    config
}

/// An error with all its causes.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(|error| format!("{error}; ")).collect()
}

async fn start(cluster: &Cluster, ca: &Authority, id: u64) -> Tcp {
    Tcp::bind(config(cluster, ca, id)).await.expect("binds")
}
