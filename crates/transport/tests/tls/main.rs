//! Nodes that show certificates, and whoever shows another one, or none. Certificates are made anew for each
//! test, and its time is the test's own.

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

/// Milliseconds since 1970, as everybody in a test sees them.
type Time = Arc<AtomicU64>;

fn time() -> Time {
    Arc::new((NOW * 1_000).into())
}

/// What a node with this certificate that believes this CA is told.
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
