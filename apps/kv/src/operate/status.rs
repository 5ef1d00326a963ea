//! How each node of a cluster is, as it tells itself.

use std::{fmt, time::Duration};

use serde::Serialize;
use tokio::{task::JoinSet, time::timeout};

use super::listed::{Listed, ListedChange, ListedMember};
use crate::{info::info_field, reach::Reach};

/// All members, each asked itself as far as it is reached.
#[derive(Debug, Serialize)]
pub(super) struct Cluster {
    nodes: Vec<Node>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<ListedChange>,
}

#[derive(Debug, Serialize)]
struct Node {
    #[serde(flatten)]
    member: ListedMember,
    /// What it says of itself; or why nothing is known.
    #[serde(flatten)]
    said: Said,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Said {
    Told(Told),
    Silent { silent: String },
}

/// What a node says.
#[derive(Debug, Default, Serialize)]
struct Told {
    role: String,
    protocol: String,
    priority: u8,
    /// For how long it may still answer reads by itself, if it has a lease.
    lease_ms: Option<u64>,
    term: u64,
    committed: u64,
    applied: u64,
    log_bytes: u64,
    sync_time_us: u64,
    disk_full_seconds: Option<u64>,
    /// Why it serves nothing any more.
    closed: Option<String>,
}

impl Node {
    fn told(&self) -> Option<&Told> {
        match &self.said {
            Said::Told(told) => Some(told),
            Said::Silent { .. } => None,
        }
    }
}

impl Cluster {
    pub(super) async fn ask(reach: &Reach, listed: Listed) -> Self {
        let mut asked = JoinSet::new();
        for member in listed.members {
            let reach = reach.clone();
            asked.spawn(async move {
                let told = match &member.clients {
                    Some(at) => ask(&reach, at).await,
                    None => Err("it has not said where clients reach it".into()),
                };
                let said = told.map_or_else(|silent| Said::Silent { silent }, Said::Told);
                Node { member, said }
            });
        }
        let mut nodes: Vec<_> = asked.join_all().await;
        nodes.sort_by_key(|node| node.member.id);
        Self {
            nodes,
            change: listed.change,
        }
    }

    /// Whether every node that counts answers, serves and has space, and one of them leads.
    pub(super) fn is_well(&self) -> bool {
        let voters = self.nodes.iter().filter(|node| node.member.side == "voter");
        let told: Option<Vec<_>> = voters.map(Node::told).collect();
        told.is_some_and(|told| {
            let serves = |told: &&Told| told.closed.is_none() && told.disk_full_seconds.is_none();
            told.iter().all(serves) && told.iter().any(|told| told.role == "leader")
        })
    }
}

async fn ask(reach: &Reach, at: &str) -> Result<Told, String> {
    let asked = async {
        let mut client = reach.connect(at).await.map_err(|error| error.to_string())?;
        client.info().await.map_err(|error| error.to_string())
    };
    match timeout(ASK_TIMEOUT, asked).await {
        Ok(info) => Ok(Told::read(&info?)),
        Err(_) => Err("no answer".into()),
    }
}

impl Told {
    fn read(info: &str) -> Self {
        let text = |name| info_field(info, name).unwrap_or_default().trim().to_owned();
        let known = |name| Some(text(name)).filter(|text| !text.is_empty());
        let number = |name| text(name).parse().unwrap_or_default();
        Self {
            role: text("role"),
            protocol: text("protocol"),
            priority: text("priority").parse().unwrap_or_default(),
            lease_ms: known("lease_ms").and_then(|left| left.parse().ok()),
            term: number("term"),
            committed: number("commit_index"),
            applied: number("applied_index"),
            log_bytes: number("log_bytes"),
            sync_time_us: number("sync_time_us"),
            disk_full_seconds: known("disk_full_seconds").and_then(|full| full.parse().ok()),
            closed: known("closed"),
        }
    }
}

impl fmt::Display for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<6} {:<8} {:<10} {:>8} {:>8} {:>8} {:>12} {:>12} {:>10} {:>9}  clients",
            "node",
            "counts",
            "role",
            "priority",
            "lease ms",
            "term",
            "committed",
            "applied",
            "log KiB",
            "sync ms"
        )?;
        for Node { member, said } in &self.nodes {
            let counts = if member.side == "voter" {
                "yes"
            } else {
                "not yet"
            };
            let clients = member.clients.as_deref().unwrap_or("?");
            match said {
                Said::Told(told) => write!(
                    f,
                    "\n{:<6} {counts:<8} {:<10} {:>8} {:>8} {:>8} {:>12} {:>12} {:>10} {:>9.2}  {clients}",
                    member.id,
                    told.role,
                    told.priority,
                    told.lease_ms
                        .map_or_else(|| "-".to_owned(), |left| left.to_string()),
                    told.term,
                    told.committed,
                    told.applied,
                    told.log_bytes / 1_024,
                    told.sync_time_us as f64 / 1e3,
                )?,
                Said::Silent { silent } => {
                    write!(
                        f,
                        "\n{:<6} {counts:<8} silent: {silent}  {clients}",
                        member.id
                    )?;
                }
            }
            if let Said::Told(Told {
                closed: Some(why), ..
            }) = said
            {
                write!(f, "\n       it serves nothing any more: {why}")?;
            }
            if let Said::Told(Told {
                disk_full_seconds: Some(seconds),
                ..
            }) = said
            {
                write!(f, "\n       its disk has been full for {seconds} s")?;
            }
        }
        match &self.change {
            Some(change) => write!(f, "\n{change}"),
            None => Ok(()),
        }
    }
}

