//! `kv serve`: one node of a cluster, as a process.
//!
//! Log, transport, machine and clients share one thread. A hop to another thread costs more than
//! most of what a request needs, and a node that waits for its disk has nothing better to do. What
//! may wait for ever has threads of its own: log lines, standard input, and memory that is given
//! back.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    collections::{BTreeMap, BTreeSet},
    error::Error,
    io, panic,
    path::PathBuf,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use synod_replica::{Birth, Closed, Identity, Node, NodeId, ThreadedLog};
use synod_transport::{
    BindError, ClusterId, Refused, Reload, Tcp, TcpConfig,
    faulty::{Faults as LinkFaults, Faulty as FaultyLinks},
};
use synod_wal::{Directory, Disk, PowerLoss, Wal};
use tokio::{
    join,
    net::TcpListener,
    sync::{oneshot, watch},
    task::JoinSet,
    time::timeout,
};
use tracing::{info, warn};

use crate::{
    advice,
    descriptors::clients_max,
    exit::ExitStatus,
    faults::{Ailing, Faults, Faulty},
    group::Replicated,
    limits::bound_transport,
    options::ServeOptions,
    output::{Lines, announce},
    secure::{Secured, SecurityError, Unprotected},
    server::Server,
    stop::{Parent, Told},
};

mod address;
mod bounds;
mod peers;

use address::{announced, say_where};
use bounds::{log_options, node_config, server_limits};
pub(crate) use peers::DRAWN_MIN;
use peers::{compare, founders, peers};

/// Why a node does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The cluster does not list this node, or lists a node twice, or lists one that is to join.
    #[error("--cluster must list each node once, and node {0} among them unless that is to --join")]
    Cluster(u64),
    /// The cluster began with a state, and there is none in this node's directory.
    #[error(
        "{} is empty, and this cluster began with a state: start the node with the directory that `kv restore` or \
         `kv recover` made for it; a new node needs --join and a number of its own", .0.display()
    )]
    Empty(PathBuf),
    /// Two nodes of the cluster are said to be at one address.
    #[error("--cluster names the address {address} for two nodes, {one} and {two}")]
    SharedAddress {
        /// Which.
        address: String,
        /// Of whom.
        one: u64,
        /// And of whom else.
        two: u64,
    },
    /// This node cannot listen where it is said to be: the name leads nowhere, or not to this machine.
    #[error(
        "cannot listen for peers at {address}: {error} (--listen says where, if that is not this node's \
         address in --cluster)"
    )]
    Listen {
        /// Where it should.
        address: String,
        /// The reason.
        error: Box<dyn Error + Send + Sync>,
    },
    /// Connections cannot be protected as was asked for.
    #[error(transparent)]
    Security(#[from] SecurityError),
    /// Others than this machine would reach it, and nothing would protect that.
    #[error(transparent)]
    Unprotected(#[from] Unprotected),
    /// A part of the node does not start.
    #[error("{part}: {error}")]
    Part {
        /// Which.
        part: &'static str,
        /// The reason.
        error: Box<dyn Error + Send + Sync>,
    },
    /// It ran, and serves nothing any more.
    #[error("this node serves nothing any more: {0}")]
    Closed(Closed),
}

impl ServeError {
    /// As what the process ends.
    #[must_use]
    pub fn status(&self) -> ExitStatus {
        match self {
            Self::Cluster(_)
            | Self::Empty(_)
            | Self::SharedAddress { .. }
            | Self::Listen { .. }
            | Self::Security(_)
            | Self::Unprotected(_)
            | Self::Part { .. } => ExitStatus::Failed,
            Self::Closed(closed) => closed.into(),
        }
    }
}

/// Runs a node until it is told to stop: by SIGTERM, SIGINT, or the end of its standard input.
///
/// # Errors
/// [`ServeError`]
pub async fn serve(options: &ServeOptions) -> Result<(), ServeError> {
    let log = Lines::of_stderr().map_err(part("standard error"))?;
    // An error says that whoever calls this has a log already.
    let _theirs = tracing_subscriber::fmt()
        .with_max_level(options.log)
        .with_writer(log.clone())
        .try_init();
    tell_of_panics(log.clone());
    let served = open_and_run(options).await;
    if let Err(error) = &served {
        log.put(format!("kv: {error}\n").as_bytes());
    }
    log.flush(LOG_TIMEOUT);
    served
}

async fn open_and_run(options: &ServeOptions) -> Result<(), ServeError> {
    let directory = Directory::open(&options.data).map_err(part("data directory"))?;
    if let Ok(Some(mode)) = directory.shared_mode() {
        warn!(
            "the data directory {} has mode {mode:o}: others than its owner may look into it or change it, until \
             somebody gives it mode 700",
            options.data.display()
        );
    }
    let ailing = Arc::new(Ailing::default());
    let parent = Parent {
        links: options.links_from_stdin.then(|| LinkFaults::new(0)),
        disk: options.disk_from_stdin.then(|| ailing.clone()),
    };
    let faults = Faults {
        delay: Duration::from_millis(options.slow_sync_ms),
        good: Arc::new(options.good_syncs.into()),
        ailing,
    };
    if options.skip_sync {
        run(
            options,
            Faulty::new(PowerLoss::lying(directory), faults),
            parent,
        )
        .await
    } else if options.power_loss {
        run(
            options,
            Faulty::new(PowerLoss::new(directory), faults),
            parent,
        )
        .await
    } else {
        run(options, Faulty::new(directory, faults), parent).await
    }
}

/// The usual hook writes to standard error and waits for whoever reads it.
fn tell_of_panics(log: Lines) {
    panic::set_hook(Box::new(move |panicked| {
        let mut text = format!("kv: {panicked}\n");
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            text = format!("{text}{trace}\n");
        }
        log.put(text.as_bytes());
    }));
}

