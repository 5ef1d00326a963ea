use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::shiviz::Log;

/// A space-time diagram: a column a process, time downwards, a dot an event, an arrow a message.
///
/// An event stands below everything that happened before it, as high up as that allows, so what
/// stands side by side without an arrow between is concurrent. Displayed it is an SVG document.
///
/// ```
/// use synod_vclock::{Diagram, VectorClock};
///
/// let (mut a, mut b) = (VectorClock::new("a"), VectorClock::new("b"));
/// let mut diagram = Diagram::new(["a", "b"]);
/// let message = a.send()?;
/// let sent = diagram.event(0, "ask", &message)?;
/// let received = diagram.event(1, "answer", b.receive(&message)?)?;
/// diagram.message(sent, received)?;
///
/// let svg = diagram.to_string();
/// assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Invariant: messages go from one process to another, and nothing happens before itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagram {
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

/// An event of a [`Diagram`].
///
/// ```
/// use synod_vclock::Diagram;
///
/// let mut diagram = Diagram::new(["a"]);
/// assert_ne!(diagram.event(0, "one", "")?, diagram.event(0, "two", "")?);
/// # Ok::<(), synod_vclock::DiagramError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(usize);

impl Diagram {
    /// A diagram of these processes, in columns from left to right, without events.
    ///
    /// ```
    /// use synod_vclock::Diagram;
    ///
    /// assert!(Diagram::new(["a", "b"]).to_string().contains(">b</text>"));
    /// ```
    #[must_use]
    pub fn new(processes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            processes: processes.into_iter().map(Into::into).collect(),
            events: Vec::new(),
        }
    }

    /// The next event of a process, with what to write beside it. The clock may be any clock, and
    /// an empty text is none.
    ///
    /// # Errors
    /// [`DiagramError::NoSuchProcess`].
    ///
    /// ```
    /// use synod_vclock::Diagram;
    ///
    /// let mut diagram = Diagram::new(["a"]);
    /// diagram.event(0, "start", "{a:1}")?;
    /// assert!(diagram.to_string().contains(">start</text>"));
    /// # Ok::<(), synod_vclock::DiagramError>(())
    /// ```
    pub fn event(
        &mut self,
        process: usize,
        label: impl Into<String>,
        clock: impl fmt::Display,
    ) -> Result<EventId, DiagramError> {
        if process >= self.processes.len() {
            return Err(DiagramError::NoSuchProcess);
        }
        let before = self
            .events
            .iter()
            .rposition(|event| event.process == process);
        self.events.push(Event {
            process,
            label: label.into(),
            clock: clock.to_string(),
            row: before.map_or(0, |before| self.events[before].row + 1),
            causes: before.into_iter().collect(),
        });
        Ok(EventId(self.events.len() - 1))
    }

    /// A message from one event to another.
    ///
    /// # Errors
    /// [`DiagramError`]; nothing is changed.
    ///
    /// ```
    /// use synod_vclock::{Diagram, DiagramError};
    ///
    /// let mut diagram = Diagram::new(["a", "b"]);
    /// let (ask, answer) = (diagram.event(0, "ask", "")?, diagram.event(1, "answer", "")?);
    /// diagram.message(ask, answer)?;
    /// assert_eq!(diagram.message(answer, ask), Err(DiagramError::Circular));
    /// # Ok::<(), DiagramError>(())
    /// ```
    pub fn message(&mut self, from: EventId, to: EventId) -> Result<(), DiagramError> {
        let (Some(sending), Some(receipt)) = (self.events.get(from.0), self.events.get(to.0))
        else {
            return Err(DiagramError::NoSuchEvent);
        };
        if sending.process == receipt.process {
            return Err(DiagramError::WithinAProcess);
        }
        if self.events[to.0].causes.contains(&from.0) {
            return Ok(());
        }
        self.events[to.0].causes.push(from.0);
        match self.rows() {
            Some(rows) => {
                for (event, row) in self.events.iter_mut().zip(rows) {
                    event.row = row;
                }
                Ok(())
            }
            None => {
                self.events[to.0].causes.pop();
                Err(DiagramError::Circular)
            }
        }
    }

    /// The longest way down to each event; `None` if one is in its own past.
    fn rows(&self) -> Option<Vec<usize>> {
        let mut effects = alloc::vec![Vec::new(); self.events.len()];
        let mut open = Vec::with_capacity(self.events.len());
        for (at, event) in self.events.iter().enumerate() {
            open.push(event.causes.len());
            for cause in &event.causes {
                effects[*cause].push(at);
            }
        }
        let mut rows = alloc::vec![0; self.events.len()];
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

/// The diagram of a log: a column a host in the order in which they come up, and the messages that
/// the clocks tell of.
///
/// ```
/// use synod_vclock::{Diagram, shiviz::{Layout, Log}};
///
/// let text = "ask\na {\"a\":1}\nanswer\nb {\"a\":1, \"b\":1}\n";
/// let diagram = Diagram::from(&Log::parse(text, Layout::EventFirst)?);
/// assert_eq!(diagram.to_string().matches("class=\"message\"").count(), 1);
/// # Ok::<(), synod_vclock::shiviz::LogError>(())
/// ```
impl From<&Log> for Diagram {
    fn from(log: &Log) -> Self {
        let mut hosts: Vec<&str> = Vec::new();
        for record in log.records() {
            if !hosts.contains(&record.host()) {
                hosts.push(record.host());
            }
        }
        let mut diagram = Self::new(hosts.iter().copied());
        for record in log.records() {
            let process = hosts.iter().position(|host| *host == record.host());
            let added = diagram.event(process.unwrap_or_default(), record.event(), record.clock());
            debug_assert!(added.is_ok(), "each host has a column");
        }
        for (from, to) in log.messages() {
            diagram.events[to].causes.push(from);
        }
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

/// Why there is no such event or message.
///
/// ```
/// use synod_vclock::{Diagram, DiagramError};
///
/// assert_eq!(Diagram::new(["a"]).event(1, "", ""), Err(DiagramError::NoSuchProcess));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DiagramError {
    /// A position that no process has.
    #[error("there is no such process")]
    NoSuchProcess,
    /// An event of another diagram.
    #[error("there is no such event")]
    NoSuchEvent,
    /// Sender and receiver are the same process.
    #[error("a message within a process")]
    WithinAProcess,
    /// The message would arrive in the past of its sending.
    #[error("the message would arrive before it is sent")]
    Circular,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn diagram() -> (Diagram, [EventId; 4]) {
        let mut diagram = Diagram::new(["left", "right"]);
        let mut event = |process| diagram.event(process, "event", "{}").unwrap();
        let ids = [event(0), event(0), event(1), event(1)];
        (diagram, ids)
    }

    fn rows(diagram: &Diagram) -> Vec<usize> {
        diagram.events.iter().map(|event| event.row).collect()
    }

    #[test]
    fn effects_stand_below_causes_and_no_lower_than_they_must() {
        let (mut diagram, [_, sent, received, last]) = diagram();
        assert_eq!(rows(&diagram), [0, 1, 0, 1]);
        diagram.message(sent, received).unwrap();
        assert_eq!(rows(&diagram), [0, 1, 2, 3]);
        assert_eq!(diagram.message(last, sent), Err(DiagramError::Circular));
        assert_eq!(rows(&diagram), [0, 1, 2, 3]);
    }

    #[test]
    fn what_cannot_be_drawn_is_refused() {
        let (mut diagram, [first, second, ..]) = diagram();
        assert_eq!(diagram.event(2, "", ""), Err(DiagramError::NoSuchProcess));
        assert_eq!(
            diagram.message(first, second),
            Err(DiagramError::WithinAProcess)
        );
        assert_eq!(
            diagram.message(first, EventId(9)),
            Err(DiagramError::NoSuchEvent)
        );
    }

    #[test]
    fn texts_are_escaped_and_cut() {
        let mut diagram = Diagram::new(["<&>"]);
        diagram.event(0, "a".repeat(100), "\0").unwrap();
        let svg = diagram.to_string();
        assert!(svg.contains("&lt;&amp;&gt;") && !svg.contains("<&>"));
        assert!(svg.contains(&["a".repeat(LABEL_CHARS_MAX), "…</text>".to_owned()].concat()));
        assert!(svg.contains(&["<title>", &"a".repeat(100), "\n"].concat()));
        assert!(!svg.contains('\0'));
    }

    #[test]
    fn labels_that_are_too_long_go_on_in_a_second_line() {
        let lines = |label| label_lines(label).collect::<Vec<_>>();
        let long = "[12:00:09.650] ask the hall for a ticket for ada";
        assert_eq!(
            lines(long),
            ["[12:00:09.650] ask the hall for a", "ticket for ada"]
        );
        assert_eq!(lines(&long[..LABEL_CHARS_MAX]), [&long[..LABEL_CHARS_MAX]]);
        let umlauts = "\u{fc}".repeat(LABEL_CHARS_MAX);
        let spaced = [&umlauts, " end"].concat();
        assert_eq!(lines(&spaced), [&umlauts, "end"]);
        let unbroken = [&umlauts, "end"].concat();
        assert_eq!(lines(&unbroken), [&unbroken]);
    }

    #[test]
    fn each_message_is_drawn_once_and_ways_of_a_process_never() {
        let (mut diagram, [first, _, received, _]) = diagram();
        diagram.message(first, received).unwrap();
        diagram.message(first, received).unwrap();
        let svg = diagram.to_string();
        assert_eq!(svg.matches("class=\"message\"").count(), 1);
        assert_eq!(svg.matches("<circle").count(), 4);
    }
}
