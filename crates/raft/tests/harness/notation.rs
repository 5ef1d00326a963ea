//! The text form of ids, entries and messages, and its parser: `2.5` is the position of term 2 and
//! index 5.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use synod_raft::{
    Binding, Config, DiskHealth, Echo, Entry, Index, Kind, LogId, Membership, Message, NodeId, Op,
    Record, Replicate, Role, Snapshot, Status, Term,
};

use synod_sim::script::{Fields, parse_number};

pub(crate) fn id_text(id: LogId) -> String {
    format!("{}.{}", id.term.0, id.index.0)
}

/// # Errors
/// What is wrong with it.
pub(crate) fn parse_id(text: &str) -> Result<LogId, String> {
    let parts = text.split_once('.');
    let (term, index) = parts.ok_or_else(|| format!("`{text}` is no position like 2.5"))?;
    Ok(LogId {
        term: Term(parse_number(term)?),
        index: Index(parse_number(index)?),
    })
}

pub(crate) fn entry_text(entry: &Entry) -> String {
    format!("{} {}", id_text(entry.id), body_text(entry))
}

pub(crate) fn body_text(entry: &Entry) -> String {
    match entry.kind {
        Kind::Noop => "noop".to_owned(),
        Kind::Withheld => "withheld".to_owned(),
        Kind::Command => String::from_utf8_lossy(&entry.body).into_owned(),
        Kind::Membership => match Membership::decode(&entry.body) {
            Ok(membership) => membership_text(&membership),
            Err(_) => "membership".to_owned(),
        },
    }
}

/// `1 2 3` for voters, `1 2 3 + 4` with a learner; `1 2 3 => 1 2 4` while node 4 catches up, `1 2 3 ||
/// 1 2 4` while both sides count. `3w` is a witness.
pub(crate) fn membership_text(membership: &Membership) -> String {
    let id = |id: &NodeId| match membership.is_witness(*id) {
        true => format!("{}w", id.0),
        false => id.0.to_string(),
    };
    let ids = |set: &BTreeSet<NodeId>| {
        let ids: Vec<_> = set.iter().map(id).collect();
        ids.join(" ")
    };
    let side = |voters, learners: &BTreeSet<NodeId>| match learners.is_empty() {
        true => ids(voters),
        false => format!("{} + {}", ids(voters), ids(learners)),
    };
    let old = side(&membership.voters, &membership.learners);
    match membership.change.as_deref() {
        None => old,
        Some(change) => {
            let between = if change.is_joint { "||" } else { "=>" };
            let new = side(&change.voters, &change.learners);
            format!("{old} {between} {new}")
        }
    }
}

fn entries_text(entries: &[Entry]) -> String {
    let texts: Vec<_> = entries.iter().map(entry_text).collect();
    format!("[{}]", texts.join("], ["))
}

fn parse_entry(text: &str) -> Result<Entry, String> {
    let parts = text.split_once(' ');
    let (id, body) = parts.ok_or_else(|| format!("`[{text}]` is no entry like [2.5 x]"))?;
    let (kind, body) = match body {
        "noop" => (Kind::Noop, ""),
        "withheld" => (Kind::Withheld, ""),
        command => (Kind::Command, command),
    };
    Ok(Entry {
        id: parse_id(id)?,
        kind,
        body: Bytes::copy_from_slice(body.as_bytes()),
    })
}

/// A record that became durable, or is being written.
pub(crate) fn record_text(record: &Record) -> String {
    let text = |op: Op<'_>| match op {
        Op::Vote(term, None) => format!("term {}, no vote", term.0),
        Op::Vote(term, Some(vote)) => format!("term {}, vote for {}", term.0, vote.0),
        Op::Truncate(from) => format!("cut from {} on", from.0),
        Op::Start(start) => format!("the log begins after {}", id_text(start)),
        Op::Append(entries) => entries_text(entries),
    };
    let parts: Vec<String> = record.ops().map(text).collect();
    parts.join(", ")
}

/// The role and log of a node.
pub(crate) fn standing_text(status: &Status) -> String {
    let term = status.term.0;
    match (status.role, status.leader) {
        (Role::Leader, _) => format!("leads term {term}"),
        (Role::Candidate, _) => format!("is a candidate in term {term}"),
        (Role::PreCandidate, _) => format!("is a pre-candidate in term {term}"),
        (Role::Follower, Some(leader)) => format!("follows {} in term {term}", leader.0),
        (Role::Follower, None) => format!("follows nobody in term {term}"),
    }
}

