//! Measures what nodes hold in memory while one of them is gone, against what they are configured
//! to hold.
//!
//! A node that is down is when memory grows where it is not bounded: its peers keep entries, frames
//! and snapshots for it. So three nodes are started and every key of a fixed set is written once;
//! one follower is killed for good; and clients overwrite those keys, small values and large ones,
//! so that the map stays as large as it was. What the processes then take beyond what they took
//! before must fit into their [`MemoryLimits`](crate::MemoryLimits) and an allowance for what no
//! limit counts: the allocator's own, fragments, threads, and the values that a snapshot on its way
//! to the disk still holds.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use redis_protocol::resp2::types::BytesFrame;
use tokio::{
    task::JoinSet,
    time::{Instant, interval, timeout},
};

use crate::{
    client::{Client, ClientError},
    cluster::{Cluster, ClusterError, ClusterOptions, Listener},
    demo::report::grouped,
    info::{info_field, resident_bytes},
    output::print,
    random::Random,
};

/// Measure the memory of nodes under load while one of them is gone.
#[derive(Clone, Debug, clap::Args)]
pub struct MemoryOptions {
    /// How long the load runs
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// Connections that write small values, sixteen under way each
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub small_clients: u16,
    /// Connections that write large values, one under way each
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub large_clients: u16,
    /// Length of a large value
    #[arg(long, default_value_t = 256 << 10, value_parser = clap::value_parser!(u32).range(1..=512 << 10))]
    pub large_bytes: u32,
}

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryError {
    /// The cluster did not start, or a node ended by itself.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A connection broke.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A node does not tell its limits.
    #[error("node {0} does not tell its limits")]
    Limits(u64),
    /// The system does not tell what a process has in memory.
    #[error("the memory of node {0} is not to be seen: this needs Linux's /proc")]
    Resident(u64),
    /// A key was not written before the measurement began.
    #[error("the keys could not be written: {0}")]
    Prepare(String),
}

/// Runs the measurement with `program` as the nodes (`program serve ..` must be
/// [`serve`](crate::serve)) and prints a table. Whether every node that was left kept its limits.
///
/// # Errors
/// [`MemoryError`]
pub async fn memory(options: &MemoryOptions, program: PathBuf) -> Result<bool, MemoryError> {
    let directory = tempfile::Builder::new().prefix("synod-kv-").tempdir()?;
    let mut cluster = Cluster::start(ClusterOptions {
        program,
        nodes: 3,
        directory: directory.path().to_owned(),
        arguments: Vec::new(),
        listener: Listener::File,
    })?;
    cluster.ready(START_TIMEOUT).await?;
    let leader = cluster.leader(START_TIMEOUT).await?;
    let load = Arc::new(Load::new(options));
    load.prepare(cluster.address(leader)).await?;
    // Every node has applied everything once it answers a read.
    cluster.ready(START_TIMEOUT).await?;

    let mut nodes = BTreeMap::new();
    for id in cluster.ids() {
        nodes.insert(id, NodeReport::new(&cluster, id).await?);
    }
    let gone = cluster.ids().into_iter().find(|id| *id != leader);
    cluster.kill(&gone.into_iter().collect::<Vec<_>>()).await?;
    gone.map(|gone| nodes.remove(&gone));

    let report = measure(options, &mut cluster, load, nodes).await?;
    print(&report)?;
    Ok(report.passes())
}

async fn measure(
    options: &MemoryOptions,
    cluster: &mut Cluster,
    load: Arc<Load>,
    mut nodes: BTreeMap<u64, NodeReport>,
) -> Result<Report, MemoryError> {
    let addresses: Vec<_> = nodes.keys().map(|id| cluster.address(*id)).collect();
    let mut clients = JoinSet::new();
    for number in 0..options.small_clients + options.large_clients {
        let address = addresses[usize::from(number) % addresses.len()];
        let (load, is_large) = (Arc::clone(&load), number < options.large_clients);
        clients.spawn(async move { load.client(address, is_large).await });
    }
    let started = Instant::now();
    let mut tick = interval(SAMPLE_EVERY);
    while started.elapsed() < Duration::from_secs(options.seconds) {
        tick.tick().await;
        for (id, node) in &mut nodes {
            cluster.check_alive(*id)?;
            node.sample(cluster, *id)?;
        }
    }
    let length = started.elapsed();
    load.stop.store(true, Ordering::Relaxed);
    while let Some(client) = clients.join_next().await {
        client.map_err(io::Error::other)??;
    }
    for (id, node) in &mut nodes {
        node.sample(cluster, *id)?;
    }
    Ok(Report {
        length,
        nodes,
        acknowledged: load.acknowledged.load(Ordering::Relaxed),
        written_bytes: load.written_bytes.load(Ordering::Relaxed),
        errors: load.errors.load(Ordering::Relaxed),
    })
}

/// Clients that overwrite a fixed set of keys.
#[derive(Debug)]
struct Load {
    small: Vec<u8>,
    large: Vec<u8>,
    stop: AtomicBool,
    acknowledged: AtomicU64,
    written_bytes: AtomicU64,
    errors: AtomicU64,
}

impl Load {
    fn new(options: &MemoryOptions) -> Self {
        Self {
            small: vec![b's'; SMALL_BYTES],
            large: vec![b'l'; options.large_bytes as usize],
            stop: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            written_bytes: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        }
    }

