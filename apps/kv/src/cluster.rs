//! A cluster of real processes on this machine: started, killed, and started again.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, PipeReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use redis_protocol::resp2::types::BytesFrame;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::{Instant, sleep, timeout},
};

use crate::{
    client::{Client, ClientError},
    info::info_field,
    ports::Ports,
};

mod join;
mod told;

/// `kv serve` processes, one for each node, on loopback ports of their own.
///
/// Dropping the cluster kills them all. They also end by themselves when this process does, however
/// it ends: each holds the other end of a pipe.
#[derive(Debug)]
pub struct Cluster {
    options: ClusterOptions,
    nodes: BTreeMap<u64, Node>,
    /// Held for as long as the nodes may come back.
    _ports: Vec<Ports>,
}

/// What all nodes of a cluster have in common.
#[derive(Clone, Debug)]
pub struct ClusterOptions {
    /// The `kv` binary.
    pub program: PathBuf,
    /// How many nodes; they are numbered from 1.
    pub nodes: u64,
    /// Where the nodes keep their data and their standard error: `node-1`, `node-1.log` and so on.
    pub directory: PathBuf,
    /// Further arguments of `kv serve`, the same for each node but that `{id}` in them is its number.
    pub arguments: Vec<String>,
    /// Who listens to the nodes.
    pub listener: Listener,
}

/// Who listens to what nodes say on their standard output and their standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listener {
    /// Nobody to the former, a file to the latter.
    #[default]
    File,
    /// The other ends of both pipes are open, and nobody ever reads from them.
    Deaf,
    /// The other ends are closed before the node starts.
    Gone,
    /// The cluster to the former, a file to the latter: the nodes' links can be cut.
    Commander,
}

#[derive(Debug)]
struct Node {
    peer: SocketAddr,
    resp: SocketAddr,
    process: Option<Child>,
    /// Behind those of all nodes.
    arguments: Vec<String>,
    /// Held open for a node that nobody listens to.
    deaf: Vec<PipeReader>,
    /// What the node says, where the cluster listens.
    says: Option<Lines<BufReader<ChildStdout>>>,
}

/// Why a cluster is not what it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// A process could not be started or ended, or its files not be made.
    #[error("node {id}: {error}")]
    Process {
        /// Which node.
        id: u64,
        /// The reason.
        error: io::Error,
    },
    /// No free ports were found, or the directory could not be made.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A node ended by itself.
    #[error("node {id} ended by itself ({status}); the end of its log:\n{log}")]
    Ended {
        /// Which node.
        id: u64,
        /// Its exit status.
        status: String,
        /// The last lines of its standard error.
        log: String,
    },
    /// A node did not answer a read in time.
    #[error("node {id} did not answer within {wait_max:?}; its last word: {last}")]
    Silent {
        /// Which node.
        id: u64,
        /// How long was waited.
        wait_max: Duration,
        /// What it said instead.
        last: String,
    },
    /// A node does not do what its parent tells it.
    #[error("node {0} does not answer that it did what its parent told it")]
    Deaf(u64),
    /// A node that was to stop, or to leave, ended as something else.
    #[error(
        "node {id} ended as {status}, and not as one that was told to; the end of its log:\n{log}"
    )]
    Otherwise {
        /// Which node.
        id: u64,
        /// Its exit status.
        status: String,
        /// The last lines of its standard error.
        log: String,
    },
    /// The members could not be changed.
    #[error("{words}: {answer}")]
    Refused {
        /// What was asked.
        words: String,
        /// The last answer.
        answer: String,
    },
    /// No node leads.
    #[error("no node leads after {wait_max:?}")]
    Leaderless {
        /// How long was waited.
        wait_max: Duration,
    },
}

impl Cluster {
    /// Starts all nodes. They answer once they have found a leader, see [`ready`](Self::ready).
    ///
    /// # Errors
    /// [`ClusterError::Io`], [`ClusterError::Process`]
    pub fn start(options: ClusterOptions) -> Result<Self, ClusterError> {
        fs::create_dir_all(&options.directory)?;
        let ports = Ports::find(2 * options.nodes as usize)?;
        let found = ports.addresses()?;
        let (found, _) = found.as_chunks();
        let addresses: Vec<_> = (1..=options.nodes)
            .zip(found)
            .map(|(id, [peer, resp])| (id, *peer, *resp))
            .collect();
        let members: Vec<_> = addresses
            .iter()
            .map(|(id, peer, _)| format!("{id}={peer}"))
            .collect();
        let nodes = addresses
            .iter()
            .map(|(id, peer, resp)| {
                (
                    *id,
                    Node {
                        peer: *peer,
                        resp: *resp,
                        process: None,
                        arguments: Vec::new(),
                        deaf: Vec::new(),
                        says: None,
                    },
                )
            })
            .collect();
        let mut cluster = Self {
            options,
            nodes,
            _ports: vec![ports],
        };
        cluster
            .options
            .arguments
            .splice(0..0, ["--cluster".into(), members.join(",")]);
        for id in cluster.ids() {
            cluster.restart(id)?;
        }
        Ok(cluster)
    }

