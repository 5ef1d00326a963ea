//! All sessions, and what is kept of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::{SessionId, SessionLimits, SessionName, SessionRefusal};
use crate::timed::LogTime;

/// Invariants:
/// - An id is below `next`, and was given out once.
/// - The `floor` of a session never falls, and no name below it runs: what is known of those is forgotten.
/// - A session has at most as many names in `done` as the largest window that there was.
/// - `order`, `used`, `ends` and `reply_bytes` follow from `sessions`.
/// - There are at most `sessions_max` sessions, and `reply_bytes` is at most `replies_bytes_max`.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) limits: SessionLimits,
    /// The next id.
    pub(super) next: u64,
    /// Rises with each use, so that uses and replies have an order.
    pub(super) turn: u64,
    pub(super) sessions: BTreeMap<SessionId, Arc<Session>>,
    /// Replies that are kept, the oldest first.
    order: BTreeMap<u64, SessionName>,
    /// Sessions by their last use.
    used: BTreeMap<u64, SessionId>,
    ends: BTreeSet<(LogTime, SessionId)>,
    reply_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    /// The highest name that was used.
    pub(super) highest: u64,
    /// Names below were behind the window once. It may become larger, and they stay behind.
    pub(super) floor: u64,
    pub(super) done: BTreeMap<u64, Reply>,
    /// The turn of its last use.
    pub(super) used: u64,
    /// When it expires if it is not used before.
    pub(super) ends: Option<LogTime>,
}

/// What is kept of a name that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    Kept { turn: u64, bytes: Bytes },
    Gone,
}

/// What is known of a name.
pub(super) enum Known {
    New,
    Answered(Bytes),
    Refused(SessionRefusal),
}

/// The part that a snapshot holds; the sessions are shared with the table.
#[derive(Clone, Debug)]
pub struct Frozen {
    pub(super) limits: SessionLimits,
    pub(super) next: u64,
    pub(super) turn: u64,
    pub(super) sessions: BTreeMap<SessionId, Arc<Session>>,
}

impl Table {
    pub(super) fn new(limits: SessionLimits) -> Self {
        Self::thaw(Frozen {
            limits,
            next: 1,
            turn: 0,
            sessions: BTreeMap::new(),
        })
    }

    pub(super) fn freeze(&self) -> Frozen {
        Frozen {
            limits: self.limits,
            next: self.next,
            turn: self.turn,
            sessions: self.sessions.clone(),
        }
    }

    pub(super) fn thaw(frozen: Frozen) -> Self {
        let Frozen {
            limits,
            next,
            turn,
            sessions,
        } = frozen;
        let mut table = Self {
            limits,
            next,
            turn,
            sessions: BTreeMap::new(),
            order: BTreeMap::new(),
            used: BTreeMap::new(),
            ends: BTreeSet::new(),
            reply_bytes: 0,
        };
        for (id, session) in sessions {
            table.index(id, &session);
            table.sessions.insert(id, session);
        }
        table
    }

    pub(super) fn limits(&self) -> SessionLimits {
        self.limits
    }

    pub(super) fn len(&self) -> usize {
        self.sessions.len()
    }

    pub(super) fn reply_bytes(&self) -> u64 {
        self.reply_bytes
    }

    pub(super) fn next_due(&self) -> Option<LogTime> {
        self.ends.first().map(|(ends, _)| *ends)
    }

    pub(super) fn open(&mut self, ends: Option<LogTime>) -> SessionId {
        let id = SessionId(self.next);
        self.next += 1;
        let session = Session {
            highest: 0,
            floor: 0,
            done: BTreeMap::new(),
            used: self.turn(),
            ends,
        };
        self.index(id, &session);
        self.sessions.insert(id, Arc::new(session));
        self.give_up();
        id
    }

    /// Whether there was one.
    pub(super) fn close(&mut self, id: SessionId, now: Option<LogTime>) -> bool {
        let is_open = self.session(id, now).is_some();
        self.remove(id) && is_open
    }

    pub(super) fn limit(&mut self, limits: SessionLimits) {
        self.limits = limits;
        self.give_up();
    }

    pub(super) fn find(&self, name: SessionName, now: Option<LogTime>) -> Known {
        let Some(session) = self.session(name.session, now) else {
            return Known::Refused(SessionRefusal::Expired);
        };
        match session.done.get(&name.sequence.0) {
            Some(Reply::Kept { bytes, .. }) => Known::Answered(bytes.clone()),
            Some(Reply::Gone) => Known::Refused(SessionRefusal::ReplyGone),
            None if name.sequence.0 < session.floor => Known::Refused(SessionRefusal::Behind),
            None => Known::New,
        }
    }

