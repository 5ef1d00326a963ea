//! Logs with a vector clock for each event, in the format of [ShiViz] and GoVector, and a parser
//! that validates them completely.
//!
//! A record is two lines, in one of two [`Layout`]s:
//!
//! ```text
//!   order received                          front {"front":2}
//!   front {"front":2}                       order received
//!   (event first: what ShiViz expects)      (clock first: what GoVector writes)
//! ```
//!
//! Each host writes its own file. Their concatenation, in any order, is the log of the run:
//!
//! ```
//! use synod_vclock::shiviz::{Layout, Log, Logger};
//!
//! let (mut front, mut store) = (Logger::new("front")?, Logger::new("store")?);
//! let asked = front.event("ask for the stock")?;
//! let told = store.receive("look it up", asked.clock())?;
//! let files = [asked.to_string(), told.to_string()].concat();
//! assert_eq!(files, "ask for the stock\nfront {\"front\":1}\nlook it up\nstore {\"front\":1, \"store\":1}\n");
//!
//! let log = Log::parse(&files, Layout::EventFirst)?;
//! assert_eq!(log.records().len(), 2);
//! assert_eq!(log.messages(), [(0, 1)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What is written matches the default regular expression of ShiViz, `(?<event>.*)\n(?<host>\S*)
//! (?<clock>{.*})`, record by record. The expression is not anchored, so it would parse an event such
//! as `got {}` as a host and a clock, with an empty event before it. Such events are written with an
//! indent of two spaces, which is removed on reading.
//!
//! [ShiViz]: https://bestchai.bitbucket.io/shiviz/

mod json;
mod log;

use alloc::string::String;
use core::fmt;

use crate::{ReceiveError, VectorClock, VersionVector};

pub use log::{Fault, Log, LogError, executions};

use json::Json;

/// One event of one host, with the clock it happened at.
///
/// Displayed it is two lines, [event first](Layout::EventFirst); write it with `write!` to a file,
/// a string or anything else.
///
/// Invariants: the host is a word, the event is one line, and the clock has an entry of the host.
///
/// ```
/// use synod_vclock::{VersionVector, shiviz::Record};
///
/// let clock = VersionVector::from_iter([("a".to_owned(), 1)]);
/// let record = Record::new("a", clock, "started")?;
/// assert_eq!(record.to_string(), "started\na {\"a\":1}\n");
/// # Ok::<(), synod_vclock::shiviz::RecordError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    host: String,
    clock: VersionVector<String>,
    event: String,
}

impl Record {
    /// The record of an event.
    ///
    /// # Errors
    /// What would make the log unreadable: [`RecordError`].
    ///
    /// ```
    /// use synod_vclock::{VersionVector, shiviz::{Record, RecordError}};
    ///
    /// let clock = VersionVector::from_iter([("a".to_owned(), 1)]);
    /// assert_eq!(Record::new("b", clock, "started"), Err(RecordError::OwnEntryMissing));
    /// ```
    pub fn new(
        host: impl Into<String>,
        clock: VersionVector<String>,
        event: impl Into<String>,
    ) -> Result<Self, RecordError> {
        let (host, event) = (host.into(), event.into());
        check_host(&host)?;
        check_event(&event)?;
        if clock.get(&host) == 0 {
            return Err(RecordError::OwnEntryMissing);
        }
        Ok(Self { host, clock, event })
    }

    /// The host of the event.
    ///
    /// ```
    /// use synod_vclock::shiviz::Logger;
    ///
    /// assert_eq!(Logger::new("a")?.event("started")?.host(), "a");
    /// # Ok::<(), synod_vclock::shiviz::RecordError>(())
    /// ```
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The vector of the event: what travels in a message that it sends.
    ///
    /// ```
    /// use synod_vclock::shiviz::Logger;
    ///
    /// assert_eq!(Logger::new("a")?.event("started")?.clock().to_string(), "{a:1}");
    /// # Ok::<(), synod_vclock::shiviz::RecordError>(())
    /// ```
    #[must_use]
    pub const fn clock(&self) -> &VersionVector<String> {
        &self.clock
    }

