//! What `kv serve` is told on its command line.

use std::{path::PathBuf, str::FromStr};

use crate::{
    exit::STATUSES,
    lease::Leases,
    protocol::{Agreement, PRIORITY, Timeouts},
    secure::SecurityOptions,
    server::ServerLimits,
};

/// Run one node of a cluster.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = STATUSES)]
pub struct ServeOptions {
    /// This node's number
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub id: u64,
    /// Every node that the cluster began with: where its peers reach it. Once the cluster has changed, its log
    /// says who takes part
    #[arg(
        long,
        value_name = "ID=HOST:PORT,..",
        value_delimiter = ',',
        required = true
    )]
    pub cluster: Vec<Member>,
    /// This node is none of those in `--cluster`: it waits until `MEMBER ADD` or `MEMBER REPLACE` names it.
    /// Needs `--listen`
    #[arg(long, requires = "listen")]
    pub join: bool,
    /// With `--join`: where nodes are reached that the cluster has by now and did not begin with
    #[arg(
        long,
        value_name = "ID=HOST:PORT,..",
        value_delimiter = ',',
        requires = "join"
    )]
    pub peers: Vec<Member>,
    /// Where this node listens for its peers, if that is not its address in `--cluster`
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Where clients reach this node
    #[arg(long, value_name = "HOST:PORT")]
    pub resp: String,
    /// What other nodes' clients are told of where they reach this one, if that is not --resp
    #[arg(long, value_name = "HOST:PORT")]
    pub resp_announce: Option<String>,
    /// This node's data; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// How the nodes agree.
    #[command(flatten)]
    pub agreement: Agreement,
    /// When a leader is missed.
    #[command(flatten)]
    pub timeouts: Timeouts,
    /// How much this node is preferred as the leader: one of a higher number takes over from those of lower
    /// ones, once it is up to date and fit. The same on all: nobody is preferred
    #[arg(long, value_name = "0..255", default_value_t = PRIORITY)]
    pub priority: u8,
    /// Whether leaders may answer reads by themselves.
    #[command(flatten)]
    pub leases: Leases,
    /// How connections are protected.
    #[command(flatten)]
    pub security: SecurityOptions,
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
    /// Clients served at a time; fewer when the process may not have so many descriptors open. With one
    /// more, who has been idle longest gives way; when nobody is, the address with the most
    #[arg(long, default_value_t = ServerLimits::default().clients_max)]
    pub clients_max: usize,
    /// Client connections of one address at a time [default: no limit]
    #[arg(long, value_name = "CLIENTS")]
    pub clients_per_address_max: Option<usize>,
    /// Requests and answers that all connections together may hold; when one needs more, the largest is
    /// cut. 16 KiB for each of --clients-max at the least. A client that sends more than a quarter of it
    /// before it reads an answer gets an error behind those answers, and is cut
    #[arg(long, value_name = "BYTES", default_value_t = ServerLimits::default().clients_bytes_max)]
    pub clients_bytes_max: usize,
    /// How long a client may take for the rest of a request that it has begun, and to take its answers
    /// (64 KiB of them, when they are more; as long as it sends as much it need not), before it is cut
    #[arg(
        long,
        value_name = "MS",
        default_value_t = ServerLimits::default().stall_max.as_millis() as u64,
        value_parser = clap::value_parser!(u64).range(1..=3_600_000)
    )]
    pub client_stall_ms: u64,
    /// How long a client may say nothing before it is cut [default: for ever, while there are places]
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    pub client_idle_ms: Option<u64>,
    /// Requests of one connection under way at a time
    #[arg(long, default_value_t = ServerLimits::default().inflight_max)]
    pub inflight_max: usize,
    /// Keep what was not synced in memory, so that a kill loses it as a power cut would
    #[arg(long)]
    pub power_loss: bool,
    /// Never sync, and say it was done: for showing that this is noticed. Implies --power-loss
    #[arg(long)]
    pub skip_sync: bool,
    /// Let each sync take so much longer: for showing what a slow disk does
    #[arg(
        long,
        value_name = "MS",
        hide = true,
        default_value_t = 0,
        value_parser = clap::value_parser!(u64).range(..=60_000)
    )]
    pub slow_sync_ms: u64,
    /// Let so many syncs succeed and all others fail: for showing what a broken disk does
    #[arg(long, value_name = "SYNCS", hide = true, default_value_t = u64::MAX)]
    pub good_syncs: u64,
    /// Stop when standard input ends
    #[arg(long)]
    pub exit_with_parent: bool,
    /// Let whoever writes to standard input cut the links to the peers: for showing what a partition does
    #[arg(long, hide = true, requires = "exit_with_parent")]
    pub links_from_stdin: bool,
    /// For demos only: let whoever writes to standard input stall the disk, or let it be full
    #[arg(long, hide = true, requires = "exit_with_parent")]
    pub disk_from_stdin: bool,
    /// For demos only: how long a segment of the log is
    #[arg(
        long,
        value_name = "BYTES",
        hide = true,
        value_parser = clap::value_parser!(u64).range(4 << 20..=1 << 30)
    )]
    pub segment_bytes: Option<u64>,
    /// What to tell on standard error: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info")]
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
