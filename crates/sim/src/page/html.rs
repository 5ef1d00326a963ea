//! The page of a recording.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{self, Display, Write};

use super::change::Change;
use super::json::{Escaped, List, Quoted};
use super::kind::Kind;
use super::recording::{
    End, Event, EventId, Message, Operation, Outcome, Recording, Span, Standing,
};
use super::view::View;
use crate::world::NodeId;

/// One file that needs no other. The run stands in it as JSON, which no browser takes for markup, and
/// the script writes text and never markup.
pub(super) fn page(recording: &Recording) -> String {
    let title = Escaped(&recording.title);
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{BODY}\
         <script type=\"application/json\" id=\"run\">"
    );
    let _ = Writer::new(recording).write(&mut page);
    page.push_str("</script>\n<script>\n(() => {\n\"use strict\";\n");
    SCRIPTS.iter().for_each(|script| page.push_str(script));
    page.push_str("})();\n</script>\n</body>\n</html>\n");
    page
}

const STYLE: &str = include_str!("page.css");
const BODY: &str = include_str!("page.html");
/// In the order in which they use each other.
const SCRIPTS: [&str; 6] = [
    include_str!("model.js"),
    include_str!("layout.js"),
    include_str!("shapes.js"),
    include_str!("diagram.js"),
    include_str!("panels.js"),
    include_str!("controls.js"),
];

/// Texts come often: each is written once, and named by its number.
struct Writer<'a> {
    recording: &'a Recording,
    /// Lines, by node.
    places: BTreeMap<NodeId, usize>,
    texts: RefCell<Texts<'a>>,
}

#[derive(Default)]
struct Texts<'a> {
    numbers: BTreeMap<&'a str, usize>,
    all: Vec<&'a str>,
}

impl<'a> Writer<'a> {
    fn new(recording: &'a Recording) -> Self {
        let nodes = recording.names.keys().copied();
        Self {
            recording,
            places: nodes.zip(0..).collect(),
            texts: RefCell::default(),
        }
    }

    fn write(&self, page: &mut String) -> fmt::Result {
        let recording = self.recording;
        let about = recording.about.iter();
        let about = about.map(|(name, value)| List([Quoted(name), Quoted(value)]));
        write!(page, "{{\"title\":{}", Quoted(&recording.title))?;
        write!(page, ",\"about\":{}", List(about))?;
        write!(page, ",\"first\":{}", recording.first)?;
        write!(
            page,
            ",\"kinds\":{}",
            List(Kind::ALL.map(|kind| Quoted(kind.name())))
        )?;
        self.list(page, "nodes", recording.names.iter(), |(id, name)| {
            self.node(*id, name)
        })?;
        self.list(page, "events", recording.events.iter(), |event| {
            self.event(event)
        })?;
        let messages = recording.messages.iter();
        self.list(page, "messages", messages, |(id, message)| {
            self.message(*id, message)
        })?;
        self.list(page, "spans", recording.spans.iter(), |span| {
            self.span(span)
        })?;
        let operations = recording.operations.values();
        self.list(page, "operations", operations, |operation| {
            self.operation(operation)
        })?;
        let (mut violation, mut opening) = ("null".to_owned(), "null".to_owned());
        if let Some(known) = &recording.opening {
            let place = match known.is_violation {
                true => &mut violation,
                false => &mut opening,
            };
            *place = format!("[{},{}]", known.event.0, Quoted(&known.what));
        }
        write!(page, ",\"violation\":{violation},\"opening\":{opening}")?;
        let runs = recording.runs.iter().map(|run| {
            let (event, origin) = (run.event.0, run.origin.as_nanos());
            format!("[{event},{origin},{}]", Quoted(&run.title))
        });
        write!(page, ",\"runs\":{}", List(runs))?;
        let texts = self.texts.borrow();
        let texts = texts.all.iter().map(|text| Quoted(text));
        write!(page, ",\"texts\":{}}}", List(texts))
    }

    fn list<T>(
        &self,
        page: &mut String,
        name: &str,
        items: impl Iterator<Item = T>,
        text: impl Fn(T) -> String,
    ) -> fmt::Result {
        write!(page, ",\"{name}\":[")?;
        for (at, item) in items.enumerate() {
            page.push_str(if at == 0 { "\n" } else { ",\n" });
            page.push_str(&text(item));
        }
        page.push_str("\n]");
        Ok(())
    }

    fn text(&self, text: &'a str) -> usize {
        let mut texts = self.texts.borrow_mut();
        let next = texts.all.len();
        let number = *texts.numbers.entry(text).or_insert(next);
        if number == next {
            texts.all.push(text);
        }
        number
    }

    fn place(&self, node: NodeId) -> usize {
        self.places.get(&node).copied().unwrap_or_default()
    }

