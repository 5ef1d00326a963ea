//! Keys that are over at a time.

use std::time::Duration;

use synod_replica::{LogTime, timed::SLACK};

use super::Kv;
use crate::{
    command::{Blob, Command, Expiry, Unless},
    deadlines::deadline_bytes,
    response::{Refusal, Response},
    value::Value,
};

/// How long a key lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// There is no key.
    Absent,
    /// For ever.
    Forever,
    /// So long, as it was asked for; it may be there for a moment longer.
    For(Duration),
}

/// When something that lasts so long from now on is over.
pub(super) type Deadline<'a> = &'a mut dyn FnMut(Duration) -> LogTime;

impl Kv {
    /// The time that was applied last.
    #[must_use]
    pub fn now(&self) -> LogTime {
        self.now
    }

    /// How long a key lasts, if it is `time` or later.
    #[must_use]
    pub fn left(&self, key: &[u8], time: LogTime) -> Left {
        if self.value(key).is_none() {
            return Left::Absent;
        }
        let later = self.now.max(time).later(SLACK);
        let deadline = self.deadlines.get(key);
        deadline.map_or(Left::Forever, |at| Left::For(at.since(later)))
    }

    /// It is so late. Removes some of the keys that are over.
    pub(crate) fn pass(&mut self, now: LogTime) {
        self.now = self.now.max(now);
        for _ in 0..OVER_AT_ONCE_MAX {
            match self.deadlines.first() {
                Some((at, key)) if at <= self.now => {
                    let key = key.to_vec();
                    self.remove(&key);
                }
                _ => break,
            }
        }
    }

    /// When the next key is over.
    pub(crate) fn next_due(&self) -> Option<LogTime> {
        self.deadlines.first().map(|(at, _)| at)
    }

    pub(super) fn is_over(&self, key: &[u8]) -> bool {
        !self.deadlines.is_empty() && self.deadlines.get(key).is_some_and(|at| at <= self.now)
    }

    /// What is over is gone before a command looks at it.
    pub(super) fn remove_if_over(&mut self, key: Blob<'_>) {
        if self.is_over(key.0) {
            self.remove(key.0);
        }
    }

    /// The commands that are there because keys end.
    pub(super) fn apply_ending(
        &mut self,
        command: &Command<'_>,
        deadline: Deadline<'_>,
    ) -> Response {
        match *command {
            Command::SetExpiring {
                key,
                value,
                when,
                previous,
                expiry,
            } => {
                let before = self.deadlines.get(key.0);
                let (is_written, response) = self.set(key, value, when, previous);
                let at = match expiry {
                    Expiry::Within { millis } if is_written => {
                        Some(deadline(Duration::from_millis(millis)))
                    }
                    Expiry::Within { .. } => None,
                    Expiry::Keep => before,
                };
                if let Some(at) = at {
                    self.set_deadline(key.0, at);
                }
                response
            }
            Command::Expire {
                key,
                millis,
                unless,
            } => self.expire(key, millis, unless, deadline),
            Command::Persist { key } => Response::Integer(i64::from(self.clear_deadline(key.0))),
            Command::DeleteIf { key, value, is } => {
                let is_wanted = |found: &Value| (*found == *value.0) == is;
                let removed = self.value(key.0).is_some_and(is_wanted) && self.remove(key.0);
                Response::Integer(i64::from(removed))
            }
            _ => Response::Refused(Refusal::Malformed),
        }
    }

    fn expire(
        &mut self,
        key: Blob<'_>,
        millis: u64,
        unless: Unless,
        deadline: Deadline<'_>,
    ) -> Response {
        if self.value(key.0).is_none() {
            return Response::Integer(0);
        }
        let lasts = Duration::from_millis(millis);
        let (before, after) = (
            self.deadlines.get(key.0),
            self.now.later(lasts).later(SLACK),
        );
        let is_wanted = match (unless, before) {
            (Unless::Never, _) | (Unless::Lasting, Some(_)) | (Unless::Ending, None) => true,
            (Unless::Lasting | Unless::LaterOrLasting | Unless::Sooner, None)
            | (Unless::Ending, Some(_)) => false,
            // What has no deadline is over later than anything.
            (Unless::Later, None) => true,
            (Unless::Sooner, Some(before)) => after > before,
            (Unless::Later | Unless::LaterOrLasting, Some(before)) => after < before,
        };
        if is_wanted && millis == 0 {
            self.remove(key.0);
        } else if is_wanted {
            self.set_deadline(key.0, deadline(lasts));
        }
        Response::Integer(i64::from(is_wanted))
    }

    /// Of a key in a snapshot; false if there is no such key.
    pub(crate) fn set_deadline_of(&mut self, key: &[u8], at: LogTime) -> bool {
        let is_there = self.map.get(key).is_some();
        if is_there {
            self.set_deadline(key, at);
        }
        is_there
    }

    pub(super) fn set_deadline(&mut self, key: &[u8], at: LogTime) {
        if self.deadlines.set(key, at) {
            self.bytes += deadline_bytes(key);
        }
    }

    pub(super) fn clear_deadline(&mut self, key: &[u8]) -> bool {
        let had = !self.deadlines.is_empty() && self.deadlines.clear(key);
        if had {
            self.bytes -= deadline_bytes(key);
        }
        had
    }
}

/// Keys that one command removes because they are over, at most: no command waits for all of them.
const OVER_AT_ONCE_MAX: usize = 1_000;