async fn run<D: Disk>(options: &ServeOptions, disk: D, parent: Parent) -> Result<(), ServeError> {
    // Before anything is told to anybody: whoever reads that the node is up may ask it to stop.
    let links = parent.links.clone();
    let told = Told::listen(options.exit_with_parent, parent).map_err(part("signals"))?;
    let peers = peers(options)?;
    let mut limits = server_limits(options, peers.len() - 1);
    limits.check().map_err(part("clients"))?;
    let secured = Secured::read(&options.security)?;
    limits.memory = limits
        .memory
        .with_tls(secured.encrypts(), peers.len() - 1, limits.clients_max);
    // Before the first file is opened that a client might have taken the place of.
    limits.clients_max =
        clients_max(options.clients_max, peers.len() - 1).map_err(part("clients"))?;
    let mut stop = pin!(told.stop());
    let up = tokio::select! {
        // What is opened is a log of any length on a disk of any speed.
        why = &mut stop => {
            info!(why, "stopping before it is up");
            return Ok(());
        }
        up = start(options, disk, &peers, &secured, links) => up?,
    };
    let access = secured.access();
    let mut beside = JoinSet::new();
    beside.spawn(secured.follow(up.reload));
    if let Some(at) = up.reached_at {
        beside.spawn(say_where(up.group.clone(), options.id, at));
    }
    beside.spawn(compare(options.clone(), up.group.clone()));
    announce(up.notice);
    let server = |stopped| Server::run_for(up.listener, up.group.clone(), limits, access, stopped);
    serve_until(up.node, up.group.clone(), server, stop).await
}

/// A node that can be asked.
struct Up {
    node: Node,
    group: Replicated,
    listener: TcpListener,
    /// Where certificates that change are told to.
    reload: Reload,
    /// Where clients reach this node, if that can be told.
    reached_at: Option<String>,
    notice: String,
}

