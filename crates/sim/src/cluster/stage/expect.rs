//! What must hold at a point of a story, and what `status` shows of it.

use super::ClusterStage;
use crate::cluster::cast::Cast;
use crate::cluster::core::Disk;
use crate::cluster::node::Node;
use crate::cluster::selector::Selector;
use crate::script::{Arguments, parse_number};

impl<P: Cast> ClusterStage<P> {
    /// `expect 2 leads`, `expect nobody leads`, `expect commit 3 = 2`.
    ///
    /// # Errors
    /// What is so instead.
    pub(super) fn expect(&mut self, text: &str) -> Result<(), String> {
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
        let leads = |node: &Node<P>| {
            let core = node.core.as_ref();
            core.is_some_and(|core| P::standing(core).leads)
        };
        let nodes = &self.cluster()?.nodes;
        match nodes.iter().find(|(_, node)| leads(node)) {
            Some((id, _)) => Err(format!("{} leads", P::number(*id))),
            None => Ok(()),
        }
    }

    fn standing(&mut self, id: u64) -> Result<String, String> {
        let id = self.known(id)?;
        let down = self.down.get(&id).copied().unwrap_or("is down");
        let core = &self.cluster()?.node(id).core;
        let standing = core.as_ref().map(|core| P::standing(core).text);
        Ok(standing.unwrap_or_else(|| down.to_owned()))
    }

    /// For one node, or with `*` for each.
    fn expect_values(&mut self, of: &[&str], operator: &str, value: &str) -> Result<(), String> {
        let Some(at) = of.iter().position(|word| *word == "*") else {
            return self.expect_value(of, operator, value);
        };
        self.ids()?.iter().try_for_each(|id| {
            let id = P::number(*id).to_string();
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
                let wanted = Selector::parse::<P>(of.get(1).unwrap_or(&"*->*"))?;
                let packets = self.cluster()?.net.iter();
                let packets = packets.filter(|packet| wanted.matches::<P>(packet));
                Ok(packets.count().to_string())
            }
            "lease" => {
                let id = self.known(number(1)?)?;
                let read = self.cluster()?.read_by_lease(id);
                Ok(read.map_or_else(|_| "none".to_owned(), |place| place.to_string()))
            }
            "read" => {
                let read = number(1)?;
                let cluster = self.cluster()?;
                let mut ended = cluster.answers.iter();
                let ended = ended.find(|(_, (id, _))| *id == read);
                Ok(match ended {
                    Some((_, (_, answer))) => {
                        let place = answer.as_ref().map(ToString::to_string);
                        place.unwrap_or_else(|_| "refused".to_owned())
                    }
                    None if cluster.waits(read) => "waiting".to_owned(),
                    None => "never asked".to_owned(),
                })
            }
            name => {
                let id = number(1)?;
                let node = self.known(id)?;
                let node = self.cluster()?.node(node);
                if let Some(value) = stored_value(node, name) {
                    return Ok(value);
                }
                let core = node.core.as_ref();
                let core = core.ok_or_else(|| format!("{id} is not up"))?;
                if name == "stopped" {
                    return Ok(node.stopped.map_or("no", P::stop_text).to_owned());
                }
                let detail = of.get(2).copied().unwrap_or("");
                let value = P::live_value(core, name, detail);
                value.map_err(|why| format!("{id}: {why}"))
            }
        }
    }

    /// Where one node stands, or each.
    pub(super) fn status(&mut self, arguments: &mut Arguments<'_>) -> Result<(), String> {
        let only = arguments.positional().map(parse_number).transpose()?;
        let ids = self.ids()?.into_iter().map(P::number);
        let shown = |id: &u64| only.is_none_or(|only| only == *id);
        for id in ids.filter(shown).collect::<Vec<u64>>() {
            let stands = self.standing(id)?;
            let node = self.cluster()?.node(id);
            let log = P::stored_value(node, "log").unwrap_or_default();
            let applied = node.machine.len();
            let status = node.core.as_ref().map(|core| P::status_text(core, applied));
            let (more, peers) = status.unwrap_or_default();
            self.story
                .line(format!("{id} {stands}{more}; stored: {log}"));
            for peer in peers.iter().filter(|_| only.is_some()) {
                self.story.line(format!("  to {peer}"));
            }
        }
        Ok(())
    }
}

/// What can be said of a node that is down, too.
fn stored_value<P: Cast>(node: &Node<P>, name: &str) -> Option<String> {
    Some(match name {
        "snapshot" => P::mark_text(node.disk.covered()),
        "applied" => node.machine.len().to_string(),
        "restores" => node.restores.to_string(),
        "writes" => node.writes.to_string(),
        "pulls" => node.pulls.len().to_string(),
        "fetches" => node.fetches.len().to_string(),
        _ => return P::stored_value(node, name),
    })
}

const OPERATORS: &[&str] = &["=", "!=", "<", "<=", ">", ">="];
