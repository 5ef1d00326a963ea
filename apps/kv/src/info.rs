//! The text that `INFO` answers.

use std::fmt::{self, Display, Write};

use bytes::Bytes;

use crate::{
    limits::MemoryLimits,
    roster::Counts,
    store::{Consensus, Peer},
};

/// What the server knows of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) port: u16,
    pub(crate) uptime_s: u64,
    pub(crate) clients: Counts,
    pub(crate) clients_max: usize,
    pub(crate) unaccepted: u64,
    pub(crate) unshaken: u64,
    pub(crate) auth_failures: u64,
    pub(crate) log_lines_dropped: u64,
    pub(crate) limits: MemoryLimits,
}

/// The sections asked for, or all of them when none is named; names that do not exist are left out,
/// as Redis does.
pub(crate) fn text(sections: &[Bytes], facts: Facts, consensus: &Consensus) -> String {
    let wanted = |section: &str| {
        sections.is_empty()
            || sections.iter().any(|name| {
                [section, "default", "all", "everything"]
                    .iter()
                    .any(|word| name.eq_ignore_ascii_case(word.as_bytes()))
            })
    };
    let mut text = String::new();
    for (section, lines) in [
        ("Server", server(facts)),
        ("Clients", clients(facts)),
        ("Memory", memory(facts)),
        ("Consensus", replication(consensus)),
        ("Transport", transport(consensus)),
    ] {
        if wanted(section) {
            let gap = if text.is_empty() { "" } else { "\r\n" };
            // Writing to a string cannot fail.
            let _ = write!(text, "{gap}# {section}\r\n{}", lines.0);
        }
    }
    text
}

/// One field of the text that `INFO` answers.
#[must_use]
pub fn info_field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

/// Fields of a section, a line each.
struct Lines(String);

impl Lines {
    fn new<const N: usize>(fields: [(&str, &dyn Display); N]) -> Self {
        let mut lines = Self(String::new());
        for (name, value) in fields {
            lines.add(name, value);
        }
        lines
    }

    fn add(&mut self, name: impl Display, value: impl Display) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{name}:{value}\r\n");
    }
}

fn server(facts: Facts) -> Lines {
    Lines::new([
        ("server", &"synod-kv"),
        ("version", &env!("CARGO_PKG_VERSION")),
        ("process_id", &std::process::id()),
        ("tcp_port", &facts.port),
        ("uptime_in_seconds", &facts.uptime_s),
        ("log_lines_dropped", &facts.log_lines_dropped),
    ])
}

fn clients(facts: Facts) -> Lines {
    Lines::new([
        ("connected_clients", &facts.clients.connected),
        ("maxclients", &facts.clients_max),
        ("client_bytes", &facts.clients.bytes),
        // Cut because they held the most; because they gave their seat; because they stalled; because they
        // sent too much before they read; because they were idle for too long. And those that got no place.
        ("evicted_clients", &facts.clients.evicted),
        ("displaced_clients", &facts.clients.gave_way),
        ("stalled_clients", &facts.clients.stalled),
        ("ahead_clients", &facts.clients.ahead),
        ("idle_clients", &facts.clients.idle),
        ("rejected_connections", &facts.clients.rejected),
        // The system had no descriptor for them.
        ("unaccepted_connections", &facts.unaccepted),
        // They did not agree on TLS with this node, in time or at all; and said what is not the password.
        ("tls_failures", &facts.unshaken),
        ("auth_failures", &facts.auth_failures),
    ])
}

fn memory(facts: Facts) -> Lines {
    let resident = resident_bytes(std::process::id());
    let mut lines = Lines::new([
        // Left empty where the system does not tell.
        ("used_memory_rss", &Known(resident)),
        ("limit_bytes", &facts.limits.total_bytes()),
    ]);
    for (name, bytes) in facts.limits.parts() {
        lines.add(name, bytes);
    }
    lines
}

/// What a process has in memory, where the system tells it the way Linux does.
pub(crate) fn resident_bytes(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = info_field(&status, "VmRSS")?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1_024)
}

