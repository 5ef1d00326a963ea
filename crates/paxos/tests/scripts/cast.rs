//! The parts of scripts that are specific to this protocol, other than messages.

use std::collections::BTreeMap;
use std::time::Duration;

use synod_paxos::{
    Ballot, ChangeEnd, ChangePhase, Config, Configuration, Configurations, Counters, DiskHealth,
    Drift, Kind, Lease, Membership, Message, NodeId, Paxos, PeerState, PeerStatus, Position,
    Quorums, Snapshot, Stop,
};
use synod_sim::cluster::{self, Cast};
use synod_sim::script::{Arguments, parse_duration, parse_number};

use crate::harness::cluster::{Cluster, HEARTBEAT, Node, SILENCE};
use crate::harness::core::Cores;
use crate::harness::notation::{NAMES, ballot_text, parse_message, parse_position, position_text};

impl Cast for Cores {
    const MESSAGES: &'static [&'static str] = NAMES;
    const TAMPERINGS: &'static [&'static str] = &["lose-promise", "set-round"];
    const SILENCE: Duration = SILENCE;
    const HEARTBEAT: Duration = HEARTBEAT;

    fn cast(
        arguments: &mut Arguments<'_>,
    ) -> Result<Result<cluster::Cluster<Self>, String>, String> {
        let phases = (
            arguments.number_option("phase1")?,
            arguments.number_option("phase2")?,
        );
        let cache = arguments.number_option("cache")?;
        let accept = arguments.number_option("accept-bytes")?;
        let inflight = arguments.number_option("inflight")?;
        let stall = arguments.option("write-stall");
        let stall = stall.map(parse_duration).transpose()?;
        let catch_up = arguments.option("catch-up");
        let catch_up = catch_up.map(parse_duration).transpose()?;
        let alpha = arguments.number_option("alpha")?;
        let joining = arguments.number_option("joining")?.unwrap_or(0);
        let lease = arguments.option("lease");
        let lease = lease.map(parse_duration).transpose()?;
        let drift = arguments.number_option("drift")?.map(Drift);
        let drift = drift.unwrap_or_default();
        let priorities_text = arguments.option("priorities");
        let made_up = arguments.flag("made-up");
        let first = arguments.number()?;
        // One number is a count, several are ids.
        let mut ids = Vec::new();
        while let Some(id) = arguments.positional() {
            ids.push(NodeId(parse_number(id)?));
        }
        if ids.is_empty() {
            ids.extend((1..=first).map(NodeId));
        } else {
            ids.push(NodeId(first));
        }
        let quorums = match phases {
            (Some(phase1), Some(phase2)) => Quorums::flexible(ids, phase1, phase2),
            _ => Quorums::majority(ids),
        };
        let quorums = match quorums {
            Ok(quorums) => quorums,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let priorities = priorities(priorities_text, &quorums)?;
        let tweak = |config: &mut Config| {
            let priority = priorities.get(&config.id).copied();
            config.priority = priority.unwrap_or(config.priority);
            config.lease = lease.map(|length| Lease { length, drift });
            config.cache_bytes_max = cache.unwrap_or(config.cache_bytes_max);
            config.accept_bytes_max = accept.unwrap_or(config.accept_bytes_max);
            config.inflight_messages_max = inflight.unwrap_or(config.inflight_messages_max);
            config.write_stall_max = stall.unwrap_or(config.write_stall_max);
            config.catch_up_max = catch_up.unwrap_or(config.catch_up_max);
            if let Some(first) = &mut config.first {
                first.alpha = alpha.unwrap_or(first.alpha);
            }
        };
        let mut cluster = Cluster::joined(&quorums, joining, tweak).0;
        cluster.watch.made_up = made_up;
        Ok(Ok(cluster))
    }

    fn parse_message(text: &str, ids: &[NodeId]) -> Result<Message, String> {
        parse_message(text, &configurations(ids))
    }

    fn parse_mark(text: &str) -> Result<Position, String> {
        parse_position(text)
    }

    fn parse_snapshot(last: Position, ids: &[NodeId]) -> Snapshot {
        Snapshot {
            last,
            configurations: configurations(ids),
        }
    }

    fn tamper(node: &mut Node, name: &str, arguments: &mut Arguments<'_>) -> Result<(), String> {
        if name == "lose-promise" {
            node.disk.state = None;
            return Ok(());
        }
        let round = arguments.number()?;
        let state = node.disk.state.get_or_insert_default();
        state.promised = Ballot {
            round,
            node: node.config.id,
        };
        Ok(())
    }

    fn set_room(health: &mut DiskHealth, has_room: bool) {
        health.has_room = has_room;
    }

    fn set_sync_time(health: &mut DiskHealth, time: Duration) {
        health.sync_time = time;
    }

    fn start_text(core: &Paxos) -> String {
        format!("starts, promised {}", ballot_text(core.status().ballot))
    }

    fn status_text(core: &Paxos, applied: usize) -> (String, Vec<String>) {
        let status = core.status();
        let text = format!(": chosen {}, applied {applied}", status.chosen.0);
        let peer = |peer: &PeerStatus| {
            let (id, through, next) = (peer.id.0, peer.through.0, peer.next.0);
            let state = state_text(peer.state);
            format!("{id}: {state}, through {through}, next {next}")
        };
        (text, status.peers.iter().map(peer).collect())
    }

    fn stored_value(node: &Node, name: &str) -> Option<String> {
        Some(match name {
            "log" => {
                let start = Some(node.disk.start).filter(|start| start.slot.0 > 0);
                let start = start.map(|start| format!("({})", position_text(start)));
                let votes = node.disk.log.values();
                let votes =
                    votes.map(|vote| format!("{}@{}", vote.slot.0, ballot_text(vote.ballot)));
                let ids: Vec<String> = start.into_iter().chain(votes).collect();
                if ids.is_empty() {
                    "nothing".to_owned()
                } else {
                    ids.join(" ")
                }
            }
            "stored" => match node.disk.state {
                None => "none".to_owned(),
                Some(state) => ballot_text(state.promised),
            },
            "replaced" => node.disk.replaced.to_string(),
            "commands" => {
                let given = node.given.iter().map(|(_, value)| value);
                let commands = given.filter(|value| value.kind == Kind::Command);
                let commands = commands.map(|value| String::from_utf8_lossy(&value.body));
                commands.collect::<Vec<_>>().join(" ")
            }
            _ => return None,
        })
    }

    fn live_value(core: &Paxos, name: &str, detail: &str) -> Result<String, String> {
        let status = core.status();
        let peer = || -> Result<&PeerStatus, String> {
            let wanted = NodeId(parse_number(detail)?);
            let found = status.peers.iter().find(|peer| peer.id == wanted);
            found.ok_or_else(|| format!("it does not lead {detail}"))
        };
        Ok(match name {
            "ballot" => ballot_text(status.ballot),
            "round" => status.ballot.round.to_string(),
            "chosen" => status.chosen.0.to_string(),
            "cached" => status.cache_bytes.to_string(),
            "durable" => status.persisted.0.to_string(),
            "last" => status.last.0.to_string(),
            "start" => status.start.0.to_string(),
            "through" => peer()?.through.0.to_string(),
            "next" => peer()?.next.0.to_string(),
            "transfer" => match status.transfer {
                Some(to) => to.0.to_string(),
                None => "none".to_owned(),
            },
            "giving-up" => match status.giving_up {
                Some(why) => format!("{why:?}"),
                None => "none".to_owned(),
            },
            "stepped-down" => match status.stepped_down {
                Some(why) => format!("{why:?}"),
                None => "never".to_owned(),
            },
            "priority" => match detail {
                "" => status.priority.to_string(),
                _ => match peer()?.priority {
                    Some(priority) => priority.to_string(),
                    None => "none".to_owned(),
                },
            },
            "members" => members_text(status.latest.as_ref()),
            "in-force" => members_text(status.in_force.as_ref()),
            "configuration" => status.configuration.to_string(),
            "change" => match status.change.map(|change| change.phase) {
                None => "none",
                Some(ChangePhase::CatchUp) => "catch-up",
                Some(ChangePhase::Proposed) => "proposed",
                Some(ChangePhase::Decided) => "decided",
                Some(ChangePhase::Settling) => "settling",
            }
            .to_owned(),
            "change-end" => match status.change_end {
                None => "none".to_owned(),
                Some(ChangeEnd::Done { number }) => format!("done {number}"),
                Some(ChangeEnd::Aborted) => "aborted".to_owned(),
                Some(ChangeEnd::TooSlow { node }) => format!("{} too slow", node.0),
                Some(ChangeEnd::LeaderLost) => "leader lost".to_owned(),
            },
            "state" => state_text(peer()?.state).to_owned(),
            "counter" => counter(&core.counters(), detail)?.to_string(),
            _ => return Err(format!("there is no `{name}` to expect")),
        })
    }

    fn stop_text(stop: Stop) -> &'static str {
        match stop {
            Stop::Diverged { .. } => "diverged",
            Stop::Removed { .. } => "removed",
        }
    }
}

