//! The one place that names a consensus protocol.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

#[cfg(feature = "paxos")]
use synod_replica::paxos;
#[cfg(feature = "raft")]
use synod_replica::raft;
use synod_replica::{
    Birth, GroupId, Node, NodeId, OpenGroupError, SalvageError, Salvaged, SeedError, Sessions,
    Timed, salvage, seed,
};
use synod_transport::ClusterId;
use synod_wal::Directory;

use crate::{
    entry::Machine,
    group::Replicated,
    lease::Leases,
    limits::{CACHE_BYTES_MAX, INFLIGHT_BYTES_MAX, UNCOMMITTED_BYTES_MAX, bound_log},
    machine::Kv,
};

/// What the nodes of a cluster agree by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[non_exhaustive]
pub enum Protocol {
    /// In Search of an Understandable Consensus Algorithm (Ongaro and Ousterhout 2014)
    #[cfg(feature = "raft")]
    Raft,
    /// The Part-Time Parliament (Lamport 1998), as Multi-Paxos
    #[cfg(feature = "paxos")]
    Paxos,
}

/// What the nodes agree by, as the command line says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct Agreement {
    /// What the nodes agree by: the same on all
    #[arg(long, value_enum, default_value_t)]
    pub protocol: Protocol,
    /// Paxos: how many nodes must have a write on stable storage before it is acknowledged. All but
    /// so many, and one more, must then be up for a new leader [default: a majority]
    #[arg(long, value_name = "NODES", value_parser = clap::value_parser!(u64).range(1..))]
    pub phase2: Option<u64>,
}

/// When a leader is missed. Nodes may differ in it, and should not by much.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct Timeouts {
    /// A node that has heard no leader for this long, and up to twice as long, asks for votes.
    /// Longer than the slowest sync of its disk, and than any pause of its machine
    #[arg(
        long,
        value_name = "MS",
        default_value_t = Timeouts::default().election_timeout_ms,
        value_parser = clap::value_parser!(u64).range(10..=600_000)
    )]
    pub election_timeout_ms: u64,
    /// How often a leader makes itself heard: three times or more in an election timeout
    #[arg(
        long,
        value_name = "MS",
        default_value_t = Timeouts::default().heartbeat_ms,
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub heartbeat_ms: u64,
}

/// A leader would be missed while it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "--heartbeat-ms {heartbeat_ms} is too long for --election-timeout-ms {election_timeout_ms}: a leader must be heard \
     {HEARTBEATS_MIN} times in it, so that one lost message costs no election"
)]
pub struct TimeoutsError {
    /// As asked for.
    pub heartbeat_ms: u64,
    /// As asked for.
    pub election_timeout_ms: u64,
}

/// Nodes cannot agree in that way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AgreementError {
    /// There are not so many nodes.
    #[error("--phase2 {phase2} asks for more than the {nodes} nodes there are")]
    TooMany {
        /// As asked for.
        phase2: u64,
        /// How many there are.
        nodes: u64,
    },
    /// The protocol knows majorities alone.
    #[error("--phase2 is for --protocol paxos: with {0} a majority decides")]
    Majority(Protocol),
}

impl Agreement {
    /// The sizes of the quorums: how many must have promised before a node leads, and how many must
    /// have a write before it is acknowledged. Any of the first meet any of the second.
    ///
    /// # Errors
    /// [`AgreementError`]
    pub fn quorums(self, nodes: u64) -> Result<(u64, u64), AgreementError> {
        let majority = nodes / 2 + 1;
        match self.phase2 {
            None => Ok((majority, majority)),
            Some(_) if !self.protocol.is_flexible() => Err(AgreementError::Majority(self.protocol)),
            Some(phase2) if phase2 > nodes => Err(AgreementError::TooMany { phase2, nodes }),
            Some(phase2) => Ok((nodes + 1 - phase2, phase2)),
        }
    }

    /// The same on the command line of a node.
    #[must_use]
    pub fn arguments(self) -> Vec<String> {
        let mut arguments = vec!["--protocol".to_owned(), self.protocol.to_string()];
        if let Some(phase2) = self.phase2 {
            arguments.extend(["--phase2".to_owned(), phase2.to_string()]);
        }
        arguments
    }

    /// The group of all keys, on one of `nodes`.
    pub(crate) fn configure(
        self,
        timeouts: Timeouts,
        id: NodeId,
        nodes: &BTreeSet<NodeId>,
    ) -> Result<Configuration, Box<dyn std::error::Error + Send + Sync>> {
        timeouts.check()?;
        let count = nodes.len() as u64;
        Ok(match self.protocol {
            #[cfg(feature = "raft")]
            Protocol::Raft => {
                self.quorums(count)?;
                Configuration::Raft(raft_config(id, nodes, timeouts))
            }
            #[cfg(feature = "paxos")]
            Protocol::Paxos => {
                let quorums = self.quorums(count)?;
                Configuration::Paxos(paxos_config(id, nodes, quorums, timeouts)?)
            }
        })
    }

