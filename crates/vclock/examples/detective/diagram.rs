//! A space-time diagram: a column a process, time downwards, a dot an event, an arrow a message.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use synod_vclock::shiviz::Log;

/// A drawing of a log. An event stands below everything that happened before it, as high up as that allows, so what
/// stands side by side without an arrow between is concurrent. Displayed it is an SVG document.
///
/// Invariant: messages go from one process to another, and nothing happens before itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Diagram {
    processes: Vec<String>,
    events: Vec<Event>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Event {
    process: usize,
    label: String,
    clock: String,
    /// The event of the same process before, and those whose messages are received here.
    causes: Vec<usize>,
    /// How far down it stands.
    row: usize,
}

impl Diagram {
    /// The longest way down to each event; `None` if one is in its own past.
    fn rows(&self) -> Option<Vec<usize>> {
        let mut effects = vec![Vec::new(); self.events.len()];
        let mut open = Vec::with_capacity(self.events.len());
        for (at, event) in self.events.iter().enumerate() {
            open.push(event.causes.len());
            for cause in &event.causes {
                effects[*cause].push(at);
            }
        }
        let mut rows = vec![0; self.events.len()];
        let mut free = (0..open.len())
            .filter(|at| open[*at] == 0)
            .collect::<VecDeque<_>>();
        let mut placed = 0;
        while let Some(at) = free.pop_front() {
            placed += 1;
            for effect in &effects[at] {
                rows[*effect] = rows[*effect].max(rows[at] + 1);
                open[*effect] -= 1;
                if open[*effect] == 0 {
                    free.push_back(*effect);
                }
            }
        }
        (placed == self.events.len()).then_some(rows)
    }

    fn place(&self, event: &Event) -> (usize, usize) {
        (column_x(event.process), HEAD + event.row * ROW)
    }

    fn write_processes(&self, f: &mut fmt::Formatter<'_>, bottom: usize) -> fmt::Result {
        for (process, name) in self.processes.iter().enumerate() {
            let (x, color) = (column_x(process), color(process));
            let name = Text(name, LABEL_CHARS_MAX);
            writeln!(f, r#"<path class="life" d="M{x} {LIFE_TOP}V{bottom}"/>"#)?;
            writeln!(
                f,
                r#"<text class="name" x="{}" y="{NAME_Y}" fill="{color}">{name}</text>"#,
                x - RADIUS
            )?;
        }
        Ok(())
    }

    fn write_messages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in &self.events {
            let (x, y) = self.place(event);
            let senders = event.causes.iter().map(|cause| &self.events[*cause]);
            for sender in senders.filter(|sender| sender.process != event.process) {
                let (from_x, from_y) = self.place(sender);
                let color = color(sender.process);
                writeln!(
                    f,
                    r#"<path class="message" d="M{from_x} {from_y}L{x} {y}" stroke="{color}" marker-end="url(#arrow{})"/>"#,
                    sender.process % COLORS.len()
                )?;
            }
        }
        Ok(())
    }

    fn write_events(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for event in &self.events {
            let (x, y) = self.place(event);
            let (color, text_x) = (color(event.process), x + TEXT_GAP);
            let (label, clock) = (
                Text(&event.label, usize::MAX),
                Text(&event.clock, usize::MAX),
            );
            writeln!(f, "<g><title>{label}\n{clock}</title>")?;
            writeln!(
                f,
                r#"<circle cx="{x}" cy="{y}" r="{RADIUS}" fill="{color}"/>"#
            )?;
            let mut text_y = y;
            for line in label_lines(&event.label) {
                let line = Text(line, LABEL_CHARS_MAX);
                writeln!(
                    f,
                    r#"<text class="label" x="{text_x}" y="{text_y}">{line}</text>"#
                )?;
                text_y += LINE_DOWN;
            }
            let clock = Text(&event.clock, CLOCK_CHARS_MAX);
            writeln!(
                f,
                r#"<text class="clock" x="{text_x}" y="{text_y}">{clock}</text></g>"#
            )?;
        }
        Ok(())
    }
}

