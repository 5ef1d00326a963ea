//! What is proposed: a command, with its session and its time in front.
//!
//! ```text
//! time (synod_replica::timed) │ session (synod_replica::sessions) │ Command
//! ```

use bytes::Bytes;
use synod_replica::{
    SessionCommand, SessionId, SessionLimits, SessionName, SessionReply, Sessions, Timed,
    TimedCommand, TimedReply, sessions,
    timed::{self, Stamp},
};

use crate::{
    command::Command,
    machine::Kv,
    response::{Refusal, Response},
};

/// What each node replicates: the map, with sessions and a time.
pub type Machine = Timed<Sessions<Kv>>;

/// A write as it is proposed, without a stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry(Bytes);

impl Entry {
    /// A command that takes effect each time it is asked.
    #[must_use]
    pub fn new(command: &Command<'_>) -> Self {
        // In one piece: a command may be long, and most have neither a session nor a stamp.
        Self(command.encode_behind(&[timed::PLAIN, sessions::UNNAMED]))
    }

    /// The same under a name: it takes effect once. `None` if it has a name, or is no command.
    #[must_use]
    pub fn named(&self, name: SessionName) -> Option<Self> {
        match self.session()? {
            SessionCommand::Unnamed(command) => Some(Self::of(&sessions::named(name, command))),
            _ => None,
        }
    }

    /// Opens a session.
    #[must_use]
    pub fn open() -> Self {
        Self::of(&sessions::open())
    }

    /// Closes a session.
    #[must_use]
    pub fn close(session: SessionId) -> Self {
        Self::of(&sessions::close(session))
    }

    /// Sets the limits of all sessions.
    #[must_use]
    pub fn limit(limits: SessionLimits) -> Self {
        Self::of(&sessions::limit(limits))
    }

    /// The command in it; `None` if it concerns sessions alone.
    #[must_use]
    pub fn command(&self) -> Option<Command<'_>> {
        command_of(self.session()?)
    }

    /// Length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it never is")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a time counts from it on, so that it should be stamped.
    #[must_use]
    pub fn counts_time(&self) -> bool {
        match self.session() {
            Some(SessionCommand::Unnamed(command)) => Command::counts_time(command),
            session => session.is_some(),
        }
    }

    /// What goes into the log.
    #[must_use]
    pub fn into_bytes(self, stamp: Option<Stamp>) -> Bytes {
        match stamp {
            Some(stamp) => timed::stamped(stamp, &self.0[1..]),
            None => self.0,
        }
    }

    fn session(&self) -> Option<SessionCommand<'_>> {
        match TimedCommand::decode(&self.0)? {
            TimedCommand::Plain(session) => SessionCommand::decode(session),
            _ => None,
        }
    }

    fn of(session: &[u8]) -> Self {
        Self(timed::plain(session))
    }
}

/// The command in what concerns a session, if it is one.
pub(crate) fn command_of(session: SessionCommand<'_>) -> Option<Command<'_>> {
    match session {
        SessionCommand::Unnamed(command) | SessionCommand::Named(_, command) => {
            Command::decode(command)
        }
        _ => None,
    }
}

/// What a client is answered.
pub(crate) fn response(reply: TimedReply<SessionReply<Response>>) -> Response {
    match reply {
        TimedReply::Answer(SessionReply::Answer(response)) => response,
        TimedReply::Answer(SessionReply::Opened(session)) => {
            Response::Integer(session.0.cast_signed())
        }
        TimedReply::Answer(SessionReply::Done) => Response::Done,
        TimedReply::Answer(SessionReply::Refused(refusal)) => {
            Response::Refused(Refusal::Session(refusal))
        }
        _ => Response::Refused(Refusal::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use synod_replica::Sequence;

    use super::*;
    use crate::command::{Blob, Expiry, When};

    #[test]
    fn golden() {
        let name = SessionName {
            session: SessionId(7),
            sequence: Sequence(3),
        };
        let stamp = Stamp {
            anchor: 1,
            elapsed: Duration::from_micros(2),
        };
        let (key, value) = (Blob(b"k"), Blob(b"v"));
        let add = Entry::new(&Command::Add { key, by: 1 });
        let set = Entry::new(&Command::SetExpiring {
            key,
            value,
            when: When::Absent,
            previous: false,
            expiry: Expiry::Within { millis: 300 },
        });
        let named = add.named(name).unwrap();
        assert_eq!(named.named(name), None);
        for (entry, counts, golden) in [
            (&add, false, &b"\x10\x20\x02\x01k\x02"[..]),
            (&set, true, b"\x10\x20\x08\x01k\x01v\x01\0\0\xac\x02"),
            (&named, true, b"\x10\x22\x07\x03\x02\x01k\x02"),
            (&Entry::open(), true, b"\x10\x21"),
        ] {
            assert_eq!(entry.clone().into_bytes(None), golden);
            assert_eq!(entry.counts_time(), counts);
            let stamped = [b"\x11\x01\x02", &golden[1..]].concat();
            assert_eq!(entry.clone().into_bytes(Some(stamp)), stamped);
        }
        assert_eq!(named.command(), add.command());
        assert_eq!(Entry::open().command(), None);
    }
}