    fn node(&self, id: NodeId, name: &'a str) -> String {
        let base = self.recording.base.get(&id);
        let Standing { up, view, clock } = base.cloned().unwrap_or_default();
        let change = Change::between(&View::default(), &view);
        let up = up.unwrap_or_else(|| !self.begins(id));
        let name = Quoted(name);
        // What stood before the first event is written with its texts, which nothing else may need.
        let change = plain_change(&change);
        format!(
            "[{name},{},{change},[{},{}]]",
            u8::from(up),
            clock.0,
            clock.1
        )
    }

    /// Whether it is told to begin before it is told to end: before that it was down.
    fn begins(&self, id: NodeId) -> bool {
        let mut of_node = (self.recording.events.iter()).filter(|event| event.node == Some(id));
        let first = of_node.find(|event| matches!(event.kind, Kind::Start | Kind::Crash));
        first.is_some_and(|event| event.kind == Kind::Start)
    }

    fn event(&self, event: &'a Event) -> String {
        let node = event.node.map_or(-1, |node| self.place(node) as i64);
        let message = event.message.map_or(0, |message| message.0.get());
        let change = event.change.as_ref();
        let change = change.map_or_else(|| "0".to_owned(), |change| self.change(change));
        let notes = event.notes.iter();
        let notes = notes.map(|(kind, text)| List([*kind as usize, self.text(text)]));
        let clock = match event.clock {
            Some((from, to)) => format!("[{from},{to}]"),
            None => "0".to_owned(),
        };
        format!(
            "[{},{node},{},{},{message},{change},{},{clock}]",
            event.at.as_nanos(),
            event.kind as usize,
            self.text(&event.text),
            List(notes),
        )
    }

    fn change(&self, change: &'a Change) -> String {
        change_with(change, &|text| self.text(text).to_string())
    }

    fn message(&self, id: u64, message: &'a Message) -> String {
        let sent = match message.sent {
            EventId(sent) if sent >= self.recording.first => sent,
            _ => 0,
        };
        let (end, lost, why) = match &message.end {
            End::UnderWay => (0, -1, 0),
            End::Received(event) => (event.0, -1, 0),
            End::Lost { at, why } => (0, at.as_nanos() as i128, self.text(why)),
        };
        format!(
            "[{id},{},{},{sent},{},{end},{lost},{},{},{why}]",
            self.place(message.from),
            self.place(message.to),
            message.sent_at.as_nanos(),
            self.text(&message.name),
            self.text(&message.text),
        )
    }

    fn span(&self, span: &'a Span) -> String {
        let to = span.to.map_or(-1, |to| to.as_nanos() as i128);
        let nodes = span.nodes.iter().map(|node| self.place(*node));
        let (from, text) = (span.from.as_nanos(), self.text(&span.text));
        format!("[{from},{to},{},{text}]", List(nodes))
    }

    fn operation(&self, operation: &'a Operation) -> String {
        let (outcome, at, text) = match &operation.outcome {
            Outcome::Open => (0, -1, ""),
            Outcome::Returned { at, text } => (1, at.as_nanos() as i128, text.as_str()),
            Outcome::Failed { at } => (2, at.as_nanos() as i128, ""),
            Outcome::Unknown => (3, -1, ""),
        };
        format!(
            "[{},{},{at},{},{},{outcome}]",
            self.text(&operation.client),
            operation.called.as_nanos(),
            self.text(&operation.text),
            self.text(text),
        )
    }
}

fn plain_change(change: &Change) -> String {
    change_with(change, &|text| Quoted(text).to_string())
}

/// Only what is changed, under a letter.
fn change_with<'a>(change: &'a Change, text: &impl Fn(&'a str) -> String) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut part = |name: &str, value: &dyn Display| parts.push(format!("\"{name}\":{value}"));
    if let Some(role) = &change.role {
        part("r", &text(role));
    }
    if let Some(epoch) = &change.epoch {
        part("e", &text(epoch));
    }
    if let Some(leads) = change.leads {
        part("l", &u8::from(leads));
    }
    if let Some(committed) = change.committed {
        part("c", &committed);
    }
    if let Some(start) = change.log_start {
        part("s", &start);
    }
    if !change.removed.is_empty() {
        part("d", &List(change.removed.iter()));
    }
    if !change.put.is_empty() {
        let put = change.put.iter();
        let put = put.map(|(at, entry)| {
            let (epoch, text) = (text(&entry.epoch), text(&entry.text));
            format!("[{at},{epoch},{text}]")
        });
        part("p", &List(put));
    }
    if let Some(marks) = &change.marks {
        part("m", &List(marks.iter().map(|mark| text(mark))));
    }
    if let Some(all_else) = &change.text {
        part("t", &text(all_else));
    }
    format!("{{{}}}", parts.join(","))
}
