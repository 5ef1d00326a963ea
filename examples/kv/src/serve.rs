//! `kv serve`: one node of a cluster, as a process.
//!
//! Log, transport, machine and clients share one thread. A hop to another thread costs more than
//! most of what a request needs, and a node that waits for its disk has nothing better to do.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    io::{self, Read},
    net::ToSocketAddrs,
    path::PathBuf,
    pin::pin,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use synod_replica::{Identity, Node, NodeConfig, NodeId, ThreadedLog};
use synod_transport::{ClusterId, DiskId, Tcp, TcpConfig};
use synod_wal::{Directory, Disk, PowerLoss, Wal};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::{oneshot, watch},
};
use tracing::info;

use crate::{
    framing::RequestLimits,
    limits::{MemoryLimits, bound_log, bound_node, bound_transport},
    protocol::Agreement,
    server::{Server, ServerLimits},
};

/// Run one node of a cluster.
#[derive(Clone, Debug, clap::Args)]
pub struct ServeOptions {
    /// This node's number
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub id: u64,
    /// Every node of the cluster, this one too: where its peers reach it
    #[arg(
        long,
        value_name = "ID=HOST:PORT,..",
        value_delimiter = ',',
        required = true
    )]
    pub cluster: Vec<Member>,
    /// Where clients reach this node
    #[arg(long, value_name = "HOST:PORT")]
    pub resp: String,
    /// This node's data; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// How the nodes agree.
    #[command(flatten)]
    pub agreement: Agreement,
    /// The cluster's number: nodes of different clusters do not talk
    #[arg(long, default_value_t = 1)]
    pub cluster_id: u128,
    /// How long a request may take before it ends in an error
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    pub timeout_ms: u64,
    /// Take a snapshot after so many bytes of log
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 64 << 20,
        value_parser = clap::value_parser!(u64).range(4_096..)
    )]
    pub snapshot_log_bytes: u64,
    /// Longest request of a client, and so the longest value
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = REQUEST_BYTES_MAX,
        value_parser = clap::value_parser!(u32).range(1_024..=2 << 20)
    )]
    pub request_bytes_max: u32,
    /// Client connections at a time
    #[arg(long, default_value_t = ServerLimits::default().clients_max)]
    pub clients_max: usize,
    /// Requests and answers that all connections together may hold; one that needs more is cut
    #[arg(long, value_name = "BYTES", default_value_t = ServerLimits::default().clients_bytes_max)]
    pub clients_bytes_max: usize,
    /// Requests of one connection under way at a time
    #[arg(long, default_value_t = ServerLimits::default().inflight_max)]
    pub inflight_max: usize,
    /// Keep what was not synced in memory, so that a kill loses it as a power cut would
    #[arg(long)]
    pub power_loss: bool,
    /// Never sync, and say it was done: for showing that this is noticed. Implies --power-loss
    #[arg(long)]
    pub skip_sync: bool,
    /// Stop when standard input ends
    #[arg(long)]
    pub exit_with_parent: bool,
    /// What to tell on standard error: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "warn")]
    pub log: tracing::level_filters::LevelFilter,
}

/// A node of the cluster, as `--cluster` names it: `1=127.0.0.1:7001`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub id: u64,
    /// Where its peers reach it.
    pub address: String,
}

/// Why a node does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The cluster does not list this node, or lists a node twice.
    #[error("--cluster must list each node once, and node {0} among them")]
    Cluster(u64),
    /// A part of the node does not start, or failed.
    #[error("{part}: {error}")]
    Part {
        /// Which.
        part: &'static str,
        /// The reason.
        error: Box<dyn Error + Send + Sync>,
    },
}

/// Runs a node until it is told to stop: by SIGTERM, SIGINT, or the end of its standard input.
///
/// # Errors
/// [`ServeError`]
pub async fn serve(options: &ServeOptions) -> Result<(), ServeError> {
    tracing_subscriber::fmt()
        .with_max_level(options.log)
        .with_writer(io::stderr)
        .init();
    let directory = Directory::open(&options.data).map_err(part("data directory"))?;
    if options.skip_sync {
        run(options, PowerLoss::lying(directory)).await
    } else if options.power_loss {
        run(options, PowerLoss::new(directory)).await
    } else {
        run(options, directory).await
    }
}

async fn run<D: Disk>(options: &ServeOptions, disk: D) -> Result<(), ServeError> {
    // Before anything is told to anybody: whoever reads that the node is up may ask it to stop.
    let told = Told::listen(options.exit_with_parent).map_err(part("signals"))?;
    let peers = peers(options)?;
    let id = NodeId(options.id);
    let drawn = random().map_err(part("random numbers"))?;
    let identity = Identity::load(disk.clone(), ClusterId(options.cluster_id), id, || {
        DiskId(drawn)
    });
    let identity = Arc::new(identity.map_err(part("identity"))?);
    let boot = identity.hello().boot;

    let log = ThreadedLog::new(Wal::open(disk, bound_log()).map_err(part("log"))?);
    let transport = transport(identity, &peers).await?;
    let listener = TcpListener::bind(&options.resp)
        .await
        .map_err(part("--resp"))?;
    let address = listener.local_addr().map_err(part("--resp"))?;

    let node = Node::start(node_config(options, boot), log, transport);
    let members: BTreeSet<_> = peers.keys().copied().collect();
    // Another seed in every life, so that nodes that once collided need not collide again.
    let group = options
        .agreement
        .open(&node, id, &members, drawn as u64)
        .await
        .map_err(part("group"))?;

    println!(
        "node {id} of {count}: {protocol}, RESP on {address}, peers on {peers}, life {boot}",
        id = options.id,
        count = peers.len(),
        protocol = options.agreement.describe(peers.len() as u64),
        peers = peers[&id],
    );
    let (stop, stopped) = watch::channel(false);
    let mut server = pin!(Server::run(
        listener,
        group,
        server_limits(options, peers.len() - 1),
        stopped
    ));
    tokio::select! {
        served = &mut server => served,
        why = told.stop() => {
            info!(why, "stopping");
            // Whoever is being served is finished with first.
            let _ = stop.send(true);
            server.await
        }
    }
    .map_err(part("server"))?;
    node.shutdown().await;
    Ok(())
}