/// The name of a message, as used by selectors.
pub(crate) fn name_of(message: &Message) -> &'static str {
    match message {
        Message::Replicate(Replicate::Append { .. }) => "Append",
        Message::Replicate(Replicate::Heartbeat { .. }) => "Heartbeat",
        Message::Replicate(Replicate::Commit { .. }) => "Commit",
        Message::Replicate(Replicate::Snapshot { .. }) => "Snapshot",
        Message::Replicate(Replicate::TimeoutNow { .. }) => "TimeoutNow",
        Message::Binding(Binding::RequestVote { .. }) => "RequestVote",
        Message::Binding(Binding::Vote { .. }) => "Vote",
        Message::Binding(Binding::Appended { .. }) => "Appended",
        Message::Binding(Binding::Installed { .. }) => "Installed",
        Message::Echo(Echo::Heartbeat { .. }) => "HeartbeatEcho",
        Message::Echo(Echo::Rejected { .. }) => "Rejected",
        Message::Echo(Echo::Forgot { .. }) => "Forgot",
        Message::Echo(Echo::Stale { .. }) => "Stale",
        Message::Echo(Echo::Removed { .. }) => "Removed",
        Message::Echo(Echo::Left { .. }) => "Left",
        Message::Echo(Echo::RequestPreVote { .. }) => "RequestPreVote",
        Message::Echo(Echo::PreVote { .. }) => "PreVote",
    }
}

pub(crate) const NAMES: &[&str] = &[
    "Append",
    "Heartbeat",
    "Commit",
    "Snapshot",
    "TimeoutNow",
    "RequestVote",
    "Vote",
    "Appended",
    "Installed",
    "HeartbeatEcho",
    "Rejected",
    "Forgot",
    "Stale",
    "Removed",
    "Left",
    "RequestPreVote",
    "PreVote",
];

pub(crate) fn message_text(message: &Message) -> String {
    let fields = match message {
        Message::Replicate(Replicate::Append {
            prev,
            entries,
            commit,
            ..
        }) => {
            let entries = match entries.is_empty() {
                true => String::new(),
                false => format!("{}, ", entries_text(entries)),
            };
            format!("prev {}, {entries}commit {}", id_text(*prev), commit.0)
        }
        Message::Replicate(Replicate::Heartbeat {
            round,
            commit,
            matched,
            lease,
            ..
        }) => {
            let lease = lease_text("lease", *lease);
            format!(
                "round {round}, commit {}, matched {}{lease}",
                commit.0, matched.0
            )
        }
        Message::Replicate(Replicate::Commit { commit, .. }) => format!("commit {}", commit.0),
        Message::Replicate(Replicate::Snapshot { snapshot, .. }) => {
            format!("last {}", id_text(snapshot.last))
        }
        Message::Replicate(Replicate::TimeoutNow { round, last, .. }) => {
            format!("round {round}, last {}", last.0)
        }
        Message::Binding(Binding::RequestVote { last, transfer, .. }) => {
            let transfer = if *transfer { ", transfer" } else { "" };
            format!("last {}{transfer}", id_text(*last))
        }
        Message::Binding(Binding::Installed { last, .. }) => format!("last {}", id_text(*last)),
        Message::Binding(Binding::Vote { granted, .. }) => answer(*granted).to_owned(),
        Message::Binding(Binding::Appended { last, .. }) => format!("last {}", last.0),
        Message::Echo(echo) => echo_fields(echo),
    };
    let comma = if fields.is_empty() { "" } else { ", " };
    format!(
        "{}(term {}{comma}{fields})",
        name_of(message),
        message.term().0
    )
}

fn answer(granted: bool) -> &'static str {
    if granted { "granted" } else { "refused" }
}

/// The fields of an echo after its term.
fn echo_fields(echo: &Echo) -> String {
    match echo {
        Echo::Heartbeat {
            round,
            matched,
            disk,
            lease,
            priority,
            ..
        } => {
            let (disk, lease) = (disk_text(disk), lease_text("grants", *lease));
            let priority = priority_text(*priority);
            format!(
                "round {round}, matched {}{disk}{lease}{priority}",
                matched.0
            )
        }
        Echo::Rejected { prev, hint, .. } => {
            format!("prev {}, hint {}", id_text(*prev), id_text(*hint))
        }
        Echo::Forgot {
            acknowledged,
            holds,
            ..
        } => format!("acknowledged {}, holds {}", acknowledged.0, holds.0),
        Echo::RequestPreVote { last, disk, .. } => {
            format!("last {}{}", id_text(*last), disk_text(disk))
        }
        Echo::PreVote {
            granted,
            disk,
            priority,
            ..
        } => {
            let (disk, priority) = (disk_text(disk), priority_text(*priority));
            format!("{}{disk}{priority}", answer(*granted))
        }
        Echo::Stale { .. } | Echo::Removed { .. } | Echo::Left { .. } => String::new(),
    }
}

/// The state of a disk, if it is unusual.
fn disk_text(disk: &DiskHealth) -> String {
    let full = if disk.has_room { "" } else { ", full" };
    match disk.sync_time.as_millis() {
        0 => full.to_owned(),
        ms => format!("{full}, syncs {ms}"),
    }
}

