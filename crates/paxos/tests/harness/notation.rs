//! The text form of ballots, positions, votes and messages, and its parser: `2.1` is the ballot of
//! round 2 and node 1, `5@2.1` the position of slot 5 and origin 2.1, `[5@2.1 x of 1.3]` a vote in
//! ballot 2.1 for slot 5 and the value `x` that was first proposed in 1.3.

use std::time::Duration;

use bytes::Bytes;
use synod_paxos::{
    Ballot, Binding, Config, Configuration, Configurations, DiskHealth, Echo, Kind, Message,
    NodeId, Op, Position, Record, Replicate, Role, Slot, Snapshot, Status, Value, Vote,
};

use synod_sim::script::{Fields, parse_number};

pub(crate) fn ballot_text(ballot: Ballot) -> String {
    format!("{}.{}", ballot.round, ballot.node.0)
}

pub(crate) fn position_text(position: Position) -> String {
    format!("{}@{}", position.slot.0, ballot_text(position.origin))
}

fn parse_ballot(text: &str) -> Result<Ballot, String> {
    let parts = text.split_once('.');
    let (round, node) = parts.ok_or_else(|| format!("`{text}` is no ballot like 2.1"))?;
    Ok(Ballot {
        round: parse_number(round)?,
        node: NodeId(parse_number(node)?),
    })
}

/// # Errors
/// What is wrong with it.
pub(crate) fn parse_position(text: &str) -> Result<Position, String> {
    let parts = text.split_once('@');
    let (slot, origin) = parts.ok_or_else(|| format!("`{text}` is no position like 5@2.1"))?;
    Ok(Position {
        slot: Slot(parse_number(slot)?),
        origin: parse_ballot(origin)?,
    })
}

/// A value in a message of `ballot`: its origin is named if it differs.
pub(crate) fn value_text(value: &Value, ballot: Ballot) -> String {
    let body = match value.kind {
        Kind::Noop => "noop".into(),
        Kind::Command => String::from_utf8_lossy(&value.body),
        Kind::Configuration => configuration_text(&value.body).into(),
    };
    if value.origin == ballot {
        body.into_owned()
    } else {
        format!("{body} of {}", ballot_text(value.origin))
    }
}

/// The number of a configuration, its acceptors, and its learners behind a plus.
fn configuration_text(body: &[u8]) -> String {
    let Ok(configuration) = Configuration::decode(body) else {
        return "configuration that does not decode".to_owned();
    };
    let membership = &configuration.membership;
    let acceptors = membership
        .quorums
        .acceptors()
        .map(|id| format!(" {}", id.0));
    let learners = membership.learners.iter().map(|id| format!(" +{}", id.0));
    let nodes: String = acceptors.chain(learners).collect();
    format!("configuration {}:{nodes}", configuration.number)
}

fn parse_value(text: &str, ballot: Ballot) -> Result<Value, String> {
    let (body, origin) = match text.split_once(" of ") {
        Some((body, origin)) => (body, parse_ballot(origin)?),
        None => (text, ballot),
    };
    let is_noop = body == "noop";
    Ok(Value {
        kind: if is_noop { Kind::Noop } else { Kind::Command },
        origin,
        body: Bytes::copy_from_slice(if is_noop { "" } else { body }.as_bytes()),
    })
}

pub(crate) fn vote_text(vote: Vote<&Value>) -> String {
    let (slot, ballot) = (vote.slot.0, ballot_text(vote.ballot));
    format!("{slot}@{ballot} {}", value_text(vote.value, vote.ballot))
}

fn parse_vote(text: &str) -> Result<Vote, String> {
    let parts = text.split_once(' ');
    let (at, value) = parts.ok_or_else(|| format!("`[{text}]` is no vote like [5@2.1 x]"))?;
    let at = parse_position(at)?;
    Ok(Vote {
        slot: at.slot,
        ballot: at.origin,
        value: parse_value(value, at.origin)?,
    })
}