/// `1,5,5`: the priorities of the first acceptors, in the order of their ids.
fn priorities(text: Option<&str>, quorums: &Quorums) -> Result<BTreeMap<NodeId, u8>, String> {
    let priorities = text.into_iter().flat_map(|text| text.split(','));
    let pair = |(id, priority): (NodeId, &str)| {
        let number = priority.parse();
        let number = number.map_err(|_| format!("`{priority}` is no priority"))?;
        Ok((id, number))
    };
    quorums.acceptors().zip(priorities).map(pair).collect()
}

/// `1 2 3 +4` for three acceptors and a learner.
fn members_text(membership: Option<&Membership>) -> String {
    let Some(membership) = membership else {
        return "none".to_owned();
    };
    let acceptors = membership.quorums.acceptors().map(|id| id.0.to_string());
    let learners = membership.learners.iter().map(|id| format!("+{}", id.0));
    acceptors.chain(learners).collect::<Vec<_>>().join(" ")
}

fn configurations(ids: &[NodeId]) -> Configurations {
    let quorums = Quorums::majority(ids.iter().copied());
    let quorums = quorums.expect("the nodes of a cluster are a group");
    Configurations::first(Configuration::first(Membership::of(quorums)))
}

fn state_text(state: PeerState) -> &'static str {
    match state {
        PeerState::Silent => "silent",
        PeerState::Stream => "stream",
        PeerState::Snapshot => "snapshot",
    }
}

fn counter(counters: &Counters, name: &str) -> Result<u64, String> {
    Ok(match name {
        "strangers" => counters.strangers,
        "removed" => counters.removed,
        "stale" => counters.stale,
        "malformed" => counters.malformed,
        "leaps" => counters.leaps,
        "leased" => counters.leased,
        "out-of-role" => counters.out_of_role,
        "too-far-ahead" => counters.too_far_ahead,
        "transfers-stale" => counters.transfers_stale,
        "conflicts-with-chosen" => counters.conflicts_with_chosen,
        "snapshots-stale" => counters.snapshots_stale,
        "receipts-unknown" => counters.receipts_unknown,
        "receipts-foreign" => counters.receipts_foreign,
        "fetches-stale" => counters.fetches_stale,
        "exhausted" => counters.exhausted,
        _ => return Err(format!("there is no counter `{name}`")),
    })
}
