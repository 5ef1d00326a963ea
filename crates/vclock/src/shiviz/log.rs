use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use super::{Layout, Record, RecordError, event_of, json};
use crate::{CausalOrder, Dot, VersionVector};

/// The log of a whole run, checked.
///
/// Invariants: what any run with correct vector clocks gives (Fidge, Mattern), and no other log:
/// - the own entries of each host are 1, 2, 3, ... ;
/// - a later event of a host knows everything that an earlier one knows;
/// - a foreign entry names an event that is in the log, and whoever knows of an event knows
///   everything that the event knows;
/// - no two events know of each other.
///
/// ```
/// use synod_vclock::shiviz::{Fault, Layout, Log};
///
/// let text = "start\na {\"a\":1}\nstop\na {\"a\":3}\n";
/// let error = Log::parse(text, Layout::EventFirst).unwrap_err();
/// assert_eq!((error.line, &error.fault), (4, &Fault::OwnEntry { expected: 2, found: 3 }));
/// assert_eq!(error.to_string(), "line 4: the own entry is 3, and 2 is due");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    records: Vec<Record>,
    /// Of each host its records, by place; its n-th event is the n-th.
    hosts: BTreeMap<String, Vec<usize>>,
}

impl Log {
    /// Reads the files of all hosts, one behind the other, and checks what they say. Empty lines
    /// between records are passed over. Records of one host may stand in any order: threads that log
    /// overtake each other, and the own entry tells what came first.
    ///
    /// # Errors
    /// The first line that is not well-formed; or else the first record that does not follow on the
    /// one before it of its host; or else the first that contradicts those of other hosts.
    ///
    /// ```
    /// use synod_vclock::shiviz::{Layout, Log};
    ///
    /// let text = "stopped\na {\"a\":2}\n\nstarted\na {\"a\":1}\n";
    /// let log = Log::parse(text, Layout::EventFirst)?;
    /// assert_eq!(log.records()[0].event(), "started");
    /// # Ok::<(), synod_vclock::shiviz::LogError>(())
    /// ```
    pub fn parse(text: &str, layout: Layout) -> Result<Self, LogError> {
        let mut records = Vec::new();
        let mut rest = (1..).zip(text.lines());
        while let Some(record) = next_record(&mut rest, layout)? {
            records.push(record);
        }
        Self::check(records)
    }

    /// As [`parse`](Self::parse), and lines that are no part of a record are passed over, as ShiViz
    /// does: stack traces, banners, the output of other programs. Returns how many they were.
    ///
    /// # Errors
    /// The first record that does not follow on the one before it of its host; or else the first that
    /// contradicts those of other hosts.
    ///
    /// ```
    /// use synod_vclock::shiviz::{Layout, Log};
    ///
    /// let text = "=== run 1 ===\nstarted\na {\"a\":1}\n    at main.rs:7\n";
    /// let (log, passed_over) = Log::parse_loosely(text, Layout::EventFirst)?;
    /// assert_eq!((log.records()[0].event(), passed_over), ("started", 2));
    /// # Ok::<(), synod_vclock::shiviz::LogError>(())
    /// ```
    pub fn parse_loosely(text: &str, layout: Layout) -> Result<(Self, usize), LogError> {
        let mut records = Vec::new();
        let mut passed_over = 0;
        let mut rest = (1..).zip(text.lines()).peekable();
        while let Some((number, line)) = rest.next() {
            let next = rest.peek().copied();
            let read = match (layout, next) {
                (_, None) => None,
                (Layout::EventFirst, Some((at, next))) => {
                    clock_of(next).map(|clock| (at, clock, event_of(line)))
                }
                (Layout::ClockFirst, Some((_, next))) => {
                    clock_of(line).map(|clock| (number, clock, next))
                }
            };
            let record = read.and_then(|(at, (host, clock), event)| {
                Some((at, Record::new(host, clock, event).ok()?))
            });
            if let Some(record) = record {
                records.push(record);
                rest.next();
            } else if !line.trim().is_empty() {
                passed_over += 1;
            }
        }
        Ok((Self::check(records)?, passed_over))
    }

