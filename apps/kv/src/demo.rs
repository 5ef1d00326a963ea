//! The demo: a real cluster is killed under load, and every promise it made is checked.
//!
//! ```text
//!  load          0 ────────── 1/3 ────────────── 2/3 ────────────── end   read back   check
//!  32 clients    get, set, cas, append, write-once keys, spread over all nodes
//!  nodes                      SIGKILL leader      SIGKILL all                through     every operation,
//!                             and restart         and restart                every node  key by key
//! ```
//!
//! A killed process leaves what it wrote to the operating system's cache, so a kill alone would
//! forgive a log that never syncs. The nodes therefore run with `--power-loss`: what was not synced
//! lives in their own memory and dies with them.
//!
//! With `--scenario partition` nobody is killed: the links of the leader are cut and healed, both ways, each one way,
//! and all but those to a bridge. Each node loses what it sends into a cut itself. With `rolling` each node is asked to
//! stop and started again, with `membership` all are replaced by others, with `disk-stall` and `disk-full` disks fail
//! and are well again, as the demo tells their nodes on standard input.

mod disk;
mod history;
mod members;
mod nemesis;
mod partition;
mod progress;
pub(crate) mod report;
mod rolling;
mod syncs;
mod verify;
mod workload;

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tempfile::TempDir;
use tokio::task::JoinSet;

pub use verify::VerifyError;

use crate::{
    certs::{CertsError, CertsOptions, certs},
    cluster::{Cluster, ClusterError, ClusterOptions, Listener, fresh_directory},
    output::print,
    protocol::{Agreement, AgreementError},
};
use disk::{Ailment, ail};
use history::{Record, write_lines};
use members::replace_all;
use nemesis::{Blow, torment};
use partition::part;
use progress::Progress;
use report::{Report, Tally};
use rolling::roll;
use syncs::Syncs;
use verify::{keys_of, read_back, verify};
use workload::Workload;

/// Kill a cluster under load and check what it promised.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoOptions {
    /// Connections, each with one operation at a time
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub clients: u16,
    /// How long the load runs
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(3..=3_600))]
    pub seconds: u64,
    /// Length of the values that are set
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=262_144))]
    pub value_bytes: u32,
    /// Registers that are read and written; there is one list for each ten
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub keys: u32,
    /// What is done to the cluster while the load runs
    #[arg(long, value_enum, default_value_t = Scenario::Kill)]
    pub scenario: Scenario,
    /// Processes in the cluster
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=9))]
    pub nodes: u64,
    /// How the nodes agree.
    #[command(flatten)]
    pub agreement: Agreement,
    /// Keep the nodes' data here, in an empty or new directory [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// End with one JSON object on the last line
    #[arg(long)]
    pub json: bool,
    /// Write every operation to a file, as JSON lines
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// Let the nodes speak TLS with each other, by certificates that are made for it
    #[arg(long)]
    pub tls: bool,
    /// Let the nodes lie about syncing their logs: the demo must then find a loss
    #[arg(long)]
    pub skip_sync: bool,
}