/// A priority, if it is not the default.
fn priority_text(priority: Option<u8>) -> String {
    match priority {
        None => ", stands back".to_owned(),
        Some(Config::PRIORITY) => String::new(),
        Some(other) => format!(", priority {other}"),
    }
}

/// Parses `priority 5` and `stands back`.
fn parse_priority(fields: &mut Fields<'_>) -> Result<Option<u8>, String> {
    if fields.flag("stands back") {
        return Ok(None);
    }
    let priority = fields.number("priority");
    let priority = priority.map_or(Ok(Config::PRIORITY), u8::try_from);
    priority
        .map(Some)
        .map_err(|_| "a priority is a byte".to_owned())
}

/// A lease that is asked for or granted, in milliseconds.
fn lease_text(what: &str, lease: Duration) -> String {
    match lease.as_millis() {
        0 => String::new(),
        ms => format!(", {what} {ms}"),
    }
}

fn parse_lease(fields: &mut Fields<'_>, what: &str) -> Duration {
    Duration::from_millis(fields.number(what).unwrap_or(0))
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

fn parse_granted(fields: &mut Fields<'_>) -> Result<bool, String> {
    match (fields.flag("granted"), fields.flag("refused")) {
        (granted, refused) if granted != refused => Ok(granted),
        _ => Err("neither granted nor refused".to_owned()),
    }
}

/// Parses the output of [`message_text`]; a snapshot gets the given membership.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse_message(text: &str, membership: &Membership) -> Result<Message, String> {
    let mut fields = Fields::parse(text)?;
    let name = fields.name();
    let term = Term(fields.number("term")?);
    let message = match name {
        "Append" => Message::Replicate(Replicate::Append {
            term,
            prev: parse_id(fields.value("prev")?)?,
            entries: fields.list(parse_entry)?.into(),
            commit: Index(fields.number("commit")?),
        }),
        "Heartbeat" => Message::Replicate(Replicate::Heartbeat {
            term,
            round: fields.number("round")?,
            commit: Index(fields.number("commit")?),
            matched: Index(fields.number("matched")?),
            lease: parse_lease(&mut fields, "lease"),
        }),
        "Commit" => Message::Replicate(Replicate::Commit {
            term,
            commit: Index(fields.number("commit")?),
        }),
        "Snapshot" => Message::Replicate(Replicate::Snapshot {
            term,
            snapshot: Box::new(Snapshot {
                last: parse_id(fields.value("last")?)?,
                membership: membership.clone(),
            }),
        }),
        "TimeoutNow" => Message::Replicate(Replicate::TimeoutNow {
            term,
            round: fields.number("round")?,
            last: Index(fields.number("last")?),
        }),
        "RequestVote" => Message::Binding(Binding::RequestVote {
            term,
            last: parse_id(fields.value("last")?)?,
            transfer: fields.flag("transfer"),
        }),
        "Vote" => Message::Binding(Binding::Vote {
            term,
            granted: parse_granted(&mut fields)?,
        }),
        "Appended" => Message::Binding(Binding::Appended {
            term,
            last: Index(fields.number("last")?),
        }),
        "Installed" => Message::Binding(Binding::Installed {
            term,
            last: parse_id(fields.value("last")?)?,
        }),
        _ => Message::Echo(parse_echo(name, term, &mut fields)?),
    };
    fields.end()?;
    Ok(message)
}

fn parse_echo(name: &str, term: Term, fields: &mut Fields<'_>) -> Result<Echo, String> {
    Ok(match name {
        "HeartbeatEcho" => Echo::Heartbeat {
            term,
            round: fields.number("round")?,
            matched: Index(fields.number("matched")?),
            disk: parse_disk(fields),
            lease: parse_lease(fields, "grants"),
            priority: parse_priority(fields)?,
        },
        "Rejected" => Echo::Rejected {
            term,
            prev: parse_id(fields.value("prev")?)?,
            hint: parse_id(fields.value("hint")?)?,
        },
        "Forgot" => Echo::Forgot {
            term,
            acknowledged: Index(fields.number("acknowledged")?),
            holds: Index(fields.number("holds")?),
        },
        "Stale" => Echo::Stale { term },
        "Removed" => Echo::Removed { term },
        "Left" => Echo::Left { term },
        "RequestPreVote" => Echo::RequestPreVote {
            term,
            last: parse_id(fields.value("last")?)?,
            disk: parse_disk(fields),
        },
        "PreVote" => Echo::PreVote {
            term,
            granted: parse_granted(fields)?,
            disk: parse_disk(fields),
            priority: parse_priority(fields)?,
        },
        _ => return Err(format!("there is no message `{name}`")),
    })
}