    /// A session was used.
    pub(super) fn touch(&mut self, id: SessionId, ends: Option<LogTime>) {
        let turn = self.turn();
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let session = Arc::make_mut(session);
        self.used.remove(&session.used);
        self.used.insert(turn, id);
        session.used = turn;
        if let Some(before) = session.ends {
            self.ends.remove(&(before, id));
        }
        // What is over was refused before, so an end never moves back.
        session.ends = session.ends.max(ends);
        if let Some(ends) = session.ends {
            self.ends.insert((ends, id));
        }
    }

    /// A name that was new was applied.
    pub(super) fn applied(
        &mut self,
        name: SessionName,
        reply: Option<Vec<u8>>,
        ends: Option<LogTime>,
    ) {
        self.touch(name.session, ends);
        let turn = self.turn();
        let Some(session) = self.sessions.get_mut(&name.session) else {
            return;
        };
        let session = Arc::make_mut(session);
        let reply = match reply {
            Some(bytes) => {
                self.order.insert(turn, name);
                self.reply_bytes += bytes.len() as u64;
                let bytes = bytes.into();
                Reply::Kept { turn, bytes }
            }
            None => Reply::Gone,
        };
        session.done.insert(name.sequence.0, reply);
        session.highest = session.highest.max(name.sequence.0);
        let first = session.highest.saturating_sub(self.limits.window - 1);
        session.floor = session.floor.max(first);
        while let Some(entry) = session.done.first_entry() {
            if *entry.key() >= session.floor {
                break;
            }
            if let Reply::Kept { turn, bytes } = entry.remove() {
                self.order.remove(&turn);
                self.reply_bytes -= bytes.len() as u64;
            }
        }
        self.give_up();
    }

    /// Removes some of those that are over.
    pub(super) fn expire(&mut self, now: LogTime) {
        for _ in 0..EXPIRED_AT_ONCE_MAX {
            match self.ends.first() {
                Some(&(ends, id)) if ends <= now => self.remove(id),
                _ => break,
            };
        }
    }

    /// A session that is not over, whether or not it was removed already.
    fn session(&self, id: SessionId, now: Option<LogTime>) -> Option<&Session> {
        let session = self.sessions.get(&id)?;
        let is_over = session.ends.zip(now).is_some_and(|(ends, now)| ends <= now);
        (!is_over).then_some(session)
    }

    /// Back within the limits.
    fn give_up(&mut self) {
        while self.sessions.len() as u64 > self.limits.sessions_max {
            let Some((_, id)) = self.used.first_key_value() else {
                break;
            };
            self.remove(*id);
        }
        while self.reply_bytes > self.limits.replies_bytes_max {
            let Some((_, name)) = self.order.pop_first() else {
                break;
            };
            let session = self.sessions.get_mut(&name.session);
            let reply =
                session.and_then(|session| Arc::make_mut(session).done.get_mut(&name.sequence.0));
            if let Some(Reply::Kept { bytes, .. }) =
                reply.map(|reply| std::mem::replace(reply, Reply::Gone))
            {
                self.reply_bytes -= bytes.len() as u64;
            }
        }
    }

    fn remove(&mut self, id: SessionId) -> bool {
        let Some(session) = self.sessions.remove(&id) else {
            return false;
        };
        self.used.remove(&session.used);
        if let Some(ends) = session.ends {
            self.ends.remove(&(ends, id));
        }
        for reply in session.done.values() {
            if let Reply::Kept { turn, bytes } = reply {
                self.order.remove(turn);
                self.reply_bytes -= bytes.len() as u64;
            }
        }
        true
    }

    fn index(&mut self, id: SessionId, session: &Session) {
        self.used.insert(session.used, id);
        if let Some(ends) = session.ends {
            self.ends.insert((ends, id));
        }
        for (sequence, reply) in &session.done {
            if let Reply::Kept { turn, bytes } = reply {
                let sequence = super::Sequence(*sequence);
                let name = SessionName {
                    session: id,
                    sequence,
                };
                self.order.insert(*turn, name);
                self.reply_bytes += bytes.len() as u64;
            }
        }
    }

    fn turn(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }
}

/// What one command has to remove at most, so that no command waits for all sessions.
const EXPIRED_AT_ONCE_MAX: usize = 256;
