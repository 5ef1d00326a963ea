//! The time that stands in the log, and by how much it may rise.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::time::Duration;

use super::Stamp;

/// A point of logged time: microseconds in which something was due, since the group was founded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogTime(pub u64);

impl LogTime {
    /// So much later.
    #[must_use]
    pub fn later(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros(by)))
    }

    /// How long after `earlier`; zero if it is not after.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for LogTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", Duration::from_micros(self.0))
    }
}

/// The time that a group agrees on: a value, replicated with the machine that it is for.
///
/// # Why it is not early
///
/// A machine sees no clock, so nobody can tell how late it was when an entry was sequenced. What a node can tell is
/// how long ago it applied one: an **anchor**, an entry at which the log notes its time. A [`Stamp`] says so, and
/// raises the time to that of the anchor and what has passed since.
///
/// Since then deadlines may have been counted from a time that lagged behind, because those who proposed them had
/// applied less. So a stamp from before a deadline was counted raises the time to at most [`SLACK`] beyond the time
/// that it was counted from, and every deadline is that much later. A stamp from after it measures only what has really
/// passed.
///
/// # Invariants
/// - The time never falls, and between a deadline's entry and its end at least as much passes on the clock of whoever
///   raises the time as the deadline allows.
/// - One stamp raises the time by at most [`RISE_MAX`], whatever a clock says.
/// - There are 1 to `ANCHORS_MAX` anchors, whose times do not fall; each is at or below `now`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedTime {
    now: LogTime,
    /// The number of the first of `anchors`.
    first: u64,
    anchors: VecDeque<Anchor>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Anchor {
    at: LogTime,
    /// How far a stamp that names this anchor may raise the time, once a deadline was counted behind it.
    cap: Option<LogTime>,
}

impl Default for LoggedTime {
    fn default() -> Self {
        Self {
            now: LogTime::default(),
            first: 0,
            anchors: VecDeque::from([Anchor::default()]),
        }
    }
}

impl LoggedTime {
    /// How late it is.
    #[must_use]
    pub fn now(&self) -> LogTime {
        self.now
    }

    /// When that is over which is to last for `lasts` from now: [`SLACK`] later than the time tells.
    pub fn deadline(&mut self, lasts: Duration) -> LogTime {
        let cap = self.now.later(SLACK);
        for anchor in &mut self.anchors {
            anchor.cap.get_or_insert(cap);
        }
        self.now.later(lasts).later(SLACK)
    }

    /// How long it is until a deadline, as it was asked for: zero within the last [`SLACK`].
    #[must_use]
    pub fn left(&self, deadline: LogTime) -> Duration {
        deadline.since(self.now.later(SLACK))
    }

    /// Takes what a clock has measured.
    pub fn advance(&mut self, stamp: Stamp) {
        let Some(to) = self.reach(stamp) else {
            return;
        };
        self.now = self.now.max(to);
        let last = self.anchors.back().map_or(LogTime(0), |anchor| anchor.at);
        if self.now >= last.later(GRAIN) {
            if self.anchors.len() == ANCHORS_MAX {
                self.anchors.pop_front();
                self.first += 1;
            }
            self.anchors.push_back(Anchor {
                at: self.now,
                cap: None,
            });
        }
    }

    /// To what a stamp raises the time at most; `None` if it names no anchor that is still known.
    pub(super) fn reach(&self, stamp: Stamp) -> Option<LogTime> {
        let place = usize::try_from(stamp.anchor.checked_sub(self.first)?).ok()?;
        let Anchor { at, cap } = self.anchors.get(place)?;
        let to = at.later(stamp.elapsed.min(RISE_MAX));
        Some(cap.map_or(to, |cap| to.min(cap)))
    }

    /// The numbers of the anchors that a stamp may name.
    pub(super) fn anchors(&self) -> std::ops::Range<u64> {
        self.first..self.first + self.anchors.len() as u64
    }

    /// Whether a deadline was counted since the last anchor, so that a new one is wanted.
    pub(super) fn is_capped(&self) -> bool {
        self.anchors.back().is_some_and(|last| last.cap.is_some())
    }

    /// ```text
    /// version 0 (u8) │ now │ first │ count │ for each anchor: at, cap (all ones: none)      u64, little-endian
    /// ```
    pub(super) fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        let mut bytes = vec![VERSION];
        let anchors = self.anchors.iter().flat_map(|anchor| {
            let cap = anchor.cap.map_or(NONE, |cap| cap.0);
            [anchor.at.0, cap]
        });
        for number in [self.now.0, self.first, self.anchors.len() as u64]
            .into_iter()
            .chain(anchors)
        {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        to.write_all(&bytes)
    }