    /// Writes each key once.
    async fn prepare(&self, address: SocketAddr) -> Result<(), MemoryError> {
        let mut client = Client::connect(address).await?;
        for (is_large, keys) in [(true, LARGE_KEYS), (false, SMALL_KEYS)] {
            for number in 0..keys {
                let written = client
                    .call(&[
                        b"SET",
                        key(is_large, number).as_bytes(),
                        self.value(is_large),
                    ])
                    .await?;
                if let BytesFrame::Error(text) = written {
                    return Err(MemoryError::Prepare(text.to_string()));
                }
            }
        }
        Ok(())
    }

    async fn client(&self, address: SocketAddr, is_large: bool) -> Result<(), MemoryError> {
        let (mut client, mut random) = (Client::connect(address).await?, Random::new()?);
        let (keys, pipeline) = match is_large {
            true => (LARGE_KEYS, 1),
            false => (SMALL_KEYS, SMALL_PIPELINE),
        };
        let value = self.value(is_large);
        while !self.stop.load(Ordering::Relaxed) {
            for _ in 0..pipeline {
                let key = key(is_large, random.below(keys));
                client.queue(&[b"SET", key.as_bytes(), value]);
            }
            client.flush().await?;
            for _ in 0..pipeline {
                match client.receive().await? {
                    BytesFrame::Error(_) => self.errors.fetch_add(1, Ordering::Relaxed),
                    _ => {
                        self.written_bytes
                            .fetch_add(value.len() as u64, Ordering::Relaxed);
                        self.acknowledged.fetch_add(1, Ordering::Relaxed)
                    }
                };
            }
        }
        Ok(())
    }

    fn value(&self, is_large: bool) -> &[u8] {
        if is_large { &self.large } else { &self.small }
    }
}

fn key(is_large: bool, number: u64) -> String {
    let kind = if is_large { "large" } else { "small" };
    format!("{kind}:{number:06}")
}

#[derive(Debug)]
struct NodeReport {
    role: String,
    limits_bytes: u64,
    before: u64,
    peak: u64,
    after: u64,
}

impl NodeReport {
    async fn new(cluster: &Cluster, id: u64) -> Result<Self, MemoryError> {
        let ask = async { Client::connect(cluster.address(id)).await?.info().await };
        let text = timeout(START_TIMEOUT, ask)
            .await
            .map_err(io::Error::from)??;
        let limits_bytes = info_field(&text, "limit_bytes").and_then(|bytes| bytes.parse().ok());
        let before = resident(cluster, id)?;
        Ok(Self {
            role: info_field(&text, "role").unwrap_or_default().to_owned(),
            limits_bytes: limits_bytes.ok_or(MemoryError::Limits(id))?,
            before,
            peak: before,
            after: before,
        })
    }

    fn sample(&mut self, cluster: &Cluster, id: u64) -> Result<(), MemoryError> {
        self.after = resident(cluster, id)?;
        self.peak = self.peak.max(self.after);
        Ok(())
    }

    fn growth(&self) -> u64 {
        self.peak - self.before
    }

    fn allowed(&self) -> u64 {
        self.limits_bytes + ALLOWANCE_BYTES
    }
}

fn resident(cluster: &Cluster, id: u64) -> Result<u64, MemoryError> {
    cluster
        .process_id(id)
        .and_then(resident_bytes)
        .ok_or(MemoryError::Resident(id))
}

#[derive(Debug)]
struct Report {
    length: Duration,
    nodes: BTreeMap<u64, NodeReport>,
    acknowledged: u64,
    written_bytes: u64,
    errors: u64,
}

impl Report {
    /// A load that wrote nothing would pass without showing anything.
    fn passes(&self) -> bool {
        self.acknowledged > 0
            && self
                .nodes
                .values()
                .all(|node| node.growth() <= node.allowed())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:.1} s of load with one follower gone: {} writes acknowledged ({} MiB), {} errors\n",
            self.length.as_secs_f64(),
            grouped(self.acknowledged),
            grouped(self.written_bytes >> 20),
            grouped(self.errors)
        )?;
        writeln!(
            f,
            "  node  role      before     peak    after   growth   limits  allowed   (MiB resident)"
        )?;
        for (id, node) in &self.nodes {
            write!(f, "  {id:<6}{:<8}", node.role)?;
            for bytes in [
                node.before,
                node.peak,
                node.after,
                node.growth(),
                node.limits_bytes,
                node.allowed(),
            ] {
                write!(f, "{:>9.1}", bytes as f64 / f64::from(1 << 20))?;
            }
            writeln!(f)?;
        }
        let verdict = if self.passes() { "PASS" } else { "FAIL" };
        write!(
            f,
            "\n{verdict}  growth may be the limits and {} MiB",
            ALLOWANCE_BYTES >> 20
        )
    }
}

const ALLOWANCE_BYTES: u64 = 64 << 20;
/// With their keys, under half a MiB for all; large ones of the default length take 16 MiB.
const SMALL_BYTES: usize = 100;
const SMALL_KEYS: u64 = 2_000;
const SMALL_PIPELINE: usize = 16;
const LARGE_KEYS: u64 = 64;
const SAMPLE_EVERY: Duration = Duration::from_millis(50);
const START_TIMEOUT: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_over_its_limits_fails_and_so_does_a_load_that_wrote_nothing() {
        let node = |growth: u64| NodeReport {
            role: "leader".into(),
            limits_bytes: 100 << 20,
            before: 10 << 20,
            peak: (10 << 20) + growth,
            after: 10 << 20,
        };
        let report = |growth: u64, acknowledged| Report {
            length: Duration::from_secs(1),
            nodes: BTreeMap::from([(1, node(0)), (2, node(growth))]),
            acknowledged,
            written_bytes: 0,
            errors: 0,
        };
        assert!(report(164 << 20, 1).passes());
        assert!(!report((164 << 20) + 1, 1).passes());
        assert!(!report(0, 0).passes());
    }
}