    /// What happened.
    ///
    /// ```
    /// use synod_vclock::shiviz::Logger;
    ///
    /// assert_eq!(Logger::new("a")?.event("started")?.event(), "started");
    /// # Ok::<(), synod_vclock::shiviz::RecordError>(())
    /// ```
    #[must_use]
    pub fn event(&self) -> &str {
        &self.event
    }

    /// The two lines in either layout.
    ///
    /// ```
    /// use synod_vclock::shiviz::{Layout, Logger};
    ///
    /// let record = Logger::new("a")?.event("started")?;
    /// assert_eq!(record.display(Layout::ClockFirst).to_string(), "a {\"a\":1}\nstarted\n");
    /// # Ok::<(), synod_vclock::shiviz::RecordError>(())
    /// ```
    pub fn display(&self, layout: Layout) -> impl fmt::Display {
        Lines(self, layout)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.display(Layout::EventFirst).fmt(f)
    }
}

/// A record as its two lines.
struct Lines<'a>(&'a Record, Layout);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(Record { host, clock, event }, layout) = self;
        let clock = Json(clock);
        match layout {
            Layout::EventFirst => {
                let indent = if is_ambiguous(event) { INDENT } else { "" };
                writeln!(f, "{indent}{event}\n{host} {clock}")
            }
            Layout::ClockFirst => writeln!(f, "{host} {clock}\n{event}"),
        }
    }
}

/// The order of the two lines of a record.
///
/// ```
/// use synod_vclock::shiviz::{Layout, Log};
///
/// let from_govector = "a {\"a\":1}\nInitialization Complete\n";
/// assert!(Log::parse(from_govector, Layout::ClockFirst).is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layout {
    /// The event, then host and clock: ShiViz's default.
    EventFirst,
    /// Host and clock, then the event: what GoVector writes.
    ClockFirst,
}

/// A host that counts its events and turns them into records.
///
/// ```
/// use synod_vclock::shiviz::Logger;
///
/// let mut logger = Logger::new("a")?;
/// assert_eq!(logger.event("started")?.to_string(), "started\na {\"a\":1}\n");
/// assert_eq!(logger.event("stopped")?.to_string(), "stopped\na {\"a\":2}\n");
/// # Ok::<(), synod_vclock::shiviz::RecordError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Logger {
    clock: VectorClock<String>,
}

impl Logger {
    /// The logger of a host without events.
    ///
    /// # Errors
    /// [`RecordError::HostNotAWord`].
    ///
    /// ```
    /// use synod_vclock::shiviz::{Logger, RecordError};
    ///
    /// assert_eq!(Logger::new("two words"), Err(RecordError::HostNotAWord));
    /// ```
    pub fn new(host: impl Into<String>) -> Result<Self, RecordError> {
        Self::resume(VectorClock::new(host.into()))
    }

    /// The logger of a restarted host, which continues from its clock.
    ///
    /// # Errors
    /// [`RecordError::HostNotAWord`].
    ///
    /// ```
    /// use synod_vclock::{VectorClock, VersionVector, shiviz::Logger};
    ///
    /// let stopped = VersionVector::from_iter([("a".to_owned(), 7)]);
    /// let mut logger = Logger::resume(VectorClock::restore("a".to_owned(), stopped))?;
    /// assert_eq!(logger.event("restarted")?.clock().to_string(), "{a:8}");
    /// # Ok::<(), synod_vclock::shiviz::RecordError>(())
    /// ```
    pub fn resume(clock: VectorClock<String>) -> Result<Self, RecordError> {
        check_host(clock.me())?;
        Ok(Self { clock })
    }

