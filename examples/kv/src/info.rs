//! The text that `INFO` answers.

use std::fmt::Write;

use bytes::Bytes;

use crate::{limits::MemoryLimits, store::Consensus};

/// What the server knows of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) port: u16,
    pub(crate) uptime_s: u64,
    pub(crate) clients: usize,
    pub(crate) clients_max: usize,
    pub(crate) clients_bytes: usize,
    pub(crate) evicted_clients: u64,
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
    ] {
        if wanted(section) {
            let gap = if text.is_empty() { "" } else { "\r\n" };
            // Writing to a string cannot fail.
            let _ = write!(text, "{gap}# {section}\r\n");
            for (name, value) in lines {
                let _ = write!(text, "{name}:{value}\r\n");
            }
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

type Lines = Vec<(&'static str, String)>;

fn server(facts: Facts) -> Lines {
    vec![
        ("server", "synod-kv".into()),
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("process_id", std::process::id().to_string()),
        ("tcp_port", facts.port.to_string()),
        ("uptime_in_seconds", facts.uptime_s.to_string()),
        ("log_lines_dropped", facts.log_lines_dropped.to_string()),
    ]
}

fn clients(facts: Facts) -> Lines {
    vec![
        ("connected_clients", facts.clients.to_string()),
        ("maxclients", facts.clients_max.to_string()),
        ("client_bytes", facts.clients_bytes.to_string()),
        ("evicted_clients", facts.evicted_clients.to_string()),
    ]
}

fn memory(facts: Facts) -> Lines {
    let resident = resident_bytes(std::process::id());
    let own = [
        // Left empty where the system does not tell.
        (
            "used_memory_rss",
            resident.map(|bytes| bytes.to_string()).unwrap_or_default(),
        ),
        ("limit_bytes", facts.limits.total_bytes().to_string()),
    ];
    let parts = facts.limits.parts();
    own.into_iter()
        .chain(parts.map(|(name, bytes)| (name, bytes.to_string())))
        .collect()
}

/// What a process has in memory, where the system tells it the way Linux does.
pub(crate) fn resident_bytes(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = info_field(&status, "VmRSS")?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1_024)
}

fn replication(consensus: &Consensus) -> Lines {
    vec![
        ("protocol", consensus.protocol.into()),
        ("id", consensus.id.to_string()),
        ("role", consensus.role.clone()),
        // Empty while no leader is known: a number here would be taken for a node's.
        (
            "leader_id",
            consensus
                .leader_id
                .map(|id| id.to_string())
                .unwrap_or_default(),
        ),
        ("term", consensus.term.to_string()),
        ("commit_index", consensus.commit_index.to_string()),
        ("applied_index", consensus.applied_index.to_string()),
        ("log_bytes", consensus.log_bytes.to_string()),
        ("log_syncs", consensus.log_syncs.to_string()),
        ("snapshots_taken", consensus.snapshots_taken.to_string()),
        (
            "snapshots_received",
            consensus.snapshots_received.to_string(),
        ),
    ]
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
}