/// A record that became durable, or is being written.
pub(crate) fn record_text(record: &Record) -> String {
    let text = |op: Op<'_>| match op {
        Op::State(state) => {
            let promised = ballot_text(state.promised);
            format!("promised {promised}, chosen {}", state.chosen.0)
        }
        Op::Start(start) => format!("the log begins after {}", position_text(start)),
        Op::Votes(votes) => {
            let votes = votes.iter().map(|vote| format!("[{}]", vote_text(vote)));
            votes.collect::<Vec<_>>().join(", ")
        }
    };
    let parts: Vec<String> = record.ops().map(text).collect();
    parts.join(", ")
}

/// The role and log of a node.
pub(crate) fn standing_text(status: &Status) -> String {
    let ballot = ballot_text(status.ballot);
    match (status.role, status.leader) {
        (Role::Leader, _) => format!("leads in {ballot}"),
        (Role::Candidate, _) => format!("is a candidate in {ballot}"),
        (Role::Asking, _) => format!("asks and has promised {ballot}"),
        (Role::Follower, Some(leader)) => format!("follows {} in {ballot}", leader.0),
        (Role::Follower, None) => format!("follows nobody and has promised {ballot}"),
    }
}

/// The name of a message, as used by selectors.
pub(crate) fn name_of(message: &Message) -> &'static str {
    match message {
        Message::Replicate(Replicate::Accept { .. }) => "Accept",
        Message::Replicate(Replicate::Heartbeat { .. }) => "Heartbeat",
        Message::Replicate(Replicate::Chosen { .. }) => "Chosen",
        Message::Replicate(Replicate::Snapshot { .. }) => "Snapshot",
        Message::Replicate(Replicate::Settle { .. }) => "Settle",
        Message::Replicate(Replicate::Invite { .. }) => "Invite",
        Message::Binding(Binding::Prepare { .. }) => "Prepare",
        Message::Binding(Binding::Promise { .. }) => "Promise",
        Message::Binding(Binding::Accepted { .. }) => "Accepted",
        Message::Binding(Binding::Settled { .. }) => "Settled",
        Message::Echo(Echo::Ask { .. }) => "Ask",
        Message::Echo(Echo::Answer { .. }) => "Answer",
        Message::Echo(Echo::Heartbeat { .. }) => "HeartbeatEcho",
        Message::Echo(Echo::HowFar { .. }) => "HowFar",
        Message::Echo(Echo::Voted { .. }) => "Voted",
        Message::Echo(Echo::Preempted { .. }) => "Preempted",
        Message::Echo(Echo::Removed { .. }) => "Removed",
        Message::Echo(Echo::Learn { .. }) => "Learn",
        Message::Echo(Echo::Learned { .. }) => "Learned",
        Message::Echo(Echo::Offer { .. }) => "Offer",
    }
}

pub(crate) const NAMES: &[&str] = &[
    "Accept",
    "Heartbeat",
    "Chosen",
    "Snapshot",
    "Settle",
    "Invite",
    "Prepare",
    "Promise",
    "Accepted",
    "Settled",
    "Ask",
    "Answer",
    "HeartbeatEcho",
    "HowFar",
    "Voted",
    "Preempted",
    "Removed",
    "Learn",
    "Learned",
    "Offer",
];

fn values_text(values: &[Value], ballot: Ballot) -> String {
    let values = values.iter().map(|value| value_text(value, ballot));
    values.map(|value| format!("[{value}], ")).collect()
}

pub(crate) fn message_text(message: &Message) -> String {
    let fields = match message {
        Message::Replicate(message) => replicate_text(message),
        Message::Binding(message) => binding_text(message),
        Message::Echo(message) => echo_text(message),
    };
    let (name, ballot) = (name_of(message), ballot_text(message.ballot()));
    format!("{name}({} {ballot}{fields})", word_for_ballot(name))
}