    /// The nodes' numbers.
    #[must_use]
    pub fn ids(&self) -> Vec<u64> {
        self.nodes.keys().copied().collect()
    }

    /// Where each node takes RESP, by number.
    #[must_use]
    pub fn addresses(&self) -> BTreeMap<u64, SocketAddr> {
        self.nodes
            .iter()
            .map(|(id, node)| (*id, node.resp))
            .collect()
    }

    /// Where a node takes RESP.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn address(&self, id: u64) -> SocketAddr {
        self.nodes[&id].resp
    }

    /// Where its peers reach a node.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn peer_address(&self, id: u64) -> SocketAddr {
        self.nodes[&id].peer
    }

    /// The process of a node, while it runs.
    #[must_use]
    pub fn process_id(&self, id: u64) -> Option<u32> {
        self.nodes.get(&id)?.process.as_ref()?.id()
    }

    /// Starts a node that does not run, with the data it left.
    ///
    /// # Errors
    /// [`ClusterError::Process`]
    pub fn restart(&mut self, id: u64) -> Result<(), ClusterError> {
        let Some(node) = self.nodes.get_mut(&id) else {
            return Ok(());
        };
        let directory = &self.options.directory;
        let commanded = self.options.listener == Listener::Commander;
        let streams = match self.options.listener {
            Listener::File => streams_to(&directory.join(format!("node-{id}.log")), Stdio::null()),
            Listener::Commander => {
                streams_to(&directory.join(format!("node-{id}.log")), Stdio::piped())
            }
            listener => pipes(&mut node.deaf, listener),
        };
        let spawn = || -> io::Result<Child> {
            let (stdout, stderr) = streams?;
            Command::new(&self.options.program)
                .args([
                    "serve",
                    "--exit-with-parent",
                    "--id",
                    &id.to_string(),
                    "--resp",
                    &node.resp.to_string(),
                ])
                .arg("--data")
                .arg(directory.join(format!("node-{id}")))
                .args(
                    (self.options.arguments.iter())
                        .map(|argument| argument.replace("{id}", &id.to_string())),
                )
                .args(&node.arguments)
                .args(commanded.then_some("--links-from-stdin"))
                .args(commanded.then_some("--disk-from-stdin"))
                .stdin(Stdio::piped())
                .stdout(stdout)
                .stderr(stderr)
                // An interrupt at the terminal is for the parent, which ends the nodes in its own
                // way.
                .process_group(0)
                .kill_on_drop(true)
                .spawn()
        };
        let mut process = spawn().map_err(|error| ClusterError::Process { id, error })?;
        let says = process.stdout.take();
        node.says = says.map(|says| BufReader::new(says).lines());
        node.process = Some(process);
        Ok(())
    }

    /// Further arguments of one node, from its next start on.
    pub fn set_arguments(&mut self, id: u64, arguments: &[&str]) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
        }
    }

    /// Waits until a node has ended, and says as what; `None` when it does not run.
    ///
    /// # Errors
    /// [`ClusterError::Process`]
    pub async fn ended(&mut self, id: u64) -> Result<Option<ExitStatus>, ClusterError> {
        let Some(process) = self
            .nodes
            .get_mut(&id)
            .and_then(|node| node.process.as_mut())
        else {
            return Ok(None);
        };
        // Waiting for it in the usual way would close its standard input, which ends it.
        let status = loop {
            let ended = process.try_wait();
            match ended.map_err(|error| ClusterError::Process { id, error })? {
                Some(status) => break status,
                None => sleep(POLL_EVERY).await,
            }
        };
        if let Some(node) = self.nodes.get_mut(&id) {
            node.process = None;
        }
        Ok(Some(status))
    }

    /// Where a node keeps its data.
    #[must_use]
    pub fn data(&self, id: u64) -> PathBuf {
        self.options.directory.join(format!("node-{id}"))
    }

    /// Where a node's standard error goes, if to a file.
    #[must_use]
    pub fn log(&self, id: u64) -> PathBuf {
        self.options.directory.join(format!("node-{id}.log"))
    }

    /// Kills nodes with SIGKILL, all at once, and waits until they are gone.
    ///
    /// # Errors
    /// [`ClusterError::Process`]
    pub async fn kill(&mut self, ids: &[u64]) -> Result<(), ClusterError> {
        let of = |id| move |error| ClusterError::Process { id, error };
        let mut dying = Vec::new();
        for id in ids {
            if let Some(mut process) = self.nodes.get_mut(id).and_then(|node| node.process.take()) {
                process.start_kill().map_err(of(*id))?;
                dying.push((*id, process));
            }
        }
        for (id, mut process) in dying {
            process.wait().await.map_err(of(id))?;
        }
        Ok(())
    }

    /// Waits until every running node answers a linearizable read.
    ///
    /// # Errors
    /// [`ClusterError::Ended`], [`ClusterError::Silent`]
    pub async fn ready(&mut self, wait_max: Duration) -> Result<(), ClusterError> {
        let deadline = Instant::now() + wait_max;
        for id in self.ids() {
            let mut last;
            while self.nodes[&id].process.is_some() {
                self.check_alive(id)?;
                match timeout(Duration::from_secs(1), read(self.address(id))).await {
                    Ok(Ok(BytesFrame::Error(text))) => last = text.to_string(),
                    Ok(Ok(_)) => break,
                    Ok(Err(error)) => last = error.to_string(),
                    Err(_) => last = "no answer within a second".into(),
                }
                if Instant::now() > deadline {
                    return Err(ClusterError::Silent { id, wait_max, last });
                }
                sleep(POLL_EVERY).await;
            }
        }
        Ok(())
    }

    /// The node that says it leads; if several do, the one with the highest term.
    ///
    /// # Errors
    /// [`ClusterError::Leaderless`]
    pub async fn leader(&self, wait_max: Duration) -> Result<u64, ClusterError> {
        let deadline = Instant::now() + wait_max;
        loop {
            let mut best = None;
            for (id, node) in &self.nodes {
                if node.process.is_some()
                    && let Some(term) = leads(node.resp).await
                {
                    best = best.max(Some((term, *id)));
                }
            }
            match best {
                Some((_, id)) => return Ok(id),
                None if Instant::now() > deadline => {
                    return Err(ClusterError::Leaderless { wait_max });
                }
                None => sleep(POLL_EVERY).await,
            }
        }
    }

    /// Looks whether a node that should run does.
    ///
    /// # Errors
    /// [`ClusterError::Ended`], [`ClusterError::Process`]
    pub fn check_alive(&mut self, id: u64) -> Result<(), ClusterError> {
        let Some(process) = self
            .nodes
            .get_mut(&id)
            .and_then(|node| node.process.as_mut())
        else {
            return Ok(());
        };
        match process
            .try_wait()
            .map_err(|error| ClusterError::Process { id, error })?
        {
            None => Ok(()),
            Some(status) => {
                let log = tail(&self.log(id));
                Err(ClusterError::Ended {
                    id,
                    status: status.to_string(),
                    log,
                })
            }
        }
    }
}

