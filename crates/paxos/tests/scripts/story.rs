//! What nodes do, told in lines.

use std::collections::BTreeSet;

use synod_paxos::{Chosen, NodeId, Role};

use crate::harness::cluster::Packet;
use crate::harness::node::{Deed, Standing};
use crate::notation::{ballot_text, message_text, position_text, record_text, value_text};

/// The lines of one command.
#[derive(Debug, Default)]
pub(crate) struct Story {
    lines: Vec<String>,
    open: Option<Open>,
    /// Something arrived: what follows is what it caused.
    caused: bool,
    /// Only who leads, what is chosen, and how requests end.
    pub(crate) quiet: bool,
}

/// A line that the next deed may lengthen.
#[derive(Debug)]
enum Open {
    To {
        head: String,
        to: Vec<String>,
        text: String,
    },
    Applies {
        node: NodeId,
        entries: Vec<String>,
    },
}

/// What is known of a node besides its deeds.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) cut: &'a BTreeSet<(NodeId, NodeId)>,
    pub(crate) disk_is_slow: bool,
    pub(crate) log_is_slow: bool,
}

pub(crate) fn standing_text(standing: &Standing) -> String {
    let ballot = ballot_text(standing.ballot);
    match (standing.role, standing.leader) {
        (Role::Leader, _) => format!("leads in {ballot}"),
        (Role::Candidate, _) => format!("is a candidate in {ballot}"),
        (Role::Asking, _) => format!("asks and has promised {ballot}"),
        (Role::Follower, Some(leader)) => format!("follows {} in {ballot}", leader.0),
        (Role::Follower, None) => format!("follows nobody and has promised {ballot}"),
    }
}

impl Story {
    pub(crate) fn line(&mut self, text: String) {
        self.close();
        let indent = if self.caused && !self.quiet { "  " } else { "" };
        self.lines.push(format!("{indent}{text}"));
    }

    fn detail(&mut self, text: String) {
        if !self.quiet {
            self.line(text);
        }
    }

    pub(crate) fn arrives(&mut self, packet: &Packet, note: &str) {
        self.close();
        self.caused = false;
        let (from, to, text) = (packet.from.0, packet.to.0, message_text(&packet.message));
        self.detail(format!("{to} <- {from}: {text}{note}"));
        self.caused = true;
    }

    /// It does not arrive, or not now.
    pub(crate) fn taken(&mut self, packet: &Packet, what: &str) {
        if self.caused {
            self.close();
            self.caused = false;
        }
        let (to, text) = (packet.to.0.to_string(), message_text(&packet.message));
        self.to(format!("{what}: {} -> ", packet.from.0), to, text);
    }

    pub(crate) fn deed(&mut self, node: NodeId, deed: &Deed, around: &Surroundings<'_>) {
        let id = node.0;
        match deed {
            Deed::Stands(was, standing) => {
                // Who only goes along is of no interest where much happens.
                let led = *was == Role::Leader || standing.role == Role::Leader;
                if led || standing.role == Role::Candidate || !self.quiet {
                    self.line(format!("{id} {}", standing_text(standing)));
                }
            }
            Deed::Chooses(Role::Leader, slot) => self.line(format!("{id} has chosen {}", slot.0)),
            Deed::Chooses(_, slot) => {
                self.detail(format!("{id} learns that {} is chosen", slot.0));
            }
            Deed::Sends(envelope) => {
                let lost = around.cut.contains(&(node, envelope.to));
                let to = format!("{}{}", envelope.to.0, if lost { " (cut)" } else { "" });
                self.to(format!("{id} -> "), to, message_text(&envelope.message));
            }
            Deed::Writes(record) if around.disk_is_slow => {
                self.detail(format!("{id} is writing: {}", record_text(record)));
            }
            Deed::Stores(record) if around.disk_is_slow || !record.is_empty() => {
                self.detail(format!("{id} stored: {}", record_text(record)));
            }
            Deed::Stops(why) => self.line(format!("{id} stops: {why}")),
            Deed::Applies(chosen) => self.applies(node, chosen),
            Deed::Fetches(fetch) if around.log_is_slow => {
                let (from, to) = (fetch.from().0, fetch.to().0);
                self.detail(format!("{id} reads {from} to {to} from its log"));
            }
            Deed::Writes(_) | Deed::Stores(_) | Deed::Fetches(_) => {}
            Deed::Pulls(from, snapshot) => {
                let last = position_text(snapshot.last);
                self.detail(format!(
                    "{id} pulls the snapshot up to {last} from {}",
                    from.0
                ));
            }
            Deed::Restores(snapshot) => {
                self.line(format!(
                    "{id} restores the snapshot up to {}",
                    position_text(snapshot.last)
                ));
            }
            Deed::Answers(read, Ok(slot)) => {
                self.line(format!("{id} answers read {} from slot {}", read.0, slot.0));
            }
            Deed::Answers(read, Err(why)) => {
                self.line(format!("{id} refuses read {}: {why}", read.0));
            }
        }
    }

    /// The same message to several receivers is one line.
    fn to(&mut self, head: String, to: String, text: String) {
        if self.quiet {
            return;
        }
        match &mut self.open {
            Some(Open::To {
                head: same,
                to: all,
                text: told,
            }) if *same == head && *told == text => all.push(to),
            _ => {
                self.close();
                let to = vec![to];
                self.open = Some(Open::To { head, to, text });
            }
        }
    }

    fn applies(&mut self, node: NodeId, chosen: &Chosen) {
        if self.quiet {
            return;
        }
        for (at, value) in chosen.iter() {
            let entry = format!("[{} {}]", position_text(at), value_text(value, at.origin));
            match &mut self.open {
                Some(Open::Applies {
                    node: same,
                    entries,
                }) if *same == node => entries.push(entry),
                _ => {
                    self.close();
                    let entries = vec![entry];
                    self.open = Some(Open::Applies { node, entries });
                }
            }
        }
    }

    fn close(&mut self) {
        let line = match self.open.take() {
            None => return,
            Some(Open::To { head, to, text }) => format!("{head}{}: {text}", to.join(", ")),
            Some(Open::Applies { node, entries }) => {
                format!("{} applies {}", node.0, entries.join(", "))
            }
        };
        self.line(line);
    }

    /// The lines so far, and a new beginning.
    pub(crate) fn end(&mut self) -> Vec<String> {
        self.close();
        (self.caused, self.quiet) = (false, false);
        std::mem::take(&mut self.lines)
    }
}