/// A ballot that is in use, or one that was merely promised.
fn word_for_ballot(name: &str) -> &'static str {
    if ["Ask", "Answer", "HowFar", "Voted", "Preempted", "Removed"].contains(&name) {
        "promised"
    } else {
        "ballot"
    }
}

fn replicate_text(message: &Replicate) -> String {
    match message {
        Replicate::Accept {
            ballot,
            first,
            values,
            chosen,
        } => {
            let values = values_text(values, *ballot);
            format!(", first {}, {values}chosen {}", first.0, chosen.0)
        }
        Replicate::Heartbeat {
            round,
            chosen,
            through,
            settled,
            lease,
            ..
        } => {
            let (chosen, through) = (chosen.0, through.0);
            let settled = number_text("settled", *settled);
            let lease = lease_text("lease", *lease);
            format!(", round {round}, chosen {chosen}, through {through}{settled}{lease}")
        }
        Replicate::Chosen { chosen, .. } => format!(", chosen {}", chosen.0),
        Replicate::Snapshot { snapshot, .. } => {
            format!(", last {}", position_text(snapshot.last))
        }
        Replicate::Settle { slot, .. } => format!(", slot {}", slot.0),
        Replicate::Invite {
            round,
            chosen,
            last,
            ..
        } => format!(", round {round}, chosen {}, last {}", chosen.0, last.0),
    }
}

fn binding_text(message: &Binding) -> String {
    match message {
        Binding::Prepare {
            from,
            number,
            invited,
            ..
        } => {
            let invited = invited.map(|by| format!(", invited {}", ballot_text(by)));
            let invited = invited.unwrap_or_default();
            let number = number_text("number", *number);
            format!(", from {}{number}{invited}", from.0)
        }
        Binding::Promise {
            from,
            votes,
            next,
            chosen,
            configurations,
            ..
        } => {
            let votes: String = votes
                .iter()
                .map(|vote| format!("[{}], ", vote_text(vote.by_ref())))
                .collect();
            let next = next.map(|next| format!("next {}, ", next.0));
            let next = next.unwrap_or_default();
            let latest = configurations.as_ref().and_then(|known| known.latest());
            let known = latest.map_or(0, |latest| latest.configuration.number);
            let known = number_text("knows", known);
            format!(", from {}, {votes}{next}chosen {}{known}", from.0, chosen.0)
        }
        Binding::Accepted { first, last, .. } => format!(", first {}, last {}", first.0, last.0),
        Binding::Settled { slot, .. } => format!(", slot {}", slot.0),
    }
}

fn echo_text(message: &Echo) -> String {
    match message {
        Echo::Ask { attempt, disk, .. } => format!(", attempt {attempt}{}", disk_text(disk)),
        Echo::Answer {
            attempt,
            no_leader,
            chosen,
            disk,
            priority,
            ..
        } => {
            let (disk, priority) = (disk_text(disk), priority_text(*priority));
            let no_leader = if *no_leader {
                "no_leader"
            } else {
                "has_leader"
            };
            format!(
                ", attempt {attempt}, {no_leader}, chosen {}{disk}{priority}",
                chosen.0
            )
        }
        Echo::Heartbeat {
            round,
            through,
            chosen,
            behind,
            disk,
            priority,
            lease,
            ..
        } => {
            let priority = priority_text(*priority);
            let (disk, lease) = (disk_text(disk), lease_text("grants", *lease));
            let (through, chosen) = (through.0, chosen.0);
            let behind = if *behind { ", behind" } else { "" };
            format!(
                ", round {round}, through {through}, chosen {chosen}{behind}{disk}{priority}{lease}"
            )
        }
        Echo::HowFar { life, number, .. } => format!(", life {life}, number {number}"),
        Echo::Voted {
            life, number, last, ..
        } => format!(", life {life}, number {number}, last {}", last.0),
        Echo::Preempted { .. } => String::new(),
        Echo::Removed { number, .. } => number_text("number", *number),
        Echo::Learn { from, to, .. } => format!(", from {}, to {}", from.0, to.0),
        Echo::Learned {
            ballot,
            first,
            values,
        } => {
            let values = values_text(values, *ballot);
            let values = values.trim_end_matches(", ");
            format!(", first {}, {values}", first.0)
        }
        Echo::Offer { snapshot, .. } => format!(", last {}", position_text(snapshot.last)),
    }
}

