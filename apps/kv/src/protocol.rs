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
use synod_replica::{Birth, GroupId, Node, NodeId, OpenGroupError};
use synod_transport::ClusterId;

use crate::{
    group::Replicated,
    limits::{CACHE_BYTES_MAX, INFLIGHT_BYTES_MAX, UNCOMMITTED_BYTES_MAX},
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

    pub(crate) async fn open(
        self,
        node: &Node,
        peers: &BTreeMap<NodeId, String>,
    ) -> Result<Replicated, OpenGroupError> {
        match self {
            #[cfg(feature = "raft")]
            Self::Raft(config) => Replicated::open(node, ALL_KEYS, config, peers).await,
            #[cfg(feature = "paxos")]
            Self::Paxos(config) => Replicated::open(node, ALL_KEYS, config, peers).await,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_decides_unless_told_otherwise() {
        for protocol in Protocol::all().iter().copied() {
            let agreement = Agreement {
                protocol,
                phase2: None,
            };
            assert_eq!(agreement.quorums(4), Ok((3, 3)));
            assert_eq!(agreement.quorums(5), Ok((3, 3)));
            assert_eq!(agreement.describe(5), protocol.name());
        }
    }

    #[test]
    fn a_leader_is_heard_several_times_before_it_is_missed() {
        let with = |election_timeout_ms, heartbeat_ms| Timeouts {
            election_timeout_ms,
            heartbeat_ms,
        };
        assert_eq!(Timeouts::default().check(), Ok(()));
        assert_eq!(with(120, 40).check(), Ok(()));
        let error = with(119, 40).check().unwrap_err();
        assert!(
            error
                .to_string()
                .contains("--heartbeat-ms 40 is too long for --election-timeout-ms 119")
        );
        assert!(with(600_000, u64::MAX).check().is_err());
    }

    #[cfg(feature = "raft")]
    #[test]
    fn the_usual_timeouts_are_those_of_the_protocols() {
        let nodes = BTreeSet::from([NodeId(1)]);
        let usual = raft::Config::new(raft::NodeId(1), [raft::NodeId(1)]);
        let config = raft_config(NodeId(1), &nodes, Timeouts::default());
        let times = |config: &raft::Config| {
            (
                config.election_timeout_min,
                config.election_timeout_max,
                config.heartbeat_interval,
                config.write_stall_max,
            )
        };
        assert_eq!(times(&config), times(&usual));
        let slow = Timeouts {
            election_timeout_ms: 600_000,
            heartbeat_ms: 200_000,
        };
        // The protocol itself refuses a write that counts as stalled before that.
        let slow = raft_config(NodeId(1), &nodes, slow);
        assert_eq!(slow.write_stall_max, slow.election_timeout_max);
    }

    #[cfg(feature = "paxos")]
    #[test]
    fn quorums_of_paxos_are_flexible_and_always_meet() {
        let with = |phase2| Agreement {
            protocol: Protocol::Paxos,
            phase2: Some(phase2),
        };
        assert_eq!(with(2).quorums(4), Ok((3, 2)));
        assert_eq!(with(1).quorums(3), Ok((3, 1)));
        assert_eq!(with(3).quorums(3), Ok((1, 3)));
        let (phase2, nodes) = (4, 3);
        assert_eq!(
            with(4).quorums(3),
            Err(AgreementError::TooMany { phase2, nodes })
        );
        assert_eq!(
            with(2).describe(4),
            "paxos (quorums: 3 of 4 promise, 2 of 4 accept)"
        );
    }

    #[cfg(feature = "raft")]
    #[test]
    fn raft_knows_majorities_alone() {
        let agreement = Agreement {
            protocol: Protocol::Raft,
            phase2: Some(2),
        };
        let refused = Err(AgreementError::Majority(Protocol::Raft));
        assert_eq!(agreement.quorums(4), refused);
    }
}