    /// Checks records that were read by other means, with an expression of one's own, for instance. In
    /// the error they are counted instead of lines.
    ///
    /// # Errors
    /// As [`parse_loosely`](Self::parse_loosely).
    ///
    /// ```
    /// use synod_vclock::shiviz::{Log, Logger};
    ///
    /// let mut logger = Logger::new("a")?;
    /// let records = [logger.event("started")?, logger.event("stopped")?];
    /// assert_eq!(Log::from_records(records)?.hosts().len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_records(records: impl IntoIterator<Item = Record>) -> Result<Self, LogError> {
        Self::check((1..).zip(records).collect())
    }

    /// The log of these records, each with its line.
    fn check(mut read: Vec<(usize, Record)>) -> Result<Self, LogError> {
        let mut places = BTreeMap::<String, Vec<usize>>::new();
        for (at, (_, record)) in read.iter().enumerate() {
            places.entry(record.host.clone()).or_default().push(at);
        }
        // Each host keeps its places, and what stands there is in the order of its own entry.
        for places in places.into_values() {
            let own = |at: &usize| read[*at].1.clock.get(&read[*at].1.host);
            if places.is_sorted_by_key(own) {
                continue;
            }
            let mut sorted = places.clone();
            sorted.sort_by_key(own);
            let sorted = sorted.iter().map(|at| read[*at].clone());
            let sorted = sorted.collect::<Vec<_>>();
            for (at, record) in places.into_iter().zip(sorted) {
                read[at] = record;
            }
        }
        let mut log = Self {
            records: Vec::with_capacity(read.len()),
            hosts: BTreeMap::new(),
        };
        let mut lines = Vec::with_capacity(read.len());
        for (line, record) in read {
            lines.push(line);
            let fault = |fault| LogError { line, fault };
            log.append(record).map_err(fault)?;
        }
        for (at, line) in lines.iter().enumerate() {
            let fault = |fault| LogError { line: *line, fault };
            log.check_foreign(at).map_err(fault)?;
        }
        Ok(log)
    }

    /// The records, in the order of the text, and those of a host in that of its own entry.
    ///
    /// ```
    /// use synod_vclock::shiviz::{Layout, Log};
    ///
    /// let log = Log::parse("start\na {\"a\":1}\n", Layout::EventFirst)?;
    /// assert_eq!(log.records()[0].event(), "start");
    /// # Ok::<(), synod_vclock::shiviz::LogError>(())
    /// ```
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The hosts, by name.
    ///
    /// ```
    /// use synod_vclock::shiviz::{Layout, Log};
    ///
    /// let log = Log::parse("start\na {\"a\":1}\n", Layout::EventFirst)?;
    /// assert!(log.hosts().eq(["a"]));
    /// # Ok::<(), synod_vclock::shiviz::LogError>(())
    /// ```
    pub fn hosts(&self) -> impl ExactSizeIterator<Item = &str> {
        self.hosts.keys().map(String::as_str)
    }

    /// The record of an event, by place; `None` if there is none of that name.
    ///
    /// ```
    /// use synod_vclock::{Dot, shiviz::{Layout, Log}};
    ///
    /// let log = Log::parse("start\na {\"a\":1}\n", Layout::EventFirst)?;
    /// assert_eq!(log.find(&Dot::new("a".to_owned(), 1).unwrap()), Some(0));
    /// # Ok::<(), synod_vclock::shiviz::LogError>(())
    /// ```
    #[must_use]
    pub fn find(&self, event: &Dot<String>) -> Option<usize> {
        let records = self.hosts.get(&event.actor)?;
        let at = usize::try_from(event.counter.get() - 1).ok()?;
        records.get(at).copied()
    }

    /// The messages, from place to place: an event that knows of something new from another host
    /// has received it, directly from those events that no other of them knows of.
    ///
    /// ```
    /// use synod_vclock::shiviz::{Layout, Log};
    ///
    /// let text = "ask\na {\"a\":1}\nanswer\nb {\"a\":1, \"b\":1}\n";
    /// assert_eq!(Log::parse(text, Layout::EventFirst)?.messages(), [(0, 1)]);
    /// # Ok::<(), synod_vclock::shiviz::LogError>(())
    /// ```
    #[must_use]
    pub fn messages(&self) -> Vec<(usize, usize)> {
        let mut messages = Vec::new();
        for (at, record) in self.records.iter().enumerate() {
            let news = self
                .news(at)
                .filter_map(|dot| self.find(dot))
                .collect::<Vec<_>>();
            let is_direct = |sender: &&usize| {
                let sender = &self.records[**sender].clock;
                news.iter().all(|other| {
                    self.records[*other].clock.causal_cmp(sender) != CausalOrder::After
                })
            };
            messages.extend(news.iter().filter(is_direct).map(|sender| (*sender, at)));
            debug_assert!(record.clock.len() > news.len(), "the own entry is no news");
        }
        messages
    }

    /// The foreign entries of the record that its host had not known before.
    fn news(&self, at: usize) -> impl Iterator<Item = &Dot<String>> {
        let record = &self.records[at];
        let before = self.before(record);
        record.clock.iter().filter(move |dot| {
            dot.actor != record.host && before.is_none_or(|before| !before.clock.contains(dot))
        })
    }

    /// The record of the same host before this one.
    fn before(&self, record: &Record) -> Option<&Record> {
        let own = usize::try_from(record.clock.get(&record.host)).ok()?;
        let at = *self.hosts.get(&record.host)?.get(own.checked_sub(2)?)?;
        self.records.get(at)
    }

    /// Takes in a record if it is the next of its host.
    fn append(&mut self, record: Record) -> Result<(), Fault> {
        let own = self.hosts.entry(record.host.clone()).or_default();
        let (expected, found) = (own.len() as u64 + 1, record.clock.get(&record.host));
        if found != expected {
            return Err(Fault::OwnEntry { expected, found });
        }
        let before = own.last().map(|at| &self.records[*at]);
        if before.is_some_and(|before| !record.clock.descends(&before.clock)) {
            return Err(Fault::Forgetful);
        }
        own.push(self.records.len());
        self.records.push(record);
        Ok(())
    }

    /// What a host knew before was checked there.
    fn check_foreign(&self, at: usize) -> Result<(), Fault> {
        for dot in self.news(at) {
            let known = self
                .find(dot)
                .ok_or_else(|| Fault::NoSuchEvent(dot.clone()))?;
            match self.records[at]
                .clock
                .causal_cmp(&self.records[known].clock)
            {
                CausalOrder::After => {}
                CausalOrder::Equal => return Err(Fault::Circular(dot.clone())),
                CausalOrder::Before | CausalOrder::Concurrent => {
                    return Err(Fault::PastIncomplete(dot.clone()));
                }
            }
        }
        Ok(())
    }
}