/// The number of a configuration, unless it is the first.
fn number_text(name: &str, number: u64) -> String {
    match number {
        0 => String::new(),
        _ => format!(", {name} {number}"),
    }
}

/// A lease that is asked for or granted, in milliseconds.
fn lease_text(what: &str, lease: Duration) -> String {
    match lease.as_millis() {
        0 => String::new(),
        ms => format!(", {what} {ms}"),
    }
}

/// The ballot of the leader that has invited the candidate, if one has.
fn parse_invited(fields: &mut Fields<'_>) -> Result<Option<Ballot>, String> {
    fields.value("invited").ok().map(parse_ballot).transpose()
}

fn parse_lease(fields: &mut Fields<'_>, what: &str) -> Duration {
    Duration::from_millis(fields.number(what).unwrap_or(0))
}

/// The state of a disk, if it is unusual.
fn disk_text(disk: &DiskHealth) -> String {
    let full = if disk.has_room { "" } else { ", full" };
    match disk.sync_time.as_millis() {
        0 => full.to_owned(),
        ms => format!("{full}, syncs {ms}"),
    }
}

/// The priority of a node, if it is not the usual one.
fn priority_text(priority: Option<u8>) -> String {
    match priority {
        Some(Config::PRIORITY) => String::new(),
        Some(priority) => format!(", priority {priority}"),
        None => ", not preferred".to_owned(),
    }
}

fn parse_priority(fields: &mut Fields<'_>) -> Option<u8> {
    let usual = u64::from(Config::PRIORITY);
    let priority = fields.number("priority").unwrap_or(usual);
    (!fields.flag("not preferred")).then(|| u8::try_from(priority).unwrap_or(u8::MAX))
}

/// Parses `full` and `syncs 250`, in milliseconds.
fn parse_disk(fields: &mut Fields<'_>) -> DiskHealth {
    let full = fields.flag("full");
    let ms = fields.number("syncs").unwrap_or(0);
    DiskHealth {
        has_room: !full,
        sync_time: Duration::from_millis(ms),
    }
}

fn parse_snapshot(
    fields: &mut Fields<'_>,
    configurations: &Configurations,
) -> Result<Snapshot, String> {
    Ok(Snapshot {
        last: parse_position(fields.value("last")?)?,
        configurations: configurations.clone(),
    })
}

/// Parses the output of [`message_text`]; a snapshot gets the given configuration.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_message(
    text: &str,
    configurations: &Configurations,
) -> Result<Message, String> {
    let mut fields = Fields::parse(text)?;
    let name = fields.name();
    let ballot = parse_ballot(fields.value(word_for_ballot(name))?)?;
    let message = match name {
        "Accept" | "Heartbeat" | "Chosen" | "Snapshot" | "Settle" | "Invite" => {
            Message::Replicate(parse_replicate(name, ballot, &mut fields, configurations)?)
        }
        "Prepare" | "Promise" | "Accepted" | "Settled" => {
            Message::Binding(parse_binding(name, ballot, &mut fields)?)
        }
        _ => Message::Echo(parse_echo(name, ballot, &mut fields, configurations)?),
    };
    fields.end()?;
    Ok(message)
}

