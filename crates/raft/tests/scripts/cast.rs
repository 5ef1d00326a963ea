//! The parts of scripts that are specific to this protocol, other than messages.

use std::time::Duration;

use synod_raft::{
    ChangeEnd, Config, Counters, DiskHealth, Drift, Lease, LogId, Membership, Message, NodeId,
    PeerState, PeerStatus, Raft, Snapshot, Stop, Term,
};
use synod_sim::cluster::{self, Cast};
use synod_sim::script::{Arguments, parse_duration, parse_number};

use crate::harness::cluster::{Cluster, HEARTBEAT, Node, SILENCE};
use crate::harness::core::Cores;
use crate::harness::notation::{NAMES, id_text, membership_text, parse_id, parse_message};

impl Cast for Cores {
    const MESSAGES: &'static [&'static str] = NAMES;
    const TAMPERINGS: &'static [&'static str] = &["lose-vote"];
    const SILENCE: Duration = SILENCE;
    const HEARTBEAT: Duration = HEARTBEAT;

    fn cast(
        arguments: &mut Arguments<'_>,
    ) -> Result<Result<cluster::Cluster<Self>, String>, String> {
        let size = arguments.number()?;
        let on = |value: Option<&str>| match value {
            None | Some("on") => Ok(true),
            Some("off") => Ok(false),
            Some(other) => Err(format!("`{other}` is neither on nor off")),
        };
        let pre_vote = on(arguments.option("pre-vote"))?;
        let check_quorum = on(arguments.option("check-quorum"))?;
        let cache = arguments.number_option("cache")?;
        let append = arguments.number_option("append-bytes")?;
        let stall = arguments.option("write-stall");
        let stall = stall.map(parse_duration).transpose()?;
        let catch_up = arguments.option("catch-up");
        let catch_up = catch_up.map(parse_duration).transpose()?;
        let lease = arguments.option("lease");
        let lease = lease.map(parse_duration).transpose()?;
        let drift = arguments.number_option("drift")?.unwrap_or(0);
        let drift = Drift(u32::try_from(drift).map_err(|_| "too much drift".to_owned())?);
        let priorities = arguments.option("priorities").unwrap_or_default();
        let priorities = priorities.split(',').filter(|number| !number.is_empty());
        let priorities: Vec<u64> = priorities.map(parse_number).collect::<Result<_, _>>()?;
        let witnesses = arguments.option("witnesses").unwrap_or_default();
        let witnesses = witnesses.split(',').filter(|number| !number.is_empty());
        let witnesses: Vec<u64> = witnesses.map(parse_number).collect::<Result<_, _>>()?;
        let tweak = |config: &mut Config| {
            let is_witness = |id: &NodeId| witnesses.contains(&id.0);
            config.witnesses = config.voters.iter().copied().filter(is_witness).collect();
            let priority = priorities.get(config.id.0 as usize - 1);
            let priority = priority.and_then(|it| u8::try_from(*it).ok());
            config.priority = priority.unwrap_or(Config::PRIORITY);
            config.lease = lease.map(|length| Lease { length, drift });
            (config.pre_vote, config.check_quorum) = (pre_vote, check_quorum);
            config.cache_bytes_max = cache.unwrap_or(config.cache_bytes_max);
            config.append_bytes_max = append.unwrap_or(config.append_bytes_max);
            config.write_stall_max = stall.unwrap_or(config.write_stall_max);
            config.catch_up_max = catch_up.unwrap_or(config.catch_up_max);
        };
        let term = arguments.number_option("term")?;
        let joining = arguments.number_option("joining")?.unwrap_or(0);
        let mut cluster = Cluster::joined(size, joining, Term(term.unwrap_or(0)), tweak).0;
        cluster.watch.made_up = arguments.flag("made-up");
        Ok(Ok(cluster))
    }

    fn parse_message(text: &str, ids: &[NodeId]) -> Result<Message, String> {
        parse_message(text, &Membership::of_voters(ids.iter().copied()))
    }

    fn parse_mark(text: &str) -> Result<LogId, String> {
        parse_id(text)
    }

    fn parse_snapshot(last: LogId, ids: &[NodeId]) -> Snapshot {
        let membership = Membership::of_voters(ids.iter().copied());
        Snapshot { last, membership }
    }

    fn tamper(node: &mut Node, _: &str, _: &mut Arguments<'_>) -> Result<(), String> {
        node.disk.vote = None;
        Ok(())
    }

    fn set_room(health: &mut DiskHealth, has_room: bool) {
        health.has_room = has_room;
    }

    fn set_sync_time(health: &mut DiskHealth, time: Duration) {
        health.sync_time = time;
    }

    fn start_text(core: &Raft) -> String {
        format!("starts in term {}", core.status().term.0)
    }

    fn status_text(core: &Raft, applied: usize) -> (String, Vec<String>) {
        let status = core.status();
        let mut text = format!(": committed {}, applied {applied}", status.commit.0);
        let waiting = status.last.0 - status.persisted.0;
        if waiting > 0 {
            text = format!("{text}, {waiting} not durable");
        }
        let peer = |peer: &PeerStatus| {
            let (id, matched, next) = (peer.id.0, peer.matched.0, peer.next.0);
            let state = state_text(peer.state);
            format!("{id}: {state}, matched {matched}, next {next}")
        };
        (text, status.peers.iter().map(peer).collect())
    }

    fn stored_value(node: &Node, name: &str) -> Option<String> {
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
            "truncations" => node.disk.truncations.to_string(),
            _ => return None,
        })
    }

    fn live_value(core: &Raft, name: &str, detail: &str) -> Result<String, String> {
        let status = core.status();
        let peer = || -> Result<&PeerStatus, String> {
            let wanted = NodeId(parse_number(detail)?);
            let found = status.peers.iter().find(|peer| peer.id == wanted);
            found.ok_or_else(|| format!("it does not lead {detail}"))
        };
        Ok(match name {
            "term" => status.term.0.to_string(),
            "commit" => status.commit.0.to_string(),
            "durable" => status.persisted.0.to_string(),
            "last" => status.last.0.to_string(),
            "start" => status.start.0.to_string(),
            "matched" => peer()?.matched.0.to_string(),
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
                None => "none".to_owned(),
            },
            "priority" => match peer()?.priority {
                Some(priority) => priority.to_string(),
                None => "none".to_owned(),
            },
            "membership" => membership_text(&status.membership),
            "change-end" => match status.change_end {
                None => "none".to_owned(),
                Some(ChangeEnd::Done) => "done".to_owned(),
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
            Stop::Forgot { .. } => "forgot",
            Stop::Removed => "removed",
        }
    }
}

fn state_text(state: PeerState) -> &'static str {
    match state {
        PeerState::Probe => "probe",
        PeerState::Replicate => "replicate",
        PeerState::Snapshot => "snapshot",
        PeerState::Forgot => "forgot",
        PeerState::Leaving => "leaving",
    }
}

fn counter(counters: &Counters, name: &str) -> Result<u64, String> {
    Ok(match name {
        "strangers" => counters.strangers,
        "removed" => counters.removed,
        "stale" => counters.stale,
        "malformed" => counters.malformed,
        "leaps" => counters.leaps,
        "out-of-role" => counters.out_of_role,
        "votes-while-bound" => counters.votes_while_bound,
        "votes-while-led" => counters.votes_while_led,
        "transfers-stale" => counters.transfers_stale,
        "conflicts-with-commit" => counters.conflicts_with_commit,
        "snapshots-stale" => counters.snapshots_stale,
        "receipts-unknown" => counters.receipts_unknown,
        "receipts-foreign" => counters.receipts_foreign,
        "fetches-stale" => counters.fetches_stale,
        "exhausted" => counters.exhausted,
        _ => return Err(format!("there is no counter `{name}`")),
    })
}