fn replication(consensus: &Consensus) -> Lines {
    let mut lines = Lines::new([
        ("protocol", &consensus.protocol),
        ("id", &consensus.id),
        ("role", &consensus.role),
        // Empty while the node serves.
        ("closed", &Known(consensus.closed.as_ref())),
        // Empty while no leader is known: a number here would be taken for a node's.
        ("leader_id", &Known(consensus.leader_id)),
        ("priority", &consensus.priority),
        // Empty unless it leads and may answer reads by itself.
        ("lease_ms", &Known(consensus.lease_ms)),
        ("term", &consensus.term),
        ("commit_index", &consensus.commit_index),
        ("applied_index", &consensus.applied_index),
        ("log_bytes", &consensus.log_bytes),
        ("log_syncs", &consensus.log_syncs),
        ("snapshots_taken", &consensus.snapshots_taken),
        ("snapshots_received", &consensus.snapshots_received),
        ("snapshots_failed", &consensus.snapshots_failed),
        ("leaps_ignored", &consensus.leaps_ignored),
        ("sync_time_us", &consensus.sync_time_us),
        // Empty while there is space.
        ("disk_full_seconds", &Known(consensus.disk_full_s)),
    ]);
    for peer in &consensus.peers {
        lines.add(format_args!("peer{}", peer.id), Standing(peer));
    }
    lines
}

fn transport(consensus: &Consensus) -> Lines {
    let mut lines = Lines::new([]);
    for (name, count) in &consensus.transport {
        lines.add(name, count);
    }
    lines
}

/// How another node stands, in one line; a part is empty where nothing is known.
struct Standing<'a>(&'a Peer);

impl Display for Standing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Peer {
            matched,
            lag,
            forgot,
            heard_ms,
            is_connected,
            ..
        } = self.0;
        write!(
            f,
            "connected={},heard_ms={},forgot={},matched={},lag={}",
            u8::from(*is_connected),
            Known(heard_ms.as_ref()),
            u8::from(*forgot),
            Known(matched.as_ref()),
            Known(lag.as_ref())
        )
    }
}

/// Nothing where nothing is known.
struct Known<T>(Option<T>);

impl<T: Display> Display for Known<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |value| value.fmt(f))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_chosen_by_name() {
        let consensus = Consensus {
            protocol: "raft",
            leader_id: Some(2),
            ..Consensus::default()
        };
        let all = text(&[], Facts::default(), &consensus);
        assert_eq!(info_field(&all, "leader_id"), Some("2"));
        assert_eq!(info_field(&all, "leader"), None);
        assert!(all.starts_with("# Server\r\n") && all.contains("\r\n\r\n# Clients\r\n"));
        let one = text(&["consensus".into()], Facts::default(), &consensus);
        assert!(one.starts_with("# Consensus\r\nprotocol:raft\r\n") && !one.contains("# Server"));
        assert_eq!(text(&["keyspace".into()], Facts::default(), &consensus), "");
    }

    #[test]
    fn peers_and_the_end_have_lines_of_their_own() {
        let peer = |id| Peer {
            id,
            matched: Some(7),
            lag: Some(2),
            forgot: id == 3,
            heard_ms: None,
            is_connected: true,
        };
        let consensus = Consensus {
            role: "closed".into(),
            closed: Some("storage failed".into()),
            peers: vec![peer(2), peer(3)],
            disk_full_s: Some(3),
            priority: 7,
            lease_ms: Some(90),
            transport: vec![("bulk_dropped", 9)],
            ..Consensus::default()
        };
        let all = text(&[], Facts::default(), &consensus);
        assert_eq!(info_field(&all, "closed"), Some("storage failed"));
        for (field, forgot) in [("peer2", 0), ("peer3", 1)] {
            let expected = format!("connected=1,heard_ms=,forgot={forgot},matched=7,lag=2");
            assert_eq!(info_field(&all, field), Some(&*expected));
        }
        assert_eq!(info_field(&all, "disk_full_seconds"), Some("3"));
        assert_eq!(info_field(&all, "priority"), Some("7"));
        assert_eq!(info_field(&all, "lease_ms"), Some("90"));
        assert_eq!(info_field(&all, "bulk_dropped"), Some("9"));
        assert_eq!(info_field(&all, "leader_id"), Some(""));
    }
}