const ASK_TIMEOUT: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(second: Said) -> Cluster {
        let member = |id| ListedMember {
            id,
            side: "voter".into(),
            address: None,
            clients: Some(format!("h:{id}")),
            leader: id == 1,
        };
        let info = "role:leader\r\nprotocol:raft\r\npriority:9\r\nlease_ms:90\r\n\
                    term:3\r\ncommit_index:9\r\napplied_index:8\r\n\
                    log_bytes:2048\r\nsync_time_us:1500\r\ndisk_full_seconds:\r\nclosed:\r\n";
        let first = Said::Told(Told::read(info));
        Cluster {
            nodes: vec![
                Node {
                    member: member(1),
                    said: first,
                },
                Node {
                    member: member(2),
                    said: second,
                },
            ],
            change: None,
        }
    }

    #[test]
    fn a_node_that_is_silent_closed_or_full_is_shown_and_is_not_well() {
        let silent = cluster(Said::Silent {
            silent: "no answer".into(),
        });
        assert!(!silent.is_well());
        let text = silent.to_string();
        assert!(
            text.contains("2      yes      silent: no answer  h:2"),
            "{text}"
        );
        assert!(
            text.contains("1      yes      leader            9       90        3 "),
            "{text}"
        );
        let follower = || Told {
            role: "follower".into(),
            ..Told::default()
        };
        assert!(cluster(Said::Told(follower())).is_well());
        let full = Told {
            disk_full_seconds: Some(7),
            ..follower()
        };
        assert!(!cluster(Said::Told(full)).is_well());
        let closed = cluster(Said::Told(Told {
            closed: Some("why".into()),
            ..follower()
        }));
        assert!(
            !closed.is_well()
                && closed
                    .to_string()
                    .contains("it serves nothing any more: why")
        );
        let json = serde_json::to_string(&silent).unwrap();
        let expected = concat!(
            r#"{"nodes":[{"id":1,"side":"voter","address":null,"clients":"h:1","leader":true,"role":"leader","#,
            r#""protocol":"raft","priority":9,"lease_ms":90,"term":3,"committed":9,"applied":8,"#,
            r#""log_bytes":2048,"sync_time_us":1500,"#,
            r#""disk_full_seconds":null,"closed":null},"#
        );
        assert!(json.starts_with(expected), "{json}");
    }
}