fn peers(options: &ServeOptions) -> Result<BTreeMap<NodeId, String>, ServeError> {
    let peers: BTreeMap<_, _> = options
        .cluster
        .iter()
        .map(|member| (NodeId(member.id), member.address.clone()))
        .collect();
    if peers.len() == options.cluster.len() && peers.contains_key(&NodeId(options.id)) {
        Ok(peers)
    } else {
        Err(ServeError::Cluster(options.id))
    }
}

async fn transport<D: Disk>(
    identity: Arc<Identity<D>>,
    peers: &BTreeMap<NodeId, String>,
) -> Result<Tcp, ServeError> {
    let hello = identity.hello();
    let own = &peers[&hello.node];
    let listen = own.to_socket_addrs().and_then(|mut addresses| {
        addresses
            .next()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    });
    let mut config = TcpConfig::new(hello, listen.map_err(part("--cluster"))?, peers.clone());
    bound_transport(&mut config);
    config.admit = Arc::new(move |hello| identity.admit(hello));
    Tcp::bind(config).await.map_err(part("peers"))
}

fn node_config(options: &ServeOptions, boot: u64) -> NodeConfig {
    let mut config = NodeConfig::new(NodeId(options.id), boot);
    bound_node(&mut config);
    config.request_timeout = Duration::from_millis(options.timeout_ms);
    config.snapshot_log_bytes = options.snapshot_log_bytes;
    // A command takes no more than the request it came in, beside its name in the log.
    config.body_bytes_max = config
        .body_bytes_max
        .max(options.request_bytes_max as usize + NAME_BYTES_MAX);
    config
}

fn server_limits(options: &ServeOptions, peers: usize) -> ServerLimits {
    let request_bytes_max = options.request_bytes_max as usize;
    let usual = RequestLimits::default();
    ServerLimits {
        request: RequestLimits {
            bulk_bytes_max: request_bytes_max,
            request_bytes_max,
            ..usual
        },
        clients_max: options.clients_max,
        clients_bytes_max: options.clients_bytes_max,
        inflight_max: options.inflight_max.max(1),
        memory: MemoryLimits::of(
            peers,
            options.clients_bytes_max,
            options.power_loss || options.skip_sync,
        ),
    }
}

/// Waits for a reason to stop, and names it.
/// What ends a node in order. A signal is noted from the moment of listening on; before it, the
/// system's own way with signals holds, which is to end the process where it stands.
struct Told {
    terminate: Signal,
    interrupt: Signal,
    with_parent: bool,
}

impl Told {
    fn listen(with_parent: bool) -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self {
            terminate,
            interrupt,
            with_parent,
        })
    }

    /// Waits until it is told, and tells by what.
    async fn stop(mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            () = parent_gone(self.with_parent) => "the parent is gone",
        }
    }
}

/// Waits for the end of standard input, which comes when the other end of the pipe is closed: also
/// when whoever holds it was killed.
async fn parent_gone(with_parent: bool) {
    if !with_parent {
        return std::future::pending().await;
    }
    let (gone, seen) = oneshot::channel::<()>();
    // A thread of its own, because a read of standard input cannot be given up, and would hold up
    // the end of the runtime.
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while io::stdin().read(&mut buffer).is_ok_and(|read| read > 0) {}
        drop(gone);
    });
    // The other half is dropped, never used.
    let _ = seen.await;
}

fn random() -> io::Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(u128::from_le_bytes(bytes))
}

fn part<E: Into<Box<dyn Error + Send + Sync>>>(part: &'static str) -> impl FnOnce(E) -> ServeError {
    move |error| ServeError::Part {
        part,
        error: chain(&*error.into()).into(),
    }
}

/// An error with all its causes, in one line: the cause of most is in the last.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

impl FromStr for Member {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (id, address) = text.split_once('=').ok_or("expected ID=HOST:PORT")?;
        let id = id
            .parse()
            .ok()
            .filter(|id| *id > 0)
            .ok_or("a node's number is positive")?;
        match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => Ok(Self {
                id,
                address: address.to_owned(),
            }),
            _ => Err("expected HOST:PORT behind the ="),
        }
    }
}

const REQUEST_BYTES_MAX: u32 = 768 << 10;
const NAME_BYTES_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_a_number_and_an_address() {
        let member = |text: &str| {
            text.parse::<Member>()
                .map(|member| (member.id, member.address))
        };
        assert_eq!(member("1=127.0.0.1:7001"), Ok((1, "127.0.0.1:7001".into())));
        assert_eq!(member("2=[::1]:7001"), Ok((2, "[::1]:7001".into())));
        for bad in [
            "",
            "1",
            "=a:1",
            "0=a:1",
            "x=a:1",
            "1=a",
            "1=:1",
            "1=a:",
            "1=a:70000",
        ] {
            assert!(member(bad).is_err(), "{bad}");
        }
    }
}