/// A column a host, in the order in which they come up, and the messages that the clocks tell of.
impl From<&Log> for Diagram {
    fn from(log: &Log) -> Self {
        let mut processes: Vec<String> = Vec::new();
        let mut events: Vec<Event> = Vec::new();
        let mut latest: BTreeMap<&str, usize> = BTreeMap::new();
        for record in log.records() {
            let known = processes.iter().position(|host| host == record.host());
            let process = known.unwrap_or(processes.len());
            if known.is_none() {
                processes.push(record.host().to_owned());
            }
            let before = latest.insert(record.host(), events.len());
            events.push(Event {
                process,
                label: record.event().to_owned(),
                clock: record.clock().to_string(),
                causes: before.into_iter().collect(),
                row: 0,
            });
        }
        for (from, to) in log.messages() {
            events[to].causes.push(from);
        }
        let mut diagram = Self { processes, events };
        // A log that was checked has no event in its own past.
        for (event, row) in diagram.rows().into_iter().flatten().enumerate() {
            diagram.events[event].row = row;
        }
        diagram
    }
}

impl fmt::Display for Diagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self
            .events
            .iter()
            .map(|event| event.row + 1)
            .max()
            .unwrap_or(0);
        let (width, height) = (column_x(self.processes.len()), HEAD + rows * ROW);
        writeln!(
            f,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">"#
        )?;
        writeln!(f, "<style>{STYLE}</style>\n<defs>")?;
        for (at, color) in COLORS.iter().enumerate() {
            writeln!(
                f,
                r#"<marker id="arrow{at}" viewBox="0 0 8 8" refX="13" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8Z" fill="{color}"/></marker>"#
            )?;
        }
        writeln!(
            f,
            "</defs>\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
        )?;
        self.write_processes(f, height - ROW / 3)?;
        self.write_messages(f)?;
        self.write_events(f)?;
        f.write_str("</svg>\n")
    }
}

/// Text for XML, cut to a number of characters.
struct Text<'a>(&'a str, usize);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cut = self.0.char_indices().nth(self.1).map(|(at, _)| at);
        let shown = &self.0[..cut.unwrap_or(self.0.len())];
        for char in shown.chars() {
            match char {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                // Characters that XML cannot hold in any form.
                '\0'..'\t' | '\u{b}' | '\u{c}' | '\u{e}'..' ' | '\u{fffe}' | '\u{ffff}' => {
                    f.write_str("\u{fffd}")?;
                }
                _ => write!(f, "{char}")?,
            }
        }
        f.write_str(if cut.is_some() { "…" } else { "" })
    }
}

/// A label in one line or, broken at a space, in two; what is too long for that is cut.
fn label_lines(label: &str) -> impl Iterator<Item = &str> {
    let end = label.char_indices().nth(LABEL_CHARS_MAX);
    let space = end.and_then(|(end, char)| label[..end + char.len_utf8()].rfind(' '));
    let (first, second) = match space {
        Some(space) => (&label[..space], Some(&label[space + 1..])),
        None => (label, None),
    };
    [first].into_iter().chain(second)
}

const fn column_x(process: usize) -> usize {
    MARGIN + process * COLUMN
}

const fn color(process: usize) -> &'static str {
    COLORS[process % COLORS.len()]
}

// Lengths in pixels.
const MARGIN: usize = 30;
const COLUMN: usize = 280;
const NAME_Y: usize = 30;
const LIFE_TOP: usize = 42;
const HEAD: usize = 70;
const ROW: usize = 52;
const RADIUS: usize = 6;
// Room for the head of an arrow that comes from the right.
const TEXT_GAP: usize = 25;
const LINE_DOWN: usize = 15;

// What fits in a column at the sizes of the style.
const LABEL_CHARS_MAX: usize = 34;
const CLOCK_CHARS_MAX: usize = 39;

/// Told apart by people who see few colours, too (Okabe and Ito), and dark enough on white.
const COLORS: [&str; 6] = [
    "#0072b2", "#b34700", "#00785a", "#a0377f", "#6f5b00", "#333333",
];

/// The white border of texts keeps them readable where a line passes behind.
const STYLE: &str = "
text{font-family:Helvetica,Arial,sans-serif;font-size:12.5px}
text{paint-order:stroke;stroke:#fff;stroke-width:4px;stroke-linejoin:round}
.name{font-weight:bold;font-size:15px}
.label{fill:#222}
.clock{fill:#666;font-family:Menlo,Consolas,monospace;font-size:10.5px}
.life{stroke:#ccc;stroke-width:2;fill:none}
.message{stroke-width:1.6;fill:none}
";