    /// How the nodes agree, for a person.
    pub(crate) fn describe(self, nodes: u64) -> String {
        match self.quorums(nodes) {
            Ok((phase1, phase2)) if self.phase2.is_some() => format!(
                "{} (quorums: {phase1} of {nodes} promise, {phase2} of {nodes} accept)",
                self.protocol
            ),
            _ => self.protocol.to_string(),
        }
    }
}

impl Timeouts {
    /// Whether a leader that is well is heard in time.
    ///
    /// # Errors
    /// [`TimeoutsError`]
    pub fn check(self) -> Result<(), TimeoutsError> {
        let Self {
            heartbeat_ms,
            election_timeout_ms,
        } = self;
        if heartbeat_ms.saturating_mul(HEARTBEATS_MIN) <= election_timeout_ms {
            Ok(())
        } else {
            Err(TimeoutsError {
                heartbeat_ms,
                election_timeout_ms,
            })
        }
    }

    fn election(self) -> Duration {
        Duration::from_millis(self.election_timeout_ms)
    }

    fn heartbeat(self) -> Duration {
        Duration::from_millis(self.heartbeat_ms)
    }
}

impl Default for Timeouts {
    /// Those of the protocols.
    fn default() -> Self {
        Self {
            election_timeout_ms: 150,
            heartbeat_ms: 40,
        }
    }
}

impl Protocol {
    /// All that this program was built with.
    #[must_use]
    pub fn all() -> &'static [Self] {
        clap::ValueEnum::value_variants()
    }

    /// As `--protocol` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "raft")]
            Self::Raft => "raft",
            #[cfg(feature = "paxos")]
            Self::Paxos => "paxos",
        }
    }

    /// The voters that a directory was founded on, if it was on this protocol.
    pub(crate) fn voters_of(self, founding: &str) -> Option<BTreeSet<NodeId>> {
        let voters = match self {
            #[cfg(feature = "raft")]
            Self::Raft => founding.strip_prefix("group 1: raft, voters ")?,
            #[cfg(feature = "paxos")]
            Self::Paxos => founding.strip_prefix("group 1: paxos, acceptors ")?,
        };
        let (voters, _) = voters.split_once("; ")?;
        let voters = voters
            .split_once(", phase ")
            .map_or(voters, |(voters, _)| voters);
        let ids = voters.split(", ").map(|id| id.parse().map(NodeId).ok());
        ids.collect()
    }

    /// The protocol that a directory was founded on.
    pub(crate) fn of_founding(founding: &str) -> Option<Self> {
        let mut all = Self::all().iter().copied();
        all.find(|protocol| protocol.voters_of(founding).is_some())
    }

    /// Whether its quorums may be other than majorities.
    fn is_flexible(self) -> bool {
        match self {
            #[cfg(feature = "raft")]
            Self::Raft => false,
            #[cfg(feature = "paxos")]
            Self::Paxos => true,
        }
    }
}

impl Default for Protocol {
    fn default() -> Self {
        Self::all()[0]
    }
}

#[cfg(feature = "raft")]
fn raft_config(id: NodeId, nodes: &BTreeSet<NodeId>, timeouts: Timeouts) -> raft::Config {
    let voters = nodes.iter().map(|voter| raft::NodeId(voter.0));
    let mut config = raft::Config::new(raft::NodeId(id.0), voters);
    config.election_timeout_min = timeouts.election();
    config.election_timeout_max = 2 * timeouts.election();
    config.heartbeat_interval = timeouts.heartbeat();
    config.write_stall_max = config.write_stall_max.max(config.election_timeout_max);
    config.cache_bytes_max = CACHE_BYTES_MAX;
    config.uncommitted_bytes_max = UNCOMMITTED_BYTES_MAX;
    config.inflight_bytes_max = INFLIGHT_BYTES_MAX;
    config
}

