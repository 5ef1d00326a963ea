//! What nodes do, told in lines.

use std::collections::BTreeSet;

use super::journal::Deed;

/// The lines of one command.
#[derive(Debug, Default)]
pub(super) struct Story {
    lines: Vec<String>,
    open: Option<Open>,
    /// Something arrived: what follows is what it caused.
    caused: bool,
    /// Only who leads, what is committed, and how requests end.
    pub(super) quiet: bool,
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
        node: u64,
        entries: Vec<String>,
    },
}

/// What is known of a node besides its deeds.
#[derive(Debug)]
pub(super) struct Surroundings {
    /// To these nodes nothing comes from it.
    pub(super) cut: BTreeSet<u64>,
    pub(super) disk_is_slow: bool,
    pub(super) log_is_slow: bool,
}

impl Story {
    pub(super) fn line(&mut self, text: String) {
        self.close();
        let indent = if self.caused && !self.quiet { "  " } else { "" };
        self.lines.push(format!("{indent}{text}"));
    }

    fn detail(&mut self, text: String) {
        if !self.quiet {
            self.line(text);
        }
    }

    pub(super) fn arrives(&mut self, from: u64, to: u64, text: &str, note: &str) {
        self.close();
        self.caused = false;
        self.detail(format!("{to} <- {from}: {text}{note}"));
        self.caused = true;
    }

    /// It does not arrive, or not now.
    pub(super) fn taken(&mut self, what: &str, from: u64, to: u64, text: String) {
        if self.caused {
            self.close();
            self.caused = false;
        }
        self.to(format!("{what}: {from} -> "), to.to_string(), text);
    }

    pub(super) fn deed(&mut self, id: u64, deed: Deed, around: &Surroundings) {
        match deed {
            Deed::Line(text) => self.line(format!("{id} {text}")),
            Deed::Detail(text) => self.detail(format!("{id} {text}")),
            Deed::Sends(to, text) => {
                let cut = if around.cut.contains(&to) {
                    " (cut)"
                } else {
                    ""
                };
                self.to(format!("{id} -> "), format!("{to}{cut}"), text);
            }
            Deed::Writes(record) if around.disk_is_slow => {
                self.detail(format!("{id} is writing: {}", or_nothing(record)));
            }
            Deed::Stores(record) if around.disk_is_slow || !record.is_empty() => {
                self.detail(format!("{id} stored: {}", or_nothing(record)));
            }
            Deed::Applies(entry) => self.applies(id, format!("[{entry}]")),
            Deed::Fetches(part) if around.log_is_slow => {
                self.detail(format!("{id} reads {part} from its log"));
            }
            Deed::Writes(_) | Deed::Stores(_) | Deed::Fetches(_) => {}
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

    fn applies(&mut self, node: u64, entry: String) {
        if self.quiet {
            return;
        }
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

    fn close(&mut self) {
        let line = match self.open.take() {
            None => return,
            Some(Open::To { head, to, text }) => format!("{head}{}: {text}", to.join(", ")),
            Some(Open::Applies { node, entries }) => {
                format!("{node} applies {}", entries.join(", "))
            }
        };
        self.line(line);
    }

    /// The lines so far, and a new beginning.
    pub(super) fn end(&mut self) -> Vec<String> {
        self.close();
        (self.caused, self.quiet) = (false, false);
        std::mem::take(&mut self.lines)
    }
}

fn or_nothing(record: String) -> String {
    match record.is_empty() {
        true => "nothing new".to_owned(),
        false => record,
    }
}