fn streams_to(log: &Path, stdout: Stdio) -> io::Result<(Stdio, Stdio)> {
    let log = OpenOptions::new().create(true).append(true).open(log)?;
    Ok((stdout, log.into()))
}

fn pipes(deaf: &mut Vec<PipeReader>, listener: Listener) -> io::Result<(Stdio, Stdio)> {
    deaf.clear();
    let mut end = || -> io::Result<Stdio> {
        let (ours, theirs) = io::pipe()?;
        if listener == Listener::Deaf {
            deaf.push(ours);
        }
        Ok(theirs.into())
    };
    Ok((end()?, end()?))
}

async fn read(address: SocketAddr) -> Result<BytesFrame, ClientError> {
    Client::connect(address).await?.call(&[b"DBSIZE"]).await
}

/// The term in which a node leads, if it does.
async fn leads(address: SocketAddr) -> Option<u64> {
    let info = async { Client::connect(address).await.ok()?.info().await.ok() };
    let text = timeout(Duration::from_secs(1), info).await.ok()??;
    let leads = info_field(&text, "role")? == "leader";
    leads
        .then(|| info_field(&text, "term")?.parse().ok())
        .flatten()
}

fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}

/// Makes a directory for a cluster's data; an old one would bring its keys along.
///
/// # Errors
/// When the directory holds a node's data already, or cannot be made.
pub fn fresh_directory(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)?;
    if fs::read_dir(path)?.next().is_some() {
        let message = format!(
            "{} is not empty: it may hold another cluster's data",
            path.display()
        );
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    // Said now rather than by the first node.
    let probe = path.join("node-1.log");
    File::create(&probe)?;
    Ok(())
}

const POLL_EVERY: Duration = Duration::from_millis(20);
const LOG_LINES_SHOWN: usize = 12;
