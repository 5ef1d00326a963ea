//! `MEMBER` and `TRANSFER`: who takes part in the cluster, and who leads it.
//!
//! They act on the node that is asked, which has to lead; one that does not says who does.

use std::{collections::BTreeMap, fmt::Write};

use bytes::Bytes;
use synod_replica::{Change, Member, Members, NodeId, Status};

use crate::{
    machine::Addresses,
    request::{Local, Request, RequestError, is, local, printable},
};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Manage {
    /// `MEMBER LIST`
    List,
    /// `MEMBER ADD id host:port`, `MEMBER PROMOTE id`, `MEMBER REMOVE id`, `MEMBER REPLACE old new host:port`
    Change(Change),
    /// `MEMBER ABORT`
    Abort,
    /// `TRANSFER [id]`
    Transfer(Option<NodeId>),
    /// `BACKUP BEGIN`
    BeginBackup,
    /// `BACKUP NEXT number`
    NextOfBackup(u64),
}

pub(crate) fn member(args: &[Bytes]) -> Result<Request, RequestError> {
    let Some((sub, args)) = args.split_first() else {
        return Err(RequestError::Arity("member"));
    };
    let change = match args {
        [] if is(sub, "list") => return manage(Manage::List),
        [] if is(sub, "abort") => return manage(Manage::Abort),
        [id, at] if is(sub, "add") => Change::Add(node(id)?, reached(at)?),
        [id] if is(sub, "promote") => Change::Promote(node(id)?),
        [id] if is(sub, "remove") => Change::Remove(node(id)?),
        [old, new, at] if is(sub, "replace") => Change::Replace {
            old: node(old)?,
            new: node(new)?,
            member: reached(at)?,
        },
        _ if SUBCOMMANDS.iter().any(|known| is(sub, known)) => {
            return Err(RequestError::Arity("member"));
        }
        _ => return Err(RequestError::UnknownSubcommand("MEMBER", printable(sub))),
    };
    manage(Manage::Change(change))
}

pub(crate) fn transfer(args: &[Bytes]) -> Result<Request, RequestError> {
    manage(Manage::Transfer(args.first().map(node).transpose()?))
}

/// `BACKUP BEGIN`, `BACKUP NEXT number`: for `kv backup`, which knows what to do with the pieces.
pub(crate) fn backup(args: &[Bytes]) -> Result<Request, RequestError> {
    match args {
        [sub] if is(sub, "begin") => manage(Manage::BeginBackup),
        [sub, number] if is(sub, "next") => manage(Manage::NextOfBackup(node(number)?.0)),
        [sub, ..] if is(sub, "begin") || is(sub, "next") => Err(RequestError::Arity("backup")),
        [sub, ..] => Err(RequestError::UnknownSubcommand("BACKUP", printable(sub))),
        [] => Err(RequestError::Arity("backup")),
    }
}

fn manage(manage: Manage) -> Result<Request, RequestError> {
    local(Local::Manage(manage))
}

fn node(text: &Bytes) -> Result<NodeId, RequestError> {
    let text = std::str::from_utf8(text).ok();
    let id = text.and_then(|text| text.parse().ok()).filter(|id| *id > 0);
    id.map(NodeId).ok_or(RequestError::NotAnInteger)
}

/// Where a node is reached: a name or an address, and a port.
fn reached(text: &Bytes) -> Result<Member, RequestError> {
    let text = std::str::from_utf8(text).map_err(|_| RequestError::Syntax)?;
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
            Ok(Member::at(text))
        }
        _ => Err(RequestError::Syntax),
    }
}

/// A line for each member, with where its peers and its clients reach it, and one for a change that is under way.
pub(crate) fn list(
    status: &Status,
    peers: &BTreeMap<NodeId, String>,
    clients: &Addresses,
) -> String {
    let mut text = String::new();
    let mut put = |side: &str, members: &BTreeMap<NodeId, Member>| {
        for (id, member) in members {
            let address = match &*member.address {
                "" => peers.get(id).map_or("?", String::as_str),
                address => address,
            };
            let _written = write!(text, "{id} {side} {address}", id = id.0);
            if let Some(at) = clients.get(id.0) {
                let _written = write!(text, " clients={at}");
            }
            let leads = status.leader == Some(*id);
            text.push_str(if leads { " leader\n" } else { "\n" });
        }
    };
    let Members { voters, learners } = &*status.members;
    put("voter", voters);
    put("learner", learners);
    if let Some(change) = &status.change {
        let ids = |members: &BTreeMap<NodeId, Member>| {
            let ids: Vec<_> = members.keys().map(|id| id.0.to_string()).collect();
            ids.join(",")
        };
        let (voters, learners) = (ids(&change.target.voters), ids(&change.target.learners));
        let _written = write!(
            text,
            "change {:?} voters={voters} learners={learners}",
            change.phase
        );
        for (id, matched) in &change.catching_up {
            let _written = write!(text, " catching_up={}:{matched}", id.0);
        }
        text.push('\n');
    }
    text
}

const SUBCOMMANDS: [&str; 6] = ["list", "add", "promote", "remove", "replace", "abort"];

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(words: &str) -> Result<Request, RequestError> {
        let args = words.split_whitespace();
        let args: Vec<_> = args
            .map(|word| Bytes::copy_from_slice(word.as_bytes()))
            .collect();
        member(&args)
    }

    #[test]
    fn words_are_changes_or_errors_that_name_what_is_wrong() {
        let change = |change| Ok(Request::Local(Local::Manage(Manage::Change(change))));
        let (four, at) = (NodeId(4), Member::at("h:1"));
        assert_eq!(asked("add 4 h:1"), change(Change::Add(four, at.clone())));
        assert_eq!(asked("REMOVE 4"), change(Change::Remove(four)));
        let replace = Change::Replace {
            old: NodeId(3),
            new: four,
            member: at,
        };
        assert_eq!(asked("replace 3 4 h:1"), change(replace));
        for (words, error) in [
            ("", RequestError::Arity("member")),
            ("add 4", RequestError::Arity("member")),
            ("add 0 h:1", RequestError::NotAnInteger),
            ("add 4 h", RequestError::Syntax),
            ("add 4 :1", RequestError::Syntax),
            ("add 4 h:70000", RequestError::Syntax),
            (
                "grow",
                RequestError::UnknownSubcommand("MEMBER", "grow".into()),
            ),
        ] {
            assert_eq!(asked(words), Err(error), "{words}");
        }
    }
}
