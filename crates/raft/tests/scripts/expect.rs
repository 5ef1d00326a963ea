//! What must hold at a point of a story, and what `status` shows of it.

use synod_raft::{Counters, NodeId, PeerState, PeerStatus, ReadId, Role, Status, Stop};

use crate::arguments::Arguments;
use crate::harness::cluster::Cluster;
use crate::harness::node::Standing;
use crate::notation::{id_text, parse_number};
use crate::selector::Selector;
use crate::stage::Stage;
use crate::story::standing_text;

impl Stage {
    /// `expect 2 leads`, `expect nobody leads`, `expect commit 3 = 2`.
    ///
    /// # Errors
    /// What is so instead.
    pub(crate) fn expect(&mut self, text: &str) -> Result<(), String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        if words == ["nobody", "leads"] {
            return self.expect_no_leader();
        }
        if let Some(at) = words.iter().position(|word| OPERATORS.contains(word)) {
            let (value, operator) = (words[at + 1..].join(" "), words[at]);
            return self.expect_values(&words[..at], operator, &value);
        }
        let (id, wanted) = text.split_once(' ').ok_or("expect what?")?;
        let stands = self.standing(parse_number(id)?)?;
        let as_wanted = stands == wanted || stands.starts_with(&format!("{wanted} "));
        if as_wanted {
            Ok(())
        } else {
            Err(format!("{id} {stands}"))
        }
    }

    fn expect_no_leader(&mut self) -> Result<(), String> {
        let cluster = self.cluster()?;
        let mut up = cluster.nodes.values().filter_map(|node| node.raft.as_ref());
        match up.find(|raft| raft.status().role == Role::Leader) {
            Some(raft) => Err(format!("{} leads", raft.status().id.0)),
            None => Ok(()),
        }
    }

    fn standing(&mut self, id: u64) -> Result<String, String> {
        let down = self.down.get(&id).copied();
        let node = self.cluster()?.nodes.get(&NodeId(id));
        let node = node.ok_or_else(|| format!("there is no node {id}"))?;
        Ok(match &node.raft {
            None => down.unwrap_or("is down").to_owned(),
            Some(raft) => {
                let Status {
                    role,
                    term,
                    leader,
                    commit,
                    ..
                } = raft.status();
                standing_text(&Standing {
                    role,
                    term,
                    leader,
                    commit,
                })
            }
        })
    }

    /// For one node, or with `*` for each.
    fn expect_values(&mut self, of: &[&str], operator: &str, value: &str) -> Result<(), String> {
        let Some(at) = of.iter().position(|word| *word == "*") else {
            return self.expect_value(of, operator, value);
        };
        let ids: Vec<u64> = self.cluster()?.nodes.keys().map(|id| id.0).collect();
        ids.iter().try_for_each(|id| {
            let id = id.to_string();
            let mut of = of.to_vec();
            of[at] = &id;
            self.expect_value(&of, operator, value)
        })
    }

    fn expect_value(&mut self, of: &[&str], operator: &str, value: &str) -> Result<(), String> {
        let found = self.value(of)?;
        let holds = match (found.parse::<u64>(), value.parse::<u64>(), operator) {
            (_, _, "=") => found == value,
            (_, _, "!=") => found != value,
            (Ok(found), Ok(value), "<") => found < value,
            (Ok(found), Ok(value), "<=") => found <= value,
            (Ok(found), Ok(value), ">") => found > value,
            (Ok(found), Ok(value), ">=") => found >= value,
            _ => return Err(format!("`{found}` and `{value}` are not both numbers")),
        };
        if holds {
            Ok(())
        } else {
            Err(format!("{} = {found}", of.join(" ")))
        }
    }

    fn value(&mut self, of: &[&str]) -> Result<String, String> {
        let number = |at: usize| parse_number(of.get(at).copied().unwrap_or(""));
        match of.first().copied().unwrap_or("") {
            "messages" => {
                let wanted = Selector::parse(of.get(1).unwrap_or(&"*->*"))?;
                let packets = &self.cluster()?.net;
                Ok(packets
                    .iter()
                    .filter(|packet| wanted.matches(packet))
                    .count()
                    .to_string())
            }
            "read" => {
                let read = number(1)?;
                let cluster = self.cluster()?;
                let ended = cluster
                    .answers
                    .iter()
                    .find(|(_, id, _)| *id == ReadId(read));
                Ok(match ended {
                    Some((_, _, Ok(index))) => index.0.to_string(),
                    Some((_, _, Err(_))) => "refused".to_owned(),
                    None if cluster.waits(read) => "waiting".to_owned(),
                    None => "never asked".to_owned(),
                })
            }
            name => {
                let id = number(1)?;
                let cluster = self.cluster()?;
                if !cluster.nodes.contains_key(&NodeId(id)) {
                    return Err(format!("there is no node {id}"));
                }
                match stored_value(cluster, name, id) {
                    Some(value) => Ok(value),
                    None if cluster.node(id).is_up() => {
                        live_value(cluster, name, id, of.get(2).copied().unwrap_or(""))
                    }
                    None => Err(format!("{id} is not up")),
                }
            }
        }
    }

    /// Where one node stands, or each.
    pub(crate) fn status(&mut self, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let only = arguments.positional().map(parse_number).transpose()?;
        let ids: Vec<u64> = self.cluster()?.nodes.keys().map(|id| id.0).collect();
        for id in ids
            .into_iter()
            .filter(|id| only.is_none_or(|only| only == *id))
        {
            let stands = self.standing(id)?;
            let cluster = self.cluster()?;
            let log = stored_value(cluster, "log", id).unwrap_or_default();
            let mut line = format!("{id} {stands}");
            let mut peers = Vec::new();
            if cluster.node(id).is_up() {
                let status = cluster.status(id);
                let applied = cluster.node(id).machine.len();
                line = format!("{line}: committed {}, applied {applied}", status.commit.0);
                let waiting = status.last.0 - status.persisted.0;
                if waiting > 0 {
                    line = format!("{line}, {waiting} not durable");
                }
                peers = status.peers;
            }
            self.tell_line(format!("{line}; stored: {log}"));
            for peer in peers.iter().filter(|_| only.is_some()) {
                let (matched, next) = (peer.matched.0, peer.next.0);
                let state = state_text(peer.state);
                self.tell_line(format!(
                    "  to {}: {state}, matched {matched}, next {next}",
                    peer.id.0
                ));
            }
        }
        Ok(())
    }
}