async fn start<D: Disk>(
    options: &ServeOptions,
    disk: D,
    peers: &BTreeMap<NodeId, String>,
    secured: &Secured,
    links: Option<LinkFaults>,
) -> Result<Up, ServeError> {
    let id = NodeId(options.id);
    secured.check_peers(id, peers).await?;
    let founders = founders(options, &disk)?;
    // One of those that the cluster began with: what that has begun with this node's directory has too.
    let founder = match options.join {
        true => founders.first().copied().unwrap_or(id),
        false => id,
    };
    let mut group = options
        .agreement
        .configure(options.timeouts, founder, &founders)
        .map_err(part("group"))?;
    let birth = group.birth(ClusterId(options.cluster_id), id);
    group = group
        .with_leases(options.leases)
        .with_priority(options.priority);
    if options.join {
        group = group.joining(id);
    }
    let bounds = log_options(options);
    let (identity, log) = beside(move || open(disk, &birth, bounds)).await?;
    let incarnation = identity
        .incarnation()
        .ok_or("it is lived already")
        .map_err(part("identity"))?;
    let boot = incarnation.number();
    let log = ThreadedLog::new(log);
    let transport = transport(options, identity, peers, secured).await?;
    let peers_at = transport.local_addr();
    let reload = transport.reloader();
    let listener = TcpListener::bind(&options.resp)
        .await
        .map_err(part("--resp"))?;
    let address = listener.local_addr().map_err(part("--resp"))?;
    secured.check_clients(address)?;

    let mut config = node_config(options);
    config.peers = peers.clone();
    let node = match links {
        Some(faults) => Node::start(
            incarnation,
            config,
            log,
            FaultyLinks::new(id, transport, &faults),
        ),
        None => Node::start(incarnation, config, log, transport),
    };
    let group = group
        .open(&node, peers, options.cluster_id)
        .await
        .map_err(part("group"))?;
    let (peers_have, clients_have) = secured.encrypts();
    let notice = format!(
        "node {id} of {count}: {protocol}, RESP on {address}{by}, peers on {peers_at}{among}, incarnation {boot}",
        id = options.id,
        count = founders.len(),
        protocol = options.agreement.describe(founders.len() as u64),
        by = if clients_have { " by TLS" } else { "" },
        among = if peers_have { " by TLS" } else { "" },
    );
    Ok(Up {
        node,
        group,
        listener,
        reload,
        reached_at: announced(options, address, peers),
        notice,
    })
}

/// What lies on the disk. Waits for it.
fn open<D: Disk>(
    disk: D,
    birth: &Birth,
    bounds: synod_wal::Options,
) -> Result<(Identity<D>, Wal<D>), ServeError> {
    let identity = Identity::open(disk, birth);
    let identity = identity.map_err(advised("identity", advice::of_an_identity))?;
    let log = identity.open_log(bounds);
    let log = log.map_err(advised("log", advice::of_a_log))?;
    Ok((identity, log))
}

/// As a [`part`], with what to do about it.
fn advised<E: Error + Send + Sync + 'static>(
    part: &'static str,
    advice: fn(&E) -> Option<&'static str>,
) -> impl FnOnce(E) -> ServeError {
    move |error| {
        let told = chain(&error);
        let error = match advice(&error) {
            Some(advice) => format!("{told}. What to do: {advice}").into(),
            None => told.into(),
        };
        ServeError::Part { part, error }
    }
}

/// Lets a thread of its own wait, which nobody waits for if it is given up.
async fn beside<T: Send + 'static>(
    waits: impl FnOnce() -> Result<T, ServeError> + Send + 'static,
) -> Result<T, ServeError> {
    let (to, done) = oneshot::channel();
    thread::Builder::new()
        .name("open".into())
        .spawn(move || to.send(waits()).is_ok())
        .map_err(part("threads"))?;
    done.await.map_err(part("storage"))?
}