fn parse_replicate(
    name: &str,
    ballot: Ballot,
    fields: &mut Fields<'_>,
    configurations: &Configurations,
) -> Result<Replicate, String> {
    Ok(match name {
        "Accept" => Replicate::Accept {
            ballot,
            first: Slot(fields.number("first")?),
            values: fields.list(|text| parse_value(text, ballot))?.into(),
            chosen: Slot(fields.number("chosen")?),
        },
        "Heartbeat" => Replicate::Heartbeat {
            ballot,
            round: fields.number("round")?,
            chosen: Slot(fields.number("chosen")?),
            through: Slot(fields.number("through")?),
            settled: fields.number("settled").unwrap_or(0),
            lease: parse_lease(fields, "lease"),
        },
        "Settle" => Replicate::Settle {
            ballot,
            slot: Slot(fields.number("slot")?),
        },
        "Chosen" => Replicate::Chosen {
            ballot,
            chosen: Slot(fields.number("chosen")?),
        },
        "Invite" => Replicate::Invite {
            ballot,
            round: fields.number("round")?,
            chosen: Slot(fields.number("chosen")?),
            last: Slot(fields.number("last")?),
        },
        _ => Replicate::Snapshot {
            ballot,
            snapshot: Box::new(parse_snapshot(fields, configurations)?),
        },
    })
}

fn parse_binding(name: &str, ballot: Ballot, fields: &mut Fields<'_>) -> Result<Binding, String> {
    Ok(match name {
        "Prepare" => Binding::Prepare {
            ballot,
            from: Slot(fields.number("from")?),
            number: fields.number("number").unwrap_or(0),
            invited: parse_invited(fields)?,
        },
        "Settled" => Binding::Settled {
            ballot,
            slot: Slot(fields.number("slot")?),
        },
        "Promise" => Binding::Promise {
            ballot,
            from: Slot(fields.number("from")?),
            votes: fields.list(parse_vote)?,
            next: fields.number("next").ok().map(Slot),
            chosen: Slot(fields.number("chosen")?),
            configurations: None,
        },
        _ => Binding::Accepted {
            ballot,
            first: Slot(fields.number("first")?),
            last: Slot(fields.number("last")?),
        },
    })
}

fn parse_echo(
    name: &str,
    ballot: Ballot,
    fields: &mut Fields<'_>,
    configurations: &Configurations,
) -> Result<Echo, String> {
    Ok(match name {
        "Ask" => Echo::Ask {
            promised: ballot,
            attempt: fields.number("attempt")?,
            disk: parse_disk(fields),
        },
        "Answer" => Echo::Answer {
            promised: ballot,
            attempt: fields.number("attempt")?,
            no_leader: fields.flag("no_leader") || !fields.flag("has_leader"),
            chosen: Slot(fields.number("chosen")?),
            disk: parse_disk(fields),
            priority: parse_priority(fields),
        },
        "HeartbeatEcho" => Echo::Heartbeat {
            ballot,
            round: fields.number("round")?,
            through: Slot(fields.number("through")?),
            chosen: Slot(fields.number("chosen")?),
            behind: fields.flag("behind"),
            disk: parse_disk(fields),
            priority: parse_priority(fields),
            lease: parse_lease(fields, "grants"),
        },
        "HowFar" => Echo::HowFar {
            promised: ballot,
            life: fields.number("life")?,
            number: fields.number("number")?,
        },
        "Voted" => Echo::Voted {
            promised: ballot,
            life: fields.number("life")?,
            number: fields.number("number")?,
            last: Slot(fields.number("last")?),
        },
        "Preempted" => Echo::Preempted { promised: ballot },
        "Removed" => Echo::Removed {
            promised: ballot,
            number: fields.number("number")?,
        },
        "Learn" => Echo::Learn {
            ballot,
            from: Slot(fields.number("from")?),
            to: Slot(fields.number("to")?),
        },
        "Learned" => Echo::Learned {
            ballot,
            first: Slot(fields.number("first")?),
            values: fields.list(|text| parse_value(text, ballot))?.into(),
        },
        "Offer" => Echo::Offer {
            ballot,
            snapshot: Box::new(parse_snapshot(fields, configurations)?),
        },
        _ => return Err(format!("there is no message `{name}`")),
    })
}