/// What can be said of a node that is down, too.
fn stored_value(cluster: &Cluster, name: &str, id: u64) -> Option<String> {
    let node = &cluster.nodes[&NodeId(id)];
    Some(match name {
        "log" => {
            let start = Some(node.disk.start).filter(|start| start.index.0 > 0);
            let start = start.map(|start| format!("({})", id_text(start)));
            let entries = node.disk.log.values().map(|entry| id_text(entry.id));
            let ids: Vec<String> = start.into_iter().chain(entries).collect();
            if ids.is_empty() {
                "nothing".to_owned()
            } else {
                ids.join(" ")
            }
        }
        "vote" => match node.disk.vote {
            None => "none".to_owned(),
            Some((term, None)) => format!("nobody in term {}", term.0),
            Some((term, Some(vote))) => format!("{} in term {}", vote.0, term.0),
        },
        "snapshot" => id_text(node.disk.covered()),
        "truncations" => node.disk.truncations.to_string(),
        "applied" => node.machine.len().to_string(),
        "restores" => node.restores.to_string(),
        "writes" => node.writes.to_string(),
        "pulls" => node.pulls.len().to_string(),
        "fetches" => node.fetches.len().to_string(),
        _ => return None,
    })
}

fn live_value(cluster: &mut Cluster, name: &str, id: u64, detail: &str) -> Result<String, String> {
    let status = cluster.status(id);
    let peer = || -> Result<&PeerStatus, String> {
        let wanted = NodeId(parse_number(detail)?);
        let found = status.peers.iter().find(|peer| peer.id == wanted);
        found.ok_or_else(|| format!("{id} does not lead {detail}"))
    };
    Ok(match name {
        "stopped" => match cluster.node(id).stopped {
            None => "no",
            Some(Stop::Diverged { .. }) => "diverged",
            Some(Stop::Forgot { .. }) => "forgot",
        }
        .to_owned(),
        "term" => status.term.0.to_string(),
        "commit" => status.commit.0.to_string(),
        "durable" => status.persisted.0.to_string(),
        "last" => status.last.0.to_string(),
        "start" => status.start.0.to_string(),
        "matched" => peer()?.matched.0.to_string(),
        "next" => peer()?.next.0.to_string(),
        "state" => state_text(peer()?.state).to_owned(),
        "counter" => counter(&cluster.node(id).raft().counters(), detail)?.to_string(),
        _ => return Err(format!("there is no `{name}` to expect")),
    })
}

fn state_text(state: PeerState) -> &'static str {
    match state {
        PeerState::Probe => "probe",
        PeerState::Replicate => "replicate",
        PeerState::Snapshot => "snapshot",
        PeerState::Forgot => "forgot",
    }
}

fn counter(counters: &Counters, name: &str) -> Result<u64, String> {
    Ok(match name {
        "strangers" => counters.strangers,
        "stale" => counters.stale,
        "malformed" => counters.malformed,
        "leaps" => counters.leaps,
        "out-of-role" => counters.out_of_role,
        "votes-while-led" => counters.votes_while_led,
        "conflicts-with-commit" => counters.conflicts_with_commit,
        "snapshots-stale" => counters.snapshots_stale,
        "receipts-unknown" => counters.receipts_unknown,
        "receipts-foreign" => counters.receipts_foreign,
        "fetches-stale" => counters.fetches_stale,
        "exhausted" => counters.exhausted,
        _ => return Err(format!("there is no counter `{name}`")),
    })
}

const OPERATORS: &[&str] = &["=", "!=", "<", "<=", ">", ">="];