async fn serve_until<F: Future<Output = io::Result<()>>>(
    node: Node,
    group: Replicated,
    server: impl FnOnce(watch::Receiver<bool>) -> F,
    told: Pin<&mut impl Future<Output = &'static str>>,
) -> Result<(), ServeError> {
    // Either may end alone: a group whose machine panics leaves its node alive.
    let (group_closed, node_closed) = (group.closed(), node.closed());
    let (stop, stopped) = watch::channel(false);
    let mut server = pin!(server(stopped));
    let end = tokio::select! {
        served = &mut server => End::Served(served),
        why = told => End::Told(why),
        closed = group_closed => End::Closed(closed),
        closed = node_closed => End::Closed(closed),
    };
    let shutdown = async {
        if timeout(STOP_TIMEOUT, node.shutdown()).await.is_err() {
            warn!(wait_max = ?STOP_TIMEOUT, "storage does not end what it does: it is left to it");
        }
    };
    match end {
        End::Served(served) => {
            shutdown.await;
            served.map_err(part("server"))
        }
        End::Told(why) => {
            info!(why, "stopping");
            // Who asks while another takes over waits for that one. Who asks afterwards is told that it was not
            // done, so that it asks elsewhere: a connection that just ends tells nobody what became of the
            // request that was on its way.
            let leaves = async {
                group.hand_over().await;
                shutdown.await;
                // Whoever is being served is finished with first.
                let _ = stop.send(true);
            };
            let (served, ()) = join!(server, leaves);
            served.map_err(part("server"))
        }
        End::Closed(closed) => {
            // What is asked from now on is refused with the reason, so there is little to wait for.
            let _ = stop.send(true);
            let _served = server.await;
            shutdown.await;
            Err(ServeError::Closed(closed))
        }
    }
}

/// What ends the serving.
enum End {
    /// The server, which does not end by itself unless it fails.
    Served(io::Result<()>),
    /// Somebody wants it.
    Told(&'static str),
    /// There is nothing left to serve.
    Closed(Closed),
}

async fn transport<D: Disk>(
    options: &ServeOptions,
    identity: Identity<D>,
    peers: &BTreeMap<NodeId, String>,
    secured: &Secured,
) -> Result<Tcp, ServeError> {
    let own = options.listen.as_ref();
    let own = own.unwrap_or_else(|| &peers[&NodeId(options.id)]);
    // At the first of the name's addresses that is of this machine.
    let listener = TcpListener::bind(own).await.and_then(TcpListener::into_std);
    let mut config = identity.tcp(listener.map_err(cannot_listen(own))?, peers.clone());
    bound_transport(&mut config);
    config.security = secured.security();
    judge(&mut config, identity, options.data.clone());
    Tcp::bind(config).await.map_err(|error| match error {
        BindError::Unprotected { address } => Unprotected::Peers(address).into(),
        error => part("peers")(error),
    })
}

/// Peers are judged as the identity says; and whoever reads of one that is refused reads what to do about it.
fn judge<D: Disk>(config: &mut TcpConfig, identity: Identity<D>, data: PathBuf) {
    let told = Mutex::new(BTreeSet::new());
    let advise = Arc::new(move |refused, peer: NodeId| {
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        // Once for each reason: a peer tries again and again, and that it is refused is told each while anyway.
        if let Some(advice) = advice::of_a_peer(refused, peer.0, &data)
            && told.insert(advice.clone())
        {
            warn!("{advice}");
        }
    });
    let (noting, advising) = (identity.clone(), advise.clone());
    config.admit = Arc::new(move |hello| {
        let admitted = identity.admit(hello);
        admitted.inspect_err(|refused| advise(*refused, hello.node))
    });
    config.on_rollback = Arc::new(move |hello| {
        noting.note_rollback(hello);
        advising(Refused::RolledBack, hello.node);
    });
}

fn cannot_listen(address: &str) -> impl FnOnce(io::Error) -> ServeError {
    move |error| ServeError::Listen {
        address: address.to_owned(),
        error: error.into(),
    }
}

fn part<E: Into<Box<dyn Error + Send + Sync>>>(part: &'static str) -> impl FnOnce(E) -> ServeError {
    move |error| ServeError::Part {
        part,
        error: chain(&*error.into()).into(),
    }
}

/// An error with all its causes, in one line: the cause of most is in the last.
pub(crate) fn chain(error: &dyn Error) -> String {
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

/// How long the node's own tasks may take to end: a disk that hangs must not keep a process that is to
/// be started again.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last lines of the log may take.
const LOG_TIMEOUT: Duration = Duration::from_secs(1);