/// The texts between lines that part one execution from the next, empty ones left out: a log with
/// several runs, each of which is a [`Log`] by itself.
///
/// ```
/// use synod_vclock::shiviz::{Layout, Log, executions};
///
/// let text = "started\na {\"a\":1}\n======\nstarted\na {\"a\":1}\n";
/// let runs = executions(text, |line| line == "======");
/// let logs: Result<Vec<_>, _> = runs.map(|run| Log::parse(run, Layout::EventFirst)).collect();
/// assert_eq!(logs?.len(), 2);
/// # Ok::<(), synod_vclock::shiviz::LogError>(())
/// ```
pub fn executions(
    text: &str,
    mut is_delimiter: impl FnMut(&str) -> bool,
) -> impl Iterator<Item = &str> {
    let mut rest = text;
    let next = move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = 0;
        for line in rest.split_inclusive('\n') {
            let next = end + line.len();
            if is_delimiter(line.trim_end_matches(['\n', '\r'])) {
                let run = &rest[..end];
                rest = &rest[next..];
                return Some(run);
            }
            end = next;
        }
        Some(core::mem::take(&mut rest))
    };
    core::iter::from_fn(next).filter(|run| !run.trim().is_empty())
}

/// Takes the next record; its line is the one of the clock. `None` at the end.
fn next_record<'a>(
    rest: &mut (impl Iterator<Item = (usize, &'a str)> + Clone),
    layout: Layout,
) -> Result<Option<(usize, Record)>, LogError> {
    let first = loop {
        match rest.next() {
            None => return Ok(None),
            Some((_, "")) if layout == Layout::ClockFirst => {}
            // An event may be an empty line, which is one if its clock follows.
            Some((_, ""))
                if rest
                    .clone()
                    .next()
                    .and_then(|next| clock_of(next.1))
                    .is_none() => {}
            Some(first) => break first,
        }
    };
    let fault = |line, fault| LogError { line, fault };
    let second = rest
        .next()
        .ok_or_else(|| fault(first.0, Fault::HalfARecord))?;
    let ((line, clock), (_, event)) = match layout {
        Layout::EventFirst => (second, (first.0, event_of(first.1))),
        Layout::ClockFirst => (first, second),
    };
    let (host, clock) = clock
        .split_once(' ')
        .ok_or_else(|| fault(line, Fault::NotAClock))?;
    let clock = json::parse(clock).ok_or_else(|| fault(line, Fault::NotAClock))?;
    match Record::new(host, clock, event.to_owned()) {
        Ok(record) => Ok(Some((line, record))),
        Err(error) => Err(fault(line, Fault::Record(error))),
    }
}

/// The host and the clock in a line that is nothing else.
fn clock_of(line: &str) -> Option<(&str, VersionVector<String>)> {
    let (host, clock) = line.split_once(' ')?;
    Some((host, json::parse(clock)?))
}

/// Why a log was refused, and where.
///
/// ```
/// use synod_vclock::shiviz::{Layout, Log};
///
/// let error = Log::parse("half of one", Layout::EventFirst).unwrap_err();
/// assert_eq!(error.line, 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("line {line}: {fault}")]
#[non_exhaustive]
pub struct LogError {
    /// Counted from one.
    pub line: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong with a line of a log.
///
/// ```
/// use synod_vclock::shiviz::{Fault, Layout, Log};
///
/// let error = Log::parse("half of one", Layout::EventFirst).unwrap_err();
/// assert_eq!(error.fault, Fault::HalfARecord);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The text ends between the two lines of a record.
    #[error("half a record")]
    HalfARecord,
    /// It should be a host, a space and a clock in JSON.
    #[error("not a host and a clock")]
    NotAClock,
    /// The record by itself cannot be.
    #[error(transparent)]
    Record(RecordError),
    /// The own entry does not rise by one.
    #[error("the own entry is {found}, and {expected} is due")]
    OwnEntry {
        /// What follows on the host's record before.
        expected: u64,
        /// What stands there.
        found: u64,
    },
    /// The host has forgotten something that it knew at its event before.
    #[error("something is forgotten that the event before knew")]
    Forgetful,
    /// A foreign entry names an event that is not in the log.
    #[error("there is no event {0}")]
    NoSuchEvent(Dot<String>),
    /// It knows of an event, and not of everything that the event knows.
    #[error("event {0} knows of something that is not known here")]
    PastIncomplete(Dot<String>),
    /// It knows of an event that knows of it.
    #[error("event {0} is in its own past")]
    Circular(Dot<String>),
}