    /// An event of this host: something local, or the sending of a message, which then carries the
    /// record's [clock](Record::clock).
    ///
    /// # Errors
    /// [`RecordError`]; nothing is counted.
    ///
    /// ```
    /// use synod_vclock::shiviz::{Logger, RecordError};
    ///
    /// let mut logger = Logger::new("a")?;
    /// assert_eq!(logger.event("two\nlines"), Err(RecordError::EventNotALine));
    /// assert_eq!(logger.event("one line")?.clock().get(&"a".to_owned()), 1);
    /// # Ok::<(), RecordError>(())
    /// ```
    pub fn event(&mut self, event: impl Into<String>) -> Result<Record, RecordError> {
        let event = event.into();
        check_event(&event)?;
        let clock = self.clock.tick().map_err(ReceiveError::from)?.clone();
        Record::new(self.clock.me().as_str(), clock, event)
    }

    /// The receipt of a message that carries the clock `message`.
    ///
    /// # Errors
    /// [`RecordError`]; nothing is counted.
    ///
    /// ```
    /// use synod_vclock::shiviz::Logger;
    ///
    /// let (mut a, mut b) = (Logger::new("a")?, Logger::new("b")?);
    /// let sent = a.event("send")?;
    /// assert_eq!(b.receive("receive", sent.clock())?.clock().to_string(), "{a:1, b:1}");
    /// # Ok::<(), synod_vclock::shiviz::RecordError>(())
    /// ```
    pub fn receive(
        &mut self,
        event: impl Into<String>,
        message: &VersionVector<String>,
    ) -> Result<Record, RecordError> {
        let event = event.into();
        check_event(&event)?;
        let clock = self.clock.receive(message)?.clone();
        Record::new(self.clock.me().as_str(), clock, event)
    }
}

/// Why a record is invalid.
///
/// ```
/// use synod_vclock::shiviz::{Logger, RecordError};
///
/// assert_eq!(Logger::new(""), Err(RecordError::HostNotAWord));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The name of the host is empty or has white space in it: the clock would begin there.
    #[error("the name of a host is empty or has white space in it")]
    HostNotAWord,
    /// The event has a line break in it, as ShiViz's language understands line breaks.
    #[error("an event has a line break in it")]
    EventNotALine,
    /// The clock has no entry of the host.
    #[error("the clock has no entry of its own host")]
    OwnEntryMissing,
    /// The clock refused the event or the message.
    #[error(transparent)]
    Clock(#[from] ReceiveError),
}

fn check_host(host: &str) -> Result<(), RecordError> {
    if host.is_empty() || host.contains(is_space) {
        return Err(RecordError::HostNotAWord);
    }
    Ok(())
}

fn check_event(event: &str) -> Result<(), RecordError> {
    if event.contains(LINE_BREAKS) {
        return Err(RecordError::EventNotALine);
    }
    Ok(())
}

/// Whether ShiViz could take the event for a host and a clock, as it stands or once it is read back.
fn is_ambiguous(event: &str) -> bool {
    let event = event.trim_start_matches(INDENT);
    let Some(space) = event.find(is_space) else {
        return false;
    };
    let rest = event[space..].strip_prefix(" {");
    rest.is_some_and(|rest| rest.contains('}'))
}

/// The event that was written as this line.
fn event_of(line: &str) -> &str {
    match line.strip_prefix(INDENT) {
        Some(event) if is_ambiguous(event) => event,
        _ => line,
    }
}

/// White space to a regular expression of JavaScript: Unicode's without the next-line control, and
/// the byte order mark.
fn is_space(char: char) -> bool {
    (char.is_whitespace() && char != '\u{85}') || char == '\u{feff}'
}

/// Before an event that could be taken for a host and a clock. One space would not do: an empty host
/// may stand before it.
const INDENT: &str = "  ";

/// What the dot of a regular expression of JavaScript does not match.
const LINE_BREAKS: [char; 4] = ['\n', '\r', '\u{2028}', '\u{2029}'];