    pub(super) fn read(from: &mut dyn Read) -> io::Result<Self> {
        let mut version = [0];
        from.read_exact(&mut version)?;
        let mut number = || {
            let mut bytes = [0; 8];
            from.read_exact(&mut bytes)?;
            Ok::<_, io::Error>(u64::from_le_bytes(bytes))
        };
        let (now, first, count) = (LogTime(number()?), number()?, number()?);
        if version != [VERSION] || count == 0 || count > ANCHORS_MAX as u64 {
            return Err(invalid("no logged time of a known version"));
        }
        let mut anchors = VecDeque::new();
        for _ in 0..count {
            let (at, cap) = (LogTime(number()?), number()?);
            let cap = (cap != NONE).then_some(LogTime(cap));
            anchors.push_back(Anchor { at, cap });
        }
        let rises = anchors.iter().is_sorted_by_key(|anchor| anchor.at);
        if !rises || anchors.back().is_some_and(|last| last.at > now) || first > NUMBER_MAX {
            return Err(invalid("a logged time that falls"));
        }
        Ok(Self {
            now,
            first,
            anchors,
        })
    }
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// By how much every deadline is later than asked for.
///
/// A part of the format, like all of these. Smaller, and time runs slower when deadlines are counted without a
/// pause: it loses one round through the log in each `SLACK`.
pub const SLACK: Duration = Duration::from_millis(200);
/// Anchors stand at least this far apart in time.
pub const GRAIN: Duration = Duration::from_millis(20);
/// By how much one stamp raises the time at most.
pub const RISE_MAX: Duration = Duration::from_secs(600);
/// Enough for more than a `SLACK`.
const ANCHORS_MAX: usize = 16;
/// No log reaches it.
const NUMBER_MAX: u64 = u64::MAX / 2;
const VERSION: u8 = 0;
const NONE: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(anchor: u64, millis: u64) -> Stamp {
        Stamp {
            anchor,
            elapsed: Duration::from_millis(millis),
        }
    }

    fn millis(millis: u64) -> LogTime {
        LogTime(millis * 1_000)
    }

    #[test]
    fn time_rises_by_what_was_measured_and_never_falls() {
        let mut time = LoggedTime::default();
        for (given, now) in [
            (stamp(0, 50), 50),
            // The same clock, later; and one that lags.
            (stamp(0, 60), 60),
            (stamp(0, 10), 60),
            // Since the anchor at 50.
            (stamp(1, 25), 75),
            // Nobody knows such an anchor.
            (stamp(99, 5_000), 75),
        ] {
            time.advance(given);
            assert_eq!(time.now(), millis(now), "{given:?}");
        }
    }

    #[test]
    fn one_clock_that_is_years_ahead_raises_the_time_by_a_step() {
        let mut time = LoggedTime::default();
        let years = Duration::from_secs(10 * 365 * 86_400);
        time.advance(Stamp {
            anchor: 0,
            elapsed: years,
        });
        assert_eq!(time.now(), LogTime(0).later(RISE_MAX));
    }

    #[test]
    fn a_stamp_from_before_a_deadline_takes_at_most_the_slack_from_it() {
        let mut time = LoggedTime::default();
        let minute = Duration::from_secs(60);
        let deadline = time.deadline(minute);
        assert_eq!(time.left(deadline), minute);
        // Somebody applied the anchor a long time before the deadline was counted.
        time.advance(stamp(0, 500_000));
        assert_eq!(time.now(), LogTime(0).later(SLACK));
        // And somebody what this made an anchor of; now a full minute has passed on a clock.
        time.advance(stamp(1, 59_999));
        assert!(time.now() < deadline);
        time.advance(stamp(1, 60_000));
        assert_eq!(time.now(), deadline);
        assert_eq!(time.left(deadline), Duration::ZERO);
    }

    #[test]
    fn golden() {
        let mut time = LoggedTime::default();
        time.deadline(Duration::ZERO);
        time.advance(stamp(0, 30));
        let mut bytes = Vec::new();
        time.write(&mut bytes).unwrap();
        let words = [30_000, 0, 2, 0, 200_000, 30_000, u64::MAX];
        let words: Vec<u8> = words
            .iter()
            .flat_map(|word: &u64| word.to_le_bytes())
            .collect();
        assert_eq!(bytes, [&[0], &words[..]].concat());
        assert_eq!(LoggedTime::read(&mut &bytes[..]).unwrap(), time);
        for cut in 0..bytes.len() {
            assert!(LoggedTime::read(&mut &bytes[..cut]).is_err(), "{cut}");
        }
        // Another version, no anchor, too many, an anchor in the future.
        for (at, with) in [(0, 1), (17, 0), (17, 17), (6, 0xff), (47, 0xff)] {
            let mut bad = bytes.clone();
            bad[at] = with;
            let read = LoggedTime::read(&mut &bad[..]);
            assert_eq!(read.is_ok(), at == 6, "{at}");
        }
    }
}
