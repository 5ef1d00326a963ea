//! `kv recover`: the way back when a majority of the nodes is lost for good.
//!
//! What the lost nodes knew and this one does not is gone. So this is never done by accident, and never to the
//! directory itself: it makes another one, which begins a new cluster with everything that this one holds.

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use serde::Serialize;
use synod_replica::{IdentityError, NodeId, Owner, SalvageError, Salvaged, owner};
use synod_wal::{Directory, DirectoryError};

use crate::{
    demo::report::grouped,
    entry::Machine,
    exit::ExitStatus,
    output::print,
    protocol::{Agreement, Protocol, Timeouts},
    restore::{ForgettingAddresses, Made, RestoreError, make},
};

/// The way back when a majority of the nodes is lost for good: begin a new cluster with what one node holds
///
/// Tells what the node in the directory holds and what may be lost. Only with the long flag it makes a new directory,
/// of a new cluster whose only node has this one's number; it can then be grown. The old directory stays as it is. The
/// new cluster has a number of its own: nodes that were given up are strangers to it, also when they come back.
///
/// Of the nodes that are left, choose the one that holds most. Stop all of them first.
#[derive(Clone, Debug, clap::Args)]
pub struct RecoverOptions {
    /// The directory of the node that is left, which must not run
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Where to make the new directory. It must be empty or absent
    #[arg(long, value_name = "DIR")]
    pub into: PathBuf,
    /// Do it: what the other nodes acknowledged and this one does not hold is lost for ever
    #[arg(long)]
    pub yes_lose_what_is_not_here: bool,
    /// Answer with one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Why nothing was recovered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoverError {
    /// There is no such directory. It is not made.
    #[error("{} is no directory", .0.display())]
    Absent(PathBuf),
    /// It is in use.
    #[error("{0}: stop its node first")]
    InUse(DirectoryError),
    /// It cannot be used.
    #[error(transparent)]
    Directory(DirectoryError),
    /// No node has run on it.
    #[error("{}: no node has run on this directory", .0.display())]
    Unborn(PathBuf),
    /// It was founded on something that this program does not know.
    #[error("the directory was founded as [{0}], which this program does not know")]
    Founding(String),
    /// Its identity cannot be read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// What it holds cannot be read.
    #[error("{}: {}", directory.display(), crate::serve::chain(error))]
    Salvage {
        /// Which.
        directory: PathBuf,
        /// Why.
        error: SalvageError,
    },
    /// The new directory cannot be made.
    #[error(transparent)]
    Make(#[from] RestoreError),
    /// Standard output.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What a directory holds, for people and programs.
#[derive(Debug, Serialize)]
struct Found {
    node: u64,
    cluster_id: String,
    protocol: String,
    /// As the directory knows them last.
    members: Vec<u64>,
    /// In which the last entry was first proposed.
    term: String,
    keys: u64,
    /// Decided, as far as this directory knows.
    decided: u64,
    /// The last entry that it holds.
    last: u64,
    /// Entries before it that it does not hold.
    missing: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<Made>,
}

/// Tells what a directory holds, and begins a new cluster with it if that is asked for. Failed if it is not: nothing
/// was done.
///
/// # Errors
/// [`RecoverError`]
pub fn recover(options: &RecoverOptions) -> Result<ExitStatus, RecoverError> {
    let (owner, protocol, salvaged) = salvage(&options.data)?;
    let mut found = Found::of(&owner, protocol, &salvaged);
    if options.yes_lose_what_is_not_here {
        let agreement = Agreement {
            protocol,
            phase2: None,
        };
        let machine = salvaged.machine.forgetting_addresses();
        found.made = Some(make(&options.into, agreement, &[owner.node.0], &machine)?);
    }
    match options.json {
        true => print(serde_json::to_string(&found).map_err(io::Error::other)?)?,
        false => print(&found)?,
    }
    Ok(match found.made {
        Some(_) => ExitStatus::Stopped,
        None => ExitStatus::Failed,
    })
}

fn salvage(data: &Path) -> Result<(Owner, Protocol, Salvaged<Machine>), RecoverError> {
    if !data.is_dir() {
        return Err(RecoverError::Absent(data.to_owned()));
    }
    let disk = Directory::open(data).map_err(|error| match error {
        DirectoryError::Locked { .. } => RecoverError::InUse(error),
        other => RecoverError::Directory(other),
    })?;
    let owner = owner(&disk)?.ok_or_else(|| RecoverError::Unborn(data.to_owned()))?;
    let protocol = Protocol::of_founding(&owner.founding);
    let unknown = || RecoverError::Founding(owner.founding.clone());
    let protocol = protocol.ok_or_else(unknown)?;
    let agreement = Agreement {
        protocol,
        phase2: None,
    };
    let voters = [owner.node].into();
    let config = agreement.configure(Timeouts::default(), owner.node, &voters);
    let config = config.map_err(RestoreError::Agreement)?;
    let salvaged = config.joining(owner.node).salvage(disk);
    let salvaged = salvaged.map_err(|error| RecoverError::Salvage {
        directory: data.to_owned(),
        error,
    })?;
    Ok((owner, protocol, salvaged))
}

impl Found {
    fn of(owner: &Owner, protocol: Protocol, salvaged: &Salvaged<Machine>) -> Self {
        let members = salvaged.members.iter().map(|(id, _)| id);
        let mut members: Vec<NodeId> = members.collect();
        if members.is_empty() {
            members.extend(protocol.voters_of(&owner.founding).unwrap_or_default());
        }
        Self {
            node: owner.node.0,
            cluster_id: owner.cluster.0.to_string(),
            protocol: protocol.to_string(),
            members: members.into_iter().map(|id| id.0).collect(),
            term: salvaged.epoch.to_string(),
            keys: salvaged.machine.machine().machine().len() as u64,
            decided: salvaged.decided,
            last: salvaged.last,
            missing: salvaged.missing,
            made: None,
        }
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members: Vec<_> = self.members.iter().map(u64::to_string).collect();
        writeln!(
            f,
            "node {} of cluster {} ({}, members {})",
            self.node,
            self.cluster_id,
            self.protocol,
            members.join(", ")
        )?;
        writeln!(
            f,
            "it holds {} keys: entries up to {} (of term {}), of which those up to {} are known here to be decided",
            grouped(self.keys),
            self.last,
            self.term,
            self.decided
        )?;
        let open = self.last - self.decided.min(self.last);
        writeln!(
            f,
            "the last {open} of them may have been acknowledged or not: all are kept, so some may take effect that \
             nobody was told of"
        )?;
        if self.missing > 0 {
            writeln!(
                f,
                "{} entries before the last are not here, and are lost",
                self.missing
            )?;
        }
        write!(
            f,
            "whatever the others acknowledged behind entry {} is lost",
            self.last
        )?;
        match &self.made {
            Some(made) => write!(f, "\n\n{made}"),
            None => write!(
                f,
                "\n\nNothing was done. To begin a new cluster with this, say --yes-lose-what-is-not-here"
            ),
        }
    }
}