/// What is done to the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[non_exhaustive]
pub enum Scenario {
    /// The leader is killed, and then all nodes
    Kill,
    /// The leader's links are cut and healed: both ways, each one way, and all but a bridge
    Partition,
    /// Each node is asked to stop, and started again
    Rolling,
    /// Each node is replaced by a new one: the first after its death, the others while they run
    Membership,
    /// The leader's disk stalls, and then another's
    DiskStall,
    /// The leader's disk is full, and then another's
    DiskFull,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// The nodes cannot agree in that way.
    #[error(transparent)]
    Agreement(#[from] AgreementError),
    /// There is nobody left to serve.
    #[error("this scenario needs three nodes or more: of {0} nobody serves without the leader")]
    Few(u64),
    /// Only majorities can be changed.
    #[error("--scenario membership is for majorities: leave --phase2 out")]
    Phase2,
    /// The cluster did not start, or a node ended by itself.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The end could not be looked at.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// There are no certificates.
    #[error(transparent)]
    Certs(#[from] CertsError),
    /// A file could not be written, or a directory not be made.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The user had enough.
    #[error("interrupted")]
    Interrupted,
}

/// Runs the demo with this very program as its nodes, and prints the report. Whether it passed.
///
/// # Errors
/// [`DemoError`]
pub async fn demo(options: &DemoOptions) -> Result<bool, DemoError> {
    tokio::select! {
        passed = run(options) => passed,
        // The nodes die with the cluster, when `run` is dropped.
        _ = tokio::signal::ctrl_c() => Err(DemoError::Interrupted),
    }
}

async fn run(options: &DemoOptions) -> Result<bool, DemoError> {
    options.agreement.quorums(options.nodes)?;
    let listener = match options.scenario {
        Scenario::Kill => Listener::File,
        _ if options.nodes < 3 => return Err(DemoError::Few(options.nodes)),
        Scenario::Membership if options.agreement.phase2.is_some() => {
            return Err(DemoError::Phase2);
        }
        Scenario::Rolling | Scenario::Membership => Listener::File,
        Scenario::Partition | Scenario::DiskStall | Scenario::DiskFull => Listener::Commander,
    };
    // Before the run rather than after it: a path that cannot be written should not cost a minute.
    let file = options.history.as_ref().map(File::create).transpose()?;
    let directory = Directory::new(options.data.as_deref())?;
    let mut arguments = node_arguments(options);
    if options.tls {
        arguments.extend(certificates(directory.path(), options.nodes)?);
    }
    let waiting = Progress::waiting("waiting for a leader");
    let mut cluster = Cluster::start(ClusterOptions {
        program: std::env::current_exe()?,
        nodes: options.nodes,
        directory: directory.path().to_owned(),
        arguments,
        listener,
    })?;
    cluster.ready(START_TIMEOUT).await?;
    drop(waiting);

    let addresses = cluster.addresses();
    let workload = Workload::new(&addresses, options.keys as usize, value_bytes(options));
    let loaded = load(options, &mut cluster, &workload).await?;

    let waiting = Progress::waiting("reading everything back through every node");
    cluster.ready(START_TIMEOUT).await?;
    let at_end = read_all(&cluster.addresses(), &loaded.records, &workload).await?;
    drop(waiting);
    drop(cluster);

    let waiting = Progress::waiting("checking every operation");
    let tally = Tally::of(&loaded.records);
    let (records, verified) = verify(loaded.records, at_end)?;
    if let Some(file) = file {
        write_lines(&records, &mut BufWriter::new(file))?;
    }
    let mut report = Report {
        protocol: options.agreement.protocol.to_string(),
        agreement: format!(
            "{}{}",
            options.agreement.describe(options.nodes),
            if options.tls { " over TLS" } else { "" }
        ),
        nodes: options.nodes,
        clients: usize::from(options.clients),
        keys: options.keys as usize,
        value_bytes: value_bytes(options),
        load: loaded.length,
        tally,
        blows: loaded.blows,
        log_syncs: loaded.log_syncs,
        verified,
        data: None,
    };
    report.data = directory.leave(report.passes());
    drop(waiting);
    print(&report)?;
    if options.json {
        print(report.json().map_err(io::Error::other)?)?;
    }
    Ok(report.passes())
}

fn node_arguments(options: &DemoOptions) -> Vec<String> {
    let timeout_ms = NODE_TIMEOUT.as_millis().to_string();
    let mut arguments: Vec<String> = ["--power-loss", "--timeout-ms", &timeout_ms]
        .map(Into::into)
        .into();
    arguments.extend(options.agreement.arguments());
    if options.skip_sync {
        arguments.push("--skip-sync".into());
    }
    if options.scenario == Scenario::DiskFull {
        // A log that is short of space within seconds.
        let short = [
            "--segment-bytes",
            "4194304",
            "--snapshot-log-bytes",
            "4194304",
        ];
        arguments.extend(short.map(Into::into));
    }
    arguments
}

/// As asked for; for a disk that is to be full, as many as fill it in time.
fn value_bytes(options: &DemoOptions) -> usize {
    let least = match options.scenario {
        Scenario::DiskFull => 1_024,
        _ => 0,
    };
    (options.value_bytes as usize).max(least)
}

/// Makes certificates of all nodes, and tells the arguments by which each finds its own.
fn certificates(directory: &Path, nodes: u64) -> Result<Vec<String>, CertsError> {
    let out = directory.join("certificates");
    let options = CertsOptions {
        out: out.clone(),
        nodes,
        cluster_id: 1,
        hosts: Vec::new(),
        days: 1,
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "certificates are valid by the time of the day"
    )]
    certs(&options, std::time::SystemTime::now())?;
    let files = [
        ("--tls-cert", "node-{id}.pem"),
        ("--tls-key", "node-{id}.key"),
        ("--tls-ca", "ca.pem"),
    ];
    let argument =
        |(flag, file): (&str, &str)| [flag.to_owned(), out.join(file).display().to_string()];
    Ok(files.into_iter().flat_map(argument).collect())
}

struct Loaded {
    records: Vec<Record>,
    blows: Vec<Blow>,
    log_syncs: u64,
    length: Duration,
}

async fn load(
    options: &DemoOptions,
    cluster: &mut Cluster,
    workload: &Arc<Workload>,
) -> Result<Loaded, DemoError> {
    let length = Duration::from_secs(options.seconds);
    let (addresses, mut syncs) = (cluster.addresses(), Syncs::default());
    syncs.ask(&addresses, &mut BTreeMap::new()).await;
    let progress = Progress::load(length);
    let mut clients = JoinSet::new();
    for seat in 0..usize::from(options.clients) {
        clients.spawn(Arc::clone(workload).client(seat));
    }
    let events = async {
        let blows = match options.scenario {
            Scenario::Kill => torment(cluster, workload, &progress, length).await?,
            Scenario::Partition => part(cluster, workload, &progress, length).await?,
            Scenario::Rolling => roll(cluster, workload, &progress, length).await?,
            Scenario::Membership => replace_all(cluster, workload, &progress, length).await?,
            Scenario::DiskStall => {
                ail(Ailment::Stalls, cluster, workload, &progress, length).await?
            }
            Scenario::DiskFull => {
                ail(Ailment::IsFull, cluster, workload, &progress, length).await?
            }
        };
        tokio::time::sleep(length.saturating_sub(workload.now())).await;
        Ok::<_, ClusterError>(blows)
    };
    let blows = tokio::select! {
        blows = events => blows?,
        () = progress.follow(workload) => unreachable!("the bar is followed until the load ends"),
        () = syncs.follow(&addresses) => unreachable!("the logs are followed until the load ends"),
    };
    let length = workload.now();
    workload.stop();
    let mut records = Vec::new();
    while let Some(client) = clients.join_next().await {
        records.extend(client.map_err(io::Error::other)??);
    }
    syncs.ask(&cluster.addresses(), &mut BTreeMap::new()).await;
    Ok(Loaded {
        records,
        blows,
        log_syncs: syncs.total(),
        length,
    })
}

async fn read_all(
    addresses: &BTreeMap<u64, SocketAddr>,
    records: &[Record],
    workload: &Arc<Workload>,
) -> Result<Vec<Vec<Record>>, DemoError> {
    let keys: Arc<[_]> = keys_of(workload, records).into();
    let mut readers = JoinSet::new();
    for (id, address) in addresses {
        let (id, address, keys, workload) =
            (*id, *address, Arc::clone(&keys), Arc::clone(workload));
        readers.spawn(async move { read_back(id, address, &keys, &workload).await });
    }
    let mut at_end = Vec::new();
    while let Some(reads) = readers.join_next().await {
        at_end.push(reads.map_err(io::Error::other)??);
    }
    Ok(at_end)
}

/// Where the nodes keep their data.
enum Directory {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl Directory {
    fn new(path: Option<&Path>) -> io::Result<Self> {
        match path {
            Some(path) => {
                fresh_directory(path)?;
                Ok(Self::Kept(path.to_owned()))
            }
            None => Ok(Self::Temporary(
                tempfile::Builder::new().prefix("synod-kv-").tempdir()?,
            )),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(directory) => directory.path(),
        }
    }

    /// Where the data is afterwards: a temporary directory stays only if there is something to look
    /// for in it.
    fn leave(self, passed: bool) -> Option<PathBuf> {
        match self {
            Self::Kept(path) => Some(path),
            Self::Temporary(directory) => (!passed).then(|| directory.keep()),
        }
    }
}

const START_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a node tries before it says that it does not know: less than the clients' timeout.
const NODE_TIMEOUT: Duration = Duration::from_secs(2);
