//! `kv restore`: the directories of a new cluster that begins with a backup.

use std::{
    fmt,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use serde::Serialize;
use synod_replica::{IdentityError, NodeId, SeedError, Sessions, StateMachine, Timed};
use synod_transport::ClusterId;
use synod_wal::{Directory, DirectoryError};

use crate::{
    backup::{Head, read},
    demo::report::grouped,
    entry::Machine,
    machine::Kv,
    output::print,
    protocol::{Agreement, Timeouts},
    serve::DRAWN_MIN,
};

/// Make the directories of a new cluster that begins with a backup
///
/// The new cluster may have any size and either protocol, and has a number of its own: nodes of the one that the backup
/// is of are strangers to it. Each of its nodes begins with its own directory: one that began without would have
/// forgotten what the others know.
#[derive(Clone, Debug, clap::Args)]
pub struct RestoreOptions {
    /// What `kv backup` wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Where the directories are made: node-1, node-2 and so on. It must be empty or absent
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// How many nodes begin the new cluster; they are numbered from 1
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub nodes: u64,
    /// How they agree
    #[command(flatten)]
    pub agreement: Agreement,
    /// Answer with one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The file cannot be read, or is no whole backup.
    #[error("{}: {error}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It would be written over something.
    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),
    /// The nodes cannot agree in that way.
    #[error(transparent)]
    Agreement(Box<dyn std::error::Error + Send + Sync>),
    /// A directory could not be made.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// A directory could not be filled.
    #[error("{}: {error}", directory.display())]
    Seed {
        /// Which.
        directory: PathBuf,
        /// Why.
        error: SeedError,
    },
    /// An identity could not be read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A cluster that was made, for people and programs.
#[derive(Debug, Serialize)]
pub(crate) struct Made {
    /// Decimal, as `--cluster-id` takes it. Text, since few programs read a number of that length.
    pub(crate) cluster_id: String,
    pub(crate) protocol: String,
    pub(crate) keys: u64,
    pub(crate) nodes: Vec<MadeNode>,
    #[serde(skip)]
    pub(crate) arguments: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct MadeNode {
    pub(crate) id: u64,
    pub(crate) directory: PathBuf,
}

/// Makes the directories, and prints how the new cluster is started.
///
/// # Errors
/// [`RestoreError`]; then none of the directories has its name.
pub fn restore(options: &RestoreOptions) -> Result<(), RestoreError> {
    let agreement = options.agreement;
    let checked = agreement.quorums(options.nodes);
    checked.map_err(|error| RestoreError::Agreement(error.into()))?;
    let (_, machine) = load(&options.file)?;
    let ids: Vec<u64> = (1..=options.nodes).collect();
    let made = make(&options.dir, agreement, &ids, &machine)?;
    match options.json {
        true => print(serde_json::to_string(&made).map_err(io::Error::other)?)?,
        false => print(made)?,
    }
    Ok(())
}

/// What a backup holds. It is read twice: nothing of a damaged one is used.
fn load(file: &Path) -> Result<(Head, Machine), RestoreError> {
    let of = |error| RestoreError::File {
        file: file.to_owned(),
        error,
    };
    read(file).and_then(|backup| backup.verify()).map_err(of)?;
    let mut backup = read(file).map_err(of)?;
    let mut machine = Timed::new(Sessions::new(Kv::default()));
    machine.restore(&mut backup).map_err(of)?;
    Ok((backup.head().clone(), machine.forgetting_addresses()))
}

/// Lets a machine forget where clients reach the nodes of the cluster that it comes from.
pub(crate) trait ForgettingAddresses {
    fn forgetting_addresses(self) -> Self;
}

impl ForgettingAddresses for Machine {
    fn forgetting_addresses(mut self) -> Self {
        self.machine_mut().machine_mut().forget_addresses();
        self
    }
}

/// Makes directories below `dir`, for these nodes of a new cluster that begins with this state.
pub(crate) fn make(
    dir: &Path,
    agreement: Agreement,
    ids: &[u64],
    machine: &Machine,
) -> Result<Made, RestoreError> {
    fs::create_dir_all(dir)?;
    if fs::read_dir(dir)?.next().is_some() {
        return Err(RestoreError::NotEmpty(dir.to_owned()));
    }
    let cluster = drawn_cluster()?;
    let voters = ids.iter().copied().map(NodeId).collect();
    let name = |id: &u64| dir.join(format!("node-{id}"));
    let part = |id: &u64| dir.join(format!("node-{id}.part"));
    for id in ids {
        let node = NodeId(*id);
        let config = agreement.configure(Timeouts::default(), node, &voters);
        let config = config.map_err(RestoreError::Agreement)?;
        let birth = config.birth(cluster, node);
        let directory = part(id);
        let disk = Directory::open(&directory)?;
        config
            .seed(disk, &birth, machine)
            .map_err(|error| RestoreError::Seed { directory, error })?;
    }
    // Only when all of them are whole: some of them alone are no cluster that should be started.
    for id in ids {
        fs::rename(part(id), name(id))?;
    }
    File::open(dir)?.sync_all()?;
    let nodes = ids.iter().map(|id| MadeNode {
        id: *id,
        directory: name(id),
    });
    Ok(Made {
        cluster_id: cluster.0.to_string(),
        protocol: agreement.protocol.to_string(),
        keys: machine.machine().machine().len() as u64,
        nodes: nodes.collect(),
        arguments: agreement.arguments(),
    })
}

/// A number that no cluster has, and that says that the cluster began with a state.
fn drawn_cluster() -> io::Result<ClusterId> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(ClusterId(u128::from_le_bytes(bytes) | DRAWN_MIN))
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} keys. Start each node of the new cluster with its directory, where it is to run:",
            grouped(self.keys)
        )?;
        let cluster: Vec<_> = self
            .nodes
            .iter()
            .map(|node| format!("{}=HOST:PORT", node.id))
            .collect();
        for node in &self.nodes {
            write!(
                f,
                "\nkv serve --id {} --data {} --cluster-id {} {} --cluster {} --resp HOST:PORT",
                node.id,
                node.directory.display(),
                self.cluster_id,
                self.arguments.join(" "),
                cluster.join(",")
            )?;
        }
        Ok(())
    }
}