#[cfg(feature = "paxos")]
fn paxos_config(
    id: NodeId,
    nodes: &BTreeSet<NodeId>,
    (phase1, phase2): (u64, u64),
    timeouts: Timeouts,
) -> Result<paxos::Config, paxos::QuorumError> {
    let acceptors = nodes.iter().map(|node| paxos::NodeId(node.0));
    let quorums = paxos::Quorums::flexible(acceptors, phase1 as usize, phase2 as usize)?;
    let mut config = paxos::Config::new(paxos::NodeId(id.0), quorums);
    config.election_timeout_min = timeouts.election();
    config.election_timeout_max = 2 * timeouts.election();
    config.heartbeat_interval = timeouts.heartbeat();
    config.write_stall_max = config.write_stall_max.max(config.election_timeout_max);
    config.cache_bytes_max = CACHE_BYTES_MAX;
    config.unchosen_bytes_max = UNCOMMITTED_BYTES_MAX;
    config.inflight_bytes_max = INFLIGHT_BYTES_MAX;
    Ok(config)
}

/// The group of all keys, ready to be opened.
pub(crate) enum Configuration {
    #[cfg(feature = "raft")]
    Raft(raft::Config),
    #[cfg(feature = "paxos")]
    Paxos(paxos::Config),
}

impl Configuration {
    /// The same, with leases if they are set.
    pub(crate) fn with_leases(self, leases: Leases) -> Self {
        let Some((length, ppm)) = leases.setting() else {
            return self;
        };
        match self {
            #[cfg(feature = "raft")]
            Self::Raft(mut config) => {
                let drift = raft::Drift(ppm);
                config.lease = Some(raft::Lease { length, drift });
                Self::Raft(config)
            }
            #[cfg(feature = "paxos")]
            Self::Paxos(mut config) => {
                let drift = paxos::Drift(ppm);
                config.lease = Some(paxos::Lease { length, drift });
                Self::Paxos(config)
            }
        }
    }

    /// The same on a node that is preferred as the leader, or others are.
    pub(crate) fn with_priority(mut self, priority: u8) -> Self {
        match &mut self {
            #[cfg(feature = "raft")]
            Self::Raft(config) => config.priority = priority,
            #[cfg(feature = "paxos")]
            Self::Paxos(config) => config.priority = priority,
        }
        self
    }

    /// The same on a node that waits to be added.
    pub(crate) fn joining(self, id: NodeId) -> Self {
        match self {
            #[cfg(feature = "raft")]
            Self::Raft(mut config) => {
                (config.id, config.voters) = (raft::NodeId(id.0), BTreeSet::new());
                Self::Raft(config)
            }
            #[cfg(feature = "paxos")]
            Self::Paxos(mut config) => {
                (config.id, config.first) = (paxos::NodeId(id.0), None);
                Self::Paxos(config)
            }
        }
    }

    /// What a node is born as that has this group.
    pub(crate) fn birth(&self, cluster: ClusterId, node: NodeId) -> Birth {
        let birth = Birth::new(cluster, node);
        match self {
            #[cfg(feature = "raft")]
            Self::Raft(config) => birth.group(ALL_KEYS, config),
            #[cfg(feature = "paxos")]
            Self::Paxos(config) => birth.group(ALL_KEYS, config),
        }
    }

    /// Makes an empty directory that of a node of a group which begins with this state.
    pub(crate) fn seed(
        self,
        disk: Directory,
        birth: &Birth,
        machine: &Machine,
    ) -> Result<(), SeedError> {
        match self {
            #[cfg(feature = "raft")]
            Self::Raft(config) => seed(disk, birth, bound_log(), (ALL_KEYS, config), machine),
            #[cfg(feature = "paxos")]
            Self::Paxos(config) => seed(disk, birth, bound_log(), (ALL_KEYS, config), machine),
        }
    }

    /// Everything that a directory holds, decided or not. For a configuration that [joins](Self::joining).
    pub(crate) fn salvage(self, disk: Directory) -> Result<Salvaged<Machine>, SalvageError> {
        let machine = Timed::new(Sessions::new(Kv::default()));
        match self {
            #[cfg(feature = "raft")]
            Self::Raft(config) => salvage(disk, bound_log(), (ALL_KEYS, config), machine),
            #[cfg(feature = "paxos")]
            Self::Paxos(config) => salvage(disk, bound_log(), (ALL_KEYS, config), machine),
        }
    }

    pub(crate) async fn open(
        self,
        node: &Node,
        peers: &BTreeMap<NodeId, String>,
        cluster: u128,
    ) -> Result<Replicated, OpenGroupError> {
        match self {
            #[cfg(feature = "raft")]
            Self::Raft(config) => Replicated::open(node, ALL_KEYS, config, (peers, cluster)).await,
            #[cfg(feature = "paxos")]
            Self::Paxos(config) => Replicated::open(node, ALL_KEYS, config, (peers, cluster)).await,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

const ALL_KEYS: GroupId = GroupId(1);
const HEARTBEATS_MIN: u64 = 3;
/// That of the protocols.
pub(crate) const PRIORITY: u8 = 100;

#[cfg(test)]
mod tests;
